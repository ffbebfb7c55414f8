"""What words alone say about the symbol of a sentence: the guide of the symbols, log p(y | words of x).

f_y(z) is learnt to agree with it on training sentences (`training.guides`). On new ones the two are multiplied: z knows
the order of words, and the guide knows words that z had no room for.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from svebm_ext.data.batching import SentenceBatch
from svebm_ext.data.documents import DocumentBatch
from svebm_ext.models.features import FEATURE_DIM, WordFeatures


class SymbolGuide(nn.Module):
    """log p(y | words of x) = log softmax(bias + sum_w (scores[w] + t_w tfidf[w]) + weight h(x)), w the words of x.

    t_w is the TF-IDF of w in the sentence, which has unit length.

    Args:
        vocabulary_size: V.
        n_categories: K.
        feature_dim: F, numbers of h(x).

    Attributes:
        scores: of words [V, K]; naive Bayes's log p(w|y), tempered. Special tokens have 0.
        tfidf, weight, bias: a logistic regression of TF-IDF [V, K] and of h(x) [K, F], [K], tempered.
        power: tau, a number: the model's answer is p(y|z) p(y | words)^tau, normalised. 0: p(y|z) alone.
        reliability: share of the texts whose symbol is expected to be right, as measured when the guide was learnt; 0:
            unknown.
        log_temperature: log T, a number: logarithms of the model's answer are divided by T before they are normalised.
    """

    scores: Tensor
    tfidf: Tensor
    weight: Tensor
    bias: Tensor
    power: Tensor
    reliability: Tensor
    log_temperature: Tensor

    def __init__(self, vocabulary_size: int, n_categories: int, feature_dim: int = FEATURE_DIM) -> None:
        super().__init__()
        self.register_buffer("scores", torch.zeros(vocabulary_size, n_categories))
        self.register_buffer("tfidf", torch.zeros(vocabulary_size, n_categories))
        self.register_buffer("weight", torch.zeros(n_categories, feature_dim))
        self.register_buffer("bias", torch.zeros(n_categories))
        self.register_buffer("power", torch.zeros(()))
        self.register_buffer("reliability", torch.zeros(()))
        self.register_buffer("log_temperature", torch.zeros(()))

    @property
    def is_of_wording(self) -> bool:
        """Whether symbols are of how sentences are worded: TF-IDF alone says which, and no mixture of words."""
        return bool(self.tfidf.any()) and not bool(self.scores.any())

    @torch.no_grad()
    def forward(self, batch: SentenceBatch | DocumentBatch, features: WordFeatures) -> Float[Tensor, "B K"]:
        """log p(y | words of x) of each row; `features` are those of the model."""
        words, counts, offsets = batch.bags(len(self.scores))
        scores = functional.embedding_bag(words, self.scores, offsets[:-1], mode="sum")
        weights = features.tfidf(words, counts, offsets)
        scores += functional.embedding_bag(words, self.tfidf, offsets[:-1], mode="sum", per_sample_weights=weights)
        return (scores + features(batch) @ self.weight.T + self.bias).log_softmax(-1)
