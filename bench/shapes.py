"""Sizes of all benchmarks, in one place.

SVEBM_BENCH=smoke replaces them by tiny ones, to see that they run; SVEBM_BENCH=short keeps few of Langevin's and of
those of training.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

SMOKE = os.environ.get("SVEBM_BENCH", "full") == "smoke"
SHORT = os.environ.get("SVEBM_BENCH", "full") == "short"


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
class LangevinShape:
    """n_steps steps of n_chains chains on an energy network of widths dim, hidden, hidden, n_categories."""

    dim: int
    hidden: int
    n_categories: int
    n_chains: int
    activation: str = "gelu"
    n_steps: int = 60
    everything: bool = True  # False: only the implementations that are fast at this size

    @property
    def name(self) -> str:
        return f"{self.dim}x{self.hidden}x{self.n_categories}-{self.activation}-{self.n_chains}"

    @property
    def n_flop(self) -> int:
        """Of the six matrix products a step; activations, softmax and random numbers are not counted."""
        products = self.dim * self.hidden + self.hidden**2 + self.hidden * self.n_categories
        return 4 * products * self.n_chains * self.n_steps


# dimension, hidden units and categories for Penn Treebank, dialogues, AG News, and points of the plane
CALL = (4, (2, 3, 3, 2))
"""Chains and widths of a call whose numbers take no time."""

NETWORKS = [(40, 200, 20), (32, 200, 125), (100, 200, 4), (2, 200, 8)]
LANGEVIN_SHAPES = [
    *(LangevinShape(*network, n_chains) for network in NETWORKS for n_chains in (64, 512, 4096)),
    *(LangevinShape(*network, 16384, everything=network == NETWORKS[0]) for network in NETWORKS),
    LangevinShape(*NETWORKS[0], 4096, "leaky_relu"),
]
if SHORT:
    LANGEVIN_SHAPES = [LangevinShape(*NETWORKS[0], n, everything=n == 4096) for n in (4096, 512, 16384)]


@dataclass(frozen=True)
class DecodeShape:
    """max_tokens words of n_rows sentences from a GRU of `hidden` units over `vocabulary` words; none ends early."""

    n_rows: int
    hidden: int = 512
    vocabulary: int = 10_000
    embedding: int = 512
    latent_dim: int = 40
    max_tokens: int = 40

    @property
    def n_flop(self) -> int:
        """Of the recurrent products and the scores."""
        return 2 * self.n_rows * self.max_tokens * self.hidden * (3 * self.hidden + self.vocabulary)


DECODE = {f"B{n_rows}": DecodeShape(n_rows) for n_rows in (1, 32, 256)}
DECODE_CUDA = {**DECODE, "B1024": DecodeShape(1024)}


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
TRAINING_CUDA = {**TRAINING, "batch 1024": TrainingShape(1024)}


@dataclass(frozen=True)
class LayerShape:
    """A GRU layer over sentences whose lengths are those of a training step; inputs have the size of the states."""

    batch_size: int
    n_directions: int = 1
    mean_length: int = 22
    length_std: int = 9
    max_length: int = 39
    hidden: int = 512


LAYER = {"batch 32": LayerShape(32), "batch 32, both directions": LayerShape(32, 2)}
LAYER_CUDA = {
    **LAYER,
    "batch 64": LayerShape(64),
    "batch 128": LayerShape(128),
    "batch 128, both directions": LayerShape(128, 2),
    "batch 512": LayerShape(512),
}


@dataclass(frozen=True)
class TokenLossShape:
    """Loss of n tokens over V words with states of size H."""

    n_tokens: int
    hidden: int = 512
    vocabulary_size: int = 10_001


TOKEN_LOSS = {"batch 32": TokenLossShape(704), "batch 128": TokenLossShape(2816)}
TOKEN_LOSS_CUDA = {**TOKEN_LOSS, "batch 1024": TokenLossShape(22528)}

if SHORT:
    del TRAINING_CUDA["batch 32 of one length"]

if SMOKE:
    DECODE = DECODE_CUDA = {"smoke": DecodeShape(3, 16, 50, 16, 4, 3)}
    TRAINING = TRAINING_CUDA = {"smoke": TrainingShape(4, 5, 2, 8, 16, 4, 50)}
    LAYER = LAYER_CUDA = {"smoke": LayerShape(4, 2, 5, 2, 8, 16)}
    TOKEN_LOSS = TOKEN_LOSS_CUDA = {"smoke": TokenLossShape(9, 8, 20)}
    PHILOX = PHILOX_CUDA = {"smoke": PhiloxShape(5, 6, 2)}
    LANGEVIN_SHAPES = [
        LangevinShape(5, 16, 3, 20, n_steps=2),
        LangevinShape(5, 16, 3, 20, "leaky_relu", n_steps=2, everything=False),
    ]
LANGEVIN = {shape.name: shape for shape in LANGEVIN_SHAPES}
