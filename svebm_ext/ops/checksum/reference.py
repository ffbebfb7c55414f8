"""A checksum in plain torch: sums of bits over rows and over columns, so that numbers that change places change it."""

from __future__ import annotations

import torch
from torch import Tensor

ODD = -0x61C8864680B583EB
"""2^64 / golden ratio, odd, as a signed number: its multiples differ from each other in all bits."""

WIDTH = 256
"""Numbers of 64 bits in a row, however the tensor is shaped."""


def checksum(tensor: Tensor) -> tuple[int, ...]:
    """Of the bits of a contiguous tensor; a change of one number always changes it."""
    bits = tensor.detach().reshape(-1).view(torch.uint8)
    if bits.storage_offset() % 8:
        bits = bits.clone()
    whole = bits.numel() // (8 * WIDTH) * 8 * WIDTH
    words, rest = bits[:whole].view(torch.int64).view(-1, WIDTH), bits[whole:]
    return _weighted(words.sum(1)), _weighted(words.sum(0)), _weighted(rest.to(torch.int64))


def _weighted(sums: Tensor) -> int:
    places = torch.arange(1, sums.numel() + 1, dtype=torch.int64, device=sums.device)
    return int(((places * ODD) | 1).mul_(sums).sum())
