"""Similarity of sentences by the vectors of their words: average, extrema, greedy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from svebm_ext.data.embeddings import WordVectors
from svebm_ext.errors import DataError


@dataclass(frozen=True)
class EmbeddingSimilarity:
    """Means over pairs of sentences, each a cosine times 100, and how many pairs had known words on both sides."""

    average: float
    extrema: float
    greedy: float
    n_pairs: int
    n_skipped: int


def embedding_similarity(
    hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]], vectors: WordVectors
) -> EmbeddingSimilarity:
    """Mean similarity of hypotheses to their references by three measures of word vectors.

    Average is the cosine of the two sentences' mean vectors; extrema that of `extreme_values`; greedy is `best_match`
    in both directions, averaged. A word without a vector is looked up in lower case, and left out if that has none
    either. A pair with no known word on one side is left out and counted, as in the published evaluation.

    Args:
        hypotheses: tokens of each generated sentence, marks such as "<driver>" left out.
        references: tokens of each original, in the same order.
        vectors: of words.

    Raises:
        DataError: unequal numbers of sentences, or no pair with known words.

    Source: Liu et al., How NOT To Evaluate Your Dialogue System, EMNLP 2016; the settings of Table 3 follow the
    program published with the paper.
    """
    if len(hypotheses) != len(references):
        raise DataError(f"need one reference per hypothesis, got {len(hypotheses)} and {len(references)}")
    rows = {word: i for i, word in enumerate(vectors.words)}

    def look_up(sentence: Sequence[str]) -> Tensor:
        known = (rows.get(word, rows.get(word.lower())) for word in sentence)
        return vectors.vectors[[row for row in known if row is not None]].double()

    sums, n_pairs = torch.zeros(3, dtype=torch.float64), 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        first, second = look_up(hypothesis), look_up(reference)
        if len(first) == 0 or len(second) == 0:
            continue
        n_pairs += 1
        sums[0] += F.cosine_similarity(first.mean(0), second.mean(0), dim=0)
        sums[1] += F.cosine_similarity(extreme_values(first), extreme_values(second), dim=0)
        sums[2] += 0.5 * (best_match(first, second) + best_match(second, first))
    if n_pairs == 0:
        raise DataError(f"none of {len(hypotheses)} pairs of sentences has a word with a vector on both sides")
    average, extrema, greedy = (100.0 * sums / n_pairs).tolist()
    return EmbeddingSimilarity(average, extrema, greedy, n_pairs, len(hypotheses) - n_pairs)


def extreme_values(words: Float[Tensor, "n D"]) -> Float[Tensor, "D"]:
    """Of each dimension the value with the largest magnitude over the words, with its sign.

    Source: Forgues et al., Bootstrapping Dialog Systems with Word Embeddings, NIPS workshop 2014.
    """
    largest, smallest = words.max(0).values, words.min(0).values
    return torch.where(largest > smallest.abs(), largest, smallest)


def best_match(words: Float[Tensor, "n D"], others: Float[Tensor, "m D"]) -> Float[Tensor, ""]:
    """Mean over `words` of the largest cosine with one of `others`.

    Source: Rus & Lintean, An Optimal Assessment of Natural Language Student Input, ITS 2012.
    """
    return (F.normalize(words, dim=-1) @ F.normalize(others, dim=-1).T).max(-1).values.mean()
