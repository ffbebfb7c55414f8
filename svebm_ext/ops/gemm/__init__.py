"""Matrix product into memory that is there: what the CPU kernels of other ops are put together from."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.ops.arguments import Arguments
from svebm_ext.ops.backend import fall_back, resolve
from svebm_ext.ops.gemm import native, reference

__all__ = ["gemm"]

CHECKS = Arguments("gemm")


def gemm(
    a: Float[Tensor, "m k"],
    b: Float[Tensor, "k n"],
    out: Float[Tensor, "m n"],
    *,
    row_bias: Float[Tensor, " m"] | None = None,
    add: bool = False,
    fast: bool = False,
    backend: str | None = None,
) -> None:
    """Write C = A B + bias of each row to `out`, or add A B to it. No gradient flows through the result.

    Args:
        a, b: factors, either of them possibly a transposed view.
        out: result, its rows anywhere, the numbers of a row neighbours.
        row_bias: added to each row; not together with `add`.
        add: add to what is in `out`.
        fast: permission to round the factors to bfloat16; the native kernel does where the processor multiplies those.
        backend: "auto", "native" or "reference"; None leaves it to `use_backend` and SVEBM_BACKEND.

    Raises:
        ConfigError: an argument has a wrong shape, type, device or value.
        BackendUnavailableError: `backend` is "native" and the native library cannot serve the call.
    """
    CHECKS.tensors({"a": (a, "[m, k]"), "b": (b, "[k, n]"), "out": (out, "[m, n]"), "row_bias": (row_bias, "or None")})
    requested, add, fast = CHECKS.backend(backend), CHECKS.flag("add", add), CHECKS.flag("fast", fast)
    _check(a, b, out, row_bias, add)
    chosen = resolve("gemm", out.device, requested)
    if chosen == "native" and out.dtype != torch.float32:
        reason = f"the kernel computes in float32, and out is {out.dtype}"
        chosen = fall_back("gemm", out.device, reason, requested, quiet=True)
    (native if chosen == "native" else reference).gemm(a, b, out, row_bias=row_bias, add=add, fast=fast)


def _check(a: Tensor, b: Tensor, out: Tensor, row_bias: Tensor | None, add: bool) -> None:
    if out.dim() != 2 or out.dtype not in (torch.float32, torch.float64):
        CHECKS.fail("out", f"{out.dtype} of shape {list(out.shape)}", "float32 or float64 of shape [m, n]")
    if out.shape[1] > 1 and out.stride(1) != 1:
        CHECKS.fail("out", f"a view of strides {list(out.stride())}", "rows whose numbers are neighbours")
    m, n = out.shape
    k = a.shape[1] if a.dim() == 2 else 0
    shapes = {"a": (a, (m, k)), "b": (b, (k, n)), "row_bias": (row_bias, (m,))}
    for name, (tensor, shape) in shapes.items():
        if tensor is None:
            continue
        if tensor.shape != shape or tensor.dtype != out.dtype or tensor.device != out.device:
            given = f"{tensor.dtype} of shape {list(tensor.shape)} on {tensor.device}"
            CHECKS.fail(name, given, f"{out.dtype} of shape {list(shape)} on {out.device}")
    if add and row_bias is not None:
        CHECKS.fail("row_bias", "given together with add", "one of the two")
