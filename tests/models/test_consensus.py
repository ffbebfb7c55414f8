"""Consensus of samples: its similarity by hand, what it prefers, and what it does not depend on."""

import random

import pytest

from svebm_ext.models.consensus import consensus, expected_similarities


def f_score(hypothesis, reference, n):
    """F score with beta 2 by matching n-grams one by one."""
    mine = [tuple(hypothesis[i : i + n]) for i in range(len(hypothesis) - n + 1)]
    left = [tuple(reference[i : i + n]) for i in range(len(reference) - n + 1)]
    n_mine, n_left, shared = len(mine), len(left), 0
    for gram in mine:
        if gram in left:
            left.remove(gram)
            shared += 1
    if not shared:
        return 0.0
    precision, recall = shared / n_mine, shared / n_left
    return 5 * precision * recall / (4 * precision + recall)


def test_similarity_is_the_mean_f_score_to_all_candidates():
    rng = random.Random(0)
    candidates = [rng.choices("abcd", k=rng.randint(0, 7)) for _ in range(12)]
    candidates[5] = candidates[2]
    found = expected_similarities(candidates)
    by_hand = [
        sum((f_score(mine, other, 1) + f_score(mine, other, 2)) / 2 for other in candidates) / len(candidates)
        for mine in candidates
    ]
    assert found == pytest.approx(by_hand)
    assert consensus(candidates) == max(range(12), key=by_hand.__getitem__)


def test_it_is_the_majority_or_what_lies_between():
    assert consensus([["no"], ["the", "moon", "is", "red"], ["yes"], ["the", "moon", "is", "red"]]) == 1
    between = [["turn", "left"], ["turn", "left", "at", "the", "bridge"], ["at", "the", "bridge"]]
    assert consensus(between) == 1
    assert consensus([["only", "one"]]) == 0
    assert consensus([["a"], ["b"]]) == 0  # the first among equals


def test_recall_counts_more_than_precision():
    short, long = ["a", "b"], ["a", "b", "c", "d"]
    to_short, to_long = expected_similarities([short, long])
    assert to_long > to_short


def test_no_candidate_is_refused():
    with pytest.raises(ValueError):
        consensus([])
