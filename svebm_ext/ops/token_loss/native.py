"""The compiled kernel of `token_loss` on the CPU: planned once a call, then run; raw pointers out, tensors back."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.ops.native_call import NativeCall, Unsupported, plan_native


class Planned:
    """A call that the kernel is ready to serve, the views that it reads, and the memory of its results."""

    def __init__(self, call: NativeCall | None, views: tuple[Tensor, ...], results: dict[str, Tensor]) -> None:
        self._call, self._views, self._results = call, views, results

    def run(self) -> tuple[Tensor, ...]:
        """As `reference.by_chunks`, in float32."""
        if self._call is not None:
            self._call.run()
        return tuple(self._results.values())


def plan(
    hidden: Float[Tensor, "n H"],
    weight: Float[Tensor, "V H"],
    bias: Float[Tensor, " V"] | None,
    targets: Int[Tensor, " n"],
    token_weights: Float[Tensor, " n"] | float,
    *,
    gradients: bool,
    fast: bool = False,
) -> Planned | Unsupported:
    """What will serve a call, or why the kernel cannot though the reference can; arguments as `reference.by_chunks`."""
    if hidden.dtype != torch.float32:  # the caller's wish, no shortcoming to be warned of
        return Unsupported(f"the kernel computes in float32, and hidden is {hidden.dtype}", quiet=True)
    (n, H), V = hidden.shape, weight.shape[0]
    hidden, weight = _with_rows(hidden), _with_rows(weight)
    weights = token_weights if isinstance(token_weights, Tensor) else None
    results = {
        "loss": _numbers(n),
        "grad_hidden": _numbers(n, H) if gradients else _numbers(0),
        "grad_weight": _numbers(V, H) if gradients else _numbers(0),
        "grad_bias": _numbers(V if gradients and bias is not None else 0),
    }
    if n == 0:  # a sum over no tokens
        return Planned(None, (), {name: tensor.zero_() for name, tensor in results.items()})
    fields: dict[str, object] = {
        **{name: tensor if tensor.numel() else None for name, tensor in results.items()},
        "hidden": hidden.data_ptr(),  # a view: its rows are found by their stride
        "hidden_stride": hidden.stride(0),
        "weight": weight.data_ptr(),
        "weight_stride": weight.stride(0),
        "bias": bias,
        "targets": targets,
        "token_weights": weights,
        "token_weight": 0.0 if weights is not None else token_weights,
        "n": n,
        "h": H,
        "v": V,
        "fast": fast,
    }
    call = plan_native("token_loss", hidden.device, fields)
    return call if isinstance(call, Unsupported) else Planned(call, (hidden, weight), results)


def _numbers(*shape: int) -> Tensor:
    """Memory that the kernel writes: float32 on the CPU, whatever torch's defaults are."""
    return torch.empty(shape, dtype=torch.float32, device="cpu")


def _with_rows(matrix: Tensor) -> Tensor:
    """The matrix, copied unless the numbers of a row are neighbours."""
    return matrix if matrix.stride(1) == 1 and matrix.stride(0) >= matrix.shape[1] else matrix.contiguous()
