"""Priors fitted to z when the networks have been learnt: what an energy-based prior has to be better than.

Source: Ghosh, Sajjadi, Vergari, Black & Schölkopf, From Variational to Deterministic Autoencoders, ICLR 2020, who fit a
mixture of Gaussians with full covariances to the codes afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svebm_ext.densities import LOG_TWO_PI, standard_normal_log_density
from svebm_ext.latents.gaussian import GaussianLatent
from svebm_ext.models.importance import ImportanceSamples
from svebm_ext.models.likelihood import importance_weighted_log_likelihood
from svebm_ext.ops.philox import Stream, philox_uniform

if TYPE_CHECKING:
    from sklearn.mixture import GaussianMixture

#: Numbers of Gaussians that are tried.
COMPONENTS = (10, 20, 30, 50)
#: Added to the diagonal of every covariance; iterations of EM at most.
RIDGE, ITERATIONS = 1e-4, 100


@dataclass(frozen=True)
class FittedPrior:
    """Gaussians with full covariances, with weights: p(z) of a model whose networks stay as they are."""

    mixture: GaussianMixture

    @property
    def n_components(self) -> int:
        """How many Gaussians."""
        return int(self.mixture.n_components)

    def log_prob(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """log p(z) in nats, float64."""
        flat = z.detach().cpu().double().flatten(0, -2).numpy()
        scores = torch.from_numpy(self.mixture.score_samples(flat))
        return scores.view(z.shape[:-1]).to(z.device)


def fit_gaussians(z: Float[Tensor, "N D"], n_components: int, *, seed: int = 0) -> FittedPrior:
    """Gaussians with full covariances, fitted by EM from k-means; one of them is the maximum-likelihood Gaussian."""
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(n_components, reg_covar=RIDGE, random_state=seed, max_iter=ITERATIONS)
    return FittedPrior(mixture.fit(z.detach().cpu().double().numpy()))


def fit_mixture(
    z: Float[Tensor, "N D"], valid: Float[Tensor, "n D"], components: Sequence[int] = COMPONENTS, *, seed: int = 0
) -> FittedPrior:
    """The mixture of as many Gaussians as make other z most probable.

    Args:
        z: of q(z|x) of training examples.
        valid: of validation examples.
        components: numbers of Gaussians to choose from; those above the number of z are left out.
        seed: of k-means, from which EM starts.
    """
    fitted = [fit_gaussians(z, n, seed=seed) for n in components if n <= len(z)]
    return max(fitted, key=lambda prior: float(prior.log_prob(valid).mean()))


def nll_of_priors(drawn: ImportanceSamples, priors: Mapping[str, FittedPrior]) -> dict[str, Float[Tensor, "B"]]:
    """-log p(x) in nats of each example under N(0, I), key `standard`, and under each prior, from the same samples.

    Args:
        drawn: samples of q(z|x), whose own log p(z) is not looked at.
        priors: by name.
    """
    log_priors = {"standard": standard_normal_log_density(drawn.z)}
    log_priors |= {name: prior.log_prob(drawn.z).to(drawn.z.dtype) for name, prior in priors.items()}
    return {
        name: -importance_weighted_log_likelihood(drawn.log_likelihood, log_prior, drawn.log_posterior)
        for name, log_prior in log_priors.items()
    }


class FittedLatent(GaussianLatent):
    """The latent family of a VAE with a fitted prior in the place of N(0, I).

    Its density is the one of `FittedPrior.log_prob` with a gradient, and its samples are addressed like those of other
    families.

    Args:
        latent: of the VAE, whose q(z|x) it shares.
        prior: fitted to z of it.
    """

    log_weights: Tensor
    centres: Tensor
    inverse_roots: Tensor
    roots: Tensor

    def __init__(self, latent: GaussianLatent, prior: FittedPrior) -> None:
        nn.Module.__init__(self)
        self.latent_dim = latent.latent_dim
        self.to_mean, self.to_log_variance = latent.to_mean, latent.to_log_variance
        device, mixture = latent.to_mean.weight.device, prior.mixture
        for name, values in (
            ("log_weights", torch.from_numpy(mixture.weights_).log()),
            ("centres", torch.from_numpy(mixture.means_)),
            ("inverse_roots", torch.from_numpy(mixture.precisions_cholesky_)),
            ("roots", torch.linalg.cholesky(torch.from_numpy(mixture.covariances_))),
        ):
            self.register_buffer(name, values.double().to(device))

    def log_prior(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """log p(z) in nats, float64: log sum_k w_k N(z; mu_k, S_k), P_k P_k^T the inverse of S_k."""
        scaled = torch.einsum("...d,kde->...ke", z.double(), self.inverse_roots)
        scaled = scaled - torch.einsum("kd,kde->ke", self.centres, self.inverse_roots)
        log_determinants = self.inverse_roots.diagonal(dim1=-2, dim2=-1).log().sum(-1)
        constant = self.log_weights + log_determinants - 0.5 * self.latent_dim * LOG_TWO_PI
        return torch.logsumexp(constant - 0.5 * scaled.square().sum(-1), -1)

    def sample_prior(self, n: int, *, seed: int, symbol: int | None = None) -> Float[Tensor, "n D"]:
        """A Gaussian drawn by its weight, and a vector of it."""
        noise = super().sample_prior(n, seed=seed, symbol=symbol)
        ids = torch.arange(n, device=noise.device)
        uniform = philox_uniform(seed, ids, dim=1, stream=Stream.CATEGORY)[0, :, 0].double()
        shares = self.log_weights.exp().cumsum(0)
        chosen = torch.searchsorted(shares / shares[-1], uniform).clamp(max=len(shares) - 1)
        z = self.centres[chosen] + torch.einsum("nde,ne->nd", self.roots[chosen], noise.double())
        return z.to(noise.dtype)
