import dataclasses
import math
import os
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from svebm_ext.data import Vocabulary, load_corpus
from svebm_ext.errors import ConfigError, DataError, TrainingDivergedError
from svebm_ext.evaluation.language_model import (
    FAST,
    PAPER,
    LanguageModel,
    LanguageModelSettings,
    perplexity,
    reverse_perplexity,
    train_language_model,
)
from svebm_ext.evaluation.language_model.averaging import IterateAverage, NonMonotonicTrigger
from svebm_ext.evaluation.language_model.network import AWDLSTM, Masks
from svebm_ext.evaluation.language_model.stream import NO_TARGET, columns, encode
from svebm_ext.evaluation.language_model.train import HALF_WINDOWS, SHORTEST, _Training
from svebm_ext.randomness import Draw

ROOT = Path(os.environ.get("SVEBM_DATA_ROOT") or Path(__file__).parents[3] / "shared" / "data")
CPU = torch.device("cpu")
NO_DROPOUT = {
    "input_dropout": 0.0, "hidden_dropout": 0.0, "output_dropout": 0.0, "embedding_dropout": 0.0, "weight_drop": 0.0,
}  # fmt: skip
PLAIN = dataclasses.replace(
    FAST, **NO_DROPOUT, embedding_dim=5, hidden=7, n_layers=3, batch_size=4, bptt=8, precision="fp32", input_gain=2.0
)
#: Learns a language of a dozen words within a second.
SMALL = dataclasses.replace(
    FAST, embedding_dim=24, hidden=24, batch_size=16, bptt=12, epochs=5, learning_rate=2e-2, precision="fp32"
)
WORDS = [f"w{i}" for i in range(12)]
VOCABULARY = Vocabulary(WORDS)


def settings(**changes):
    return dataclasses.replace(PLAIN, **changes)


def random_words(T, B, V=11, seed=0):
    return torch.randint(0, V, (T, B), generator=torch.Generator().manual_seed(seed))


def loss_by_torch(network, words, targets):
    """Mean loss of a network without dropout by torch's own LSTM and linear layers, which share its parameters."""
    x = F.embedding(words, network.embedding)
    for layer in network.layers:
        lstm = torch.nn.LSTM(layer.weight_ih.shape[1], layer.weight_hh.shape[1], dtype=torch.double)
        names = {f"{name}_l0": parameter for name, parameter in layer.named_parameters()}
        x, _ = torch.func.functional_call(lstm, names, (x,))
    logits = F.linear(x.flatten(0, 1), network.embedding, network.bias)
    return F.cross_entropy(logits, targets.flatten(), ignore_index=NO_TARGET)


# The network -----------------------------------------------------------------------------------------------------


def test_without_dropout_the_network_is_torchs_lstm_with_a_tied_softmax():
    network = AWDLSTM(11, settings(), seed=3).double()
    words, targets = random_words(9, 4), random_words(9, 4, seed=1)
    targets[6:, 3] = NO_TARGET
    with torch.no_grad():
        network.bias.normal_(generator=torch.Generator().manual_seed(0))
    found = network.window_loss(words, targets, network.initial_states(4), None)
    expected = loss_by_torch(network, words, targets)
    assert found.nll.item() == pytest.approx(expected.item(), rel=1e-12)
    assert found.regularisation.item() == 0.0
    parameters = list(network.parameters())
    assert len(parameters) == 2 + 3 * 4
    gradients = torch.autograd.grad(found.nll, parameters), torch.autograd.grad(expected, parameters)
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-14)


def test_initial_weights():
    network = AWDLSTM(2000, settings(embedding_dim=40, hidden=100, n_layers=2, input_gain=10.0), seed=1)
    first, last = network.layers
    reaches = {network.embedding: 0.1, first.weight_ih: 1.0, first.weight_hh: 0.1, last.weight_hh: 1 / math.sqrt(40)}
    for parameter, reach in reaches.items():
        assert 0.99 * reach < parameter.abs().max().item() <= reach
        assert parameter.std().item() == pytest.approx(reach / math.sqrt(3), rel=0.03)
    assert not network.bias.any()
    network.start_at_frequencies(torch.tensor([5, 5, 7]))
    assert network.bias.exp().sum().item() == pytest.approx(1, rel=1e-4)
    assert network.bias[[5, 7, 8]].exp().tolist() == pytest.approx([3 / 2003, 2 / 2003, 1 / 2003], rel=1e-4)


