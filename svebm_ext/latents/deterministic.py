"""A point instead of a distribution: the autoencoder."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.errors import ConfigError
from svebm_ext.latents.base import Latent, Posterior
from svebm_ext.ops.philox import Stream, philox_normal
from svebm_ext.randomness import Draw


@dataclass(frozen=True)
class PointPosterior(Posterior):
    """All of q(z|x) at mu(x) [B, D]."""

    mean: Tensor

    def rsample(self, draw: Draw, ids: Int[Tensor, "B"]) -> Float[Tensor, "B D"]:
        """mu(x), without noise."""
        return self.mean

    def importance_samples(self, n_samples: int, *, seed: int, ids: Int[Tensor, "B"]) -> Float[Tensor, "M B D"]:
        """mu(x), as often as asked for."""
        return self.mean.expand(n_samples, *self.mean.shape)

    def terms(self, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """No divergence terms."""
        return {}


class DeterministicLatent(Latent):
    """z = mu(x). There is no prior, hence neither a likelihood nor samples."""

    has_prior = False

    def __init__(self, feature_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.to_mean = nn.Linear(feature_dim, latent_dim)

    def posterior(self, features: Float[Tensor, "B F"]) -> PointPosterior:
        """mu(x)."""
        return PointPosterior(self.to_mean(features).float())

    def sample_prior(self, n: int, *, seed: int, symbol: int | None = None) -> Float[Tensor, "n D"]:
        """Raise: an autoencoder has no prior.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("sample_prior: an autoencoder has no prior to sample from; reconstruct or interpolate")

    def sample_reference(self, n: int, *, seed: int) -> Float[Tensor, "n D"]:
        """N(0, I), for want of a prior: what published tables generate from."""
        ids = torch.arange(n, device=self.to_mean.weight.device)
        return philox_normal(seed, ids, dim=self.latent_dim, stream=Stream.INITIAL)[0]
