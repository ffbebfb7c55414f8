"""Threads of the compiled kernels: those of torch's OpenMP runtime, or a pool of their own where there is none."""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import torch

CHOICES = ("auto", "own")
"""Of SVEBM_THREADS in the environment: torch's threads where they can be shared, or threads of the kernels' own."""

_kernel_threads: contextvars.ContextVar[int] = contextvars.ContextVar("svebm_kernel_threads", default=0)


def kernel_threads() -> int:
    """Threads that a kernel may use: as many as torch, unless `only_kernels_in_parallel` has taken torch's away."""
    return _kernel_threads.get() or torch.get_num_threads()


@contextlib.contextmanager
def only_kernels_in_parallel() -> Iterator[None]:
    """Run torch's own operations on one thread in the block, and the kernels on as many as before.

    For operations so small that other threads would wake too late for them. Where kernels have threads of their own, it
    also keeps processors free for the kernels between such operations: after each operation on several threads,
    OpenMP's spin for some milliseconds, waiting for the next.
    """
    n_threads = torch.get_num_threads()
    token = _kernel_threads.set(kernel_threads())
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
        _kernel_threads.reset(token)


def share_torch_threads(module: ModuleType) -> str:
    """Let the kernels of a loaded `_native` work on the threads of torch's OpenMP runtime.

    Returns: why they have threads of their own; empty where they share torch's.
    """
    if os.environ.get("SVEBM_THREADS") == "own":
        return "SVEBM_THREADS=own"
    try:
        # a library that is loaded already; a symbol is looked up in it and in those that it was linked to
        torch_cpu = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"))
        symbols = [getattr(torch_cpu, name) for name in ("GOMP_parallel", "omp_get_num_threads", "omp_get_max_threads")]
    except (OSError, AttributeError) as error:  # torch was built with other threads, or in another form
        return f"torch has no OpenMP runtime that can be shared: {error}"
    module.share_openmp(*(ctypes.cast(symbol, ctypes.c_void_p).value for symbol in symbols))
    return ""


def _after_fork() -> None:
    """Leave torch one thread in a forked child, and the kernels as many as before.

    OpenMP's threads, which torch's operations wait for, are not there in the child: the first operation on several
    threads would hang. The kernels' own pool starts anew.
    """
    if torch.get_num_threads() > 1:
        _kernel_threads.set(kernel_threads())
        torch.set_num_threads(1)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
