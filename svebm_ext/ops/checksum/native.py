"""The compiled checksum of memory on the CPU, as fast as memory can be read."""

from __future__ import annotations

from torch import Tensor

from svebm_ext.ops.native_library import native_module
from svebm_ext.ops.threads import kernel_threads


def checksum(tensor: Tensor) -> int:
    """Of the bits of a contiguous tensor."""
    n_bytes = tensor.numel() * tensor.element_size()
    return int(native_module().checksum_cpu({"data": tensor, "n_bytes": n_bytes}, kernel_threads()))
