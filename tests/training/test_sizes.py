"""Sizes that follow the corpus, where a preset leaves them open."""

from dataclasses import replace
from pathlib import Path

import pytest

from svebm_ext import preset
from svebm_ext.config import validate
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.errors import ConfigError
from svebm_ext.training.sizes import fit_to_corpus, told_sizes

LINES = preset("lines")


def corpus(n, length):
    split = Split([["word"] * length] * n)
    return Corpus("lines", split, split, split)


@pytest.mark.parametrize(
    ("n", "length", "width", "dropout", "max_tokens", "max_steps"),
    [
        (300, 8, 128, 0.4, 12, 600),  # a handful of lines
        (10_000, 12, 192, 0.23, 14, 1442),  # questions
        (1_000_000, 10, 192, 0.1, 12, 1704),  # a million lines: 2.4 million words are read
        (500, 400, 192, 0.18, 102, 600),  # documents: cut at 100 words
        (1, 1, 128, 0.4, 12, 2343),
    ],
)
def test_sizes(n, length, width, dropout, max_tokens, max_steps):
    found = fit_to_corpus(LINES, corpus(n, length))
    model = found.model
    assert (model.embedding_dim, model.decoder_hidden, model.encoder_hidden) == (width, width, 2 * width // 3)
    assert model.embedding_dropout == model.output_dropout == pytest.approx(dropout, abs=0.011)
    assert found.data.max_tokens == max_tokens
    assert found.training.max_steps == pytest.approx(max_steps, rel=0.02)
    assert found.training.validate_every == found.training.max_steps // 8
    validate(replace(found, data=replace(found.data, train=Path("x")), model=replace(model, n_categories=3)))


def test_what_is_given_wins():
    given = replace(
        LINES,
        model=replace(LINES.model, embedding_dim=64, encoder_hidden=20, embedding_dropout=0.0),
        data=replace(LINES.data, max_tokens=30),
        training=replace(LINES.training, max_steps=50, validate_every=10),
    )
    found = fit_to_corpus(given, corpus(300, 8))
    assert (found.model.embedding_dim, found.model.decoder_hidden, found.model.encoder_hidden) == (64, 64, 20)
    assert (found.model.embedding_dropout, found.model.output_dropout) == (0.0, 0.4)
    assert (found.data.max_tokens, found.training.max_steps, found.training.validate_every) == (30, 50, 10)


def test_sizes_are_told():
    found = fit_to_corpus(LINES, corpus(300, 8))
    assert told_sizes(LINES, found) == (
        "sizes by the corpus: sentences of at most 10 words, networks 128 wide (encoder 85), dropout 0.4, "
        "600 iterations of 128 texts"
    )
    assert told_sizes(found, found) is None


def test_open_sizes_are_for_text_of_ones_own():
    validate(replace(LINES, data=replace(LINES.data, train=Path("x"))))
    for section, name in (("model", "embedding_dim"), ("training", "max_steps"), ("data", "max_tokens")):
        config = preset("ptb")
        changed = replace(config, **{section: replace(getattr(config, section), **{name: 0})})
        with pytest.raises(ConfigError, match=name.replace("_", "-")):
            validate(changed)
