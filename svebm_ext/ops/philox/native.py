"""The compiled kernels of `philox`: raw pointers out, a tensor back."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.ops.native_library import native_module
from svebm_ext.ops.threads import kernel_threads


def philox(
    chain_ids: Int[Tensor, "N"],
    seed: int | Int[Tensor, ""],
    dim: int,
    first_step: int,
    n_steps: int,
    stream: int,
    normal: bool,
) -> Float[Tensor, "S N dim"]:
    """As `reference.philox`: the same integers, hence the same uniforms; normals equal to rounding."""
    chain_ids = chain_ids.contiguous()
    device = chain_ids.device
    numbers = torch.empty((n_steps, chain_ids.shape[0], dim), dtype=torch.float32, device=device)
    if numbers.numel() == 0:
        return numbers
    pointers = (chain_ids.data_ptr(), numbers.data_ptr())
    sizes = (chain_ids.shape[0], dim, first_step, n_steps)
    key = (0, seed.data_ptr()) if isinstance(seed, Tensor) else (seed, 0)
    if device.type == "cuda":
        with torch.cuda.device(device):
            queue = torch.cuda.current_stream().cuda_stream
            native_module().philox_cuda(*pointers, *sizes, *key, stream, normal, torch.cuda.current_device(), queue)
    else:
        native_module().philox_cpu(*pointers, *sizes, *key, stream, normal, kernel_threads())
    return numbers
