"""What the words of a sentence say by themselves: features h(x) beside the recurrent ones (`model.sentence_features`).

An encoder that is learnt from nothing on some thousand short texts does not know which words mean the same. Statistics
of the training text do: which words occur together. h(x) has two parts, each of unit length:

- latent semantic analysis: TF-IDF of the sentence's words, reduced by a singular value decomposition (Deerwester et
  al. 1990);
- the weighted mean of word vectors, which are the singular vectors of positive pointwise mutual information of words
  that share a sentence (Levy & Goldberg 2014); rare words count for more, and what all sentences share is taken off
  (Arora, Liang & Ma, A Simple but Tough-to-Beat Baseline for Sentence Embeddings, ICLR 2017).

Both are linear in the counts of words, so that h(x) is kept as one table a part, among the parameters of the model. A
frozen pretrained encoder (`model.sentence_encoder`) adds a third part, its vector of the sentence, which comes with the
batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.data.batching import SentenceBatch
from svebm_ext.data.documents import DocumentBatch
from svebm_ext.errors import DataError
from svebm_ext.kinds import EncodedTexts

if TYPE_CHECKING:
    import numpy as np
    from scipy.sparse import csr_matrix

#: Sizes of the two parts.
TOPIC_DIM, WORD_DIM = 300, 100
FEATURE_DIM = TOPIC_DIM + WORD_DIM
#: Sentences that the features are learnt from, at most; and pairs of words of one sentence, which a few long texts
#: have as many of as many short ones.
MAX_SENTENCES, MAX_PAIRS = 50_000, 50_000_000
#: A word counts for a / (a + p) in a mean, p its share of all words (Arora et al. 2017).
RARITY = 1e-3
#: Length of the part of a frozen encoder, where those of words have 1.
ENCODER_LENGTH = 2.0


class WordFeatures(nn.Module):
    """h(x) [B, F] of a batch of sentences, from tables that `fit` fills; without it h(x) is 0.

    Args:
        vocabulary_size: V; special tokens count for nothing.
        encoder_dim: E, numbers of a vector of the frozen encoder; 0 without one.

    Attributes:
        dim: F, 400 + E.
    """

    idf: Tensor
    topics: Tensor
    vectors: Tensor
    mean: Tensor
    common: Tensor
    centre: Tensor

    def __init__(self, vocabulary_size: int, encoder_dim: int = 0) -> None:
        super().__init__()
        self.encoder_dim, self.dim = encoder_dim, FEATURE_DIM + encoder_dim
        self.register_buffer("idf", torch.zeros(vocabulary_size))
        self.register_buffer("topics", torch.zeros(vocabulary_size, TOPIC_DIM))
        self.register_buffer("vectors", torch.zeros(vocabulary_size, WORD_DIM))
        self.register_buffer("mean", torch.zeros(WORD_DIM))
        self.register_buffer("common", torch.zeros(WORD_DIM))
        if encoder_dim:
            self.register_buffer("centre", torch.zeros(encoder_dim))

    @torch.no_grad()
    def forward(self, batch: SentenceBatch | DocumentBatch) -> Float[Tensor, "B F"]:
        """h(x) of each row; a part of words of a sentence without a known word is 0."""
        words, counts, offsets = batch.bags(len(self.idf))
        weights = self.tfidf(words, counts, offsets)
        topics = F.embedding_bag(words, self.topics, offsets[:-1], mode="sum", per_sample_weights=weights)
        vectors = F.embedding_bag(words, self.vectors, offsets[:-1], mode="sum") - self.mean
        vectors = vectors - (vectors @ self.common)[:, None] * self.common
        parts = [F.normalize(topics, dim=-1), F.normalize(vectors, dim=-1)]
        if self.encoder_dim:
            parts.append(self.of_vectors(batch.vectors).to(topics.dtype))
        return torch.cat(parts, -1)

    def of_vectors(self, vectors: Float[Tensor, "B E"] | None) -> Float[Tensor, "B E"]:
        """The part of h(x) of vectors of the frozen encoder: without what all sentences share, of one length.

        Raises:
            DataError: a batch without vectors.
        """
        if vectors is None:
            raise DataError("sentence encoder: the sentences come without its vectors; encode texts by the model")
        return ENCODER_LENGTH * F.normalize(F.normalize(vectors, dim=-1) - self.centre, dim=-1)

    def tfidf(
        self, words: Int[Tensor, "m"], counts: Float[Tensor, "m"], offsets: Int[Tensor, "B_plus_1"]
    ) -> Float[Tensor, "m"]:
        """TF-IDF of the distinct words of sentences, (1 + log count) idf, of unit length a sentence; see `bags_of`."""
        weights = (1.0 + counts.log()) * self.idf[words]
        rows = torch.repeat_interleave(torch.arange(len(offsets) - 1, device=words.device), offsets.diff())
        squares = weights.new_zeros(len(offsets) - 1).index_add(0, rows, weights.square())
        return weights / squares.clamp_min(1e-12).sqrt()[rows]

    @torch.no_grad()
    def of_split(self, split: EncodedTexts) -> Float[Tensor, "N F"]:
        """h(x) of every sentence of a split, in order."""
        features = torch.empty(len(split), self.dim, device=self.idf.device)
        for rows in torch.arange(len(split)).split(4096):
            batch = split.collate(rows).to(self.idf.device)
            features[batch.indices] = self(batch)
        return features

    @torch.no_grad()
    def fit(self, train: EncodedTexts, *, seed: int = 0) -> None:
        """Learn the tables from training sentences.

        Args:
            train: sentences, of which MAX_SENTENCES, evenly spread, are read.
            seed: of the singular value decompositions.
        """
        import numpy as np
        import scipy.sparse as sp
        from threadpoolctl import threadpool_limits

        counts = count_matrix(train, len(self.idf), MAX_SENTENCES)
        present = np.asarray((counts > 0).sum(0)).ravel()
        idf = np.where(present >= min(2, counts.shape[0]), np.log((1 + counts.shape[0]) / (1 + present)) + 1.0, 0.0)
        weighted = counts.copy()
        weighted.data = 1.0 + np.log(weighted.data)
        weighted = weighted @ sp.diags(idf)
        lengths = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
        weighted = sp.diags(1.0 / np.maximum(lengths, 1e-12)) @ weighted
        # Sums of several threads end differently each time; a resumed run must not.
        with threadpool_limits(1):
            topics, _ = singular_vectors(weighted, TOPIC_DIM, seed)
            vectors = word_vectors(counts, seed)
        present_share = present / max(1.0, present.sum())
        vectors = vectors * (RARITY / (RARITY + present_share))[:, None]
        means = (counts > 0).astype(np.float64) @ vectors
        centre = means.mean(0)
        spread = means - centre
        with threadpool_limits(1):
            common = np.linalg.eigh(spread.T @ spread)[1][:, -1]
        for buffer, values in (
            (self.idf, idf),
            (self.topics, topics),
            (self.vectors, vectors),
            (self.mean, centre),
            (self.common, common),
        ):
            buffer.copy_(torch.from_numpy(np.ascontiguousarray(values)).float())
        if self.encoder_dim and train.vectors is not None:
            some = train.vectors[evenly_spread(len(train), MAX_SENTENCES)]
            self.centre.copy_(F.normalize(some, dim=-1).mean(0))


def evenly_spread(n: int, n_most: int) -> Int[Tensor, "n"]:
    """`n_most` of the numbers 0 .. n - 1, evenly spread; all of them where there are no more."""
    return torch.arange(min(n, n_most)) * n // max(1, min(n, n_most))


def count_matrix(split: EncodedTexts, vocabulary_size: int, n_most: int | None = None) -> csr_matrix:
    """How often each word occurs in each sentence, a scipy matrix in compressed rows [N, V] (float64).

    Args:
        split: N sentences; with `n_most`, as many of them, evenly spread.
        vocabulary_size: V.
        n_most: see above.
    """
    from scipy.sparse import csr_matrix

    if n_most is not None and len(split) > n_most:
        split = split.part(evenly_spread(len(split), n_most))
    words, counts, offsets = split.bags(vocabulary_size)
    parts = (counts.double().numpy(), words.numpy(), offsets.numpy())
    return csr_matrix(parts, shape=(len(split), vocabulary_size))


def singular_vectors(matrix: csr_matrix, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The n largest right singular vectors [columns, n] and singular values of a sparse matrix; 0 beyond its rank."""
    import numpy as np
    from sklearn.utils.extmath import randomized_svd

    vectors, values = np.zeros((matrix.shape[1], n)), np.zeros(n)
    rank = min(n, *(size - 1 for size in matrix.shape))
    if rank >= 1:
        _, values[:rank], right = randomized_svd(matrix, rank, n_iter=5, random_state=seed % 2**32)
        vectors[:, :rank] = right.T
    return vectors, values


