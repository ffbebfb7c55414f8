"""The compiled kernels of `gru_sequence` on CUDA: raw pointers out, tensors back.

The recurrence is a launch of its own in either direction of time; products over all positions, before and after it, are
torch's, in float32. Arrays over positions are position-major.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from svebm_ext.ops.gru_sequence.native import Saved
from svebm_ext.ops.native_library import native_module


def forward(
    inputs: Tensor, batch_sizes: Tensor, initial: Tensor | None, parameters: Sequence[Tensor]
) -> tuple[Tensor, Tensor, Saved]:
    """States [n, directions H], final states [directions, B, H], and what the backward pass needs.

    Args:
        inputs: [n, I].
        batch_sizes: [T] on the CPU.
        initial: [directions, B, H], or None: zero.
        parameters: W_i, W_h, b_i, b_h of each direction.
    """
    n, H, D = inputs.shape[0], parameters[1].shape[1], len(parameters) // 4
    saved = Saved(*(inputs.new_empty(D, n, width) for width in (3 * H, H, H)))
    for d in range(D):
        w_ih, _, b_ih, _ = parameters[4 * d : 4 * d + 4]
        torch.addmm(b_ih, inputs, w_ih.t(), out=saved.gates[d])  # with `out`, autocast leaves it in float32
    states, final = inputs.new_empty(n, D * H), inputs.new_empty(D, int(batch_sizes[0]), H)
    _launch(
        "gru_sequence_cuda", batch_sizes, parameters, initial=initial, **saved._asdict(), states=states,
        final_states=final,
    )  # fmt: skip
    return states, final, saved


def backward(
    grad_states: Tensor | None,
    grad_final: Tensor | None,
    inputs: Tensor,
    batch_sizes: Tensor,
    initial: Tensor | None,
    parameters: Sequence[Tensor],
    saved: Saved,
) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Gradients of inputs, of initial states, and of the parameters in their order; arguments as `forward`."""
    D, H = len(parameters) // 4, parameters[1].shape[1]
    grad_gates, grad_hidden = torch.empty_like(saved.gates), torch.empty_like(saved.gates)
    grad_initial = inputs.new_empty(D, int(batch_sizes[0]), H)
    _launch(
        "gru_sequence_backward_cuda", batch_sizes, parameters, initial=initial, **saved._asdict(),
        grad_states=grad_states, grad_final=grad_final, grad_gates=grad_gates, grad_hidden=grad_hidden,
        grad_initial=grad_initial,
    )  # fmt: skip
    grad_inputs = torch.empty_like(inputs)
    gradients: list[Tensor] = []
    for d in range(D):
        w_ih, w_hh = parameters[4 * d : 4 * d + 2]
        if d == 0:
            torch.mm(grad_gates[d], w_ih, out=grad_inputs)
        else:
            torch.addmm(grad_inputs, grad_gates[d], w_ih, out=grad_inputs)
        grad_w_ih, grad_w_hh = torch.empty_like(w_ih), torch.empty_like(w_hh)
        torch.mm(grad_gates[d].t(), inputs, out=grad_w_ih)
        torch.mm(grad_hidden[d].t(), saved.before[d], out=grad_w_hh)
        gradients += [grad_w_ih, grad_w_hh, grad_gates[d].sum(0), grad_hidden[d].sum(0)]
    return grad_inputs, grad_initial, gradients


def reason(device: torch.device, batch_sizes: Tensor, hidden: int, n_directions: int) -> str:
    """Why the kernels cannot serve a layer of these sizes; empty where they can."""
    index = torch.cuda.current_device() if device.index is None else device.index
    return _reason(index, batch_sizes.shape[0], int(batch_sizes[0]), hidden, n_directions)


@functools.lru_cache(maxsize=4096)
def _reason(device: int, n_steps: int, n_rows: int, hidden: int, n_directions: int) -> str:
    fields = {"n_steps": n_steps, "n_rows": n_rows, "hidden": hidden, "n_directions": n_directions}
    return str(native_module().gru_sequence_cuda_reason(fields, device))


def _launch(kernel: str, batch_sizes: Tensor, parameters: Sequence[Tensor], **arrays: Tensor | None) -> None:
    """Enqueue a kernel on torch's stream; torch's memory lives on until what is enqueued there has run."""
    native, like = native_module(), parameters[1]
    tensors: dict[str, Tensor | None] = {**arrays, "batch_sizes": batch_sizes}
    for d in range(len(parameters) // 4):
        tensors |= {f"weight_{d}": parameters[4 * d + 1], f"bias_{d}": parameters[4 * d + 3]}
    kept = {name: _for_the_kernel(tensor) for name, tensor in tensors.items() if tensor is not None}
    fields: dict[str, Any] = {name: tensor.data_ptr() for name, tensor in kept.items()}
    fields |= {
        "n": kept["gates"].shape[1],
        "n_steps": batch_sizes.shape[0],
        "n_rows": int(batch_sizes[0]),
        "hidden": like.shape[1],
        "n_directions": len(parameters) // 4,
    }
    with torch.cuda.device(like.device):
        workspace = torch.empty(native.gru_sequence_cuda_workspace, dtype=torch.uint8, device=like.device)
        queue = torch.cuda.current_stream().cuda_stream
        getattr(native, kernel)(fields, workspace.data_ptr(), torch.cuda.current_device(), queue)


def _for_the_kernel(tensor: Tensor) -> Tensor:
    """Contiguous, at a multiple of 16 bytes: where a view begins elsewhere, a copy."""
    tensor = tensor.contiguous()
    return tensor if tensor.data_ptr() % 16 == 0 else tensor.clone()
