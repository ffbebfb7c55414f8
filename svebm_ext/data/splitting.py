"""Splits drawn by seed, for corpora and files that come without them."""

import numpy as np

from ..errors import DataError
from .corpus import Split


def subset(split: Split, indices: np.ndarray) -> Split:
    """The sentences at `indices` of a split, with their labels and texts; dialogs are not kept."""
    return Split(
        [split.sentences[i] for i in indices],
        {name: [values[i] for i in indices] for name, values in split.labels.items()},
        texts=None if split.texts is None else [split.texts[i] for i in indices],
    )


def holdout(split: Split, n_held_out: int, seed: int, kept: np.ndarray | None = None) -> tuple[Split, Split]:
    """A split without `n_held_out` random sentences, and those sentences; the order of sentences is kept.

    Args:
        kept: indices of sentences that are not held out.

    Raises:
        DataError: nothing would be left, or nothing is held out.
    """
    if not 0 < n_held_out < len(split) or n_held_out > len(split) - (0 if kept is None else len(kept)):
        raise DataError(f"cannot hold out {n_held_out} of {len(split)} sentences")
    order = holdout_order(len(split), seed, kept)
    return subset(split, np.sort(order[n_held_out:])), subset(split, np.sort(order[:n_held_out]))


def holdout_order(size: int, seed: int, kept: np.ndarray | None = None) -> np.ndarray:
    """The order in which sentences are held out: a permutation with `kept` at its end."""
    order = shuffled(size, seed)
    if kept is None or len(kept) == 0:
        return order
    last = np.isin(order, kept)
    return np.concatenate((order[~last], order[last]))


def shuffled(size: int, seed: int) -> np.ndarray:
    """A permutation of 0 .. size - 1 that depends on `seed` alone, whatever the version of numpy.

    Raises:
        DataError: the seed is outside 0 .. 2^64 - 1.
    """
    if not 0 <= seed < 2**64:
        raise DataError(f"seed must be in 0 .. 2^64 - 1, not {seed}")
    return np.argsort(np.random.Philox(key=seed).random_raw(size), kind="stable")
