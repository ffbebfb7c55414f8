"""Training data by iteration: a batch is a pure function of (configuration, step), so resuming needs the step alone."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, replace
from typing import Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor

from svebm_ext.config import Config
from svebm_ext.data.batching import BatchOrder, EncodedSplit, SentenceBatch, collate, padding_fraction
from svebm_ext.data.corpus import Corpus, Split, label_classes
from svebm_ext.data.dialogs import DialogSplit, sentence_encoder
from svebm_ext.data.documents import DocumentBatch, DocumentSplit, collate_documents, kept_labels
from svebm_ext.data.synthetic import PointBatch, sample_points
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.judges.semi_supervised import NaiveBayes, guessed_classes, naive_bayes_em
from svebm_ext.training.runtime import Runtime


@dataclass(frozen=True)
class Share:
    """This process's part of a global batch of `n_total` examples, and how many labels there are in all its parts.

    A `labelled` batch beside it counts in the cross-entropy alone, and then no label of the other does. `guesses`
    [B, K] are guessed class probabilities of the batch, all 0 where it has none; `n_guessed` have some, in all parts.
    """

    batch: SentenceBatch | DocumentBatch | PointBatch
    n_total: int
    n_labelled: int
    labelled: SentenceBatch | DocumentBatch | None = None
    guesses: Tensor | None = None
    n_guessed: int = 0


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
        labelled, everything = (labels >= 0).nonzero()[:, 0], torch.arange(len(labels))
        others = (labels < 0).nonzero()[:, 0]
        self._labelled = labelled if size > 0 and len(labelled) > 0 else None
        apart = self._labelled is not None and config.objective.labelled_bound and len(others) > 0
        self._others = others if apart else everything
        self.main = BatchOrder(lengths[self._others], config.training.batch_size, seed, window=window)
        if self._labelled is not None:
            self._own = BatchOrder(lengths[labelled], size, seed, window=window)

    def batch(self, step: int) -> tuple[Tensor, Tensor | None]:
        """Indices of the batch of iteration `step`, and of its labelled batch if there is one."""
        chosen = self._others[self.main.batch(step)]
        return chosen, None if self._labelled is None else self._labelled[self._own.batch(step)]


class SentenceFeed:
    """Sentences of a corpus in length-sorted batches.

    Args:
        corpus: its training split is used.
        vocabulary: built on that split.
        config: batch size, longest sentence, label, seed.
        runtime: whose share of each batch is returned.

    Raises:
        ConfigError: the label is unknown, or an epoch's smallest batch has fewer sentences than there are processes.
    """

    def __init__(self, corpus: Corpus, vocabulary: Vocabulary, config: Config, runtime: Runtime) -> None:
        label, self.label_names = training_label(corpus, config)
        encode = sentence_encoder(config.model)
        train = encode(corpus.train, vocabulary, config.data.max_tokens, label, self.label_names)
        self.train = replace(train, labels=kept_labels(train.labels, config, self.label_names))
        valid = encode(corpus.valid, vocabulary, config.data.max_tokens)
        self.valid = replace(valid, labels=class_ids(corpus.valid, label, self.label_names))
        self._order = LabelledOrder(self.train.lengths, self.train.labels, config)
        self._bound, self._runtime = config.objective.labelled_bound, runtime
        #: Probabilities [N, K] of the symbols of each training sentence, where something guides them.
        self.guesses: Tensor | None = None
        smallest = len(self.train) % config.training.batch_size or config.training.batch_size
        if smallest < runtime.world_size:
            raise ConfigError(
                f"training.batch-size: {config.training.batch_size} leaves a batch of {smallest} of the "
                f"{len(self.train)} sentences, too few for {runtime.world_size} processes; choose another size"
            )

    @property
    def steps_per_epoch(self) -> int:
        """Iterations in which every training sentence is seen once."""
        return self._order.main.batches_per_epoch

    def batch(self, step: int) -> Share:
        """This process's share of iteration `step`."""
        share = share_out(self.train, *self._order.batch(step), self._bound, self._runtime)
        return share if self.guesses is None else with_guesses(share, self.guesses, share.n_total)

    def padding(self) -> float:
        """Share of positions of the first epoch's batches that would be padding if batches were padded; none are."""
        lengths = self.train.lengths
        return padding_fraction(lengths[self._order.batch(step)[0]] for step in range(self.steps_per_epoch))

    def fingerprint(self) -> str:
        """Hash of the encoded training data: a run resumes on the same data or not at all."""
        digest = hashlib.sha256(self.train.targets.numpy().tobytes())
        digest.update(self.train.offsets.numpy().tobytes())
        digest.update(self.train.labels.numpy().tobytes())
        return digest.hexdigest()[:16]


