import dataclasses
import math

import numpy as np
import pytest
import torch
from tiny_languages import (
    CPU,
    DROPOUT,
    SMALL,
    VOCABULARY,
    chain_sentences,
    settings,
)

from svebm_ext.data import Vocabulary
from svebm_ext.judges.language_model import train_language_model
from svebm_ext.judges.language_model.averaging import IterateAverage, NonMonotonicTrigger
from svebm_ext.judges.language_model.network import AWDLSTM
from svebm_ext.judges.language_model.stream import NO_TARGET, columns, encode
from svebm_ext.judges.language_model.train import HALF_WINDOWS, SHORTEST, _Training
from svebm_ext.precision import cpu_multiplies_bf16

# The stream ------------------------------------------------------------------------------------------------------


def test_columns_hold_every_word_once_behind_the_word_before_it():
    stream = encode([["w0", "w1"], [], ["w2", "other", "<bos>"]], VOCABULARY)
    assert VOCABULARY.decode(stream.tolist()) == ["w0", "w1", "<eos>", "<eos>", "w2", "<unk>", "<unk>", "<eos>"]
    for n_columns in (1, 2, 3, 8, 9):
        text = columns(stream, n_columns, CPU)
        assert text.inputs.shape[1] == n_columns and text.n_tokens == 8
        inputs, targets = text.inputs.t().flatten(), text.targets.t().flatten()
        real = targets != NO_TARGET
        assert torch.equal(targets[real], stream)
        assert torch.equal(inputs[real], torch.cat((torch.tensor([Vocabulary.END]), stream[:-1])))
        assert not real[8:].any()
    windows = list(columns(torch.arange(40), 2, CPU).windows(iter([7, 7, 7])))
    assert [len(words) for words, _ in windows] == [7, 7, 6]
    assert torch.equal(torch.cat([targets for _, targets in windows])[:, 1], torch.arange(20, 40))


def test_lengths_of_windows_vary_around_bptt():
    training = _Training(AWDLSTM(16, settings(bptt=70)), seed=0)
    lengths, generator = [], training._lengths()
    for training.step in range(3000):
        lengths.append(next(generator))
    short = [n for n in lengths if n < 52]
    assert len(short) / 3000 == pytest.approx(HALF_WINDOWS, abs=0.015)
    assert np.mean(short) == pytest.approx(34.5, abs=1.5)
    long = [n for n in lengths if n >= 52]
    assert np.mean(long) == pytest.approx(69.5, abs=0.5) and np.std(long) == pytest.approx(5, abs=0.3)
    brief = _Training(AWDLSTM(16, settings(bptt=1)), seed=0)._lengths()
    assert next(brief) >= SHORTEST


# Averaging -------------------------------------------------------------------------------------------------------


def fires_at(losses, interval):
    trigger = NonMonotonicTrigger(interval)
    return next((t for t, loss in enumerate(losses) if trigger.observe(float(loss))), None)


def test_the_trigger_fires_when_the_rule_says():
    assert fires_at([9, 8, 7, 6, 5, 4, 3, 2], 2) is None
    # 6.5 is above 6, but 6 was just before; 6.4 at t = 5 is above the least of t = 0 .. 2.
    assert fires_at([9, 8, 6, 6.5, 6.3, 6.4], 2) == 5
    assert fires_at([9, 8, 6, 6.5, 5.9, 6.4, 5.8], 2) == 5
    assert fires_at([9, 10, 11, 12], 5) is None  # too few validations yet
    assert fires_at([5, 4, math.nan, math.nan], 1) == 2
    generator = np.random.default_rng(0)
    for _ in range(200):
        interval = int(generator.integers(1, 6))
        losses = (generator.random(15) + np.linspace(1, 0, 15)).tolist()
        expected = [t for t in range(interval + 1, 15) if losses[t] > min(losses[i] for i in range(t - interval))]
        assert fires_at(losses, interval) == (expected[0] if expected else None)


def test_the_trigger_stays_fired():
    trigger = NonMonotonicTrigger(1)
    assert [trigger.observe(v) for v in (5.0, 4.0, 6.0, 1.0)] == [False, False, True, True]


