"""Which implementation of an op serves a call: the native kernel, or the torch reference.

Chosen by, in this order: the call's `backend` argument, the innermost `use_backend` block, the environment variable
`SVEBM_BACKEND`, and else `auto`. `auto` takes the native kernel where there is one and falls back to the reference with
one warning that names the reason; `native` raises instead of falling back.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
import warnings
from collections.abc import Callable, Iterator
from typing import Literal, TypeVar

import torch

from svebm_ext.errors import BackendUnavailableError, ConfigError, alternatives
from svebm_ext.ops import native_library
from svebm_ext.ops.native_call import Unsupported

Backend = Literal["native", "reference"]
Planned = TypeVar("Planned")
CHOICES = ("auto", "native", "reference")

NATIVE_KERNELS: dict[str, tuple[str, ...]] = {
    "checksum": ("cpu",),
    "gemm": ("cpu",),
    "gru_decode": ("cpu", "cuda"),
    "gru_sequence": ("cpu", "cuda"),
    "langevin": ("cpu", "cuda"),
    "philox": ("cpu", "cuda"),
    "token_loss": ("cpu",),
}
"""Ops that have a native kernel, and the device types it is for. An op that is not listed has only its reference."""


class NativeFallbackWarning(RuntimeWarning):
    """A native kernel exists for this op and device but cannot be used here, so plain PyTorch is."""


_requested: contextvars.ContextVar[str | None] = contextvars.ContextVar("svebm_backend", default=None)
_warned: set[str] = set()


@contextlib.contextmanager
def use_backend(backend: str) -> Iterator[None]:
    """Choose the backend of every op called in the block: "auto", "native" or "reference"."""
    token = _requested.set(_checked(backend, "use_backend"))
    try:
        yield
    finally:
        _requested.reset(token)


def resolve(op: str, device: torch.device, requested: str | None = None) -> Backend:
    """Decide which implementation serves a call.

    Args:
        op: name of the op, a folder of svebm_ext/ops.
        device: where the call's tensors are.
        requested: the call's own `backend` argument; None leaves it to the context, the environment, and `auto`.

    Raises:
        BackendUnavailableError: "native" was asked for and cannot serve the call.
        ConfigError: the choice is not one of "auto", "native", "reference".
    """
    if _choice(requested) == "reference":
        return "reference"
    reason = unavailable_reason(op, device.type, device.index)
    if not reason:
        return "native"
    return fall_back(op, device, reason, requested, quiet=device.type not in NATIVE_KERNELS.get(op, ()))


def planned_or_none(
    op: str, device: torch.device, requested: str | None, plan: Callable[[], Planned | Unsupported]
) -> Planned | None:
    """Ask the native backend, once, for what will serve a call; None leaves it to the reference.

    Args:
        op, device, requested: as `resolve`.
        plan: what is ready to run, or the reason why the kernels cannot serve the call.

    Raises:
        BackendUnavailableError, ConfigError: as `resolve`.
    """
    if resolve(op, device, requested) == "reference":
        return None
    planned = plan()
    if isinstance(planned, Unsupported):
        fall_back(op, device, planned.reason, requested, quiet=planned.quiet)
        return None
    return planned


def fall_back(op: str, device: torch.device, reason: str, requested: str | None = None, *, quiet: bool) -> Backend:
    """Leave a call to the reference for `reason`, with one warning unless `quiet`; arguments as `resolve`.

    Raises:
        BackendUnavailableError: "native" was asked for.
    """
    if _choice(requested) == "native":
        raise BackendUnavailableError(f"{op} has no native backend on {device}: {reason}")
    if not quiet and reason not in _warned:
        _warned.add(reason)
        warnings.warn(f"svebm_ext computes with plain PyTorch on {device.type}: {reason}", NativeFallbackWarning, 2)
    return "reference"


def _choice(requested: str | None) -> str:
    choice = requested or _requested.get()
    if (
        not choice and "SVEBM_BACKEND" in os.environ
    ):  # asked first: `get` would raise and catch an error where it is not
        choice = os.environ["SVEBM_BACKEND"]
    return _checked(choice or "auto", "SVEBM_BACKEND or backend")


@functools.cache
def unavailable_reason(op: str, device_type: str, device_index: int | None = None) -> str:
    """Why the native kernel of an op cannot be used on a device; empty where it can."""
    if op not in NATIVE_KERNELS:
        return "this op has no native kernel yet"
    if device_type not in NATIVE_KERNELS[op]:
        return f"this op has no native kernel for device type {device_type!r}"
    if device_type == "cuda":
        return native_library.cuda_reason() or native_library.cuda_device_reason(device_index)
    return native_library.native_library().reason


def forget_decisions() -> None:
    """Forget what was found and warned of, so that the next call looks again (for tests)."""
    unavailable_reason.cache_clear()
    native_library.native_library.cache_clear()
    native_library.cuda_reason.cache_clear()
    _warned.clear()


def _checked(choice: str, origin: str) -> str:
    if choice not in CHOICES:
        raise ConfigError(f"{origin}: {choice!r} is not a backend; {alternatives(choice, CHOICES)}")
    return choice
