"""Symbols merged from finer ones, so that they tell as much of the words as they can.

k-means cuts a text of few topics by the length and the common words of its sentences. Many small clusters are each of
one topic; of these, the two are merged, again and again, whose union loses the least mutual information between symbol
and word.

Source: Slonim & Tishby, Agglomerative Information Bottleneck, NIPS 1999.
"""

from __future__ import annotations

import numpy as np

from svebm_ext.training.guides.bags import Array


def merged(words: Array, symbols: Array, n_symbols: int) -> Array:
    """Symbols [N] in 0..n_symbols-1 after merging finer ones.

    Args:
        words: which words each sentence has [N, V] (scipy).
        symbols: the finer symbol of each sentence [N].
        n_symbols: how many stay; where there are no more than that, none are merged.
    """
    names, fine = np.unique(symbols, return_inverse=True)
    counts = _counts(words, fine, len(names))
    information = _information(counts)
    losses = np.full((len(names), len(names)), np.inf)  # of a pair, above the diagonal
    for row in range(len(names) - 1):
        both = _information(counts[row] + counts[row + 1 :])
        losses[row, row + 1 :] = information[row] + information[row + 1 :] - both
    goes_to = np.arange(len(names))
    for _ in range(len(names) - n_symbols):
        stays, goes = np.unravel_index(losses.argmin(), losses.shape)
        counts[stays] += counts[goes]
        information[stays] = _information(counts[stays])
        goes_to[goes_to == goes] = stays
        losses[goes] = losses[:, goes] = np.inf
        others = np.setdiff1d(np.unique(goes_to), stays)
        lost = information[stays] + information[others] - _information(counts[stays] + counts[others])
        losses[np.minimum(stays, others), np.maximum(stays, others)] = lost
    numbers: Array = np.unique(goes_to, return_inverse=True)[1][fine]
    return numbers


def _counts(words: Array, symbols: Array, n_symbols: int) -> Array:
    """How many sentences of each symbol have each word [n_symbols, V]."""
    from scipy.sparse import csr_matrix

    n = len(symbols)
    of_symbol = csr_matrix((np.ones(n), (symbols, np.arange(n))), shape=(n_symbols, n))
    counts: Array = (of_symbol @ words).toarray().astype(np.float64)
    return counts


def _information(counts: Array) -> Array:
    """n times the negative entropy (nats) of the words of each symbol [..., V], n words altogether."""
    total = counts.sum(-1)
    logarithms = np.log(counts, out=np.zeros_like(counts), where=counts > 0)
    own: Array = (counts * logarithms).sum(-1) - total * np.log(np.maximum(total, 1.0))
    return own
