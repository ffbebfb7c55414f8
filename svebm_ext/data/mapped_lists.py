"""Texts and lists of tokens that lie in files: they are read when they are asked for, some thousand at a time."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import overload

import numpy as np
from jaxtyping import Int64, UInt64

from ..files import remove_stale, written_whole
from .ragged import Ragged, Rows
from .subwords import Subwords
from .token_lists import FlatIds, TokenLists, flattened


def smallest(rows: Rows, n: int) -> Rows:
    """Numbers below n in as few bytes as they need."""
    if isinstance(rows, range):
        return rows
    return rows.astype(np.int32 if n < 2**31 else np.int64, copy=False)


def rows_of(rows: Rows, indices: Sequence[int] | Int64[np.ndarray, " b"]) -> Rows:
    """The rows at some places of others."""
    places = np.asarray(indices, dtype=np.int64)
    return rows.start + rows.step * places if isinstance(rows, range) else rows[places]


class MappedTexts(Sequence[str]):
    """Texts of a file in UTF-8.

    Args:
        store: of their bytes.
        rows: of the store.
    """

    def __init__(self, store: Ragged, rows: Rows) -> None:
        self.store, self.rows = store, smallest(rows, store.n)

    def __len__(self) -> int:
        return len(self.rows)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> MappedTexts: ...
    def __getitem__(self, index: int | slice) -> str | MappedTexts:
        if isinstance(index, slice):
            return MappedTexts(self.store, self.rows[index])
        return bytes(self.store.read(np.array([self.rows[index]]))[0]).decode()

    def __iter__(self) -> Iterator[str]:
        for content, lengths in self.store.parts(self.rows):
            joined, ends = content.tobytes(), np.cumsum(lengths).tolist()
            if joined.isascii():
                text = joined.decode("ascii")
                yield from (text[start:end] for start, end in pairwise((0, *ends)))
            else:
                yield from (joined[start:end].decode() for start, end in pairwise((0, *ends)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(own == others for own, others in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def stored_parts(self) -> Iterator[tuple[np.ndarray, Int64[np.ndarray, " b"]]]:
        """Bytes of the texts and the length of each, of some texts at a time."""
        return self.store.parts(self.rows)

    def part(self, indices: Sequence[int] | Int64[np.ndarray, " b"]) -> MappedTexts:
        """The texts `indices`, in their order."""
        return MappedTexts(self.store, rows_of(self.rows, indices))


class MappedTokens(TokenLists):
    """Lists of tokens whose numbers lie in a file.

    Args:
        tokens: distinct tokens.
        store: of numbers, which are places in `tokens`.
        rows: of the store.
    """

    def __init__(self, tokens: Sequence[str], store: Ragged, rows: Rows) -> None:
        self._tokens, self.store, self.rows = tokens, store, smallest(rows, store.n)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lengths(self) -> Int64[np.ndarray, " B"]:  # type: ignore[override]
        """Tokens of each list, read anew each time."""
        return self.store.lengths(self.rows)

    @overload
    def __getitem__(self, index: int) -> list[str]: ...
    @overload
    def __getitem__(self, index: slice) -> MappedTokens: ...
    def __getitem__(self, index: int | slice) -> list[str] | MappedTokens:
        if isinstance(index, slice):
            return MappedTokens(self._tokens, self.store, self.rows[index])
        numbers, _ = self.store.read(np.array([self.rows[index]]))
        return [self._tokens[number] for number in numbers.tolist()]

    def __repr__(self) -> str:
        return f"MappedTokens({len(self):,} lists in {self.store.path})"

    def stored_parts(self) -> Iterator[tuple[np.ndarray, Int64[np.ndarray, " b"]]]:
        """Numbers of the tokens and the length of each list, of some lists at a time."""
        return self.store.parts(self.rows)

    def at(self, rows: Rows) -> MappedTokens:
        """The lists at some rows of the file."""
        return MappedTokens(self._tokens, self.store, rows)

    def _in_parts(self) -> Iterator[TokenLists]:
        for numbers, lengths in self.stored_parts():
            yield TokenLists(self._tokens, numbers, np.cumsum(lengths) - lengths, lengths)

    def part(self, indices: Sequence[int] | Int64[np.ndarray, " b"]) -> MappedTokens:
        """The lists `indices`, in their order."""
        return MappedTokens(self._tokens, self.store, rows_of(self.rows, indices))

    def flat_ids(self, encode: Callable[[Sequence[str]], list[int]], n_kept: int, end: int) -> FlatIds:
        """See `TokenLists.flat_ids`; the ids are int32 in a file that is mapped into memory, written where it is not.

        The file lies beside the numbers. Its name is a hash of all that decides it.
        """
        table = np.array(encode(self._tokens), dtype=np.int32)
        lengths = self.lengths
        n_cut, kept = int((lengths > n_kept).sum()), np.minimum(lengths, n_kept, out=lengths)
        kept += 1
        offsets = np.concatenate(([0], np.cumsum(kept)))
        digest = hashlib.sha256(f"{n_kept} {end} {len(self)}".encode() + table.tobytes())
        if isinstance(self.rows, range):
            digest.update(repr(self.rows).encode())
        else:
            digest.update(self.rows.tobytes())
        path = self.store.path.with_name(f"ids-{digest.hexdigest()[:24]}.i32")
        size = int(offsets[-1])
        if not path.is_file() or path.stat().st_size != 4 * size:
            remove_stale(path.parent)
            with written_whole(path) as file:
                for some in self._in_parts():
                    file.write(flattened(table[some._together()], some.lengths, n_kept, end).astype(np.int32).tobytes())
        return FlatIds(_mapped(path, size), offsets, n_cut)


def _mapped(path: Path, size: int) -> np.ndarray:
    """Numbers of a file (int32), mapped into memory."""
    if size == 0:
        return np.empty(0, dtype=np.int32)
    # "c": what is written to the array stays in memory, so that torch takes it
    return np.memmap(path, np.int32, "c", shape=(size,))


class UnreadTexts(Sequence[list[str]]):
    """Texts, each as one word, that subwords are still to be learnt for.

    Args:
        texts: that are mapped.
        read: gives the lists of subwords of all texts of their file.
    """

    def __init__(self, texts: MappedTexts, read: Callable[[Subwords], MappedTokens]) -> None:
        self.texts, self._read = texts, read

    def __len__(self) -> int:
        return len(self.texts)

    @overload
    def __getitem__(self, index: int) -> list[str]: ...
    @overload
    def __getitem__(self, index: slice) -> UnreadTexts: ...
    def __getitem__(self, index: int | slice) -> list[str] | UnreadTexts:
        if isinstance(index, slice):
            return UnreadTexts(self.texts[index], self._read)
        return [self.texts[index]]

    def __iter__(self) -> Iterator[list[str]]:
        return ([text] for text in self.texts)

    def part(self, indices: Sequence[int] | Int64[np.ndarray, " b"]) -> UnreadTexts:
        """The texts `indices`, in their order."""
        return UnreadTexts(self.texts.part(indices), self._read)

    def subwords(self, subwords: Subwords) -> MappedTokens:
        """The texts as lists of subwords."""
        return self._read(subwords).at(self.texts.rows)


def chosen_texts(texts: Sequence[str], indices: Sequence[int] | Int64[np.ndarray, " b"]) -> Sequence[str]:
    """The texts `indices`, in their order."""
    return texts.part(indices) if isinstance(texts, MappedTexts) else [texts[i] for i in indices]


def n_repeated(lists: Sequence[list[str]], tested: Sequence[list[str]]) -> int:
    """How many of the lists `tested` occur among others as well, each as often as it is tested."""
    own, others = _stored(lists), _stored(tested)
    if own is None or others is None or own.store.path != others.store.path:
        left = Counter(map(tuple, tested))  # of the smaller part
        return sum(left.pop(tokens, 0) for tokens in map(tuple, lists))
    hashes, counts = np.unique(np.concatenate([_hashes(*part) for part in others.stored_parts()]), return_counts=True)
    seen = np.zeros(len(hashes), dtype=np.bool_)
    for part in own.stored_parts():
        some = _hashes(*part)
        at = np.minimum(np.searchsorted(hashes, some), len(hashes) - 1)
        seen[at[hashes[at] == some]] = True
    return int(counts[seen].sum())


def _stored(lists: Sequence[list[str]]) -> MappedTexts | MappedTokens | None:
    """Lists that lie in a file; None where they are in memory."""
    if isinstance(lists, UnreadTexts):
        return lists.texts
    return lists if isinstance(lists, MappedTokens) else None


def _hashes(numbers: np.ndarray, lengths: Int64[np.ndarray, " b"]) -> UInt64[np.ndarray, " b"]:
    """A hash of each sequence of numbers: of two that differ it is the same once in 2^64 times."""
    before = np.cumsum(lengths) - lengths
    places = (np.arange(len(numbers)) - np.repeat(before, lengths)).astype(np.uint64)
    mixed = (places << np.uint64(32)) + numbers.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):  # of splitmix64
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    sums = np.concatenate((np.zeros(1, np.uint64), np.cumsum(mixed, dtype=np.uint64)))
    return sums[before + lengths] - sums[before]
