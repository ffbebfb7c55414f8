"""Lists of tokens as numbers of distinct tokens: a few bytes a token, where a string of its own takes sixty."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, pairwise
from typing import NamedTuple, Protocol, overload, runtime_checkable

import numpy as np
from jaxtyping import Int, Int32, Int64


class Numbers(dict[str, int]):
    """Tokens by the order in which they were first asked for."""

    def __missing__(self, token: str) -> int:
        self[token] = number = len(self)
        return number


class FlatIds(NamedTuple):
    """Ids of lists of tokens, one list after the other, each with an end.

    Args:
        ids: int64, or int32 where they are mapped into memory from a file.
        offsets: list i is ids[offsets[i] : offsets[i + 1]].
        n_cut: lists that were cut.
    """

    ids: Int[np.ndarray, " n"]
    offsets: Int64[np.ndarray, " B_plus_1"]
    n_cut: int


class TokenLists(Sequence[list[str]]):
    """A sequence of lists of tokens, which are made when they are asked for; its parts share what it holds.

    Args:
        tokens: distinct tokens.
        numbers: places in `tokens`.
        starts: list i is numbers[starts[i] : starts[i] + lengths[i]].
        lengths: tokens of each list.
    """

    def __init__(
        self,
        tokens: Sequence[str],
        numbers: Int32[np.ndarray, " n"],
        starts: Int64[np.ndarray, " B"],
        lengths: Int64[np.ndarray, " B"],
    ) -> None:
        self._tokens, self._numbers, self._starts, self.lengths = tokens, numbers, starts, lengths

    @classmethod
    def of(cls, lists: Iterable[Sequence[str]]) -> TokenLists:
        """The lists, each read once."""
        known, numbers, sizes = Numbers(), array("i"), array("i")
        for tokens in lists:
            numbers.extend(map(known.__getitem__, tokens))
            sizes.append(len(tokens))
        lengths = np.array(sizes, dtype=np.int64)
        return cls(list(known), np.frombuffer(numbers, dtype=np.int32), np.cumsum(lengths) - lengths, lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    @overload
    def __getitem__(self, index: int) -> list[str]: ...
    @overload
    def __getitem__(self, index: slice) -> TokenLists: ...
    def __getitem__(self, index: int | slice) -> list[str] | TokenLists:
        if isinstance(index, slice):
            return TokenLists(self._tokens, self._numbers, self._starts[index], self.lengths[index])
        start, length = int(self._starts[index]), int(self.lengths[index])
        return [self._tokens[number] for number in self._numbers[start : start + length].tolist()]

    def __iter__(self) -> Iterator[list[str]]:
        tokens = self._tokens
        for some in self._in_parts():
            ends = np.cumsum(some.lengths).tolist()
            numbers = some._together().tolist()
            for start, end in pairwise((0, *ends)):
                yield [tokens[number] for number in numbers[start:end]]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str):
            return NotImplemented
        return len(self) == len(other) and all(own == others for own, others in zip(self, other, strict=True))

    def __add__(self, other: Sequence[list[str]]) -> TokenLists:
        return TokenLists.of(chain(self, other))

    def __radd__(self, other: Sequence[list[str]]) -> TokenLists:
        return TokenLists.of(chain(other, self))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"TokenLists({len(self):,} lists of {self.lengths.sum():,} tokens)"

    def _in_parts(self) -> Iterator[TokenLists]:
        """The lists, some at a time."""
        for first in range(0, len(self), _LISTS):
            yield self[first : first + _LISTS]

    def _together(self) -> Int32[np.ndarray, " m"]:
        """Numbers of all tokens, list after list."""
        before = np.cumsum(self.lengths) - self.lengths
        return self._numbers[np.arange(self.lengths.sum()) + np.repeat(self._starts - before, self.lengths)]

    def part(self, indices: Sequence[int] | Int64[np.ndarray, " b"]) -> TokenLists:
        """The lists `indices`, in their order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return TokenLists(self._tokens, self._numbers, self._starts[chosen], self.lengths[chosen])

    def ids(self, encode: Callable[[Sequence[str]], list[int]]) -> Int64[np.ndarray, " n"]:
        """Ids of all tokens, list after list; `encode` gives those of the distinct tokens."""
        ids = np.array(encode(self._tokens), dtype=np.int64)
        return np.concatenate([ids[:0], *(ids[some._together()] for some in self._in_parts())])

    def flat_ids(self, encode: Callable[[Sequence[str]], list[int]], n_kept: int, end: int) -> FlatIds:
        """Ids of the first `n_kept` tokens of each list and an end; arguments are those of `flat_ids_of`."""
        return _cut(self.ids(encode), self.lengths, n_kept, end)

    def counts(self) -> Counter[str]:
        """How often each token occurs."""
        counts = np.zeros(len(self._tokens), dtype=np.int64)
        for some in self._in_parts():
            counts += np.bincount(some._together(), minlength=len(counts))
        return Counter({token: count for token, count in zip(self._tokens, counts.tolist(), strict=True) if count})


