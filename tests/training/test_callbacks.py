"""Callbacks are told what metrics.jsonl gets, by a run of texts, of points, by the estimator, and after a resume."""

import json

import pytest
from tiny_runs import tiny_config, write_corpus

from svebm_ext import TextModel, preset
from svebm_ext.config import with_changes
from svebm_ext.training.callbacks import Callback
from svebm_ext.training.points import train_points
from svebm_ext.training.run import train


class Noted(Callback):
    """Keeps what it is told."""

    def __init__(self, fail_at=None):
        self.steps, self.validations, self.fail_at = [], [], fail_at

    def on_step(self, record):
        self.steps.append(record)
        if record["step"] == self.fail_at:
            raise KeyError("mine")

    def on_validation(self, record):
        self.validations.append(record)


def written(run):
    """Lines of metrics.jsonl: those of iterations, and those of validations."""
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [r for r in records if "loss" in r], [r for r in records if "valid_bound" in r]


def test_a_run_tells_what_it_writes(tmp_path):
    noted = Noted()
    train(tiny_config(write_corpus(tmp_path)), tmp_path / "run", callbacks=[noted, Callback()])
    assert (noted.steps, noted.validations) == written(tmp_path / "run")
    assert [record["step"] for record in noted.steps] == list(range(1, 13))
    assert [record["step"] for record in noted.validations] == [6, 12]


def test_what_a_callback_does_to_a_record_stays_with_it(tmp_path):
    class Clears(Callback):
        def on_step(self, record):
            record.clear()

    noted = Noted()
    train(tiny_config(write_corpus(tmp_path)), tmp_path / "run", callbacks=[Clears(), noted])
    assert (noted.steps, noted.validations) == written(tmp_path / "run")


def test_an_error_of_a_callback_ends_the_run_which_goes_on_from_its_checkpoint(tmp_path):
    config, noted = tiny_config(write_corpus(tmp_path)), Noted()
    with pytest.raises(KeyError, match="mine"):
        train(config, tmp_path / "run", callbacks=[Noted(fail_at=6)])
    train(config, tmp_path / "run", resume=True, callbacks=[noted])
    assert [record["step"] for record in noted.steps] == list(range(5, 13))  # the last checkpoint is of iteration 4
    steps, validations = written(tmp_path / "run")
    assert [record["step"] for record in steps] == list(range(1, 13)) and noted.validations == validations


def test_a_run_of_points_tells_what_it_writes(tmp_path):
    config = with_changes(
        preset("gaussians8"), {"training": {"batch_size": 20, "max_steps": 4, "log_every": 2, "device": "cpu"}}
    )
    noted = Noted()
    train_points(config, tmp_path / "run", evaluate=False, callbacks=[noted])
    assert [record["step"] for record in noted.steps] == [2, 4] and noted.steps == written(tmp_path / "run")[0]


def test_the_estimator_tells_what_its_run_writes(tmp_path):
    noted = Noted()
    texts = [line.strip() for line in write_corpus(tmp_path).read_text().splitlines()]
    options = {"model.embedding_dim": 8, "model.encoder_hidden": 8, "model.decoder_hidden": 8, "training.log_every": 1}
    TextModel(3, max_iter=3, options=options, folder=tmp_path / "run", device="cpu").fit(texts, callbacks=[noted])
    assert [record["step"] for record in noted.steps] == [1, 2, 3] and noted.steps == written(tmp_path / "run")[0]
