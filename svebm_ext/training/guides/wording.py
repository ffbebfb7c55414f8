"""Symbols of how sentences are worded, where a text has such groups and no topics.

Topics are what the likelihood of words and h(x) find. In conversations, questions and answers are told apart by "?" and
"do you", whatever they are about: k-means of TF-IDF, which sees common words and punctuation as they are, finds those.
Without labels nobody can say which of both is wanted. What can be measured is which of them the text has: groups that
exist are found again in another part of it. That alone does not do: one frequent word, such as the "to" of headlines,
makes a group that every part of the text has, and that nobody wants. Only a text of questions and of other sentences is
asked whether it has groups of wording.

In two levels, groups are of wording and the symbols of a group of topics: what is asked, and how it is asked.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from svebm_ext.data.batching import EncodedSplit
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.models.features import singular_vectors
from svebm_ext.training.guides.bags import Array, Bags, Guide, k_means, log_softmax
from svebm_ext.training.guides.parts import Finder, halves

#: Sentences that are looked at, and pairs of halves of them for either kind.
SENTENCES, WORDING_PAIRS, TOPIC_PAIRS = 8000, 4, 2
#: Agreement by wording, as a multiple of that by topics, from which on wording is taken.
PREFERRED = 1.5
#: Question marks: of Latin and most other scripts, full width, Arabic, Armenian, Ethiopic.
QUESTION_MARKS = frozenset("?？؟՞፧")
#: Share of the sentences that ask, and of those that do not, at least, in a conversation.
LEAST_SHARE = 0.25
#: Singular vectors of TF-IDF that k-means sees, without which its solutions are many and poor; starts of it, of which
#: the best counts, for the symbols of a run and for those of a part of the text.
DIM, STARTS, PART_STARTS = 100, 15, 3
#: Numbers of groups to choose from, and pairs of halves for each.
GROUP_NUMBERS, GROUP_PAIRS = (3, 4, 5, 7, 10, 14), 2
#: Share of the sentences whose group by symbols in two levels is the one by wording, at least.
SAME = 0.98
#: Mean probability of the likeliest symbol, that the guide is as certain as the one of topics.
CERTAINTY = 0.9


def by_wording(bags: Bags, n_symbols: int, seed: int, n_starts: int = STARTS) -> Guide:
    """Symbols by k-means of V^T x, x a unit vector of TF-IDF and V the largest singular vectors of all of them.

    log p(y|x) = -s |V^T x - c_y|^2 / 2 up to a constant.

    Args:
        bags: of training sentences.
        n_symbols: K, at most as many as there are sentences.
        seed: of k-means.
        n_starts: of k-means, the narrowest of which is taken.
    """
    vectors = singular_vectors(bags.tfidf, DIM, seed)[0].astype(np.float32)
    reduced = k_means(bags.tfidf @ vectors, n_symbols, seed, n_starts).cluster_centers_.astype(np.float32)
    centres, bias = reduced @ vectors.T, -0.5 * (reduced**2).sum(1)
    scores = bags.tfidf @ centres.T + bias
    sharpness = 1.0
    while sharpness < 1e4 and np.exp(log_softmax(sharpness * scores)).max(1).mean() < CERTAINTY:
        sharpness *= 2.0
    n_words, n_features = bags.tfidf.shape[1], bags.features.shape[1]
    return Guide(
        np.zeros((n_words, n_symbols), np.float32),
        np.ascontiguousarray(sharpness * centres.T),
        np.zeros((n_symbols, n_features), np.float32),
        sharpness * bias,
    )


def wording_by_part(bags: Bags, n_groups: int) -> Finder:
    """Finds symbols by wording in a part of the sentences, in two levels where there are several groups."""

    def find(part: Array, n_symbols: int, seed: int) -> Array:
        half = bags[part]
        one_level = n_groups == 1
        guide = (
            by_wording(half, n_symbols, seed, PART_STARTS)
            if one_level
            else by_wording_and_topic(half, n_symbols, n_groups, seed, PART_STARTS)
        )
        numbers: Array = guide.log_probabilities(bags).argmax(1)
        return numbers

    return find


def by_wording_and_topic(bags: Bags, n_symbols: int, n_groups: int, seed: int, n_starts: int = STARTS) -> Guide:
    """Symbols in two levels: groups by wording, and within each of them k-means of h(x), more symbols in a larger one.

    log p(y|x) = log p(c|x) of `by_wording` times a factor, - s |h(x) - m_y|^2 / 2, up to a constant.

    Args:
        bags: of training sentences.
        n_symbols: K, at most as many as there are sentences.
        n_groups: K1.
        seed: of k-means.
        n_starts: of that of the groups.
    """
    coarse = by_wording(bags, n_groups, seed, n_starts)
    told = coarse.log_probabilities(bags)
    group = told.argmax(1)
    sizes = np.bincount(group, minlength=n_groups)
    groups = np.repeat(np.arange(n_groups), shares_of(n_symbols, sizes))
    centres = np.zeros((n_symbols, bags.features.shape[1]), np.float32)
    for c in np.flatnonzero(sizes):
        own = np.flatnonzero(groups == c)
        centres[own] = k_means(bags.features[group == c], len(own), seed, 1).cluster_centers_
    bias = -0.5 * (centres**2).sum(1)
    by_topic = bags.features @ centres.T + bias
    within = np.where(groups[None] == group[:, None], by_topic, -np.inf)
    sharpness = 1.0
    while sharpness < 1e4 and np.exp(log_softmax(sharpness * within)).max(1).mean() < CERTAINTY:
        sharpness *= 2.0
    factor = 1.0
    while factor < 1e3 and (groups[(factor * told[:, groups] + sharpness * by_topic).argmax(1)] == group).mean() < SAME:
        factor *= 2.0
    return Guide(
        np.zeros((bags.tfidf.shape[1], n_symbols), np.float32),
        np.ascontiguousarray(factor * coarse.tfidf[:, groups]),
        sharpness * centres,
        factor * coarse.bias[groups] + sharpness * bias,
        groups=tuple(groups.tolist()),
    )


def shares_of(n: int, sizes: Array) -> Array:
    """n things shared out in proportion to sizes, at least one to each and no more than its size (0 counts as 1).

    Raises:
        ValueError: there are more of them than all sizes together.
    """
    most = np.maximum(sizes, 1)
    if not len(sizes) <= n <= most.sum():
        raise ValueError(f"{n} things for sizes {sizes}")
    shares = np.ones(len(sizes), int)
    while shares.sum() < n:  # to whom one more is worth most (D'Hondt)
        shares[np.where(shares < most, sizes / (shares + 1), -1.0).argmax()] += 1
    return shares


def choose_n_groups(bags: Bags, n_symbols: int, *, seed: int, say: Callable[[str], None]) -> int:
    """The number of groups by wording that two halves of the text agree on best.

    Args:
        bags: of training sentences, of which SENTENCES, evenly spread, are looked at.
        n_symbols: K; groups have two symbols on average, at least.
        seed: of the halves.
        say: receives the table.
    """
    bags = bags.at_most(SENTENCES)
    told = {
        n: agreement(bags, GROUP_PAIRS, lambda part, start, n=n: by_wording(part, n, start, PART_STARTS), seed)  # type: ignore[misc]
        for n in GROUP_NUMBERS
        if 2 * n <= n_symbols
    }
    if not told:
        return 1
    chosen = max(told, key=lambda n: (told[n], n))
    table = "  ".join(f"{n}: {value:.2f}" for n, value in told.items())
    say(
        f"groups of symbols: {chosen}, on which halves of the text agree best ({table}); for another number set "
        "--model.n-groups"
    )
    return chosen


def is_conversation(text: EncodedSplit, vocabulary: Vocabulary) -> bool:
    """Whether some sentences of a text ask, and some do not.

    Args:
        text: sentences.
        vocabulary: of its words.
    """
    marks = [number for number, token in enumerate(vocabulary.tokens) if not QUESTION_MARKS.isdisjoint(token)]
    rows = torch.repeat_interleave(torch.arange(len(text)), text.lengths)
    asking = rows[torch.isin(text.targets, torch.tensor(marks, dtype=torch.int64))].unique()
    return LEAST_SHARE <= len(asking) / max(1, len(text)) <= 1.0 - LEAST_SHARE


def is_worded(
    bags: Bags, n_symbols: int, by_topics: Callable[[Bags, int], Guide], *, seed: int, say: Callable[[str], None]
) -> bool:
    """Whether halves of the text agree much better on symbols by wording than on those by topics.

    Args:
        bags: of training sentences, of which SENTENCES, evenly spread, are looked at.
        n_symbols: K.
        by_topics: finds the symbols of some sentences, with a seed.
        seed: of the halves.
        say: receives a line.

    Source: the stability of Lange, Roth, Braun & Buhmann, Stability-Based Validation of Clustering Solutions, Neural
    Computation 16, 2004.
    """
    bags = bags.at_most(SENTENCES)
    if n_symbols < 2 or len(bags) < 4 * n_symbols:
        return False
    wording = agreement(bags, WORDING_PAIRS, lambda part, start: by_wording(part, n_symbols, start, PART_STARTS), seed)
    topics = agreement(bags, TOPIC_PAIRS, by_topics, seed)
    worded = wording > PREFERRED * max(topics, 0.0)
    taken = "taken: wording (--objective.group-by topics for topics)" if worded else "taken: topics"
    say(f"halves of the text agree on symbols by {topics:.2f} as topics and by {wording:.2f} as wording; {taken}")
    return worded


def agreement(bags: Bags, n_pairs: int, find: Callable[[Bags, int], Guide], seed: int) -> float:
    """Mean adjusted mutual information of the symbols that two halves give to all sentences."""
    from sklearn.metrics import adjusted_mutual_info_score

    told = []
    for number, pair in enumerate(halves(len(bags), n_pairs, seed)):
        guides = [find(bags[part], seed + 2 * number + half) for half, part in enumerate(pair)]
        told.append(adjusted_mutual_info_score(*(guide.log_probabilities(bags).argmax(1) for guide in guides)))
    return float(np.mean(told))
