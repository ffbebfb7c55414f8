"""A run of few iterations is short: the prior alone, which learns after the networks, follows what was asked for."""

import json
from dataclasses import replace

import pytest
from tiny_runs import tiny_training, write_corpus

from svebm_ext import TextModel
from svebm_ext.config import to_dict, with_second_stage_within
from svebm_ext.data.corpora import load_configured
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.info import _still_to_come
from svebm_ext.presets import PRESETS, preset
from svebm_ext.train import parse_arguments
from svebm_ext.training.sizes import told_sizes


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], 600),
        (["--training.max-steps", "10"], 20),
        (["--training.max_steps=10"], 20),
        (["--training.max-steps", "299"], 598),
        (["--training.max-steps", "4000"], 600),
        (["--training.max-steps", "0"], 600),  # as many as the text asks for
        (["--training.max-steps", "10", "--training.prior-steps", "70"], 70),
        (["--training.prior_steps=70", "--training.max-steps", "10"], 70),
    ],
)
@pytest.mark.parametrize("name", ["lines", "assistant"])
def test_the_second_stage_follows_the_iterations_that_are_given(name, options, expected):
    if name == "assistant" and options[-1:] == ["0"]:
        pytest.skip("has its own number of iterations")
    words = [name, "x.txt"] if name == "lines" else [name]
    assert parse_arguments([*words, *options])[0].training.prior_steps == expected


def test_presets_as_they_are_keep_their_second_stage():
    """With their own number of iterations written out, no row of a table is another one."""
    for name in PRESETS:
        config = preset(name)
        assert with_second_stage_within(config) == config
    assert preset("ptb-svebm-ib").training.prior_steps == 3000


def test_a_short_run_that_is_made_longer_gets_its_whole_second_stage(tmp_path):
    from svebm_ext.files import write_json
    from svebm_ext.models.pretrained import CONFIG
    from svebm_ext.training.run import train

    corpus = write_corpus(tmp_path)
    short = ["lines", str(corpus), "--training.max-steps", "2", "--model.n-categories", "3", "--chains.n-chains", "130"]
    config = parse_arguments([*short, "--training.validate-every", "2"])[0]
    assert config.training.prior_steps == 4
    train(config, tmp_path / "run")
    state = (tmp_path / "run/checkpoints/fitted.safetensors").read_bytes()
    assert b'prior_steps\\":4' in state.replace(b" ", b"")
    resumed = ["--resume", str(tmp_path / "run")]
    assert parse_arguments(resumed)[0].training.prior_steps == 4
    assert parse_arguments([*resumed, "--training.max-steps", "3"])[0].training.prior_steps == 6
    assert parse_arguments([*resumed, "--training.max-steps", "900"])[0].training.prior_steps == 600
    description = json.loads((tmp_path / "run" / CONFIG).read_text())
    description["config"]["training"]["prior_steps"] = 3  # which somebody has chosen
    write_json(tmp_path / "run" / CONFIG, description)
    assert parse_arguments([*resumed, "--training.max-steps", "900"])[0].training.prior_steps == 3


def test_max_iter_bounds_what_a_fit_does():
    texts = [f"{word} is here" for word in ("cat", "dog", "hen", "cow")] * 10
    sizes = {"model.latent_dim": 4, "model.embedding_dim": 8, "model.encoder_hidden": 8, "model.decoder_hidden": 8,
             "chains.n_chains": 130}  # fmt: skip
    model = TextModel(2, max_iter=3, options=sizes, device="cpu").fit(texts)
    assert model.model_.config.training.prior_steps == 6


def test_a_run_that_was_not_to_be_measured_is_not_when_it_is_resumed(tmp_path, capsys):
    """`--evaluate` asks for it all the same."""
    (tmp_path / "config.json").write_text(json.dumps({"config": to_dict(preset("assistant"))}))
    resumed = ["--resume", str(tmp_path)]
    assert parse_arguments(resumed)[1].evaluate  # nothing tells
    for command, evaluates in (
        (["train", "lines", "--no-evaluate"], False),
        (["train", "lines", "--no_evaluate"], False),
        (["train", "lines"], True),
        ("damaged", True),
        (None, True),
    ):
        (tmp_path / "env.json").write_text(json.dumps({"command": command}))
        assert parse_arguments(resumed)[1].evaluate is evaluates
    (tmp_path / "env.json").write_text(json.dumps({"command": ["train", "--no-evaluate"]}))
    assert parse_arguments([*resumed, "--evaluate"])[1].evaluate
    (tmp_path / "env.json").write_text("{")
    assert parse_arguments(resumed)[1].evaluate


def test_info_says_what_comes_after_the_last_iteration():
    told = {"iterations": 60, "iterations_asked": 60, "prior_iterations_asked": 1}
    expected = "not yet: the prior alone (1 iteration) is still to come, then the model is written"
    assert _still_to_come(told) == expected
    assert _still_to_come(told | {"prior_iterations_asked": 0}) == "not yet: the model is still to be written"
    assert _still_to_come(told | {"iterations": 59}) == _still_to_come(told | {"iterations": None}) == "not yet"


def test_lengths_are_told_in_words_without_marks(tmp_path):
    """The longest length and what was cut to it have one number: "at most 14 words" was followed by "16 tokens"."""
    config, _, _, feed = tiny_training(tmp_path, data={"max_tokens": 6})
    corpus = load_configured(config.data)
    vocabulary = Vocabulary.build(corpus.train.sentences)
    cut = sum(len(sentence) > 4 for sentence in corpus.train.sentences)
    assert cut > 1 and f"\n{cut} training sentences were cut to 4 words" in feed.described(corpus, vocabulary, config)
    lines = replace(config, preset="lines-labelled")
    assert "cut to 4 words; preset documents-labelled takes long texts whole" in feed.described(
        corpus, vocabulary, lines
    )
    few = replace(corpus, name="ptb"), vocabulary, replace(lines, data=replace(lines.data, corpus="ptb"))
    assert "preset documents" not in feed.described(*few)
    sizes = told_sizes(replace(config, data=replace(config.data, max_tokens=0)), config)
    assert sizes is not None and "sentences of at most 4 words" in sizes
