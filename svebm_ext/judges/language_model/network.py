"""The AWD-LSTM network: LSTM layers with dropped weights, locked dropout, and a softmax tied to the embedding."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.judges.language_model.settings import LanguageModelSettings
from svebm_ext.judges.language_model.stream import NO_TARGET
from svebm_ext.ops.philox import Stream, philox_uniform
from svebm_ext.ops.token_loss import token_loss
from svebm_ext.randomness import Draw

#: h and c of a layer after the last time step, each [1, B, H].
State = tuple[Tensor, Tensor]

#: Rows of one mask get ids mask * ROWS_PER_MASK + row.
ROWS_PER_MASK = 1 << 32
EMBEDDING_MASK, INPUT_MASK, FIRST_LAYER_MASK = 0, 1, 2
WEIGHTS, OUTPUTS = 0, 1


@dataclass(frozen=True)
class WindowLoss:
    """Losses of a window: mean -log p of its targets (nats), AR and TAR with their factors, and the states after it."""

    nll: Float[Tensor, ""]
    regularisation: Float[Tensor, ""]
    states: list[State]


class Masks:
    """Dropout masks of one window, scaled to an expectation of 1; addressed by (seed, step, mask, row)."""

    def __init__(self, draw: Draw, device: torch.device) -> None:
        self._draw, self._device = draw, device

    def mask(self, number: int, rows: int, dim: int, probability: float) -> Float[Tensor, "rows dim"]:
        """Zeros with the given probability, 1 / (1 - probability) elsewhere."""
        ids = torch.arange(rows, device=self._device) + number * ROWS_PER_MASK
        keep = self._draw.uniform(ids, dim, Stream.DROPOUT) >= probability
        return keep.to(torch.float32).mul_(1.0 / (1.0 - probability))


class LSTMLayer(nn.Module):
    """One LSTM layer whose state-to-state matrix can be replaced for a call; gates and start as in torch.nn.LSTM."""

    def __init__(self, input_dim: int, hidden: int) -> None:
        super().__init__()
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden, input_dim))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden))
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden))

    def forward(
        self, x: Float[Tensor, "T B I"], state: State, recurrent_mask: Float[Tensor, "gates H"] | None
    ) -> tuple[Float[Tensor, "T B H"], State]:
        """States at all time steps and after the last, by one recurrent matrix W_hh * mask for all of them."""
        recurrent = self.weight_hh if recurrent_mask is None else self.weight_hh * recurrent_mask
        weights = [self.weight_ih, recurrent, self.bias_ih, self.bias_hh]
        if x.device.type == "cuda":
            weights = _in_one_piece(weights)
        state = (state[0].to(x.dtype), state[1].to(x.dtype))
        states, h, c = torch.lstm(x, state, weights, True, 1, 0.0, self.training, False, False)
        return states, (h, c)


def _in_one_piece(weights: list[Tensor]) -> list[Tensor]:
    """The weights as views of one buffer in cuDNN's order, which it would otherwise copy them to with a warning."""
    flat = torch.cat([w.reshape(-1) for w in weights])
    return [part.view_as(w) for part, w in zip(flat.split([w.numel() for w in weights]), weights, strict=True)]


