"""The compiled kernels of `gru_decode`: planned once a call, then run; raw pointers out, tensors back."""

from __future__ import annotations

import functools
from typing import NamedTuple

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from svebm_ext.ops.gru_decode.options import Decoded, GruDecodeInputs, GRUWeights, check_packed
from svebm_ext.ops.native_call import ALIGNMENT, NativeCall, Unsupported, aligned, plan_native
from svebm_ext.ops.native_library import native_module
from svebm_ext.ops.philox import Stream


def unsupported_type(state: Tensor) -> str:
    """Why the kernels cannot serve tensors of this type; empty where they can."""
    return "" if state.dtype == torch.float32 else f"the kernels compute in float32, and the states are {state.dtype}"


def pack(weights: GRUWeights, precision: str) -> UInt8[Tensor, "bytes"]:
    """Weights in the order in which the CPU kernel reads them; good for any number of calls with the same weights."""
    packed = aligned(packed_bytes(weights, precision))
    native_module().gru_decode_cpu_pack({**_network(weights, precision), "packed": packed})
    return packed


def packed_bytes(weights: GRUWeights, precision: str) -> int:
    """Size of what `pack` makes of these weights."""
    return int(native_module().gru_decode_cpu_packed_bytes(_network(weights, precision)))


def _network(weights: GRUWeights, precision: str) -> dict[str, object]:
    """What packing looks at."""
    return {
        "weight": weights.weight,
        "output": weights.output,
        "hidden": weights.weight.shape[1],
        "vocabulary": weights.output.shape[0],
        "fast": precision == "fast",
    }


class _Results(NamedTuple):
    """Memory that the kernel writes, by the names of its structure's fields."""

    tokens: Tensor
    lengths: Tensor
    log_probabilities: Tensor | None
    non_finite: Tensor


class Planned:
    """A call that a kernel is ready to serve, and the memory of its results."""

    def __init__(self, call: NativeCall, results: _Results) -> None:
        self._call, self._results = call, results

    def run(self) -> Decoded:
        """As `reference.decode`, the same words but where rounding decides."""
        self._call.run()
        results = self._results
        return Decoded(results.tokens, results.lengths, results.log_probabilities, results.non_finite == 0)


def plan(inputs: GruDecodeInputs) -> Planned | Unsupported:
    """What will serve a call, or why the kernels cannot though the reference can.

    `packed` is what `pack` made of the weights; on CUDA they are packed in the call, and it is not used.
    """
    state, packed = inputs.state, inputs.packed
    if reason := unsupported_type(state):  # float64 is the caller's wish, no shortcoming to be warned of
        return Unsupported(reason, quiet=True)
    if packed is not None:
        check_packed(packed, packed_bytes(inputs.weights, inputs.precision), ALIGNMENT)
    elif state.device.type == "cpu":
        packed = pack(inputs.weights, inputs.precision)
    results = _results(inputs)
    values = {**vars(inputs), **results._asdict(), **_derived(inputs), "packed": packed}
    call = plan_native("gru_decode", state.device, values)
    return call if isinstance(call, Unsupported) else Planned(call, results)


def _results(inputs: GruDecodeInputs) -> _Results:
    shape, device = (inputs.state.shape[0], inputs.max_tokens), inputs.state.device
    logs = torch.empty(shape, dtype=torch.float32, device=device) if inputs.log_probabilities else None
    return _Results(
        tokens=torch.empty(shape, dtype=torch.int64, device=device),
        lengths=torch.empty(shape[0], dtype=torch.int64, device=device),
        log_probabilities=logs,
        non_finite=torch.zeros((), dtype=torch.int32, device=device),
    )


def _derived(inputs: GruDecodeInputs) -> dict[str, object]:
    """Fields of the kernel's structure that are no inputs of the op, or are of another type."""
    return {
        **_network(inputs.weights, inputs.precision),
        "n_rows": inputs.state.shape[0],
        "excluded": _word_list(inputs.excluded, inputs.state.device),
        "n_excluded": len(inputs.excluded),
        "top_k": min(inputs.top_k, inputs.output.shape[0]),
        "stream": int(Stream.TOKEN),
    }


@functools.lru_cache(maxsize=64)
def _cached_word_list(words: tuple[int, ...], device: torch.device) -> Int[Tensor, "n"]:
    return torch.tensor(words, dtype=torch.int64, device=device)


def _word_list(words: list[int], device: torch.device) -> Int[Tensor, "n"]:
    """Words on the device; made once there, as a copy from the host cannot be captured in a graph."""
    if device.type != "cuda":
        return torch.tensor(words, dtype=torch.int64, device=device)
    return _cached_word_list(
        tuple(words), torch.device("cuda", device.index if device.index is not None else torch.cuda.current_device())
    )
