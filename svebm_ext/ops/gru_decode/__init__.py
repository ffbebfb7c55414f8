"""Whole sentences from a GRU language model in one call: greedy, or drawn with temperature, top-k and top-p."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from svebm_ext.ops.arguments import TEMPERATURES
from svebm_ext.ops.backend import fall_back, resolve, use_backend
from svebm_ext.ops.gru_decode import native, options, reference
from svebm_ext.ops.gru_decode.options import CHECKS, MOST_TOKENS, Choice, Decoded, GRUWeights
from svebm_ext.ops.philox import signed_seed

__all__ = ["Decoded", "GRUWeights", "gru_decode", "pack_gru"]


def gru_decode(
    state: Float[Tensor, "B H"],
    gate_bias: Float[Tensor, "B three_H"],
    weights: GRUWeights,
    *,
    max_tokens: int,
    begin: int,
    end: int,
    pad: int = 0,
    excluded: Sequence[int] = (),
    greedy: bool = True,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int | Int[Tensor, ""] = 0,
    ids: Int[Tensor, "B"] | None = None,
    log_probabilities: bool = False,
    precision: str = "fp32",
    packed: UInt8[Tensor, "bytes"] | None = None,
    backend: str | None = None,
) -> Decoded:
    """Decode x ~ p(x|z) word by word (Eq. 6); z enters through `state` and `gate_bias`.

    Greedy takes the best word, the lowest index among equals. Otherwise the word is the inverse of the distribution
    function, in the order of the vocabulary, at one uniform number of Philox at (ids[b], step): a sentence depends on
    its own row, id and the seed, never on the rows beside it. No gradient flows through the result.

    Args:
        state: h before the first word [B, H], float32 or float64.
        gate_bias: added to the input gates at every step [B, 3H]: W_ih applied to z.
        weights: of the network, and the gates of every word as input.
        max_tokens: T, most tokens of a sentence, its end mark included.
        begin: first input.
        end: word that ends a sentence.
        pad: what stands behind the end in `tokens`.
        excluded: words that never come, such as the marks of padding and beginning.
        greedy: take the best word; the next three are not used then.
        temperature: divides the scores, > 0.
        top_k: draw among the k best words; 0: all.
        top_p: ... and among the fewest best of these with this probability together; 1: all.
        seed: 64-bit key of the random numbers, or an int64 scalar with the same bits on the states' device.
        ids: address of each row's random numbers [B] int64; default 0 to B - 1.
        log_probabilities: also return those of the chosen words.
        precision: "fp32", or "fast": native kernels may round weights and states to 16 bits in products. Words whose
            scores are nearly equal may then change places, and a greedy sentence with them. On CUDA the result's
            `finite` is then false too where a weight or a first state is beyond the range of half precision.
        packed: what `pack_gru` made of these weights for this precision, which saves packing them in every call (CPU).
        backend: "auto", "native", "reference", or None for the setting of `svebm_ext.ops.backend`.

    Raises:
        ConfigError: an argument has a wrong shape, type, device or value.
        BackendUnavailableError: `backend` is "native" and the native library cannot serve the call.

    Source: Cho et al. 2014 (GRU); Fan et al. 2018 (top-k); Holtzman et al. 2020 (top-p).
    """
    seed, weights, excluded = options.check_types(state, gate_bias, weights, ids, packed, seed, excluded)
    of_weights = {f"weights.{name}": tensor for name, tensor in weights._asdict().items()}
    CHECKS.with_storage(("state", state), {"gate_bias": gate_bias, **of_weights, "ids": ids, "seed": seed})
    if packed is not None:
        options.check_packed(packed)
    number = 0 if isinstance(seed, Tensor) else signed_seed(seed)
    detached = [None if tensor is None else tensor.detach() for tensor in weights]
    tokens, lengths, logs, finite = torch.ops.svebm.gru_decode(
        state.detach(),
        gate_bias.detach(),
        *detached,
        packed,
        _rows(state) if ids is None else ids,
        excluded,
        CHECKS.integer("max_tokens", max_tokens, 1, MOST_TOKENS),
        CHECKS.integer("begin", begin, 0, MOST_TOKENS),
        CHECKS.integer("end", end, 0, MOST_TOKENS),
        CHECKS.integer("pad", pad, -MOST_TOKENS, MOST_TOKENS),
        CHECKS.flag("greedy", greedy),
        CHECKS.number("temperature", temperature, *TEMPERATURES),
        CHECKS.integer("top_k", top_k, 0),
        CHECKS.number("top_p", top_p, 0.0, 1.0, above=True),
        number,
        seed if isinstance(seed, Tensor) else None,
        CHECKS.flag("log_probabilities", log_probabilities),
        CHECKS.choice("precision", precision, options.PRECISIONS),
        CHECKS.backend(backend) or "",
    )
    return Decoded(tokens, lengths, logs if log_probabilities else None, finite)


def _rows(state: Tensor) -> Tensor:
    """Default ids of rows; of a state that has none, which is refused later, no ids."""
    return torch.arange(state.shape[0] if state.dim() else 0, dtype=torch.int64, device=state.device)


def pack_gru(
    weights: GRUWeights, *, precision: str = "fp32", backend: str | None = None
) -> UInt8[Tensor, "bytes"] | None:
    """Weights in the order in which a native kernel reads them, for `gru_decode`; None where that is not served.

    Stale as soon as a weight changes.

    Raises:
        ConfigError: an argument has a wrong type or shape.
    """
    weights = options.check_weights(weights)
    CHECKS.choice("precision", precision, options.PRECISIONS)
    options.check_shapes(weights, weights.weight)
    device = weights.weight.device
    if device.type != "cpu" or native.unsupported_type(weights.weight):
        return None
    if resolve("gru_decode", device, CHECKS.backend(backend)) != "native":
        return None
    detached = weights._replace(weight=weights.weight.detach(), output=weights.output.detach())  # all that is packed
    return native.pack(detached, precision)


def _gru_decode(
    state: Tensor,
    gate_bias: Tensor,
    input_gates: Tensor,
    weight: Tensor,
    bias: Tensor,
    output: Tensor,
    output_bias: Tensor | None,
    packed: Tensor | None,
    ids: Tensor,
    excluded: list[int],
    max_tokens: int,
    begin: int,
    end: int,
    pad: int,
    greedy: bool,
    temperature: float,
    top_k: int,
    top_p: float,
    seed: int,
    seed_tensor: Tensor | None,
    log_probabilities: bool,
    precision: str,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    weights = GRUWeights(input_gates, weight, bias, output, output_bias)
    choice = Choice(
        max_tokens=max_tokens,
        begin=begin,
        end=end,
        pad=pad,
        excluded=list(excluded),
        greedy=greedy,
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        seed=seed % (1 << 64) if seed_tensor is None else seed_tensor,
        log_probabilities=log_probabilities,
        precision=precision,
    )
    options.check(state, gate_bias, weights, ids, choice)
    chosen = resolve("gru_decode", state.device, backend or None)
    if chosen == "native" and state.shape[0] == 0:
        chosen = "reference"
    if chosen == "native" and (reason := native.unsupported_reason(state, gate_bias, weights, ids, choice)):
        # float64 is the caller's wish, no shortcoming to be warned of
        quiet = state.dtype != torch.float32
        chosen = fall_back("gru_decode", state.device, reason, backend or None, quiet=quiet)
    if packed is not None:
        n_bytes = native.packed_bytes(weights, choice.precision) if chosen == "native" else None
        options.check_packed(packed, n_bytes, options.ALIGNMENT)
    if chosen == "native":
        found = native.decode(state, gate_bias, weights, ids, choice, packed)
    else:
        with use_backend(backend) if backend else contextlib.nullcontext():
            found = reference.decode(state, gate_bias, weights, ids, choice)
    logs = state.new_empty(0) if found.log_probabilities is None else found.log_probabilities
    return found.tokens, found.lengths, logs, found.finite


def _shapes(state: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    values = dict(zip(_ARGUMENT_NAMES, arguments, strict=True))
    B, max_tokens = state.shape[0], values["max_tokens"]
    return (
        state.new_empty((B, max_tokens), dtype=torch.int64),
        state.new_empty((B,), dtype=torch.int64),
        state.new_empty((B, max_tokens) if values["log_probabilities"] else (0,)),
        state.new_empty((), dtype=torch.bool),
    )


_ARGUMENTS = (
    "Tensor gate_bias, Tensor input_gates, Tensor weight, Tensor bias, Tensor output, Tensor? output_bias,"
    " Tensor? packed, Tensor ids, int[] excluded, int max_tokens, int begin, int end, int pad, bool greedy,"
    " float temperature, int top_k, float top_p, int seed, Tensor? seed_tensor, bool log_probabilities,"
    " str precision, str backend"
)
_ARGUMENT_NAMES = [argument.split()[-1] for argument in _ARGUMENTS.split(",")]
_RESULTS = "(Tensor tokens, Tensor lengths, Tensor log_probabilities, Tensor finite)"

_library = torch.library.Library("svebm", "FRAGMENT")
_library.define(f"gru_decode(Tensor state, {_ARGUMENTS}) -> {_RESULTS}")
_library.impl("gru_decode", _gru_decode, "CompositeExplicitAutograd")
torch.library.register_fake("svebm::gru_decode", _shapes, lib=_library)
