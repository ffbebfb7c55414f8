"""Simple semi-supervised classifiers of documents that a table shows beside the models: what has to be beaten."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.data.documents import DocumentSplit
from svebm_ext.errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

#: Divides naive Bayes's log-probabilities where they are to be mixed or learnt from.
TEMPER = 4.0


@dataclass(frozen=True)
class NaiveBayes:
    """Multinomial naive Bayes: log p(y) [K] and log p(w|y) [K, V], float64."""

    log_prior: Float[Tensor, "K"]
    log_words: Float[Tensor, "K V"]

    def log_probabilities(self, documents: DocumentSplit) -> Float[Tensor, "B K"]:
        """log p(y|x) of each document (float64); of one without a known word, log p(y)."""
        scores = self.log_prior.new_zeros(len(documents), len(self.log_prior))
        rows = torch.arange(len(documents)).repeat_interleave(documents.offsets[1:] - documents.offsets[:-1])
        scores.index_add_(0, rows, self.log_words.T[documents.words] * documents.counts.double()[:, None])
        return (scores + self.log_prior).log_softmax(-1)


def naive_bayes_em(
    documents: DocumentSplit,
    n_classes: int,
    *,
    n_iterations: int = 10,
    smoothing: float = 1.0,
    unlabelled_weight: float = 1.0,
) -> NaiveBayes:
    """Naive Bayes on the labelled documents, then expectation-maximisation with the unlabelled ones.

    E: p(y|x) of each unlabelled document. M: p(w|y) and p(y) from all documents, each unlabelled one counting for its
    p(y|x) times `unlabelled_weight`; labelled ones keep their class.

    Args:
        documents: labels -1 where there is none.
        n_classes: K.
        n_iterations: rounds of E and M; 0 is supervised naive Bayes.
        smoothing: added to every count of a word in a class (1: Laplace, as in the source).
        unlabelled_weight: lambda of the source.

    Raises:
        DataError: a class has no labelled document.

    Source: Nigam, McCallum, Thrun & Mitchell, Text Classification from Labeled and Unlabeled Documents using EM,
    Machine Learning 39, 2000.
    """
    labelled = documents.labels >= 0
    share = torch.zeros(len(documents), n_classes, dtype=torch.float64)
    share[labelled, documents.labels[labelled]] = 1.0
    missing = (share.sum(0) == 0).nonzero()[:, 0].tolist()
    if missing:
        names = [documents.classes[k] if k < len(documents.classes) else str(k) for k in missing]
        raise DataError(f"naive Bayes: no labelled document of class {', '.join(names)}")
    model = _maximise(documents, share, smoothing)
    for _ in range(n_iterations):
        guessed = model.log_probabilities(documents).exp() * unlabelled_weight
        share[~labelled] = guessed[~labelled]
        model = _maximise(documents, share, smoothing)
    return model


def _maximise(documents: DocumentSplit, share: Float[Tensor, "B K"], smoothing: float) -> NaiveBayes:
    """Parameters that maximise the likelihood where each document counts for its share of each class."""
    rows = torch.arange(len(documents)).repeat_interleave(documents.offsets[1:] - documents.offsets[:-1])
    weights = share[rows] * documents.counts.double()[:, None]
    words = torch.full((documents.n_words, share.shape[1]), smoothing, dtype=torch.float64)
    words = words.index_add(0, documents.words, weights).T
    classes = share.sum(0) + 1.0
    return NaiveBayes((classes / classes.sum()).log(), (words / words.sum(1, keepdim=True)).log())


def self_training(
    documents: DocumentSplit, *, inverse_penalty: float = 10.0, n_rounds: int = 10, final_share: float = 0.9
) -> LogisticRegression:
    """Logistic regression on TF-IDF that takes its own confident predictions as labels, round by round.

    Round r of R labels the most confident unlabelled documents of each class, equally many of each, up to a share
    r / R * `final_share` of all; labels of earlier rounds are given anew. A threshold of confidence instead lets the
    class that is predicted first crowd out the others.

    Args:
        documents: labels -1 where there is none.
        inverse_penalty: C of the logistic regression.
        n_rounds: R; 0 is supervised logistic regression.
        final_share: share of the unlabelled documents that the last round learns from.

    Returns:
        A fitted scikit-learn estimator; `predict` takes `count_matrix` of other documents.

    Raises:
        DataError: fewer than two classes among the labelled documents.

    Source: Yarowsky, Unsupervised Word Sense Disambiguation Rivaling Supervised Methods, ACL 1995 (self-training).
    """
    import numpy as np
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    labels = documents.labels.numpy()
    if len(set(labels.tolist()) - {-1}) < 2:
        raise DataError("self-training needs labelled documents of at least two classes")
    tfidf = TfidfTransformer(sublinear_tf=True)
    # Inverse document frequencies are those of all documents, labelled or not.
    features = tfidf.fit_transform(count_matrix(documents))
    known, others = np.flatnonzero(labels >= 0), np.flatnonzero(labels < 0)
    learner = LogisticRegression(C=inverse_penalty, max_iter=300).fit(features[known], labels[known])
    for number in range(1, n_rounds + 1) if len(others) else ():
        probabilities = learner.predict_proba(features[others])
        predicted, confidence = probabilities.argmax(1), probabilities.max(1)
        n_each = int(len(others) * final_share * number / n_rounds / len(learner.classes_))
        rows = []
        for k in range(len(learner.classes_)):
            of_class = np.flatnonzero(predicted == k)
            rows.append(of_class[np.argsort(-confidence[of_class], kind="stable")[:n_each]])
        chosen = np.concatenate(rows)
        targets = np.concatenate((labels[known], learner.classes_[predicted[chosen]]))
        learner = LogisticRegression(C=inverse_penalty, max_iter=300)
        learner.fit(features[np.concatenate((known, others[chosen]))], targets)
    return make_pipeline(tfidf, learner)


def guessed_classes(
    documents: DocumentSplit, naive_bayes: NaiveBayes, kind: Literal["naive_bayes", "ensemble"]
) -> Float[Tensor, "B K"]:
    """Class probabilities of documents from simple classifiers that were trained on them (float32).

    naive_bayes: a quarter of its log-probabilities (TEMPER), normalised again, since naive Bayes takes words for
    independent and is nearly always certain. ensemble: mean of that and of self-training logistic regression.

    Args:
        documents: labels -1 where there is none.
        naive_bayes: of these documents.
        kind: one of the two.

    Raises:
        DataError: fewer than two classes among the labelled documents (ensemble).
    """
    from threadpoolctl import threadpool_limits

    probabilities = (naive_bayes.log_probabilities(documents) / TEMPER).softmax(-1)
    if kind == "ensemble":
        with threadpool_limits(1):  # sums of several threads end differently each time; a resumed run must not
            learner = self_training(documents)
        other = torch.zeros_like(probabilities)
        other[:, torch.from_numpy(learner.classes_)] = torch.from_numpy(learner.predict_proba(count_matrix(documents)))
        probabilities = (probabilities + other) / 2.0
    return probabilities.float()


def count_matrix(documents: DocumentSplit) -> csr_matrix:
    """The documents as a scipy matrix of counts in compressed rows [B, V]."""
    from scipy.sparse import csr_matrix

    _, counts, offsets = documents.bags(documents.n_words)
    parts = (counts.double().numpy(), documents.words.numpy(), offsets.numpy())
    return csr_matrix(parts, shape=(len(documents), documents.n_words))
