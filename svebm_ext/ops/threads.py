"""Threads of the compiled kernels, which have a pool of their own beside torch's OpenMP threads."""

from __future__ import annotations

import contextlib
import contextvars
import os
from collections.abc import Iterator

import torch

_kernel_threads: contextvars.ContextVar[int] = contextvars.ContextVar("svebm_kernel_threads", default=0)


def kernel_threads() -> int:
    """Threads that a kernel may use: as many as torch, unless `only_kernels_in_parallel` has taken torch's away."""
    return _kernel_threads.get() or torch.get_num_threads()


@contextlib.contextmanager
def only_kernels_in_parallel() -> Iterator[None]:
    """Run torch's own operations on one thread in the block, and the kernels on as many as before.

    For code in which kernels do the work and torch's operations between them are small: after each operation on several
    threads, OpenMP's spin for some milliseconds, waiting for the next, and take the processor from the kernel that
    follows.
    """
    n_threads = torch.get_num_threads()
    token = _kernel_threads.set(kernel_threads())
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
        _kernel_threads.reset(token)


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
