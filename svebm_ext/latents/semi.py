"""A Gaussian vector beside independent discrete variables: semi-VAE (Kingma et al. 2014, without labels)."""

from __future__ import annotations

import functools

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.errors import ConfigError
from svebm_ext.latents.base import Latent, Posterior
from svebm_ext.latents.categorical import CategoricalLatent, CategoricalPosterior
from svebm_ext.latents.gaussian import GaussianLatent, GaussianPosterior
from svebm_ext.randomness import Draw


class SemiPosterior(Posterior):
    """q(z|x) q(c|x).

    Args:
        vector: a Gaussian [B, D_z].
        code: discrete variables.
    """

    def __init__(self, vector: GaussianPosterior, code: CategoricalPosterior) -> None:
        self.vector, self.code = vector, code

    @property
    def log_categories(self) -> Float[Tensor, "B n K"]:
        """log q(c|x)."""
        return self.code.log_categories

    @functools.cached_property
    def mean(self) -> Float[Tensor, "B D"]:  # type: ignore[override]
        """Mean of the vector and mode of the codes."""
        return torch.cat((self.vector.mean, self.code.mean), dim=-1)

    def rsample(self, draw: Draw, ids: Int[Tensor, "B"]) -> Float[Tensor, "B D"]:
        """A sample of each part."""
        return torch.cat((self.vector.rsample(draw, ids), self.code.rsample(draw, ids)), dim=-1)

    def importance_samples(self, n_samples: int, *, seed: int, ids: Int[Tensor, "B"]) -> Float[Tensor, "M B D"]:
        """Exact samples of each part."""
        parts = (part.importance_samples(n_samples, seed=seed, ids=ids) for part in (self.vector, self.code))
        return torch.cat(tuple(parts), dim=-1)

    def terms(self, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """`kl` [B, D_z] of the vector and `log_categories` [B, n, K]."""
        return self.vector.terms(z) | self.code.terms(z)

    def log_prob(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """log q(z|x) + log q(c|x)."""
        vector_dim = self.vector.mean.shape[-1]
        return self.vector.log_prob(z[..., :vector_dim]) + self.code.log_prob(z[..., vector_dim:])

    def widened(self, scale: float) -> SemiPosterior:
        """The vector's standard deviations times `scale`; the discrete part as it is."""
        return SemiPosterior(self.vector.widened(scale), self.code)

    @property
    def deviations(self) -> Float[Tensor, "B D"]:
        """sigma(x) of the vector, and 0 for each code."""
        codes = self.log_categories.flatten(1)
        return torch.cat((self.vector.deviations, torch.zeros_like(codes)), dim=-1)


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
        """Both parts."""
        return SemiPosterior(self.vector.posterior(features), self.code.posterior(features))

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
