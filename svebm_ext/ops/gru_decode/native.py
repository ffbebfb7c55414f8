"""The compiled kernels of `gru_decode`: raw pointers out, tensors back."""

from __future__ import annotations

import functools
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from svebm_ext.ops.gru_decode.options import ALIGNMENT, Choice, Decoded, GRUWeights
from svebm_ext.ops.native_library import native_module
from svebm_ext.ops.philox import Stream, signed_seed
from svebm_ext.ops.threads import kernel_threads


def unsupported_reason(
    state: Float[Tensor, "B H"],
    gate_bias: Float[Tensor, "B three_H"],
    weights: GRUWeights,
    ids: Int[Tensor, "B"],
    choice: Choice,
) -> str:
    """Why the kernels cannot serve a call that the reference can; empty where they can."""
    if reason := unsupported_type(state):
        return reason
    if state.device.type != "cuda":
        return ""
    call = _Call(state, gate_bias, weights, ids, choice)
    with torch.cuda.device(state.device):
        return str(native_module().gru_decode_cuda_workspace(call.fields, torch.cuda.current_device())[1])


def unsupported_type(state: Tensor) -> str:
    """Why the kernels cannot serve tensors of this type; empty where they can."""
    return "" if state.dtype == torch.float32 else f"the kernels compute in float32, and the states are {state.dtype}"


def pack(weights: GRUWeights, precision: str) -> UInt8[Tensor, "bytes"]:
    """Weights in the order in which the CPU kernel reads them; good for any number of calls with the same weights."""
    weight, output = weights.weight.contiguous(), weights.output.contiguous()
    fields = _packed_fields(weight, output, precision)
    packed = _aligned(native_module().gru_decode_cpu_packed_bytes(fields))
    native_module().gru_decode_cpu_pack(fields, packed.data_ptr())
    return packed


def packed_bytes(weights: GRUWeights, precision: str) -> int:
    """Size of what `pack` makes of these weights."""
    fields = _packed_fields(weights.weight, weights.output, precision)
    return int(native_module().gru_decode_cpu_packed_bytes(fields))


def _packed_fields(weight: Tensor, output: Tensor, precision: str) -> dict[str, Any]:
    return {
        "weight": weight.data_ptr(),
        "output": output.data_ptr(),
        "hidden": weight.shape[1],
        "vocabulary": output.shape[0],
        "fast": precision == "fast",
    }


def decode(
    state: Float[Tensor, "B H"],
    gate_bias: Float[Tensor, "B three_H"],
    weights: GRUWeights,
    ids: Int[Tensor, "B"],
    choice: Choice,
    packed: UInt8[Tensor, "bytes"] | None,
) -> Decoded:
    """As `reference.decode`, the same words but where rounding decides; `packed` is what `pack` made of the weights.

    On CUDA weights are packed in the call, and `packed` is not used.
    """
    call, native = _Call(state, gate_bias, weights, ids, choice), native_module()
    if state.device.type == "cuda":
        with torch.cuda.device(state.device):
            index = torch.cuda.current_device()
            size, _ = native.gru_decode_cuda_workspace(call.fields, index)
            workspace = torch.empty(size, dtype=torch.uint8, device=state.device)
            queue = torch.cuda.current_stream().cuda_stream
            native.gru_decode_cuda(call.fields, workspace.data_ptr(), index, queue)
        return call.result()
    if packed is None:
        packed = pack(weights, choice.precision)
    n_threads = kernel_threads()
    workspace = _aligned(native.gru_decode_cpu_workspace(call.fields, n_threads))
    native.gru_decode_cpu(call.fields, packed.data_ptr(), workspace.data_ptr(), n_threads)
    return call.result()


class _Call:
    """Arguments of one call as SvebmGruDecodeArguments, and the tensors behind its pointers."""

    def __init__(self, state: Tensor, gate_bias: Tensor, weights: GRUWeights, ids: Tensor, choice: Choice) -> None:
        (B, H), device, T = state.shape, state.device, choice.max_tokens
        self.tokens = torch.empty((B, T), dtype=torch.int64, device=device)
        self.lengths = torch.empty(B, dtype=torch.int64, device=device)
        self.logs = torch.empty((B, T), dtype=torch.float32, device=device) if choice.log_probabilities else None
        self.non_finite = torch.zeros((), dtype=torch.int32, device=device)
        seed = 0 if isinstance(choice.seed, Tensor) else choice.seed
        tensors: dict[str, Tensor | None] = {
            "state": state,
            "gate_bias": gate_bias,
            "ids": ids,
            "input_gates": weights.input_gates,
            "weight": weights.weight,
            "bias": weights.bias,
            "output": weights.output,
            "output_bias": weights.output_bias,
            "excluded": _word_list(choice.excluded, device),
            "seed_pointer": choice.seed if isinstance(choice.seed, Tensor) else None,
            "tokens": self.tokens,
            "lengths": self.lengths,
            "log_probabilities": self.logs,
            "non_finite": self.non_finite,
        }
        # alive until the call has been enqueued
        self.kept = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}
        self.fields: dict[str, Any] = {name: tensor.data_ptr() for name, tensor in self.kept.items()}
        self.fields |= {
            "n_rows": B,
            "max_tokens": T,
            "hidden": H,
            "vocabulary": weights.output.shape[0],
            "begin": choice.begin,
            "end": choice.end,
            "pad": choice.pad,
            "n_excluded": len(choice.excluded),
            "greedy": choice.greedy,
            "temperature": choice.temperature,
            "top_k": min(choice.top_k, weights.output.shape[0]),
            "top_p": choice.top_p,
            "seed": signed_seed(seed),
            "stream": int(Stream.TOKEN),
            "fast": choice.precision == "fast",
        }

    def result(self) -> Decoded:
        """What the kernel wrote, as the reference would return it."""
        return Decoded(self.tokens, self.lengths, self.logs, self.non_finite == 0)


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


def _aligned(size: int) -> UInt8[Tensor, "bytes"]:
    """Memory whose address is a multiple of a cache line."""
    memory = torch.empty(size + ALIGNMENT, dtype=torch.uint8, device="cpu")
    start = -memory.data_ptr() % ALIGNMENT
    return memory[start : start + size]
