"""Words that characterise groups: a case by hand, the posterior by Monte Carlo, and the edges."""

import math

import pytest
import torch

from svebm_ext.measures.words import Word, characterising_words, log_odds


def test_log_odds_by_hand():
    """Two groups, three words; prior of 10 words: shares 9, 6, 5 of 20 give 4.5, 3, 2.5."""
    scores = log_odds(torch.tensor([[8.0, 2.0, 0.0], [1.0, 4.0, 5.0]], dtype=torch.float64), prior_words=10.0)
    # Word 0: (8 + 4.5) / (20 - 12.5) against (1 + 4.5) / (20 - 5.5), variance 1 / 12.5 + 1 / 5.5.
    first = (math.log(12.5 / 7.5) - math.log(5.5 / 14.5)) / math.sqrt(0.08 + 1 / 5.5)
    second = (math.log(5 / 15) - math.log(7 / 13)) / math.sqrt(1 / 5 + 1 / 7)
    third = (math.log(2.5 / 17.5) - math.log(7.5 / 12.5)) / math.sqrt(1 / 2.5 + 1 / 7.5)
    assert scores[0].tolist() == pytest.approx([first, second, third], abs=1e-12)
    assert first == pytest.approx(2.8926, abs=1e-3)
    assert scores[1].tolist() == pytest.approx([-first, -second, -third], abs=1e-12)  # of two groups, the mirror image


def test_scores_are_those_of_the_dirichlet_posterior():
    """Mean over deviation of the difference of log odds, under exact samples of both posteriors."""
    counts = torch.tensor([[90.0, 60.0, 130.0, 2720.0], [40.0, 75.0, 125.0, 1760.0]], dtype=torch.float64)
    prior = 100.0 * counts.sum(0) / counts.sum()
    torch.manual_seed(0)
    shares = [torch.distributions.Dirichlet(row + prior).sample((40_000,)) for row in counts]
    difference = torch.logit(shares[0]) - torch.logit(shares[1])
    wanted = difference.mean(0) / difference.std(0)
    found = log_odds(counts, prior_words=100.0)[0]
    # The variance leaves out the terms 1 / (n - y), which are small for words that are a small part of the whole.
    torch.testing.assert_close(found[:3], wanted[:3], rtol=0.05, atol=0.05)


def test_words_of_groups():
    sentences = [["play", "the", "song"]] * 30 + [["is", "the", "sky", "grey"]] * 30 + [["the", "only", "one"]]
    groups = torch.tensor([0] * 30 + [1] * 30 + [3])
    found = characterising_words(sentences, groups, 4)
    assert {word.word for word in found[0]} == {"play", "song"}
    assert {word.word for word in found[1]} == {"is", "sky", "grey"}
    assert all(word.times == 30 for word in found[0])
    assert found[2] == []  # a group without sentences
    assert [word.score for word in found[1]] == sorted((w.score for w in found[1]), reverse=True)
    assert len(characterising_words(sentences, groups, 4, n_words=1)[1]) == 1


@pytest.mark.parametrize("sentences", [[["a"]], [["a", "a"], ["a"]], [["a"], ["b"]]])
def test_small_collections_are_no_error(sentences):
    found = characterising_words(sentences, torch.zeros(len(sentences), dtype=torch.long), 2)
    assert found == [[], []]


def test_words_that_only_one_group_has_rank_by_how_often():
    counts = torch.tensor([[40.0, 4.0, 100.0], [0.0, 0.0, 100.0]])
    scores = log_odds(counts)
    assert scores[0, 0] > scores[0, 1] > 0 > scores[0, 2]
    assert Word("x", 1.0, 2).times == 2
