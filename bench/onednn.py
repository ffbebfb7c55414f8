"""Products by the oneDNN that torch brings, whose weights are packed once.

On AMD's processors torch's own products in fp32 are MKL's, at some 40 % of what the processor can do. These reach twice
that, so they are what a kernel has to be compared with.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from svebm_ext.precision import cpu_multiplies_bf16


def packed_linear(
    weight: Tensor, bias: Tensor | None, n_rows: int, dtype: torch.dtype = torch.float32
) -> Callable[[Tensor], Tensor]:
    """x -> x W' + b for x [n_rows, in] of the dtype; W [out, in] is packed for that number of rows.

    Raises:
        AttributeError, RuntimeError: torch was built without oneDNN, or for other processors.
    """
    ops = torch.ops.mkldnn
    packed = ops._reorder_linear_weight(weight.detach().to(dtype).contiguous(), n_rows)
    offset = None if bias is None else bias.detach().to(dtype)
    return lambda x: ops._linear_pointwise(x, packed, offset, "none", [], "")


def missing(device: torch.device, dtype: torch.dtype = torch.float32) -> str:
    """Why such products cannot be had; empty where they can."""
    if device.type != "cpu":
        return "oneDNN is for CPUs"
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        return "this torch has no oneDNN"
    if dtype == torch.bfloat16 and not cpu_multiplies_bf16():
        return "this processor does not multiply in bfloat16"
    return ""
