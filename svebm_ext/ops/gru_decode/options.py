"""What every backend of `gru_decode` is given and gives back, and the checks that are done once for all of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from svebm_ext.errors import ConfigError

PRECISIONS = ("fp32", "fast")


class GRUWeights(NamedTuple):
    """A GRU language model as decoding needs it, E the word embedding; gates in torch.nn.GRU's order r, z, n.

    Attributes:
        input_gates: W_ih e_v + b_ih of every word v [V, 3H].
        weight: W_hh [3H, H].
        bias: b_hh [3H].
        output: the scores of all words are `output` h + `output_bias` [V, H].
        output_bias: [V] or None.
    """

    input_gates: Float[Tensor, "V three_H"]
    weight: Float[Tensor, "three_H H"]
    bias: Float[Tensor, "three_H"]
    output: Float[Tensor, "V H"]
    output_bias: Float[Tensor, "V"] | None = None


class Decoded(NamedTuple):
    """Sentences.

    Attributes:
        tokens: words [B, T], the end mark included, padded behind it.
        lengths: tokens of each sentence up to and including its end mark [B]; T where it did not end.
        log_probabilities: of each chosen word at temperature 1 among all words that are not excluded [B, T], nats, 0
            behind the end; None unless asked for.
        finite: a scalar, false where a state was not finite: its sentence ends there.
    """

    tokens: Int[Tensor, "B T"]
    lengths: Int[Tensor, "B"]
    log_probabilities: Float[Tensor, "B T"] | None
    finite: Bool[Tensor, ""]


@dataclass(frozen=True)
class Choice:
    """How words are chosen; fields as the arguments of `gru_decode`."""

    max_tokens: int
    begin: int
    end: int
    pad: int
    excluded: list[int]
    greedy: bool
    temperature: float
    top_k: int
    top_p: float
    seed: int | Int[Tensor, ""]
    log_probabilities: bool
    precision: str


def fail(name: str, value: object, expected: str) -> None:
    """Raise a ConfigError that names the option, its value and what is expected."""
    raise ConfigError(f"gru_decode: {name} is {value}; expected {expected}")


def check(state: Tensor, gate_bias: Tensor, weights: GRUWeights, ids: Tensor, choice: Choice) -> None:
    """Check shapes, types and options of a call."""
    if state.dim() != 2 or state.shape[1] < 1:
        fail("state", f"of shape {tuple(state.shape)}", "[B, H]")
    if state.dtype not in (torch.float32, torch.float64):
        fail("state", f"of type {state.dtype}", "float32 or float64")
    (B, H), V = state.shape, weights.output.shape[0] if weights.output.dim() == 2 else 0
    shapes = {
        "gate_bias": (gate_bias, (B, 3 * H)),
        "weights.output": (weights.output, (max(V, 1), H)),
        "weights.input_gates": (weights.input_gates, (V, 3 * H)),
        "weights.weight": (weights.weight, (3 * H, H)),
        "weights.bias": (weights.bias, (3 * H,)),
        "weights.output_bias": (weights.output_bias, (V,)),
    }
    for name, (tensor, shape) in shapes.items():
        if tensor is None:
            continue
        if tensor.shape != shape:
            fail(name, f"of shape {tuple(tensor.shape)}", f"{shape} beside states {tuple(state.shape)}")
        if tensor.dtype != state.dtype or tensor.device != state.device:
            fail(name, f"{tensor.dtype} on {tensor.device}", f"that of the states, {state.dtype} on {state.device}")
    if ids.dtype != torch.int64 or ids.shape != (B,) or ids.device != state.device:
        fail("ids", f"{ids.dtype} of shape {tuple(ids.shape)} on {ids.device}", f"int64 [{B}] on {state.device}")
    check_choice(choice, V, state.device)


def check_packed(packed: Tensor, n_bytes: int | None = None, alignment: int = 1) -> None:
    """Check a buffer that a kernel will read by its address alone: type, place, layout, size and alignment.

    Args:
        packed: the buffer.
        n_bytes: size of what `pack_gru` gives for the weights of the call; None where no kernel will read it.
        alignment: of its address, in bytes.
    """
    if packed.dtype != torch.uint8 or packed.device.type != "cpu" or packed.layout != torch.strided:
        fail("packed", f"{packed.dtype} on {packed.device}", "torch.uint8 on the CPU, as pack_gru gives")
    if packed.dim() != 1 or not packed.is_contiguous():
        fail("packed", f"of shape {tuple(packed.shape)}", "one row of bytes without gaps, as pack_gru gives")
    if n_bytes is not None and packed.numel() != n_bytes:
        fail("packed", f"{packed.numel():,} bytes", f"{n_bytes:,}: pack_gru of these weights at this precision")
    if n_bytes is not None and packed.data_ptr() % alignment:
        fail("packed", f"at an address {packed.data_ptr() % alignment} beyond a multiple of {alignment}",
             f"one that is aligned to {alignment} bytes, as pack_gru gives")  # fmt: skip


def check_choice(choice: Choice, V: int, device: torch.device) -> None:
    """Check how words of a vocabulary of V are to be chosen."""
    if choice.max_tokens < 1:
        fail("max_tokens", choice.max_tokens, "at least 1")
    for name in ("begin", "end"):
        if not 0 <= getattr(choice, name) < V:
            fail(name, getattr(choice, name), f"a word, 0 to {V - 1}")
    if any(not 0 <= word < V for word in choice.excluded):
        fail("excluded", choice.excluded, f"words, 0 to {V - 1}")
    if len(set(choice.excluded)) >= V:
        fail("excluded", f"all {V} words", "at least one word left")
    if not 0 < choice.temperature < math.inf:
        fail("temperature", choice.temperature, "positive and finite")
    if choice.top_k < 0:
        fail("top_k", choice.top_k, "a number of words, or 0 for all")
    if not 0 < choice.top_p <= 1:
        fail("top_p", choice.top_p, "a probability above 0, at most 1")
    if choice.precision not in PRECISIONS:
        fail("precision", repr(choice.precision), f"one of {', '.join(PRECISIONS)}")
    seed = choice.seed
    if isinstance(seed, Tensor) and (seed.dtype != torch.int64 or seed.dim() != 0 or seed.device != device):
        found = f"{seed.dtype} of {seed.dim()} dimensions on {seed.device}"
        fail("seed", found, f"an integer or a torch.int64 scalar on {device}")
