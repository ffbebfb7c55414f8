"""A run that was stopped, by a signal or by SIGKILL, and taken up again equals the run that was never stopped."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
import torch
from tiny_runs import tiny_config, write_corpus

from svebm_ext.config import to_dict
from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.models.folder import check_folder
from svebm_ext.training.checkpoint import load_checkpoint, save_checkpoint
from svebm_ext.training.folder import read_run_config
from svebm_ext.training.run import train

LAST = "checkpoints/last.safetensors"

#: Runs `train` in a process of its own, on one thread, from a JSON configuration.
PROGRAM = """
import json, sys, torch
from pathlib import Path
from svebm_ext.config import from_dict
from svebm_ext.commands import run_command
from svebm_ext.training.run import train
torch.set_num_threads(1)
config = from_dict(json.loads(Path(sys.argv[1]).read_text()))
run_command(lambda _: train(config, Path(sys.argv[2]), resume=sys.argv[3] == "resume"), [])
"""


def start(config_file, out, resume=False):
    command = [sys.executable, "-c", PROGRAM, str(config_file), str(out), "resume" if resume else "new"]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def checkpoint_time(out):
    return (out / LAST).stat().st_mtime_ns if (out / LAST).exists() else 0


def assert_equal_runs(first, second):
    tensors, state = load_checkpoint(first / LAST)
    others, other_state = load_checkpoint(second / LAST)
    assert state["step"] == other_state["step"]
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        assert torch.equal(tensor, others[name]), name


def log(out):
    """Lines of metrics.jsonl without what depends on the clock."""
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if k not in ("tokens_per_second", "seconds")} for r in records]


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"objective": {"update": "alternating", "marginal_momentum": 0.5, "mutual_information": 2.0}},
        {"objective": {"mutual_information": 2.0, "regroup_at": 0.4}},  # between the checkpoint and the interruption
        {"chains": {"mode": "short_run"}, "model": {"cell": "lstm"}},
        {"model": {"latent": "gaussian"}, "objective": {"mutual_information": 0.0}},
        {
            "model": {"latent": "semi", "n_variables": 2},
            "objective": {"mutual_information": 0.0},
            "optimiser": {"schedule": "plateau", "learning_rate": 0.3},  # too large to improve at each validation
            "training": {"validate_every": 2},
        },
        {
            "model": {"sentence_features": "words", "n_categories": 0},
            "objective": {"pseudo_labels": "words", "pseudo_label_weight": 1.0, "label_at": "sample"},
            "training": {"prior_stage": "second", "prior_steps": 5},
        },
    ],
    ids=["default", "alternating", "regrouping", "short-run-lstm", "vae", "semi-plateau", "guided"],
)
def test_resumed_run_equals_uninterrupted_run_bit_for_bit(tmp_path, changes):
    config = tiny_config(write_corpus(tmp_path), **changes)
    train(config, tmp_path / "whole")
    # The interrupted run is the same configuration: only the loop is left early.
    from svebm_ext.training import loop

    class Stop(Exception):
        pass

    original = loop.Trainer.iterate

    def iterate(self):
        if self.step == 7:
            raise Stop
        return original(self)

    loop.Trainer.iterate = iterate
    try:
        with pytest.raises(Stop):
            train(config, tmp_path / "parts")
    finally:
        loop.Trainer.iterate = original
    assert load_checkpoint(tmp_path / "parts" / LAST)[1]["step"] == 4
    train(config, tmp_path / "parts", resume=True)
    assert_equal_runs(tmp_path / "whole", tmp_path / "parts")
    assert log(tmp_path / "whole") == log(tmp_path / "parts")


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    config = tiny_config(write_corpus(tmp_path), training={"max_steps": 60, "checkpoint_every": 1})
    config_file = tmp_path / "config.json"
    config_file.write_text(json.dumps(to_dict(config)))
    with start(config_file, tmp_path / "whole") as whole:
        assert whole.wait(timeout=120) == 0, whole.stderr.read()
    out, kills = tmp_path / "killed", 0
    for attempt in range(20):
        before = checkpoint_time(out)
        process = start(config_file, out, resume=before > 0)
        # A checkpoint is written at every iteration, so that many of these kills fall into a write.
        while process.poll() is None and checkpoint_time(out) == before:
            time.sleep(0.01)
        time.sleep(0.03 + 0.17 * attempt)
        if process.poll() is None:
            process.kill()
            kills += 1
        with process:
            status, error = process.wait(), process.stderr.read()
        assert status in (0, -signal.SIGKILL), error
        if status == 0:
            break
        load_checkpoint(out / LAST)  # complete at any moment
    assert status == 0 and kills >= 2
    assert_equal_runs(tmp_path / "whole", out)


def test_terminated_run_saves_its_state(tmp_path):
    config = tiny_config(write_corpus(tmp_path), training={"max_steps": 100_000, "checkpoint_every": 100_000})
    config_file = tmp_path / "config.json"
    config_file.write_text(json.dumps(to_dict(config)))
    process = start(config_file, tmp_path / "out")
    metrics = tmp_path / "out" / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (metrics.exists() and metrics.stat().st_size > 0):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    with process:
        assert process.wait(timeout=60) == 130
        assert "interrupted" in process.stderr.read()
    assert load_checkpoint(tmp_path / "out" / LAST)[1]["step"] >= 1


def test_resume_refuses_other_data(tmp_path):
    config = tiny_config(write_corpus(tmp_path))
    train(config, tmp_path / "out")
    other = write_corpus(tmp_path, n=200)
    with pytest.raises(ModelFolderError, match="other training data"):
        train(replace(config, data=replace(config.data, train=other)), tmp_path / "out", resume=True)


@pytest.mark.parametrize("split", ["valid", "test"])
def test_resume_refuses_other_held_out_texts(tmp_path, split):
    """The choice of the best model and the report would rest on other texts than before."""
    config = tiny_config(write_corpus(tmp_path))
    path = tmp_path / f"{split}.txt"
    path.write_text("".join(config.data.train.read_text().splitlines(keepends=True)[:20]))
    config = replace(config, data=replace(config.data, **{split: path}))
    train(config, tmp_path / "out")
    train(config, tmp_path / "out", resume=True)
    path.write_text("".join(path.read_text().splitlines(keepends=True)[1:]))
    with pytest.raises(ModelFolderError, match="other texts to validate or test"):
        train(config, tmp_path / "out", resume=True)


def test_a_folder_in_which_nothing_was_saved_says_so(tmp_path):
    """A training that was killed in its first seconds leaves its lock alone."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "train.lock").write_text("{}")
    for read in (read_run_config, check_folder):
        with pytest.raises(ModelFolderError, match=r"has saved nothing yet; .* give its command once more"):
            read(tmp_path / "out")


