"""A Gaussian vector beside independent discrete variables: semi-VAE (Kingma et al. 2014, without labels)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.errors import ConfigError
from svebm_ext.latents.base import Latent
from svebm_ext.latents.categorical import CategoricalLatent
from svebm_ext.latents.gaussian import GaussianLatent, GaussianPosterior
from svebm_ext.randomness import Draw


class SemiPosterior(NamedTuple):
    """q(z|x) q(c|x): a Gaussian [B, D_z] and log probabilities [B, n, K]."""

    vector: GaussianPosterior
    log_categories: Tensor


class SemiLatent(Latent):
    """z = (Gaussian vector, one-hot codes), independent of each other in prior and posterior, D = D_z + n K.

    Args:
        feature_dim: size of the encoder's features.
        vector_dim: D_z.
        n_variables, n_classes, temperature: of the discrete part, see `CategoricalLatent`.
    """

    has_vector = True

    def __init__(
        self, feature_dim: int, vector_dim: int, n_variables: int, n_classes: int, temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.vector = GaussianLatent(feature_dim, vector_dim)
        self.code = CategoricalLatent(feature_dim, n_variables, n_classes, temperature)
        self.latent_dim = vector_dim + self.code.latent_dim

    def posterior(self, features: Float[Tensor, "B F"]) -> SemiPosterior:
        """Parameters of both parts."""
        return SemiPosterior(self.vector.posterior(features), self.code.posterior(features))

    def mean(self, posterior: SemiPosterior) -> Float[Tensor, "B D"]:
        """Mean of the vector and mode of the codes."""
        return torch.cat((self.vector.mean(posterior.vector), self.code.mean(posterior.log_categories)), dim=-1)

    def sample(self, posterior: SemiPosterior, draw: Draw, ids: Int[Tensor, "B"]) -> Float[Tensor, "B D"]:
        """A sample of each part."""
        return torch.cat(
            (self.vector.sample(posterior.vector, draw, ids), self.code.sample(posterior.log_categories, draw, ids)),
            dim=-1,
        )

    def widened(self, posterior: SemiPosterior, scale: float) -> SemiPosterior:
        """The vector's standard deviations times `scale`; the discrete part as it is."""
        return posterior._replace(vector=self.vector.widened(posterior.vector, scale))

    def deviations(self, posterior: SemiPosterior) -> Float[Tensor, "B D"]:
        """sigma(x) of the vector, and 0 for each code."""
        codes = posterior.log_categories.flatten(1)
        return torch.cat((self.vector.deviations(posterior.vector), torch.zeros_like(codes)), dim=-1)

    def importance_samples(
        self, posterior: SemiPosterior, n_samples: int, *, seed: int, ids: Int[Tensor, "B"]
    ) -> Float[Tensor, "M B D"]:
        """Exact samples of each part."""
        return torch.cat(
            (
                self.vector.importance_samples(posterior.vector, n_samples, seed=seed, ids=ids),
                self.code.importance_samples(posterior.log_categories, n_samples, seed=seed, ids=ids),
            ),
            dim=-1,
        )

    def terms(self, posterior: SemiPosterior, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """`kl` [B, D_z] of the vector and `log_categories` [B, n, K]."""
        return self.vector.terms(posterior.vector, z) | self.code.terms(posterior.log_categories, z)

    def log_categories(self, posterior: SemiPosterior) -> Float[Tensor, "B n K"]:
        """log q(c|x)."""
        return posterior.log_categories

    def log_posterior(self, z: Float[Tensor, "*M B D"], posterior: SemiPosterior) -> Float[Tensor, "*M B"]:
        """log q(z|x) + log q(c|x)."""
        vector, code = self._parts(z)
        return self.vector.log_posterior(vector, posterior.vector) + self.code.log_posterior(
            code, posterior.log_categories
        )

    def log_prior(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """log N(z; 0, I) - n log K."""
        vector, code = self._parts(z)
        return self.vector.log_prior(vector) + self.code.log_prior(code)

    def sample_prior(self, n: int, *, seed: int, symbol: int | None = None) -> Float[Tensor, "n D"]:
        """Standard normal vectors and uniform codes."""
        if symbol is not None:
            raise ConfigError("symbol: this family has several discrete variables, not one symbol to choose")
        return torch.cat((self.vector.sample_prior(n, seed=seed), self.code.sample_prior(n, seed=seed)), dim=-1)

    def _parts(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z[..., : self.vector.latent_dim], z[..., self.vector.latent_dim :]
