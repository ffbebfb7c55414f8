"""A checksum in plain torch: sums of bits over rows and over columns, so that numbers that change places change it."""

from __future__ import annotations

import torch
from torch import Tensor

ODD = -0x61C8864680B583EB
"""2^64 / golden ratio, odd, as a signed number: its multiples differ from each other in all bits."""


def checksum(tensor: Tensor) -> tuple[int, int]:
    """Of the bits of a contiguous tensor; a change of one number always changes it."""
    bits = tensor.detach().view(torch.uint8 if tensor.element_size() != 4 else torch.int32)
    matrix = bits.reshape(1, -1) if bits.dim() < 2 else bits.flatten(1)
    return _weighted(matrix.sum(1, dtype=torch.int64)), _weighted(matrix.sum(0, dtype=torch.int64))


def _weighted(sums: Tensor) -> int:
    places = torch.arange(1, sums.numel() + 1, dtype=torch.int64, device=sums.device)
    return int(((places * ODD) | 1).mul_(sums).sum())
