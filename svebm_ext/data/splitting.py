"""Splits drawn by seed, for corpora and files that come without them."""

from collections.abc import Sequence

import numpy as np

from ..errors import DataError
from .corpus import Split
from .mapped_lists import chosen_texts
from .token_lists import chosen

#: Random words that are drawn at a time.
_DRAWN = 1 << 20


def subset(split: Split, indices: np.ndarray) -> Split:
    """The sentences at `indices` of a split, with their labels and texts; dialogs are not kept."""
    return Split(
        chosen(split.sentences, indices),
        {name: [values[i] for i in indices] for name, values in split.labels.items()},
        texts=None if split.texts is None else chosen_texts(split.texts, indices),
    )


def holdout(
    split: Split, n_held_out: int, seed: int, kept: np.ndarray | None = None, labels: Sequence[str] | None = None
) -> tuple[Split, Split]:
    """A split without `n_held_out` random sentences, and those sentences; the order of sentences is kept.

    Args:
        kept: indices of sentences that are not held out.
        labels: of the sentences; as large a share of each class is held out as possible.

    Raises:
        DataError: nothing would be left, or nothing is held out.
    """
    if not 0 < n_held_out < len(split) or n_held_out > len(split) - (0 if kept is None else len(kept)):
        raise DataError(f"cannot hold out {n_held_out} of {len(split)} sentences")
    held = held_out(len(split), n_held_out, seed, kept, labels)
    return subset(split, np.flatnonzero(~held)), subset(split, np.flatnonzero(held))


def held_out(
    size: int, n: int, seed: int, kept: np.ndarray | None = None, labels: Sequence[str] | None = None
) -> np.ndarray:
    """Whether each of `size` sentences is one of the n that are held out: the first n of `holdout_order`."""
    held = np.zeros(size, dtype=np.bool_)
    if labels is not None or (kept is not None and len(kept)):
        held[holdout_order(size, seed, kept, labels)[:n]] = True
        return held
    check_seed(seed)
    words = np.random.Philox(key=seed).random_raw(size)
    words.partition(n - 1)  # in place: the order of ten million sentences would take three times the memory
    largest = words[n - 1]
    del words
    random, last = np.random.Philox(key=seed), []
    for first in range(0, size, _DRAWN):
        some = random.random_raw(min(_DRAWN, size - first))
        held[first : first + _DRAWN] = some < largest
        last.append(first + np.flatnonzero(some == largest))
    held[np.concatenate(last)[: n - int(held.sum())]] = True
    return held


def holdout_order(
    size: int, seed: int, kept: np.ndarray | None = None, labels: Sequence[str] | None = None
) -> np.ndarray:
    """The order in which sentences are held out: a permutation with `kept` at its end.

    With labels, its first n sentences have n m / size of a class of m, rounded up or down (systematic sampling).
    """
    order = shuffled(size, seed)
    if labels is not None:
        order = order[np.argsort(_places(order, labels, seed), kind="stable")]
    if kept is None or len(kept) == 0:
        return order
    last = np.isin(order, kept)
    return np.concatenate((order[~last], order[last]))


def _places(order: np.ndarray, labels: Sequence[str], seed: int) -> np.ndarray:
    """Place in [0, 1) of each sentence of a permutation: the i-th of a class of m has (i + u) / m, u uniform."""
    names = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    classes = np.array([names[label] for label in labels], dtype=np.int64)[order]
    by_class = np.argsort(classes, kind="stable")
    counts = np.bincount(classes, minlength=len(names))
    ranks = np.empty(len(order), dtype=np.int64)
    ranks[by_class] = np.arange(len(order)) - np.repeat(np.cumsum(counts) - counts, counts)
    words = np.random.Philox(key=seed).random_raw(len(order) + len(names))[len(order) :]  # beyond the permutation's
    return (ranks + words[classes] / 2.0**64) / counts[classes]


def one_of_each(labels: Sequence[str], seed: int, kept: np.ndarray) -> np.ndarray:
    """Indices `kept`, and of every class that has none there one example, chosen by `seed`; "" is no class."""
    covered = {labels[i] for i in kept} | {""}
    chosen = list(kept)
    for index in shuffled(len(labels), seed)[::-1].tolist():
        if labels[index] not in covered:
            covered.add(labels[index])
            chosen.append(index)
    return np.sort(np.array(chosen, dtype=np.int64))


def shuffled(size: int, seed: int) -> np.ndarray:
    """A permutation of 0 .. size - 1 that depends on `seed` alone, whatever the version of numpy.

    Raises:
        DataError: the seed is outside 0 .. 2^64 - 1.
    """
    check_seed(seed)
    return np.argsort(np.random.Philox(key=seed).random_raw(size), kind="stable")


def check_seed(seed: int) -> None:
    """Refuse (DataError) what is no seed."""
    if not 0 <= seed < 2**64:
        raise DataError(f"seed must be in 0 .. 2^64 - 1, not {seed}")
