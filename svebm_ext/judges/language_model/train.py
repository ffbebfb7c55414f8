"""Training of a language model on a stream of sentences, and its perplexity."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field

import torch
from torch import Tensor

from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import DataError, TrainingDivergedError
from svebm_ext.judges.language_model.averaging import IterateAverage, NonMonotonicTrigger
from svebm_ext.judges.language_model.network import AWDLSTM, Masks
from svebm_ext.judges.language_model.settings import FAST, LanguageModelSettings
from svebm_ext.judges.language_model.stream import Columns, columns, encode
from svebm_ext.ops.philox import Stream, philox_normal, philox_uniform
from svebm_ext.precision import in_bf16
from svebm_ext.randomness import Draw

#: Columns that a text is scored in, fewer where they would be shorter than EVALUATION_STEPS; steps of a window.
EVALUATION_COLUMNS, EVALUATION_STEPS = 10, 100
#: Share of windows of half the length, spread of the lengths in time steps, and the shortest (Merity et al. 2018).
HALF_WINDOWS, LENGTH_SPREAD, SHORTEST = 0.05, 5.0, 5


@dataclass(frozen=True)
class LanguageModel:
    """A trained language model with its words.

    Attributes:
        network: holds the best weights found by validation.
        vocabulary: words by id.
        valid_perplexities: after each epoch, those of averaged weights once there were any.
        averaged_from: epoch after which averaging started, from 1; 0: never.
    """

    network: AWDLSTM
    vocabulary: Vocabulary
    valid_perplexities: list[float] = field(default_factory=list)
    averaged_from: int = 0

    @property
    def device(self) -> torch.device:
        """Where its weights are."""
        return self.network.embedding.device


def train_language_model(
    train: Sequence[Sequence[str]],
    valid: Sequence[Sequence[str]],
    settings: LanguageModelSettings = FAST,
    *,
    vocabulary: Vocabulary,
    seed: int = 0,
    device: str | torch.device = "cpu",
    say: Callable[[str], None] | None = None,
) -> LanguageModel:
    """Train an AWD-LSTM on sentences that are joined, in their order, to one stream with end marks.

    States are carried from window to window, gradients are not. After every epoch the validation text is scored, under
    NT-ASGD with the mean of the iterates once averaging has been triggered; the weights that score best are returned.
    All random numbers are addressed by seed and step: a seed gives the same model on the same machine.

    Args:
        train: tokens of each sentence.
        valid: sentences to choose the weights by.
        settings: sizes and training.
        vocabulary: words of the softmax; tokens outside it become UNKNOWN.
        seed: of weights, masks and lengths of windows.
        device: where to compute.
        say: receives a line after every epoch.

    Raises:
        DataError: `train` or `valid` holds no sentence.
        TrainingDivergedError: no epoch's validation perplexity was a number.
    """
    _check_sentences(train=train, valid=valid)
    network, stream = AWDLSTM(len(vocabulary), settings, seed).to(device), encode(train, vocabulary)
    if settings.frequency_bias:
        network.start_at_frequencies(stream)
    text = columns(stream, min(settings.batch_size, len(train)), torch.device(device))
    held_out = scoring_columns(encode(valid, vocabulary), torch.device(device))
    training = _Training(network, seed)
    best, best_loss, perplexities, averaged_from = None, math.inf, [], 0
    for epoch in range(1, settings.epochs + 1):
        begin = time.monotonic()
        train_loss = training.epoch(text, epoch - 1)
        seconds = time.monotonic() - begin
        with training.average.applied() if training.average is not None else nullcontext():
            loss = mean_loss(network, held_out)
            if loss < best_loss and math.isfinite(perplexity_of(loss)):
                best_loss, best = loss, {name: tensor.clone() for name, tensor in network.state_dict().items()}
        perplexities.append(perplexity_of(loss))
        if training.observe(loss):
            averaged_from = epoch
        if say is not None:
            say(
                f"language model: epoch {epoch} of {settings.epochs}, training loss {train_loss:.3f} nats, validation"
                f" perplexity {perplexities[-1]:.1f}{', averaged' if averaged_from else ''},"
                f" {text.n_tokens / max(seconds, 1e-9):,.0f} tokens/s"
            )
    if best is None:
        raise TrainingDivergedError(
            f"language model: validation losses are not numbers; lower learning_rate (it is {settings.learning_rate})"
        )
    network.load_state_dict(best)
    return LanguageModel(network.eval(), vocabulary, perplexities, averaged_from)


def _check_sentences(**splits: Sequence[Sequence[str]]) -> None:
    """Refuse a split without a sentence (DataError)."""
    for name, sentences in splits.items():
        if len(sentences) == 0:
            raise DataError(f"language model: {name} holds no sentence; expected at least 1")


class _Training:
    """Optimiser, trigger and average of one training, and its passes over the text."""

    def __init__(self, network: AWDLSTM, seed: int) -> None:
        self.network, self.settings, self.seed = network, network.settings, seed
        self.step = 0
        self.parameters = list(network.parameters())
        self.trigger = NonMonotonicTrigger(self.settings.non_monotone)
        self.average: IterateAverage | None = None
        rate, decay = self.settings.learning_rate, self.settings.weight_decay
        self.optimiser: torch.optim.Optimizer
        if self.settings.optimiser == "adam":
            self.optimiser = torch.optim.Adam(self.parameters, lr=rate, weight_decay=decay, fused=True)
        else:
            self.optimiser = torch.optim.SGD(self.parameters, lr=rate, weight_decay=decay)

    def observe(self, loss: float) -> bool:
        """Take note of a validation loss; returns whether averaging starts now."""
        if self.settings.optimiser != "nt-asgd" or self.average is not None or not self.trigger.observe(loss):
            return False
        self.average = IterateAverage(self.parameters)
        return True

    def epoch(self, text: Columns, finished: int) -> float:
        """One pass over the text; returns the mean training loss in nats a token, with dropout."""
        settings, network = self.settings, self.network.train()
        states = network.initial_states(text.inputs.shape[1])
        total = torch.zeros((), device=text.inputs.device)
        position = 0
        for words, targets in text.windows(self._lengths()):
            progress = (finished + position / text.inputs.shape[0]) / settings.epochs
            position += words.shape[0]
            rate = settings.learning_rate * words.shape[0] / settings.bptt
            if settings.optimiser == "adam":
                rate *= 1.0 - progress
            self.optimiser.param_groups[0]["lr"] = rate
            masks = Masks(Draw(self.seed, self.step), words.device)
            with mixed_precision(network):
                window = network.window_loss(words, targets, states, masks)
            (window.nll + window.regularisation).backward()
            if settings.clip > 0.0:
                torch.nn.utils.clip_grad_norm_(self.parameters, settings.clip)
            self.optimiser.step()
            self.optimiser.zero_grad(set_to_none=True)
            if self.average is not None:
                self.average.update()
            states = [(h.detach(), c.detach()) for h, c in window.states]
            total += window.nll.detach() * (targets.numel() if position < text.inputs.shape[0] else _n_real(targets))
            self.step += 1
        return float(total) / text.n_tokens

    def _lengths(self) -> Iterator[int]:
        """Lengths of windows: around bptt, at times around half of it, so that they do not start at the same words."""
        ids, stream = torch.zeros(1, dtype=torch.int64), Stream.SELECTION
        while True:
            half = float(philox_uniform(self.seed, ids, dim=1, first_step=self.step, stream=stream)) < HALF_WINDOWS
            centre = self.settings.bptt / 2 if half else self.settings.bptt
            normal = float(philox_normal(self.seed, ids + 1, dim=1, first_step=self.step, stream=stream))
            yield max(SHORTEST, int(centre + LENGTH_SPREAD * normal))


def _n_real(targets: Tensor) -> int:
    return int((targets >= 0).sum())


def mixed_precision(network: AWDLSTM) -> AbstractContextManager:
    """bfloat16 autocast where the settings ask for it."""
    if network.settings.precision == "fp32":
        return nullcontext()
    return in_bf16(network.embedding.device)


def scoring_columns(stream: Tensor, device: torch.device) -> Columns:
    """A stream in the columns that it is scored in."""
    return columns(stream, max(1, min(EVALUATION_COLUMNS, stream.shape[0] // EVALUATION_STEPS)), device)


@torch.no_grad()
def mean_loss(network: AWDLSTM, text: Columns) -> float:
    """Mean -log p of all words and end marks in nats, without dropout, states carried through each column."""
    network.eval()
    states = network.initial_states(text.inputs.shape[1])
    total = 0.0
    for words, targets in text.windows(iter(lambda: EVALUATION_STEPS, 0)):
        with mixed_precision(network):
            output, _, states = network(words, states)
            losses = network.token_losses(output, targets)
        total += float(losses.double().sum())
    return total / text.n_tokens


def perplexity_of(loss: float) -> float:
    """exp of a loss in nats; infinite where it is too large."""
    return math.exp(loss) if loss < 700.0 else math.inf if loss == loss else math.nan


def perplexity(model: LanguageModel, sentences: Sequence[Sequence[str]]) -> float:
    """exp of the mean -log p of all words and end marks of a text, its sentences joined to one stream.

    As in published perplexities of the Penn Treebank, states are carried from sentence to sentence. The text is read in
    up to 10 columns of at least 100 tokens; each is a contiguous share that starts from zero states behind the word
    before it, or behind an end mark.

    Args:
        model: trained.
        sentences: tokens of each sentence; words outside the vocabulary count as UNKNOWN.

    Raises:
        DataError: no sentence.
    """
    if len(sentences) == 0:
        raise DataError("language model: no sentence to score; expected at least 1")
    text = scoring_columns(encode(sentences, model.vocabulary), model.device)
    return perplexity_of(mean_loss(model.network, text))
