"""q(z|x) of many training sentences, for what looks at all of them and not at a batch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from svebm_ext.data.batching import EncodedSplit, SentenceBatch, evaluation_batches
from svebm_ext.latents.base import Posterior
from svebm_ext.latents.gaussian import GaussianPosterior
from svebm_ext.models.features import evenly_spread
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.prior.regrouping import Encoded
from svebm_ext.processes import ALONE, Processes
from svebm_ext.randomness import Draw

#: Sentences that are encoded at a time.
BATCH = 256


def encoded_rows(train: EncodedSplit, n_most: int) -> Tensor:
    """At most `n_most` sentences of a split, evenly spread, ascending."""
    return evenly_spread(len(train), n_most)


def _of_batches(
    model: LatentVariableModel,
    train: EncodedSplit,
    n_most: int,
    read: Callable[[SentenceBatch, Posterior], tuple[Tensor, ...]],
    processes: Processes,
) -> list[Tensor]:
    """What is read off batches of at most `n_most` sentences and their posteriors, one after the other.

    The batches are shared by the processes, which all have the result. The model is left in evaluation mode. Meant for
    use under `torch.no_grad`.
    """
    model.eval()
    device = next(model.parameters()).device
    chosen = encoded_rows(train, n_most)

    def encoded(part: Tensor) -> tuple[Tensor, ...]:
        batch = train.collate(chosen[part]).to(device)
        return read(batch, model.posterior(batch))

    batches = processes.map_tensors(encoded, evaluation_batches(train.lengths[chosen], BATCH))
    return [torch.cat(parts) for parts in zip(*batches, strict=True)]


@torch.no_grad()
def posterior_of(
    model: LatentVariableModel, train: EncodedSplit, n_most: int, processes: Processes = ALONE
) -> GaussianPosterior:
    """q(z|x) of the sentences of `encoded_rows`: mean and log variance [N, D], on all processes that share the work."""
    rows, *moments = _of_batches(model, train, n_most, _indexed_moments, processes)
    order = rows.argsort()
    return GaussianPosterior(*(part[order] for part in moments))


def _indexed_moments(batch: SentenceBatch, posterior: Posterior) -> tuple[Tensor, Tensor, Tensor]:
    """Numbers of sentences [B], mean and log variance, each [B, D]."""
    assert isinstance(posterior, GaussianPosterior)
    return batch.indices, *posterior.moments


@torch.no_grad()
def encoded_of(
    model: LatentVariableModel, train: EncodedSplit, n_most: int, draw: Draw, processes: Processes = ALONE
) -> Encoded:
    """mu(x), a z of q(z|x) and, where there is one, the context of the sentences of `encoded_rows`, in any order.

    All processes that share the work have them.
    """

    def read(batch: SentenceBatch, posterior: Posterior) -> tuple[Tensor, ...]:
        context = () if posterior.context is None else (posterior.context,)
        return batch.indices, posterior.mean, posterior.rsample(draw, batch.indices), *context

    rows, means, samples, *context = _of_batches(model, train, n_most, read, processes)
    return Encoded(rows, means, samples, context[0] if context else None)
