"""Decoding in plain torch: the equations that native kernels are compared with, and their fallback.

    r = sigmoid(x_r + W_r h + b_r)     u = sigmoid(x_u + W_u h + b_u)     n = tanh(x_n + r * (W_n h + b_n))
    h' = (1 - u) * n + u * h           scores = W_out h' + b_out

x the word's row of `input_gates` plus the sentence's `gate_bias`. Cho et al. 2014, gates as in torch.nn.GRU.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.ops.arguments import full_precision
from svebm_ext.ops.gru_decode.options import Choice, Decoded, GruDecodeInputs, GRUWeights
from svebm_ext.ops.philox import Stream, philox_uniform


def decode(inputs: GruDecodeInputs) -> Decoded:
    """Sentences of each row; `precision` is a permission that plain torch makes no use of."""
    with torch.no_grad(), full_precision(inputs.state.device):
        return _decode(inputs.state, inputs.gate_bias, inputs.weights, inputs.ids, inputs.choice)


def _decode(state: Tensor, gate_bias: Tensor, weights: GRUWeights, ids: Tensor, choice: Choice) -> Decoded:
    B, device = state.shape[0], state.device
    tokens = torch.full((B, choice.max_tokens), choice.pad, dtype=torch.int64, device=device)
    lengths = torch.full((B,), choice.max_tokens, dtype=torch.int64, device=device)
    chosen_logs = state.new_zeros(B, choice.max_tokens)
    finite = torch.ones((), dtype=torch.bool, device=device)
    rows = torch.arange(B, dtype=torch.int64, device=device)
    word = torch.full((B,), choice.begin, dtype=torch.int64, device=device)
    bias = weights.output_bias
    score_bias = state.new_zeros(weights.output.shape[0]) if bias is None else bias.clone()
    score_bias[choice.excluded] = -math.inf
    for step in range(choice.max_tokens):
        if rows.numel() == 0:
            break
        state = advance(state, weights.input_gates[word] + gate_bias, weights.weight, weights.bias)
        scores = state @ weights.output.t() + score_bias
        best = scores.amax(dim=-1)  # no number where some score is none
        good = state.isfinite().all(dim=1)
        if choice.greedy:
            good = good & (best > -math.inf)
            word = scores.argmax(-1)
        else:
            good = good & best.isfinite()  # an infinite score leaves no probabilities
            uniform = philox_uniform(choice.seed, ids[rows], dim=1, first_step=step, stream=Stream.TOKEN)[0]
            word = draw(scores, uniform, choice)
        finite = finite & good.all()
        word = torch.where(good, word, choice.end)
        tokens[rows, step] = word
        log_probability = torch.log_softmax(scores, dim=-1).gather(1, word[:, None])[:, 0]
        chosen_logs[rows, step] = torch.where(good, log_probability, math.nan)
        alive = word != choice.end
        lengths[rows[~alive]] = step + 1
        rows, word, state, gate_bias = rows[alive], word[alive], state[alive], gate_bias[alive]
    return Decoded(tokens, lengths, chosen_logs if choice.log_probabilities else None, finite)


def advance(
    h: Float[Tensor, "B H"],
    inputs: Float[Tensor, "B three_H"],
    weight: Float[Tensor, "three_H H"],
    bias: Float[Tensor, "three_H"],
) -> Float[Tensor, "B H"]:
    """One step of the GRU, `inputs` being W_ih x + b_ih."""
    input_r, input_u, input_n = inputs.chunk(3, dim=-1)
    hidden_r, hidden_u, hidden_n = torch.addmm(bias, h, weight.t()).chunk(3, dim=-1)
    u = torch.sigmoid(input_u + hidden_u)
    n = torch.tanh(input_n + torch.sigmoid(input_r + hidden_r) * hidden_n)
    return torch.lerp(n, h, u)


def draw(scores: Float[Tensor, "B V"], uniform: Float[Tensor, "B 1"], choice: Choice) -> Int[Tensor, "B"]:
    """The word, in the order of the vocabulary, at which the distribution function reaches u.

    The distribution is softmax(scores / temperature) over the words that top-k (the k best, lower words first among
    equals) and then top-p (the fewest best words with that probability together) leave.
    """
    scores = scores / choice.temperature
    if choice.top_k > 0 or choice.top_p < 1.0:
        ordered, words = scores.sort(dim=-1, descending=True, stable=True)
        if 0 < choice.top_k < scores.shape[1]:
            ordered[:, choice.top_k :] = -math.inf
        mass = torch.softmax(ordered, dim=-1, dtype=torch.float64)
        before = mass.cumsum(-1) - mass
        top_p = float(torch.tensor(choice.top_p, dtype=torch.float32, device="cpu"))  # as the kernels have it
        ordered = torch.where((before < top_p) | (before == 0), ordered, -math.inf)
        scores = torch.full_like(scores, -math.inf).scatter(1, words, ordered)
    cumulative = torch.softmax(scores, dim=-1).double().cumsum(-1)
    positions = torch.searchsorted(cumulative, uniform.double() * cumulative[:, -1:]).squeeze(-1)
    return positions.clamp(max=scores.shape[1] - 1)
