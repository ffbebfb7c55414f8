"""Numbers of the words of a text of any size: no more than a bound of distinct words are known at a time."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Int32, Int64

from .token_lists import Numbers

#: Distinct words that are known, at least; and how many times those that the vocabulary may have.
LEAST_KNOWN, KNOWN_PER_WORD = 1 << 19, 4
#: Numbers that there are; beyond them every new word is unknown.
LARGEST = 2**31 - 2
UNKNOWN = "<unk>"


class WordNumbers:
    """Words in the order in which they were first seen, each with a number that no other word ever gets.

    Where there are more than `n_most` words, the rarest ones are forgotten, at least half of them. One that comes again
    then has a new number. The words of the numbers that were forgotten are read as `<unk>`: they are far too rare for
    the vocabulary. Without that all is exact.

    Args:
        n_most: words that are known after a block.

    Source: Manku & Motwani, Approximate Frequency Counts over Data Streams, VLDB 2002.
    """

    def __init__(self, n_most: int) -> None:
        self.n_most, self.n_given, self.forgot = n_most, 0, False
        self._slots = Numbers()
        self._numbers: Int32[np.ndarray, " W"] = np.empty(0, dtype=np.int32)
        self._counts: Int64[np.ndarray, " W"] = np.empty(0, dtype=np.int64)

    @classmethod
    def of(
        cls,
        n_most: int,
        words: Sequence[str],
        numbers: Int32[np.ndarray, " W"],
        counts: Int64[np.ndarray, " W"],
        n_given: int,
    ) -> WordNumbers:
        """What an encoding knew that was interrupted: words, their numbers and counts, and numbers given so far."""
        known = cls(n_most)
        known._slots.update((word, slot) for slot, word in enumerate(words))
        known._numbers, known._counts, known.n_given = numbers, counts, n_given
        known.forgot = n_given > len(words)
        return known

    @staticmethod
    def n_known(vocabulary_size: int) -> int:
        """Distinct words that a vocabulary of some size asks to be known."""
        return max(LEAST_KNOWN, KNOWN_PER_WORD * vocabulary_size)

    def __len__(self) -> int:
        return len(self._slots)

    def words(self, first: int = 0) -> list[tuple[int, str]]:
        """Words and their numbers, from the one at a place on."""
        return list(zip(self._numbers[first:].tolist(), list(self._slots)[first:], strict=True))

    def block(self, lists: Iterable[Sequence[str]]) -> tuple[Int32[np.ndarray, " n"], Int64[np.ndarray, " b"]]:
        """Numbers of all words of some lists, one after the other, and how many words each has."""
        slots, sizes, known = array("i"), array("i"), self._slots
        for tokens in lists:
            slots.extend(map(known.__getitem__, tokens))
            sizes.append(len(tokens))
        n_before, n_new = len(self._numbers), len(known) - len(self._numbers)
        new = np.arange(self.n_given, self.n_given + n_new, dtype=np.int64)
        self.n_given = min(self.n_given + n_new, LARGEST)
        self._numbers = np.concatenate((self._numbers, np.minimum(new, LARGEST).astype(np.int32)))
        chosen = np.frombuffer(slots, dtype=np.int32) if slots else np.empty(0, dtype=np.int32)
        counts = np.bincount(chosen, minlength=len(known))
        counts[:n_before] += self._counts
        self._counts = counts
        return self._numbers[chosen], np.array(sizes, dtype=np.int64)

    def forget(self) -> bool:
        """Forget the rarest words where there are too many; whether it was so."""
        if len(self) <= self.n_most:
            return False
        least = int(np.partition(self._counts, -(self.n_most // 2))[-(self.n_most // 2)])
        kept = self._counts > least
        words = [word for word, stays in zip(self._slots, kept.tolist(), strict=True) if stays]
        self._slots = Numbers((word, slot) for slot, word in enumerate(words))
        self._numbers, self._counts, self.forgot = self._numbers[kept], self._counts[kept], True
        return True

    def places(self, numbers: Int32[np.ndarray, " n"]) -> Int32[np.ndarray, " n"]:
        """Place of each number among the words that are known; their number for one that was forgotten."""
        at = np.searchsorted(self._numbers, numbers)
        known = (np.append(self._numbers, -1)[at] == numbers) & (numbers < LARGEST)
        return np.where(known, at, len(self)).astype(np.int32)
