"""Texts as a model reads them: chunk by chunk, so that memory is bounded, and in batches of about one length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float64
from torch import Tensor

from svebm_ext.data.batching import EncodedSplit, SentenceBatch
from svebm_ext.data.corpus import Split
from svebm_ext.data.documents import DocumentBatch, content_words
from svebm_ext.data.texts import Texts, each_text
from svebm_ext.errors import DataError
from svebm_ext.kinds import EncodedTexts

if TYPE_CHECKING:
    from svebm_ext.models.svebm import SVEBM

#: Texts that are encoded at a time, and that a batch has. Larger batches leave the processor's caches.
CHUNK, BATCH = 8192, 512


@dataclass(frozen=True)
class Chunk:
    """Some texts that follow each other.

    Args:
        start: number of the first one.
        texts: as the networks read them.
        n_unknown: texts without a word that the model knows.
        unknown: of bags of words the share of each text's words that the model does not know, which are in no bag.
    """

    start: int
    texts: EncodedTexts
    n_unknown: int
    unknown: Float64[Tensor, "B"] | None = None

    def __len__(self) -> int:
        return len(self.texts)

    def batches(self, device: torch.device) -> Iterator[SentenceBatch | DocumentBatch]:
        """Batches on a device; sentences of about one length are together. `indices` are numbers among all texts."""
        order = torch.arange(len(self), device="cpu")
        if isinstance(self.texts, EncodedSplit):
            order = torch.sort(self.texts.lengths, descending=True, stable=True).indices
        for rows in order.split(BATCH):
            batch = self.texts.collate(rows)
            yield replace(batch, indices=batch.indices + self.start).to(device)

    def in_order(self, device: torch.device, of_batch: Callable[[SentenceBatch | DocumentBatch], Tensor]) -> Tensor:
        """What a function makes of the rows of batches, in the order of the texts."""
        results: Tensor | None = None
        for batch in self.batches(device):
            rows = of_batch(batch)
            if results is None:
                results = rows.new_empty((len(self), *rows.shape[1:]))
            results[batch.indices - self.start] = rows
        assert results is not None, "a chunk has a text"
        return results


def chunk_of(model: SVEBM, texts: Sequence[str | Sequence[str]], start: int = 0) -> Chunk:
    """A chunk of texts, the first of which is number `start`.

    Raises:
        DataError: a text without a word; the message names its place.
    """
    data, writing = model.config.data, model.writing
    sentences = [model.kind.words(text, data, writing) for text in texts]
    for number, sentence in enumerate(sentences, start):
        if not sentence:
            raise DataError(f"text {number}: empty, expected at least one word")
    knows = model.vocabulary.knows
    n_unknown = sum(not any(map(knows, sentence)) for sentence in sentences)
    unknown = None if model.kind.is_ordered else _unknown(model, sentences)
    return Chunk(start, model.encode_split(Split(sentences)), n_unknown, unknown)


def _unknown(model: SVEBM, sentences: Sequence[Sequence[str]]) -> Float64[Tensor, "B"]:
    """The share of each text's words that a model of bags does not know; words that it never counts are left out."""
    counted = content_words(sentences) if model.config.data.remove_stop_words else sentences
    knows = model.vocabulary.knows
    shares = [sum(not knows(word) for word in words) / max(1, len(words)) for words in counted]
    return torch.tensor(shares, dtype=torch.float64)


def chunks_of(model: SVEBM, texts: Texts, size: int = CHUNK, first: int = 0) -> Iterator[Chunk]:
    """Chunks of any number of texts, which are read as they are needed.

    Args:
        model: that reads them.
        texts: of a list, a generator, ...
        size: texts of a chunk.
        first: number of the first text in `indices` of batches; messages count from 0.

    Raises:
        ConfigError: a model that does not read single texts, or parameters of another type.
        DataError: something that is no text, or a text without a word; the message names its place.
    """
    model.kind.check_texts()
    _ = model.dtype  # refused here, not by an op within
    remaining, start = each_text(texts), 0
    while part := list(islice(remaining, size)):
        yield replace(chunk_of(model, part, start), start=first + start)
        start += len(part)
