"""Discrete latent variables with Gumbel-softmax posteriors: DAE, DVAE, DI-VAE (Zhao, Lee & Eskenazi 2018)."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.errors import ConfigError
from svebm_ext.latents.base import Latent
from svebm_ext.latents.gaussian import wide
from svebm_ext.ops.philox import Stream, philox_uniform
from svebm_ext.randomness import Draw


class CategoricalLatent(Latent):
    """n independent variables of K categories, uniform a priori; z is their one-hot vectors in a row, D = n K.

    In training z is relaxed (Gumbel-softmax); in evaluation, and for the likelihood, it is exactly one-hot.

    Args:
        feature_dim: size of the encoder's features.
        n_variables: n.
        n_classes: K.
        temperature: of the Gumbel-softmax.

    Source: Jang, Gu & Poole, Categorical Reparameterization with Gumbel-Softmax, ICLR 2017.
    """

    def __init__(self, feature_dim: int, n_variables: int, n_classes: int, temperature: float = 1.0) -> None:
        super().__init__()
        self.n_variables, self.n_classes, self.temperature = n_variables, n_classes, temperature
        self.latent_dim = n_variables * n_classes
        self.to_logits = nn.Linear(feature_dim, self.latent_dim)

    def posterior(self, features: Float[Tensor, "B F"]) -> Float[Tensor, "B n K"]:
        """log q(c|x) of every variable."""
        logits = wide(self.to_logits(features))
        return logits.view(-1, self.n_variables, self.n_classes).log_softmax(-1)

    def mean(self, posterior: Float[Tensor, "B n K"]) -> Float[Tensor, "B D"]:
        """The most probable category of each variable, one-hot: the mode, since a mean would be no code."""
        return self._one_hot(posterior.argmax(-1), posterior.dtype)

    def sample(self, posterior: Float[Tensor, "B n K"], draw: Draw, ids: Int[Tensor, "B"]) -> Float[Tensor, "B D"]:
        """Gumbel-softmax sample; in evaluation the exact one at its zero temperature (Gumbel-max)."""
        uniform = draw.uniform(ids, self.latent_dim, Stream.CATEGORY).view_as(posterior).to(posterior.dtype)
        scores = posterior - torch.log(-torch.log(uniform))
        if not self.training:
            return self._one_hot(scores.argmax(-1), posterior.dtype)
        return (scores / self.temperature).softmax(-1).flatten(1)

    def importance_samples(
        self, posterior: Float[Tensor, "B n K"], n_samples: int, *, seed: int, ids: Int[Tensor, "B"]
    ) -> Float[Tensor, "M B D"]:
        """Categories drawn exactly (inverse distribution function), one-hot."""
        uniform = philox_uniform(seed, ids, dim=self.n_variables, n_steps=n_samples, stream=Stream.CATEGORY)
        cumulative = posterior.exp().cumsum(-1)[..., :-1]
        return self._one_hot((uniform[..., None] > cumulative).sum(-1), posterior.dtype)

    def terms(self, posterior: Float[Tensor, "B n K"], z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """`log_categories` [B, n, K] = log q(c|x); the objective forms divergences over the batch from it."""
        return {"log_categories": posterior}

    def log_categories(self, posterior: Float[Tensor, "B n K"]) -> Float[Tensor, "B n K"]:
        """log q(c|x)."""
        return posterior

    def log_posterior(self, z: Float[Tensor, "*M B D"], posterior: Float[Tensor, "B n K"]) -> Float[Tensor, "*M B"]:
        """log q(c|x) of one-hot z."""
        return (z * posterior.clamp_min(-1e4).flatten(1)).sum(-1)  # a category of probability 0: 0 * -inf is no number

    def log_prior(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """log of the uniform distribution, -n log K."""
        return torch.full_like(z[..., 0], -self.n_variables * math.log(self.n_classes))

    def sample_prior(self, n: int, *, seed: int, symbol: int | None = None) -> Float[Tensor, "n D"]:
        """Uniform one-hot codes."""
        if symbol is not None:
            raise ConfigError("symbol: this family has several discrete variables, not one symbol to choose")
        weight = self.to_logits.weight
        return self._one_hot(uniform_categories(n, self.n_variables, self.n_classes, seed, weight.device), weight.dtype)

    def _one_hot(self, categories: Int[Tensor, "*B n"], dtype: torch.dtype) -> Float[Tensor, "*B D"]:
        return F.one_hot(categories, self.n_classes).flatten(-2).to(dtype)


def uniform_categories(n: int, n_variables: int, n_classes: int, seed: int, device: torch.device) -> Tensor:
    """Independent uniform categories [n, n_variables], 0 .. n_classes - 1."""
    ids = torch.arange(n, device=device)
    uniform = philox_uniform(seed, ids, dim=n_variables, stream=Stream.CATEGORY)[0]
    return (uniform * n_classes).long().clamp_max(n_classes - 1)