class AWDLSTM(nn.Module):
    """Language model p(x_t | x_<t) over a stream of words.

    Args:
        vocabulary_size: V.
        settings: sizes and dropout.
        seed: of the initial weights: embeddings U(-.1, .1), LSTM U(-1/sqrt H, 1/sqrt H), bias of the softmax 0.

    Source: Merity, Keskar & Socher, Regularizing and Optimizing LSTM Language Models, ICLR 2018.
    """

    def __init__(self, vocabulary_size: int, settings: LanguageModelSettings, seed: int = 0) -> None:
        super().__init__()
        E, H, n = settings.embedding_dim, settings.hidden, settings.n_layers
        self.settings = settings
        self.embedding = nn.Parameter(torch.empty(vocabulary_size, E))
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        self.sizes = [E if i == n - 1 else H for i in range(n)]
        self.layers = [LSTMLayer(before, size) for before, size in zip([E, *self.sizes], self.sizes, strict=False)]
        for i, layer in enumerate(self.layers):
            self.add_module(f"layer{i}", layer)
        self._initialise(seed)

    @torch.no_grad()
    def _initialise(self, seed: int) -> None:
        for number, (name, parameter) in enumerate(self.named_parameters()):
            if name == "bias":
                continue
            reach = 0.1
            if name != "embedding":
                reach = 1.0 / math.sqrt(self.sizes[int(name.partition(".")[0].removeprefix("layer"))])
            rows, dim = parameter.shape if parameter.dim() == 2 else (1, parameter.shape[0])
            ids = torch.arange(rows) + number * ROWS_PER_MASK
            uniform = philox_uniform(seed, ids, dim=dim, stream=Stream.INITIAL)[0]
            parameter.copy_(uniform.mul_(2.0).sub_(1.0).mul_(reach).view_as(parameter))
        self.layers[0].weight_ih.mul_(self.settings.input_gain)

    @torch.no_grad()
    def start_at_frequencies(self, stream: Int[Tensor, " n"]) -> None:
        """Set the bias to log( (count + 1) / (n + V) ) of each word: without context, a word's smoothed frequency."""
        counts = torch.bincount(stream, minlength=len(self.bias)) + 1.0
        self.bias.copy_(counts.log() - math.log(stream.shape[0] + len(self.bias)))

    def initial_states(self, n_columns: int) -> list[State]:
        """Zero states of all layers."""
        device = self.embedding.device
        zeros = [torch.zeros(1, n_columns, size, device=device) for size in self.sizes]
        return [(zero, zero) for zero in zeros]

    def forward(
        self, words: Int[Tensor, "T B"], states: list[State], masks: Masks | None = None
    ) -> tuple[Float[Tensor, "T B E"], Float[Tensor, "T B E"], list[State]]:
        """Last layer's states at all time steps, with and without output dropout, and all layers' final states.

        Args:
            words: x_{t-1} of every position.
            states: of all layers before the first time step.
            masks: source of dropout; None is no dropout.
        """
        settings, B = self.settings, words.shape[1]
        x = F.embedding(words, self.embedding)
        if masks is not None and settings.embedding_dropout > 0.0:
            x = x * masks.mask(EMBEDDING_MASK, self.embedding.shape[0], 1, settings.embedding_dropout)[words]
        if masks is not None and settings.input_dropout > 0.0:
            x = x * masks.mask(INPUT_MASK, B, x.shape[2], settings.input_dropout)
        final, raw = [], x
        for i, (layer, state) in enumerate(zip(self.layers, states, strict=True)):
            last, number = i == len(self.layers) - 1, FIRST_LAYER_MASK + 2 * i
            recurrent_mask = None
            if masks is not None and settings.weight_drop > 0.0:
                rows, dim = layer.weight_hh.shape
                recurrent_mask = masks.mask(number + WEIGHTS, rows, dim, settings.weight_drop)
            raw, after = layer(x, state, recurrent_mask)
            final.append(after)
            probability = settings.output_dropout if last else settings.hidden_dropout
            x = raw
            if masks is not None and probability > 0.0:
                x = raw * masks.mask(number + OUTPUTS, B, raw.shape[2], probability)
        return x, raw, final

    def token_losses(self, output: Float[Tensor, "T B E"], targets: Int[Tensor, "T B"]) -> Float[Tensor, "n"]:
        """-log p of every target in nats, time-major, positions beyond the end of the text left out."""
        output, targets = output.flatten(0, 1), targets.flatten()
        real = targets != NO_TARGET
        if not bool(real.all()):
            output, targets = output[real], targets[real]
        n = max(1, targets.shape[0])
        return token_loss(output, self.embedding, targets, self.bias, token_weight=1.0 / n)

    def window_loss(
        self, words: Int[Tensor, "T B"], targets: Int[Tensor, "T B"], states: list[State], masks: Masks | None
    ) -> WindowLoss:
        """Losses of a window: their sum is what training minimises.

        nll = mean_t -log p(x_t | x_<t);  AR = alpha mean (m * h_t)^2;  TAR = beta mean (h_{t+1} - h_t)^2, h the last
        layer's states, m the mask of output dropout.
        """
        output, raw, final = self.forward(words, states, masks)
        losses = self.token_losses(output, targets)
        # a sum times 1/n, not a mean: just the gradient that token_loss expects
        nll = losses.sum() * (1.0 / max(1, losses.shape[0]))
        regularisation = nll.new_zeros(())
        if self.settings.alpha > 0.0:
            regularisation = regularisation + self.settings.alpha * output.float().square().mean()
        if self.settings.beta > 0.0 and raw.shape[0] > 1:
            regularisation = regularisation + self.settings.beta * raw.float().diff(dim=0).square().mean()
        return WindowLoss(nll, regularisation, final)
