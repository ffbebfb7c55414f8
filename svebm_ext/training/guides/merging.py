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
    losses = np.full((len(names), len(names)), np.inf)  # of a pair, above the diagonal
    for row in range(len(names) - 1):
        losses[row, row + 1 :] = _losses(counts, row, np.arange(row + 1, len(names)))
    goes_to = np.arange(len(names))
    for _ in range(len(names) - n_symbols):
        stays, goes = np.unravel_index(losses.argmin(), losses.shape)
        counts[stays] += counts[goes]
        goes_to[goes_to == goes] = stays
        losses[goes] = losses[:, goes] = np.inf
        others = np.setdiff1d(np.unique(goes_to), stays)
        losses[np.minimum(stays, others), np.maximum(stays, others)] = _losses(counts, int(stays), others)
    numbers: Array = np.unique(goes_to, return_inverse=True)[1][fine]
    return numbers


def _counts(words: Array, symbols: Array, n_symbols: int) -> Array:
    """How many sentences of each symbol have each word [n_symbols, V]."""
    from scipy.sparse import csr_matrix

    n = len(symbols)
    of_symbol = csr_matrix((np.ones(n), (symbols, np.arange(n))), shape=(n_symbols, n))
    counts: Array = (of_symbol @ words).toarray().astype(np.float64)
    return counts


def _losses(counts: Array, symbol: int, others: Array) -> Array:
    """Mutual information (nats, times all words) that is lost when a symbol is merged with each of the others.

    A symbol with counts n_w has the information sum_w n_w log n_w - n log n. Words of one of both alone lose nothing.
    """
    words = np.flatnonzero(counts[symbol])
    own, theirs = counts[symbol, words], counts[np.ix_(others, words)]
    total, totals = counts[symbol].sum(), counts[others].sum(1)
    shared = (_times_logarithm(own) + _times_logarithm(theirs) - _times_logarithm(own + theirs)).sum(1)
    lost: Array = shared - _times_logarithm(total) - _times_logarithm(totals) + _times_logarithm(total + totals)
    return lost


def _times_logarithm(n: Array) -> Array:
    """n log n, 0 for n = 0."""
    from scipy.special import xlogy

    product: Array = xlogy(n, n)
    return product
