"""Sentences by their nearest neighbours, where a pretrained encoder says which these are.

Vectors of a good encoder have the sentences of one meaning near each other, in groups that are neither round nor
equally wide: k-means cuts through them. The graph of nearest neighbours knows of no width. Each sentence is replaced by
the mean of itself and its neighbours, a few times, which draws groups together and leaves the gaps between them.

Source: Wu et al., Simplifying Graph Convolutional Networks, ICML 2019; of clustering, Zhang et al., Attributed Graph
Clustering via Adaptive Graph Convolution, IJCAI 2019.
"""

from __future__ import annotations

import numpy as np

from svebm_ext.training.guides.bags import Array

#: Neighbours of a sentence, and times that means are taken.
NEIGHBOURS, STEPS = 10, 5
#: Share of its neighbours in what a sentence has of labels that spread, and times that they do.
SPREADING, SPREADS = 0.9, 30
#: Sentences whose similarities to all are in memory at a time.
ROWS = 1000


def unit_rows(features: Array) -> Array:
    """Rows of length 1; of length 0 where they have it."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def neighbour_graph(features: Array, n: int = NEIGHBOURS) -> Array:
    """Cosines [N, N] (scipy) of rows and their n nearest, where either is among the other's; 0 elsewhere.

    Args:
        features: unit rows [N, F].
        n: neighbours, fewer where there are fewer rows.
    """
    from scipy.sparse import csr_matrix

    N = len(features)
    n = min(n, N - 1)
    if n < 1:
        return csr_matrix((N, N), dtype=np.float32)
    nearest, cosines = np.empty((N, n), np.int64), np.empty((N, n), np.float32)
    for first in range(0, N, ROWS):
        part = features[first : first + ROWS] @ features.T
        part[np.arange(len(part)), np.arange(first, first + len(part))] = -np.inf  # itself
        nearest[first : first + ROWS] = np.argpartition(-part, n - 1, axis=1)[:, :n]
        cosines[first : first + ROWS] = np.take_along_axis(part, nearest[first : first + ROWS], 1)
    places = (np.repeat(np.arange(N), n), nearest.ravel())
    graph = csr_matrix((np.maximum(cosines.ravel(), 0.0), places), shape=(N, N))
    return graph.maximum(graph.T)


def smoothed(features: Array, n_steps: int = STEPS) -> Array:
    """Unit rows [N, F]: means of each sentence and its neighbours, weighted by cosines, n_steps times."""
    from scipy.sparse import diags, identity

    means = unit_rows(features)
    graph = neighbour_graph(means) + identity(len(means), dtype=np.float32, format="csr")
    graph = diags((1.0 / np.asarray(graph.sum(1)).ravel()).astype(np.float32)) @ graph
    for _ in range(n_steps):
        means = graph @ means
    return unit_rows(means)


def spread_labels(graph: Array, shares: Array) -> Array:
    """Shares [N, K] of classes of all sentences, from those of labelled ones along the graph: (1 - a) (I - a S)^-1 Y.

    S is the graph with its rows and columns divided by the roots of their sums. Rows add up to 1, or are 0 where no
    label leads.

    Args:
        graph: symmetric [N, N] (scipy), not negative.
        shares: Y [N, K], 0 for sentences without a label.

    Source: Zhou et al., Learning with Local and Global Consistency, NIPS 2003; the inverse by its first terms.
    """
    from scipy.sparse import diags

    scale = diags((1.0 / np.sqrt(np.maximum(np.asarray(graph.sum(1)).ravel(), 1e-12))).astype(np.float32))
    similar, spread = (scale @ graph @ scale).tocsr(), shares
    for _ in range(SPREADS):
        spread = SPREADING * (similar @ spread) + (1.0 - SPREADING) * shares
    told: Array = (spread / np.maximum(spread.sum(1, keepdims=True), 1e-12)).astype(np.float32)
    return told
