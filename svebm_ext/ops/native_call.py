"""A call of a compiled kernel: planned once, then run. The binding says what it needs, or why it cannot serve it."""

from __future__ import annotations

import threading
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from svebm_ext.errors import BackendUnavailableError
from svebm_ext.ops.native_library import native_module
from svebm_ext.ops.threads import kernel_threads

ALIGNMENT = 64
"""Bytes; memory of the CPU kernels begins at a multiple, a cache line."""

SCRATCH = 1 << 16
"""Bytes of workspace that a thread keeps for its calls on the CPU, one at a time; a larger one is made for its call."""


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
    """A call that a kernel is ready to serve: its plan, and the fields with the tensors behind its pointers."""

    def __init__(self, plan: Plan, device: torch.device, fields: dict[str, object]) -> None:
        self._plan, self._device, self._fields = plan, device, fields

    def run(self) -> None:
        """Compute; on CUDA, enqueue on torch's stream, whose memory lives on until what is enqueued there has run."""
        plan, n_bytes = self._plan, self._plan.workspace_bytes
        if self._device.type == "cuda":
            workspace = torch.empty(n_bytes, dtype=torch.uint8, device=self._device)
            with torch.cuda.device(self._device):
                plan.run(workspace.data_ptr(), torch.cuda.current_stream().cuda_stream)
        elif n_bytes <= SCRATCH:
            plan.run(_scratch.address, 0)
        else:
            workspace = aligned(n_bytes)
            plan.run(workspace.data_ptr(), 0)


class _Scratch(threading.local):
    """Memory of a thread: no two of its calls run at a time, and none leaves anything behind."""

    def __init__(self) -> None:
        self.memory = aligned(SCRATCH)
        self.address = self.memory.data_ptr()


def plan_native(kernel: str, device: torch.device, fields: dict[str, object]) -> NativeCall | Unsupported:
    """Ask a kernel, once, for what will serve a call, or the reason why it cannot.

    Args:
        kernel: its name in the binding, plan_<kernel>_cpu or plan_<kernel>_cuda.
        device: where the tensors are.
        fields: those of the kernel's structure by name, for this call alone. The binding replaces a tensor that is not
            contiguous by a copy, so one that a kernel writes to must be contiguous.
    """
    module = native_module()
    if device.type == "cuda":
        with torch.cuda.device(device):
            plan = getattr(module, f"plan_{kernel}_cuda")(fields, torch.cuda.current_device())
    else:
        plan = getattr(module, f"plan_{kernel}_cpu")(fields, kernel_threads())
    return Unsupported(plan.reason) if plan.reason else NativeCall(plan, device, fields)


def run_native(kernel: str, device: torch.device, fields: dict[str, object]) -> None:
    """Plan and run a kernel that serves every call; arguments as `plan_native`.

    Raises:
        BackendUnavailableError: it does not.
    """
    call = plan_native(kernel, device, fields)
    if isinstance(call, Unsupported):
        raise BackendUnavailableError(f"{kernel} has no native backend on {device}: {call.reason}")
    call.run()


_NO_FLAG = torch.zeros((), dtype=torch.int32, device="cpu")


def cleared_flag(device: torch.device) -> Tensor:
    """A scalar of int32, 0, that a kernel sets."""
    if device.type == "cpu":  # sooner, as there is no type and no device to look at
        return torch.zeros_like(_NO_FLAG)
    return torch.zeros((), dtype=torch.int32, device=device)


def aligned(n_bytes: int) -> Tensor:
    """Memory on the CPU whose address is a multiple of a cache line."""
    memory = torch.empty(n_bytes + ALIGNMENT, dtype=torch.uint8, device="cpu")
    start = -memory.data_ptr() % ALIGNMENT
    return memory[start : start + n_bytes]


_scratch = _Scratch()
