"""Encoders: an example to the features from which the posterior q(z|x) is read."""

from __future__ import annotations

import itertools
import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import PackedSequence

from svebm_ext.data.batching import SentenceBatch
from svebm_ext.data.documents import DocumentBatch
from svebm_ext.data.synthetic import PointBatch
from svebm_ext.models.features import WordFeatures
from svebm_ext.ops.gru_sequence import gru_sequence, prefers_torch
from svebm_ext.ops.gru_sequence.repeated import gru_sequence_of_repeated, products_are_shared
from svebm_ext.ops.philox import Stream
from svebm_ext.randomness import TOKENS_PER_ROW, Draw

RECURRENT = {"gru": nn.GRU, "lstm": nn.LSTM}
#: Factor on h(x), whose parts have unit length, at the input of a layer that expects numbers of order 1.
FEATURE_SCALE = 10.0


def run_recurrent(
    network: nn.GRU | nn.LSTM, inputs: Float[Tensor, "n I"], batch_sizes: Tensor, initial: tuple[Tensor, ...] | None
) -> tuple[Float[Tensor, "n H"], tuple[Tensor, ...]]:
    """States at every packed position (directions concatenated) and final h of each direction [B, H].

    A GRU takes this project's op `gru_sequence` on a CPU, and on a GPU where its kernel serves the call; anything else
    torch's layer.

    Args:
        network: one layer, one or two directions.
        inputs: packed inputs.
        batch_sizes: rows running at each step.
        initial: (h,) or (h, c), each [B, H]; None is zero. One direction only.
    """
    suffixes = ("", "_reverse") if network.bidirectional else ("",)
    if isinstance(network, nn.LSTM) or prefers_torch(inputs, batch_sizes, network.hidden_size, len(suffixes)):
        state = None if initial is None else tuple(s.unsqueeze(0).contiguous() for s in initial)
        given = state if state is None or isinstance(network, nn.LSTM) else state[0]
        output, final = _run_layer(network, PackedSequence(inputs, batch_sizes), given)
        return output.data, tuple((final[0] if isinstance(final, tuple) else final).unbind(0))
    h = None if initial is None else torch.stack([initial[0].to(inputs.dtype)] * len(suffixes))
    hidden, final = gru_sequence(inputs, batch_sizes, h, _parameters(network))
    return hidden, tuple(final.unbind(0))


def run_over_words(
    network: nn.GRU | nn.LSTM, embedding: nn.Embedding, words: Int[Tensor, "n"], batch_sizes: Tensor
) -> tuple[Float[Tensor, "n H"], tuple[Tensor, ...]]:
    """As `run_recurrent` over the embeddings of packed words; without a gradient, each distinct word is read once."""
    if isinstance(network, nn.LSTM) or not products_are_shared(embedding.weight):
        return run_recurrent(network, embedding(words), batch_sizes, None)
    distinct, which = words.unique(return_inverse=True)
    hidden, final = gru_sequence_of_repeated(embedding(distinct), which, batch_sizes, _parameters(network))
    return hidden, tuple(final.unbind(0))


def _parameters(network: nn.GRU | nn.LSTM) -> list[Tensor]:
    """Parameters of one layer as `gru_sequence` takes them."""
    suffixes = ("", "_reverse") if network.bidirectional else ("",)
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    return [getattr(network, f"{name}_l0{suffix}") for suffix in suffixes for name in names]


def _run_layer(network: nn.GRU | nn.LSTM, *arguments: object) -> tuple[PackedSequence, Tensor | tuple[Tensor, Tensor]]:
    """The layer's own forward pass, such that a gradient can be asked for.

    cuDNN keeps what a gradient needs in training mode only, which for one layer, without dropout, means nothing else.
    """
    if network.training or not torch.is_grad_enabled() or torch.compiler.is_compiling():
        return network(*arguments)
    network.training = True
    try:
        return network(*arguments)
    finally:
        network.training = False


class Encoder(nn.Module):
    """What every encoder is: called with a batch, and a draw for its dropout, it gives features [B, F].

    Attributes:
        feature_dim: F.
    """

    feature_dim: int


