"""A run whose energy runs away goes on from its last good state, and that is part of what a resumed run repeats."""

import json
from dataclasses import replace

import pytest
import torch
from tiny_runs import tiny_config, write_corpus

from svebm_ext.config import Config, validate
from svebm_ext.errors import ConfigError, TrainingDivergedError
from svebm_ext.training.checkpoint import load_checkpoint
from svebm_ext.training.loop import Trainer
from svebm_ext.training.recovery import recovered
from svebm_ext.training.run import train

LAST, BEST, FIRST = (f"checkpoints/{name}.safetensors" for name in ("last", "best", "first"))


class Stop(Exception):
    pass


def diverge(monkeypatch, steps, stop=None):
    """Let the n-th attempt of a run report an energy beyond all bounds at iteration steps[n].

    Args:
        steps: of the attempts; the one after them goes on to the end.
        stop: (recoveries, iteration) before which the run is left as if it were killed, once.
    """
    left = [stop]

    def iterate(self):
        if (self.recoveries, self.step) == left[0]:
            left[0] = None
            raise Stop
        outcome, *rest = original(self)
        if self.recoveries < len(steps) and self.step == steps[self.recoveries]:
            outcome.terms["energy_positive"] = 1e9
        return outcome, *rest

    monkeypatch.setattr(Trainer, "iterate", iterate)


original = Trainer.iterate


def assert_equal_states(first, second):
    (tensors, state), (others, other_state) = load_checkpoint(first / LAST), load_checkpoint(second / LAST)
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, others[name]), name
    for key in ("step", "best", "decay", "guards"):
        assert state[key] == other_state[key], key


def log(out):
    """Lines of metrics.jsonl without what depends on the clock."""
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if k not in ("tokens_per_second", "seconds")} for r in records]


def test_recovered_configuration():
    config = Config()
    rate = config.optimiser.prior_learning_rate
    assert recovered(config, 0) is config
    first, second = recovered(config, 1), recovered(config, 2)
    assert first.objective.energy_penalty == second.objective.energy_penalty == 0.02
    assert first.optimiser == config.optimiser and second.optimiser.prior_learning_rate == rate / 2
    strict = replace(config, objective=replace(config.objective, energy_penalty=0.1))
    assert recovered(strict, 1) == strict
    with pytest.raises(ConfigError, match="recoveries: -1"):
        validate(replace(config, training=replace(config.training, recoveries=-1)))


@pytest.mark.parametrize("n", [1, 2])
def test_run_without_a_best_state_begins_again_with_a_bounded_energy(tmp_path, monkeypatch, capfd, n):
    """It then is the run that had the penalty, and the smaller step of the prior, from the start."""
    corpus = write_corpus(tmp_path)
    config = tiny_config(corpus, objective={"marginal_momentum": 0.5})
    bounded = recovered(config, n)
    train(bounded, tmp_path / "bounded")
    diverge(monkeypatch, [3, 5][:n])
    train(config, tmp_path / "out")
    assert_equal_states(tmp_path / "bounded", tmp_path / "out")
    assert log(tmp_path / "bounded") == log(tmp_path / "out")
    assert load_checkpoint(tmp_path / "out" / LAST)[1]["recoveries"] == n
    said = capfd.readouterr().err
    assert f"recovery {n} of 2: the run goes on from iteration 0 with new chains, energy-penalty 0.02" in said
    assert not (tmp_path / "out" / FIRST).exists()  # there is a best state by now


def test_run_goes_back_to_its_best_state_with_new_chains(tmp_path, monkeypatch):
    config, out = tiny_config(write_corpus(tmp_path)), tmp_path / "out"
    diverge(monkeypatch, [9], stop=(1, 6))
    with pytest.raises(Stop):
        train(config, out)
    (tensors, state), (best, _) = load_checkpoint(out / LAST), load_checkpoint(out / BEST)
    assert state["step"] == 6 and state["recoveries"] == 1
    assert state["config"]["objective"]["energy_penalty"] == 0.02
    assert state["guards"]["n_gaps"] == 0
    for name, tensor in best.items():
        assert torch.equal(tensor, tensors[name]) != name.startswith("chains."), name
    # The chains are those that a run begins with.
    diverge(monkeypatch, [], stop=(0, 0))
    with pytest.raises(Stop):
        train(config, tmp_path / "start")
    start, _ = load_checkpoint(tmp_path / "start" / FIRST)
    for name in ("chains.states", "chains.noise_step"):
        assert torch.equal(tensors[name], start[name]), name


