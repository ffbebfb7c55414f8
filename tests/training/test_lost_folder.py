"""A run whose folder goes while it trains ends with a sentence, and leaves no half folder in its place."""

import json
import shutil

import pytest
from tiny_runs import stopped, tiny_config, write_corpus

from svebm_ext.errors import ModelFolderError
from svebm_ext.evaluation.evaluate_model import evaluate_run
from svebm_ext.training import loop, prior_alone
from svebm_ext.training.checkpoint import load_checkpoint
from svebm_ext.training.loop import LAST
from svebm_ext.training.run import train


def deleted(out):
    shutil.rmtree(out)


def moved(out):
    out.rename(out.with_name("elsewhere"))


def replaced(out):
    shutil.rmtree(out)
    shutil.copytree(out.parent, out)  # another folder of the same name


def a_file(out):
    shutil.rmtree(out)
    out.write_text("mine")


@pytest.mark.parametrize("way", [deleted, moved, replaced, a_file])
@pytest.mark.parametrize("step", [1, 3, 11])
def test_a_folder_that_goes_while_it_trains(tmp_path, monkeypatch, way, step):
    config = tiny_config(write_corpus(tmp_path), training={"log_every": 5})
    out, original = tmp_path / "run", loop.Trainer.iterate

    def iterate(self):
        if self.step == step:
            way(out)
        return original(self)

    monkeypatch.setattr(loop.Trainer, "iterate", iterate)
    with pytest.raises(ModelFolderError, match=f"{out}: the folder of the run is gone"):
        train(config, out)
    if way in (deleted, moved):
        assert not out.exists()
    if way is a_file:
        assert out.read_text() == "mine"
    if way is replaced:
        assert {path.name for path in out.iterdir()} == {"corpus.txt"}


def test_a_moved_folder_can_be_resumed_where_it_is(tmp_path, monkeypatch):
    config = tiny_config(write_corpus(tmp_path))
    train(config, tmp_path / "whole")
    out, original = tmp_path / "run", loop.Trainer.iterate

    def iterate(self):
        if self.step == 9:
            moved(out)
        return original(self)

    monkeypatch.setattr(loop.Trainer, "iterate", iterate)
    with pytest.raises(ModelFolderError, match="gone"):
        train(config, out)
    monkeypatch.undo()
    train(config, tmp_path / "elsewhere", resume=True)
    whole, parts = (load_checkpoint(tmp_path / name / LAST)[0] for name in ("whole", "elsewhere"))
    assert all((whole[name] == parts[name]).all() for name in whole)


def test_a_folder_that_goes_in_the_second_stage(tmp_path, monkeypatch):
    config = tiny_config(write_corpus(tmp_path), training={"prior_stage": "second", "prior_steps": 3})
    out, original = tmp_path / "run", prior_alone.fit_prior

    def fit(*arguments, **options):
        original(*arguments, **options)
        shutil.rmtree(out)

    monkeypatch.setattr(prior_alone, "fit_prior", fit)
    with pytest.raises(ModelFolderError, match="gone"):
        train(config, out)
    assert not out.exists()


def test_a_folder_that_goes_while_it_is_measured(tmp_path):
    model, corpus = train(tiny_config(write_corpus(tmp_path), training={"max_steps": 2}), tmp_path / "run")
    said = []

    def say(text):
        said.append(text)
        shutil.rmtree(tmp_path / "run", ignore_errors=True)

    with pytest.raises(ModelFolderError, match="gone"):
        evaluate_run(tmp_path / "run", model, corpus, say=say)
    assert said and not (tmp_path / "run").exists()


def test_a_best_state_that_goes_is_told(tmp_path, monkeypatch, capsys):
    out, original = tmp_path / "run", loop.Trainer.iterate

    def iterate(self):
        if self.step == 11:
            (out / loop.BEST).unlink()
        return original(self)

    monkeypatch.setattr(loop.Trainer, "iterate", iterate)
    train(tiny_config(write_corpus(tmp_path), training={"validate_every": 7}), out)
    said = capsys.readouterr().err
    assert ("best.safetensors: is gone" in said) == (not (out / loop.BEST).exists())


ENDS = (
    '{"step": 9, "nll"', "é".encode()[:1], b"\0" * 512, f'{{"step": 9, "nll": 1{"0" * 400}}}', "[" * 5000, "x\n\ny",
)  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_a_damaged_end_of_the_log_keeps_no_run_from_being_resumed(tmp_path, capsys, end):
    config = tiny_config(write_corpus(tmp_path))
    train(config, tmp_path / "whole")
    stopped(lambda: train(config, tmp_path / "run"), 9)
    with open(tmp_path / "run" / "metrics.jsonl", "ab") as file:
        file.write(end if isinstance(end, bytes) else end.encode())
    capsys.readouterr()
    train(config, tmp_path / "run", resume=True)
    assert "cannot be read and " in capsys.readouterr().err

    def log(name):
        records = map(json.loads, (tmp_path / name / "metrics.jsonl").read_text().splitlines())
        return [{k: v for k, v in r.items() if k not in ("seconds", "tokens_per_second")} for r in records]

    assert log("run") == log("whole")