class DialogFeed(SentenceFeed):
    """Turns of dialogs, each with the turns before it, in batches sorted by the length of the response.

    Arguments are those of `SentenceFeed`.

    Raises:
        ConfigError: several processes, since each example's chain of the prior is in one of them.
        DataError: the corpus has no dialogs.
    """

    train: DialogSplit

    def __init__(self, corpus: Corpus, vocabulary: Vocabulary, config: Config, runtime: Runtime) -> None:
        if runtime.world_size > 1:
            raise ConfigError(f"model.kind: dialogs train in one process, not in {runtime.world_size}")
        super().__init__(corpus, vocabulary, config, runtime)

    def fingerprint(self) -> str:
        """Hash of the encoded training data and of where dialogs begin."""
        digest = hashlib.sha256(super().fingerprint().encode())
        digest.update(self.train.first.numpy().tobytes())
        return digest.hexdigest()[:16]


class DocumentFeed:
    """Documents of a corpus as bags of words, in random order.

    Args:
        corpus: its training split is used.
        vocabulary: built on that split.
        config: batch sizes, label, labelled examples, seed.
        runtime: one process, since the generator's batch normalisation is over a whole batch.

    Raises:
        ConfigError: the label is unknown, or several processes.
        DataError: a class has too few examples, or no document has a known word.
    """

    def __init__(self, corpus: Corpus, vocabulary: Vocabulary, config: Config, runtime: Runtime) -> None:
        if runtime.world_size > 1:
            raise ConfigError(f"model.kind: documents train in one process, not in {runtime.world_size}")
        label, self.label_names = training_label(corpus, config)
        train = DocumentSplit.from_split(corpus.train, vocabulary, label, self.label_names)
        if train.n_empty == len(train):
            raise DataError("no training document has a word of the vocabulary (data.remove-stop-words?)")
        self.train = replace(train, labels=kept_labels(train.labels, config, self.label_names))
        valid = DocumentSplit.from_split(corpus.valid, vocabulary)
        self.valid = replace(valid, labels=class_ids(corpus.valid, label, self.label_names))
        self._order = LabelledOrder(self.train.lengths, self.train.labels, config, window=1)
        self._bound, self._runtime = config.objective.labelled_bound, runtime
        self._guesses: Tensor | None = None
        if config.objective.pseudo_label_weight > 0:
            kind = cast(Literal["naive_bayes", "ensemble"], config.objective.pseudo_labels)  # checked: no words
            found = guessed_classes(self.train, self.naive_bayes, kind)
            found[self.train.labels >= 0] = 0.0
            self._guesses = F.pad(found, (0, config.model.n_categories - found.shape[1]))

    @functools.cached_property
    def naive_bayes(self) -> NaiveBayes:
        """Naive Bayes with EM on the documents and labels of the run.

        Raises:
            DataError: a class has no labelled document.
        """
        return naive_bayes_em(self.train, len(self.label_names))

    @property
    def steps_per_epoch(self) -> int:
        """Iterations in which every training document (but labelled ones with batches of their own) is seen once."""
        return self._order.main.batches_per_epoch

    def batch(self, step: int) -> Share:
        """The batch of iteration `step`."""
        share = share_out(self.train, *self._order.batch(step), self._bound, self._runtime)
        if self._guesses is None:
            return share
        n_guessed = int((self._guesses[share.batch.indices.cpu()].sum(-1) > 0).sum())
        return with_guesses(share, self._guesses, n_guessed)

    def fingerprint(self) -> str:
        """Hash of the training data: a run resumes on the same data or not at all."""
        digest = hashlib.sha256(self.train.words.numpy().tobytes())
        for tensor in (self.train.counts, self.train.offsets, self.train.labels):
            digest.update(tensor.numpy().tobytes())
        return digest.hexdigest()[:16]


