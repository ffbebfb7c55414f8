"""Sentences as the words that they have, and the guide that is read off them."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.kinds import EncodedTexts
from svebm_ext.models.features import WordFeatures, count_matrix, evenly_spread
from svebm_ext.models.guide import SymbolGuide

if TYPE_CHECKING:
    from sklearn.cluster import KMeans

#: An array of numpy, or a matrix of scipy, which comes without types.
Array = Any

#: Added to each count of a word in a symbol.
SMOOTHING = 0.1
#: Sentences that symbols are found from, at most; the others are told their symbol.
MAX_SENTENCES = 20_000
#: Iterations of k-means.
KMEANS_ITERATIONS = 25


@dataclass(frozen=True)
class Bags:
    """Sentences as the guide sees them: which words they have [N, V] (scipy, 0 or 1), h(x) [N, F], TF-IDF [N, V].

    `has_vectors` says whether h(x) has a part of a pretrained encoder.
    """

    words: Array
    features: Array
    tfidf: Array
    has_vectors: bool = False

    def __len__(self) -> int:
        return self.features.shape[0]

    def __getitem__(self, rows: Array | slice) -> Bags:
        return Bags(self.words[rows], self.features[rows], self.tfidf[rows], self.has_vectors)

    def at_most(self, n: int) -> Bags:
        """Evenly spread sentences, no more than n."""
        return self if len(self) <= n else self[evenly_spread(len(self), n).numpy()]


@dataclass(frozen=True)
class Guide:
    """log p(y|x) up to a constant: words @ scores + tfidf @ tfidf + features @ weight.T + bias; see `SymbolGuide`.

    `groups` has the group of each symbol, where they are in two levels.
    """

    scores: Array
    tfidf: Array
    weight: Array
    bias: Array
    reliability: float = 0.0
    groups: tuple[int, ...] | None = None

    def log_probabilities(self, bags: Bags) -> Array:
        """log p(y|x) [N, K] of each sentence (float32)."""
        by_words = bags.words @ self.scores + bags.tfidf @ self.tfidf
        return log_softmax(by_words + bags.features @ self.weight.T + self.bias)

    def guesses(self, bags: Bags, labels: Tensor, n_categories: int) -> Float[Tensor, "N K"]:
        """Probabilities of the symbols of sentences; of labelled ones that of their class alone is above 0."""
        probabilities = torch.zeros(len(bags), n_categories)
        probabilities[:, : self.scores.shape[1]] = torch.from_numpy(np.exp(self.log_probabilities(bags)))
        known = (labels >= 0).nonzero()[:, 0]
        probabilities[known] = torch.nn.functional.one_hot(labels[known], n_categories).float()
        return probabilities

    @classmethod
    def of(cls, module: SymbolGuide) -> Guide:
        """The guide that a model has."""
        scores, tfidf, weight, bias = (
            tensor.cpu().numpy() for tensor in (module.scores, module.tfidf, module.weight, module.bias)
        )
        return cls(scores, tfidf, weight, bias, float(module.reliability))

    @torch.no_grad()
    def copy_to(self, module: SymbolGuide) -> None:
        """Fill the module of a model; symbols beyond the guide's get no probability from it."""
        K = self.scores.shape[1]
        module.scores[:, :K].copy_(torch.from_numpy(self.scores))
        module.tfidf[:, :K].copy_(torch.from_numpy(self.tfidf))
        module.weight[:K].copy_(torch.from_numpy(self.weight))
        module.bias.fill_(-1e4)[:K].copy_(torch.from_numpy(self.bias))
        module.power.fill_(1.0)
        module.reliability.fill_(self.reliability)


def bags_of_split(split: EncodedTexts, features: WordFeatures) -> Bags:
    """All sentences of a split as the guide sees them."""
    counts = count_matrix(split, len(features.idf))
    parts = (torch.from_numpy(part) for part in (counts.indices, counts.data, counts.indptr))
    words, present, offsets = (part.to(features.idf.device) for part in parts)
    tfidf = counts.astype(np.float32)
    tfidf.data = features.tfidf(words.long(), present.float(), offsets.long()).cpu().numpy()
    told = features.of_split(split).cpu().numpy()
    return Bags((counts > 0).astype(np.float32), told, tfidf, features.encoder_dim > 0)


def log_softmax(scores: Array) -> Array:
    """Normalised logarithms along rows."""
    shifted = scores - scores.max(1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(1, keepdims=True))


def k_means(inputs: Array, n: int, seed: int, n_starts: int) -> KMeans:
    """scikit-learn's k-means of rows, the best of `n_starts`."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # fewer distinct sentences than clusters, or not settled yet
        warnings.simplefilter("ignore", ConvergenceWarning)
        return KMeans(n, n_init=n_starts, max_iter=KMEANS_ITERATIONS, random_state=seed % 2**32).fit(inputs)


def word_scores(words: Array, shares: Array) -> Array:
    """log p(w|y) [V, K] of sentences that count for their shares [N, K] of each symbol."""
    counts = np.asarray(words.T @ shares) + SMOOTHING
    return np.log(counts / counts.sum(0)).astype(np.float32)


def expectation_maximisation(words: Array, shares: Array, n_rounds: int) -> tuple[Array, float]:
    """Shares [N, K] of a mixture of multinomials after EM from given ones, and its log-likelihood a sentence."""
    mean = -np.inf
    for _ in range(n_rounds):
        scores = words @ word_scores(words, shares) + np.log(shares.mean(0) + 1e-6)
        top = scores.max(1, keepdims=True)
        shares = np.exp(scores - top)
        total = shares.sum(1, keepdims=True)
        shares, mean = shares / total, float((np.log(total) + top).mean())
    return shares, mean
