"""Words that characterise groups of sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

#: Strength of the Dirichlet prior: it counts as much as this many words of the whole collection.
PRIOR_WORDS = 500.0
#: Words below this z-score are not shown: two-sided 5 % of a standard normal.
SIGNIFICANT = 1.96


class Word(NamedTuple):
    """A word that characterises a group: its z-score, and how many times the group has it."""

    word: str
    score: float
    times: int


def log_odds(counts: Float[Tensor, "K V"], prior_words: float = PRIOR_WORDS) -> Float[Tensor, "K V"]:
    """z-scores of the log-odds ratio of each word, group against all others, with an informative Dirichlet prior.

    With y counts of the group, y' of the others, n and n' their sums, a_w = prior_words times w's share of all words:

        d_w = log (y_w + a_w) / (n + a - y_w - a_w)  -  log (y'_w + a_w) / (n' + a - y'_w - a_w),   a = prior_words
        z_w = d_w / sqrt(1 / (y_w + a_w) + 1 / (y'_w + a_w))

    Words common to all groups score near 0 however frequent, and rare ones are held back by their variance.

    Args:
        counts: of each word in each group.
        prior_words: strength of the prior, in words.

    Returns:
        z-scores; 0 for a word that no group has.

    Source: Monroe, Colaresi & Quinn, Fightin' Words, Political Analysis 16(4), 2008, Eq. 16, 20, 22, 23.
    """
    group = counts.double()
    total = group.sum(0)
    others = total - group
    prior = prior_words * total / total.sum().clamp_min(1.0)

    def log_odd(words: Tensor) -> Tensor:
        posterior = words + prior
        return posterior.log() - (posterior.sum(-1, keepdim=True) - posterior).log()

    variance = 1.0 / (group + prior) + 1.0 / (others + prior)
    scores = (log_odd(group) - log_odd(others)) / variance.sqrt()
    return torch.nan_to_num(scores, nan=0.0).to(counts.dtype)  # words without a count, or a single word: no odds


def characterising_words(
    sentences: Sequence[Sequence[str]], groups: Int[Tensor, "B"], n_groups: int, n_words: int = 12
) -> list[list[Word]]:
    """Words of each group with the largest `log_odds`, largest first; significant ones only.

    Args:
        sentences: tokens of B sentences.
        groups: group of each, 0 .. n_groups - 1.
        n_groups: K.
        n_words: most words of a group.
    """
    vocabulary = sorted({word for sentence in sentences for word in sentence})
    ids = {word: i for i, word in enumerate(vocabulary)}
    columns = torch.tensor([ids[word] for sentence in sentences for word in sentence], dtype=torch.long)
    rows = groups.cpu().repeat_interleave(torch.tensor([len(sentence) for sentence in sentences], dtype=torch.long))
    counts = torch.zeros(n_groups, len(vocabulary), dtype=torch.float64)
    counts.index_put_((rows, columns), torch.ones(len(columns), dtype=torch.float64), accumulate=True)
    scores, order = log_odds(counts).sort(dim=-1, descending=True, stable=True)
    return [
        [
            Word(vocabulary[w], score, int(counts[k, w]))
            for score, w in zip(scores[k, :n_words].tolist(), order[k, :n_words].tolist(), strict=True)
            if score >= SIGNIFICANT
        ]
        for k in range(n_groups)
    ]
