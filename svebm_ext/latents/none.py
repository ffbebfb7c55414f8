"""No latent variable at all: the recurrent language model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.errors import ConfigError
from svebm_ext.latents.base import Latent, Posterior
from svebm_ext.randomness import Draw


@dataclass(frozen=True)
class EmptyPosterior(Posterior):
    """The empty vector of each example, `mean` [B, 0], with probability 1."""

    mean: Tensor

    def rsample(self, draw: Draw, ids: Int[Tensor, "B"]) -> Float[Tensor, "B 0"]:
        """The empty vector."""
        return self.mean

    def importance_samples(self, n_samples: int, *, seed: int, ids: Int[Tensor, "B"]) -> Float[Tensor, "1 B 0"]:
        """One empty vector per example, however many are asked for: the likelihood is exact with it."""
        return self.mean[None]

    def terms(self, z: Float[Tensor, "B 0"]) -> dict[str, Tensor]:
        """No divergence terms."""
        return {}

    def log_prob(self, z: Float[Tensor, "*M B 0"]) -> Float[Tensor, "*M B"]:
        """log 1."""
        return z.sum(-1)


class NoLatent(Latent):
    """z has no dimensions (D = 0), so that p(x|z) is p(x) and every density is 1."""

    latent_dim = 0
    _place: Tensor
    has_features = False

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("_place", torch.empty(0), persistent=False)  # knows the device, as parameters would

    def posterior(self, features: Float[Tensor, "B 0"]) -> EmptyPosterior:
        """Nothing, once per example."""
        return EmptyPosterior(features)

    def log_prior(self, z: Float[Tensor, "*M B 0"]) -> Float[Tensor, "*M B"]:
        """log 1."""
        return z.sum(-1)

    def sample_prior(self, n: int, *, seed: int, symbol: int | None = None) -> Float[Tensor, "n 0"]:
        """Empty vectors: greedy decoding of them gives one sentence n times; sample words instead."""
        if symbol is not None:
            raise ConfigError("symbol: a language model without latent variables has no symbols")
        return self._place.new_empty(n, 0)
