"""Word vectors of a text of one's own: GloVe (Pennington, Socher & Manning, EMNLP 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.data.documents import N_SPECIAL
from svebm_ext.data.embeddings import WordVectors
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import DataError

#: Constants of the source: x_max for a text of billions of words is 100; a text of a million has smaller counts.
X_MAX, POWER = 10.0, 0.75


@dataclass(frozen=True)
class Cooccurrences:
    """How often words stand near each other: pairs (first, second) that do, each once and both ways round."""

    first: Int[Tensor, " n"]
    second: Int[Tensor, " n"]
    counts: Float[Tensor, " n"]


def cooccurrences(sentences: Sequence[Sequence[str]], vocabulary: Vocabulary, window: int = 5) -> Cooccurrences:
    """Counts X of pairs at most `window` words apart within a document, a pair d apart counting 1 / d.

    Words outside the vocabulary are left out before distances are counted: with stop words out, the window is of
    content words.

    Raises:
        DataError: no two known words stand in one document.
    """
    n_words = len(vocabulary) - N_SPECIAL
    rows, words = [], []
    for number, sentence in enumerate(sentences):
        ids = np.asarray(vocabulary.encode(sentence), dtype=np.int64) - N_SPECIAL
        words.append(ids[ids >= 0])
        rows.append(np.full(len(words[-1]), number))
    document, word = np.concatenate([*rows, []]).astype(np.int64), np.concatenate([*words, []]).astype(np.int64)
    keys, counts = [], []
    for distance in range(1, window + 1):
        same = document[distance:] == document[:-distance]
        left, right = word[:-distance][same], word[distance:][same]
        for a, b in ((left, right), (right, left)):
            keys.append(a * n_words + b)
            counts.append(np.full(len(a), 1.0 / distance))
    unique, where = np.unique(np.concatenate(keys), return_inverse=True)
    if len(unique) == 0:
        raise DataError("word vectors: no two words of the vocabulary stand in one document")
    totals = np.bincount(where, np.concatenate(counts))
    first, second = np.divmod(unique, n_words)
    return Cooccurrences(torch.from_numpy(first), torch.from_numpy(second), torch.from_numpy(totals).float())


class GloVe(nn.Module):
    """Vectors and biases of words and of contexts, w_i . c_j + a_i + b_j for log X_ij.

    Args:
        n_words: V.
        dim: size of the vectors.
    """

    def __init__(self, n_words: int, dim: int) -> None:
        super().__init__()
        self.words, self.contexts = (nn.Embedding(n_words, dim) for _ in range(2))
        self.word_bias, self.context_bias = (nn.Embedding(n_words, 1) for _ in range(2))
        for table in (self.words, self.contexts, self.word_bias, self.context_bias):
            nn.init.uniform_(table.weight, -0.5 / dim, 0.5 / dim)

    def loss(self, first: Int[Tensor, "n"], second: Int[Tensor, "n"], counts: Float[Tensor, "n"]) -> Float[Tensor, ""]:
        """Sum over pairs of f(X) (w . c + a + b - log X)^2 / 2 with f(X) = min(1, (X / x_max)^.75), Eq. 8 and 9."""
        score = (self.words(first) * self.contexts(second)).sum(-1)
        score = score + self.word_bias(first)[:, 0] + self.context_bias(second)[:, 0]
        weight = (counts / X_MAX).pow(POWER).clamp_max(1.0)
        return 0.5 * (weight * (score - counts.log()).square()).sum()

    def vectors(self) -> Float[Tensor, "V dim"]:
        """Sum of each word's two vectors, as the source does."""
        return (self.words.weight + self.contexts.weight).detach()


def train_glove(
    pairs: Cooccurrences,
    n_words: int,
    dim: int = 50,
    *,
    n_epochs: int = 15,
    batch_size: int = 65_536,
    learning_rate: float = 0.05,
    seed: int = 0,
) -> Float[Tensor, "V dim"]:
    """Word vectors by weighted least squares with AdaGrad; a word without pairs keeps its small random vector.

    Args:
        pairs: counts.
        n_words: V.
        dim: size of the vectors.
        n_epochs: passes over the pairs.
        batch_size: pairs of a step.
        learning_rate: of AdaGrad.
        seed: of initial vectors and of the order of pairs.
    """
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)
    model = GloVe(n_words, dim)
    optimiser = torch.optim.Adagrad(model.parameters(), lr=learning_rate, initial_accumulator_value=1.0)
    for _ in range(n_epochs):
        for chosen in torch.randperm(len(pairs.counts), generator=generator).split(batch_size):
            optimiser.zero_grad(set_to_none=True)
            model.loss(pairs.first[chosen], pairs.second[chosen], pairs.counts[chosen]).backward()
            optimiser.step()
    return model.vectors()


def vectors_for(vocabulary: Vocabulary, known: WordVectors, *, seed: int = 0) -> Float[Tensor, "V dim"]:
    """A vector for each word of the vocabulary; words without one get random ones of the same spread.

    Args:
        vocabulary: special symbols are left out.
        known: vectors by word.
        seed: of the random ones.
    """
    n_words, dim = len(vocabulary) - N_SPECIAL, known.vectors.shape[1]
    vectors = torch.randn(n_words, dim, generator=torch.Generator().manual_seed(seed))
    vectors *= known.vectors.std() if len(known.words) > 1 else 1.0
    rows = torch.tensor(vocabulary.encode(list(known.words)), dtype=torch.int64) - N_SPECIAL
    return vectors.index_copy(0, rows[rows >= 0], known.vectors[rows >= 0])
