"""Runs whose energy is learnt in a second stage only: a VAE first."""

import json

import pytest
import torch
from tiny_runs import tiny_config, write_corpus

from svebm_ext.config import validate
from svebm_ext.errors import ConfigError
from svebm_ext.models.svebm import SVEBM
from svebm_ext.models.tensor_files import read_tensors
from svebm_ext.training import run
from svebm_ext.training.checkpoint import load_checkpoint, section
from svebm_ext.training.loop import BEST, LAST, Trainer
from svebm_ext.training.run import FITTED, train

SECOND = {"prior_steps": 20, "prior_stage": "second"}


def trainer(config, out):
    corpus = run.load_configured(config.data)
    vocabulary = run.build_vocabulary(corpus, config)
    runtime = run.Runtime.start("cpu")
    feed = run.make_feed(corpus, vocabulary, config, runtime)
    torch.manual_seed(0)
    return Trainer(config, SVEBM(config, vocabulary).networks, feed, out, runtime)


@pytest.mark.parametrize("encoder_has_information", [False, True])
def test_the_first_stage_is_that_of_a_vae(tmp_path, encoder_has_information):
    """Bit for bit, whatever the energy's options are; and the prior stays as it was."""
    corpus = write_corpus(tmp_path)
    options = {"mutual_information": 5.0, "mutual_information_encoder": encoder_has_information, "energy_penalty": 0.1}
    ours = trainer(tiny_config(corpus, objective=options, training=SECOND), tmp_path / "ours")
    without = {"mutual_information": 0.0, "energy_penalty": 0.0}
    vae = trainer(tiny_config(corpus, model={"latent": "gaussian"}, objective=without), tmp_path / "vae")
    start = {name: value.clone() for name, value in ours.model.state_dict().items()}
    prior = {name for name in start if name.startswith("latent.prior.")}
    assert prior and vae.model.state_dict().keys() == start.keys() - prior
    vae.model.load_state_dict({name: value for name, value in start.items() if name not in prior})
    for _ in range(8):
        (outcome, weight, _), (expected, same_weight, _) = ours.iterate(), vae.iterate()
        assert outcome.loss == expected.loss and outcome.terms == expected.terms
        assert outcome.prior_gradient_norm == 0.0
    assert weight == same_weight > 0.0
    learnt = vae.model.state_dict()
    for name, value in ours.model.state_dict().items():
        assert torch.equal(value, start[name] if name in prior else learnt[name]), name
    assert not torch.equal(learnt["latent.to_mean.weight"], start["latent.to_mean.weight"])
    assert ours.negatives is None


def test_a_run_has_both_stages(tmp_path, monkeypatch, capsys):
    config = tiny_config(write_corpus(tmp_path), training=SECOND)
    out = tmp_path / "run"
    train(config, out)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    validations = [line for line in lines if "valid_bound" in line]
    assert validations and not any("energy_positive" in line for line in lines)
    for found in validations:
        assert found["valid_energy"] == found["valid_log_z"] == 0.0
        assert found["valid_bound"] == pytest.approx(found["valid_nll"] + found["valid_kl"])
    best = section(load_checkpoint(out / BEST)[0], "model")
    tensors, state = load_checkpoint(out / FITTED)
    fitted = section(tensors, "model")
    assert state["kept"] and "prior alone: validation bound" in capsys.readouterr().err
    assert {name for name in fitted if not torch.equal(fitted[name], best[name])} <= {
        name for name in fitted if name.startswith("latent.prior.")
    }
    assert not torch.equal(fitted["latent.prior.linears.0.weight"], best["latent.prior.linears.0.weight"])
    reference = SVEBM.from_pretrained(out).networks.latent.prior.reference  # of the encoder's z, and saved
    assert not best["latent.prior.reference.spread"].any() and not reference.is_standard
    assert torch.equal(reference.spread, fitted["latent.prior.reference.spread"])
    # the bound that the second stage starts from has the energy in it, which is next to nothing before it has learnt
    assert state["valid_bound_before"] == pytest.approx(min(found["valid_bound"] for found in validations), abs=0.2)
    kept = read_tensors(out / "model.safetensors")[0]

    class Stopped(Exception):
        pass

    def stop(self, *_, **__):
        self.save()
        raise Stopped

    # stopped in the first stage and taken up again, it ends with the same parameters
    interrupted = tmp_path / "interrupted"
    monkeypatch.setattr(Trainer, "_validate", stop)
    with pytest.raises(Stopped):
        train(config, interrupted)
    monkeypatch.undo()
    assert load_checkpoint(interrupted / LAST)[1]["step"] < config.training.max_steps
    train(config, interrupted, resume=True)
    resumed = read_tensors(interrupted / "model.safetensors")[0]
    assert kept.keys() == resumed.keys() and all(torch.equal(value, resumed[name]) for name, value in kept.items())


@pytest.mark.parametrize("select", ["bound", "last"])
def test_the_last_model_can_be_taken(tmp_path, monkeypatch, select):
    bounds = iter([3.0, 1.0, 2.0])
    monkeypatch.setattr(run.Validator, "measure", lambda *_, **__: {"valid_bound": next(bounds)})
    training = {"max_steps": 12, "validate_every": 4, "select": select}
    out = tmp_path / "run"
    train(tiny_config(write_corpus(tmp_path), training=training), out)
    tensors, state = load_checkpoint(out / BEST)
    assert state["step"] == (12 if select == "last" else 8)
    found = read_tensors(out / "model.safetensors")[0]
    assert all(torch.equal(value, found[name]) for name, value in section(tensors, "model").items())


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"training": {"prior_stage": "second"}}, r"training\.prior-stage: second given"),
        ({"training": SECOND, "objective": {"regroup_at": 0.5}}, r"objective\.regroup-at: no symbols before"),
        ({"training": SECOND, "model": {"latent": "none"}, "objective": {"mutual_information": 0.0}}, "energy-based"),
        ({"training": {"select": "last"}, "optimiser": {"schedule": "plateau"}}, r"training\.select: last"),
    ],
)
def test_refused(tmp_path, changes, named):
    with pytest.raises(ConfigError, match=named):
        validate(tiny_config(write_corpus(tmp_path), **changes))
