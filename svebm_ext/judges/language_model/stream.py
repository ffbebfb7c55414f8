"""Sentences as one stream of words, cut into parallel columns and into windows of time steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from svebm_ext.data.vocabulary import Vocabulary

#: Target of a position beyond the end of the text.
NO_TARGET = -1


@dataclass(frozen=True)
class Columns:
    """A text read in parallel: `inputs[t, b]` is the word before `targets[t, b]`.

    A column is a contiguous share of the text. All shares are equally long but for the end of the last one, where
    targets are NO_TARGET: every word and end mark of the text is a target exactly once.
    """

    inputs: Int[Tensor, "T B"]
    targets: Int[Tensor, "T B"]
    n_tokens: int

    def windows(self, lengths: Iterator[int]) -> Iterator[tuple[Int[Tensor, "t B"], Int[Tensor, "t B"]]]:
        """Inputs and targets of consecutive windows, of the lengths given, that cover the columns."""
        start, end = 0, self.inputs.shape[0]
        while start < end:
            part = slice(start, start + next(lengths))
            yield self.inputs[part], self.targets[part]
            start = part.stop


def encode(sentences: Sequence[Sequence[str]], vocabulary: Vocabulary) -> Int[Tensor, " n"]:
    """Ids of all words, each sentence followed by its end mark; words outside the vocabulary become UNKNOWN."""
    ids: list[int] = []
    for sentence in sentences:
        ids += vocabulary.encode(sentence)
        ids.append(Vocabulary.END)
    return torch.tensor(ids, dtype=torch.int64)


def columns(stream: Int[Tensor, " n"], n_columns: int, device: torch.device) -> Columns:
    """Cut a stream into columns. Before its first word stands an end mark, as before that of any other sentence."""
    n = stream.shape[0]
    n_steps = -(-n // n_columns)
    missing = n_steps * n_columns - n
    before = torch.cat(
        (stream.new_full((1,), Vocabulary.END), stream[:-1], stream.new_full((missing,), Vocabulary.END))
    )
    after = torch.cat((stream, stream.new_full((missing,), NO_TARGET)))
    inputs, targets = (x.view(n_columns, n_steps).t().contiguous().to(device) for x in (before, after))
    return Columns(inputs, targets, n)
