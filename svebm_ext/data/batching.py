"""Sentences as ids, batches without padding, and a reproducible order of batches."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TypeAlias, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Float32, Int, Int64, Shaped
from torch import Tensor
from torch.nn.utils.rnn import PackedSequence

from ..errors import DataError, alternatives
from .corpus import Split
from .token_lists import flat_ids_of
from .vocabulary import N_SPECIAL, Vocabulary

_Batch = TypeVar("_Batch", bound="SentenceBatch")
#: Numbers of a tensor that are hashed at a time.
_HASHED = 1 << 20


#: Distinct words of rows in compressed rows (ids of the vocabulary), how often each occurs, and where rows begin.
CountedWords: TypeAlias = tuple[Int[Tensor, "m"], Float[Tensor, "m"], Int[Tensor, "B_plus_1"]]


def bags_of(tokens: Int[Tensor, "n"], rows: Int[Tensor, "n"], n_rows: int, vocabulary_size: int) -> CountedWords:
    """Distinct words of each row in compressed rows, and how often each occurs; special tokens are left out."""
    kept = tokens >= N_SPECIAL
    keys, counts = (rows[kept] * vocabulary_size + tokens[kept]).unique(return_counts=True)
    owners = keys.div(vocabulary_size, rounding_mode="floor")
    offsets = torch.searchsorted(owners, torch.arange(n_rows + 1, device=keys.device))
    return keys - owners * vocabulary_size, counts.float(), offsets


@dataclass(frozen=True)
class EncodedSplit:
    """A split as ids: one flat tensor of all targets, so that a batch is cut out by indexing alone.

    Args:
        targets: words and END of every sentence, one sentence after the other; int32 where a file of them is mapped
            into memory, else int64.
        offsets: sentence i is targets[offsets[i] : offsets[i + 1]].
        labels: class of each sentence, -1 where it has none.
        classes: names of the classes.
        n_truncated: sentences that were cut to fit `max_tokens`.
        max_tokens: tokens of a sentence at most, BEGIN and END counted.
        vectors: of each sentence by a frozen encoder, where there is one.
    """

    targets: Int[Tensor, " n"]
    offsets: Int64[Tensor, " B_plus_1"]
    labels: Int64[Tensor, " B"]
    classes: tuple[str, ...] = ()
    n_truncated: int = 0
    max_tokens: int = 40
    vectors: Float32[Tensor, "B E"] | None = field(default=None, kw_only=True)

    @classmethod
    def from_split(
        cls,
        split: Split,
        vocabulary: Vocabulary,
        max_tokens: int = 40,
        label: str | None = None,
        classes: Sequence[str] | None = None,
    ) -> "EncodedSplit":
        """Encode a split; sentences longer than `max_tokens` lose words at the end and keep END.

        Args:
            label: name of the label to encode; None leaves every sentence unlabelled.
            classes: its classes in the order of their ids; by default those of this split, sorted.

        Raises:
            DataError: max_tokens below 2, no label of that name, or a label value that is none of `classes`.
        """
        if max_tokens < 2:
            raise DataError(f"max_tokens must be at least 2 (BEGIN and END), not {max_tokens}")
        targets, offsets, n_cut = flat_ids_of(split.sentences, vocabulary.encode, max_tokens - 2, vocabulary.END)
        labels, names = encode_labels(split, label, classes)
        return cls(
            targets=torch.from_numpy(targets),
            offsets=torch.from_numpy(offsets),
            labels=labels,
            classes=names,
            n_truncated=n_cut,
            max_tokens=max_tokens,
            vectors=split.vectors,
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64[Tensor, " B"]:
        """Targets (words and END) of each sentence."""
        return self.offsets[1:] - self.offsets[:-1]

    def fingerprint(self) -> str:
        """Hash of the ids, of where sentences begin, and of their labels."""
        return fingerprint_of(self.targets, self.offsets, self.labels, kind=torch.int64)

    def words(self, index: int) -> list[int]:
        """Ids of the words of sentence `index`, without END."""
        return self.targets[self.offsets[index] : self.offsets[index + 1] - 1].tolist()

    def part(self, rows: Int64[Tensor, " B"]) -> "EncodedSplit":
        """The split of the sentences `rows` alone, in their order."""
        starts, lengths = self.offsets[rows], self.lengths[rows]
        ends = torch.cat((lengths.new_zeros(1), lengths.cumsum(0)))
        where = torch.arange(int(ends[-1])) + (starts - ends[:-1]).repeat_interleave(lengths)
        vectors = None if self.vectors is None else self.vectors[rows]
        return replace(
            self, targets=self.targets[where].long(), offsets=ends, labels=self.labels[rows], vectors=vectors
        )

    def followed_by(self, others: "EncodedSplit") -> "EncodedSplit":
        """This split and then the sentences of another one, encoded in the same way."""
        vectors = None
        if self.vectors is not None and others.vectors is not None:
            vectors = torch.cat((self.vectors, others.vectors))
        return replace(
            self,
            targets=torch.cat((self.targets, others.targets)),
            offsets=torch.cat((self.offsets, others.offsets[1:] + self.offsets[-1])),
            labels=torch.cat((self.labels, others.labels)),
            n_truncated=self.n_truncated + others.n_truncated,
            vectors=vectors,
        )

    def part_of_both(self, others: "EncodedSplit", rows: Int64[Tensor, " B"]) -> "EncodedSplit":
        """`followed_by(others).part(rows)` of ascending rows; nothing else of both is copied."""
        is_own = rows < len(self)
        return self.part(rows[is_own]).followed_by(others.part(rows[~is_own] - len(self)))

    def bags(self, vocabulary_size: int) -> CountedWords:
        """Distinct words of each sentence; see `bags_of`."""
        rows = torch.repeat_interleave(torch.arange(len(self)), self.lengths)
        return bags_of(self.targets, rows, len(self), vocabulary_size)

    def collate(self, indices: Int64[Tensor, " B"] | Sequence[int]) -> "SentenceBatch":
        """The sentences `indices` as one packed batch, rows sorted by decreasing length.

        Raises:
            DataError: an index outside the split.
        """
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        n_sentences = len(self)
        if chosen.numel() and (int(chosen.min()) < 0 or int(chosen.max()) >= n_sentences):
            raise DataError(f"sentence index outside 0 to {n_sentences - 1}: {chosen.tolist()}")
        starts, ends = self.offsets[chosen], self.offsets[chosen + 1]
        lengths, order = torch.sort(ends - starts, descending=True, stable=True)
        chosen, starts = chosen[order], starts[order]
        longest = int(lengths[0]) if lengths.numel() else 0
        running = torch.arange(longest).unsqueeze(1) < lengths
        positions, rows = running.nonzero(as_tuple=True)
        where = starts[rows] + positions
        targets = self.targets[where].long()
        # The token before a sentence's first target is the END of another sentence: BEGIN stands there instead.
        inputs = self.targets[(where - 1).clamp_(min=0)].long().masked_fill_(positions == 0, Vocabulary.BEGIN)
        return SentenceBatch(
            inputs=inputs,
            targets=targets,
            batch_sizes=running.sum(1),
            rows=rows,
            positions=positions,
            lengths=lengths,
            indices=chosen,
            labels=self.labels[chosen],
            vectors=None if self.vectors is None else self.vectors[chosen],
        )


def fingerprint_of(*tensors: Tensor, kind: torch.dtype | None = None) -> str:
    """Hash of the numbers of some tensors, in 16 hexadecimal digits.

    Args:
        tensors: to be hashed one after the other.
        kind: type that the numbers are hashed as; their own by default.
    """
    digest = hashlib.sha256()
    for tensor in tensors:
        for part in tensor.reshape(-1).split(_HASHED):
            digest.update(part.to(kind or part.dtype).contiguous().numpy())
    return digest.hexdigest()[:16]


def encode_labels(
    split: Split, label: str | None, classes: Sequence[str] | None
) -> tuple[Int64[Tensor, " B"], tuple[str, ...]]:
    """Class ids of a split's sentences (-1: none) and the names of the classes; see `EncodedSplit.from_split`."""
    if label is None:
        return torch.full((len(split),), -1, dtype=torch.int64), ()
    if label not in split.labels:
        known = alternatives(label, sorted(split.labels), "labels of this split:")
        raise DataError(f"no label named {label!r}; {known}")
    values = split.labels[label]
    names = tuple(classes) if classes is not None else tuple(sorted(set(values) - {""}))
    ids = {name: i for i, name in enumerate(names)} | {"": -1}
    unknown = sorted(set(values) - set(ids))
    if unknown:
        raise DataError(f"label {label!r} has value {unknown[0]!r}; expected one of {', '.join(names)}")
    return torch.tensor([ids[value] for value in values], dtype=torch.int64), names


