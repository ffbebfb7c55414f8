"""Groups of symbols by Ward's method: against scipy's, by repeated points, and on symbols whose groups are known."""

import numpy as np
import pytest
import torch
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score
from tiny_runs import OBJECTS, SUBJECTS, VERBS, tiny_model

from svebm_ext.data import Split
from svebm_ext.errors import ConfigError
from svebm_ext.models import grouping
from svebm_ext.models.grouping import find_groups, joined, number_of_groups, profiles
from svebm_ext.models.symbols import symbol_probabilities
from svebm_ext.prior.groups import SymbolGroups


def points(K=30, F=4, seed=0):
    return torch.randn(K, F, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n_groups", [2, 5, 12])
def test_of_equal_weights_it_is_the_method_of_scipy(n_groups):
    means = points()
    found = joined(torch.ones(30), means, n_groups)
    expected = fcluster(linkage(means.numpy(), "ward"), n_groups, "maxclust")
    assert found.n_groups == n_groups and adjusted_rand_score(found.of, expected) == 1.0


def test_a_symbol_of_weight_three_counts_as_three():
    means, weights = points(12), torch.tensor([1.0, 3.0, 2.0] * 4)
    rows = torch.arange(12).repeat_interleave(weights.long())
    found = joined(weights, means, 4)
    expected = fcluster(linkage(means[rows].numpy(), "ward"), 4, "maxclust")
    assert adjusted_rand_score(np.array(found.of)[rows.numpy()], expected) == 1.0


def test_the_largest_group_comes_first():
    found = joined(torch.tensor([1.0, 1.0, 9.0]), torch.tensor([[0.0], [0.1], [5.0]]), 2)
    assert found == SymbolGroups((1, 1, 0))


@pytest.mark.parametrize("n_groups", [4, 5, 6])
def test_the_number_is_that_of_groups_that_lie_apart(n_groups):
    centres = 20.0 * torch.eye(8, dtype=torch.float64)[:n_groups]
    group = torch.arange(20) % n_groups
    means = centres[group] + points(20, 8)
    found = joined(torch.ones(20), means)
    assert found.n_groups == n_groups and adjusted_rand_score(found.of, group.tolist()) == 1.0


def test_the_number_is_where_the_next_join_costs_most():
    losses = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 6.0, 7.0, 8.0, 9.0, 9.5]  # of 13 symbols: the eighth makes five
    assert number_of_groups(losses) == 5
    assert number_of_groups([1.0]) == 1  # of two symbols: none


def test_a_symbol_that_no_text_has_is_in_some_group():
    found = joined(torch.tensor([5.0, 4.0, 0.0, 6.0]), torch.tensor([[0.0], [9.0], [0.0], [0.2]]), 2)
    assert found == SymbolGroups((0, 1, 0, 0))


TEXTS = [f"{s} {v} {o}".split() for s in SUBJECTS for v in VERBS for o in OBJECTS]


@pytest.mark.parametrize("options", [{}, {"sentence_features": "none"}])
def test_symbols_stand_at_the_means_of_their_texts(options, monkeypatch):
    monkeypatch.setattr(grouping, "AT_A_TIME", 7)
    model = tiny_model(**options)
    weights, means = profiles(model, Split(TEXTS))
    p = symbol_probabilities(model, TEXTS, calibrated=False).double()
    if options:
        z = model.encode(TEXTS).double()
        features = z / z.var(0, correction=0).sqrt()
    else:
        features = model.networks.word_features.of_split(model.encode_split(Split(TEXTS))).double()
    torch.testing.assert_close(weights, p.sum(0), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(means, p.T @ features / p.sum(0)[:, None], rtol=1e-4, atol=1e-5)


def test_few_symbols_have_no_groups_unless_a_number_is_asked_for():
    model = tiny_model()
    assert find_groups(model, Split(TEXTS)) is None and find_groups(model, Split(TEXTS), 1) is None
    assert find_groups(model, Split(TEXTS), 2).n_groups == 2
    many = tiny_model(n_categories=12)
    assert 2 <= find_groups(many, Split(TEXTS)).n_groups <= 5
    for wrong in (6, 100):
        with pytest.raises(ConfigError, match="n-groups"):
            find_groups(model, Split(TEXTS), wrong)
    with pytest.raises(ConfigError, match="no symbols"):
        find_groups(tiny_model(latent="gaussian"), Split(TEXTS), 2)
    with pytest.raises(ConfigError, match="no text"):
        find_groups(model, Split([[]]), 2)
