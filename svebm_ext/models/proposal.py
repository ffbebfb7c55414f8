"""How wide the samples behind the likelihood should be, to cover p(z|x): chosen on validation examples."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from svebm_ext.data.batching import SentenceBatch
from svebm_ext.data.documents import DocumentBatch
from svebm_ext.data.synthetic import PointBatch
from svebm_ext.models.importance import importance_samples
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.models.likelihood import importance_weighted_log_likelihood

#: Factors on the standard deviations of q(z|x) that are tried.
PROPOSAL_SCALES = (1.0, 1.2, 1.4, 1.6, 2.0)
#: Validation examples that they are tried on.
PROPOSAL_EXAMPLES = 32


@torch.no_grad()
def tightest_proposal_scale(
    networks: LatentVariableModel,
    batches: Sequence[SentenceBatch | DocumentBatch | PointBatch],
    n_samples: int,
    *,
    seed: int = 0,
) -> float:
    """Factor on the standard deviations of q(z|x) with which the importance-weighted bound of log p(x) is largest.

    The bound, in expectation, lies below log p(x) whatever the samples are drawn from, and the nearer the better they
    cover p(z|x): the largest is the best. A q learnt with a weight w < 1 on its divergence is near p(x|z)^(1/w) p(z),
    narrower than p(z|x), so that its own samples miss most of what they should add up. As the factor is chosen on other
    examples than those that are measured, the estimate of the latter stays a bound.

    Args:
        networks: model with a prior.
        batches: validation examples.
        n_samples: M, as many as the estimate will take.
        seed: of the samples.

    Returns:
        One of `PROPOSAL_SCALES`; 1 for a family without a Gaussian vector, and without examples.
    """
    best, largest = 1.0, -torch.inf
    if not networks.latent.has_vector or not batches:
        return best
    for scale in PROPOSAL_SCALES:
        bound = 0.0
        for batch in batches:
            drawn = importance_samples(networks, batch, n_samples, seed=seed, proposal_scale=scale)
            bound += float(importance_weighted_log_likelihood(*drawn[:3]).sum())
        if bound > largest:
            best, largest = scale, bound
    return best
