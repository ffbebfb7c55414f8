"""Decoders: the generator p(x|z) (Eq. 6), its log-likelihood and its samples."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import TypedDict

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.data.batching import SentenceBatch
from svebm_ext.data.synthetic import PointBatch
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.models.encoders import RECURRENT, perceptron, run_recurrent
from svebm_ext.models.tied_embedding import tied_embedding
from svebm_ext.ops.arguments import full_precision, is_transformed
from svebm_ext.ops.backend import resolve
from svebm_ext.ops.checksum import checksum
from svebm_ext.ops.gru_decode import GRUWeights, gru_decode, pack_gru
from svebm_ext.ops.gru_decode.options import Choice, check_choice
from svebm_ext.ops.gru_decode.reference import draw
from svebm_ext.ops.philox import Stream, philox_uniform
from svebm_ext.ops.token_loss import token_loss
from svebm_ext.randomness import TOKENS_PER_ROW, Draw


class Decoding(TypedDict, total=False):
    """Options of `SVEBM.decode` beside the seed; their meaning and defaults are there."""

    greedy: bool
    temperature: float
    top_k: int
    top_p: float
    precision: str


class Decoder(nn.Module):
    """What every generator p(x|z) is.

    Attributes:
        nll: batch, z [B, D] and a draw for dropout to -log p(x|z) [B] in nats.
        decode: z to the ids of words of each row; its options are those of the decoder.
        class_words: table of words of each class, which p(y|z) is multiplied with; None, or missing, without one.
    """

    nll: Callable[..., Tensor]
    decode: Callable[..., list[list[int]]]
    class_words: nn.Parameter | None


class RecurrentDecoder(Decoder):
    """Autoregressive recurrent generator; z enters every input and, by a bias-free linear map, the initial state.

    Args:
        vocabulary_size: V.
        latent_dim: D.
        embedding_dim: size of a word embedding.
        hidden: H.
        cell: "gru" or "lstm".
        tied: share the softmax weights with the embedding, without a bias.
        embedding_dropout, output_dropout, word_dropout: probabilities, used only where a `Draw` is given.
    """

    def __init__(
        self,
        vocabulary_size: int,
        latent_dim: int,
        embedding_dim: int,
        hidden: int,
        *,
        cell: str = "gru",
        tied: bool = True,
        embedding_dropout: float = 0.0,
        output_dropout: float = 0.0,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.cell = cell
        self.embedding = nn.Embedding(vocabulary_size, embedding_dim)
        self.recurrent = RECURRENT[cell](embedding_dim + latent_dim, hidden)
        states = 2 if cell == "lstm" else 1
        self.initial = nn.Linear(latent_dim, hidden * states, bias=False) if latent_dim > 0 else None
        self._n_states, self._hidden = states, hidden
        self.output = None if tied else nn.Linear(hidden, vocabulary_size)
        self.embedding_dropout = embedding_dropout
        self.output_dropout = output_dropout
        self.word_dropout = word_dropout
        self._prepared: tuple[object, GRUWeights, Tensor | None] | None = None

    def logits(self, hidden: Float[Tensor, "n H"]) -> Float[Tensor, "n V"]:
        """Scores of the next word."""
        return F.linear(hidden, self.embedding.weight) if self.output is None else self.output(hidden)

    def initial_state(self, z: Float[Tensor, "B D"]) -> tuple[Tensor, ...]:
        """State before the first word: (h,) or (h, c), each [B, H]."""
        if self.initial is None:
            return (z.new_zeros(z.shape[0], self._hidden),) * self._n_states
        return self.initial(z).chunk(self._n_states, dim=-1)

    def inputs(self, batch: SentenceBatch, draw: Draw | None = None) -> Int[Tensor, "n"]:
        """Word before every real token, in packed order; some unknown where a draw is given (word dropout)."""
        if draw is None or self.word_dropout == 0.0:
            return batch.inputs
        drop = draw.uniform(_token_ids(batch), 1, Stream.WORD)[:, 0] < self.word_dropout
        return torch.where(drop & (batch.positions > 0), Vocabulary.UNKNOWN, batch.inputs)

    def hidden_states(
        self,
        batch: SentenceBatch,
        z: Float[Tensor, "B D"],
        embedded: Float[Tensor, "n E"],
        draw: Draw | None = None,
    ) -> Float[Tensor, "n H"]:
        """Hidden state at every real token, in packed order, from the embeddings of `inputs`.

        Dropout is applied only where a draw is given.
        """
        ids = _token_ids(batch)
        if draw is not None:
            embedded = draw.dropout(embedded, self.embedding_dropout, ids, stream=Stream.DROPOUT)
        inputs = torch.cat((embedded, z[batch.rows].to(embedded.dtype)), dim=-1)
        hidden, _ = run_recurrent(self.recurrent, inputs, batch.batch_sizes, self.initial_state(z))
        if draw is not None:
            # A second mask of the same ids: shift the ids beyond every position of the embedding's mask.
            hidden = draw.dropout(hidden, self.output_dropout, ids + TOKENS_PER_ROW // 2, stream=Stream.DROPOUT)
        return hidden

    def token_nll(self, batch: SentenceBatch, z: Float[Tensor, "B D"], draw: Draw | None = None) -> Float[Tensor, "n"]:
        """-log p(x_t | x_<t, z) in nats of every real token, in packed order."""
        words, table = self.inputs(batch, draw), self.embedding.weight
        together = self.output is None and self.embedding.sparse and torch.is_grad_enabled() and table.requires_grad
        if together and not is_transformed():
            embedded, table = tied_embedding(table, words)
        else:
            embedded = self.embedding(words)
        hidden = self.hidden_states(batch, z, embedded, draw)
        weight, bias = (table, None) if self.output is None else (self.output.weight, self.output.bias)
        # the loss is a mean over sentences: with that as the expected gradient, backward has nothing left to do
        return token_loss(hidden, weight, batch.targets, bias, token_weight=1.0 / max(1, batch.n_sentences))

    def nll(self, batch: SentenceBatch, z: Float[Tensor, "B D"], draw: Draw | None = None) -> Float[Tensor, "B"]:
        """-log p(x|z) in nats of every sentence, the end mark counted (Eq. 6)."""
        tokens = self.token_nll(batch, z, draw)
        return torch.zeros(z.shape[0], dtype=tokens.dtype, device=tokens.device).index_add(0, batch.rows, tokens)

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
    ) -> list[list[int]]:
        """Sentences of each z, without begin and end marks.

        Greedy, or by ancestral sampling: the inverse distribution function in vocabulary order at one uniform number a
        row and step, so that a row's sentence depends on its id and the seed, not on its batch.

        Args:
            z: vectors.
            max_tokens: most words of a sentence.
            greedy: take the most probable word (lowest index on ties) instead of sampling.
            temperature: divides the logits before sampling; above 0.
            top_k: sample among the k most probable words only; 0: all.
            top_p: ... and among the fewest most probable words with this probability together; 1: all.
            seed, ids: address of the random numbers; ids default to 0 .. B-1.
            precision: "fast" lets native kernels round weights and states to 16 bits (GRU only).

        Raises:
            ConfigError: an option is out of range.
        """
        choice = Choice(
            max_tokens=max_tokens,
            begin=Vocabulary.BEGIN,
            end=Vocabulary.END,
            pad=Vocabulary.PAD,
            excluded=[Vocabulary.PAD, Vocabulary.BEGIN],
            greedy=greedy,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
            log_probabilities=False,
            precision=precision,
        )
        ids = torch.arange(z.shape[0], dtype=torch.int64, device=z.device) if ids is None else ids
        z = z.to(self.embedding.weight.dtype)
        check_choice(choice, self.embedding.num_embeddings, z.device)
        with full_precision(z.device):  # `precision` says what is rounded here
            sentences = (
                self._decode_gru(z, ids, choice) if self.cell == "gru" else self._decode_step_by_step(z, ids, choice)
            )
        return [[w for w in sentence if w not in (Vocabulary.END, Vocabulary.PAD)] for sentence in sentences.tolist()]

    def _decode_gru(self, z: Tensor, ids: Tensor, choice: Choice) -> Tensor:
        weights, packed = self._prepared_weights(choice.precision)
        options = {field.name: getattr(choice, field.name) for field in dataclasses.fields(choice)}
        gate_bias = F.linear(z, self.recurrent.weight_ih_l0[:, self.embedding.embedding_dim :])
        return gru_decode(self.initial_state(z)[0], gate_bias, weights, ids=ids, packed=packed, **options).tokens

    def _prepared_weights(self, precision: str) -> tuple[GRUWeights, Tensor | None]:
        """Gates of every word as input, and weights packed for the kernel: kept until a weight changes.

        That they have not is seen from the weights themselves, whatever has changed them.
        """
        r, embedding = self.recurrent, self.embedding.weight
        output, output_bias = (embedding, None) if self.output is None else (self.output.weight, self.output.bias)
        sources = [embedding, r.weight_ih_l0, r.bias_ih_l0, r.weight_hh_l0, r.bias_hh_l0, output, output_bias]
        state = checksum([tensor for tensor in sources if tensor is not None])
        key = (precision, resolve("gru_decode", embedding.device), state)
        if self._prepared is None or self._prepared[0] != key:
            self._prepared = None  # before the new one takes as much memory
            table = F.linear(embedding, r.weight_ih_l0[:, : embedding.shape[1]], r.bias_ih_l0)
            weights = GRUWeights(table, r.weight_hh_l0, r.bias_hh_l0, output, output_bias)
            self._prepared = (key, weights, pack_gru(weights, precision=precision))
        return self._prepared[1:]

    def train(self, mode: bool = True) -> RecurrentDecoder:
        """Training changes the weights: what decoding had prepared of them is dropped."""
        if mode:
            self._prepared = None
        return super().train(mode)

    def __getstate__(self) -> dict[str, object]:
        """What is copied and pickled: not the prepared weights."""
        return {**self.__dict__, "_prepared": None}

    def _decode_step_by_step(self, z: Tensor, ids: Tensor, choice: Choice) -> Tensor:
        B, device = z.shape[0], z.device
        rows = torch.arange(B, dtype=torch.int64, device=device)
        state = self.initial_state(z)
        word = torch.full((B,), choice.begin, dtype=torch.int64, device=device)
        words = torch.full((B, choice.max_tokens), choice.pad, dtype=torch.int64, device=device)
        for step in range(choice.max_tokens):
            state = self._advance(torch.cat((self.embedding(word), z), dim=-1), state)
            scores = self.logits(state[0]).float()
            scores[:, choice.excluded] = -math.inf
            if choice.greedy:
                word = scores.argmax(-1)
            else:
                uniform = philox_uniform(choice.seed, ids, dim=1, first_step=step, stream=Stream.TOKEN)[0]
                word = draw(scores, uniform, choice)
            words[rows, step] = word
            alive = word != choice.end
            if not bool(alive.all()):
                rows, ids, word, z = rows[alive], ids[alive], word[alive], z[alive]
                state = tuple(s[alive] for s in state)
            if rows.numel() == 0:
                break
        return words

    def _advance(self, inputs: Float[Tensor, "B I"], state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        r = self.recurrent
        weights = (r.weight_ih_l0, r.weight_hh_l0, r.bias_ih_l0, r.bias_hh_l0)
        if self.cell == "gru":
            return (torch.gru_cell(inputs, state[0], *weights),)
        return torch.lstm_cell(inputs, state, *weights)


def _token_ids(batch: SentenceBatch) -> Int[Tensor, "n"]:
    """Addresses of the random numbers of every real token."""
    return batch.indices[batch.rows] * TOKENS_PER_ROW + batch.positions


class PointDecoder(Decoder):
    """Perceptron from z to the mean of a Gaussian over points of the plane.

    Args:
        latent_dim: D.
        dim: dimensions of a point.
        hidden: width.
        std: standard deviation of the observation noise; 1 is the squared error of the paper.
    """

    def __init__(self, latent_dim: int, dim: int, hidden: int, std: float = 1.0) -> None:
        super().__init__()
        self.network = perceptron(latent_dim, hidden, hidden, dim)
        self.std = std

    def nll(self, batch: PointBatch, z: Float[Tensor, "B D"], draw: Draw | None = None) -> Float[Tensor, "B"]:
        """-log N(x; g(z), std^2 I) in nats of every point."""
        error = (batch.points - self.network(z)) / self.std
        constant = 0.5 * error.shape[-1] * math.log(2 * math.pi * self.std**2)
        return 0.5 * error.square().sum(-1) + constant
