"""Classes of sentences of which some are labelled, found from their words.

A logistic regression of h(x) on the labelled sentences, whose probabilities are the prior of naive Bayes with EM on all
of them (Nigam et al. 2000). How much the words count beside it is chosen by cross-validation over the labels.

Labels that are as many of each class do not tell how large the classes are. Most texts have large and small ones, and
words of a large class would fill the small ones. So EM may learn the sizes, which cross-validation decides as well.

Where a pretrained encoder has a part in h(x), two things are added. One or two labels a class tell a regression little.
There another view is the usual one: labels spread over the graph of nearest neighbours, and a softmax regression of
h(x) learns what has come to each sentence. And the two sides teach each other: a softmax regression of h(x) learns what
both together say of all sentences, and EM begins again from that.

Sources: Zhou et al., Learning with Local and Global Consistency, NIPS 2003 (label spreading); Blum & Mitchell,
Combining Labeled and Unlabeled Data with Co-Training, COLT 1998 (two views).
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from svebm_ext.models.features import evenly_spread
from svebm_ext.training.guides.bags import MAX_SENTENCES, Array, Bags, Guide, log_softmax, word_scores
from svebm_ext.training.guides.neighbours import neighbour_graph, spread_labels, unit_rows
from svebm_ext.training.guides.unlabelled import MANY_SYMBOLS, regression

#: Exponent of the logistic regression in the product.
REGRESSION_POWER = 0.5
#: C of the logistic regression; rounds of EM beside it, and exponent of the word counts in these, without which naive
#: Bayes is too certain; exponents in the product to choose from, the middle one where labels are too few to choose.
INVERSE_PENALTY, EM_ROUNDS, EM_POWER = 50.0, 8, 0.5
#: Views of the regression to choose from: TF-IDF and h(x), or either. Folds, and labelled sentences whose prediction is
#: enough to choose by.
VIEWS, N_FOLDS, ENOUGH_HELD_OUT = ("both", "features", "tfidf"), 5, 1000
EXPONENTS, USUAL_EXPONENT = (0.0, 0.05, 0.125, 0.25, 0.5), 0.25
#: Exponents of the classes' sizes in EM to choose from; the part of it in the product, to which that of the words is
#: added, up to as much again. A class has this share of an even part of the sentences at least. Labels tell how large
#: classes are themselves where one class has more than so many times those of another.
SIZES, SIZE_IN_PRODUCT, LEAST_SIZE, EVEN = (1.0, 0.0), 0.25, 1e-3, 2.0
#: Standard deviations by which a setting is ahead of the usual one to be taken: some thirty are compared.
SURE = 2.0
#: View, exponent of the words, exponent of the sizes.
Setting = tuple[str, float, float]
#: Weights of TF-IDF [V, K] and of h(x) [K, F], and bias [K].
Regressed = tuple[Array, Array, Array]
#: The view of spread labels, labelled sentences that it is tried with at most, and labels a class from which it is not
#: the usual view.
SPREAD, MOST_SPREAD, ENOUGH_LABELS = "spread", 5000, 3.0
#: Rounds in which h(x) and words teach each other; sentences without a label that all of it learns from, at most, and
#: those that settings are compared with.
CO_TRAINING_ROUNDS, MOST_UNLABELLED, MOST_COMPARED = 2, 50_000, MAX_SENTENCES


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
    others = others[evenly_spread(len(others), MOST_UNLABELLED).numpy()]
    compared = others[evenly_spread(len(others), MOST_COMPARED).numpy()]
    with threadpool_limits(1):  # sums of several threads end differently each time; a resumed run must not
        learner = _Learner(bags, labels, compared, n_classes, seed)
        (view, exponent, size), accuracy = _best_setting(learner, known)
        regressed = learner.regressed(known, view)
        learner.others = others
        guide = learner.taught(known, regressed, size, SIZE_IN_PRODUCT)[exponent]
        for _ in range(CO_TRAINING_ROUNDS if bags.has_vectors and len(others) else 0):
            more = learner.co_trained(known, regressed, guide)
            guide = learner.taught(known, more, size, SIZE_IN_PRODUCT)[exponent]
        guide = replace(guide, reliability=0.0 if math.isnan(accuracy) else accuracy)
    if say is not None:
        how = f", {100 * accuracy:.1f} % right in cross-validation" if accuracy == accuracy else ""
        say(f"classes by words: {len(known):,} labels of {n_classes} classes, {len(others):,} texts without{how}")
    return guide


class _Learner:
    """Teaches guides by some labelled sentences and all unlabelled ones; arguments are those of `find_classes`."""

    def __init__(self, bags: Bags, labels: Array, others: Array, n_classes: int, seed: int) -> None:
        self.bags, self.labels, self.others, self.n_classes, self.seed = bags, labels, others, n_classes, seed
        self.views: tuple[str, ...] = VIEWS
        self._graph: Array = None
        known = np.flatnonzero(labels >= 0)
        if bags.has_vectors and len(others) and len(known) <= MOST_SPREAD:
            few = len(known) < ENOUGH_LABELS * n_classes
            self.views = (SPREAD, *VIEWS) if few else (*VIEWS, SPREAD)
            rows = np.concatenate((known, others))
            self._place = np.full(len(bags), -1)
            self._place[rows] = np.arange(len(rows))
            self._graph = neighbour_graph(unit_rows(bags.features[rows]))

    def regressed(self, known: Array, view: str) -> Regressed:
        """The regression of some labelled sentences: of TF-IDF [V, K], of h(x) [K, F], and bias [K]."""
        return self._spread(known) if view == SPREAD else self._logistic(known, view)

    def taught(self, known: Array, regressed: Regressed, size: float, in_product: float = 0.0) -> dict[float, Guide]:
        """Guides of labelled and unlabelled sentences, by the exponent of their word counts.

        Args:
            known: labelled sentences.
            regressed: their regression.
            size: exponent of the sizes of the classes in EM.
            in_product: part of that exponent in the guides. Labels are often as many of each class, however large it
                is, so that they are predicted without.
        """
        bags, others, n_classes = self.bags, self.others, self.n_classes
        shares = np.eye(n_classes, dtype=np.float32)[self.labels[known]]
        tfidf, weight, bias = (REGRESSION_POWER * np.ascontiguousarray(part) for part in regressed)
        scores = np.zeros((bags.tfidf.shape[1], n_classes), np.float32)
        taught = (
            Guide(scores, tfidf, weight, bias).log_probabilities(bags[others])
            if len(others)
            else np.zeros((0, n_classes))
        )
        guessed = np.exp(log_softmax(taught / REGRESSION_POWER))
        words = bags.words[np.concatenate((known, others))]
        for _ in range(EM_ROUNDS if len(others) else 0):
            scores = EM_POWER * word_scores(words, np.concatenate((shares, guessed)))
            guessed = np.exp(log_softmax(bags.words[others] @ scores + taught + size * _log_sizes(guessed, shares)))
        scores = word_scores(words, np.concatenate((shares, guessed)))
        sizes = size * _log_sizes(guessed, shares) if len(others) and in_product else np.zeros_like(bias)
        return {
            exponent: Guide(
                (exponent * scores).astype(np.float32), tfidf, weight,
                (bias + (in_product + min(exponent, in_product)) * sizes).astype(np.float32),
            )
            for exponent in EXPONENTS
        }  # fmt: skip

    def co_trained(self, known: Array, regressed: Regressed, guide: Guide) -> Regressed:
        """A regression, and with it one of h(x) of all sentences on what a guide says of them."""
        rows = np.concatenate((known, self.others))
        shares = np.exp(guide.log_probabilities(self.bags[rows])).astype(np.float32)
        shares[: len(known)] = np.eye(self.n_classes, dtype=np.float32)[self.labels[known]]
        weight, bias = regression(self.bags.features[rows], shares, self.seed)
        return regressed[0], regressed[1] + weight / REGRESSION_POWER, regressed[2] + bias / REGRESSION_POWER

    def _logistic(self, known: Array, view: str) -> Regressed:
        """Logistic regression of labelled sentences."""
        from sklearn.linear_model import LogisticRegression

        bags, n_classes, labels = self.bags, self.n_classes, self.labels
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "The number of unique classes", UserWarning
            )  # one label a class is usual here
            learner = LogisticRegression(C=INVERSE_PENALTY, max_iter=300).fit(_inputs(bags[known], view), labels[known])
        n_words, n_features = bags.tfidf.shape[1], bags.features.shape[1]
        rows = np.zeros((n_classes, learner.coef_.shape[1]), np.float32)
        bias = np.full(n_classes, -1e4, np.float32)
        if len(learner.classes_) == 2:  # scikit-learn keeps one row of two
            rows[learner.classes_[1]], bias[learner.classes_] = learner.coef_[0], (0.0, learner.intercept_[0])
        else:
            rows[learner.classes_], bias[learner.classes_] = learner.coef_, learner.intercept_
        tfidf = rows[:, :n_words].T if view != "features" else np.zeros((n_words, n_classes), np.float32)
        weight = rows[:, -n_features:] if view != "tfidf" else np.zeros((n_classes, n_features), np.float32)
        return tfidf, weight, bias

    def _spread(self, known: Array) -> Regressed:
        """Softmax regression of h(x) on labels that have spread over the neighbours."""
        shares = np.eye(self.n_classes, dtype=np.float32)[self.labels[known]]
        rows = np.concatenate((known, self.others))
        place = self._place[rows]
        begun = np.concatenate((shares, np.zeros((len(self.others), self.n_classes), np.float32)))
        spread = spread_labels(self._graph[place][:, place], begun)
        reached = spread.sum(1) > 0  # a part of the graph may have no label
        weight, bias = regression(self.bags.features[rows][reached], spread[reached], self.seed)
        bias = np.where(shares.sum(0) > 0, bias, -1e4).astype(np.float32)
        return np.zeros((self.bags.tfidf.shape[1], self.n_classes), np.float32), weight, bias


def _log_sizes(guessed: Array, labelled: Array) -> Array:
    """log of how large each class [K] is among other sentences, as a multiple of its share of the labelled ones.

    The regression knows the sizes of the labelled classes. Both arguments are shares of the classes, [N, K] and [L, K].

    Source: Saerens, Latinne & Decaestecker, Adjusting the Outputs of a Classifier to New a Priori Probabilities, Neural
    Computation 14, 2002.
    """
    now, before = (np.log(np.maximum(shares.mean(0) * shares.shape[1], LEAST_SIZE)) for shares in (guessed, labelled))
    return now - before


def _best_setting(learner: _Learner, known: Array) -> tuple[Setting, float]:
    """The setting with the most labelled sentences right when they are held out, and its share of them.

    The only sentence of a class is never held out. The usual setting is kept unless another one is ahead of it by more
    than chance: by more than SURE times the square root of how many sentences just one of both has right. Of
    ENOUGH_HELD_OUT the best one is taken.
    """
    bags, labels, n_classes = learner.bags, learner.labels, learner.n_classes
    counts = np.bincount(labels[known], minlength=n_classes)
    single, several = known[counts[labels[known]] == 1], known[counts[labels[known]] > 1]
    if not len(several):
        return (learner.views[0], USUAL_EXPONENT, 0.0), float("nan")
    sizes = SIZES if counts.max() <= EVEN * counts[counts > 0].min() else (0.0,)
    right: dict[Setting, list[bool]] = {}
    for kept, held in _folds(several, labels, min(N_FOLDS, int(counts.max())), learner.seed):
        learnt = np.sort(np.concatenate((kept, single)))
        regressed = {view: learner.regressed(learnt, view) for view in learner.views}
        for view, size in itertools.product(learner.views, sizes):
            for exponent, guide in learner.taught(learnt, regressed[view], size).items():
                answers = guide.log_probabilities(bags[held]).argmax(1)
                right.setdefault((view, exponent, size), []).extend(answers == labels[held])
        if len(right[view, exponent, size]) >= ENOUGH_HELD_OUT:
            break
    # Of many classes, which have few texts each, EM cannot tell the sizes.
    usual = (learner.views[0], USUAL_EXPONENT, sizes[0] if n_classes <= MANY_SYMBOLS else 0.0)
    order = {setting: number for number, setting in enumerate(right)}
    best = max(right, key=lambda one: (sum(right[one]), -abs(one[1] - USUAL_EXPONENT), -order[one]))
    ahead = np.subtract(right[best], right[usual], dtype=int)
    by_chance = SURE * math.sqrt(np.abs(ahead).sum()) if len(ahead) < ENOUGH_HELD_OUT else 0.0
    chosen = best if ahead.sum() > by_chance else usual
    return chosen, float(np.mean(right[chosen]))


def _folds(known: Array, labels: Array, n_folds: int, seed: int) -> Iterator[tuple[Array, Array]]:
    """Sentences that are kept and held out, in turn; each class is spread over as many folds as it can be."""
    from sklearn.model_selection import StratifiedKFold

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        parts = list(StratifiedKFold(n_folds, shuffle=True, random_state=seed % 2**32).split(known, labels[known]))
    for kept, held in parts:
        yield known[kept], known[held]


def _inputs(bags: Bags, view: str) -> Array:
    """What the logistic regression of a view sees, in compressed rows."""
    from scipy.sparse import csr_matrix, hstack

    if view == "tfidf":
        return bags.tfidf
    features = csr_matrix(bags.features)
    return features if view == "features" else hstack([bags.tfidf, features]).tocsr()
