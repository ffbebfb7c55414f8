import dataclasses
import math
import os
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_languages import (
    SMALL,
    VOCABULARY,
    chain_sentences,
    settings,
    true_perplexity,
)

from svebm_ext.data import Vocabulary, load_corpus
from svebm_ext.errors import ConfigError, DataError, TrainingDivergedError
from svebm_ext.judges.language_model import (
    FAST,
    PAPER,
    LanguageModel,
    LanguageModelSettings,
    perplexity,
    reverse_perplexity,
    train_language_model,
)
from svebm_ext.judges.language_model.network import AWDLSTM
from svebm_ext.judges.language_model.stream import encode

ROOT = Path(os.environ.get("SVEBM_DATA_ROOT") or Path(__file__).parents[3] / "shared" / "data")


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


def test_as_published_words_that_no_sample_has_are_the_unknown_word():
    """Also where validation samples have them: the vocabulary is that of the samples which are learnt from."""
    samples = [["<unk>" if w == "w3" else w for w in s] for s in chain_sentences(600, seed=1)]
    samples[-1] = ["w3", *samples[-1]]
    test = chain_sentences(100, seed=3)
    found = reverse_perplexity(samples, test, SMALL, vocabulary=VOCABULARY, n_valid=100)
    model = train_language_model(samples[:-100], samples[-100:], SMALL, vocabulary=VOCABULARY)
    assert found.perplexity == perplexity(model, test)
    assert found.perplexity_as_published == perplexity(model, [["<unk>" if w == "w3" else w for w in s] for s in test])
    assert found.perplexity_as_published < 0.5 * found.perplexity
    complete = reverse_perplexity(chain_sentences(300, seed=1), test, SMALL, vocabulary=VOCABULARY, n_valid=50)
    assert complete.perplexity_as_published == complete.perplexity


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
