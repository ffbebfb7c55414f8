"""The compiled kernels of `gru_sequence` on CUDA: raw pointers out, tensors back.

The recurrence is a launch of its own in either direction of time; products over all positions, before and after it, are
torch's, in float32. Arrays over positions are position-major.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from svebm_ext.ops.gru_sequence.options import (
    GruSequenceBackwardInputs,
    GruSequenceGradients,
    GruSequenceInputs,
    GruSequenceOutputs,
    Saved,
)
from svebm_ext.ops.native_call import run_native
from svebm_ext.ops.native_library import native_module


def forward(inputs: GruSequenceInputs) -> GruSequenceOutputs:
    """States, final states, and what the backward pass needs: gates [directions, n, 3 H], others [directions, n, H]."""
    x, n, H, D = inputs.inputs, inputs.inputs.shape[0], inputs.hidden, inputs.n_directions
    saved = Saved(*(x.new_empty(D, n, width) for width in (3 * H, H, H)))
    for d in range(D):
        w_ih, _, b_ih, _ = inputs.layer(d)
        torch.addmm(b_ih, x, w_ih.t(), out=saved.gates[d])  # with `out`, autocast leaves it in float32
    states, final = x.new_empty(n, D * H), x.new_empty(D, int(inputs.batch_sizes[0]), H)
    arrays = {**saved._asdict(), "states": states, "final_states": final}
    _launch("gru_sequence", inputs, arrays)
    return GruSequenceOutputs(states, final, *saved)


def backward(inputs: GruSequenceBackwardInputs) -> GruSequenceGradients:
    """Gradients of inputs, of initial states, and of the parameters in their order."""
    given, saved = inputs.forward, inputs.saved
    x, D, H = given.inputs, given.n_directions, given.hidden
    grad_gates, grad_hidden = torch.empty_like(saved.gates), torch.empty_like(saved.gates)
    grad_initial = x.new_empty(D, int(given.batch_sizes[0]), H)
    arrays = {
        "grad_states": inputs.grad_states,
        "grad_final": inputs.grad_final,
        "grad_gates": grad_gates,
        "grad_hidden": grad_hidden,
        "grad_initial": grad_initial,
    }
    _launch("gru_sequence_backward", given, {**saved._asdict(), **arrays})
    grad_inputs = torch.empty_like(x)
    gradients: list[Tensor] = []
    for d in range(D):
        w_ih, w_hh, _, _ = given.layer(d)
        if d == 0:
            torch.mm(grad_gates[d], w_ih, out=grad_inputs)
        else:
            torch.addmm(grad_inputs, grad_gates[d], w_ih, out=grad_inputs)
        grad_w_ih, grad_w_hh = torch.empty_like(w_ih), torch.empty_like(w_hh)
        torch.mm(grad_gates[d].t(), x, out=grad_w_ih)
        torch.mm(grad_hidden[d].t(), saved.before[d], out=grad_w_hh)
        gradients += [grad_w_ih, grad_w_hh, grad_gates[d].sum(0), grad_hidden[d].sum(0)]
    return GruSequenceGradients(grad_inputs, grad_initial, gradients)


def reason(device: torch.device, batch_sizes: Tensor, hidden: int, n_directions: int) -> str:
    """Why the kernels cannot serve a layer of these sizes; empty where they can."""
    index = torch.cuda.current_device() if device.index is None else device.index
    return _reason(index, batch_sizes.shape[0], int(batch_sizes[0]), hidden, n_directions)


@functools.lru_cache(maxsize=4096)
def _reason(device: int, n_steps: int, n_rows: int, hidden: int, n_directions: int) -> str:
    fields = {"n_steps": n_steps, "n_rows": n_rows, "hidden": hidden, "n_directions": n_directions}
    return str(native_module().gru_sequence_cuda_reason(fields, device))


def _launch(kernel: str, inputs: GruSequenceInputs, arrays: dict[str, Tensor | None]) -> None:
    """Enqueue a kernel on torch's stream."""
    values: dict[str, object] = {**inputs.sizes(), **arrays}
    run_native(kernel, inputs.inputs.device, {name: _for_the_kernel(value) for name, value in values.items()})


def _for_the_kernel(value: object) -> object:
    """A tensor contiguous, at a multiple of 16 bytes: where a view begins elsewhere, a copy. Numbers as they are."""
    if isinstance(value, list):
        return [_for_the_kernel(tensor) for tensor in value]
    if not isinstance(value, Tensor):
        return value
    tensor = value.contiguous()
    return tensor if tensor.data_ptr() % 16 == 0 else tensor.clone()
