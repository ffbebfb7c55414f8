"""The plain ways to group and to classify texts, which a model has to beat: k-means, logistic regression of TF-IDF."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from svebm_ext.errors import DataError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

Sentences = Sequence[Sequence[str]]
Item = TypeVar("Item")

#: Most training sentences that k-means sees.
KMEANS_SENTENCES = 20_000
#: Sentences that need to have a word before k-means sees it.
MIN_DOCUMENTS = 2
#: C of the logistic regression, and its most iterations.
INVERSE_PENALTY, MAX_ITERATIONS = 10.0, 500


def tfidf_kmeans(train_sentences: Sentences, test_sentences: Sentences, k: int, seed: int) -> list[int]:
    """Cluster 0 .. k - 1 of each test sentence from one start; see `tfidf_kmeans_starts`."""
    return tfidf_kmeans_starts(train_sentences, test_sentences, k, seed, 1)[0]


def tfidf_kmeans_starts(
    train_sentences: Sentences, test_sentences: Sentences, k: int, seed: int, n_starts: int
) -> list[list[int]]:
    """Cluster 0 .. k - 1 of each test sentence, of several starts: k-means of TF-IDF of the training sentences.

    Stop words and punctuation stay, as a model of the texts sees them. Words of a single sentence are left out, unless
    there are no others.

    Args:
        train_sentences: tokens; of more than KMEANS_SENTENCES, as many evenly spread ones are used.
        test_sentences: tokens.
        k: number of clusters; fewer where there are fewer training sentences.
        seed: of the first centres of the first start; the next ones have those behind it.
        n_starts: how many solutions there are to be.

    Raises:
        DataError: no training sentence has a word, or k is not positive.
    """
    from sklearn.cluster import KMeans

    if k < 1:
        raise DataError(f"k-means needs at least one cluster, got {k}")
    known = evenly_spread([sentence for sentence in train_sentences if sentence], KMEANS_SENTENCES)
    vectorizer, features = _tfidf(known, MIN_DOCUMENTS)
    if not len(test_sentences):
        return [[]] * n_starts
    tested = vectorizer.transform(test_sentences)
    with _reproducible():
        starts = (KMeans(min(k, len(known)), n_init=1, random_state=(seed + i) % 2**32) for i in range(n_starts))
        return [[int(label) for label in start.fit(features).predict(tested)] for start in starts]


def tfidf_logistic_regression(
    train_sentences: Sentences, labels: Sequence[str], test_sentences: Sentences
) -> list[str]:
    """Predicted label of each test sentence: logistic regression of TF-IDF vectors, every training word among them.

    Args:
        train_sentences: tokens of the labelled sentences.
        labels: of each.
        test_sentences: tokens.

    Raises:
        DataError: another number of labels than of sentences, or no training sentence has a word.
    """
    from sklearn.linear_model import LogisticRegression

    if len(labels) != len(train_sentences):
        raise DataError(f"{len(labels)} labels of {len(train_sentences)} sentences")
    vectorizer, features = _tfidf(train_sentences, 1)
    if not len(test_sentences):
        return []
    if len(set(labels)) == 1:
        return [labels[0]] * len(test_sentences)
    with _reproducible():
        learner = LogisticRegression(C=INVERSE_PENALTY, max_iter=MAX_ITERATIONS).fit(features, np.array(labels))
        return [str(label) for label in learner.predict(vectorizer.transform(test_sentences))]


def evenly_spread(items: Sequence[Item], limit: int) -> Sequence[Item]:
    """At most `limit` of the items, the first of each of so many equal parts, in order."""
    n = len(items)
    return items if n <= limit else [items[i * n // limit] for i in range(limit)]


def _tokens(sentence: Sequence[str]) -> Sequence[str]:
    return sentence


def _tfidf(sentences: Sentences, min_documents: int) -> tuple[TfidfVectorizer, csr_matrix]:
    """A fitted vectorizer of token lists, and the vectors of the sentences."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    if not any(sentences):
        raise DataError(f"TF-IDF: none of the {len(sentences)} training sentences has a word")
    documents = Counter(word for sentence in sentences for word in set(sentence))
    least = min_documents if max(documents.values()) >= min_documents else 1
    vectorizer = TfidfVectorizer(analyzer=_tokens, sublinear_tf=True, min_df=least)
    return vectorizer, vectorizer.fit_transform(sentences)


@contextmanager
def _reproducible() -> Iterator[None]:
    """One thread, since sums of several end differently each time; without the warning of a fit that stopped early."""
    from sklearn.exceptions import ConvergenceWarning
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield
