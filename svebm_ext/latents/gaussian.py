"""Gaussian posterior with the standard normal prior: the VAE (Kingma & Welling 2014)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.densities import diagonal_gaussian_log_density, standard_normal_log_density
from svebm_ext.errors import ConfigError
from svebm_ext.latents.base import Latent, Posterior
from svebm_ext.ops.philox import Stream, philox_normal
from svebm_ext.randomness import Draw


@dataclass(frozen=True)
class GaussianPosterior(Posterior):
    """q(z|x) = N(mean, diag exp(log_variance)), each [B, D]."""

    mean: Tensor
    log_variance: Tensor

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and log variance."""
        return self.mean, self.log_variance

    def rsample(self, draw: Draw, ids: Int[Tensor, "B"]) -> Float[Tensor, "B D"]:
        """mu + sigma e (the reparameterisation)."""
        noise = draw.normal(ids, self.mean.shape[-1], Stream.POSTERIOR).to(self.mean.dtype)
        return self.mean + self.deviations * noise

    def importance_samples(self, n_samples: int, *, seed: int, ids: Int[Tensor, "B"]) -> Float[Tensor, "M B D"]:
        """mu + sigma e_m."""
        noise = philox_normal(seed, ids, dim=self.mean.shape[-1], n_steps=n_samples, stream=Stream.EVALUATION)
        return self.mean + self.deviations * noise

    def terms(self, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """`kl` [B, D]: KL(q(z_d|x) || N(0, 1)) of every dimension, in nats (closed form)."""
        return {"kl": 0.5 * (self.mean.square() + self.log_variance.exp() - 1.0 - self.log_variance)}

    def log_prob(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """log N(z; mu, diag sigma^2)."""
        return diagonal_gaussian_log_density(z, self.mean, self.log_variance)

    def widened(self, scale: float) -> GaussianPosterior:
        """N(mu, diag (scale sigma)^2)."""
        return replace(self, log_variance=self.log_variance + 2 * math.log(scale))

    @property
    def deviations(self) -> Float[Tensor, "B D"]:
        """sigma(x)."""
        return torch.exp(0.5 * self.log_variance)

    def detached(self) -> GaussianPosterior:
        """The same without gradient."""
        return replace(self, mean=self.mean.detach(), log_variance=self.log_variance.detach())


class GaussianLatent(Latent):
    """N(mu(x), diag sigma^2(x)) against N(0, I)."""

    has_vector = True

    def __init__(self, feature_dim: int, latent_dim: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.to_mean = nn.Linear(feature_dim, latent_dim)
        self.to_log_variance = nn.Linear(feature_dim, latent_dim)

    def posterior(self, features: Float[Tensor, "B F"]) -> GaussianPosterior:
        """mu(x) and log sigma^2(x), in at least float32."""
        return GaussianPosterior(*self.moments(features))

    def moments(self, features: Float[Tensor, "B F"]) -> tuple[Float[Tensor, "B D"], Float[Tensor, "B D"]]:
        """mu(x) and log sigma^2(x), in at least float32."""
        return wide(self.to_mean(features)), wide(self.to_log_variance(features))

    def log_prior(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """log N(z; 0, I)."""
        return standard_normal_log_density(z)

    def sample_prior(self, n: int, *, seed: int, symbol: int | None = None) -> Float[Tensor, "n D"]:
        """Standard normal vectors."""
        if symbol is not None:
            raise ConfigError("symbol: this model has no symbols; only the energy latent family has")
        ids = torch.arange(n, device=self.to_mean.weight.device)
        return philox_normal(seed, ids, dim=self.latent_dim, stream=Stream.INITIAL)[0]


def wide(x: Tensor) -> Tensor:
    """The same numbers in at least float32, which densities need."""
    return x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
