"""What a process gets of an iteration's examples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from svebm_ext.config import Config
from svebm_ext.data.batching import BatchOrder, EncodedSplit, SentenceBatch
from svebm_ext.data.documents import DocumentBatch, DocumentSplit
from svebm_ext.data.synthetic import PointBatch
from svebm_ext.errors import ConfigError
from svebm_ext.training.runtime import Runtime


@dataclass(frozen=True)
class Share:
    """This process's part of a global batch, and how many labels there are in all its parts.

    `examples` are the places of the whole batch in the training split, in the order in which one process would have
    them: row i of this part is number i * W + r.

    A `labelled` batch beside it counts in the cross-entropy alone, and then no label of the other does. `guesses`
    [B, K] are guessed class probabilities of the batch, all 0 where it has none; `n_guessed` have some, in all parts.
    """

    batch: SentenceBatch | DocumentBatch | PointBatch
    examples: Tensor
    n_labelled: int
    labelled: SentenceBatch | DocumentBatch | None = None
    guesses: Tensor | None = None
    n_guessed: int = 0

    @property
    def n_total(self) -> int:
        """Examples of the global batch."""
        return len(self.examples)


@runtime_checkable
class Guesses(Protocol):
    """Guessed class probabilities [N, K] of the training examples, by their rows: a tensor, or made when asked for."""

    def __getitem__(self, rows: Tensor, /) -> Tensor: ...


class LabelledOrder:
    """Which examples make up each iteration, labelled ones apart from the others where they have a batch size.

    Args:
        lengths: tokens of each example.
        labels: class of each, -1 where it has none.
        config: batch sizes and seed; `objective.labelled_bound` tells whether labelled examples are among the others
            as well (it is off) or are left to their own batches (it is on).
        window: see `BatchOrder`.
    """

    def __init__(self, lengths: Tensor, labels: Tensor, config: Config, *, window: int = 100) -> None:
        size, seed = config.training.labelled_batch_size, config.seed
        labelled = (labels >= 0).nonzero()[:, 0]
        self._labelled = labelled if size > 0 and len(labelled) > 0 else None
        apart = self._labelled is not None and config.objective.labelled_bound and len(labelled) < len(labels)
        self._others = (labels < 0).nonzero()[:, 0] if apart else None  # None: all examples
        self._n_examples = len(labels)
        own = lengths if self._others is None else lengths[self._others]
        self.main = BatchOrder(own, config.training.batch_size, seed, window=window)
        if self._labelled is not None:
            self._own = BatchOrder(lengths[labelled], size, seed, window=window)

    def smallest(self) -> dict[str, int]:
        """Examples of the smallest batch of an epoch, by the name of the option that its size follows from."""
        n_main = self._n_examples if self._others is None else len(self._others)
        orders = {"batch-size": (n_main, self.main.batch_size)}
        if self._labelled is not None:
            orders["labelled-batch-size"] = (len(self._labelled), self._own.batch_size)
        return {name: n % size or size for name, (n, size) in orders.items()}

    def batch(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Indices of the batch of iteration `step`, and of its labelled batch if there is one."""
        chosen = self.main.batch(step)
        chosen = chosen if self._others is None else self._others[chosen]
        return chosen, None if self._labelled is None else self._labelled[self._own.batch(step)]


def check_share(option: str, n_smallest: int, runtime: Runtime) -> None:
    """Refuse (ConfigError) a batch of which some process would have nothing.

    Args:
        option: that the size of batches follows from.
        n_smallest: examples of the smallest batch.
        runtime: processes that share it.
    """
    if n_smallest < runtime.world_size:
        raise ConfigError(
            f"training.{option}: leaves a batch of {n_smallest}, too few for {runtime.world_size} processes; choose "
            "another size"
        )


def with_guesses(share: Share, guesses: Guesses, n_guessed: int) -> Share:
    """The share with the guesses [N, K] of its examples, of which `n_guessed` of all processes have some."""
    indices = share.batch.indices
    return replace(share, guesses=guesses[indices.cpu()].to(indices.device), n_guessed=n_guessed)


def share_out(
    train: EncodedSplit | DocumentSplit, indices: Tensor, labelled: Tensor | None, bound: bool, runtime: Runtime
) -> Share:
    """This process's share of an iteration: one batch, or two where labelled examples do not count in the bound."""

    def gather(chosen: Tensor) -> SentenceBatch | DocumentBatch:
        return train.collate(runtime.own(chosen)).to(runtime.device)

    if labelled is None or bound:
        indices = as_collated(train, indices if labelled is None else torch.cat((indices, labelled)))
        return Share(gather(indices), indices, int((train.labels[indices] >= 0).sum()))
    indices = as_collated(train, indices)
    return Share(gather(indices), indices, len(labelled), gather(labelled))


def as_collated(train: EncodedSplit | DocumentSplit, indices: Tensor) -> Tensor:
    """Examples of a batch in the order of its rows; every W-th of them then are in that order too."""
    if isinstance(train, DocumentSplit):
        return indices
    lengths = train.offsets[indices + 1] - train.offsets[indices]
    return indices[lengths.sort(descending=True, stable=True).indices]
