"""Documents as bags of words: sparse counts, batches of them, and which documents keep their label."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from ..config import Config
from ..errors import DataError
from .batching import CountedWords, encode_labels, fingerprint_of
from .corpus import Split
from .splitting import shuffled
from .token_lists import ids_of, lengths_of
from .vocabulary import N_SPECIAL, Vocabulary


@dataclass(frozen=True)
class DocumentBatch:
    """Bags of words in compressed rows: the words of row b are words[offsets[b] : offsets[b + 1]], each once.

    Args:
        words: distinct words of each document, 0 .. V-1, ascending within a document.
        counts: how often each occurs.
        offsets: where each row begins, and the end of the last.
        indices: index in the dataset of each row's document.
        labels: class of each row, -1 where it has none.
        vectors: of each row by a frozen encoder, where there is one.
    """

    words: Int64[Tensor, " n"]
    counts: Float[Tensor, " n"]
    offsets: Int64[Tensor, " B_plus_1"]
    indices: Int64[Tensor, " B"]
    labels: Int64[Tensor, " B"]
    vectors: Float32[Tensor, "B E"] | None = field(default=None, kw_only=True)

    @property
    def n_documents(self) -> int:
        """Number of rows."""
        return self.indices.shape[0]

    @property
    def n_tokens(self) -> int:
        """Words of all rows, repeated ones counted."""
        return int(self.counts.sum())

    @property
    def rows(self) -> Int64[Tensor, " n"]:
        """Row of each entry."""
        ids = torch.arange(self.n_documents, device=self.words.device)
        return ids.repeat_interleave(self.offsets[1:] - self.offsets[:-1])

    @property
    def totals(self) -> Float[Tensor, " B"]:
        """Words of each row, repeated ones counted."""
        return self.counts.new_zeros(self.n_documents).index_add(0, self.rows, self.counts)

    def to(self, device: torch.device | str) -> "DocumentBatch":
        """The same batch on `device`."""
        held = {f.name: getattr(self, f.name) for f in fields(self)}
        return replace(self, **{name: tensor.to(device) for name, tensor in held.items() if tensor is not None})

    def bags(self, vocabulary_size: int) -> CountedWords:
        """The words of each row as ids of the vocabulary, how often each occurs, and where rows begin."""
        return self.words + N_SPECIAL, self.counts.clamp_min(1.0), self.offsets

    def repeat(self, n: int) -> "DocumentBatch":
        """Batch with every row n times in a row: row r becomes rows r n .. r n + n - 1."""
        chosen = torch.arange(self.n_documents, device=self.words.device).repeat_interleave(n)
        words, counts, offsets = _gather_rows(self.words, self.counts, self.offsets, chosen)
        vectors = None if self.vectors is None else self.vectors[chosen]
        return DocumentBatch(words, counts, offsets, self.indices[chosen], self.labels[chosen], vectors=vectors)

    def copies_within(self, budget: int) -> int:
        """How often the batch may be repeated to have about `budget` words, at least once."""
        return max(1, budget // max(1, self.n_tokens))


@dataclass(frozen=True)
class DocumentSplit:
    """A split as bags of words, in compressed rows; fields as in `DocumentBatch`.

    Args:
        classes: names of the classes.
        n_empty: documents without a word of the vocabulary. They stay, as rows without entries: their likelihood is 1
            and their class the one that the model gives to no evidence at all.
        n_longer: documents whose counts were scaled down; see `from_split`.
        vectors: of each document by a frozen encoder, where there is one.
    """

    words: Int64[Tensor, " n"]
    counts: Float[Tensor, " n"]
    offsets: Int64[Tensor, " B_plus_1"]
    labels: Int64[Tensor, " B"]
    n_words: int
    classes: tuple[str, ...] = ()
    n_empty: int = 0
    n_longer: int = 0
    vectors: Float32[Tensor, "B E"] | None = field(default=None, kw_only=True)

    @classmethod
    def from_split(
        cls,
        split: Split,
        vocabulary: Vocabulary,
        label: str | None = None,
        classes: Sequence[str] | None = None,
        max_words: int = 0,
    ) -> "DocumentSplit":
        """Count the words of each document; words outside the vocabulary are left out.

        Args:
            label: name of the label to encode; None leaves every document unlabelled.
            classes: its classes in the order of their ids; by default those of this split, sorted.
            max_words: that a document counts as, at most; counts of longer ones are scaled down. 0: any number.

        Raises:
            DataError: no label of that name, or a label value that is none of `classes`.
        """
        n_words = len(vocabulary) - N_SPECIAL
        sizes = lengths_of(split.sentences)
        ids = ids_of(split.sentences, vocabulary.encode) - N_SPECIAL
        keys = np.repeat(np.arange(len(split)), sizes) * max(1, n_words) + ids
        keys, counts = np.unique(keys[ids >= 0], return_counts=True)
        rows, words = np.divmod(keys, max(1, n_words))
        lengths = np.bincount(rows, minlength=len(split))
        shares, n_longer = np.ones(len(split)), 0
        if max_words:
            totals = np.bincount(rows, counts, minlength=len(split))
            shares, n_longer = np.minimum(1.0, max_words / np.maximum(totals, 1.0)), int((totals > max_words).sum())
        labels, names = encode_labels(split, label, classes)
        return cls(
            words=torch.from_numpy(words),
            counts=torch.from_numpy(counts * shares[rows]).float(),
            offsets=torch.from_numpy(np.cumsum([0, *lengths])),
            labels=labels,
            n_words=n_words,
            classes=names,
            n_empty=int((lengths == 0).sum()),
            n_longer=n_longer,
            vectors=split.vectors,
        )

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> Int64[Tensor, " B"]:
        """Words of each document that the vocabulary has, repeated ones counted."""
        totals = torch.cat((torch.zeros(1, dtype=torch.float64), self.counts.double().cumsum(0)))
        return (totals[self.offsets[1:]] - totals[self.offsets[:-1]]).round().long()

    def fingerprint(self) -> str:
        """Hash of the counts and labels."""
        return fingerprint_of(self.words, self.counts, self.offsets, self.labels)

    def collate(self, indices: Int64[Tensor, " B"] | Sequence[int]) -> DocumentBatch:
        """The documents `indices`, in that order.

        Raises:
            DataError: an index outside the split.
        """
        chosen = torch.as_tensor(indices, dtype=torch.int64)
        if chosen.numel() and (int(chosen.min()) < 0 or int(chosen.max()) >= len(self)):
            raise DataError(f"document index outside 0 to {len(self) - 1}: {chosen.tolist()}")
        words, counts, offsets = _gather_rows(self.words, self.counts, self.offsets, chosen)
        vectors = None if self.vectors is None else self.vectors[chosen]
        return DocumentBatch(words, counts, offsets, chosen, self.labels[chosen], vectors=vectors)

    def bags(self, vocabulary_size: int) -> CountedWords:
        """The words of each document as ids of the vocabulary, how often each occurs, and where documents begin."""
        return self.words + N_SPECIAL, self.counts.clamp_min(1.0), self.offsets

    def part(self, rows: Int64[Tensor, " B"]) -> "DocumentSplit":
        """The split of the documents `rows` alone, in their order."""
        words, counts, offsets = _gather_rows(self.words, self.counts, self.offsets, rows)
        vectors = None if self.vectors is None else self.vectors[rows]
        return self._of(words, counts, offsets, self.labels[rows], vectors)

    def part_of_both(self, others: "DocumentSplit", rows: Int64[Tensor, " B"]) -> "DocumentSplit":
        """The documents `rows`, ascending, of this split followed by another one of the same words."""
        is_own = rows < len(self)
        own, rest = self.part(rows[is_own]), others.part(rows[~is_own] - len(self))
        both = zip((own.words, own.counts, own.labels), (rest.words, rest.counts, rest.labels), strict=True)
        words, counts, labels = (torch.cat(pair) for pair in both)
        vectors = None
        if own.vectors is not None and rest.vectors is not None:
            vectors = torch.cat((own.vectors, rest.vectors))
        offsets = torch.cat((own.offsets, rest.offsets[1:] + own.offsets[-1]))
        return self._of(words, counts, offsets, labels, vectors)

    def _of(
        self, words: Tensor, counts: Tensor, offsets: Tensor, labels: Tensor, vectors: Tensor | None
    ) -> "DocumentSplit":
        """Other documents of the same words and classes."""
        n_empty = int((offsets.diff() == 0).sum())
        return replace(
            self, words=words, counts=counts, offsets=offsets, labels=labels, n_empty=n_empty, vectors=vectors
        )

    def log_frequencies(self) -> Float[Tensor, " V"]:
        """Background: log of each word's share of all words, one added to every count so that it is finite."""
        counts = torch.ones(self.n_words, dtype=torch.float64).index_add(0, self.words, self.counts.double())
        return (counts / counts.sum()).log().float()


