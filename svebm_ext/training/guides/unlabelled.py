"""Symbols of sentences without labels, found from their words.

k-means of h(x), at once or of many small clusters that are merged, and a mixture of multinomials over words by
expectation-maximisation from there (Nigam et al. 2000); of several starts the likeliest are kept, whichever kind they
are of. In rounds of teaching a softmax regression of h(x) and that mixture correct each other: each alone makes
mistakes that the other one does not. Each start has other symbols wrong, and several solutions vote: sentences are
clustered anew by what all of them say (Strehl & Ghosh, Cluster Ensembles, JMLR 3, 2002), and taught once more. Few
symbols are also sought by crossing the starts to likelier mixtures (`crossing`). Which of both is taken is decided by
how well one half of the text predicts the symbols of the other: the likeliest mixture of few sentences fits chance.

Where a pretrained encoder has a part in h(x), the starts are k-means of h(x) smoothed over nearest neighbours
(`neighbours`), and the words count for less: of many symbols they know less than the encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from svebm_ext.models.grouping import LEAST_SYMBOLS, number_for
from svebm_ext.training.guides.bags import (
    MAX_SENTENCES,
    Array,
    Bags,
    Guide,
    expectation_maximisation,
    k_means,
    log_softmax,
    word_scores,
)
from svebm_ext.training.guides.crossing import likeliest
from svebm_ext.training.guides.merging import merged
from svebm_ext.training.guides.neighbours import smoothed, unit_rows
from svebm_ext.training.guides.parts import Finder, found_again, halves
from svebm_ext.training.guides.wording import (
    by_wording,
    by_wording_and_topic,
    choose_n_groups,
    is_worded,
    wording_by_part,
)

#: Starts of either kind, and rounds of EM of each.
STARTS, EM_ROUNDS = 3, 15
#: So many of the likeliest starts vote, of those with a pretrained encoder fewer where symbols are no more than
#: MANY_SYMBOLS. Pairs of halves by which few symbols are predicted.
MANY_SYMBOLS, MANY_VOTERS, FEW_VOTERS, PREDICTED_PAIRS = 30, 4, 2, 2
#: Clusters that are merged: so many for each symbol, and at least so many; sentences that k-means makes them of.
FINE_PER_SYMBOL, LEAST_FINE, FINE_SENTENCES = 2, 100, 6000
#: Rounds of teaching before and after the vote, and of EM in each of these.
ROUNDS_BEFORE, ROUNDS_AFTER, EM_IN_ROUND = 2, 4, 3
#: A symbol with less than this share of an even part of the sentences is given half of the largest one.
SMALLEST_SHARE = 0.05
#: Exponents of the mixture and of the logistic regression in their product.
MIXTURE_POWER, REGRESSION_POWER = 0.5, 0.5
#: With a pretrained encoder: starts, rounds after the vote, and the exponent of the mixture.
ENCODER_STARTS, ENCODER_ROUNDS_AFTER, ENCODER_MIXTURE_POWER = 6, 2, 0.1
#: Sentences by which it is measured how many symbols half of them finds again, pairs of halves, and rounds of EM there.
#: Of few sentences, where chance weighs most, each half looks in two ways, and so it does for what is told of symbols.
PART_SENTENCES, PART_PAIRS, PART_ROUNDS, FEW_SENTENCES = 6000, 2, 10, 1000
PART_STARTS, SEEDS_BETWEEN_STARTS = 2, 101
#: Factor on h(x) in the regression, and its Adam: iterations, batch, step size, decay.
SCALE, ITERATIONS, BATCH, RATE, DECAY = 4.0, 200, 1024, 0.02, 1e-3


def clusters(features: Array, n: int, seed: int, n_starts: int = 1) -> Array:
    """One-hot shares [N, n] of k-means of the features, the best of `n_starts`."""
    return np.eye(n, dtype=np.float32)[k_means(features, n, seed, n_starts).labels_]


def without_empty(features: Array, shares: Array, seed: int) -> Array:
    """Shares in which no symbol is empty, or nearly: such a one is given half of the largest, cut by k-means."""
    n_symbols = shares.shape[1]
    symbols = shares.argmax(1)
    sizes = np.bincount(symbols, minlength=n_symbols)
    small = np.flatnonzero(sizes < max(1.0, SMALLEST_SHARE * len(symbols) / n_symbols))
    for symbol in small:
        rows = np.flatnonzero(symbols == np.bincount(symbols, minlength=n_symbols).argmax())
        if len(rows) < 2:
            break
        symbols[rows[clusters(features[rows], 2, seed)[:, 1] > 0]] = symbol
    return np.eye(n_symbols, dtype=np.float32)[symbols] if len(small) else shares


def regression(features: Array, shares: Array, seed: int) -> tuple[Array, Array]:
    """Weight [K, F] and bias [K] of a softmax regression of features on shares, with dropout against certainty."""
    # Half of the numbers are dropped, by random bits: random floats took longer than the regression.
    random = np.random.Generator(np.random.Philox(key=seed % 2**64))
    n_features = features.shape[1]
    inputs, targets = torch.from_numpy(features) * (2.0 * SCALE), torch.from_numpy(shares)
    weight, bias = torch.zeros(targets.shape[1], n_features), torch.zeros(targets.shape[1])
    optimiser = torch.optim.AdamW([weight, bias], lr=RATE, weight_decay=DECAY)
    n_rows = min(BATCH, len(inputs))
    x, kept = torch.empty(n_rows, n_features), torch.empty(n_rows, n_features)
    for iteration in range(ITERATIONS):
        optimiser.param_groups[0]["lr"] = RATE * (1.0 - iteration / ITERATIONS)
        rows = torch.from_numpy(random.integers(len(inputs), size=n_rows))
        bits = random.integers(256, size=(n_rows, -(-n_features // 8)), dtype=np.uint8)
        kept.copy_(torch.from_numpy(np.unpackbits(bits, axis=1, count=n_features)))
        torch.index_select(inputs, 0, rows, out=x).mul_(kept)
        wanted = targets[rows]
        told = torch.addmm(bias, x, weight.T).softmax(-1)
        gradient = (told * wanted.sum(-1, keepdim=True) - wanted) / n_rows  # of the cross-entropy, to log p
        weight.grad, bias.grad = gradient.T @ x, gradient.sum(0)
        optimiser.step()
    return (weight * SCALE).numpy(), bias.numpy()


def find_symbols(
    bags: Bags,
    n_symbols: int,
    *,
    seed: int,
    group_by: Literal["auto", "topics", "wording"] = "topics",
    n_groups: int = 1,
    say: Callable[[str], None] = lambda _: None,
) -> Guide:
    """Symbols of unlabelled sentences; see the module's description.

    Args:
        bags: of training sentences, of which MAX_SENTENCES, evenly spread, are looked at.
        n_symbols: K, at most as many as there are sentences.
        seed: of k-means and regressions.
        group_by: topics, or how sentences are worded (see `wording`), or what the text has of both.
        n_groups: of symbols, in two levels; 0: chosen, and none of fewer than LEAST_SYMBOLS; 1: one level.
        say: receives lines.
    """
    from threadpoolctl import threadpool_limits

    bags = bags.at_most(MAX_SENTENCES)
    with threadpool_limits(1):  # sums of several threads end differently each time; a resumed run must not
        worded = group_by == "wording" or (
            group_by == "auto"
            and is_worded(bags, n_symbols, lambda part, start: _once(part, n_symbols, start), seed=seed, say=say)
        )
        guide = _by_wording(bags, n_symbols, n_groups, seed, say) if worded else _by_topics(bags, n_symbols, seed)
        used = len(set(guide.log_probabilities(bags).argmax(1).tolist()))
        share = _reliability(guide, bags, n_symbols, worded, seed) if used > 1 else 0.0
        groups = guide.groups if worded else _groups_of_topics(bags, guide, n_groups, seed)
    again = f"; half of the text finds {share:.0%} of them again" if share else ""
    say(f"symbols of {len(bags):,} texts by their words: {used} of {n_symbols} in use{again}")
    return replace(guide, reliability=share, groups=groups)


def _reliability(guide: Guide, bags: Bags, n_symbols: int, worded: bool, seed: int) -> float:
    """Share of the sentences whose symbol halves of them find again; 0 where they are too few to tell."""
    bags = bags.at_most(PART_SENTENCES)
    if n_symbols < 2 or len(bags) < 4 * n_symbols:
        return 0.0
    pairs = list(halves(len(bags), PART_PAIRS, seed))
    levels = 1 if guide.groups is None else max(guide.groups) + 1
    find = wording_by_part(bags, levels) if worded else topics_by_part(bags, pairs, PART_STARTS)
    return found_again(guide.log_probabilities(bags).argmax(1), n_symbols, find, pairs, seed)


def topics_by_part(bags: Bags, pairs: Iterable[list[Array]], n_starts: int = 0) -> Finder:
    """Finds topics by the halves of some pairs, for less than `find_symbols`.

    Args:
        bags: of all sentences.
        pairs: of halves.
        n_starts: of either kind, of which the likeliest counts; 0: k-means alone, but of few sentences one of either.
    """
    if bags.has_vectors:
        # The neighbours in each half, which are the costly part, are looked for once.
        means = {id(half): smoothed(bags.features[half]) for pair in pairs for half in pair}
        rows = unit_rows(bags.features)

        def by_encoder(part: Array, n_symbols: int, seed: int) -> Array:
            numbers: Array = k_means(means[id(part)], n_symbols, seed, 1).predict(rows)
            return numbers

        return by_encoder

    def by_words(part: Array, n_symbols: int, seed: int) -> Array:
        half = bags[part]
        n = max(n_starts, 1) if len(bags) <= FEW_SENTENCES else n_starts
        if n > 0:
            starts = (
                start_of_topics(half, n_symbols, seed + SEEDS_BETWEEN_STARTS * start, merge=merge)
                for merge in (False, True)
                for start in range(n)
            )
            shares = max(starts, key=lambda start: start[1])[0]
        else:
            shares, _ = expectation_maximisation(half.words, clusters(half.features, n_symbols, seed), PART_ROUNDS)
        return (bags.words @ word_scores(half.words, shares) + np.log(shares.mean(0) + 1e-6)).argmax(1)

    return by_words


def _by_wording(bags: Bags, n_symbols: int, n_groups: int, seed: int, say: Callable[[str], None]) -> Guide:
    """Symbols of wording, in two levels where that is asked for and the symbols are not few."""
    if n_groups == 0:
        few = n_symbols < LEAST_SYMBOLS
        n_groups = 1 if few else choose_n_groups(bags, n_symbols, seed=seed, say=say)
    if n_groups == 1:
        return by_wording(bags, n_symbols, seed)
    return by_wording_and_topic(bags, n_symbols, n_groups, seed)


def _by_topics(bags: Bags, n_symbols: int, seed: int) -> Guide:
    """The best of several starts, or their vote."""
    few = n_symbols <= MANY_SYMBOLS
    if bags.has_vectors:
        means = smoothed(bags.features)
        groups = [k_means(means, n_symbols, seed + start, 1) for start in range(ENCODER_STARTS)]
        narrowest = sorted(groups, key=lambda one: one.inertia_)[: FEW_VOTERS if few else MANY_VOTERS]
        return _vote(bags, [np.eye(n_symbols, dtype=np.float32)[one.labels_] for one in narrowest], seed)
    starts = [
        start_of_topics(bags, n_symbols, seed + start, merge=merge)
        for merge in (False, True)
        for start in range(STARTS)
    ]
    voters = sorted(starts, key=lambda start: -start[1])[:MANY_VOTERS]
    vote = _vote(bags, [shares for shares, _ in voters], seed)
    if not few or n_symbols < 2 or len(bags) < 2 * n_symbols:
        return vote
    symbols = likeliest(bags, starts).argmax(1)
    crossed = _taught(bags, np.eye(n_symbols, dtype=np.float32)[symbols], ROUNDS_AFTER, seed + STARTS)
    return max(vote, crossed, key=lambda guide: predictability(bags, guide.log_probabilities(bags), seed))


def _groups_of_topics(bags: Bags, guide: Guide, n_groups: int, seed: int) -> tuple[int, ...] | None:
    """The group of each symbol: of as few topics of the same text, the one that most of its sentences have.

    Args:
        bags: of sentences.
        guide: that tells their symbols.
        n_groups: K1; 0: what `number_for` gives, if there are LEAST_SYMBOLS.
        seed: of the topics.

    Returns:
        Numbers of groups [K], the one with most sentences first; None for one group.
    """
    symbols, n_symbols = guide.log_probabilities(bags).argmax(1), len(guide.bias)
    own = np.eye(n_symbols)[symbols]
    if n_groups == 0 and n_symbols >= LEAST_SYMBOLS:
        means = (own.T @ bags.features) / np.maximum(own.sum(0), 1.0)[:, None]
        n_groups = number_for(torch.from_numpy(own.sum(0)), torch.from_numpy(means))
    if n_groups < 2:
        return None
    topics = _by_topics(bags, n_groups, seed).log_probabilities(bags).argmax(1)
    together = own.T @ np.eye(n_groups)[topics]
    groups = together.argmax(1)
    for empty in np.setdiff1d(np.arange(n_groups), groups):  # takes the symbol that has most of it and can be spared
        spared = np.bincount(groups, minlength=n_groups)[groups] > 1
        shares = together[:, empty] / np.maximum(together.sum(1), 1.0)
        groups[np.where(spared, shares, -1.0).argmax()] = empty
    sizes = np.bincount(groups[symbols], minlength=n_groups)
    return tuple(int(number) for number in np.argsort(np.argsort(-sizes, kind="stable"))[groups])


def predictability(bags: Bags, told: Array, seed: int) -> float:
    """How well the words alone, and h(x) alone, of one half of the sentences predict the symbols of the other half.

    Either is the adjusted mutual information of symbols and predictions: by naive Bayes, and by the regression of h(x).
    Chance has given a symbol to words that are in one half only, and wording has split what h(x) says is one.

    Args:
        bags: of N sentences.
        told: scores of the symbols [N, K], of which the largest counts.
        seed: of the halves and regressions.

    Returns:
        The mean over PREDICTED_PAIRS of halves, each half predicted by the other: 0 by chance or of one symbol, at
        most 1.

    Source: Tibshirani & Walther, Cluster Validation by Prediction Strength, Journal of Computational and Graphical
    Statistics 14, 2005, here with two views of each sentence.
    """
    from sklearn.metrics import adjusted_mutual_info_score

    n_symbols, symbols = told.shape[1], told.argmax(1)
    if (symbols == symbols[0]).all():
        return 0.0
    scores = []
    for number, pair in enumerate(halves(len(bags), PREDICTED_PAIRS, seed)):
        for learnt, rest in (pair, pair[::-1]):
            known, asked = bags[learnt], bags[rest]
            shares = np.eye(n_symbols, dtype=np.float32)[symbols[learnt]]
            by_words = asked.words @ word_scores(known.words, shares) + np.log(shares.mean(0) + 1e-6)
            weight, bias = regression(known.features, shares, seed + number)
            for answers in (by_words, asked.features @ weight.T + bias):
                scores.append(adjusted_mutual_info_score(symbols[rest], answers.argmax(1)))
    return float(np.mean(scores))


def _vote(bags: Bags, starts: list[Array], seed: int) -> Guide:
    """The guide of what several starts [N, K] say together, each of them taught before."""
    n_symbols = starts[0].shape[1]
    solutions = [_taught(bags, shares, ROUNDS_BEFORE, seed) for shares in starts]
    said = np.hstack([np.exp(0.5 * guide.log_probabilities(bags)) for guide in solutions])
    shares = without_empty(bags.features, clusters(said, n_symbols, seed, n_starts=2), seed)
    n_rounds = ENCODER_ROUNDS_AFTER if bags.has_vectors else ROUNDS_AFTER
    return _taught(bags, shares, n_rounds, seed + STARTS)


def _once(bags: Bags, n_symbols: int, seed: int) -> Guide:
    """Topics of one start: what `_by_topics` finds, for less."""
    if bags.has_vectors:
        return _taught(bags, clusters(smoothed(bags.features), n_symbols, seed), ROUNDS_BEFORE, seed)
    return _taught(bags, start_of_topics(bags, n_symbols, seed)[0], ROUNDS_BEFORE, seed)


def start_of_topics(bags: Bags, n_symbols: int, seed: int, *, merge: bool = False) -> tuple[Array, float]:
    """Shares of a mixture of multinomials from k-means, none of its symbols empty, and its log-likelihood."""
    if merge:
        fine = _fine_clusters(bags, max(FINE_PER_SYMBOL * n_symbols, LEAST_FINE), seed)
        shares = np.eye(n_symbols, dtype=np.float32)[merged(bags.words, fine, n_symbols)]
    else:
        shares = clusters(bags.features, n_symbols, seed)
    shares, _ = expectation_maximisation(bags.words, shares, EM_ROUNDS)
    return expectation_maximisation(bags.words, without_empty(bags.features, shares, seed), EM_IN_ROUND)


def _fine_clusters(bags: Bags, n: int, seed: int) -> Array:
    """Small clusters [N] by k-means of some sentences, which differ from seed to seed, so that starts do."""
    order = np.random.Generator(np.random.Philox(key=[seed, 0])).permutation(len(bags))
    some = bags.features[order[:FINE_SENTENCES]]
    numbers: Array = k_means(some, min(n, len(some)), seed, 1).predict(bags.features)
    return numbers


def _taught(bags: Bags, shares: Array, n_rounds: int, seed: int) -> Guide:
    """The guide after rounds in which regression and mixture teach each other, from given shares."""
    power = ENCODER_MIXTURE_POWER if bags.has_vectors else MIXTURE_POWER
    for number in range(n_rounds):
        shares = without_empty(bags.features, shares, seed)
        weight, bias = regression(bags.features, shares, seed + number)
        taught = REGRESSION_POWER * log_softmax(bags.features @ weight.T + bias)
        for _ in range(EM_IN_ROUND):
            scores = power * word_scores(bags.words, shares)
            shares = np.exp(log_softmax(bags.words @ scores + taught))
    scores = power * word_scores(bags.words, shares)
    nothing = np.zeros_like(scores)
    return Guide(scores, nothing, REGRESSION_POWER * weight, REGRESSION_POWER * bias)