def test_masks_have_the_share_of_zeros_and_the_expectation_that_they_should():
    masks = Masks(Draw(seed=0, step=0), CPU)
    for probability in (0.05, 0.5, 0.9):
        mask = masks.mask(3, 400, 100, probability)
        share = float((mask == 0).double().mean())
        deviation = math.sqrt(probability * (1 - probability) / mask.numel())
        assert abs(share - probability) < 4 * deviation
        assert mask.unique().tolist() == pytest.approx([0, 1 / (1 - probability)])
        assert abs(float(mask.double().mean()) - 1) < 4 * deviation / (1 - probability)
    first, other, later = (
        Masks(Draw(seed, step), CPU).mask(number, 50, 20, 0.5)
        for seed, step, number in [(0, 0, 3), (0, 0, 4), (0, 1, 3)]
    )
    assert torch.equal(first, masks.mask(3, 50, 20, 0.5))
    for mask in (other, later):  # independent: they agree at about half of the places
        assert float((first == mask).double().mean()) == pytest.approx(0.5, abs=0.08)


DROPOUT = {
    "input_dropout": 0.3, "hidden_dropout": 0.4, "output_dropout": 0.5, "embedding_dropout": 0.2, "weight_drop": 0.4,
}  # fmt: skip


def test_all_masks_are_the_same_at_all_time_steps():
    """A window in one call, and step by step with the states handed on, under masks of the same address."""
    network = AWDLSTM(11, settings(**DROPOUT)).double()
    words, masks = random_words(9, 4), Masks(Draw(seed=5, step=2), CPU)
    whole, raw, final = network(words, network.initial_states(4), masks)
    states, steps = network.initial_states(4), []
    for row in words:
        output, _, states = network(row[None], states, Masks(Draw(seed=5, step=2), CPU))
        steps.append(output)
    torch.testing.assert_close(torch.cat(steps), whole)
    torch.testing.assert_close(states, final)
    ratio = whole / raw
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))
    assert set(ratio.unique().round(decimals=6).tolist()) == {0.0, 2.0}
    assert not torch.allclose(ratio[0, 0], ratio[0, 1])  # columns have masks of their own
    another, *_ = network(words, network.initial_states(4), Masks(Draw(seed=5, step=3), CPU))
    assert not torch.allclose(whole, another)


@pytest.mark.parametrize("name", DROPOUT)
def test_each_dropout_acts_alone_where_it_should(name):
    """Every kind of dropout is the network without it, applied to parameters or values masked by hand."""
    network, masks = AWDLSTM(11, settings(**{name: 0.5})).double(), Masks(Draw(seed=1, step=0), CPU)
    words = random_words(6, 4)
    output, raw, _ = network(words, network.initial_states(4), masks)
    numbers = {"embedding_dropout": 0, "input_dropout": 1, "hidden_dropout": (3, 5), "output_dropout": 7}
    plain = AWDLSTM(11, settings()).double()
    if name == "weight_drop":
        with torch.no_grad():
            for i, layer in enumerate(plain.layers):
                layer.weight_hh.mul_(masks.mask(2 + 2 * i, *layer.weight_hh.shape, 0.5))
        expected = plain(words, plain.initial_states(4))[0]
    else:
        x = F.embedding(words, plain.embedding)
        if name == "embedding_dropout":
            x = x * masks.mask(numbers[name], 11, 1, 0.5)[words]
        if name == "input_dropout":
            x = x * masks.mask(numbers[name], 4, 5, 0.5)
        for i, layer in enumerate(plain.layers):
            x, _ = layer(x, plain.initial_states(4)[i], None)
            if (name == "hidden_dropout" and i < 2) or (name == "output_dropout" and i == 2):
                x = x * masks.mask(3 + 2 * i, 4, x.shape[2], 0.5)
        expected = x
    torch.testing.assert_close(output, expected)
    assert torch.equal(raw, output) == (name != "output_dropout")
    assert not torch.allclose(output, plain(words, plain.initial_states(4))[0]) or name == "weight_drop"


def test_gradients_of_dropped_weights_reach_the_raw_weights():
    network, masks = AWDLSTM(11, settings(weight_drop=0.5)).double(), Masks(Draw(seed=1, step=0), CPU)
    words, targets = random_words(9, 4), random_words(9, 4, seed=1)
    network.window_loss(words, targets, network.initial_states(4), masks).nll.backward()
    weight = network.layers[1].weight_hh
    mask = masks.mask(2 + 2, *weight.shape, 0.5)
    assert torch.equal(weight.grad == 0, mask == 0)
    # Along the gradient, the loss changes as it says: the raw weight is the parameter.
    slope, step = float(weight.grad.norm()), 1e-3
    losses = []
    for sign in (1, -1):
        moved = AWDLSTM(11, settings(weight_drop=0.5)).double()
        with torch.no_grad():
            moved.layers[1].weight_hh.add_(weight.grad, alpha=sign * step / slope)
            losses.append(float(moved.window_loss(words, targets, moved.initial_states(4), masks).nll))
    assert (losses[0] - losses[1]) / (2 * step) == pytest.approx(slope, rel=1e-5)


