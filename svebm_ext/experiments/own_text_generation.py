"""Sentences of each class that a labelled model generates, judged beside those of a trigram chain of real text."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence

from svebm_ext.experiments.own_text_data import Texts
from svebm_ext.files import JsonObject
from svebm_ext.judges.trigram import TrigramChain
from svebm_ext.measures.diversity import copied, distinct
from svebm_ext.models.of_symbol import words_of_symbol
from svebm_ext.models.svebm import SVEBM

#: Labels of each class (0: all) of the rows whose sentences are judged.
GENERATED = (0, 5)
#: Sentences of each class and decoding; those that are kept to read.
N_SENTENCES, N_EXAMPLES = 40, 3
#: C of the judge's logistic regression.
INVERSE_PENALTY = 10.0

Sentences = dict[str, list[list[str]]]


class Judge:
    """Logistic regression of TF-IDF of words and pairs of words, fitted to the training file with all its labels."""

    def __init__(self, train: Texts) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline

        least = min(2, len(train.words))
        words = TfidfVectorizer(sublinear_tf=True, min_df=least, analyzer=_words_and_pairs)
        self._learner = make_pipeline(words, LogisticRegression(C=INVERSE_PENALTY, max_iter=200))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self._learner.fit(train.words, train.labels)

    def share_right(self, sentences: Sequence[Sequence[str]], labels: Sequence[str]) -> float:
        """Share of sentences that are of their class, by this judge."""
        return float((self._learner.predict(sentences) == list(labels)).mean())


def _words_and_pairs(words: Sequence[str]) -> list[str]:
    return [*words, *(f"{first} {second}" for first, second in itertools.pairwise(words))]


def measure_generation(model: SVEBM, train: Texts, test: Texts, seed: int) -> JsonObject:
    """Judged class, variety and copies of N_SENTENCES sentences of each class.

    Args:
        model: whose symbols are classes.
        train: real text; what is also there word for word counts as copied.
        test: real text on which the judge itself is judged.
        seed: of the sentences.
    """
    judge, known = Judge(train), train.as_words()
    measures: JsonObject = {
        "sentences_of_class": N_SENTENCES,
        "judge_on_test": judge.share_right(test.words, test.labels),
    }
    for name, greedy in (("greedy", True), ("sampled", False)):
        made = generate(model, seed, greedy=greedy)
        measures[name] = _measures(made, judge, known)
        measures[name]["examples"] = {
            label: [model.written(words) for words in own[:N_EXAMPLES]] for label, own in made.items()
        }
        measures[f"{name}_unread"] = _measures(generate(model, seed, greedy=greedy, read_back=False), judge, known)
    for name, greedy in (("trigram_greedy", True), ("trigram_sampled", False)):
        measures[name] = _measures(trigram_sentences(train, seed, greedy=greedy), judge, known)
    return measures


def generate(model: SVEBM, seed: int, *, greedy: bool, read_back: bool | None = None) -> Sentences:
    """Words of sentences at z of p(z|y), by class; those that the model reads as of the class, unless told not to."""
    sentences = {}
    for symbol, label in enumerate(model.label_names):
        own = seed * len(model.label_names) + symbol  # the same noise would start the chains of all classes
        sentences[label] = words_of_symbol(model, symbol, N_SENTENCES, seed=own, read_back=read_back, greedy=greedy)
    return sentences


def trigram_sentences(train: Texts, seed: int, *, greedy: bool) -> Sentences:
    """As many sentences of a trigram chain for each class, fitted to the real texts of that class."""
    sentences: Sentences = {}
    for number, label in enumerate(train.classes):
        own = [words for words, given in zip(train.words, train.labels, strict=True) if given == label]
        sentences[label] = TrigramChain.fit(own).sample(N_SENTENCES, seed * len(train.classes) + number, greedy)
    return sentences


def _measures(made: Sentences, judge: Judge, known: set[tuple[str, ...]]) -> JsonObject:
    sentences = [words for own in made.values() for words in own]
    labels = [label for label, own in made.items() for _ in own]
    return {
        "judged": judge.share_right(sentences, labels),
        "distinct_2": distinct(sentences, 2) if any(len(words) > 1 for words in sentences) else None,
        "copied": copied(sentences, known),
    }
