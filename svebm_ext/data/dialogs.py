"""Turns of dialogs with the turns before them: speaker marks, encoded splits, batches."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace

import torch
from jaxtyping import Int64
from torch import Tensor

from svebm_ext.data.batching import EncodedSplit, SentenceBatch
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import ConfigError, DataError


def speaker_mark(speaker: str) -> str:
    """The word that stands before what a speaker says: "<driver>" for driver."""
    return f"<{speaker}>"


def mark_speakers(corpus: Corpus) -> Corpus:
    """The corpus with each turn's speaker as its first word.

    Raises:
        ConfigError: the corpus does not say who speaks.
    """

    def marked(split: Split) -> Split:
        if "speaker" not in split.labels:
            raise ConfigError(f"data.speaker-marks: corpus {corpus.name} has no label speaker")
        pairs = zip(split.labels["speaker"], split.sentences, strict=True)
        return replace(split, sentences=[[speaker_mark(speaker), *sentence] for speaker, sentence in pairs])

    return replace(corpus, train=marked(corpus.train), valid=marked(corpus.valid), test=marked(corpus.test))


def without_mark(sentence: Sequence[str]) -> list[str]:
    """A sentence without the speaker's mark, where it begins with one."""
    first = sentence[0] if sentence else ""
    marked = first.startswith("<") and first.endswith(">") and first not in Vocabulary.SPECIAL
    return list(sentence[1:] if marked else sentence)


@dataclass(frozen=True)
class DialogBatch(SentenceBatch):
    """Turns of dialogs (responses), packed, and the turns before each of them (contexts).

    Every context has at least one turn: before the first turn of a dialog stands the empty one, END alone.

    Args:
        context: the distinct turns of all contexts.
        turns: row of `context` of each turn of each context, packed time-major over contexts, those with more turns
            first; a context's turns in their order.
        turn_sizes: contexts that still have a turn at each position; always on the CPU, as torch wants it.
        places: place of each row's context among the contexts so sorted.
    """

    context: SentenceBatch = field(kw_only=True)
    turns: Int64[Tensor, " U"] = field(kw_only=True)
    turn_sizes: Int64[Tensor, " C"] = field(kw_only=True)
    places: Int64[Tensor, " B"] = field(kw_only=True)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> DialogBatch:
        """The same batch on `device`; `batch_sizes` and `turn_sizes` stay on the CPU."""
        return replace(super().to(device, non_blocking), turn_sizes=self.turn_sizes)

    def _repeated(self, n: int) -> dict[str, Tensor]:
        """Fields of the batch that `repeat` gives; contexts are shared, not repeated."""
        return super()._repeated(n) | {"places": self.places.repeat_interleave(n)}


@dataclass(frozen=True)
class DialogSplit(EncodedSplit):
    """A split of turns as ids, each with the turns before it in its dialog.

    Args:
        first: the context of turn i is turns first[i] .. i - 1; first[i] = i where the dialog begins.
        context_turns: all turns once more, as they are read in contexts, and the empty turn at the end.
    """

    first: Int64[Tensor, " B"] = field(kw_only=True)
    context_turns: EncodedSplit = field(kw_only=True)

    @classmethod
    def from_split(
        cls,
        split: Split,
        vocabulary: Vocabulary,
        max_tokens: int = 40,
        label: str | None = None,
        classes: Sequence[str] | None = None,
        n_turns: int = 5,
    ) -> DialogSplit:
        """Encode a split of dialogs.

        Args:
            n_turns: turns of a context at most, the last ones before the response.

        Raises:
            DataError: the split has no dialogs; otherwise as `EncodedSplit.from_split`.
        """
        if split.dialogs is None:
            raise DataError("the corpus has no dialogs, expected one whose sentences are turns (smd, daily-dialog)")
        plain = EncodedSplit.from_split(split, vocabulary, max_tokens, label, classes)
        first = [next(iter(split.previous_turns(i, n_turns)), i) for i in range(len(split))]
        return cls(
            **{one.name: getattr(plain, one.name) for one in fields(EncodedSplit)},
            first=torch.tensor(first, dtype=torch.int64),
            context_turns=EncodedSplit.from_split(Split([*split.sentences, []]), vocabulary, max_tokens),
        )

    def fingerprint(self) -> str:
        """Hash of the encoded turns, and of where dialogs begin."""
        digest = hashlib.sha256(super().fingerprint().encode())
        digest.update(self.first.numpy().tobytes())
        return digest.hexdigest()[:16]

    def context(self, index: int) -> range:
        """Turns of the context of turn `index`, oldest first."""
        return range(int(self.first[index]), index)

    def collate(self, indices: Int64[Tensor, " B"] | Sequence[int]) -> DialogBatch:
        """The turns `indices` and their contexts as one packed batch, rows sorted by decreasing length.

        A turn that stands in several contexts of the batch is in it once.

        Raises:
            DataError: an index outside the split.
        """
        batch = super().collate(indices)
        first = self.first[batch.indices]
        n_turns = batch.indices - first
        first = torch.where(n_turns == 0, len(self), first)  # the empty turn
        n_turns, order = torch.sort(n_turns.clamp_min(1), descending=True, stable=True)
        running = torch.arange(int(n_turns[0]) if len(n_turns) else 0).unsqueeze(1) < n_turns
        positions, examples = running.nonzero(as_tuple=True)
        distinct, which = (first[order][examples] + positions).unique(return_inverse=True)
        context = self.context_turns.collate(distinct)
        return DialogBatch(
            **{one.name: getattr(batch, one.name) for one in fields(SentenceBatch)},
            context=context,
            turns=context.indices.argsort()[which],
            turn_sizes=running.sum(1),
            places=order.argsort(),
        )
