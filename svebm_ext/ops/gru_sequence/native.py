"""The compiled kernels of `gru_sequence` on the CPU: raw pointers out, tensors back.

Inside, arrays over positions are feature-major ([feature][position]): the rows of the batch that run at a time step are
then neighbours, and lie on vector lanes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from svebm_ext.ops.gemm.native import gemm, one_stride
from svebm_ext.ops.gru_sequence.options import (
    GruSequenceBackwardInputs,
    GruSequenceGradients,
    GruSequenceInputs,
    GruSequenceOutputs,
    Saved,
    padded,
)
from svebm_ext.ops.native_call import run_native


def forward(inputs: GruSequenceInputs) -> GruSequenceOutputs:
    """States, final states, and what the backward pass needs: gates [directions, 3 H, stride], others with H rows."""
    n, H, n_directions, fast = inputs.inputs.shape[0], inputs.hidden, inputs.n_directions, inputs.fast
    saved = _saved(n, H, n_directions)
    x = one_stride(inputs.inputs)
    for d in range(n_directions):
        w_ih, _, b_ih, _ = inputs.layer(d)
        gemm(w_ih, x.t(), saved.gates[d, :, :n], row_bias=b_ih.contiguous(), fast=fast)
    return _run(inputs, saved, n)


def forward_of_repeated(inputs: GruSequenceInputs, which: Tensor) -> tuple[Tensor, Tensor]:
    """States and final states where position p has the input `which[p]`; the inputs are the distinct ones."""
    n, m, H, n_directions = which.shape[0], inputs.inputs.shape[0], inputs.hidden, inputs.n_directions
    saved = _saved(n, H, n_directions)
    x, products = one_stride(inputs.inputs), _numbers(3 * H, padded(m))
    which = functional.pad(which, (0, int(padded(n)) - n))  # whole rows at once, their padding too
    for d in range(n_directions):
        w_ih, _, b_ih, _ = inputs.layer(d)
        gemm(w_ih, x.t(), products[:, :m], row_bias=b_ih.contiguous(), fast=inputs.fast)
        torch.index_select(products[:, :m], 1, which, out=saved.gates[d])
    return _run(inputs, saved, n)[:2]


def _run(inputs: GruSequenceInputs, saved: Saved, n: int) -> GruSequenceOutputs:
    """The recurrence over n positions whose products with W_i stand in the gates."""
    H, n_directions = inputs.hidden, inputs.n_directions
    states, final = _numbers(n, n_directions * H), _numbers(n_directions, int(inputs.batch_sizes[0]), H)
    sizes = {**inputs.sizes(), "n": n}
    values = {**sizes, **saved._asdict(), "stride": padded(n), "states": states, "final_states": final}
    run_native("gru_sequence", inputs.inputs.device, values)
    return GruSequenceOutputs(states, final, *saved)


def backward(inputs: GruSequenceBackwardInputs) -> GruSequenceGradients:
    """Gradients of inputs, of initial states, and of the parameters in their order."""
    given, saved, fast = inputs.forward, inputs.saved, inputs.fast
    x, n, H = given.inputs, given.inputs.shape[0], given.hidden
    grad_gates, grad_recurrent = torch.empty_like(saved.gates), torch.empty_like(saved.recurrent)
    grad_initial = _numbers(given.n_directions, int(given.batch_sizes[0]), H)
    arrays = {
        "grad_states": inputs.grad_states,
        "grad_final": inputs.grad_final,
        "grad_gates": grad_gates,
        "grad_recurrent": grad_recurrent,
        "grad_initial": grad_initial,
    }
    values = {**given.sizes(), **saved._asdict(), "stride": saved.gates.shape[2], **arrays}
    run_native("gru_sequence_backward", x.device, values)
    x = one_stride(x)
    grad_inputs = _numbers(*x.shape)
    gradients: list[Tensor] = []
    for d in range(given.n_directions):
        w_ih, w_hh, _, _ = given.layer(d)
        of_gates, of_q, before = grad_gates[d, :, :n], grad_recurrent[d, :, :n], saved.before[d, :, :n]
        gemm(of_gates.t(), w_ih, grad_inputs, add=d > 0, fast=fast)
        grad_w_ih, grad_w_hh = _numbers(*w_ih.shape), _numbers(*w_hh.shape)
        gemm(of_gates, x, grad_w_ih, fast=fast)
        gemm(of_gates[: 2 * H], before.t(), grad_w_hh[: 2 * H], fast=fast)
        gemm(of_q, before.t(), grad_w_hh[2 * H :], fast=fast)
        grad_b_ih = of_gates.sum(1)
        gradients += [grad_w_ih, grad_w_hh, grad_b_ih, torch.cat((grad_b_ih[: 2 * H], of_q.sum(1)))]
    return GruSequenceGradients(grad_inputs, grad_initial, gradients)


def _numbers(*shape: int | torch.SymInt) -> Tensor:
    """Memory that a kernel writes: float32 on the CPU, whatever torch's defaults are."""
    return torch.empty(shape, dtype=torch.float32, device="cpu")


def _saved(n: int, H: int | torch.SymInt, n_directions: int) -> Saved:
    arrays = [_numbers(n_directions, rows, padded(n)) for rows in (3 * H, H, H)]
    for array in arrays:
        array[:, :, n:] = 0.0  # never read, but an op's results are numbers
    return Saved(*arrays)
