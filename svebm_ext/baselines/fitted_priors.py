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
from torch import Tensor

from svebm_ext.densities import standard_normal_log_density
from svebm_ext.models.importance import ImportanceSamples
from svebm_ext.models.likelihood import importance_weighted_log_likelihood

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