@pytest.mark.parametrize("stop", [(0, 8), (1, 6), (1, 8), (1, 11), (2, 7)], ids=str)
def test_resumed_run_recovers_like_an_uninterrupted_one(tmp_path, monkeypatch, stop):
    """Killed before, at, and after recoveries; checkpoints at 4, 8 and 12, validations at 6 and 12."""
    config = tiny_config(write_corpus(tmp_path), objective={"update": "alternating", "marginal_momentum": 0.5})
    diverge(monkeypatch, [9, 12])
    train(config, tmp_path / "whole")
    diverge(monkeypatch, [9, 12], stop=stop)
    with pytest.raises(Stop):
        train(config, tmp_path / "parts")
    train(config, tmp_path / "parts", resume=True)
    assert_equal_states(tmp_path / "whole", tmp_path / "parts")
    assert log(tmp_path / "whole") == log(tmp_path / "parts")
    assert load_checkpoint(tmp_path / "parts" / LAST)[1]["recoveries"] == 2


def test_run_killed_before_its_first_checkpoint_goes_back_to_its_own_states_alone(tmp_path, monkeypatch):
    """A best state that an earlier attempt left in the folder is not taken for one of this run."""
    config = tiny_config(write_corpus(tmp_path), training={"checkpoint_every": 100})
    diverge(monkeypatch, [], stop=(0, 8))
    with pytest.raises(Stop):
        train(config, tmp_path / "out")
    assert (tmp_path / "out" / BEST).exists() and not (tmp_path / "out" / LAST).exists()
    diverge(monkeypatch, [3], stop=(1, 0))
    with pytest.raises(Stop):
        train(config, tmp_path / "out")
    assert load_checkpoint(tmp_path / "out" / LAST)[1]["step"] == 0


@pytest.mark.parametrize("allowed", [0, 1, 2])
def test_run_recovers_no_more_often_than_allowed(tmp_path, monkeypatch, allowed):
    config = tiny_config(write_corpus(tmp_path), training={"recoveries": allowed})
    attempts = []
    diverge(monkeypatch, [9] * 10)
    counted = Trainer._recover
    monkeypatch.setattr(Trainer, "_recover", lambda self, error: (attempts.append(self.step), counted(self, error)))
    with pytest.raises(TrainingDivergedError, match=r"energy positive is 1e\+09.*the best valid model is in"):
        train(config, tmp_path / "out")
    assert attempts == [9] * (allowed + 1)


def test_run_with_no_energy_to_hold_back_stops(tmp_path, monkeypatch):
    config = tiny_config(write_corpus(tmp_path), model={"latent": "gaussian"}, objective={"mutual_information": 0.0})
    diverge(monkeypatch, [9])
    with pytest.raises(TrainingDivergedError):
        train(config, tmp_path / "out")
    assert not (tmp_path / "out" / FIRST).exists()


def test_energy_that_really_diverges_stops_the_run_after_two_recoveries(tmp_path, capfd):
    """Steps of the prior that no penalty can make up for."""
    config = tiny_config(
        write_corpus(tmp_path),
        optimiser={"prior_learning_rate": 50.0, "prior_clip": 0.0},
        training={"max_steps": 400, "validate_every": 400, "max_energy": 500.0},
    )
    with pytest.raises(TrainingDivergedError, match="Last good state"):
        train(config, tmp_path / "out")
    said = capfd.readouterr().err
    assert "recovery 1 of 2" in said and "recovery 2 of 2" in said and "prior-learning-rate 25" in said
    tensors, state = load_checkpoint(tmp_path / "out" / LAST)
    assert state["recoveries"] == 2
    assert all(bool(t.isfinite().all()) for t in tensors.values() if t.is_floating_point())
