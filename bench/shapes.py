"""Sizes of all benchmarks, in one place. SVEBM_BENCH=smoke replaces them by tiny ones, to see that they run."""

from __future__ import annotations

import os
from dataclasses import dataclass

SMOKE = os.environ.get("SVEBM_BENCH", "full") == "smoke"


@dataclass(frozen=True)
class PhiloxShape:
    """Numbers [n_steps, n_chains, dim] drawn in one call."""

    n_chains: int
    dim: int
    n_steps: int

    @property
    def n_numbers(self) -> int:
        return self.n_chains * self.dim * self.n_steps


PHILOX = {
    "one step of a batch": PhiloxShape(30, 40, 1),
    "a sampling run of a batch": PhiloxShape(30, 40, 40),
    "one step of a large bank": PhiloxShape(4096, 40, 1),
    "a sampling run of a large bank": PhiloxShape(4096, 40, 60),
}
PHILOX_CUDA = {**PHILOX, "far beyond any cache": PhiloxShape(1 << 20, 40, 32)}


@dataclass(frozen=True)
class TrainingShape:
    """A training step: sentences of about mean_length targets, max_length at most; H = E = hidden, D, V."""

    batch_size: int
    mean_length: int = 22
    length_std: int = 9
    max_length: int = 39  # 40 tokens with the begin mark
    hidden: int = 512
    latent_dim: int = 40
    vocabulary_size: int = 10_001


TRAINING = {
    "batch 32": TrainingShape(32),
    "batch 128": TrainingShape(128),
    "batch 32 of one length": TrainingShape(32, length_std=0),
}


@dataclass(frozen=True)
class TokenLossShape:
    """Loss of n tokens over V words with states of size H."""

    n_tokens: int
    hidden: int = 512
    vocabulary_size: int = 10_001


TOKEN_LOSS = {"batch 32": TokenLossShape(704), "batch 128": TokenLossShape(2816)}

if SMOKE:
    TRAINING = {"smoke": TrainingShape(4, 5, 2, 8, 16, 4, 50)}
    TOKEN_LOSS = {"smoke": TokenLossShape(9, 8, 20)}
    PHILOX = PHILOX_CUDA = {"smoke": PhiloxShape(5, 6, 2)}
