"""What the page shows, as plain data: nothing here knows about HTML or about networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from svebm_ext.measures.words import Word

Pair = tuple[float, float]

#: Splits of a corpus, in the order in which they are shown.
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Settings:
    """What is looked at.

    Attributes:
        split: train, valid, test, or all of them.
        max_sentences: of these splits together, chosen by the seed; 0 takes all.
        samples: sentences generated from each symbol.
        interpolations: pairs of sentences between which the decoder walks.
        seed: of every choice and sample.
    """

    split: str = "all"
    max_sentences: int = 10_000
    samples: int = 5
    interpolations: int = 6
    seed: int = 0


class Measure(NamedTuple):
    """A measure of metrics.json, ready to be read."""

    name: str
    value: str
    unit: str
    meaning: str


class LabelField(NamedTuple):
    """A label of the corpus and its values in this split, most frequent first."""

    name: str
    values: list[str]


class SplitSize(NamedTuple):
    """A split: how many of its sentences are shown, of how many."""

    name: str
    shown: int
    total: int


class Sentence(NamedTuple):
    """A sentence of the corpus.

    Attributes:
        text: as it was written (a long document is cut).
        symbol: most probable one, -1 for a model without symbols.
        probability: of that symbol, given the text.
        labels: index of its value in each `LabelField`, -1 where it has none.
        split: its place in `SPLITS`.
        entropy: of the answer, in nats; 0 for a model without symbols.
        novelty: distance to the sentences that are most like it, in their mean distance.
        of_group: probability of the symbol's group; that of the symbol where there are no groups.
    """

    text: str
    symbol: int
    probability: float
    labels: list[int]
    split: int = 0
    entropy: float = 0.0
    novelty: float = 0.0
    of_group: float = 0.0


class Example(NamedTuple):
    """A sentence that stands for a symbol, and its log odds log p(y|z) / (1 - p(y|z)) there."""

    text: str
    log_odds: float


class LabelCount(NamedTuple):
    """How many of a symbol's sentences have a value of a label."""

    value: str
    n: int


@dataclass(frozen=True)
class Symbol:
    """One symbol y.

    Attributes:
        number: 0 .. K-1.
        name: of the class, where the model learnt from labels.
        n_sentences: sentences whose most probable symbol it is.
        share: of the sentences looked at.
        certainty: mean p(y | z = mu(x)) of its sentences.
        words: that characterise its sentences.
        generator_words: that the generator of documents gives it.
        labels: by name of the label, most frequent value first.
        certain: sentences with the largest p(y|z).
        typical: sentences with the largest p(z|y).
        generated: sentences from p(z|y), each with how often it came.
        topic_words: that characterise its sentences and say something by themselves: the name of a topic.
        texts: rows of the sentences that are most certain of it, all different.
        group: it is of; -1 where symbols are in one level.
        address: what it is called, "3.2"; "" for its number.
    """

    number: int
    name: str
    n_sentences: int
    share: float
    certainty: float
    words: Sequence[Word]
    generator_words: Sequence[str]
    labels: Mapping[str, Sequence[LabelCount]]
    certain: Sequence[Example]
    typical: Sequence[Example]
    generated: Sequence[tuple[str, int]]
    topic_words: Sequence[str] = ()
    texts: Sequence[int] = ()
    group: int = -1
    address: str = ""

    @property
    def called(self) -> str:
        """Its address, or its number."""
        return self.address or str(self.number)


class Group(NamedTuple):
    """A group of symbols: its number, words that name it, and rows of the sentences that are most certain of it."""

    number: int
    words: Sequence[str]
    texts: Sequence[int]


class MapView(NamedTuple):
    """A projection of the latent space: coordinates of the sentences, in their order, and of samples of the prior."""

    name: str
    note: str
    points: list[Pair]
    prior: list[Pair]


class Step(NamedTuple):
    """A decoded point of an interpolation and its most probable symbol (-1: the model has none)."""

    text: str
    symbol: int
    probability: float


class Interpolation(NamedTuple):
    """What is decoded on the straight line between the posterior means of two sentences."""

    start: str
    end: str
    steps: list[Step]


@dataclass(frozen=True)
class Exploration:
    """All that the page shows.

    Attributes:
        title: of the page.
        run: hash of the model, under which a browser keeps what is decided on the page.
        sizes: of the splits that are shown.
        about: facts of the run and of this page.
        measures: from metrics.json, the main ones.
        warnings: that the evaluation gave.
        reasons: why a section (symbols, generated, prior, interpolations, curves, measures) is missing.
        sentences: looked at.
        fields: labels that they have.
        symbols: by share, largest first; empty for a model without symbols.
        views: projections of their posterior means.
        interpolations: between some of them.
        series: steps and values by key of metrics.jsonl.
        label_next: rows of sentences that are worth a label, the most useful first.
        groups: of the symbols, by number; empty where they are in one level.
        groups_kept: whether the model's folder has them, so that its commands know them; else they are of this page.
    """

    title: str
    about: Sequence[tuple[str, str]]
    measures: Sequence[Measure]
    warnings: Sequence[str]
    sentences: Sequence[Sentence]
    fields: Sequence[LabelField]
    symbols: Sequence[Symbol]
    views: Sequence[MapView]
    interpolations: Sequence[Interpolation]
    series: Mapping[str, tuple[list[int], list[float]]]
    reasons: Mapping[str, str] = field(default_factory=dict)
    run: str = ""
    sizes: Sequence[SplitSize] = ()
    label_next: Sequence[int] = ()
    groups: Sequence[Group] = ()
    groups_kept: bool = True

    @property
    def has_learnt_classes(self) -> bool:
        """Whether the symbols are classes, which the model has learnt from labels."""
        return any(symbol.name for symbol in self.symbols)
