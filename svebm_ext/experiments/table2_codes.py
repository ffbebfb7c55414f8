"""Codes of utterances that need no model, for Table 2, and how well each agrees with the labels."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import replace

from svebm_ext.data.corpus import Split
from svebm_ext.files import JsonObject
from svebm_ext.measures import surface
from svebm_ext.measures.agreement import agreement_with_labels, question_marks


def _question_mark(train: Split, test: Split, n_clusters: int) -> JsonObject:
    return _agreement(question_marks(test.sentences), test)


def _last_punctuation(train: Split, test: Split, n_clusters: int) -> JsonObject:
    return _agreement(surface.last_marks(test.sentences), test)


def _first_word(train: Split, test: Split, n_clusters: int) -> JsonObject:
    return _agreement(surface.first_words(train.sentences, test.sentences), test)


def _k_means(train: Split, test: Split, n_clusters: int) -> JsonObject:
    return _agreement(surface.clusters(train.sentences, test.sentences, n_clusters).tolist(), test)


def _supervised(train: Split, test: Split, n_clusters: int) -> JsonObject:
    """Of each label, how its own predictions agree with it."""
    agreement: JsonObject = {}
    for label, values in train.labels.items():
        codes = surface.predicted_labels(train.sentences, values, test.sentences)
        for key, scores in _agreement(codes, replace(test, labels={label: test.labels[label]})).items():
            if isinstance(scores, dict):
                agreement.setdefault(key, {}).update(scores)
    return agreement


def _agreement(codes: Sequence[Hashable], test: Split) -> JsonObject:
    symbols = surface.numbered(codes)
    return {**agreement_with_labels(symbols, test), "symbols_used": len(set(symbols.tolist()))}


#: Agreement with the labels of the test split, by name of the code: of training split, test split, number of clusters.
AGREEMENTS: dict[str, Callable[[Split, Split, int], JsonObject]] = {
    "question-mark": _question_mark,
    "last-punctuation": _last_punctuation,
    "first-word": _first_word,
    "k-means": _k_means,
    "supervised": _supervised,
}
