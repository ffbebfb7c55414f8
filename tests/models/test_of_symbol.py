"""Sentences of a symbol that the model reads as such: against the model's own answers, on a small run."""

import pytest
import torch
from tiny_runs import tiny_config, write_corpus

from svebm_ext.models import of_symbol
from svebm_ext.models.of_symbol import words_of_symbol
from svebm_ext.training.run import train


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Four classes that words tell, by a generator that hardly learnt: many sentences are read as of another class."""
    folder = tmp_path_factory.mktemp("run")
    config = tiny_config(
        write_corpus(folder, labelled=True),
        model={"sentence_features": "words"},
        objective={
            "label_weight": 1.0, "pseudo_labels": "words", "pseudo_label_weight": 2.0, "label_at": "sample",
        },
        training={"max_steps": 60},
    )  # fmt: skip
    return train(config, folder / "out")[0]


def read(model, sentences):
    return [answer.symbol for answer in model.classify(sentences)]


SAMPLED = {"seed": 3, "greedy": False}


@pytest.fixture(scope="module")
def symbol(model):
    """A symbol whose sentences are sometimes read as it and sometimes not."""
    for k in range(4):
        found = [s for s in words_of_symbol(model, k, 40, read_back=False, **SAMPLED) if s]
        share = read(model, found).count(k) / len(found)
        if 0.2 < share < 0.9:
            return k
    raise AssertionError("this model reads every sentence as its symbol, or none")


def test_kept_sentences_are_read_as_the_symbol(model, symbol):
    found = words_of_symbol(model, symbol, 12, read_back=True, **SAMPLED)
    assert len(found) == 12 and all(found) and (model.symbol_probabilities(found)[:, symbol] >= of_symbol.SURE).all()
    assert found == words_of_symbol(model, symbol, 12, read_back=True, **SAMPLED)
    assert found != words_of_symbol(model, symbol, 12, read_back=True, seed=4, greedy=False)
    assert set(read(model, model.generate(12, symbol=symbol, read_back=True, **SAMPLED))) == {symbol}


def test_each_round_draws_twice_as_many_as_the_one_before(model, symbol, monkeypatch):
    drawn = []
    latent = model.networks.latent
    sample = type(latent).sample_some
    monkeypatch.setattr(
        type(latent), "sample_some", lambda self, ids, n, **given: drawn.append(n) or sample(self, ids, n, **given)
    )
    monkeypatch.setattr(of_symbol, "SURE", 2.0)  # nothing is sure enough
    assert len(words_of_symbol(model, symbol, 20, read_back=True, **SAMPLED)) == 20
    assert drawn == [20, 40, 80, 160]


def test_without_reading_back_they_are_those_of_the_prior(model, symbol):
    z = model.networks.latent.sample_prior(12, seed=3, symbol=symbol)
    plain = model.decode_words(z, seed=3, greedy=False)
    assert words_of_symbol(model, symbol, 12, read_back=False, **SAMPLED) == plain
    made = model.generate(12, symbol=symbol, read_back=False, **SAMPLED)
    assert made == [model.written(words) for words in plain]


def test_sentences_are_read_back_where_words_guided_the_symbols(model, symbol, monkeypatch):
    asked = words_of_symbol(model, symbol, 12, read_back=True, **SAMPLED)
    plain = words_of_symbol(model, symbol, 12, read_back=False, **SAMPLED)
    assert words_of_symbol(model, symbol, 12, **SAMPLED) == asked != plain
    monkeypatch.setitem(model.networks._modules, "guide", None)  # p(y|x) is then of z alone
    assert words_of_symbol(model, symbol, 12, **SAMPLED) == plain


def test_the_likeliest_follow_where_too_few_are_read_as_the_symbol(model, symbol, monkeypatch):
    monkeypatch.setattr(of_symbol, "ROUNDS", 1)
    monkeypatch.setattr(of_symbol, "LEAST_OF_ROUND", 1)
    drawn = [words for words in words_of_symbol(model, symbol, 30, read_back=False, **SAMPLED) if words]
    found = words_of_symbol(model, symbol, 30, read_back=True, **SAMPLED)
    sure = model.symbol_probabilities(drawn)[:, symbol] >= of_symbol.SURE
    wrong = [words for words, own in zip(drawn, sure.tolist(), strict=True) if not own]
    order = model.symbol_probabilities(wrong)[:, symbol].argsort(descending=True, stable=True)
    right = [words for words, own in zip(drawn, sure.tolist(), strict=True) if own]
    assert wrong and found == right + [wrong[row] for row in order.tolist()]


def test_nothing_to_read(model, symbol, monkeypatch):
    """A generator that writes empty sentences: nothing can be read, and nothing is made up."""
    monkeypatch.setattr(type(model), "decode_words", lambda self, z, **options: [[] for _ in z])
    assert words_of_symbol(model, symbol, 3, read_back=True, **SAMPLED) == []
    assert torch.is_tensor(model.symbol_probabilities([]))
