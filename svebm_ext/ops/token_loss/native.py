"""The compiled kernel of `token_loss` on the CPU: raw pointers out, tensors back."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.ops.native_library import native_module
from svebm_ext.ops.native_products import run
from svebm_ext.ops.threads import kernel_threads


def by_chunks(
    hidden: Float[Tensor, "n H"],
    weight: Float[Tensor, "V H"],
    bias: Float[Tensor, " V"] | None,
    targets: Int[Tensor, " n"],
    token_weights: Float[Tensor, " n"] | float,
    *,
    gradients: bool,
    fast: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """As `reference.by_chunks`, in float32."""
    (n, H), V = hidden.shape, weight.shape[0]
    hidden, weight = _with_rows(hidden), _with_rows(weight)
    targets = targets.contiguous()
    bias = None if bias is None else bias.contiguous()
    weights = token_weights.contiguous() if isinstance(token_weights, Tensor) else None
    loss = _numbers(n)
    grad_hidden = _numbers(n, H) if gradients else _numbers(0)
    grad_weight = _numbers(V, H) if gradients else _numbers(0)
    grad_bias = _numbers(V if gradients and bias is not None else 0)
    native = native_module()
    arguments = native.TokenLossArguments(
        *(hidden.data_ptr(), hidden.stride(0), weight.data_ptr(), weight.stride(0)),
        *(_pointer(bias), targets.data_ptr(), _pointer(weights), 0.0 if weights is not None else token_weights),
        *(n, H, V, loss.data_ptr(), grad_hidden.data_ptr(), grad_weight.data_ptr(), grad_bias.data_ptr(), fast),
    )
    run(native.token_loss_cpu, native.token_loss_cpu_workspace, arguments, kernel_threads())
    return loss, grad_hidden, grad_weight, grad_bias


def _numbers(*shape: int) -> Tensor:
    """Memory that the kernel writes: float32 on the CPU, whatever torch's defaults are."""
    return torch.empty(shape, dtype=torch.float32, device="cpu")


def _with_rows(matrix: Tensor) -> Tensor:
    """The matrix, copied unless the numbers of a row are neighbours."""
    return matrix if matrix.stride(1) == 1 and matrix.stride(0) >= matrix.shape[1] else matrix.contiguous()


def _pointer(tensor: Tensor | None) -> int:
    return 0 if tensor is None else tensor.data_ptr()
