"""Runs that go wrong stop with what to change, and keep the last good state."""

import math
from dataclasses import replace

import pytest
from tiny_runs import tiny_config, write_corpus

from svebm_ext.config import Config
from svebm_ext.errors import ConfigError, TrainingDivergedError
from svebm_ext.training.checkpoint import load_checkpoint
from svebm_ext.training.guards import MAX_SKIPPED, Guards
from svebm_ext.training.run import train
from svebm_ext.training.update import Outcome


def outcome(loss=1.0, norm=1.0, **terms):
    return Outcome(loss, {"nll": 1.0, "kl": 3.0, **terms}, norm, 1.0, None)


def test_loss_that_is_not_finite():
    with pytest.raises(TrainingDivergedError, match=r"iteration 7: kl is not finite.*learning-rate"):
        Guards(Config(), print).check(7, outcome(kl=math.nan), 1.0)


def test_gradients_that_stay_not_finite():
    said = []
    guards = Guards(Config(), said.append)
    for step in range(MAX_SKIPPED - 1):
        guards.check(step, outcome(norm=math.inf), 1.0)
    assert len(said) == 1 and "skipped" in said[0]
    with pytest.raises(TrainingDivergedError, match="gradients"):
        guards.check(99, outcome(norm=math.nan), 1.0)


def test_a_finite_gradient_resets_the_count():
    guards = Guards(Config(), lambda _: None)
    for step in range(5 * MAX_SKIPPED):
        guards.check(step, outcome(norm=math.inf if step % 2 else 1.0), 1.0)


@pytest.mark.parametrize("name", ["energy_positive", "energy_negative"])
def test_diverged_energy(name):
    with pytest.raises(TrainingDivergedError, match=r"max-energy.*n-steps"):
        Guards(Config(), print).check(3, outcome(**{name: -2e4}), 1.0)


def test_collapsed_posterior_warns_once():
    said = []
    guards = Guards(Config(), said.append)
    guards.check(1, outcome(kl=0.01), 1.0)
    guards.check(1000, outcome(kl=0.01), 0.5)
    assert not said
    guards.check(1001, outcome(kl=0.01), 1.0)
    guards.check(1002, outcome(kl=0.01), 1.0)
    assert len(said) == 1 and "collapsed" in said[0]


@pytest.mark.parametrize(
    ("gap", "n", "warns"), [(40.0, 99, False), (40.0, 101, True), (10.0, 2000, False), (-90.0, 500, False)]
)
def test_chains_left_behind_warn_once(gap, n, warns):
    """A gap that lasts; one iteration of a batch's long sentences is none."""
    said = []
    guards = Guards(Config(), said.append)
    guards.check(1, outcome(energy_positive=200.0, energy_negative=0.0), 1.0)
    for step in range(2, 1 + n):
        guards.check(step, outcome(energy_positive=20.0 + gap, energy_negative=20.0), 1.0)
    assert len(said) == warns
    assert not warns or "--chains.step-size" in said[0]


def test_diverging_run_keeps_its_last_good_checkpoint(tmp_path):
    config = tiny_config(
        write_corpus(tmp_path),
        optimiser={"prior_learning_rate": 50.0, "prior_clip": 0.0},
        training={"max_steps": 400, "checkpoint_every": 1, "max_energy": 500.0},
    )
    with pytest.raises(TrainingDivergedError, match=r"Last good state: .*last.safetensors"):
        train(config, tmp_path / "out")
    tensors, state = load_checkpoint(tmp_path / "out/checkpoints/last.safetensors")
    assert 1 <= state["step"] < 400
    assert all(bool(t.isfinite().all()) for t in tensors.values() if t.is_floating_point())


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    config = tiny_config(write_corpus(tmp_path))
    train(config, tmp_path / "out")
    with pytest.raises(ConfigError, match="already holds a run"):
        train(config, tmp_path / "out")
    with pytest.raises(ConfigError, match="max-steps"):
        train(replace(config, training=replace(config.training, max_steps=5)), tmp_path / "out", resume=True)
