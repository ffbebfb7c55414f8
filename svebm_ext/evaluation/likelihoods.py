"""The likelihood of one batch of examples: what an evaluation adds up over all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.latents.gaussian import GaussianLatent, GaussianPosterior
from svebm_ext.measures import latent
from svebm_ext.models import likelihood
from svebm_ext.models.importance import importance_samples
from svebm_ext.prior.symbols import energy_of

if TYPE_CHECKING:
    from svebm_ext.evaluation.evaluator import Evaluator

#: Most samples of q(z|x) for the ELBO and its parts, where the NLL has wider ones.
BOUND_SAMPLES = 50


@dataclass(frozen=True)
class BatchLikelihood:
    """What one batch of B examples gives.

    Attributes:
        rows: of the test split [B].
        nll: importance-weighted -log p(x) in nats [B] (float64).
        sizes: effective sample sizes behind them [B].
        sums: over the batch, by the name of the measure.
    """

    rows: Tensor
    nll: Tensor
    sizes: Tensor
    sums: dict[str, float]


def measure_likelihood(evaluator: Evaluator, rows: Tensor, M: int, scale: float, log_z: float) -> BatchLikelihood:
    """Importance-weighted NLL; of samples of q(z|x) itself the ELBO, its parts and the published estimate.

    Args:
        evaluator: of the model, the test split and the seed.
        rows: of the test split.
        M: samples of each example.
        scale: of the proposal, in standard deviations of q(z|x).
        log_z: upper end of the prior's log Z.
    """
    networks, seed, batch = evaluator.model.networks, evaluator.seed, evaluator.batch(rows)
    family, posterior = networks.latent, networks.posterior(batch)
    drawn = importance_samples(networks, batch, M, seed=seed, proposal_scale=scale)
    nll = -likelihood.importance_weighted_log_likelihood(*drawn[:3], log_z).cpu()
    sizes = likelihood.effective_sample_size(drawn.log_weights).cpu()
    if scale != 1.0:
        drawn = importance_samples(networks, batch, min(M, BOUND_SAMPLES), seed=seed)
    others = drawn.z[0].roll(1, 0)  # of sentences as long as these, or nearly: batches are sorted by length
    sums = {
        "nll": float(nll.sum()),
        "elbo": float(likelihood.evidence_lower_bound(*drawn[:3], log_z).sum()),
        "reconstruction_nll": -float(drawn.log_likelihood.mean(0).sum()),
        "reconstruction_nll_shuffled": float(networks.nll(batch, others).sum()),
    }
    published = 0.0
    if isinstance(posterior, GaussianPosterior):
        sums["kl"] = float(latent.kl_to_standard_normal(*posterior.moments).sum())
        energy = torch.zeros_like(drawn.z[..., 0])
        if isinstance(family, EnergyLatent):
            energy = energy_of(family.logits(drawn.z))
        published = float(likelihood.nll_as_published(drawn.log_likelihood, energy, drawn.z, *posterior.moments).sum())
    else:
        sums["kl"] = float((drawn.log_posterior - drawn.log_prior).mean(0).sum())
    if isinstance(family, GaussianLatent):
        sums["nll_as_published"] = published
    return BatchLikelihood(batch.indices.cpu(), nll, sizes, sums)
