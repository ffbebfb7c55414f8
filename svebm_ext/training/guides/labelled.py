"""Classes of sentences of which some are labelled, found from their words.

A logistic regression of h(x) on the labelled sentences, whose probabilities are the prior of naive Bayes with EM on all
of them (Nigam et al. 2000). How much the words count beside it is chosen by cross-validation over the labels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from svebm_ext.training.guides.bags import MAX_SENTENCES, Array, Bags, Guide, log_softmax, word_scores

#: Exponent of the logistic regression in the product.
REGRESSION_POWER = 0.5
#: C of the logistic regression; rounds of EM beside it, and exponent of the word counts in these, without which naive
#: Bayes is too certain; exponents in the product to choose from, the middle one where labels are too few to choose.
INVERSE_PENALTY, EM_ROUNDS, EM_POWER = 50.0, 8, 0.5
EXPONENTS, USUAL_EXPONENT = (0.0, 0.05, 0.125, 0.25, 0.5), 0.25


def find_classes(
    bags: Bags, labels: Array, n_classes: int, *, seed: int, say: Callable[[str], None] | None = None
) -> Guide:
    """Classes of sentences of which some are labelled; see the module's description.

    Args:
        bags: of training sentences.
        labels: class of each, -1 where it has none.
        n_classes: K.
        seed: of the folds.
        say: receives a line.
    """
    from threadpoolctl import threadpool_limits

    known = np.flatnonzero(labels >= 0)
    others = np.flatnonzero(labels < 0)
    others = others[:: max(1, -(-len(others) // MAX_SENTENCES))]
    with threadpool_limits(1):
        exponent, accuracy = _best_exponent(bags, labels, known, others, n_classes, seed)
        guide = _taught_by_labels(bags, labels, known, others, n_classes)[exponent]
    if say is not None:
        how = f", {100 * accuracy:.1f} % right in cross-validation" if accuracy == accuracy else ""
        say(f"classes by words: {len(known):,} labels of {n_classes} classes, {len(others):,} sentences without{how}")
    return guide


def _best_exponent(
    bags: Bags, labels: Array, known: Array, others: Array, n_classes: int, seed: int
) -> tuple[float, float]:
    """Exponent of the word counts with the most labelled sentences right when they are held out, and that share."""
    smallest = int(np.bincount(labels[known], minlength=n_classes).min())
    n_folds = min(5, smallest)
    if n_folds < 2:
        return USUAL_EXPONENT, float("nan")
    from sklearn.model_selection import StratifiedKFold

    right = dict.fromkeys(EXPONENTS, 0)
    folds = StratifiedKFold(n_folds, shuffle=True, random_state=seed % 2**32)
    for kept, held in folds.split(known, labels[known]):
        for exponent, guide in _taught_by_labels(bags, labels, known[kept], others, n_classes).items():
            predicted = guide.log_probabilities(bags[known[held]]).argmax(1)
            right[exponent] += int((predicted == labels[known[held]]).sum())
    best = max(EXPONENTS, key=lambda exponent: (right[exponent], -abs(exponent - USUAL_EXPONENT)))
    return best, right[best] / len(known)


def _taught_by_labels(bags: Bags, labels: Array, known: Array, others: Array, n_classes: int) -> dict[float, Guide]:
    """Guides of labelled and unlabelled sentences, by the exponent of their word counts."""
    from sklearn.linear_model import LogisticRegression

    shares = np.eye(n_classes, dtype=np.float32)[labels[known]]
    learner = LogisticRegression(C=INVERSE_PENALTY, max_iter=500).fit(bags.features[known], labels[known])
    weight = np.zeros((n_classes, bags.features.shape[1]), np.float32)
    bias = np.full(n_classes, -1e4, np.float32)
    if len(learner.classes_) == 2:  # scikit-learn keeps one row of two
        weight[learner.classes_[1]], bias[learner.classes_] = learner.coef_[0], (0.0, learner.intercept_[0])
    else:
        weight[learner.classes_], bias[learner.classes_] = learner.coef_, learner.intercept_
    both = np.concatenate((known, others))
    words = bags.words[both]
    taught = REGRESSION_POWER * log_softmax(bags.features[others] @ weight.T + bias)
    guessed = np.exp(taught / REGRESSION_POWER)
    for _ in range(EM_ROUNDS if len(others) else 0):
        scores = EM_POWER * word_scores(words, np.concatenate((shares, guessed)))
        guessed = np.exp(log_softmax(bags.words[others] @ scores + taught))
    scores = word_scores(words, np.concatenate((shares, guessed)))
    return {e: Guide(e * scores, REGRESSION_POWER * weight, REGRESSION_POWER * bias) for e in EXPONENTS}
