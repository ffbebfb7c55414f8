"""Codes of sentences that need no model of them: what the symbols of a model have to be compared with.

Each is read off the words, or found by standard tools on word counts. A model whose symbols agree with dialogue acts
less than a question mark does has not found dialogue acts.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from svebm_ext.errors import DataError

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer

Sentences = Sequence[Sequence[str]]

END_MARKS = ("?", ".", "!")
#: A sentence's length class is the number of these that its number of words exceeds.
LENGTHS = (2, 4, 7, 11, 17)
#: Begin and end of a sentence in pairs of words.
BEGIN, END = "<s>", "</s>"


def numbered(codes: Sequence[Hashable]) -> Int[Tensor, "B"]:
    """Codes of any kind as numbers from 0, equal codes alike, in the order in which they first occur."""
    numbers: dict[Hashable, int] = {}
    return torch.tensor([numbers.setdefault(code, len(numbers)) for code in codes], dtype=torch.long)


def last_marks(sentences: Sentences) -> list[str]:
    """The last token of each sentence where it is "?", "." or "!"; otherwise "other"."""
    return [sentence[-1] if sentence and sentence[-1] in END_MARKS else "other" for sentence in sentences]


def first_words(train: Sentences, sentences: Sentences, n_words: int = 8) -> list[tuple[str, str, int]]:
    """First word, if it is among the most frequent first words of training, times last mark times class of length.

    Args:
        train: whose first words are counted; of equally frequent ones the first met counts as more frequent.
        sentences: to be coded.
        n_words: first words that are told apart; all others are "other".
    """
    common = {word for word, _ in Counter(sentence[0] for sentence in train if sentence).most_common(n_words)}
    return [
        (
            sentence[0] if sentence and sentence[0] in common else "other",
            mark,
            sum(len(sentence) > length for length in LENGTHS),
        )
        for sentence, mark in zip(sentences, last_marks(sentences), strict=True)
    ]


def verbatim_share(train: Sentences, sentences: Sentences) -> float:
    """Share of sentences, from 0 to 1, that occur word for word in training.

    Raises:
        DataError: for no sentences.
    """
    if not sentences:
        raise DataError("the share of sentences that occur in training needs at least one sentence, got none")
    known = {tuple(sentence) for sentence in train}
    return sum(tuple(sentence) in known for sentence in sentences) / len(sentences)


def clusters(
    train: Sentences,
    sentences: Sentences,
    n_clusters: int = 125,
    *,
    n_components: int = 100,
    n_fitted: int = 30_000,
    seed: int = 0,
) -> Int[Tensor, "B"]:
    """Clusters of sentences without labels: k-means on a truncated SVD of TF-IDF of words and pairs, rows of length 1.

    Args:
        train: inverse document frequencies and components are those of all of them.
        sentences: to be assigned to the nearest centre.
        n_clusters: K of k-means.
        n_components: of the SVD, fewer where there are fewer words and pairs.
        n_fitted: training sentences, chosen at random, that the centres are fitted to.
        seed: of choice, SVD and k-means.

    Raises:
        DataError: fewer training sentences than clusters.

    Source: Deerwester et al., Indexing by latent semantic analysis, 1990; scikit-learn's KMeans (k-means++ start).
    """
    import numpy as np
    from sklearn.cluster import KMeans
    from sklearn.decomposition import TruncatedSVD
    from sklearn.preprocessing import normalize

    if len(train) < n_clusters:
        raise DataError(f"k-means: {len(train)} training sentences for {n_clusters} clusters")
    weights = _tfidf()
    there, here = weights.fit_transform(train), weights.transform(sentences)
    svd = TruncatedSVD(min(n_components, there.shape[1]), n_iter=3, random_state=seed % 2**32)
    there, here = normalize(svd.fit_transform(there)), normalize(svd.transform(here))
    rows = np.random.default_rng(seed).permutation(len(train))[: max(n_fitted, n_clusters)]
    means = KMeans(n_clusters, n_init=1, max_iter=50, random_state=seed % 2**32).fit(there[rows])
    return torch.from_numpy(means.predict(here)).long()


def predicted_labels(
    train: Sentences, labels: Sequence[str], sentences: Sentences, *, inverse_penalty: float = 3.0
) -> list[str]:
    """Labels of sentences as a supervised classifier predicts them: logistic regression on TF-IDF of words and pairs.

    It has been shown the labels, so that it is no rival of unsupervised symbols: it says how much of the labels is in
    the words of the single sentence.

    Args:
        train: labelled sentences.
        labels: of them; "" marks a sentence without one, which is left out.
        sentences: to be classified.
        inverse_penalty: C of the logistic regression.

    Raises:
        DataError: fewer than two labels occur.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    kept = [i for i, label in enumerate(labels) if label != ""]
    if len({labels[i] for i in kept}) < 2:
        raise DataError("a supervised reference needs training sentences with at least two labels")
    weights = _tfidf()
    learner = LogisticRegression(C=inverse_penalty, max_iter=60, tol=1e-3)
    with warnings.catch_warnings():
        # Sixty rounds are enough for a reference: further ones change accuracy in the third digit.
        warnings.simplefilter("ignore", ConvergenceWarning)
        learner.fit(weights.fit_transform([train[i] for i in kept]), [labels[i] for i in kept])
    return [str(label) for label in learner.predict(weights.transform(sentences))]


def _tfidf() -> TfidfVectorizer:
    """TF-IDF of words and pairs of words that at least three training sentences have."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    return TfidfVectorizer(analyzer=_words_and_pairs, sublinear_tf=True, min_df=3)


def _words_and_pairs(sentence: Sequence[str]) -> list[str]:
    pairs = zip([BEGIN, *sentence], [*sentence, END], strict=True)
    return [*sentence, *(" ".join(pair) for pair in pairs)]
