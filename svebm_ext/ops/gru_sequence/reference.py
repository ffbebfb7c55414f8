"""A GRU over a packed batch in plain torch, with its gradient derived by hand.

Autograd through torch's packed GRU fills a zero gradient of the whole input at every time step and multiplies out the
weight gradient step by step: on a CPU that costs more than the network. Here the backward pass has one small product
a step, and each weight gradient is one large product at the end. Formula and gate order are those of `torch.nn.GRU`:

    r = sigmoid(W_ir x + b_ir + W_hr h + b_hr)        z = sigmoid(W_iz x + b_iz + W_hz h + b_hz)
    n = tanh(W_in x + b_in + r * (W_hn h + b_hn))     h' = (1 - z) * n + z * h
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.ops.arguments import derivatives_of_derivatives, full_precision, gradients_with_derivatives


def sizes_of(batch_sizes: Int[Tensor, " T"]) -> list[int]:
    """Rows at each time step as numbers."""
    try:
        return batch_sizes.tolist()
    except RuntimeError:  # PyTorch 2.4 within a transform of torch.func: only single numbers can be read
        return [int(size) for size in batch_sizes]


def gru_sequence(
    inputs: Float[Tensor, "n I"],
    batch_sizes: Int[Tensor, " T"],
    initial: Float[Tensor, "directions B H"] | None,
    parameters: Sequence[Tensor],
) -> tuple[Float[Tensor, "n directions_H"], Float[Tensor, "directions B H"]]:
    """As `svebm_ext.ops.gru_sequence.gru_sequence`, in any floating type."""
    states, finals = [], []
    for d in range(len(parameters) // 4):
        w_ih, w_hh, b_ih, b_hh = parameters[4 * d : 4 * d + 4]
        gates = F.linear(inputs, w_ih, b_ih)  # under autocast in bfloat16, and with it all that follows
        B = int(batch_sizes[0]) if batch_sizes.numel() else 0
        h = gates.new_zeros(B, w_hh.shape[1]) if initial is None else initial[d].to(gates.dtype)
        recurrent = (w_hh.to(gates.dtype), b_hh.to(gates.dtype))
        hidden, final = packed_gru(gates, batch_sizes, h, *recurrent, reverse=d == 1, source=(inputs, w_ih, b_ih))
        states.append(hidden)
        finals.append(final)
    return torch.cat(states, dim=-1) if len(states) > 1 else states[0], torch.stack(finals)


def packed_gru(
    input_gates: Float[Tensor, "n three_H"],
    batch_sizes: Int[Tensor, "T"],
    initial: Float[Tensor, "B H"],
    weight: Float[Tensor, "three_H H"],
    bias: Float[Tensor, "three_H"],
    *,
    reverse: bool = False,
    source: tuple[Tensor, Tensor, Tensor] | None = None,
) -> tuple[Float[Tensor, "n H"], Float[Tensor, "B H"]]:
    """Hidden state at every packed position, and after the last position of every row.

    Args:
        input_gates: W_i x + b_i of every packed position (time-major, rows by decreasing length).
        batch_sizes: rows running at each time step, on the CPU.
        initial: h before the first position of each row.
        weight: W_h, gates r, z, n stacked.
        bias: b_h.
        reverse: run from each row's last position to its first.
        source: x, W_i and b_i that the input gates are made of. They are there anyway; a derivative of a derivative
            makes the gates again from them, where without them it has to keep the gates.

    Returns:
        States in packed order, and the final state of each row (reverse: at its first position).

    Source: Cho et al. 2014; gates as in torch.nn.GRU.
    """
    kept = (input_gates, None, None) if source is None else source
    return _PackedGRU.apply(input_gates, sizes_of(batch_sizes), initial, weight, bias, reverse, *kept)


def by_autograd(
    inputs: Float[Tensor, "n I"],
    batch_sizes: Int[Tensor, " T"],
    initial: Float[Tensor, "directions B H"] | None,
    parameters: Sequence[Tensor],
) -> tuple[Float[Tensor, "n directions_H"], Float[Tensor, "directions B H"]]:
    """As `gru_sequence`, of operations that autograd differentiates any number of times and torch.func transforms."""
    states, finals, sizes = [], [], sizes_of(batch_sizes)
    with full_precision(inputs.device):
        for d in range(len(parameters) // 4):
            w_ih, w_hh, b_ih, b_hh = parameters[4 * d : 4 * d + 4]
            start = inputs.new_zeros(sizes[0] if sizes else 0, w_hh.shape[1]) if initial is None else initial[d]
            hidden, final = _recur(F.linear(inputs, w_ih, b_ih), sizes, start, w_hh, b_hh, d == 1)
            states.append(hidden)
            finals.append(final)
    return torch.cat(states, dim=-1) if len(states) > 1 else states[0], torch.stack(finals)


def _recur(
    gates: Tensor, sizes: list[int], state: Tensor, weight: Tensor, bias: Tensor, reverse: bool
) -> tuple[Tensor, Tensor]:
    """The recurrence in differentiable operations; arguments as `packed_gru`."""
    pieces = {0: gates.new_zeros(0, state.shape[1])}
    for start, size in _steps(sizes, reverse):
        h = state[:size]
        input_rz, input_n = gates[start : start + size].tensor_split([2 * h.shape[1]], dim=-1)
        hidden_rz, hidden_n = torch.addmm(bias, h, weight.t()).tensor_split([2 * h.shape[1]], dim=-1)
        r, z = torch.sigmoid(input_rz + hidden_rz).chunk(2, dim=-1)
        pieces[start] = torch.lerp(torch.tanh(input_n + r * hidden_n), h, z)
        state = torch.cat((pieces[start], state[size:]))
    return torch.cat([pieces[start] for start in sorted(pieces)]), state


def differentiable_gradients(
    inputs: Tensor,
    batch_sizes: Tensor,
    initial: Tensor | None,
    parameters: Sequence[Tensor],
    grad_states: Tensor | None,
    grad_final: Tensor | None,
) -> list[Tensor | None]:
    """Gradients of inputs, initial state and each parameter, None where none is asked for, with derivatives."""

    def layer(inputs: Tensor, initial: Tensor | None, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        return by_autograd(inputs, batch_sizes, initial, parameters)

    return gradients_with_derivatives(layer, [inputs, initial, *parameters], [grad_states, grad_final])


class _PackedGRU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        gates: Tensor,
        sizes: list[int],
        initial: Tensor,
        weight: Tensor,
        bias: Tensor,
        reverse: bool,
        *source: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        H = initial.shape[1]
        rz = gates[:, : 2 * H].clone()  # becomes sigmoid gates
        n = gates[:, 2 * H :].clone()  # becomes the candidate state
        recurrent_n = torch.empty_like(n)
        before, hidden = torch.empty_like(n), torch.empty_like(n)
        state = initial.clone()
        infinite = not bool(initial.isfinite().all())
        transposed = weight.t()
        for start, size in _steps(sizes, reverse):
            part = slice(start, start + size)
            h = before[part].copy_(state[:size])
            recurrent = torch.addmm(bias, h, transposed)
            recurrent_n[part] = recurrent[:, 2 * H :]
            gate = rz[part].add_(recurrent[:, : 2 * H]).sigmoid_()
            candidate = n[part].addcmul_(gate[:, :H], recurrent[:, 2 * H :]).tanh_()
            torch.lerp(candidate, h, gate[:, H:], out=hidden[part])
            if infinite:  # lerp takes an infinity times 0 where z is nearly 1
                torch.addcmul(candidate, gate[:, H:], h - candidate, out=hidden[part])
            state[:size] = hidden[part]
        ctx.sizes, ctx.reverse = sizes, reverse
        ctx.save_for_backward(rz, n, recurrent_n, before, weight, initial, bias, *source)
        return hidden, state

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rz, n, recurrent_n, before, weight, initial, bias, *source = ctx.saved_tensors
        grad_hidden, grad_final = gradients
        if derivatives_of_derivatives(*gradients, initial, weight, bias, *source):
            return _differentiable_packed(ctx, gradients, initial, weight, bias, source)
        H = n.shape[1]
        r, z = rz[:, :H], rz[:, H:]
        # d h' / d pre-activations, for every position at once; only the running gradient of h goes step by step.
        candidate = (1 - z) * (1 - n * n)
        slopes = torch.stack((candidate * recurrent_n * r * (1 - r), (before - n) * z * (1 - z), candidate * r), 1)
        recurrent = torch.empty_like(slopes)
        total = torch.empty_like(n)
        state = grad_final.clone()
        for start, size in reversed(list(_steps(ctx.sizes, ctx.reverse))):
            part = slice(start, start + size)
            g = torch.add(state[:size], grad_hidden[part], out=total[part])
            torch.mul(g.unsqueeze(1), slopes[part], out=recurrent[part])
            torch.addmm(g * z[part], recurrent[part].view(size, 3 * H), weight, out=state[:size])
        grad_recurrent = recurrent.view(-1, 3 * H)
        grad_weight = grad_recurrent.t() @ before
        grad_bias = grad_recurrent.sum(0)
        recurrent[:, 2] = total * candidate  # the input's candidate gate is not scaled by r
        return grad_recurrent, None, state, grad_weight, grad_bias, *[None] * 4


def _differentiable_packed(
    ctx: Any, upstream: tuple[Tensor, ...], initial: Tensor, weight: Tensor, bias: Tensor, source: list[Tensor | None]
) -> tuple[Tensor | None, ...]:
    """What `_PackedGRU.backward` returns, with derivatives."""
    inputs, w_ih, b_ih = source
    gates = inputs
    with full_precision(weight.device):
        if inputs is not None and w_ih is not None and b_ih is not None:
            gates = F.linear(inputs.to(weight.dtype), w_ih.to(weight.dtype), b_ih.to(weight.dtype))

        def layer(gates: Tensor, initial: Tensor, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
            return _recur(gates, ctx.sizes, initial, weight, bias, ctx.reverse)

        of_gates, *others = gradients_with_derivatives(layer, [gates, initial, weight, bias], upstream)
    return of_gates, None, *others, *[None] * 4


def _steps(sizes: list[int], reverse: bool) -> list[tuple[int, int]]:
    """(first packed position, rows) of each time step, in the order of computation."""
    steps, start = [], 0
    for size in sizes:
        steps.append((start, size))
        start += size
    return steps[::-1] if reverse else steps