#: Lists that iteration holds at a time.
_LISTS = 10_000


@runtime_checkable
class _HasParts(Protocol):
    def part(self, indices: Sequence[int] | Int64[np.ndarray, " b"]) -> Sequence[list[str]]: ...


def chosen(lists: Sequence[list[str]], indices: Sequence[int] | Int64[np.ndarray, " b"]) -> Sequence[list[str]]:
    """The lists `indices`, in their order."""
    if isinstance(lists, _HasParts):
        return lists.part(indices)
    return [lists[i] for i in indices]


def lengths_of(lists: Sequence[Sequence[str]]) -> Int64[np.ndarray, " B"]:
    """Tokens of each list."""
    if isinstance(lists, TokenLists):
        return lists.lengths
    return np.fromiter(map(len, lists), dtype=np.int64, count=len(lists))


def flat_ids_of(
    lists: Sequence[Sequence[str]], encode: Callable[[Iterable[str]], list[int]], n_kept: int, end: int
) -> FlatIds:
    """Ids of the first tokens of each list and an end.

    Args:
        lists: of tokens.
        encode: ids of tokens.
        n_kept: tokens of a list at most.
        end: id that follows each list.
    """
    if isinstance(lists, TokenLists):
        return lists.flat_ids(encode, n_kept, end)
    ids = np.array(encode(chain.from_iterable(lists)), dtype=np.int64)
    return _cut(ids, lengths_of(lists), n_kept, end)


def _cut(ids: Int64[np.ndarray, " n"], lengths: Int64[np.ndarray, " B"], n_kept: int, end: int) -> FlatIds:
    ends = np.cumsum(np.minimum(lengths, n_kept) + 1)
    offsets = np.concatenate((np.zeros(1, dtype=np.int64), ends))
    return FlatIds(flattened(ids, lengths, n_kept, end), offsets, int((lengths > n_kept).sum()))


def flattened(
    ids: Int[np.ndarray, " n"], lengths: Int64[np.ndarray, " B"], n_kept: int, end: int
) -> Int[np.ndarray, " m"]:
    """Ids of lists, each of its `lengths`, without those beyond `n_kept` of a list and with an end behind each."""
    places = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    ends = np.cumsum(np.minimum(lengths, n_kept))
    return np.insert(ids[places < n_kept], ends, end)


def ids_of(lists: Sequence[Sequence[str]], encode: Callable[[Iterable[str]], list[int]]) -> Int64[np.ndarray, " n"]:
    """Ids of all tokens, list after list, by an encoding of tokens."""
    if isinstance(lists, TokenLists):
        return lists.ids(encode)
    return np.array(encode(chain.from_iterable(lists)), dtype=np.int64)


def counts_of(lists: Iterable[Sequence[str]]) -> Counter[str]:
    """How often each token occurs in all lists."""
    if isinstance(lists, TokenLists):
        return lists.counts()
    counts: Counter[str] = Counter()
    for tokens in lists:
        counts.update(tokens)
    return counts