def collate_documents(dataset: DocumentSplit, indices: Int64[Tensor, " B"] | Sequence[int]) -> DocumentBatch:
    """The documents `indices` of `dataset`; see `DocumentSplit.collate`."""
    return dataset.collate(indices)


def _gather_rows(words: Tensor, counts: Tensor, offsets: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Words, counts and offsets of the chosen rows of a compressed matrix."""
    starts, lengths = offsets[chosen], offsets[chosen + 1] - offsets[chosen]
    ends = torch.cat((lengths.new_zeros(1), lengths.cumsum(0)))
    where = torch.arange(int(ends[-1]), device=words.device) + (starts - ends[:-1]).repeat_interleave(lengths)
    return words[where], counts[where], ends


def document_vocabulary(
    sentences: Iterable[Sequence[str]], max_size: int = 30_000, *, remove_stop_words: bool = True
) -> Vocabulary:
    """The most frequent words of documents.

    Args:
        sentences: tokens of each training document.
        max_size: words at most.
        remove_stop_words: leave out scikit-learn's English stop words, single characters, and tokens without a letter
            or digit: what its CountVectorizer would not count either.
    """
    return Vocabulary.build(content_words(sentences) if remove_stop_words else sentences, max_size=max_size)


def english_stop_words() -> frozenset[str]:
    """scikit-learn's English stop words."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    words: frozenset[str] = ENGLISH_STOP_WORDS
    return words


def content_words(sentences: Iterable[Sequence[str]]) -> Iterator[list[str]]:
    """The tokens of each sentence that are no stop word, longer than a character, and have a letter or digit."""
    stop_words = english_stop_words()
    kept: dict[str, bool] = {}
    for sentence in sentences:
        for word in sentence:
            if word not in kept:
                content = len(word) > 1 and any(map(str.isalnum, word))
                kept[word] = content and word.lower() not in stop_words
        yield [word for word in sentence if kept[word]]


def choose_labelled(
    labels: Int64[Tensor, " B"], n_labelled: int, seed: int, classes: Sequence[str] = ()
) -> Int64[Tensor, " n_labelled"]:
    """Indices of `n_labelled` examples with a label, as many of each class, drawn by `seed`, in ascending order.

    What does not divide evenly goes to the first classes, one each. A larger subset of the same seed holds a smaller
    one, so that learning curves add labels rather than exchange them.

    Args:
        labels: class of each example, -1 where it has none.
        n_labelled: examples in all.
        seed: 0 <= seed < 2^64.
        classes: names of the classes, for messages.

    Raises:
        DataError: fewer examples than classes are asked for, or a class has fewer than its share.
    """
    present = labels.unique()
    n_classes = len(classes) or int((present >= 0).sum())
    if n_labelled < n_classes or n_classes == 0:
        raise DataError(f"data.n-labelled: {n_labelled} labelled examples for {n_classes} classes; expected 1 each")
    order = torch.from_numpy(shuffled(len(labels), seed))
    chosen = []
    for k in range(n_classes):
        wanted = n_labelled // n_classes + (k < n_labelled % n_classes)
        own = order[labels[order] == k]
        if len(own) < wanted:
            name = classes[k] if classes else str(k)
            raise DataError(
                f"data.n-labelled: {wanted} examples of each class asked for, but class {name!r} has {len(own)}"
            )
        chosen.append(own[:wanted])
    return torch.cat(chosen).sort().values


def keep_labels(labels: Int64[Tensor, " B"], chosen: Int64[Tensor, " n"]) -> Int64[Tensor, " B"]:
    """Labels of the chosen examples, -1 for all others."""
    return torch.full_like(labels, -1).index_copy(0, chosen, labels[chosen])


def kept_labels(labels: Int64[Tensor, " B"], config: Config, classes: Sequence[str]) -> Int64[Tensor, " B"]:
    """Labels that a run learns from: all, or those of a balanced subset (data.n-labelled)."""
    if config.data.n_labelled == 0:
        return labels
    return keep_labels(labels, choose_labelled(labels, config.data.n_labelled, config.data.seed, classes))