def test_activation_regularisation_by_its_formulas():
    network = AWDLSTM(11, settings(**DROPOUT, alpha=2.0, beta=3.0)).double()
    words, targets, draw = random_words(9, 4), random_words(9, 4, seed=1), Draw(seed=2, step=0)
    found = network.window_loss(words, targets, network.initial_states(4), Masks(draw, CPU))
    with torch.no_grad():
        dropped, raw, _ = network(words, network.initial_states(4), Masks(draw, CPU))
    ar, tar = 0.0, 0.0
    for b in range(4):
        for t in range(9):
            ar += sum(float(x) ** 2 for x in dropped[t, b]) / (9 * 4 * 5)
            if t > 0:
                tar += sum(float(x) ** 2 for x in raw[t, b] - raw[t - 1, b]) / (8 * 4 * 5)
    assert found.regularisation.item() == pytest.approx(2 * ar + 3 * tar, rel=1e-5)
    one_step = network.window_loss(words[:1], targets[:1], network.initial_states(4), None)
    assert math.isfinite(one_step.regularisation.item())


def test_bf16_agrees_with_fp32():
    losses = {}
    for precision in ("fp32", "bf16"):
        model = train_language_model(
            *(chain_sentences(n, seed=n) for n in (300, 50)),
            dataclasses.replace(SMALL, precision=precision, epochs=2),
            vocabulary=VOCABULARY,
        )
        losses[precision] = model.valid_perplexities
    assert losses["bf16"] != losses["fp32"]
    assert losses["bf16"] == pytest.approx(losses["fp32"], rel=0.02)


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


