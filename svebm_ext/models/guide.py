"""What words alone say about the symbol of a sentence: the guide of the symbols, log p(y | words of x).

f_y(z) is learnt to agree with it on training sentences (`training.guides`). On new ones the two are multiplied: z knows
the order of words, and the guide knows words that z had no room for.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svebm_ext.data.batching import SentenceBatch
from svebm_ext.models.features import FEATURE_DIM, bags_of


class SymbolGuide(nn.Module):
    """log p(y | words of x) = log softmax(bias + sum over distinct words of scores[w] + weight h(x)).

    Args:
        vocabulary_size: V.
        n_categories: K.

    Attributes:
        scores: of words [V, K]; naive Bayes's log p(w|y), tempered. Special tokens have 0.
        weight: of the features h(x) [K, F]; with `bias` [K] those of a logistic regression, tempered.
        power: tau, a number: the model's answer is p(y|z) p(y | words)^tau, normalised. 0: p(y|z) alone.
    """

    scores: Tensor
    weight: Tensor
    bias: Tensor
    power: Tensor

    def __init__(self, vocabulary_size: int, n_categories: int) -> None:
        super().__init__()
        self.register_buffer("scores", torch.zeros(vocabulary_size, n_categories))
        self.register_buffer("weight", torch.zeros(n_categories, FEATURE_DIM))
        self.register_buffer("bias", torch.zeros(n_categories))
        self.register_buffer("power", torch.zeros(()))

    @torch.no_grad()
    def forward(self, batch: SentenceBatch, features: Float[Tensor, "B F"]) -> Float[Tensor, "B K"]:
        """log p(y | words of x) of each row."""
        words, _, offsets = bags_of(batch.targets, batch.rows, batch.n_sentences, len(self.scores))
        by_words = torch.nn.functional.embedding_bag(words, self.scores, offsets[:-1], mode="sum")
        return (by_words + features @ self.weight.T + self.bias).log_softmax(-1)
