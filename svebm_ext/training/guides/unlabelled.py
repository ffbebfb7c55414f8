"""Symbols of sentences without labels, found from their words.

k-means of h(x); a mixture of multinomials over words by expectation-maximisation from there (Nigam et al. 2000), of
several starts the likeliest; then rounds in which a logistic regression of h(x) and that mixture teach each other: each
alone makes mistakes that the other one does not.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch

from svebm_ext.training.guides.bags import (
    MAX_SENTENCES,
    Array,
    Bags,
    Guide,
    expectation_maximisation,
    log_softmax,
    word_scores,
)

#: k-means starts; rounds of EM of each; rounds of teaching, and of EM in each of these.
STARTS, EM_ROUNDS, ROUNDS, EM_IN_ROUND = 3, 20, 4, 3
#: Exponents of the mixture and of the logistic regression in their product.
MIXTURE_POWER, REGRESSION_POWER = 0.5, 0.5
#: Factor on h(x) in the regression, dropout on it, and its Adam: iterations, batch, step size, decay.
SCALE, DROPOUT, ITERATIONS, BATCH, RATE, DECAY = 4.0, 0.5, 200, 1024, 0.02, 1e-3


def clusters(features: Array, n: int, seed: int) -> Array:
    """One-hot shares [N, n] of k-means of the features."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct sentences than clusters
        found = KMeans(n, n_init=1, random_state=seed % 2**32).fit(features)
    return np.eye(n, dtype=np.float32)[found.labels_]


def regression(features: Array, shares: Array, seed: int) -> tuple[Array, Array]:
    """Weight [K, F] and bias [K] of a softmax regression of features on shares, with dropout against certainty."""
    generator = torch.Generator().manual_seed(seed % 2**63)
    inputs, targets = torch.from_numpy(features) * SCALE, torch.from_numpy(shares)
    layer = torch.nn.Linear(inputs.shape[1], targets.shape[1])
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=RATE, weight_decay=DECAY)
    for iteration in range(ITERATIONS):
        optimiser.param_groups[0]["lr"] = RATE * (1.0 - iteration / ITERATIONS)
        rows = torch.randint(len(inputs), (min(BATCH, len(inputs)),), generator=generator)
        x = inputs[rows]
        x = x * (torch.rand(x.shape, generator=generator) >= DROPOUT) / (1.0 - DROPOUT)
        loss = -(targets[rows] * layer(x).log_softmax(-1)).sum(-1).mean()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return (layer.weight.detach() * SCALE).numpy(), layer.bias.detach().numpy()


def find_symbols(bags: Bags, n_symbols: int, *, seed: int, say: Callable[[str], None] | None = None) -> Guide:
    """Symbols of unlabelled sentences; see the module's description.

    Args:
        bags: of training sentences, of which MAX_SENTENCES, evenly spread, are looked at.
        n_symbols: K, at most as many as there are sentences.
        seed: of k-means and regressions.
        say: receives a line.
    """
    from threadpoolctl import threadpool_limits

    bags = bags[:: max(1, -(-len(bags) // MAX_SENTENCES))]
    with threadpool_limits(1):  # sums of several threads end differently each time; a resumed run must not
        starts = [
            expectation_maximisation(bags.words, clusters(bags.features, n_symbols, seed + start), EM_ROUNDS)
            for start in range(STARTS)
        ]
        shares = max(starts, key=lambda found: found[1])[0]
        for number in range(ROUNDS):
            weight, bias = regression(bags.features, shares, seed + number)
            taught = REGRESSION_POWER * log_softmax(bags.features @ weight.T + bias)
            for _ in range(EM_IN_ROUND):
                scores = MIXTURE_POWER * word_scores(bags.words, shares)
                shares = np.exp(log_softmax(bags.words @ scores + taught))
        scores = MIXTURE_POWER * word_scores(bags.words, shares)
    if say is not None:
        used = len(set(shares.argmax(1).tolist()))
        say(f"symbols of {len(bags):,} sentences by their words: {used} of {n_symbols} in use")
    return Guide(scores, REGRESSION_POWER * weight, REGRESSION_POWER * bias)
