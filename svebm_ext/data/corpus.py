"""A corpus in memory: tokenised sentences with any number of labels, in three splits."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import DataError, alternatives
from .subwords import Subwords
from .surface import Surface

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Split:
    """Sentences of one split, with labels and, for dialogs, which dialog each sentence is a turn of.

    Args:
        sentences: tokens of each sentence, without begin and end tokens.
        labels: label name -> one value per sentence; "" marks an unlabelled sentence.
        dialogs: number of the dialog of each sentence, turns of a dialog adjacent and in order; None where the
            corpus has no dialogs.

        texts: the texts as they were written, where they are known.
        vectors: of a frozen encoder [N, E], one a sentence (`sentence_vectors`); None where there is none.

    Raises:
        DataError: a list of labels, dialogs or texts is not as long as the list of sentences.
    """

    sentences: Sequence[list[str]]
    labels: dict[str, list[str]] = field(default_factory=dict)
    dialogs: list[int] | None = None
    texts: Sequence[str] | None = field(default=None, kw_only=True)
    vectors: "Tensor | None" = field(default=None, kw_only=True, compare=False)

    def __post_init__(self) -> None:
        if self.texts is not None and len(self.texts) != len(self.sentences):
            raise DataError(f"{len(self.texts)} texts for {len(self.sentences)} sentences")
        if self.vectors is not None and len(self.vectors) != len(self.sentences):
            raise DataError(f"{len(self.vectors)} vectors for {len(self.sentences)} sentences")
        for name, values in self.labels.items():
            if len(values) != len(self.sentences):
                raise DataError(f"label {name!r} has {len(values)} values for {len(self.sentences)} sentences")
        if self.dialogs is not None and len(self.dialogs) != len(self.sentences):
            raise DataError(f"{len(self.dialogs)} dialog numbers for {len(self.sentences)} sentences")

    def __len__(self) -> int:
        return len(self.sentences)

    def previous_turns(self, index: int, limit: int = 5) -> list[int]:
        """Indices of the up to `limit` turns before sentence `index` in its dialog, oldest first."""
        if self.dialogs is None:
            return []
        first = index
        while first > 0 and index - first < limit and self.dialogs[first - 1] == self.dialogs[index]:
            first -= 1
        return list(range(first, index))


@dataclass(frozen=True)
class Corpus:
    """Training, validation and test split of one corpus, and what is worth telling about how it was read.

    Args:
        notes: remarks a report should repeat, such as the number of empty lines skipped in a user's file.
        writing: how words become text again, where it was learnt; else they are joined by spaces.
    """

    name: str
    train: Split
    valid: Split
    test: Split
    notes: tuple[str, ...] = field(default=(), kw_only=True)
    writing: Surface | Subwords | None = field(default=None, kw_only=True)


def texts_digest(corpus: Corpus) -> str:
    """SHA-256 of all texts and labels of a corpus, by which other texts in their place are noticed."""
    digest = hashlib.sha256()
    for split in (corpus.train, corpus.valid, corpus.test):
        for content in framed(split.texts if split.texts is not None else map(" ".join, split.sentences)):
            digest.update(content)
        for name in sorted(split.labels):
            digest.update(json.dumps([name, list(split.labels[name])]).encode())
        digest.update(b"|")
    return digest.hexdigest()


def framed(texts: Iterable[str]) -> Iterator[bytes]:
    """Texts as bytes for a hash, each with its length before it, so that where one ends counts as well."""
    for text in texts:
        content = text.encode("utf-8", "surrogatepass")
        yield f"{len(content)}:".encode() + content


def label_classes(splits: Iterable[Split], name: str) -> list[str]:
    """Sorted distinct values of label `name` over `splits`, "" (unlabelled) left out.

    Raises:
        DataError: a split has no label of that name.
    """
    values: set[str] = set()
    for split in splits:
        if name not in split.labels:
            known = alternatives(name, sorted(split.labels), "labels of this corpus:")
            raise DataError(f"no label named {name!r}; {known}")
        values.update(split.labels[name])
    values.discard("")
    return sorted(values)
