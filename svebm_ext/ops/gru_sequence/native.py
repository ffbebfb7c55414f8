"""The compiled kernels of `gru_sequence` on the CPU: raw pointers out, tensors back.

Inside, arrays over positions are feature-major ([feature][position]): the rows of the batch that run at a time step are
then neighbours, and lie on vector lanes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from svebm_ext.ops.native_library import native_module
from svebm_ext.ops.native_products import multiply, one_stride, run
from svebm_ext.ops.threads import kernel_threads

ARRAYS = (
    "initial", "gates", "recurrent", "before", "states", "final_states", "grad_states", "grad_final",
    "grad_gates", "grad_recurrent", "grad_initial",
)  # fmt: skip
"""Arrays of a call in the order in which the binding takes them."""


class Saved(NamedTuple):
    """What the backward pass needs: gates r, z, n [directions, 3 H, stride]; q and h before [directions, H, stride]."""

    gates: Tensor
    recurrent: Tensor
    before: Tensor


def forward(
    inputs: Tensor, batch_sizes: Tensor, initial: Tensor | None, parameters: Sequence[Tensor], fast: bool
) -> tuple[Tensor, Tensor, Saved]:
    """States [n, directions H], final states [directions, B, H], and what the backward pass needs.

    Args:
        inputs: [n, I].
        batch_sizes: [T] on the CPU.
        initial: [directions, B, H], or None: zero.
        parameters: W_i, W_h, b_i, b_h of each direction.
        fast: round operands of products to bfloat16 where the processor multiplies those.
    """
    n, H, n_directions = inputs.shape[0], parameters[1].shape[1], len(parameters) // 4
    saved = _saved(n, H, n_directions)
    inputs = one_stride(inputs)
    for d in range(n_directions):
        w_ih, _, b_ih, _ = parameters[4 * d : 4 * d + 4]
        multiply(w_ih, inputs.t(), saved.gates[d, :, :n], row_bias=b_ih.contiguous(), fast=fast)
    states = _numbers(n, n_directions * H)
    final = _numbers(n_directions, int(batch_sizes[0]), H)
    call = _Call(n, batch_sizes, initial, parameters, saved, fast)
    call.run("gru_sequence_cpu", states=states, final_states=final)
    return states, final, saved


def backward(
    grad_states: Tensor | None,
    grad_final: Tensor | None,
    inputs: Tensor,
    batch_sizes: Tensor,
    initial: Tensor | None,
    parameters: Sequence[Tensor],
    saved: Saved,
    fast: bool,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Gradients of inputs, of initial states, and of the parameters in their order; arguments as `forward`."""
    n, H = inputs.shape[0], parameters[1].shape[1]
    grad_gates, grad_recurrent = torch.empty_like(saved.gates), torch.empty_like(saved.recurrent)
    grad_initial = _numbers(len(parameters) // 4, int(batch_sizes[0]), H)
    call = _Call(n, batch_sizes, initial, parameters, saved, fast)
    call.run(
        "gru_sequence_backward_cpu",
        grad_states=grad_states,
        grad_final=grad_final,
        grad_gates=grad_gates,
        grad_recurrent=grad_recurrent,
        grad_initial=grad_initial,
    )
    inputs = one_stride(inputs)
    grad_inputs = _numbers(*inputs.shape)
    gradients: list[Tensor] = []
    for d in range(len(parameters) // 4):
        w_ih, w_hh = parameters[4 * d : 4 * d + 2]
        of_gates, of_q, before = grad_gates[d, :, :n], grad_recurrent[d, :, :n], saved.before[d, :, :n]
        multiply(of_gates.t(), w_ih, grad_inputs, add=d > 0, fast=fast)
        grad_w_ih, grad_w_hh = _numbers(*w_ih.shape), _numbers(*w_hh.shape)
        multiply(of_gates, inputs, grad_w_ih, fast=fast)
        multiply(of_gates[: 2 * H], before.t(), grad_w_hh[: 2 * H], fast=fast)
        multiply(of_q, before.t(), grad_w_hh[2 * H :], fast=fast)
        grad_b_ih = of_gates.sum(1)
        gradients += [grad_w_ih, grad_w_hh, grad_b_ih, torch.cat((grad_b_ih[: 2 * H], of_q.sum(1)))]
    return grad_inputs, grad_initial, gradients


def _numbers(*shape: int) -> Tensor:
    """Memory that a kernel writes: float32 on the CPU, whatever torch's defaults are."""
    return torch.empty(shape, dtype=torch.float32, device="cpu")


def _saved(n: int, H: int, n_directions: int) -> Saved:
    arrays = [_numbers(n_directions, rows, padded(n)) for rows in (3 * H, H, H)]
    for array in arrays:
        array[:, :, n:] = 0.0  # never read, but an op's results are numbers
    return Saved(*arrays)


def padded(n: Any) -> Any:
    """Stride of feature-major arrays of n positions (an integer, or a compiled graph's symbol for one).

    Rows have room for a vector beyond their end, and are never a multiple of a large power of two apart.
    """
    return ((n + 32 + 15) // 32 * 2 + 1) * 16


class _Call:
    """Arguments of one call, and the tensors behind its pointers."""

    def __init__(
        self,
        n: int,
        batch_sizes: Tensor,
        initial: Tensor | None,
        parameters: Sequence[Tensor],
        saved: Saved,
        fast: bool,
    ) -> None:
        self.sizes = [n, batch_sizes.shape[0], int(batch_sizes[0]), parameters[1].shape[1], saved.gates.shape[2]]
        self.batch_sizes = batch_sizes.contiguous()
        self.weights = [w.contiguous() for w in parameters[1::4]]
        self.biases = [b.contiguous() for b in parameters[3::4]]
        self.given: dict[str, Any] = {"initial": initial, **saved._asdict()}
        self.fast = fast

    def run(self, kernel: str, **arrays: Tensor | None) -> None:
        """Call the kernel with these arrays beside those that both have."""
        given = {**self.given, **arrays}
        tensors = [None if given.get(name) is None else given[name].contiguous() for name in ARRAYS]
        native = native_module()
        arguments = native.GruSequenceArguments(
            self.sizes,
            self.batch_sizes.data_ptr(),
            [w.data_ptr() for w in self.weights],
            [b.data_ptr() for b in self.biases],
            [0 if tensor is None else tensor.data_ptr() for tensor in tensors],
            self.fast,
        )
        run(getattr(native, kernel), native.gru_sequence_cpu_workspace, arguments, kernel_threads())
