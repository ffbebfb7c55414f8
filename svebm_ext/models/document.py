"""Networks over bags of words: the encoder of documents, and their multinomial generator (Table 8)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.data.documents import N_SPECIAL, DocumentBatch
from svebm_ext.errors import ConfigError
from svebm_ext.models.decoders import Decoder
from svebm_ext.models.encoders import Encoder
from svebm_ext.ops.philox import Stream, philox_uniform
from svebm_ext.ops.token_loss.documents import document_loss
from svebm_ext.processes import ALONE, Processes
from svebm_ext.randomness import TOKENS_PER_ROW, Draw

#: Standard deviation of a word's weights in the encoder at the start: features of twenty words are of order one half.
WORD_STD = 0.1


class DocumentEncoder(Encoder):
    """Word counts -> h -> h, with ReLU and dropout; the first layer adds up the rows of the words that occur.

    Args:
        n_words: V.
        hidden: h, and the size of the features.
        dropout: probability on both hidden layers.
        word_dropout: probability that a word of a document is not seen.
        counts: "counts" sees how often a word occurs, "log" log(1 + that).
    """

    def __init__(
        self, n_words: int, hidden: int, *, dropout: float = 0.0, word_dropout: float = 0.0, counts: str = "counts"
    ) -> None:
        super().__init__()
        self.words = nn.EmbeddingBag(n_words, hidden, mode="sum")
        nn.init.normal_(self.words.weight, std=WORD_STD)
        self.bias = nn.Parameter(torch.zeros(hidden))
        self.second = nn.Linear(hidden, hidden)
        self.dropout, self.word_dropout, self.counts = dropout, word_dropout, counts
        self.feature_dim = hidden

    def forward(self, batch: DocumentBatch, draw: Draw | None = None) -> Float[Tensor, "B F"]:
        """Features of each document; dropout only where a draw is given."""
        weights = batch.counts if self.counts == "counts" else batch.counts.log1p()
        ids = batch.indices * TOKENS_PER_ROW
        if draw is not None and self.word_dropout > 0.0:
            entries = ids[batch.rows] + torch.arange(batch.words.numel(), device=ids.device) - batch.offsets[batch.rows]
            seen = draw.uniform(entries, 1, Stream.WORD)[:, 0] >= self.word_dropout
            weights = weights * seen.to(weights.dtype) / (1.0 - self.word_dropout)
        hidden = F.relu(self.words(batch.words, batch.offsets[:-1], per_sample_weights=weights) + self.bias)
        if draw is not None:
            hidden = draw.dropout(hidden, self.dropout, ids, stream=Stream.DROPOUT)
        hidden = F.relu(self.second(hidden))
        return hidden if draw is None else draw.dropout(hidden, self.dropout, ids + 1, stream=Stream.DROPOUT)


class DocumentDecoder(Decoder):
    """z -> h -> ... -> h -> scores of words, added to their background log-frequency; p(x|z) is multinomial.

    log p(x|z) = sum_w c_w log softmax(background + W g(z) + b)_w. The multinomial coefficient, which no parameter
    moves, is left out. Batch normalisation keeps its scale at 1 (Card, Tan & Smith, ACL 2018), so that no hidden unit
    dies out; it learns a shift.

    Args:
        n_words: V.
        latent_dim: D.
        hidden: h.
        n_layers: hidden layers; with 0 scores are linear in z.
        batch_norm: normalise each hidden layer over the batch before its activation (LeakyReLU, slope .2).
        n_classes: K, to add p(y|z) times a table [K, V] to the scores; 0 has no such table.
    """

    background: Tensor

    def __init__(
        self, n_words: int, latent_dim: int, hidden: int, n_layers: int, *, batch_norm: bool = True, n_classes: int = 0
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = latent_dim
        for _ in range(n_layers):
            layers.append(nn.Linear(width, hidden, bias=not batch_norm))
            if batch_norm:
                layers.append(FixedScaleNorm(hidden))
            layers.append(nn.LeakyReLU(0.2))
            width = hidden
        self.layers = nn.Sequential(*layers)
        self.output = nn.Linear(width, n_words)
        nn.init.zeros_(self.output.bias)
        self.class_words = nn.Parameter(torch.zeros(n_classes, n_words)) if n_classes else None
        self.register_buffer("background", torch.zeros(n_words))

    def forward(
        self, z: Float[Tensor, "B D"], symbol: Float[Tensor, "B K"] | None = None
    ) -> tuple[Float[Tensor, "B H"], Float[Tensor, "V H"]]:
        """Inputs g(z) of the last layer and its weight; with a table of classes, p(y|z) and the table stand in them."""
        hidden, weight = self.layers(z), self.output.weight
        if self.class_words is None:
            return hidden, weight
        if symbol is None:
            raise ConfigError("class_words: the generator needs p(y|z)")
        return torch.cat((hidden, symbol.to(hidden.dtype)), -1), torch.cat((weight, self.class_words.T), -1)

    def scores(self, z: Float[Tensor, "B D"], symbol: Float[Tensor, "B K"] | None = None) -> Float[Tensor, "B V"]:
        """Unnormalised log-probabilities of all words: to be read, not to be trained on."""
        hidden, weight = self(z, symbol)
        return F.linear(hidden, weight, self.output.bias + self.background)

    def nll(
        self,
        batch: DocumentBatch,
        z: Float[Tensor, "B D"],
        draw: Draw | None = None,
        symbol: Float[Tensor, "B K"] | None = None,
    ) -> Float[Tensor, "B"]:
        """-log p(x|z) in nats of every document, without the multinomial coefficient; 0 for one without words."""
        hidden, weight = self(z, symbol)
        return document_loss(
            hidden,
            weight,
            self.output.bias + self.background,
            batch.words,
            batch.counts,
            batch.offsets,
            document_weight=1.0 / max(1, batch.n_documents),  # the loss is a mean: backward has nothing left to do
        )

    @torch.no_grad()
    def decode(
        self,
        z: Float[Tensor, "B D"],
        *,
        max_tokens: int,
        greedy: bool = True,
        temperature: float = 1.0,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        ids: Int[Tensor, "B"] | None = None,
        precision: str = "fp32",
        symbol: Float[Tensor, "B K"] | None = None,
    ) -> list[list[int]]:
        """Words of each z: the most probable ones (greedy), or drawn independently from p(word|z).

        Args:
            z: vectors.
            max_tokens: words of a document.
            greedy, temperature, seed, ids: as for `RecurrentDecoder.decode`.
            top_k, top_p, precision: accepted at their defaults alone.
            symbol: p(y|z), where the generator has a table of classes.

        Raises:
            ConfigError: an option that bags of words do not have, or one out of range.
        """
        if top_k != 0 or top_p != 1.0 or precision != "fp32":
            raise ConfigError("decode: top_k, top_p and precision are for sentences; documents take none of them")
        if not temperature > 0.0:
            raise ConfigError(f"decode: temperature is {temperature}; expected above 0")
        scores = self.scores(z, symbol)
        if greedy:
            words = scores.topk(min(max_tokens, scores.shape[1])).indices
        else:
            ids = torch.arange(z.shape[0], device=z.device) if ids is None else ids
            uniform = philox_uniform(seed, ids, dim=max_tokens, stream=Stream.TOKEN)[0]
            cumulative = (scores.double() / temperature).softmax(-1).cumsum(-1)
            words = torch.searchsorted(cumulative, uniform.double() * cumulative[:, -1:]).clamp_(
                max=scores.shape[1] - 1
            )
        return (words + N_SPECIAL).tolist()


class FixedScaleNorm(nn.BatchNorm1d):
    """Batch normalisation that learns a shift but no scale; a batch of one row, which has no spread, keeps its own.

    Attributes:
        processes: that share a batch, over all of whose rows it normalises. torch's SyncBatchNorm does that on GPUs
            alone.
    """

    def __init__(self, size: int) -> None:
        super().__init__(size, affine=False)
        self.shift = nn.Parameter(torch.zeros(size))
        self.processes = ALONE

    def forward(self, x: Tensor) -> Tensor:
        """Normalised x, shifted."""
        if self.training and self.processes.world_size > 1:
            return self._of_all(x) + self.shift
        if self.training and x.shape[0] == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, eps=self.eps) + self.shift
        return super().forward(x) + self.shift

    def _of_all(self, x: Float[Tensor, "B H"]) -> Float[Tensor, "B H"]:
        """x of this process, normalised by mean and variance over the rows of all."""
        x = x.float()
        counted = torch.cat((x.sum(0), x.new_tensor([len(x)])))
        counted = self.processes.sum(counted)
        n = counted[-1].detach()
        centred = x - counted[:-1] / n
        variance = self.processes.sum(centred.square().sum(0)) / n
        if n == 1:
            return F.batch_norm(x, self.running_mean, self.running_var, eps=self.eps)
        with torch.no_grad():
            assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
            self.running_mean.lerp_(counted[:-1] / n, self.momentum)
            self.running_var.lerp_(variance * n / (n - 1), self.momentum)
            if self.num_batches_tracked is not None:
                self.num_batches_tracked.add_(1)
        return centred * (variance + self.eps).rsqrt()


def normalise_over(model: nn.Module, processes: Processes) -> None:
    """Let batch normalisation be over the rows of all processes that share a batch."""
    for module in model.modules():
        if isinstance(module, FixedScaleNorm):
            module.processes = processes
