"""How many symbols a text has."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from svebm_ext.terminal import counted
from svebm_ext.training.guides.bags import Bags
from svebm_ext.training.guides.parts import halves
from svebm_ext.training.guides.unlabelled import FEW_SENTENCES, topics_by_part

#: Numbers of symbols to choose from; sentences that are looked at, and pairs of halves, of few sentences more of them.
CANDIDATES = (3, 4, 5, 7, 10, 14, 20, 28, 40, 56, 80, 112, 160)
STABILITY_SENTENCES, STABILITY_PAIRS, FEW_PAIRS = 6000, 2, 4
#: Where halves agree on groups nearly whole, by at least the former, each finer number is a part of them that is found
#: again as well: the smallest number is taken that is no more than the latter behind.
CLEAR, MARGIN = 0.8, 0.05
#: Sentences of each symbol on average, at least.
LEAST_PER_SYMBOL = 15


def choose_n_symbols(bags: Bags, *, seed: int, say: Callable[[str], None]) -> int:
    """The number of symbols that two halves of the text agree on best.

    Of each number, k-means and EM find symbols in either half; both tell those of all sentences, and how far they agree
    is their adjusted mutual information. A number that the text does not have splits its groups by chance. Of numbers
    that are clearly there, such as kinds of reviews and the phrases in which they are written, the smallest is taken.
    With a pretrained encoder, it is k-means of h(x) smoothed over the neighbours in that half, without EM.

    Args:
        bags: of training sentences, of which STABILITY_SENTENCES, evenly spread, are looked at.
        seed: of the halves and of k-means.
        say: receives the table.

    Source: the stability of Lange, Roth, Braun & Buhmann, Stability-Based Validation of Clustering Solutions, Neural
    Computation 16, 2004.
    """
    from sklearn.metrics import adjusted_mutual_info_score
    from threadpoolctl import threadpool_limits

    bags = bags.at_most(STABILITY_SENTENCES)
    candidates = [n for n in CANDIDATES if n * LEAST_PER_SYMBOL <= len(bags)] or [max(1, min(2, len(bags) // 2))]
    agreement = {}
    pairs = list(halves(len(bags), FEW_PAIRS if len(bags) <= FEW_SENTENCES else STABILITY_PAIRS, seed))
    with threadpool_limits(1):
        find = topics_by_part(bags, pairs if len(candidates) > 1 else ())
        for n in candidates if len(candidates) > 1 else ():
            scores = []
            for pair in pairs:
                told = [find(half, n, seed + number) for number, half in enumerate(pair)]
                scores.append(adjusted_mutual_info_score(*told))
            agreement[n] = float(np.mean(scores))
    if not agreement:
        size = counted(len(bags), "text")
        say(f"symbols: {candidates[0]}; the text is too small to compare numbers of symbols ({size})")
        return candidates[0]
    best = max(agreement.values())
    is_clear = best >= CLEAR and not bags.has_vectors  # an encoder's groups of groups are found again as well
    near = [n for n, value in agreement.items() if value >= best - (MARGIN if is_clear else 0.005)]
    chosen = min(near) if is_clear else max(near)
    table = "  ".join(f"{n}: {value:.2f}" for n, value in agreement.items())
    limit = f"; no more are tried on {len(bags):,} texts" if chosen == candidates[-1] < CANDIDATES[-1] else ""
    say(
        f"symbols: {chosen}, on which halves of the text agree best ({table}){limit}; for another number set "
        "--model.n-categories"
    )
    return chosen
