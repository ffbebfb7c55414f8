"""The second stage as a part of runs: what it learns from, that it is done once, and kept where it is better."""

import math

import pytest
import torch
from tiny_runs import tiny_config, write_corpus

from svebm_ext.config import validate
from svebm_ext.errors import ConfigError
from svebm_ext.models.svebm import SVEBM
from svebm_ext.models.tensor_files import read_tensors
from svebm_ext.training import prior_alone, run
from svebm_ext.training.checkpoint import load_checkpoint, section
from svebm_ext.training.encoding import posterior_of
from svebm_ext.training.loop import BEST
from svebm_ext.training.run import FITTED, train


def test_posteriors_are_those_of_the_encoder(tmp_path):
    config = tiny_config(write_corpus(tmp_path))
    corpus = run.load_configured(config.data)
    vocabulary = run.build_vocabulary(corpus, config)
    model = SVEBM(config, vocabulary)
    feed = run.make_feed(corpus, vocabulary, config, run.Runtime.start("cpu"))
    found = posterior_of(model.networks, feed.train, 1000)
    assert found.mean.shape == (len(corpus.train), config.model.latent_dim)
    expected = model.encode([" ".join(words) for words in corpus.train.sentences])
    order = found.mean[:, 0].sort().indices
    torch.testing.assert_close(found.mean[order], expected[expected[:, 0].sort().indices], rtol=1e-4, atol=1e-5)


def parameters(folder):
    return read_tensors(folder / "model.safetensors")[0]


def test_a_run_ends_with_it_once(tmp_path, monkeypatch, capsys):
    config = tiny_config(write_corpus(tmp_path), training={"prior_steps": 20})
    out = tmp_path / "run"
    train(config, out)
    assert "prior alone: iteration 20 of 20" in (said := capsys.readouterr().err) and "validation bound" in said
    tensors, state = load_checkpoint(out / FITTED)
    best = section(load_checkpoint(out / BEST)[0], "model")
    assert state["prior_steps"] == 20
    for name, value in parameters(out).items():
        assert torch.equal(value, section(tensors, "model")[name])
        moved = not torch.equal(value, best[name])
        # of an energy that has learnt with the networks p0 stays N(0, I)
        assert moved == (state["kept"] and name.startswith("latent.prior.linears")), name

    def never(*_, **__):
        raise AssertionError("done twice")

    monkeypatch.setattr(prior_alone, "fit_prior", never)
    train(config, out, resume=True)
    monkeypatch.undo()
    kept = parameters(out)
    (out / FITTED).unlink()  # as after an interruption
    train(config, out, resume=True)
    assert all(torch.equal(value, kept[name]) for name, value in parameters(out).items())


@pytest.mark.parametrize("spoilt", [5.0, math.nan])
def test_what_does_not_better_the_bound_is_not_kept(tmp_path, monkeypatch, spoilt):
    def spoil(network, *_, **__):
        with torch.no_grad():
            network.linears[0].weight.fill_(spoilt)

    monkeypatch.setattr(prior_alone, "fit_prior", spoil)
    config = tiny_config(write_corpus(tmp_path), training={"prior_steps": 20})
    train(config, tmp_path / "run")
    best = section(load_checkpoint(tmp_path / "run" / BEST)[0], "model")
    assert not load_checkpoint(tmp_path / "run" / FITTED)[1]["kept"]
    assert all(torch.equal(value, best[name]) for name, value in parameters(tmp_path / "run").items())


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"latent": "gaussian"}, "objective": {"mutual_information": 0.0}},
        {"objective": {"label_weight": 1.0}},
        {"training": {"prior_steps": -1}},
    ],
)
def test_runs_without_such_a_stage(tmp_path, changes):
    changes = {"training": {"prior_steps": 5}} | changes
    with pytest.raises(ConfigError, match=r"training\.prior-steps"):
        validate(tiny_config(write_corpus(tmp_path), **changes))
