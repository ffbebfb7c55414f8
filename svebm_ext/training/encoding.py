"""q(z|x) of many training sentences, for what looks at all of them and not at a batch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from svebm_ext.data.batching import EncodedSplit, SentenceBatch, evaluation_batches
from svebm_ext.latents.base import Posterior
from svebm_ext.latents.gaussian import GaussianPosterior
from svebm_ext.models.features import evenly_spread
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.prior.regrouping import Encoded
from svebm_ext.randomness import Draw

#: Sentences that are encoded at a time.
BATCH = 256


def encoded_rows(train: EncodedSplit, n_most: int) -> Tensor:
    """At most `n_most` sentences of a split, evenly spread, ascending."""
    return evenly_spread(len(train), n_most)


def posteriors_of(
    model: LatentVariableModel, train: EncodedSplit, n_most: int
) -> Iterator[tuple[SentenceBatch, Posterior]]:
    """Batches of at most `n_most` sentences, evenly spread over the split, each with its posterior.

    The model is left in evaluation mode. Meant for use under `torch.no_grad`.
    """
    model.eval()
    device = next(model.parameters()).device
    chosen = encoded_rows(train, n_most)
    for part in evaluation_batches(train.lengths[chosen], BATCH):
        batch = train.collate(chosen[part]).to(device)
        yield batch, model.posterior(batch)


@torch.no_grad()
def posterior_of(model: LatentVariableModel, train: EncodedSplit, n_most: int) -> GaussianPosterior:
    """q(z|x) of the sentences of `encoded_rows`: mean and log variance [N, D]."""
    batches = list(posteriors_of(model, train, n_most))
    order = torch.cat([batch.indices for batch, _ in batches]).argsort()
    moments = [_moments(posterior) for _, posterior in batches]
    return GaussianPosterior(*(torch.cat(parts)[order] for parts in zip(*moments, strict=True)))


def _moments(posterior: Posterior) -> tuple[Tensor, Tensor]:
    """Mean and log variance, each [B, D]."""
    assert isinstance(posterior, GaussianPosterior)
    return posterior.moments


@torch.no_grad()
def encoded_of(model: LatentVariableModel, train: EncodedSplit, n_most: int, draw: Draw) -> Encoded:
    """mu(x), a z of q(z|x) and, where there is one, the context of the sentences of `encoded_rows`, in any order."""
    rows, means, samples, contexts = [], [], [], []
    for batch, posterior in posteriors_of(model, train, n_most):
        rows.append(batch.indices)
        means.append(posterior.mean)
        samples.append(posterior.rsample(draw, batch.indices))
        if posterior.context is not None:
            contexts.append(posterior.context)
    context = torch.cat(contexts) if contexts else None
    return Encoded(torch.cat(rows), torch.cat(means), torch.cat(samples), context)
