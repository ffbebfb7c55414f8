"""Similarity by word vectors against values worked out by hand."""

import math

import pytest
import torch

from svebm_ext.data.embeddings import WordVectors
from svebm_ext.errors import DataError
from svebm_ext.measures.embedding_similarity import best_match, embedding_similarity, extreme_values

VECTORS = WordVectors(("east", "north", "west", "far"), torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [3.0, 4.0]]))


def test_extreme_values_keep_their_sign():
    words = torch.tensor([[1.0, -2.0, 0.5], [-3.0, 1.0, 0.25]])
    assert extreme_values(words).tolist() == [-3.0, -2.0, 0.5]


def test_best_match():
    """far has cosine .6 with east and .8 with north; west has -1 with east and 0 with north."""
    first, second = VECTORS.vectors[[3, 2]], VECTORS.vectors[[0, 1]]
    assert float(best_match(first, second)) == pytest.approx((0.8 + 0.0) / 2)
    assert float(best_match(second, first)) == pytest.approx((0.6 + 0.8) / 2)


def test_worked_example():
    """ "east north" against "far west": means (.5, .5) and (1, 2), extremes (1, 1) and (3, 4)."""
    found = embedding_similarity([["east", "north"]], [["far", "west"]], VECTORS)
    assert found.average == pytest.approx(100 * 1.5 / (math.sqrt(0.5) * math.sqrt(5)))
    assert found.extrema == pytest.approx(100 * 7 / (math.sqrt(2) * 5))
    assert found.greedy == pytest.approx(100 * ((0.6 + 0.8) / 2 + (0.8 + 0.0) / 2) / 2)


def test_equal_sentences_score_100_and_opposite_ones_less_than_0():
    same = embedding_similarity([["far", "east"]], [["far", "east"]], VECTORS)
    assert (same.average, same.extrema, same.greedy) == pytest.approx((100, 100, 100))
    opposite = embedding_similarity([["east"]], [["west"]], VECTORS)
    assert (opposite.average, opposite.extrema, opposite.greedy) == pytest.approx((-100, -100, -100))


def test_unknown_words_are_left_out():
    found = embedding_similarity(
        [["East", "zzz"], ["zzz"], ["north"]], [["east"], ["north"], ["yyy", "NORTH"]], VECTORS
    )
    assert (found.n_pairs, found.n_skipped) == (2, 1)
    assert found.average == pytest.approx(100)


def test_what_cannot_be_compared():
    with pytest.raises(DataError, match="one reference per hypothesis, got 1 and 2"):
        embedding_similarity([["east"]], [["east"], ["west"]], VECTORS)
    with pytest.raises(DataError, match="none of 1 pairs"):
        embedding_similarity([["zzz"]], [["east"]], VECTORS)