@dataclass(frozen=True)
class SentenceBatch:
    """Sentences packed time-major as `torch.nn.utils.rnn.PackedSequence` does: no padding is stored or computed.

    Rows are sorted by decreasing length (number of targets), ties in the order asked for. Packed position p is
    time `positions[p]` of row `rows[p]`; the positions of one time step are adjacent.

    Args:
        inputs: BEGIN and the words of each row.
        targets: the words of each row and END.
        batch_sizes: rows that are still running at each time step; always on the CPU, as torch wants it.
        rows: row of each packed position.
        positions: time of each packed position.
        lengths: targets of each row.
        indices: index in the dataset of each row's sentence.
        labels: class of each row, -1 where it has none.
        vectors: of each row by a frozen encoder, where there is one.
    """

    inputs: Int64[Tensor, " n"]
    targets: Int64[Tensor, " n"]
    batch_sizes: Int64[Tensor, " T"]
    rows: Int64[Tensor, " n"]
    positions: Int64[Tensor, " n"]
    lengths: Int64[Tensor, " B"]
    indices: Int64[Tensor, " B"]
    labels: Int64[Tensor, " B"]
    vectors: Float32[Tensor, "B E"] | None = field(default=None, kw_only=True)

    @property
    def n_sentences(self) -> int:
        """Number of rows."""
        return self.lengths.shape[0]

    @property
    def n_tokens(self) -> int:
        """Number of targets, END counted."""
        return self.targets.shape[0]

    def to(self: _Batch, device: torch.device | str, non_blocking: bool = False) -> _Batch:
        """The same batch on `device`; `batch_sizes` stays on the CPU."""
        moved = {
            f.name: getattr(self, f.name).to(device, non_blocking=non_blocking)
            for f in fields(self)
            if f.name != "batch_sizes" and getattr(self, f.name) is not None
        }
        return replace(self, **moved)

    def pin_memory(self) -> "SentenceBatch":
        """The same batch in page-locked memory, for copies that overlap with computation."""
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: tensor.pin_memory() for name, tensor in held.items() if tensor is not None})

    def repeat(self: _Batch, n: int) -> _Batch:
        """Batch with every row n times in a row: row r becomes rows r n .. r n + n - 1."""
        return replace(self, **self._repeated(n))

    def _repeated(self, n: int) -> dict[str, Tensor]:
        """Fields of the batch that `repeat` gives, all at once: their shapes belong together."""
        rows = self.rows.repeat_interleave(n) * n + torch.arange(n, device=self.rows.device).repeat(self.rows.numel())
        names = ("inputs", "targets", "positions", "lengths", "indices", "labels")
        repeated = {name: getattr(self, name).repeat_interleave(n) for name in names}
        if self.vectors is not None:
            repeated["vectors"] = self.vectors.repeat_interleave(n, 0)
        return repeated | {"batch_sizes": self.batch_sizes * n, "rows": rows}

    def copies_within(self, budget: int) -> int:
        """How often the batch may be repeated to have about `budget` tokens, at least once."""
        return max(1, budget // max(1, self.n_tokens))

    def bags(self, vocabulary_size: int) -> CountedWords:
        """Distinct words of each row; see `bags_of`."""
        return bags_of(self.targets, self.rows, self.n_sentences, vocabulary_size)

    def packed(self, values: Shaped[Tensor, "n *features"]) -> PackedSequence:
        """`values`, one entry for each packed position, as the input of a torch recurrent network."""
        return PackedSequence(values, self.batch_sizes)


def collate(dataset: EncodedSplit, indices: Int64[Tensor, " B"] | Sequence[int]) -> SentenceBatch:
    """The sentences `indices` of `dataset` as one packed batch; see `EncodedSplit.collate`."""
    return dataset.collate(indices)


class BatchOrder:
    """Which sentences make up training step `step`: a pure function of (lengths, batch_size, seed, window, step).

    Every epoch visits every sentence once. A seeded permutation is cut into windows of `window` batches; inside a
    window sentences are sorted by length, so that a batch holds sentences of about one length; the batches of all
    windows are then shuffled. Resuming needs the step only.

    Args:
        lengths: tokens of each sentence.
        batch_size: sentences of a global batch; one batch of an epoch is smaller where they do not divide.
        seed: 0 <= seed < 2^64.
        window: batches sorted together; 1 means no sorting, and the order of sentences is uniformly random.
        rank, world: of a global batch, this process gets rows rank, rank + world, ...

    Raises:
        DataError: no sentences, or an argument out of range.
    """

    def __init__(
        self,
        lengths: Int64[Tensor, " B"] | Sequence[int],
        batch_size: int,
        seed: int,
        *,
        window: int = 100,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self._lengths = np.asarray(lengths, dtype=np.int64)
        if self._lengths.size == 0:
            raise DataError("no sentences to make batches of")
        if batch_size < 1 or window < 1:
            raise DataError(f"batch_size and window must be at least 1, not {batch_size} and {window}")
        if not 0 <= seed < 2**64:
            raise DataError(f"seed must be in 0 .. 2^64 - 1, not {seed}")
        if not 0 <= rank < world:
            raise DataError(f"rank must be in 0 .. world - 1, not {rank} of {world}")
        self.batch_size, self.seed, self.window, self.rank, self.world = batch_size, seed, window, rank, world
        self._cached_epoch = -1
        self._batches: list[np.ndarray] = []

    @property
    def batches_per_epoch(self) -> int:
        """Steps in which every sentence is visited once."""
        return -(-len(self._lengths) // self.batch_size)

    def epoch(self, step: int) -> int:
        """Epoch, from 0, that `step` belongs to."""
        return step // self.batches_per_epoch

    def batch(self, step: int) -> Int64[Tensor, " B"]:
        """Indices of this process's sentences of training step `step` >= 0.

        Empty where the epoch's smaller batch has fewer sentences than there are processes.
        """
        if step < 0:
            raise DataError(f"step must be at least 0, not {step}")
        epoch, number = divmod(step, self.batches_per_epoch)
        if epoch != self._cached_epoch:
            self._batches = self._epoch_batches(epoch)
            self._cached_epoch = epoch
        return torch.from_numpy(self._batches[number][self.rank :: self.world].copy())

    def _epoch_batches(self, epoch: int) -> list[np.ndarray]:
        """All global batches of an epoch, in order."""
        # Raw words of a counter-based generator, sorted: unlike `permutation` or `randperm`, numpy promises that these
        # never change from one version to the next, so a run can be resumed after an upgrade.
        random = np.random.Philox(key=np.array([self.seed, epoch], dtype=np.uint64))
        order = np.argsort(random.random_raw(len(self._lengths)), kind="stable")
        batches: list[np.ndarray] = []
        span = self.window * self.batch_size
        for start in range(0, len(order), span):
            window = order[start : start + span]
            if self.window > 1:
                window = window[np.argsort(self._lengths[window], kind="stable")]
            batches += self._cut(window, int(random.random_raw()))
        shuffled = np.argsort(random.random_raw(len(batches)), kind="stable")
        return [batches[i] for i in shuffled]

    def _cut(self, window: np.ndarray, random_word: int) -> list[np.ndarray]:
        """Batches of one sorted window; a smaller one stands anywhere, lest it always hold the longest sentences."""
        sizes = [self.batch_size] * (len(window) // self.batch_size)
        rest = len(window) % self.batch_size
        if rest:
            sizes.insert(random_word % (len(sizes) + 1), rest)
        return np.split(window, np.cumsum(sizes)[:-1])


def evaluation_batches(lengths: Int64[Tensor, " B"] | Sequence[int], batch_size: int) -> list[Int64[Tensor, " b"]]:
    """All sentences in batches of `batch_size`, longest first; the last batch may be smaller, nothing is dropped.

    Raises:
        DataError: batch_size below 1.
    """
    if batch_size < 1:
        raise DataError(f"batch_size must be at least 1, not {batch_size}")
    order = torch.sort(torch.as_tensor(lengths, dtype=torch.int64), descending=True, stable=True).indices
    return list(order.split(batch_size)) if order.numel() else []


def padding_fraction(lengths_of_batches: Iterable[Int64[Tensor, " b"] | Sequence[int]]) -> float:
    """Share of positions that would be padding if each batch were padded to its longest sentence, 0 to 1."""
    real = padded = 0
    for batch in lengths_of_batches:
        lengths = torch.as_tensor(batch, dtype=torch.int64)
        if lengths.numel():
            real += int(lengths.sum())
            padded += int(lengths.max()) * lengths.numel()
    return 1.0 - real / padded if padded else 0.0
