"""The compiled matrix product, for ops that are put together from products and a kernel of their own."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.ops.arguments import autocasts
from svebm_ext.ops.native_call import run_native


def multiply(
    a: Float[Tensor, "m k"],
    b: Float[Tensor, "k n"],
    out: Float[Tensor, "m n"],
    *,
    row_bias: Float[Tensor, " m"] | None = None,
    add: bool = False,
    fast: bool = False,
) -> None:
    """Write (or add) A B, plus a number for each row, to `out`; float32 on the CPU.

    Args:
        a, b: factors, either of them possibly a transposed view; one stride of each is 1.
        out: result, its rows anywhere, the numbers of a row neighbours.
        row_bias: added to each row; not together with `add`.
        add: add to what is in `out`.
        fast: round the factors to bfloat16 where the processor multiplies those.
    """
    m, k, n = a.shape[0], a.shape[1], b.shape[1]
    if out.numel() == 0:
        return
    if k == 0:
        if not add:
            out.copy_(out.new_zeros(m, 1) if row_bias is None else row_bias[:, None])
        return
    a, b = one_stride(a), one_stride(b)
    # views: their numbers are found by the strides
    fields = {
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
    return matrix if 1 in matrix.stride() and 0 not in matrix.stride() else matrix.contiguous()


def bf16_operands(device: torch.device) -> bool:
    """Whether products may round their operands to bfloat16: under autocast to it, or where torch's own may."""
    autocast = autocasts(device) and torch.get_autocast_dtype(device.type) == torch.bfloat16
    if autocast or torch.compiler.is_compiling():  # which cannot ask for the setting
        return autocast
    return torch.get_float32_matmul_precision() == "medium"
