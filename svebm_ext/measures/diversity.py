"""Whether generated sentences differ from each other and from the training text: guards against degenerate samples."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence, Set

from svebm_ext.errors import DataError

#: Count that an n-gram order without a match gets in the BLEU of a single sentence.
FLOOR = 0.1


def distinct(sentences: Iterable[Sequence[str]], n: int) -> float:
    """Distinct n-grams as a share of all n-grams of the sentences together, from 0 to 1 (distinct-n).

    It falls with the number of sentences: only equal numbers compare.

    Args:
        sentences: tokens of each.
        n: words of an n-gram.

    Raises:
        DataError: no sentence has n words, or n is below 1.

    Source: Li et al., A Diversity-Promoting Objective Function for Neural Conversation Models, NAACL 2016.
    """
    counts: Counter[tuple[str, ...]] = Counter()
    for sentence in sentences:
        counts.update(_ngrams(sentence, n))
    if not counts:
        raise DataError(f"distinct-{n}: no sentence has {n} words")
    return len(counts) / sum(counts.values())


def copied(sentences: Sequence[Sequence[str]], training: Set[tuple[str, ...]]) -> float:
    """Share of sentences that occur word for word in the training text, from 0 to 1.

    Args:
        sentences: tokens of each.
        training: the training sentences.

    Raises:
        DataError: no sentence.
    """
    if not sentences:
        raise DataError("copied: no sentence given, expected at least 1")
    return sum(tuple(sentence) in training for sentence in sentences) / len(sentences)


def repeated(sentences: Sequence[Sequence[str]]) -> float:
    """Share of sentences that are not the first of their kind, from 0 (all different) to almost 1 (all equal).

    Raises:
        DataError: no sentence.
    """
    if not sentences:
        raise DataError("repeated: no sentence given, expected at least 1")
    return 1.0 - len({tuple(sentence) for sentence in sentences}) / len(sentences)


def self_bleu(sentences: Sequence[Sequence[str]], max_n: int = 4) -> float:
    """Mean BLEU, 0 to 100, of each sentence with all others as its references; high where they are alike.

    BLEU of a single sentence: geometric mean of the clipped precisions of 1- to `max_n`-grams, an order without a match
    counting as `FLOOR` matches and orders longer than the sentence left out, times the brevity penalty to the closest
    reference length; 0 where not even a word matches. It grows with the number of sentences: compare equal numbers.

    Args:
        sentences: tokens of each.
        max_n: words of the longest n-grams.

    Raises:
        DataError: fewer than two sentences, or max_n below 1.

    Source: Zhu et al., Texygen, SIGIR 2018; smoothing: Chen & Cherry 2014, method 1.
    """
    if len(sentences) < 2:
        raise DataError(f"self-BLEU: {len(sentences)} sentences given, expected at least 2")
    counts = [[Counter(_ngrams(sentence, n)) for sentence in sentences] for n in range(1, max_n + 1)]
    largest = [_two_largest(order) for order in counts]
    lengths = Counter(map(len, sentences))
    scores = []
    for index, sentence in enumerate(sentences):
        matches, totals = [], []
        for order, top in zip(counts, largest, strict=True):
            own = order[index]
            matches.append(sum(min(count, _limit(top[gram], index)) for gram, count in own.items()))
            totals.append(own.total())
        if matches[0] == 0:
            scores.append(0.0)
            continue
        logs = [math.log(max(match, FLOOR) / total) for match, total in zip(matches, totals, strict=True) if total]
        scores.append(math.exp(sum(logs) / len(logs) + _log_brevity(len(sentence), lengths)))
    return 100.0 * sum(scores) / len(scores)


def _ngrams(sentence: Sequence[str], n: int) -> Iterable[tuple[str, ...]]:
    if n < 1:
        raise DataError(f"n-grams of {n} words asked for, expected at least 1")
    return (tuple(sentence[i : i + n]) for i in range(len(sentence) - n + 1))


def _two_largest(counts: Sequence[Counter[tuple[str, ...]]]) -> dict[tuple[str, ...], tuple[int, int, int]]:
    """Largest count of each n-gram in one sentence, that sentence, and the largest count among the others."""
    largest: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for index, own in enumerate(counts):
        for gram, count in own.items():
            first, owner, second = largest.get(gram, (0, -1, 0))
            if count > first:
                largest[gram] = (count, index, first)
            elif count > second:
                largest[gram] = (first, owner, count)
    return largest


def _limit(top: tuple[int, int, int], index: int) -> int:
    """Largest count of an n-gram in a sentence other than `index`."""
    first, owner, second = top
    return second if owner == index else first


def _log_brevity(length: int, lengths: Counter[int]) -> float:
    """log of the brevity penalty, the sentence's own length taken out of the references'."""
    others = [other for other, count in lengths.items() if count > (other == length)]
    closest = min(others, key=lambda other: (abs(other - length), other))
    return 0.0 if length >= closest else 1.0 - closest / max(length, 1)
