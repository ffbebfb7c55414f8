"""Graphs of nearest neighbours: against scikit-learn, a dense product of matrices, and groups that k-means cuts."""

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.metrics import adjusted_mutual_info_score
from sklearn.neighbors import NearestNeighbors

from svebm_ext.training.guides import labelled, neighbours
from svebm_ext.training.guides.bags import Bags
from svebm_ext.training.guides.labelled import find_classes
from svebm_ext.training.guides.neighbours import neighbour_graph, smoothed, spread_labels, unit_rows
from svebm_ext.training.guides.number import choose_n_symbols
from svebm_ext.training.guides.unlabelled import find_symbols


def some_rows(n=60, dim=5, seed=0):
    return unit_rows(np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32))


@pytest.mark.parametrize("rows_at_a_time", [7, 1000])
def test_neighbours_are_scikit_learns(monkeypatch, rows_at_a_time):
    monkeypatch.setattr(neighbours, "ROWS", rows_at_a_time)
    rows = some_rows()
    graph = neighbour_graph(rows, 4).toarray()
    learner = NearestNeighbors(n_neighbors=4, metric="cosine").fit(rows)
    near = learner.kneighbors(return_distance=False)
    expected = np.zeros((60, 60))
    for row, others in enumerate(near):
        for other in others:
            expected[row, other] = expected[other, row] = max(0.0, rows[row] @ rows[other])
    np.testing.assert_allclose(graph, expected, atol=1e-6)


def test_smoothing_is_a_power_of_the_matrix_of_means():
    rows = some_rows(20) * 3.0
    graph = neighbour_graph(unit_rows(rows)).toarray() + np.eye(20)
    means = np.linalg.matrix_power(graph / graph.sum(1, keepdims=True), 5) @ unit_rows(rows).astype(np.float64)
    np.testing.assert_allclose(smoothed(rows), means / np.linalg.norm(means, axis=1, keepdims=True), atol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_fewer_rows_than_neighbours(n):
    rows = some_rows(n)
    assert smoothed(rows).shape == rows.shape and np.isfinite(smoothed(rows)).all()
    assert neighbour_graph(rows).nnz <= n * (n - 1)


def test_smoothing_draws_groups_together():
    """Directions of groups with noise: the spread within falls by more than that between."""
    groups, bags = rays()
    within = []
    for rows in (unit_rows(bags.features), smoothed(bags.features)):
        centres = np.stack([rows[groups == k].mean(0) for k in range(8)])
        within.append(np.square(rows - centres[groups]).sum() / np.square(centres - centres.mean(0)).sum())
    assert within[1] < 0.3 * within[0]


def test_labels_spread_as_the_closed_form_says():
    rows = some_rows(30)
    graph = neighbour_graph(rows, 5)
    begun = np.zeros((30, 2), np.float32)
    begun[0, 0] = begun[7, 1] = begun[9, 1] = 1.0
    dense = graph.toarray().astype(np.float64)
    scale = np.diag(dense.sum(1) ** -0.5)
    exact = np.linalg.solve(np.eye(30) - 0.9 * scale @ dense @ scale, begun)
    told = spread_labels(graph, begun)
    np.testing.assert_allclose(told.sum(1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(told, exact / exact.sum(1, keepdims=True), atol=0.02)


def test_labels_do_not_reach_what_nothing_leads_to():
    graph = csr_matrix(np.array([[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]], np.float32))
    told = spread_labels(graph, np.array([[0, 1], [0, 0], [0, 0], [0, 0]], np.float32))
    assert told.tolist() == [[0, 1], [0, 1], [0, 0], [0, 0]]


def rays(n_each=40, n_groups=8, seed=0):
    """Groups of an encoder, each in a direction of its own, and words that tell nothing."""
    generator = np.random.default_rng(seed)
    groups = np.repeat(np.arange(n_groups), n_each)
    centres = unit_rows(generator.standard_normal((n_groups, 20)))
    points = 2.0 * unit_rows(centres[groups] + 0.1 * generator.standard_normal((len(groups), 20)))
    words = csr_matrix((generator.random((len(groups), 12)) < 0.3).astype(np.float32))
    return groups, Bags(words, points.astype(np.float32), words, True)


def test_symbols_are_those_of_the_encoder_where_words_tell_nothing():
    groups, bags = rays()
    guide = find_symbols(bags, 8, seed=0)
    assert adjusted_mutual_info_score(groups, guide.log_probabilities(bags).argmax(1)) > 0.95
    assert (find_symbols(bags, 8, seed=0).weight == guide.weight).all()


def test_the_number_of_symbols_is_that_of_the_encoders_groups():
    _, bags = rays(n_each=60, n_groups=7)
    assert choose_n_symbols(bags, seed=0, say=lambda _: None) == 7


def test_few_labels_spread_to_the_groups_of_the_encoder():
    groups, bags = rays()
    labels = np.full(len(groups), -1)
    for k in range(8):
        labels[np.flatnonzero(groups == k)[:2]] = k
    guide = find_classes(bags, labels, 8, seed=0)
    assert (guide.log_probabilities(bags).argmax(1) == groups).mean() > 0.95
    assert (guide.weight != 0).any() and not guide.tfidf.any()  # spread labels know vectors alone
    one = np.where(np.arange(len(groups)) % 40 == 0, groups, -1)  # a label each: nothing to choose by
    assert (find_classes(bags, one, 8, seed=0).log_probabilities(bags).argmax(1) == groups).mean() > 0.95


def test_with_more_labels_vectors_and_words_teach_each_other(monkeypatch):
    """Classes of two groups each, of one of which no text has a label: words that both groups share tell of it."""
    groups, bags = rays(n_groups=8)
    classes = groups // 2
    rng = np.random.default_rng(1)
    words = np.zeros((len(groups), 40), np.float32)
    for row, own in enumerate(classes):
        words[row, rng.choice(8, 4, replace=False) + 8 * own] = 1.0  # of the class
        words[row, rng.choice(8, 2, replace=False) + 32] = 1.0  # of all
    both = Bags(csr_matrix(words), bags.features, csr_matrix(words / np.sqrt(6.0)), True)
    labels = np.full(len(groups), -1)
    for k in range(4):
        labels[np.flatnonzero(groups == 2 * k)[:4]] = k
    right = {}
    for rounds in (0, 2):
        monkeypatch.setattr(labelled, "CO_TRAINING_ROUNDS", rounds)
        guide = find_classes(both, labels, 4, seed=0)
        by_vectors = (both.features @ guide.weight.T + guide.bias).argmax(1)
        unseen = groups % 2 == 1
        right[rounds] = (by_vectors == classes)[unseen].mean()
    assert (guide.log_probabilities(both).argmax(1) == classes).mean() > 0.9
    assert right[0] < 0.5 and right[2] > 0.85  # vectors alone now tell groups that no label is of
