"""Codes of sentences that need no model."""

import random

import pytest
import sklearn.metrics
import torch

from svebm_ext.errors import DataError
from svebm_ext.measures import surface

WORDS = {
    "sea": ["wave", "salt", "boat", "tide", "shore"],
    "kitchen": ["pan", "bread", "knife", "oven", "sugar"],
    "music": ["violin", "drum", "chord", "song", "choir"],
}


def topics(n, seed):
    """Sentences of four words of one topic and one word that all topics share, and their topics."""
    rng = random.Random(seed)
    labels = [rng.choice(list(WORDS)) for _ in range(n)]
    return [["the", *rng.choices(WORDS[label], k=4)] for label in labels], labels


def test_numbers_of_codes():
    assert surface.numbered(["b", "a", "b", ("c", 1)]).tolist() == [0, 1, 0, 2]
    assert surface.numbered([]).dtype == torch.long


def test_last_marks():
    sentences = [["why", "?"], ["so", "."], ["no", "!"], ["?", "well"], [], ["he", "said", "..."]]
    assert surface.last_marks(sentences) == ["?", ".", "!", "other", "other", "other"]


def test_first_words_are_those_frequent_in_training():
    train = [["yes", "."]] * 3 + [["what", "?"]] * 2 + [["boats", "float"]]
    sentences = [["yes"], ["what", "is", "it", "?"], ["boats", "."], ["yes", *["very"] * 17, "!"], []]
    assert surface.first_words(train, sentences, n_words=2) == [
        ("yes", "other", 0), ("what", "?", 1), ("other", ".", 0), ("yes", "!", 5), ("other", "other", 0),
    ]  # fmt: skip


def test_verbatim_share():
    assert surface.verbatim_share([["a", "b"], ["c"]], [["a", "b"], ["b", "a"], ["c"], ["c", "d"]]) == 0.5
    with pytest.raises(DataError, match="at least one sentence"):
        surface.verbatim_share([["a"]], [])


def test_clusters_find_topics_in_new_sentences():
    train, _ = topics(300, seed=0)
    sentences, labels = topics(90, seed=1)
    found = surface.clusters(train, sentences, 3, n_components=6)
    assert sklearn.metrics.adjusted_mutual_info_score(labels, found.numpy()) > 0.95
    assert torch.equal(found, surface.clusters(train, sentences, 3, n_components=6))
    with pytest.raises(DataError, match="k-means: 2 training sentences for 3 clusters"):
        surface.clusters(train[:2], sentences, 3)


def test_a_supervised_classifier_predicts_from_words_and_pairs():
    train, labels = topics(120, seed=0)
    labels[0] = ""
    sentences, truth = topics(60, seed=1)
    assert surface.predicted_labels(train, labels, sentences) == truth
    # Only the order of two words tells these apart.
    pairs = [["you", "are", "."], ["are", "you", "."]] * 10
    orders = ["statement", "question"] * 10
    assert surface.predicted_labels(pairs, orders, pairs[:2]) == ["statement", "question"]
    with pytest.raises(DataError, match="at least two labels"):
        surface.predicted_labels(pairs, ["statement"] * 20, pairs)
