"""What may change when a run is taken up again."""

import dataclasses
import shutil
from dataclasses import replace

import pytest
from tiny_runs import tiny_config, write_corpus

from svebm_ext import train as command
from svebm_ext.commands import run_command
from svebm_ext.config import Config
from svebm_ext.errors import ConfigError, ModelFolderError, SvebmError
from svebm_ext.training import resuming
from svebm_ext.training.checkpoint import load_checkpoint
from svebm_ext.training.loop import BEST, FIRST, LAST
from svebm_ext.training.resuming import check_unchanged
from svebm_ext.training.run import train


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resuming")
    config = tiny_config(write_corpus(folder))
    train(config, folder / "out")
    return config, folder / "out"


def resumed(trained, tmp_path, *options):
    """Exit status and folder of `train --resume` with options, on a copy of the run."""
    shutil.copytree(trained[1], tmp_path / "out")
    with pytest.raises(SystemExit) as stopped:
        run_command(command.main, ["--resume", str(tmp_path / "out"), "--no-evaluate", *options])
    return stopped.value.code, tmp_path / "out"


@pytest.mark.parametrize(
    ("option", "value", "had"),
    [
        ("--seed", "5", "0"),
        ("--data.seed", "1", "0"),
        ("--data.lowercase", "False", "True"),
        ("--data.tokenization", "bpe", "words"),
        ("--data.tokenization", "whitespace", "words"),
        ("--data.max-tokens", "9", "12"),
        ("--model.latent-dim", "5", "4"),
        ("--model.prior-activation", "tanh", "gelu"),
        ("--chains.n-chains", "50", "40"),
        ("--training.batch-size", "4", "8"),
        ("--training.select", "last", "bound"),
    ],
)
def test_options_that_contradict_the_run_are_refused(trained, tmp_path, capsys, option, value, had):
    arguments = ["--data.no-lowercase"] if value == "False" else [option, value]
    status, out = resumed(trained, tmp_path, "--training.max-steps", "14", *arguments)
    error = capsys.readouterr().err.splitlines()[-1]
    assert status == 2 and error.startswith(f"error: {option}: {value} given, but the run in {out} has {had}")
    assert load_checkpoint(out / LAST)[1]["step"] == 12
    assert (out / "config.json").read_bytes() == (trained[1] / "config.json").read_bytes()


def test_other_options_are_obeyed_and_told(trained, tmp_path, capsys):
    options = ["--training.max-steps", "14", "--optimiser.clip", "0.25", "--model.word-dropout", "0.1"]
    status, out = resumed(trained, tmp_path, *options)
    expected = f"{out} goes on with model.word-dropout 0.1 (before: 0.0), optimiser.clip 0.25 (before: 0.5), "
    assert status == 0 and f"{expected}training.max-steps 14 (before: 12)\n" in capsys.readouterr().err
    state = load_checkpoint(out / LAST)[1]
    assert state["step"] == 14 and state["config"]["optimiser"]["clip"] == 0.25


def test_a_resumed_run_has_one_folder(trained, tmp_path, capsys):
    status, out = resumed(trained, tmp_path, "--out", str(tmp_path / "other"))
    assert status == 2 and f"error: --out: {tmp_path / 'other'} given with --resume" in capsys.readouterr().err
    assert not (tmp_path / "other").exists() and out.exists()
    shutil.rmtree(out)
    assert resumed(trained, tmp_path, "--out", str(tmp_path / "out"))[0] == 0


def test_a_best_checkpoint_that_is_a_link_to_itself_is_told_before_training(trained, tmp_path, capsys):
    config, folder = trained
    shutil.copytree(folder, tmp_path / "copy", symlinks=True)
    best = tmp_path / "copy" / BEST
    best.unlink()
    best.symlink_to(best.name)
    with pytest.raises(ModelFolderError, match=r"best\.safetensors"):
        train(replace(config, training=replace(config.training, max_steps=14)), tmp_path / "copy", resume=True)
    assert load_checkpoint(tmp_path / "copy" / LAST)[1]["step"] == 12, "nothing was trained"
    assert "iteration 1" not in capsys.readouterr().err


def test_every_option_is_known_to_stay_or_may_change():
    """A name in the tables that is no option would guard nothing."""
    for table in (resuming.FIXED, resuming.SWITCHES):
        for section, names in table.items():
            assert set(names) <= {f.name for f in dataclasses.fields(getattr(Config(), section))}
    for name in resuming.PLACE:
        section, option = name.split(".")
        assert hasattr(getattr(Config(), section), option)


def test_a_term_that_was_off_stays_off(tmp_path):
    config = tiny_config(tmp_path / "x")
    on = replace(config, objective=replace(config.objective, bag_of_words=1.0))
    for before, now in ((config, on), (on, config)):
        with pytest.raises(ConfigError, match=r"--objective\.bag-of-words: "):
            check_unchanged(before, now, tmp_path)
    more = replace(on, objective=replace(on.objective, bag_of_words=2.0))
    assert "objective.bag-of-words 2.0 (before: 1.0)" in check_unchanged(on, more, tmp_path)
    assert check_unchanged(on, on, tmp_path) is None


def test_a_run_goes_on_from_the_whole_state_that_is_there(trained, tmp_path):
    """A full disk may have kept the last checkpoint from appearing."""
    config, out = trained
    shutil.copytree(out, tmp_path / "out")
    step = load_checkpoint(tmp_path / "out" / BEST)[1]["step"]
    (tmp_path / "out" / LAST).unlink()
    (tmp_path / "out" / FIRST).unlink(missing_ok=True)
    more = replace(config, training=replace(config.training, max_steps=14))
    train(more, tmp_path / "out", resume=True)
    assert step >= 6 and load_checkpoint(tmp_path / "out" / LAST)[1]["step"] == 14
    (tmp_path / "out" / LAST).unlink()
    (tmp_path / "out" / BEST).unlink()
    with pytest.raises(ModelFolderError, match="no checkpoint to resume from"):
        train(more, tmp_path / "out", resume=True)
    assert issubclass(ModelFolderError, SvebmError)
