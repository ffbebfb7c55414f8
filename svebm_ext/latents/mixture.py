"""Mixtures of Gaussians as the prior: GM-VAE and DGM-VAE (Shi, Zhou, Miao & Li, ICML 2020)."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.densities import diagonal_gaussian_log_density
from svebm_ext.errors import ConfigError
from svebm_ext.latents.base import Latent, Posterior
from svebm_ext.latents.categorical import uniform_categories
from svebm_ext.latents.gaussian import GaussianLatent, GaussianPosterior, wide
from svebm_ext.ops.philox import Stream, philox_normal
from svebm_ext.randomness import Draw


class MixturePrior(nn.Module):
    """Components of n mixtures: means and log variances, each [n, K, d]."""

    def __init__(self, n_variables: int, n_classes: int, dim: int) -> None:
        super().__init__()
        # Spread out from the start: equal components stay equal, and the mixture would be one Gaussian.
        self.mean = nn.Parameter(torch.randn(n_variables, n_classes, dim))
        self.log_variance = nn.Parameter(torch.zeros(n_variables, n_classes, dim))


class MixturePosterior(Posterior):
    """q(z|x) q(c|x) against a mixture.

    Args:
        vector: a Gaussian [B, D].
        log_categories: log probabilities of the components [B, n, K].
        prior: the components, with their present parameters.
    """

    def __init__(self, vector: GaussianPosterior, log_categories: Float[Tensor, "B n K"], prior: MixturePrior) -> None:
        self.vector, self._log_categories, self.prior = vector, log_categories, prior
        self.mean = vector.mean

    @property
    def log_categories(self) -> Float[Tensor, "B n K"]:
        """log q(c|x)."""
        return self._log_categories

    def rsample(self, draw: Draw, ids: Int[Tensor, "B"]) -> Float[Tensor, "B D"]:
        """mu + sigma e."""
        return self.vector.rsample(draw, ids)

    def importance_samples(self, n_samples: int, *, seed: int, ids: Int[Tensor, "B"]) -> Float[Tensor, "M B D"]:
        """mu + sigma e_m; components are summed out of the prior, so that none is drawn."""
        return self.vector.importance_samples(n_samples, seed=seed, ids=ids)

    def terms(self, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """`kl` [B, D], `dispersion` [B] and `log_categories` [B, n, K], in nats.

        E_q(c|x) KL(q(z|x) || p(z|c)) is the sum of two parts: `kl`, the divergence to the Gaussian whose natural
        parameters are the mean of the components' under q(c|x), and `dispersion`, E_q(c) A(eta_c) - A(E_q(c) eta_c)
        with the convex log partition A: at least 0, it pulls components together (Shi et al. 2020, section 3.2).
        """
        weight = self.log_categories.exp()
        first, second = natural_parameters(self.prior.mean, self.prior.log_variance)
        mean_first = torch.einsum("bnk,nkd->bnd", weight, first)
        mean_second = torch.einsum("bnk,nkd->bnd", weight, second)
        partition = torch.einsum("bnk,nkd->bnd", weight, log_partition(first, second))
        dispersion = (partition - log_partition(mean_first, mean_second)).sum((-2, -1))
        variance = -0.5 / mean_second
        mean, log_variance = (part.view_as(mean_first) for part in self.vector.moments)
        error = (mean - mean_first * variance).square()
        kl = 0.5 * ((log_variance.exp() + error) / variance - 1.0 - log_variance + variance.log())
        return {"kl": kl.flatten(1), "dispersion": dispersion, "log_categories": self.log_categories}

    def log_prob(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """log q(z|x)."""
        return self.vector.log_prob(z)

    def widened(self, scale: float) -> MixturePosterior:
        """The vector's standard deviations times `scale`; the discrete part as it is."""
        return MixturePosterior(self.vector.widened(scale), self.log_categories, self.prior)

    @property
    def deviations(self) -> Float[Tensor, "B D"]:
        """sigma(x)."""
        return self.vector.deviations


class MixtureLatent(Latent):
    """n variables of d dimensions, each a mixture of K Gaussians with equal weights and learnt components; D = n d.

    The decoder sees z alone; the component c of each variable is inferred by q(c|x), independent of q(z|x). Where there
    is one mixture, its component is a symbol that can be chosen, and learnt from labels.

    Args:
        feature_dim: size of the encoder's features.
        n_variables: n.
        n_classes: K.
        latent_dim: D, a multiple of n.

    Source: Shi et al., Dispersed Exponential Family Mixture VAEs for Interpretable Text Generation, ICML 2020.
    """

    has_vector = True

    def __init__(self, feature_dim: int, n_variables: int, n_classes: int, latent_dim: int) -> None:
        super().__init__()
        self.n_variables, self.n_classes, self.latent_dim = n_variables, n_classes, latent_dim
        self.n_categories = n_classes if n_variables == 1 else None
        self.vector = GaussianLatent(feature_dim, latent_dim)
        self.to_logits = nn.Linear(feature_dim, n_variables * n_classes)
        self.prior = MixturePrior(n_variables, n_classes, latent_dim // n_variables)

    def posterior(self, features: Float[Tensor, "B F"]) -> MixturePosterior:
        """Both parts."""
        logits = wide(self.to_logits(features))
        log_categories = logits.view(-1, self.n_variables, self.n_classes).log_softmax(-1)
        return MixturePosterior(self.vector.posterior(features), log_categories, self.prior)

    def log_prior(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """log of the product of mixtures, components summed out."""
        points = z.unflatten(-1, (self.n_variables, 1, -1))
        log_density = diagonal_gaussian_log_density(points, self.prior.mean, self.prior.log_variance)
        return (log_density.logsumexp(-1) - math.log(self.n_classes)).sum(-1)

    def sample_prior(self, n: int, *, seed: int, symbol: int | None = None) -> Float[Tensor, "n D"]:
        """A uniform component of each variable, or component `symbol` of the only one, and its Gaussian.

        Raises:
            ConfigError: a symbol where there are several mixtures, or one outside 0 .. K-1.
        """
        if symbol is not None and self.n_categories is None:
            raise ConfigError("symbol: this family has several mixtures, not one symbol to choose")
        if symbol is not None and not 0 <= symbol < self.n_classes:
            raise ConfigError(f"symbol: {symbol} is outside 0 .. {self.n_classes - 1}")
        mean = self.prior.mean
        components = uniform_categories(n, self.n_variables, self.n_classes, seed, mean.device)
        if symbol is not None:
            components = torch.full_like(components, symbol)
        noise = philox_normal(seed, torch.arange(n, device=mean.device), dim=self.latent_dim, stream=Stream.INITIAL)[0]
        variables = torch.arange(self.n_variables, device=mean.device)
        chosen, log_variance = mean[variables, components], self.prior.log_variance[variables, components]
        return chosen.flatten(1) + torch.exp(0.5 * log_variance.flatten(1)) * noise


def natural_parameters(mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """Natural parameters of one-dimensional Gaussians: mean / variance and -1 / (2 variance)."""
    precision = torch.exp(-log_variance)
    return mean * precision, -0.5 * precision


def log_partition(first: Tensor, second: Tensor) -> Tensor:
    """Log partition A of a one-dimensional Gaussian with these natural parameters, up to a constant."""
    return -first.square() / (4.0 * second) - 0.5 * torch.log(-2.0 * second)
