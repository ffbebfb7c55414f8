"""The texts of a run as its model sees them: which ones are looked at, their mu(x), and its answers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from svebm_ext.config import has_subwords
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.data.token_lists import lengths_of
from svebm_ext.data.tokenize import tokenize
from svebm_ext.errors import DataError
from svebm_ext.exploration.content import SPLITS, Settings, SplitSize
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.models.svebm import SVEBM
from svebm_ext.models.symbols import of_own_group
from svebm_ext.prior.groups import SymbolGroups

#: Characters of a text that the page keeps, and after which a text is cut in a list of examples.
KEPT, LONGEST = 4000, 300


@dataclass(frozen=True)
class Encoded:
    """B texts as the model sees them: words, labels, mu(x), f(mu(x)), and the probabilities [B, K] of its answers.

    The last two are None for a model without symbols.

    Attributes:
        words: of each text, as the model reads it.
        to_name: of each text, as a person reads them: those of the text, where the model reads subwords.
        texts: as they were written; where that is not known, as the model writes their words.
        labels: one value a text by name of the label, "" where it has none.
        split: of each text, its place in `SPLITS`.
        sizes: how many of each split are looked at.
        groups: of the symbols, where they are in two levels.
    """

    words: list[list[str]]
    to_name: list[list[str]]
    texts: list[str]
    labels: dict[str, list[str]]
    split: list[int]
    sizes: list[SplitSize]
    z: Tensor
    logits: Tensor | None
    answers: Tensor | None
    groups: SymbolGroups | None = None

    @cached_property
    def symbol(self) -> Tensor:
        """Most probable symbol of each text, [B]; -1 for a model without symbols."""
        if self.answers is None:
            return torch.full((len(self.words),), -1)
        return self.answers.argmax(-1)

    @cached_property
    def probability(self) -> Tensor:
        """Probability of that symbol, [B]; 0 for a model without symbols."""
        return torch.zeros(len(self.words)) if self.answers is None else self.answers.max(-1).values

    @cached_property
    def group(self) -> Tensor:
        """Group of that symbol, [B]; -1 where there are none."""
        if self.groups is None or self.answers is None:
            return torch.full((len(self.words),), -1)
        return torch.tensor(self.groups.of)[self.symbol.cpu()]

    @cached_property
    def of_group(self) -> Tensor:
        """Probability of that group, [B]; of the symbol where there are none."""
        if self.groups is None or self.answers is None:
            return self.probability
        return of_own_group(self.answers, self.symbol, self.groups)

    @cached_property
    def first(self) -> list[int]:
        """Rows of different texts: the first one of each."""
        rows: dict[str, int] = {}
        for row, text in enumerate(self.texts):
            rows.setdefault(text, row)
        return list(rows.values())


def cut(text: str, longest: int = LONGEST) -> str:
    """A text of at most so many characters."""
    return text if len(text) <= longest else text[: longest - 1].rsplit(" ", 1)[0] + " …"


def chosen_rows(corpus: Corpus, settings: Settings) -> list[tuple[str, Split, list[int]]]:
    """The splits that are looked at, and which of their texts: all, or as many as allowed, chosen by the seed.

    Raises:
        DataError: no text in them.
    """
    names = [name for name in SPLITS if settings.split in ("all", name)]
    splits = {name: getattr(corpus, name) for name in names}
    filled = {name: np.flatnonzero(lengths_of(split.sentences)) for name, split in splits.items()}
    n = sum(map(len, filled.values()))
    if not n:
        what = "corpus" if settings.split == "all" else f"{settings.split} split"
        raise DataError(f"split: the {what} has no sentence to look at")
    order = np.arange(n)
    if 0 < settings.max_sentences < n:
        order = torch.randperm(n, generator=torch.Generator().manual_seed(settings.seed)).numpy()
        order = np.sort(order[: settings.max_sentences])
    chosen, before = [], 0
    for name in names:
        own = order[(order >= before) & (order < before + len(filled[name]))] - before
        chosen.append((name, splits[name], filled[name][own].tolist()))
        before += len(filled[name])
    return chosen


@torch.no_grad()
def encode(model: SVEBM, corpus: Corpus, settings: Settings, groups: SymbolGroups | None = None) -> Encoded:
    """Posterior means and answers of the texts that the settings ask for; groups are those of the symbols.

    Raises:
        DataError: no text.
    """
    chosen = chosen_rows(corpus, settings)
    words = [split.sentences[i] for _, split, rows in chosen for i in rows]
    texts = [
        split.texts[i] if split.texts is not None else model.written(split.sentences[i])
        for _, split, rows in chosen
        for i in rows
    ]
    names = dict.fromkeys(name for _, split, _ in chosen for name in split.labels)
    labels = {
        name: [split.labels[name][i] if name in split.labels else "" for _, split, rows in chosen for i in rows]
        for name in names
    }
    z = model.encode(words).float()
    latent = model.networks.latent
    return Encoded(
        words,
        [tokenize(text) for text in texts] if has_subwords(model.config.data) else words,
        [cut(" ".join(text.split()), KEPT) for text in texts],
        {name: values for name, values in labels.items() if any(values)},
        [SPLITS.index(name) for name, _, rows in chosen for _ in rows],
        [SplitSize(name, len(rows), len(split)) for name, split, rows in chosen],
        z,
        latent.logits(z).double().cpu() if isinstance(latent, EnergyLatent) else None,
        model.symbol_probabilities(words).double().cpu() if isinstance(latent, EnergyLatent) else None,
        groups,
    )
