"""What the machine does at most, measured: the rates that benchmarks are held against. FLOP a second."""

from __future__ import annotations

import time

import torch
from shapes import SMOKE

from svebm_ext.ops.native_library import native_library


def ceilings(device: torch.device, reduced: bool) -> dict[str, float]:
    """Rates by name, those that this machine has; `reduced`: of the 16-bit arithmetic that `precision="fast"` may use.

    "multiply_add": registers only, no memory (CPU). "torch_product": torch's own product of large square matrices.
    """
    rates = {}
    if device.type == "cpu" and (module := native_library().module):
        seconds = 0.01 if SMOKE else 0.3
        rates["multiply_add"] = module.multiply_add_rate(torch.get_num_threads(), seconds, bf16=reduced)
        if reduced and not rates["multiply_add"]:  # no such instructions: the kernel computes in fp32
            return ceilings(device, reduced=False)
    dtype = torch.float32
    if reduced:
        dtype = torch.float16 if device.type == "cuda" else torch.bfloat16
    rates["torch_product"] = product_rate(device, dtype)
    return rates


def product_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP a second of torch.mm on large square matrices, the best of several calls (TF32 stays off)."""
    size = 64 if SMOKE else 8192 if device.type == "cuda" else 1536
    # of constants a GPU is faster than of numbers that differ
    a, b = (torch.randn(size, size, device=device).to(dtype) for _ in range(2))
    best = float("inf")
    for _ in range(6):
        if device.type == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        torch.mm(a, b)
        if device.type == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best