# Perplexity ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("n_sentences", "n_columns"), [(5, 1), (40, 4)])
def test_perplexity_by_hand(n_sentences, n_columns):
    """Word by word in float64: every word and end mark counts, states go on through each column."""
    model = LanguageModel(AWDLSTM(len(VOCABULARY), settings(), seed=1), VOCABULARY)
    with torch.no_grad():
        for parameter in model.network.parameters():
            parameter.mul_(3.0)
    sentences = [*chain_sentences(n_sentences), ["foreign", "w1"]]
    stream = [VOCABULARY.END, *(i for s in sentences for i in (*VOCABULARY.encode(s), VOCABULARY.END))]
    n = len(stream) - 1
    assert min(10, max(1, n // 100)) == n_columns
    parameters = {name: p.detach().double() for name, p in model.network.named_parameters()}
    share, total = -(-n // n_columns), 0.0
    for first in range(0, n, share):
        states = [(torch.zeros(size).double(), torch.zeros(size).double()) for size in model.network.sizes]
        for t in range(first, min(n, first + share)):
            x = parameters["embedding"][stream[t]]
            for i, (h, c) in enumerate(states):
                w_ih, w_hh, b_ih, b_hh = (
                    parameters[f"layer{i}.{name}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
                )
                i_gate, f_gate, g, o_gate = (w_ih @ x + b_ih + w_hh @ h + b_hh).chunk(4)
                c = f_gate.sigmoid() * c + i_gate.sigmoid() * g.tanh()
                x = o_gate.sigmoid() * c.tanh()
                states[i] = (x, c)
            logits = parameters["embedding"] @ x + parameters["bias"]
            total -= float(logits.log_softmax(0)[stream[t + 1]])
    assert perplexity(model, sentences) == pytest.approx(math.exp(total / n), rel=1e-5)


def chain_sentences(n, seed=0):
    """Sentences of a Markov chain: a word is followed by the next of a circle, by another, or by the end."""
    generator, sentences = np.random.default_rng(seed), []
    for _ in range(n):
        word, sentence = int(generator.integers(12)), []
        while not sentence or generator.random() > 0.125:
            sentence.append(WORDS[word])
            word = (word + 1) % 12 if generator.random() < 0.7 else int(generator.integers(12))
        sentences.append(sentence)
    return sentences


def true_perplexity(sentences):
    """exp of the mean -log p of words and end marks under the chain itself."""
    total, n = 0.0, 0
    for sentence in sentences:
        n += len(sentence) + 1
        total -= math.log(1 / 12) + math.log(0.125)
        for a, b in pairwise(sentence):
            follows = VOCABULARY.encode([b])[0] - 4 == (VOCABULARY.encode([a])[0] - 4 + 1) % 12
            total -= math.log(0.875 * ((0.7 if follows else 0.0) + 0.3 / 12))
    return math.exp(total / n)


@pytest.mark.parametrize("optimiser", ["adam", "nt-asgd"])
def test_a_trained_model_approaches_the_entropy_of_a_known_language(optimiser):
    changes = (
        {} if optimiser == "adam" else {"optimiser": "nt-asgd", "learning_rate": 20.0, "epochs": 8, "non_monotone": 1}
    )
    lines = []
    model = train_language_model(
        chain_sentences(2000, seed=1),
        chain_sentences(500, seed=2),
        dataclasses.replace(SMALL, **changes),
        vocabulary=VOCABULARY,
        say=lines.append,
    )
    test = chain_sentences(1000, seed=3)
    entropy, found = true_perplexity(test), perplexity(model, test)
    # No model beats the chain on its own sentences, but by what a word's frequency in a finite test happens to be.
    assert 0.995 * entropy < found < 1.03 * entropy
    assert len(lines) == len(model.valid_perplexities) == dataclasses.replace(SMALL, **changes).epochs
    assert "epoch 1 of" in lines[0] and "tokens/s" in lines[0]


def test_reverse_perplexity_prefers_perfect_samples_to_worse_ones():
    test, samples = chain_sentences(1000, seed=3), chain_sentences(2000, seed=1)
    generator = np.random.default_rng(0)
    words = [word for sentence in samples for word in sentence]
    generator.shuffle(words)
    shuffled = iter(words)
    worse = {
        "perfect": samples,
        "shuffled": [[next(shuffled) for _ in sentence] for sentence in samples],
        "few": samples[:40] * 50,
    }
    found = {
        name: reverse_perplexity(sentences, test, SMALL, vocabulary=VOCABULARY, n_valid=200)
        for name, sentences in worse.items()
    }
    assert found["perfect"].perplexity == pytest.approx(true_perplexity(test), rel=0.04)
    assert found["perfect"].valid_perplexity == pytest.approx(true_perplexity(samples[-200:]), rel=0.04)
    counts = Counter(word for sentence in samples for word in (*sentence, "<eos>"))
    unigram = math.exp(
        -sum(math.log(counts[w] / counts.total()) for s in test for w in (*s, "<eos>")) / sum(len(s) + 1 for s in test)
    )
    assert found["shuffled"].perplexity == pytest.approx(unigram, rel=0.04)
    assert found["few"].perplexity > 1.1 * found["perfect"].perplexity
    one = found["perfect"]
    assert (one.n_train, one.n_valid, one.n_empty, one.epochs) == (1800, 200, 0, 5)
    assert one.n_tokens == sum(len(s) + 1 for s in test) and one.seconds > 0


def test_words_that_no_sample_has_get_a_probability():
    samples = [[w for w in s if w != "w3"] for s in chain_sentences(600, seed=1)]
    test = chain_sentences(100, seed=3)
    found = reverse_perplexity(samples, test, SMALL, vocabulary=VOCABULARY, n_valid=100)
    assert found.n_empty == sum(not s for s in samples) > 0
    assert true_perplexity(test) < found.perplexity < 1e4
    foreign = [["foreign", *s] for s in test]
    assert math.isfinite(reverse_perplexity(samples, foreign, SMALL, vocabulary=VOCABULARY, n_valid=100).perplexity)


@pytest.mark.parametrize("base", [FAST, PAPER], ids=["fast", "paper"])
def test_results_are_functions_of_the_seed(base):
    small = dataclasses.replace(base, embedding_dim=12, hidden=16, epochs=3, non_monotone=1)
    samples, test = chain_sentences(300, seed=1), chain_sentences(50, seed=2)

    def measure(seed):
        return reverse_perplexity(samples, test, small, vocabulary=VOCABULARY, n_valid=50, seed=seed)

    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = measure(0)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    again, other = measure(0), measure(1)
    assert (first.perplexity, first.valid_perplexity) == (again.perplexity, again.valid_perplexity)
    assert other.perplexity != first.perplexity


def test_the_weights_of_the_best_epoch_are_kept():
    valid = chain_sentences(100, seed=2)
    unstable = dataclasses.replace(SMALL, optimiser="nt-asgd", learning_rate=60.0, epochs=6, clip=2.0)
    model = train_language_model(chain_sentences(400, seed=1), valid, unstable, vocabulary=VOCABULARY)
    assert model.valid_perplexities.index(min(model.valid_perplexities)) != 5
    assert perplexity(model, valid) == pytest.approx(min(model.valid_perplexities), rel=1e-5)


# What a user can get wrong ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("samples", "test", "n_valid", "message"),
    [
        ([["w0"]] * 5, [["w1"]], 5, "5 samples; expected more than the 5 held out"),
        ([["w0"]] * 5, [["w1"]], 0, "n_valid is 0"),
        ([], [["w1"]], 3000, "0 samples; expected more than the 3000"),
        ([[]] * 5, [["w1"]], 2, "no sample to train on has a word"),
        ([["w0"]] * 5, [], 2, "test set has no sentence"),
        ([["w0"]] * 5, [["w1"], []], 2, "sentence 1 of the test set has no word"),
    ],
)
def test_unusable_samples_are_refused(samples, test, n_valid, message):
    with pytest.raises(DataError, match=message):
        reverse_perplexity(samples, test, vocabulary=VOCABULARY, n_valid=n_valid)


def test_unusable_texts_and_settings_are_refused():
    model = LanguageModel(AWDLSTM(len(VOCABULARY), settings()), VOCABULARY)
    with pytest.raises(DataError, match="no sentence to score"):
        perplexity(model, [])
    for train, valid in (([], [["w0"]]), ([["w0"]], [])):
        with pytest.raises(DataError, match="holds no sentence"):
            train_language_model(train, valid, SMALL, vocabulary=VOCABULARY)
    for name, value in [
        ("hidden", 0), ("epochs", 0), ("optimiser", "sgd"), ("precision", "fp16"), ("weight_drop", 1.0),
        ("input_dropout", -0.1), ("learning_rate", 0.0), ("clip", -1.0), ("input_gain", 0.0),
    ]:  # fmt: skip
        with pytest.raises(ConfigError, match=f"language model: {name} is"):
            LanguageModelSettings(**{name: value})


def test_a_training_that_diverges_says_what_to_change():
    wild = dataclasses.replace(SMALL, optimiser="nt-asgd", learning_rate=1e30, epochs=2, clip=0.0)
    with pytest.raises(TrainingDivergedError, match="lower learning_rate"):
        train_language_model(chain_sentences(50), chain_sentences(20), wild, vocabulary=VOCABULARY)


def test_published_sizes():
    """24 million parameters on the Penn Treebank, as Merity et al. report."""
    E, H, V = PAPER.embedding_dim, PAPER.hidden, 10_000
    sizes = [(E, H), (H, H), (H, E)]
    assert V * E + V + sum(4 * b * (a + b + 2) for a, b in sizes) == pytest.approx(24e6, rel=0.02)
    assert (PAPER.n_layers, PAPER.batch_size, PAPER.input_dropout, PAPER.hidden_dropout) == (3, 20, 0.4, 0.25)
    assert PAPER.epochs == 20


# Real text -------------------------------------------------------------------------------------------------------


def bigram_perplexity(train, test, vocabulary):
    """Perplexity of a bigram model with absolute discounting by .75, backing off to word frequencies."""
    stream = [Vocabulary.END, *encode(train, vocabulary).tolist()]
    words, pairs, firsts = Counter(stream[1:]), Counter(pairwise(stream)), Counter(stream[:-1])
    followers = Counter(a for a, _ in pairs)
    total, test_stream = 0.0, [Vocabulary.END, *encode(test, vocabulary).tolist()]
    for a, b in pairwise(test_stream):
        unigram = (words[b] + 1) / (len(stream) - 1 + len(vocabulary))
        total -= math.log(
            max(pairs[a, b] - 0.75, 0) / firsts[a] + 0.75 * followers[a] / firsts[a] * unigram if firsts[a] else unigram
        )
    return math.exp(total / (len(test_stream) - 1))


@pytest.mark.slow
def test_a_short_training_on_real_text_beats_a_bigram_model():
    if not (ROOT / "ptb").is_dir():
        pytest.skip(f"no real corpus ptb: {ROOT / 'ptb'} is not there (set SVEBM_DATA_ROOT)")
    corpus = load_corpus("ptb", ROOT / "ptb")
    vocabulary = Vocabulary.build(corpus.train.sentences)
    train, test = corpus.train.sentences[:15_000], corpus.test.sentences
    bigram = bigram_perplexity(train, test, vocabulary)
    model = train_language_model(
        train, corpus.valid.sentences, dataclasses.replace(FAST, epochs=1), vocabulary=vocabulary
    )
    found = perplexity(model, test)
    assert found < bigram
