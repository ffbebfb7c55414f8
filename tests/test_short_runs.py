"""A run of few iterations is short: the prior alone, which learns after the networks, follows what was asked for."""

import json

import pytest
from tiny_runs import write_corpus

from svebm_ext import TextModel
from svebm_ext.config import with_second_stage_within
from svebm_ext.presets import PRESETS, preset
from svebm_ext.train import parse_arguments


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
