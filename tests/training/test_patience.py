"""A run ends where validation has not been better for long enough, and goes on as if it had never been interrupted."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from tiny_runs import tiny_config, write_corpus

from svebm_ext.errors import Interrupted
from svebm_ext.training import loggers, run
from svebm_ext.training.checkpoint import load_checkpoint
from svebm_ext.training.loop import BEST, LAST, Trainer
from svebm_ext.training.validation import Validator

#: Validation bounds of a run, every second iteration; w is at its largest from iteration 6 on.
SCORES = [9.0, 8.0, 8.5, 8.2, 8.1, 7.0, 7.5, 7.2, 6.0, 5.0]


@pytest.fixture
def config(tmp_path, monkeypatch):
    """Of a tiny run whose validation bounds are SCORES."""
    config = tiny_config(write_corpus(tmp_path))
    objective = replace(config.objective, schedule="linear", zero_fraction=0.0, ramp_fraction=0.2, kl_weight=1.0)
    training = replace(config.training, max_steps=20, validate_every=2, checkpoint_every=7, sample_every=0)
    real = Validator.measure
    counts = {}

    def measure(self, *args, **options):
        measured = real(self, *args, **options)
        number = counts[self] = counts.get(self, counts.get("before", 0)) + 1
        return {**measured, "valid_bound": SCORES[number - 1]}

    monkeypatch.setattr(Validator, "measure", measure)
    return replace(config, objective=objective, training=training), counts


def with_patience(config, patience):
    return replace(config, training=replace(config.training, patience=patience))


@pytest.mark.parametrize(
    ("patience", "last", "best"),
    [
        (0, 20, 20),
        (1, 6, 4),  # 8.5 at iteration 6 is the first that counts
        (2, 8, 4),
        (3, 10, 4),
        (4, 20, 20),  # 7.0 at iteration 12 comes in time
    ],
)
def test_it_ends_after_as_many_validations_without_a_better_one(config, tmp_path, patience, last, best, capsys):
    run.train(with_patience(config[0], patience), tmp_path / "run")
    assert load_checkpoint(tmp_path / "run" / LAST)[1]["step"] == last
    assert load_checkpoint(tmp_path / "run" / BEST)[1]["step"] == best
    assert (tmp_path / "run" / "model.safetensors").exists()
    said = capsys.readouterr().err
    assert (f"no better validation in the last {patience}" in said) == (last < 20)


def test_an_interrupted_run_waits_on(config, tmp_path, monkeypatch):
    """The number of validations waited is part of the state."""
    config, counts = config
    config = with_patience(config, 3)
    wanted = Trainer._stop_wanted
    monkeypatch.setattr(Trainer, "_stop_wanted", lambda self, received, outcome: self.step == 8)
    with pytest.raises(Interrupted):
        run.train(config, tmp_path / "run")
    monkeypatch.setattr(Trainer, "_stop_wanted", wanted)
    counts["before"] = 4
    run.train(config, tmp_path / "run", resume=True)
    tensors, state = load_checkpoint(tmp_path / "run" / LAST)
    counts.pop("before")
    run.train(config, tmp_path / "whole")
    whole, other = load_checkpoint(tmp_path / "whole" / LAST)
    assert state["step"] == other["step"] == 10 and state["waited"] == other["waited"] == 3
    assert all(torch.equal(tensor, whole[name]) for name, tensor in tensors.items())


def test_a_run_that_has_ended_early_has_nothing_left_to_do(config, tmp_path, capsys):
    """Resumed, it writes the same model again, and goes on only where it is given more patience."""
    config, counts = config
    run.train(with_patience(config, 2), tmp_path / "run")
    before = load_file(tmp_path / "run" / "model.safetensors")
    counts["before"] = 4
    run.train(with_patience(config, 2), tmp_path / "run", resume=True)
    after = load_file(tmp_path / "run" / "model.safetensors")
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    said = "the run has ended at iteration 8, 2 validations after its best one; it goes on with --training.patience 0"
    assert said in capsys.readouterr().err
    run.train(with_patience(config, 0), tmp_path / "run", resume=True)
    assert load_checkpoint(tmp_path / "run" / LAST)[1]["step"] == 20


def test_the_time_that_a_run_will_take_is_said_once(monkeypatch, capsys):
    """Of 20 iterations the first is not timed, the next four are; a clock that goes on by 3 seconds a look."""
    monkeypatch.setattr(loggers, "UNTIMED", 1)
    monkeypatch.setattr(loggers, "TIMED", 4)
    clock = iter(range(0, 10**6, 3))
    monkeypatch.setattr(loggers.time, "monotonic", lambda: float(next(clock)))
    progress = loggers.Progress(20, 0)
    for step in range(1, 21):
        progress.time_iteration(step)
    said = [line for line in capsys.readouterr().err.splitlines() if "about" in line]
    assert said == [
        "about 0:11 for the other 15 iterations; what comes after them is not counted"
    ]  # 3 seconds for 4 iterations, as the clock has it
