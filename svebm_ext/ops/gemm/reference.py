"""The matrix product in plain torch."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.ops.arguments import full_precision


def gemm(
    a: Float[Tensor, "m k"],
    b: Float[Tensor, "k n"],
    out: Float[Tensor, "m n"],
    *,
    row_bias: Float[Tensor, " m"] | None = None,
    add: bool = False,
    fast: bool = False,
) -> None:
    """out = A B + bias of each row, or out += A B; `fast` rounds the factors to bfloat16, sums remain in float32."""
    with torch.no_grad(), full_precision(a.device):
        if fast:
            a, b = a.to(torch.bfloat16).to(out.dtype), b.to(torch.bfloat16).to(out.dtype)
        product = a @ b
        if add:
            out.add_(product)
        else:
            out.copy_(product if row_bias is None else product + row_bias[:, None])
