"""Discrete latent variables with Gumbel-softmax posteriors: DAE, DVAE, DI-VAE (Zhao, Lee & Eskenazi 2018)."""

from __future__ import annotations

import functools
import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.errors import ConfigError
from svebm_ext.latents.base import Latent, Posterior
from svebm_ext.latents.gaussian import wide
from svebm_ext.ops.philox import Stream, philox_uniform
from svebm_ext.randomness import Draw


class CategoricalPosterior(Posterior):
    """q(c|x) of n independent variables.

    Args:
        log_categories: log probabilities [B, n, K].
        temperature: of the relaxed samples that `rsample` gives (Gumbel-softmax); 0: they are exact (Gumbel-max).
    """

    def __init__(self, log_categories: Float[Tensor, "B n K"], temperature: float = 0.0) -> None:
        self._log_categories, self.temperature = log_categories, temperature

    @property
    def log_categories(self) -> Float[Tensor, "B n K"]:
        """log q(c|x)."""
        return self._log_categories

    @functools.cached_property
    def mean(self) -> Float[Tensor, "B D"]:  # type: ignore[override]
        """The most probable category of each variable, one-hot: the mode, since a mean would be no code."""
        return self._one_hot(self.log_categories.argmax(-1))

    def rsample(self, draw: Draw, ids: Int[Tensor, "B"]) -> Float[Tensor, "B D"]:
        """Gumbel-softmax sample, or the exact one at its zero temperature (Gumbel-max)."""
        logits = self.log_categories
        uniform = draw.uniform(ids, logits[0].numel(), Stream.CATEGORY).view_as(logits).to(logits.dtype)
        scores = logits - torch.log(-torch.log(uniform))
        if self.temperature == 0.0:
            return self._one_hot(scores.argmax(-1))
        return (scores / self.temperature).softmax(-1).flatten(1)

    def importance_samples(self, n_samples: int, *, seed: int, ids: Int[Tensor, "B"]) -> Float[Tensor, "M B D"]:
        """Categories drawn exactly (inverse distribution function), one-hot."""
        n = self.log_categories.shape[1]
        uniform = philox_uniform(seed, ids, dim=n, n_steps=n_samples, stream=Stream.CATEGORY)
        cumulative = self.log_categories.exp().cumsum(-1)[..., :-1]
        return self._one_hot((uniform[..., None] > cumulative).sum(-1))

    def terms(self, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """`log_categories` [B, n, K] = log q(c|x); the objective forms divergences over the batch from it."""
        return {"log_categories": self.log_categories}

    def log_prob(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """log q(c|x) of one-hot z."""
        # a category of probability 0: 0 * -inf is no number
        return (z * self.log_categories.clamp_min(-1e4).flatten(1)).sum(-1)

    def _one_hot(self, categories: Int[Tensor, "*B n"]) -> Float[Tensor, "*B D"]:
        return one_hot(categories, self.log_categories.shape[-1], self.log_categories.dtype)


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

    def posterior(self, features: Float[Tensor, "B F"]) -> CategoricalPosterior:
        """log q(c|x) of every variable; its samples are relaxed while the family is trained."""
        logits = wide(self.to_logits(features))
        log_categories = logits.view(-1, self.n_variables, self.n_classes).log_softmax(-1)
        return CategoricalPosterior(log_categories, self.temperature if self.training else 0.0)

    def log_prior(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """log of the uniform distribution, -n log K."""
        return torch.full_like(z[..., 0], -self.n_variables * math.log(self.n_classes))

    def sample_prior(self, n: int, *, seed: int, symbol: int | None = None) -> Float[Tensor, "n D"]:
        """Uniform one-hot codes."""
        if symbol is not None:
            raise ConfigError("symbol: this family has several discrete variables, not one symbol to choose")
        weight = self.to_logits.weight
        chosen = uniform_categories(n, self.n_variables, self.n_classes, seed, weight.device)
        return one_hot(chosen, self.n_classes, weight.dtype)


def one_hot(categories: Int[Tensor, "*B n"], n_classes: int, dtype: torch.dtype) -> Float[Tensor, "*B D"]:
    """n categories as their one-hot vectors in a row."""
    return F.one_hot(categories, n_classes).flatten(-2).to(dtype)


def uniform_categories(n: int, n_variables: int, n_classes: int, seed: int, device: torch.device) -> Tensor:
    """Independent uniform categories [n, n_variables], 0 .. n_classes - 1."""
    ids = torch.arange(n, device=device)
    uniform = philox_uniform(seed, ids, dim=n_variables, stream=Stream.CATEGORY)[0]
    return (uniform * n_classes).long().clamp_max(n_classes - 1)