class PointFeed:
    """Fresh points of a 2-D density at every iteration."""

    label_names: tuple[str, ...] = ()
    steps_per_epoch = 1000

    def __init__(self, config: Config, runtime: Runtime) -> None:
        self._config, self._runtime = config, runtime

    def batch(self, step: int) -> Share:
        """This process's share of iteration `step`."""
        n = self._config.training.batch_size
        points = sample_points(self._config.data.corpus, n, seed=self._config.seed, step=step)
        local = points.select(slice(self._runtime.rank, None, self._runtime.world_size))
        return Share(local.to(self._runtime.device), n, 0)

    def fingerprint(self) -> str:
        """Name of the density."""
        return self._config.data.corpus


def with_guesses(share: Share, guesses: Tensor, n_guessed: int) -> Share:
    """The share with the guesses [N, K] of its examples, of which `n_guessed` of all processes have some."""
    indices = share.batch.indices
    return replace(share, guesses=guesses[indices.cpu()].to(indices.device), n_guessed=n_guessed)


def share_out(
    train: EncodedSplit | DocumentSplit, indices: Tensor, labelled: Tensor | None, bound: bool, runtime: Runtime
) -> Share:
    """This process's share of an iteration: one batch, or two where labelled examples do not count in the bound."""

    def gather(chosen: Tensor) -> SentenceBatch | DocumentBatch:
        local = chosen[runtime.rank :: runtime.world_size]
        batch = collate_documents(train, local) if isinstance(train, DocumentSplit) else collate(train, local)
        return batch.to(runtime.device)

    if labelled is None or bound:
        indices = indices if labelled is None else torch.cat((indices, labelled))
        return Share(gather(indices), len(indices), int((train.labels[indices] >= 0).sum()))
    return Share(gather(indices), len(indices), len(labelled), gather(labelled))


def class_ids(split: Split, label: str | None, classes: tuple[str, ...]) -> Tensor:
    """Classes of a split that is not learnt from; -1 also for one that the training split lacks."""
    ids = {name: i for i, name in enumerate(classes)}
    values = split.labels.get(label, []) if label is not None else []
    return torch.tensor([ids.get(value, -1) for value in values] or [-1] * len(split), dtype=torch.int64)


def training_label(corpus: Corpus, config: Config) -> tuple[str | None, tuple[str, ...]]:
    """Name of the label to learn from and the names of its classes; (None, ()) when learning is unsupervised.

    Raises:
        ConfigError: the corpus has no such label, one class of it, or more than the model has symbols.
    """
    if config.objective.label_weight == 0.0:
        return None, ()
    known = sorted(corpus.train.labels)
    name = config.data.label or (known[0] if known else None)
    if name is None:
        raise ConfigError(
            f"objective.label-weight: {config.objective.label_weight} asks for labels to learn from, but corpus "
            f"{corpus.name} has none"
        )
    if name not in known:
        raise ConfigError(
            f"data.label: {name!r} is no label of corpus {corpus.name}; it has {', '.join(known) or 'none'}"
        )
    classes = tuple(label_classes([corpus.train], name))
    if len(classes) == 1:
        raise ConfigError(
            f"data.label: all labelled training texts have the {name} {classes[0]!r}; expected at least two classes to "
            "learn from, or objective.label-weight 0, which learns without labels"
        )
    if config.model.latent == "mixture":
        if len(classes) > config.model.n_classes:
            raise ConfigError(
                f"model.n-classes: {config.model.n_classes} components cannot hold the {len(classes)} classes of {name}"
            )
    elif len(classes) > config.model.n_categories > 0:
        raise ConfigError(
            f"model.n-categories: {config.model.n_categories} symbols cannot hold the {len(classes)} classes of {name}"
        )
    return name, classes
