"""Better mixtures of few symbols, by crossing the likeliest ones.

Expectation-maximisation ends near its start: one symbol holds two topics, and another one half of a topic. Sentences
that several mixtures put together are of one topic. So the groups on which all parents agree are merged to K symbols,
such that these tell as much of the words as they can (`merging`). Expectation-maximisation goes on from there, and
children that are likelier than their parents are crossed again.

Source: recombination of partitions as in Gribel & Vidal, HG-means: A scalable hybrid genetic algorithm for minimum
sum-of-squares clustering, Pattern Recognition 88, 2019; here of mixtures of multinomials, by mutual information.
"""

from __future__ import annotations

import numpy as np

from svebm_ext.training.guides.bags import Array, Bags, expectation_maximisation, word_scores
from svebm_ext.training.guides.merging import merged

#: A mixture: shares [N, K] of the symbols, and its log-likelihood a sentence.
Mixture = tuple[Array, float]

#: Parents of each child, by the rank of their likelihood; generations; rounds of EM of a child.
PARENTS, GENERATIONS, EM_ROUNDS = ((0, 1, 2, 3), (0, 1, 2), (0, 1, 3), (0, 2, 3)), 3, 15
#: Mixtures whose log-likelihoods are nearer than this (nats a sentence) are the same one.
SAME = 1e-4
#: Groups that are merged, at most: so many for each symbol, and at least so many.
GROUPS_PER_SYMBOL, LEAST_GROUPS = 4, 200


def likeliest(bags: Bags, starts: list[Mixture]) -> Array:
    """Shares [N, K] of the likeliest mixture of some and of their descendants.

    Args:
        bags: of N sentences.
        starts: mixtures of the same number of symbols, at least one.
    """
    population = _different(starts)
    for _ in range(GENERATIONS):
        if len(population) < 2:
            break
        families = {tuple(rank for rank in ranks if rank < len(population)) for ranks in PARENTS}
        children = [
            crossed(bags, [population[rank][0] for rank in ranks]) for ranks in sorted(families) if len(ranks) > 1
        ]
        best = population[0][1]
        population = _different(population + children)
        if population[0][1] - best < SAME:
            break
    return population[0][0]


def crossed(bags: Bags, parents: list[Array]) -> Mixture:
    """The mixture that EM reaches from what several ones [N, K] agree on."""
    n_symbols = parents[0].shape[1]
    groups = common_groups(
        bags.words, [shares.argmax(1) for shares in parents], max(GROUPS_PER_SYMBOL * n_symbols, LEAST_GROUPS)
    )
    symbols = merged(bags.words, groups, n_symbols)
    return expectation_maximisation(bags.words, np.eye(n_symbols, dtype=np.float32)[symbols], EM_ROUNDS)


def common_groups(words: Array, partitions: list[Array], most: int) -> Array:
    """Groups [N] of sentences that are together in each of several partitions.

    Args:
        words: which words each sentence has [N, V] (scipy).
        partitions: the symbol of each sentence [N], several times.
        most: groups that stay; the sentences of smaller ones go to the likeliest of these by their words.
    """
    _, groups, sizes = np.unique(np.stack(partitions, 1), axis=0, return_inverse=True, return_counts=True)
    groups = groups.reshape(-1)  # numpy 2.0 gives it the shape of the input
    if len(sizes) <= most:
        return groups
    stay = np.sort(np.argsort(-sizes, kind="stable")[:most])
    numbers = np.full(len(sizes), -1)
    numbers[stay] = np.arange(most)
    groups = numbers[groups]
    known = groups >= 0
    shares = np.eye(most, dtype=np.float32)[groups[known]]
    scores = words[~known] @ word_scores(words[known], shares) + np.log(shares.mean(0))
    groups[~known] = scores.argmax(1)
    return groups


def _different(mixtures: list[Mixture]) -> list[Mixture]:
    """The mixtures in order of their likelihood, each only once."""
    kept: list[Mixture] = []
    for mixture in sorted(mixtures, key=lambda one: -one[1]):
        if not kept or kept[-1][1] - mixture[1] > SAME:
            kept.append(mixture)
    return kept
