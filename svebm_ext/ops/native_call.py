"""A call of a compiled kernel: planned once, then run. The binding says what it needs, or why it cannot serve it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from svebm_ext.errors import BackendUnavailableError
from svebm_ext.ops.native_library import native_module
from svebm_ext.ops.schema import native_fields
from svebm_ext.ops.threads import kernel_threads

ALIGNMENT = 64
"""Bytes; memory of the CPU kernels begins at a multiple, a cache line."""


class Unsupported(NamedTuple):
    """Why the kernels cannot serve a call that the reference can.

    Attributes:
        reason: in words.
        quiet: it is the caller's wish (float64), no shortcoming to be warned of.
    """

    reason: str
    quiet: bool = False


@runtime_checkable
class Plan(Protocol):
    """What a binding made of a call: the kernel with its arguments."""

    workspace_bytes: int

    def run(self, workspace: int, stream: int, /) -> None:
        """Compute in a workspace at an address, on CUDA by enqueueing on a stream."""


class NativeCall:
    """A call that a kernel is ready to serve: its plan, its workspace, and the tensors behind its pointers."""

    def __init__(self, plan: Plan, device: torch.device, kept: list[Tensor]) -> None:
        self._plan, self._device, self._kept = plan, device, kept
        room = 0 if device.type == "cuda" else ALIGNMENT
        self._workspace = torch.empty(plan.workspace_bytes + room, dtype=torch.uint8, device=device)

    def run(self) -> None:
        """Compute; on CUDA, enqueue on torch's stream, whose memory lives on until what is enqueued there has run."""
        start = self._workspace.data_ptr()
        if self._device.type == "cuda":
            with torch.cuda.device(self._device):
                self._plan.run(start, torch.cuda.current_stream().cuda_stream)
        else:
            self._plan.run(start + -start % ALIGNMENT, 0)


def plan_native(kernel: str, device: torch.device, values: Mapping[str, object]) -> NativeCall | Unsupported:
    """Ask a kernel, once: (plan, workspace), or the reason why it cannot serve the call.

    Args:
        kernel: its name in the binding, plan_<kernel>_cpu or plan_<kernel>_cuda.
        device: where the tensors are.
        values: fields of the kernel's structure by name.
    """
    fields, kept = native_fields(values)
    module = native_module()
    if device.type == "cuda":
        with torch.cuda.device(device):
            plan = getattr(module, f"plan_{kernel}_cuda")(fields, torch.cuda.current_device())
    else:
        plan = getattr(module, f"plan_{kernel}_cpu")(fields, kernel_threads())
    return Unsupported(plan.reason) if plan.reason else NativeCall(plan, device, kept)


def run_native(kernel: str, device: torch.device, values: Mapping[str, object]) -> None:
    """Plan and run a kernel that serves every call; arguments as `plan_native`.

    Raises:
        BackendUnavailableError: it does not.
    """
    call = plan_native(kernel, device, values)
    if isinstance(call, Unsupported):
        raise BackendUnavailableError(f"{kernel} has no native backend on {device}: {call.reason}")
    call.run()


def aligned(n_bytes: int) -> Tensor:
    """Memory on the CPU whose address is a multiple of a cache line."""
    memory = torch.empty(n_bytes + ALIGNMENT, dtype=torch.uint8, device="cpu")
    start = -memory.data_ptr() % ALIGNMENT
    return memory[start : start + n_bytes]
