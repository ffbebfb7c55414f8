"""The compiled matrix product on the CPU, which ops are put together from beside a kernel of their own."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.ops.native_call import run_native


def gemm(
    a: Float[Tensor, "m k"],
    b: Float[Tensor, "k n"],
    out: Float[Tensor, "m n"],
    *,
    row_bias: Float[Tensor, " m"] | None = None,
    add: bool = False,
    fast: bool = False,
) -> None:
    """As `reference.gemm`, in float32; one stride of each factor is 1, or it is copied."""
    m, k, n = a.shape[0], a.shape[1], b.shape[1]
    if out.numel() == 0:
        return
    if k == 0:
        if not add:
            out.copy_(out.new_zeros(m, 1) if row_bias is None else row_bias[:, None])
        return
    a, b = one_stride(a), one_stride(b)
    # views: their numbers are found by the strides
    fields: dict[str, object] = {
        "a": a.data_ptr(),
        "a_row_stride": a.stride(0),
        "a_k_stride": a.stride(1),
        "b": b.data_ptr(),
        "b_k_stride": b.stride(0),
        "b_column_stride": b.stride(1),
        "c": out.data_ptr(),
        "c_stride": out.stride(0),
        "row_bias": row_bias,
        "m": m,
        "n": n,
        "k": k,
        "add": add,
        "fast": fast,
    }
    run_native("gemm", out.device, fields)


def one_stride(matrix: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """The matrix, copied unless one of its strides is 1 (and neither is 0, as those of an expanded one are)."""
    if 1 in matrix.stride() and 0 not in matrix.stride():
        return matrix
    return matrix.clone(memory_format=torch.contiguous_format)  # `contiguous` keeps any strides of a single number
