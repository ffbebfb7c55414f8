"""Sequences of different lengths in a file, one after the other, read some at a time: memory holds what is asked for.

Files are read and not mapped: what is looked at once leaves nothing in the memory of the process.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Int64
from numpy.typing import NDArray

from ..errors import DataError

#: Numbers of sequences: a range, or an array of any order.
Rows: TypeAlias = "range | NDArray[np.integer]"
#: Sequences that are read at a time; numbers of a file that are read for each that is wanted, at most.
AT_A_TIME, SPARE = 10_000, 8


class Ragged:
    """N sequences of numbers.

    Args:
        path: has them one after the other.
        ends_path: has where each ends (int64).
        kind: type of a number.
        n: N.
    """

    def __init__(self, path: Path, ends_path: Path, kind: type[np.generic], n: int) -> None:
        self.path, self.ends_path, self.kind, self.n = path, ends_path, np.dtype(kind), n

    def lengths(self, rows: Rows) -> Int64[np.ndarray, " b"]:
        """Numbers of each sequence of `rows`."""
        lengths = np.empty(len(rows), dtype=np.int64)
        for first in range(0, len(rows), AT_A_TIME):
            starts, ends = self._bounds(rows[first : first + AT_A_TIME])
            lengths[first : first + AT_A_TIME] = ends - starts
        return lengths

    def read(self, rows: Rows) -> tuple[np.ndarray, Int64[np.ndarray, " b"]]:
        """Numbers of the sequences `rows`, in their order, and how many each has.

        Raises:
            DataError: the file has changed meanwhile.
        """
        if not len(rows):
            return np.empty(0, self.kind), np.zeros(0, dtype=np.int64)
        starts, ends = self._bounds(rows)
        lengths = ends - starts
        first, last = int(starts.min()), int(ends.max())
        if last - first > SPARE * max(1, int(lengths.sum())):
            with open(self.path, "rb", buffering=0) as file:
                places = zip(starts.tolist(), ends.tolist(), strict=True)
                parts = [_read(file, self.kind, start, end) for start, end in places]
            return np.concatenate(parts), lengths
        span = _from_file(self.path, self.kind, first, last)
        if last - first == lengths.sum() and bool((starts[1:] == ends[:-1]).all()):
            return span, lengths
        before = np.cumsum(lengths) - lengths
        return span[np.arange(lengths.sum()) + np.repeat(starts - first - before, lengths)], lengths

    def parts(self, rows: Rows) -> Iterator[tuple[np.ndarray, Int64[np.ndarray, " b"]]]:
        """What `read` gives, of some sequences at a time."""
        for first in range(0, len(rows), AT_A_TIME):
            yield self.read(rows[first : first + AT_A_TIME])

    def _bounds(self, rows: Rows) -> tuple[Int64[np.ndarray, " b"], Int64[np.ndarray, " b"]]:
        """Where the sequences begin and end; at most AT_A_TIME are asked for, or they lie together."""
        numbers = np.arange(rows.start, rows.stop, rows.step) if isinstance(rows, range) else rows.astype(np.int64)
        low, high = int(numbers.min()), int(numbers.max()) + 1
        if low < 0 or high > self.n:
            raise IndexError(f"sequences {low} to {high - 1} of {self.n}")
        before = max(0, low - 1)
        if high - before > SPARE * len(numbers) + AT_A_TIME:
            with open(self.ends_path, "rb", buffering=0) as file:
                read = [_read(file, np.dtype(np.int64), max(0, i - 1), i + 1) for i in numbers.tolist()]
            ends = np.array([pair[-1] for pair in read])
            return np.array([pair[0] if len(pair) == 2 else 0 for pair in read]), ends
        all_ends = _from_file(self.ends_path, np.dtype(np.int64), before, high)
        starts = np.where(numbers == 0, 0, all_ends[np.maximum(numbers - 1 - before, 0)])
        return starts, all_ends[numbers - before]


def _from_file(path: Path, kind: np.dtype[np.generic], first: int, last: int) -> np.ndarray:
    numbers = np.fromfile(path, kind, last - first, offset=first * kind.itemsize)
    if len(numbers) != last - first:
        raise _changed(path)
    return numbers


def _read(file: io.FileIO, kind: np.dtype[np.generic], first: int, last: int) -> np.ndarray:
    file.seek(first * kind.itemsize)
    content = file.read((last - first) * kind.itemsize)
    if len(content) != (last - first) * kind.itemsize:
        raise _changed(Path(str(file.name)))
    return np.frombuffer(content, kind)


def _changed(path: Path) -> DataError:
    return DataError(f"{path}: shorter than it was; the cache of encoded text was changed: delete its folder")