def word_vectors(counts: csr_matrix, seed: int) -> np.ndarray:
    """Vectors [V, 100] of words: singular vectors of their positive pointwise mutual information in sentences.

    Source: Levy & Goldberg, Neural Word Embedding as Implicit Matrix Factorization, NIPS 2014.
    """
    import numpy as np

    vectors, values = singular_vectors(positive_information(counts), WORD_DIM, seed)
    return vectors * np.sqrt(values)


def positive_information(counts: csr_matrix) -> csr_matrix:
    """Pointwise mutual information [V, V] of words that share a sentence, where it is above 0; of n(v, w) pairs,
    log(n(v, w) n / (n(v) n(w)))."""
    import numpy as np
    import scipy.sparse as sp

    binary = _fewer_pairs((counts > 0).astype(np.float32))
    together = (binary.T @ binary).tocoo()
    apart = together.row != together.col
    row, column, n = together.row[apart], together.col[apart], together.data[apart].astype(np.float64)
    margin = np.bincount(row, n, minlength=counts.shape[1])
    information = np.log(n * n.sum() / (margin[row] * margin[column])) if len(n) else n
    kept = information > 0
    shape = (counts.shape[1], counts.shape[1])
    return sp.csr_matrix((information[kept], (row[kept], column[kept])), shape=shape)


def _fewer_pairs(binary: csr_matrix) -> csr_matrix:
    """Fewer rows of the matrix, evenly spread, where their words would make more than MAX_PAIRS pairs."""
    import numpy as np

    sizes = np.diff(binary.indptr).astype(np.float64)
    share = MAX_PAIRS / max(1.0, float((sizes * sizes).sum()))
    return binary if share >= 1.0 else binary[:: int(np.ceil(1.0 / share))]
