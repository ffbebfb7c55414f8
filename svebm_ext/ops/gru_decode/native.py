"""The compiled kernel of `gru_decode`: raw pointers out, tensors back."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from svebm_ext.ops.gru_decode.options import Choice, Decoded, GRUWeights
from svebm_ext.ops.native_library import native_module
from svebm_ext.ops.philox import Stream
from svebm_ext.ops.threads import kernel_threads

ALIGNMENT = 64


def unsupported_reason(state: Tensor) -> str:
    """Why the kernel cannot serve a call that the reference can; empty where it can."""
    return "" if state.dtype == torch.float32 else f"the kernels compute in float32, and the states are {state.dtype}"


def pack(weights: GRUWeights, precision: str) -> UInt8[Tensor, "bytes"]:
    """Weights in the order in which the CPU kernel reads them; good for any number of calls with the same weights."""
    weight, output = weights.weight.contiguous(), weights.output.contiguous()
    fields = {
        "weight": weight.data_ptr(),
        "output": output.data_ptr(),
        "hidden": weight.shape[1],
        "vocabulary": output.shape[0],
        "fast": precision == "fast",
    }
    packed = _aligned(native_module().gru_decode_cpu_packed_bytes(fields))
    native_module().gru_decode_cpu_pack(fields, packed.data_ptr())
    return packed


def decode(
    state: Float[Tensor, "B H"],
    gate_bias: Float[Tensor, "B three_H"],
    weights: GRUWeights,
    ids: Int[Tensor, "B"],
    choice: Choice,
    packed: UInt8[Tensor, "bytes"] | None,
) -> Decoded:
    """As `reference.decode`, the same words but where rounding decides; `packed` is what `pack` made of the weights."""
    (B, H), device = state.shape, state.device
    tokens = torch.empty((B, choice.max_tokens), dtype=torch.int64, device=device)
    lengths = torch.empty(B, dtype=torch.int64, device=device)
    logs = torch.empty((B, choice.max_tokens), dtype=torch.float32, device=device) if choice.log_probabilities else None
    non_finite = torch.zeros((), dtype=torch.int32, device=device)
    excluded = torch.tensor(choice.excluded, dtype=torch.int64, device=device)
    seed_tensor = choice.seed if isinstance(choice.seed, Tensor) else None
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
        "excluded": excluded,
        "seed_pointer": seed_tensor,
        "tokens": tokens,
        "lengths": lengths,
        "log_probabilities": logs,
        "non_finite": non_finite,
    }
    kept = {name: tensor.contiguous() for name, tensor in tensors.items() if tensor is not None}
    fields: dict[str, Any] = {name: tensor.data_ptr() for name, tensor in kept.items()}
    fields |= {
        "n_rows": B,
        "max_tokens": choice.max_tokens,
        "hidden": H,
        "vocabulary": weights.output.shape[0],
        "begin": choice.begin,
        "end": choice.end,
        "pad": choice.pad,
        "n_excluded": len(choice.excluded),
        "greedy": choice.greedy,
        "temperature": choice.temperature,
        "top_k": choice.top_k,
        "top_p": choice.top_p,
        "seed": seed if seed < 1 << 63 else seed - (1 << 64),
        "stream": int(Stream.TOKEN),
        "fast": choice.precision == "fast",
    }
    if packed is None:
        packed = pack(weights, choice.precision)
    n_threads = kernel_threads()
    workspace = _aligned(native_module().gru_decode_cpu_workspace(fields, n_threads))
    native_module().gru_decode_cpu(fields, packed.data_ptr(), workspace.data_ptr(), n_threads)
    return Decoded(tokens, lengths, logs, non_finite == 0)


def _aligned(size: int) -> UInt8[Tensor, "bytes"]:
    """Memory whose address is a multiple of a cache line."""
    memory = torch.empty(size + ALIGNMENT, dtype=torch.uint8)
    start = -memory.data_ptr() % ALIGNMENT
    return memory[start : start + size]
