"""What every feed provides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

from svebm_ext.config import Config
from svebm_ext.data.corpus import Corpus
from svebm_ext.data.documents import kept_labels
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.kinds import EncodedTexts, kind_of
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.training.feeds.labels import class_ids, training_label
from svebm_ext.training.feeds.share import Guesses, LabelledOrder, Share, check_share, share_out, with_guesses
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.validation import Validator


class Feed(ABC):
    """Training data by iteration: a batch is a pure function of (configuration, step); resuming needs the step alone.

    Attributes:
        label_names: classes of the label that the run learns from.
        n_chained: training examples each of which has a chain of the prior of its own; 0 where chains are common.
    """

    label_names: Sequence[str] = ()
    n_chained = 0

    @property
    @abstractmethod
    def steps_per_epoch(self) -> int:
        """Iterations in which every training example is seen once."""

    @abstractmethod
    def batch(self, step: int) -> Share:
        """This process's share of iteration `step`."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Hash of the training data: a run resumes on the same data or not at all."""

    def held_out_fingerprint(self) -> str:
        """Hash of what the run is validated and tested on; empty where nothing is held out."""
        return ""


class TextFeed(Feed):
    """Texts of a corpus in batches.

    Args:
        corpus: its training split is learnt from, its validation split measured on.
        vocabulary: built on the training split.
        config: kind of example, batch sizes, label, labelled examples, seed.
        runtime: whose share of each batch is returned.

    Raises:
        ConfigError: the label is unknown, or an epoch's smallest batch has fewer examples than there are processes.
        DataError: a class has too few examples, or there is nothing to learn from.
    """

    #: What measures the model on the validation split.
    validator: type[Validator] = Validator
    #: Batches sorted together by length.
    window = 100
    train: EncodedTexts
    valid: EncodedTexts

    def __init__(self, corpus: Corpus, vocabulary: Vocabulary, config: Config, runtime: Runtime) -> None:
        kind = kind_of(config.model).of_texts()
        label, self.label_names = training_label(corpus, config)
        self.train = train = kind.encode(corpus.train, vocabulary, config, label, self.label_names)
        self.check_examples()
        self.train = replace(train, labels=kept_labels(train.labels, config, self.label_names))
        valid = kind.encode(corpus.valid, vocabulary, config)
        self.valid = replace(valid, labels=class_ids(corpus.valid, label, self.label_names))
        self._order = LabelledOrder(self.train.lengths, self.train.labels, config, window=self.window)
        for option, n in self._order.smallest().items():
            check_share(option, n, runtime)
        self._bound, self._runtime = config.objective.labelled_bound, runtime
        #: Probabilities [N, K] of the symbols of each training example, where something guides them.
        self.guesses: Guesses | None = None
        self._fingerprint: str | None = None
        self._held_out: str | None = None
        self._encode_test = lambda: kind.encode(corpus.test, vocabulary, config)

    def check_examples(self) -> None:
        """Refuse a training split that no run can be made of (DataError)."""

    @property
    def steps_per_epoch(self) -> int:
        """Iterations in which every training example (except labelled ones with batches of their own) is seen once."""
        return self._order.main.batches_per_epoch

    def batch(self, step: int) -> Share:
        """This process's share of iteration `step`."""
        share = share_out(self.train, *self._order.batch(step), self._bound, self._runtime)
        return share if self.guesses is None else with_guesses(share, self.guesses, self.n_guessed(share))

    def n_guessed(self, share: Share) -> int:
        """Examples of an iteration, of all processes, that have a guess."""
        return share.n_total

    def fingerprint(self) -> str:
        """Hash of the encoded training data: a run resumes on the same data or not at all."""
        if self._fingerprint is None:  # each checkpoint has it
            self._fingerprint = self.train.fingerprint()
        return self._fingerprint

    def held_out_fingerprint(self) -> str:
        """Hash of the encoded validation and test data."""
        if self._held_out is None:
            self._held_out = f"{self.valid.fingerprint()}-{self._encode_test().fingerprint()}"
        return self._held_out

    def start(self, networks: LatentVariableModel, config: Config) -> None:
        """Put what the training split tells by itself into fresh networks; here nothing."""

    @abstractmethod
    def described(self, corpus: Corpus, vocabulary: Vocabulary, config: Config) -> str:
        """What is trained on, in a few lines."""
