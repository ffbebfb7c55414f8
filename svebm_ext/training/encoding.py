"""q(z|x) of many training sentences, for what looks at all of them and not at a batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from svebm_ext.data.batching import EncodedSplit, SentenceBatch, collate, evaluation_batches
from svebm_ext.models.features import evenly_spread
from svebm_ext.models.latent_variable import LatentVariableModel

#: Sentences that are encoded at a time.
BATCH = 256


def encoded_rows(train: EncodedSplit, n_most: int) -> Tensor:
    """At most `n_most` sentences of a split, evenly spread, ascending."""
    return evenly_spread(len(train), n_most)


def posteriors_of(model: LatentVariableModel, train: EncodedSplit, n_most: int) -> Iterator[tuple[SentenceBatch, Any]]:
    """Batches of at most `n_most` sentences, evenly spread over the split, each with its posterior.

    The model is left in evaluation mode. Meant for use under `torch.no_grad`.
    """
    model.eval()
    device = next(model.parameters()).device
    chosen = encoded_rows(train, n_most)
    for part in evaluation_batches(train.lengths[chosen], BATCH):
        batch = collate(train, chosen[part]).to(device)
        yield batch, model.latent.posterior(model.encoder(batch, None))
