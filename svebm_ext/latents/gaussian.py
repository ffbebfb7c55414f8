"""Gaussian posterior with the standard normal prior: the VAE (Kingma & Welling 2014)."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.densities import diagonal_gaussian_log_density, standard_normal_log_density
from svebm_ext.errors import ConfigError
from svebm_ext.latents.base import Latent
from svebm_ext.ops.philox import Stream, philox_normal
from svebm_ext.randomness import Draw


class GaussianPosterior(NamedTuple):
    """q(z|x) = N(mean, diag exp(log_variance)), each [B, D]."""

    mean: Tensor
    log_variance: Tensor


class ConditionalPosterior(NamedTuple):
    """q(z|x, c) = N(mean, diag exp(log_variance)), each [B, D], and c [B, C], which the prior p(z|c) depends on."""

    mean: Tensor
    log_variance: Tensor
    context: Tensor


AnyGaussian = GaussianPosterior | ConditionalPosterior


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
        return GaussianPosterior(wide(self.to_mean(features)), wide(self.to_log_variance(features)))

    def mean(self, posterior: AnyGaussian) -> Float[Tensor, "B D"]:
        """mu(x)."""
        return posterior.mean

    def sample(self, posterior: AnyGaussian, draw: Draw, ids: Int[Tensor, "B"]) -> Float[Tensor, "B D"]:
        """mu + sigma e (the reparameterisation)."""
        noise = draw.normal(ids, self.latent_dim, Stream.POSTERIOR).to(posterior.mean.dtype)
        return posterior.mean + self.deviations(posterior) * noise

    def widened(self, posterior: Any, scale: float) -> Any:
        """N(mu, diag (scale sigma)^2)."""
        return posterior._replace(log_variance=posterior.log_variance + 2 * math.log(scale))

    def deviations(self, posterior: AnyGaussian) -> Float[Tensor, "B D"]:
        """sigma(x)."""
        return torch.exp(0.5 * posterior.log_variance)

    def importance_samples(
        self, posterior: AnyGaussian, n_samples: int, *, seed: int, ids: Int[Tensor, "B"]
    ) -> Float[Tensor, "M B D"]:
        """mu + sigma e_m."""
        noise = philox_normal(seed, ids, dim=self.latent_dim, n_steps=n_samples, stream=Stream.EVALUATION)
        return posterior.mean + self.deviations(posterior) * noise

    def terms(self, posterior: AnyGaussian, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """`kl` [B, D]: KL(q(z_d|x) || N(0, 1)) of every dimension, in nats (closed form)."""
        mean, log_variance = posterior.mean, posterior.log_variance
        return {"kl": 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance)}

    def log_posterior(self, z: Float[Tensor, "*M B D"], posterior: AnyGaussian) -> Float[Tensor, "*M B"]:
        """log N(z; mu, diag sigma^2)."""
        return diagonal_gaussian_log_density(z, posterior.mean, posterior.log_variance)

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
