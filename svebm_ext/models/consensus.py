"""The sentence that several samples of a model agree upon (minimum Bayes risk decoding)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

#: Longest n-grams, and how much recall counts beside precision: those of chrF++ for words, and of chrF.
ORDER, BETA = 2, 2.0


def expected_similarities(candidates: Sequence[Sequence[str]]) -> list[float]:
    """Mean similarity of each candidate to all candidates as references, from 0 to 1.

    The similarity is the F score of shared n-grams of words with beta 2, a mean over n = 1, 2. Recall counts more,
    since precision alone prefers what is short.

    Args:
        candidates: sentences as words, samples of one distribution.

    Source: Kumar & Byrne, Minimum Bayes-Risk Decoding for Statistical Machine Translation, NAACL 2004; the similarity
    is that of Popovic, chrF, WMT 2015, for words instead of characters.
    """
    counted = Counter(map(tuple, candidates))  # equal candidates are as good as each other
    n_grams = {sentence: [_n_grams(sentence, n) for n in range(1, ORDER + 1)] for sentence in counted}
    scores = {
        sentence: sum(times * _similarity(mine, n_grams[other]) for other, times in counted.items())
        for sentence, mine in n_grams.items()
    }
    return [scores[tuple(candidate)] / len(candidates) for candidate in candidates]


def consensus(candidates: Sequence[Sequence[str]]) -> int:
    """Index of the candidate with the largest expected similarity, the first among equals.

    Raises:
        ValueError: no candidate.
    """
    scores = expected_similarities(candidates)
    return max(range(len(scores)), key=scores.__getitem__)


def _n_grams(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[i : i + n]) for i in range(len(words) - n + 1))


def _similarity(mine: Sequence[Counter[tuple[str, ...]]], others: Sequence[Counter[tuple[str, ...]]]) -> float:
    total = 0.0
    for hypothesis, reference in zip(mine, others, strict=True):
        shared = (hypothesis & reference).total()
        # F = (1 + b^2) P R / (b^2 P + R), with P = shared / |hypothesis| and R = shared / |reference|
        total += (1 + BETA**2) * shared / max(BETA**2 * reference.total() + hypothesis.total(), 1)
    return total / ORDER