class RecurrentEncoder(Encoder):
    """Bidirectional recurrent network over the words of a sentence and its end mark; padding is never computed.

    Args:
        vocabulary_size: V.
        embedding_dim: size of a word embedding.
        hidden: size of each direction; features have twice that.
        cell: "gru" or "lstm".
        pooling: "final" takes the final states of both directions, "mean" their mean over the sentence, "attention"
            their mean with learnt weights (additive attention, Bahdanau et al. 2015).
    """

    def __init__(
        self, vocabulary_size: int, embedding_dim: int, hidden: int, cell: str = "gru", pooling: str = "final"
    ) -> None:
        super().__init__()
        self.pooling = pooling
        self.embedding = nn.Embedding(vocabulary_size, embedding_dim)
        self.recurrent = RECURRENT[cell](embedding_dim, hidden, bidirectional=True)
        self.feature_dim = 2 * hidden
        if pooling == "attention":
            self.key = nn.Linear(2 * hidden, hidden)
            self.query = nn.Linear(hidden, 1, bias=False)

    def forward(self, batch: SentenceBatch, draw: Draw | None = None) -> Float[Tensor, "B F"]:
        """Features of each sentence, both directions concatenated; there is no dropout to draw."""
        states, final = run_over_words(self.recurrent, self.embedding, batch.targets, batch.batch_sizes)
        if self.pooling == "final":
            return torch.cat(final, dim=-1)
        if self.pooling == "attention":
            scores = self.query(torch.tanh(self.key(states)))[:, 0].float()
            states = states * softmax_of_rows(scores, batch.rows, batch.n_sentences)[:, None].to(states.dtype)
        total = states.new_zeros(batch.n_sentences, states.shape[1]).index_add(0, batch.rows, states)
        return total if self.pooling == "attention" else total / batch.lengths[:, None]


def softmax_of_rows(scores: Float[Tensor, "n"], rows: Int[Tensor, "n"], n_rows: int) -> Float[Tensor, "n"]:
    """Softmax over the packed positions of each row: row r's weights add up to 1."""
    largest = scores.new_full((n_rows,), -math.inf).scatter_reduce(0, rows, scores.detach(), "amax")
    weights = torch.exp(scores - largest[rows])
    return weights / weights.new_zeros(n_rows).index_add(0, rows, weights)[rows]


class FeatureEncoder(Encoder):
    """Features of a text beside what its words say by themselves (`models.features`).

    Args:
        recurrent: encoder of the words in their order, or of a bag of words.
        words: h(x), held fixed.
        hidden: size of the layer between h(x) and the posterior.
        dropout: probability on h(x), in training.
    """

    def __init__(self, recurrent: Encoder, words: WordFeatures, *, hidden: int, dropout: float) -> None:
        super().__init__()
        self.recurrent, self.words, self.dropout = recurrent, words, dropout
        self.layer = nn.Linear(words.dim, hidden)
        self.feature_dim = recurrent.feature_dim + hidden

    def forward(self, batch: SentenceBatch | DocumentBatch, draw: Draw | None = None) -> Float[Tensor, "B F"]:
        """Features of the encoder, then those of h(x); dropout only where a draw is given."""
        features = self.recurrent(batch, draw)
        words = self.words(batch) * FEATURE_SCALE
        if draw is not None:
            words = draw.dropout(words, self.dropout, batch.indices * TOKENS_PER_ROW, stream=Stream.FEATURES)
        return torch.cat((features, functional.relu(self.layer(words)).to(features.dtype)), -1)


class NoEncoder(Encoder):
    """For models without a latent variable: no features."""

    feature_dim = 0

    def forward(self, batch: SentenceBatch, draw: Draw | None = None) -> Float[Tensor, "B 0"]:
        """Empty features."""
        return torch.empty(batch.n_sentences, 0, dtype=torch.float32, device=batch.targets.device)


def perceptron(*sizes: int) -> nn.Sequential:
    """Multilayer perceptron with ReLU between its layers."""
    layers: list[nn.Module] = []
    for inputs, outputs in itertools.pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class PointEncoder(Encoder):
    """Perceptron over points of the plane."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.network = nn.Sequential(perceptron(dim, hidden, hidden), nn.ReLU())
        self.feature_dim = hidden

    def forward(self, batch: PointBatch, draw: Draw | None = None) -> Float[Tensor, "B F"]:
        """Features of the last hidden layer."""
        return self.network(batch.points)
