"""Halves of a text that find symbols by themselves, and how far these are those of all of the text.

How certain the symbols of a guide are cannot be read off its probabilities: naive Bayes takes the words of a sentence
for independent, so that each new one makes it surer. What can be measured without labels is whether half of the text
finds the same symbols.

Source: the stability of Lange, Roth, Braun & Buhmann, Stability-Based Validation of Clustering Solutions, Neural
Computation 16, 2004.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import numpy as np

from svebm_ext.training.guides.bags import Array

#: Symbols [N] of all sentences that some of them find: their rows, how many symbols, and a seed.
Finder = Callable[[Array, int, int], Array]


def halves(n: int, n_pairs: int, seed: int) -> Iterator[list[Array]]:
    """Both halves of n sentences, by so many orders."""
    for pair in range(n_pairs):
        yield np.array_split(np.random.Generator(np.random.Philox(key=[seed, pair])).permutation(n), 2)


def found_again(symbols: Array, n_symbols: int, find: Finder, pairs: Iterable[list[Array]], seed: int) -> float:
    """Share of the sentences whose symbol halves of the text find as well, when their symbols are named to fit best.

    Args:
        symbols: of all sentences [N].
        n_symbols: K.
        find: finds symbols.
        pairs: of halves.
        seed: of the halves' symbols.
    """
    shares = []
    for pair in pairs:
        for number, half in enumerate(pair):
            shares.append(matched_share(symbols, find(half, n_symbols, seed + number), n_symbols))
    return float(np.mean(shares))


def matched_share(symbols: Array, others: Array, n_symbols: int) -> float:
    """Share of the rows on which two namings agree, when the names of one are exchanged so that it is largest."""
    from scipy.optimize import linear_sum_assignment

    together = np.zeros((n_symbols, n_symbols))
    np.add.at(together, (symbols, others), 1)
    return float(together[linear_sum_assignment(together, maximize=True)].sum() / len(symbols))