def test_the_average_is_the_mean_of_the_iterates():
    parameters = [torch.nn.Parameter(torch.randn(3, 2, dtype=torch.double)), torch.nn.Parameter(torch.zeros(4))]
    average, iterates = IterateAverage(parameters), []
    with average.applied():  # before the first update
        assert not parameters[1].any()
    for _ in range(20):
        with torch.no_grad():
            for parameter in parameters:
                parameter.add_(torch.randn_like(parameter))
        average.update()
        iterates.append([p.detach().clone() for p in parameters])
    with average.applied():
        for parameter, values in zip(parameters, zip(*iterates, strict=True), strict=True):
            torch.testing.assert_close(parameter.detach(), torch.stack(values).mean(0), rtol=1e-5, atol=1e-6)
    for parameter, last in zip(parameters, iterates[-1], strict=True):
        assert torch.equal(parameter.detach(), last)


def test_training_averages_the_iterates_after_the_trigger_and_keeps_stepping_from_the_last():
    network = AWDLSTM(16, settings(optimiser="nt-asgd", learning_rate=1.0, non_monotone=1, **DROPOUT)).double()
    training = _Training(network, seed=0)
    text, iterates = columns(encode(chain_sentences(60), VOCABULARY), 4, CPU), []

    def note(*_):
        iterates.append([p.detach().clone() for p in network.parameters()])

    training.optimiser.register_step_post_hook(note)
    training.epoch(text, 0)
    assert [training.observe(loss) for loss in (5.0, 4.0)] == [False, False] and training.average is None
    assert training.observe(4.5 + 1)  # above the 5 of more than one validation ago
    n_before = len(iterates)
    training.epoch(text, 1)
    assert training.average.n_iterates == len(iterates) - n_before > 10
    means = [torch.stack(values).mean(0) for values in zip(*iterates[n_before:], strict=True)]
    with training.average.applied():
        torch.testing.assert_close([p.detach() for p in network.parameters()], means)
    torch.testing.assert_close([p.detach() for p in network.parameters()], iterates[-1], rtol=0, atol=0)
    assert not training.observe(100.0)  # averaging starts once


def test_a_step_is_that_of_sgd_with_decay_clipping_and_a_rate_in_proportion_to_the_window():
    changes = {"optimiser": "nt-asgd", "learning_rate": 3.0, "weight_decay": 0.01, "clip": 0.05, "alpha": 1.0}
    network = AWDLSTM(16, settings(**changes, bptt=40)).double()
    text = columns(encode(chain_sentences(8), VOCABULARY), 4, CPU)
    before = [p.detach().clone() for p in network.parameters()]
    found = network.window_loss(text.inputs, text.targets, network.initial_states(4), None)
    gradients = torch.autograd.grad(found.nll + found.regularisation, list(network.parameters()))
    norm = math.sqrt(sum(float(g.square().sum()) for g in gradients))
    assert norm > 0.05
    n_steps = text.inputs.shape[0]
    training = _Training(network, seed=0)
    assert n_steps < next(training._lengths()) and training.epoch(text, 0) == pytest.approx(found.nll.item())
    rate = 3.0 * n_steps / 40
    for parameter, old, gradient in zip(network.parameters(), before, gradients, strict=True):
        expected = old - rate * (gradient * 0.05 / (norm + 1e-6) + 0.01 * old)
        torch.testing.assert_close(parameter.detach(), expected, rtol=1e-6, atol=1e-9)


def test_adams_rate_falls_linearly_to_zero():
    training = _Training(AWDLSTM(16, settings(epochs=2, learning_rate=0.01)), seed=0)
    text, found = columns(encode(chain_sentences(60), VOCABULARY), 4, CPU), []
    n_steps = text.inputs.shape[0]
    training.optimiser.register_step_pre_hook(lambda optimiser, *_: found.append(optimiser.param_groups[0]["lr"]))
    lengths = []
    windows = text.windows
    object.__setattr__(text, "windows", lambda generator: (lengths.append(len(w[0])) or w for w in windows(generator)))
    training.epoch(text, 0)
    training.epoch(text, 1)
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    assert sum(lengths) == 2 * n_steps
    assert found == pytest.approx(
        [0.01 * n / 8 * (1 - s / (2 * n_steps)) for n, s in zip(lengths, starts, strict=True)]
    )


def test_bf16_agrees_with_fp32():
    losses = {}
    for precision in ("fp32", "bf16"):
        model = train_language_model(
            *(chain_sentences(n, seed=n) for n in (300, 50)),
            dataclasses.replace(SMALL, precision=precision, epochs=2),
            vocabulary=VOCABULARY,
        )
        losses[precision] = model.valid_perplexities
    assert (losses["bf16"] != losses["fp32"]) == cpu_multiplies_bf16()
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)
