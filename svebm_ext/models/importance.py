"""Importance samples of a latent-variable model: what the likelihood's estimator is fed."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.data.batching import SentenceBatch
from svebm_ext.data.documents import DocumentBatch
from svebm_ext.data.synthetic import PointBatch
from svebm_ext.errors import ConfigError
from svebm_ext.models.latent_variable import LatentVariableModel

#: Tokens decoded at a time.
TOKEN_BUDGET = 40_000


class ImportanceSamples(NamedTuple):
    """[M, B] log p(x|z), log p(z) up to log Z, log q(z|x) of the q drawn from, in nats, and z itself [M, B, D]."""

    log_likelihood: Tensor
    log_prior: Tensor
    log_posterior: Tensor
    z: Tensor

    @property
    def log_weights(self) -> Tensor:
        """log p(x|z) + log p(z) - log q(z|x) [M, B], up to log Z."""
        return self.log_likelihood + self.log_prior - self.log_posterior


@torch.no_grad()
def importance_samples(
    networks: LatentVariableModel,
    batch: SentenceBatch | DocumentBatch | PointBatch,
    n_samples: int,
    *,
    seed: int = 0,
    proposal_scale: float = 1.0,
) -> ImportanceSamples:
    """Draw M samples of q(z|x), or of a wider q, for every example and evaluate the densities of the estimator.

    Args:
        networks: model with a prior.
        batch: B examples; noise is addressed by `batch.indices`.
        n_samples: M; a model without latent variables takes one, with which it is exact.
        seed: of the samples.
        proposal_scale: factor on the standard deviations of q's Gaussian vector. The estimate is of the same p(x) with
            any; a q learnt with a weight w below 1 on the divergence is narrower than p(z|x), and needs one above 1.

    Raises:
        ConfigError: another scale than 1 for a family without a Gaussian vector.
    """
    latent = networks.latent
    if proposal_scale != 1.0 and not latent.has_vector:
        raise ConfigError(
            f"proposal_scale: {proposal_scale} for a family without a Gaussian vector, which only takes 1"
        )
    posterior = networks.posterior(batch).widened(proposal_scale)
    z = posterior.importance_samples(n_samples, seed=seed, ids=batch.indices)
    log_likelihood = log_likelihoods(networks, batch, z)
    return ImportanceSamples(log_likelihood, latent.log_prior(z), posterior.log_prob(z), z)


def log_likelihoods(
    networks: LatentVariableModel, batch: SentenceBatch | DocumentBatch | PointBatch, z: Float[Tensor, "M B D"]
) -> Float[Tensor, "M B"]:
    """log p(x|z) of M vectors for each example, in nats, some tokens at a time."""
    parts = []
    for part in z.split(batch.copies_within(TOKEN_BUDGET)):
        m, B, D = part.shape
        parts.append(-networks.nll(batch.repeat(m), part.transpose(0, 1).reshape(B * m, D)).view(B, m).T)
    return torch.cat(parts)
