"""Whole sentences from a GRU language model in one call: greedy, or drawn with temperature, top-k and top-p."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from svebm_ext.ops.backend import planned_or_none, resolve, use_backend
from svebm_ext.ops.gru_decode import native, options, reference
from svebm_ext.ops.gru_decode.options import CHECKS, Decoded, DecodedOutputs, GruDecodeInputs, GRUWeights
from svebm_ext.ops.schema import Op

__all__ = ["Decoded", "GRUWeights", "gru_decode", "pack_gru"]


def gru_decode(
    state: Float[Tensor, "B H"], gate_bias: Float[Tensor, "B three_H"], weights: GRUWeights, *, max_tokens: int,
    begin: int, end: int, pad: int = 0, excluded: Sequence[int] = (), greedy: bool = True, temperature: float = 1.0,
    top_k: int = 0, top_p: float = 1.0, seed: int | Int[Tensor, ""] = 0, ids: Int[Tensor, "B"] | None = None,
    log_probabilities: bool = False, precision: str = "fp32", packed: UInt8[Tensor, "bytes"] | None = None,
    backend: str | None = None,
) -> Decoded:  # fmt: skip
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
    options.check_storage(state, gate_bias, weights, ids, seed)
    if packed is not None:
        options.check_packed(packed)
    words = options.checked_words(max_tokens, begin, end, pad, excluded)
    choice = options.checked_choice(greedy, temperature, top_k, top_p, seed, log_probabilities, precision, backend)
    detached = {name: None if tensor is None else tensor.detach() for name, tensor in weights._asdict().items()}
    tokens, lengths, logs, finite = GRU_DECODE(
        state=state.detach(),
        gate_bias=gate_bias.detach(),
        **detached,
        packed=packed,
        ids=_rows(state) if ids is None else ids,
        **words,
        **choice,
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


def _run(inputs: GruDecodeInputs) -> Decoded:
    options.check(inputs)
    device, requested = inputs.state.device, inputs.backend or None
    planned = None
    if inputs.state.shape[0] == 0:  # of which the reference gives empty results of the right shapes
        resolve("gru_decode", device, requested)
    else:
        planned = planned_or_none("gru_decode", device, requested, lambda: native.plan(inputs))
    if planned is not None:
        return planned.run()
    if inputs.packed is not None:
        options.check_packed(inputs.packed)
    with use_backend(requested) if requested else contextlib.nullcontext():
        return reference.decode(inputs)


def _compute(inputs: GruDecodeInputs) -> DecodedOutputs:
    decoded = _run(inputs)
    logs = decoded.log_probabilities
    return DecodedOutputs(
        decoded.tokens, decoded.lengths, inputs.state.new_empty(0) if logs is None else logs, decoded.finite
    )


GRU_DECODE = Op("gru_decode", GruDecodeInputs, DecodedOutputs, compute=_compute, shapes=GruDecodeInputs.shapes)
