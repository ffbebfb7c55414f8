"""A number that tells whether tensors hold what they held before, however they were changed in between."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import Tensor

from svebm_ext.ops.arguments import Arguments, shown
from svebm_ext.ops.backend import resolve
from svebm_ext.ops.checksum import native, reference

__all__ = ["checksum"]

CHECKS = Arguments("checksum")


def checksum(tensors: Sequence[Tensor], *, backend: str | None = None) -> tuple[object, ...]:
    """Backend, types, shapes and a checksum of the bits of some tensors: equal as long as nothing has changed.

    Version counters of torch do not see a change through `.data`, and inference tensors have none.

    Args:
        tensors: of any type and on any device; one that is given twice is read once.
        backend: "auto", "native" or "reference"; None leaves it to `use_backend` and SVEBM_BACKEND.

    Raises:
        ConfigError: something is no tensor.
    """
    if isinstance(tensors, (str, bytes, Tensor)) or not isinstance(tensors, Iterable):
        CHECKS.fail("tensors", shown(tensors), "a list of tensors")
    sums: dict[tuple[object, ...], object] = {}
    for number, tensor in enumerate(tensors):
        tensor = CHECKS.tensor(f"tensors[{number}]", tensor, "a dense one").detach()
        if tensor.device.type == "meta":
            CHECKS.fail(f"tensors[{number}]", f"{shown(tensor)} on meta", "one that has numbers")
        chosen = resolve("checksum", tensor.device, backend)
        key = (tensor.data_ptr(), tensor.dtype, tensor.device, tuple(tensor.shape), tensor.stride(), chosen)
        if key not in sums:
            sums[key] = (native if chosen == "native" else reference).checksum(tensor.contiguous())
    return tuple((*key[1:], value) for key, value in sums.items())
