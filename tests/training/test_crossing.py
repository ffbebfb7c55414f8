"""Mixtures crossed: faults that the parents do not share are mended."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.metrics import adjusted_rand_score

from svebm_ext.training.guides import unlabelled
from svebm_ext.training.guides.bags import Bags, Guide, expectation_maximisation
from svebm_ext.training.guides.crossing import Mixture, common_groups, crossed, likeliest

N, TOPICS, WORDS = 600, 4, 15


def text_of_topics(seed: int = 0) -> tuple[Bags, np.ndarray]:
    """Sentences of six words, five of the topic's own words and one of any, and the topics [N]."""
    generator = np.random.default_rng(seed)
    topics = generator.integers(TOPICS, size=N)
    own = topics[:, None] * WORDS + generator.integers(WORDS, size=(N, 5))
    any_word = generator.integers(TOPICS * WORDS, size=(N, 1))
    words = np.zeros((N, TOPICS * WORDS), dtype=np.float32)
    np.put_along_axis(words, np.hstack([own, any_word]), 1.0, axis=1)
    return Bags(csr_matrix(words), words, csr_matrix(words)), topics


def with_fault(bags: Bags, topics: np.ndarray, merged: tuple[int, int], cut: int) -> Mixture:
    """What EM makes of the true topics, of which two are one symbol and a third one is two, by its words."""
    symbols = topics.copy()
    symbols[topics == merged[1]] = merged[0]
    halves = np.asarray(bags.words[:, cut * WORDS : cut * WORDS + WORDS // 2].sum(1)).ravel() > 2
    symbols[(topics == cut) & halves] = merged[1]
    return expectation_maximisation(bags.words, np.eye(TOPICS, dtype=np.float32)[symbols], 15)


def test_crossing_mends_faults_that_parents_do_not_share() -> None:
    bags, topics = text_of_topics()
    starts = [with_fault(bags, topics, (0, 1), 2), with_fault(bags, topics, (2, 3), 0)]
    before = [adjusted_rand_score(topics, shares.argmax(1)) for shares, _ in starts]
    assert max(before) < 0.8  # EM alone does not leave its fault
    shares, likelihood = crossed(bags, [start[0] for start in starts])
    assert adjusted_rand_score(topics, shares.argmax(1)) > 0.97
    assert likelihood > max(start[1] for start in starts) + 0.1
    np.testing.assert_allclose(likeliest(bags, starts), likeliest(bags, starts[::-1]))
    assert adjusted_rand_score(topics, likeliest(bags, starts).argmax(1)) > 0.97


def test_a_likelier_parent_stays() -> None:
    """Of a true mixture and two that are wrong, whatever crossing makes of them, no less likely one is taken."""
    bags, topics = text_of_topics(seed=3)
    true = expectation_maximisation(bags.words, np.eye(TOPICS, dtype=np.float32)[topics], 15)
    starts = [with_fault(bags, topics, (0, 1), 2), true, with_fault(bags, topics, (0, 1), 3)]
    _, again = expectation_maximisation(bags.words, likeliest(bags, starts), 1)
    assert again >= true[1] - 1e-4
    assert likeliest(bags, [true]) is true[0]


@pytest.mark.parametrize("most", [2, 3, 6])
def test_common_groups_are_those_of_all_partitions(most: int) -> None:
    """Against all pairs of sentences; beyond `most`, small groups go to one that stays."""
    words = csr_matrix(np.eye(6, dtype=np.float32)[[0, 0, 0, 1, 1, 1, 2, 2, 1]])
    partitions = [np.array([0, 0, 0, 1, 1, 1, 1, 1, 0]), np.array([2, 2, 2, 0, 0, 0, 1, 1, 1])]
    groups = common_groups(words, partitions, most)
    assert len(set(groups.tolist())) <= most
    together = np.logical_and.reduce([one[:, None] == one for one in partitions])
    if most >= 4:
        np.testing.assert_array_equal(groups[:, None] == groups, together)
    else:
        np.testing.assert_array_equal((groups[:, None] == groups)[:6, :6], together[:6, :6])
        assert groups[8] == groups[3]  # its group is too small; it goes to the one that has its word


def test_symbols_that_the_other_half_predicts_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whichever way leads to the topics: what the other way gives is predicted worse, and not taken."""
    bags, topics = text_of_topics()
    half = topics // 2 * 2  # two topics of each symbol, by their words as clear as four
    by_chance = np.random.default_rng(1).integers(TOPICS, size=N)
    shares = {
        name: np.eye(TOPICS, dtype=np.float32)[symbols] for name, symbols in [("all", topics), ("none", by_chance)]
    }
    told = {name: unlabelled.predictability(bags, one, 0) for name, one in shares.items()}
    assert told["all"] > 0.95 and abs(told["none"]) < 0.05
    assert unlabelled.predictability(bags, np.eye(TOPICS)[half], 0) > 0.95
    right = unlabelled.find_symbols(bags, TOPICS, seed=0)
    assert adjusted_rand_score(topics, right.log_probabilities(bags).argmax(1)) > 0.97
    wrong = Guide(right.scores * 0, right.tfidf, right.weight * 0, right.bias * 0)  # one symbol for all
    monkeypatch.setattr(unlabelled, "_vote", lambda bags, starts, seed: wrong)
    crossed_alone = unlabelled.find_symbols(bags, TOPICS, seed=0)
    assert adjusted_rand_score(topics, crossed_alone.log_probabilities(bags).argmax(1)) > 0.97
    monkeypatch.setattr(unlabelled, "_vote", lambda bags, starts, seed: right)
    monkeypatch.setattr(unlabelled, "likeliest", lambda bags, starts: shares["none"])
    assert unlabelled.find_symbols(bags, TOPICS, seed=0).scores is right.scores