def test_refused_resume_leaves_the_folder_as_it_was(tmp_path):
    config = tiny_config(write_corpus(tmp_path))
    train(config, tmp_path / "out")
    before = (tmp_path / "out" / "config.json").read_text()
    with pytest.raises(ModelFolderError):
        train(replace(config, model=replace(config.model, latent_dim=5)), tmp_path / "out", resume=True)
    assert (tmp_path / "out" / "config.json").read_text() == before


def test_a_model_is_not_overwritten_by_a_run(tmp_path):
    config = tiny_config(write_corpus(tmp_path))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "model.safetensors").write_bytes(b"")
    with pytest.raises(ConfigError, match="already holds a model"):
        train(config, tmp_path / "out")


def test_truncated_and_foreign_checkpoints_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, {"a": torch.arange(5.0)}, {"step": 3})
    tensors, state = load_checkpoint(path)
    assert state == {"step": 3} and torch.equal(tensors["a"], torch.arange(5.0))
    whole = path.read_bytes()
    for size in (0, 4, 20, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(ModelFolderError, match=r"x\.safetensors"):
            load_checkpoint(path)
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(ModelFolderError, match="not a checkpoint"):
        load_checkpoint(path)


def test_failed_write_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, {"a": torch.zeros(3)}, {"step": 1})

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_checkpoint(path, {"a": torch.ones(3)}, {"step": 2})
    assert load_checkpoint(path)[1] == {"step": 1}
