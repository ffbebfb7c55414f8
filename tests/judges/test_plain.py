import random

import pytest

from svebm_ext.errors import DataError
from svebm_ext.judges import plain
from svebm_ext.judges.plain import evenly_spread, tfidf_kmeans, tfidf_logistic_regression
from svebm_ext.measures.latent import cluster_agreement

TOPICS = {
    "light": ["lamp", "bright", "switch", "bulb", "dim"],
    "music": ["song", "play", "band", "loud", "album"],
    "food": ["bread", "oven", "cook", "salt", "soup"],
}


def texts(n, seed):
    source = random.Random(seed)
    labels = [source.choice(list(TOPICS)) for _ in range(n)]
    return [["the", *source.choices(TOPICS[label], k=6), "."] for label in labels], labels


def test_kmeans_finds_topics_of_disjoint_words():
    import torch

    train, _ = texts(300, 0)
    test, labels = texts(100, 1)
    clusters = tfidf_kmeans(train, test, 3, seed=0)
    assert cluster_agreement(torch.tensor(clusters), labels).adjusted_mutual_information == pytest.approx(1.0)
    assert clusters == tfidf_kmeans(train, test, 3, seed=0)
    assert set(clusters) == {0, 1, 2}


def test_kmeans_of_a_sample_that_is_evenly_spread(monkeypatch):
    assert evenly_spread([[str(i)] for i in range(10)], 4) == [["0"], ["2"], ["5"], ["7"]]
    assert evenly_spread([["a"]], 4) == [["a"]]
    train, _ = texts(300, 0)
    test, _ = texts(50, 1)
    expected = tfidf_kmeans(train[::3], test, 3, seed=0)
    monkeypatch.setattr(plain, "KMEANS_SENTENCES", 100)
    assert tfidf_kmeans(train, test, 3, seed=0) == expected


def test_kmeans_of_few_texts():
    assert tfidf_kmeans([["a"], []], [["a"], ["b"], []], 5, seed=0) == [0, 0, 0]
    same = tfidf_kmeans([["a", "b"]] * 4, [["a"]], 3, seed=0)  # fewer different texts than clusters: no warning
    assert len(same) == 1
    with pytest.raises(DataError, match="none of the 0"):
        tfidf_kmeans([[]], [["a"]], 2, seed=0)
    with pytest.raises(DataError, match="at least one cluster"):
        tfidf_kmeans([["a"]], [["a"]], 0, seed=0)


def test_logistic_regression_learns_words_of_classes():
    train, labels = texts(60, 0)
    test, truth = texts(100, 1)
    assert tfidf_logistic_regression(train, labels, test) == truth
    # Words of a single text count as well: a few labels are all there is.
    found = tfidf_logistic_regression([["red", "."], ["blue", "."]], ["warm", "cold"], [["blue"], ["red"]])
    assert found == ["cold", "warm"]
    assert tfidf_logistic_regression([["a"], ["b"]], ["x", "x"], [["c"], []]) == ["x", "x"]


def test_logistic_regression_refuses_what_it_cannot_learn_from():
    with pytest.raises(DataError, match="1 labels of 2"):
        tfidf_logistic_regression([["a"], ["b"]], ["x"], [["a"]])
    with pytest.raises(DataError, match="has a word"):
        tfidf_logistic_regression([], [], [["a"]])
