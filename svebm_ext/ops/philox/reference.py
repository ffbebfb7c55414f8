"""Philox4x32-10 in plain torch: the contract of the project's random numbers, and the fallback.

Salmon, Moraes, Dror & Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011; Box & Muller 1958.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

WORD_MASK = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
KEY_INCREMENTS = (0x9E3779B9, 0xBB67AE85)
N_ROUNDS = 10


def philox_words(seed: int | Int[Tensor, ""], counters: Int[Tensor, "4 *shape"]) -> Int[Tensor, "4 *shape"]:
    """Four random 32-bit words for each counter of four 32-bit words, all held in int64.

    One round: (c0, c1, c2, c3) <- (high(M1 c2) ^ c1 ^ k0, low(M1 c2), high(M0 c0) ^ c3 ^ k1, low(M0 c0)), then the key
    is increased. Both halves of a round go through one tensor operation. The 64-bit products may wrap to negative
    numbers: the bits are right, and the mask removes the sign that the shift drags along.
    """
    column = (2,) + (1,) * (counters.dim() - 1)
    multipliers = counters.new_tensor(MULTIPLIERS[::-1]).view(column)
    keys = _round_keys(seed, counters.device).view(N_ROUNDS, *column)
    even, odd = counters[0::2], counters[1::2]  # (c0, c2) and (c1, c3)
    for round_key in keys:
        product = even.flip(0).mul_(multipliers)
        even = (product >> 32).bitwise_xor_(odd).bitwise_xor_(round_key).bitwise_and_(WORD_MASK)
        odd = product.bitwise_and_(WORD_MASK)
    return torch.stack((even[0], odd[0], even[1], odd[1]))


def _round_keys(seed: int | Int[Tensor, ""], device: torch.device) -> Int[Tensor, "rounds 2"]:
    if isinstance(seed, Tensor):  # stays on its device: reading it would wait for the device
        halves = torch.stack((seed & WORD_MASK, (seed >> 32) & WORD_MASK))
    else:
        halves = torch.tensor((seed & WORD_MASK, (seed >> 32) & WORD_MASK), dtype=torch.int64, device=device)
    rounds = torch.arange(N_ROUNDS, dtype=torch.int64, device=device)[:, None]
    return (halves + rounds * torch.tensor(KEY_INCREMENTS, dtype=torch.int64, device=device)) & WORD_MASK


def step_words(
    seed: int | Int[Tensor, ""], chain_ids: Int[Tensor, "N"], dim: int, first_step: int, n_steps: int, stream: int
) -> Int[Tensor, "4 S N blocks"]:
    """The words of every chain and step; words 4 b .. 4 b + 3 of the last axes belong to dimensions 4 b .. 4 b + 3."""
    n_blocks = (dim + 3) // 4
    device = chain_ids.device
    counters = torch.empty((4, n_steps, chain_ids.shape[0], n_blocks), dtype=torch.int64, device=device)
    counters[0] = (chain_ids & WORD_MASK)[None, :, None]
    counters[1] = (((chain_ids >> 32) & WORD_MASK) ^ (stream << 24))[None, :, None]
    counters[2] = torch.arange(first_step, first_step + n_steps, dtype=torch.int64, device=device)[:, None, None]
    counters[3] = torch.arange(n_blocks, dtype=torch.int64, device=device)
    return philox_words(seed, counters)


def uniform_from_words(words: Int[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """u = ((x >> 9) + 0.5) 2^-23: exact in float32, and strictly between 0 and 1."""
    return (words >> 9).to(torch.float32).add_(0.5).mul_(2.0**-23)


def normal_from_words(words: Int[Tensor, "4 *shape"]) -> Float[Tensor, "4 *shape"]:
    """Box-Muller: words (0, 1) give sqrt(-2 log u0) (cos, sin)(2 pi u1), words (2, 3) likewise."""
    uniform = uniform_from_words(words)
    radius = uniform[0::2].log().mul_(-2.0).sqrt_()
    angle = uniform[1::2] * (2.0 * math.pi)
    normal = torch.empty_like(uniform)
    torch.mul(radius, angle.cos(), out=normal[0::2])
    torch.mul(radius, angle.sin_(), out=normal[1::2])
    return normal


def philox(
    chain_ids: Int[Tensor, "N"],
    seed: int | Int[Tensor, ""],
    dim: int,
    first_step: int,
    n_steps: int,
    stream: int,
    normal: bool,
) -> Float[Tensor, "S N dim"]:
    """Standard normal or uniform numbers of the given chains and steps, in float32 on the chains' device."""
    words = step_words(seed, chain_ids, dim, first_step, n_steps, stream)
    numbers = normal_from_words(words) if normal else uniform_from_words(words)
    return numbers.permute(1, 2, 3, 0).flatten(2)[:, :, :dim].contiguous()
