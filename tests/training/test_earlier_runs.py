"""Folders that an earlier version wrote: they load, measure and generate the same, and resume to the same end.

tests/earlier_runs holds, of one run a kind: the folder as a kill left it after iteration 4 of 8, what the uninterrupted
run ended with, and what it measured and wrote. Commit d9b8b01 wrote them, before the prior had a folder of its own.
Numbers are compared within rounding, since processors and versions of torch round differently.
"""

import json
import shutil
from pathlib import Path

import pytest
import torch

import svebm_ext
from svebm_ext.data.corpora import load_configured
from svebm_ext.evaluation.evaluate_model import evaluate_run
from svebm_ext.models.svebm import SVEBM
from svebm_ext.models.tensor_files import ADDED, read_tensors
from svebm_ext.training import points
from svebm_ext.training.points import evaluate_points, train_points
from svebm_ext.training.run import read_run_config, train

EARLIER = Path(__file__).resolve().parent.parent / "earlier_runs"
KINDS = ("sentences", "dialogs", "points")
CLOCK = ("seconds", "tokens_per_second")
#: Measures of generated points: they were sampled by unadjusted steps of one size, and are samples of the density now.
OF_ANOTHER_SAMPLER = (
    "modes_found", "share_at_modes", "energy_distance", "energy_distance_p_value", "mmd", "true_nll",
)  # fmt: skip
CONTEXTS = [["<driver> where is the moon ?"], []]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A copy to write into, from where the runs' relative paths are those of their texts."""
    shutil.copytree(EARLIER, tmp_path / "earlier")
    monkeypatch.chdir(tmp_path / "earlier")
    monkeypatch.setattr(points, "_draw", lambda *_: None)
    return tmp_path / "earlier"


def measured(run):
    """Measures of a run folder, and its model where that writes texts."""
    config = read_run_config(run)
    if config.model.kind == "points":
        return evaluate_points(run), None
    model = SVEBM.from_pretrained(run)
    return evaluate_run(run, model, load_configured(config.data, model.writing), seed=1, say=lambda _: None), model


def log(run):
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in record.items() if name not in CLOCK} for record in records]


@pytest.mark.parametrize("kind", KINDS)
def test_the_folders_are_of_an_earlier_version(kind):
    for file in ("whole/model.safetensors", "half/checkpoints/last.safetensors"):
        said = read_tensors(EARLIER / kind / file)[1]
        assert said.get("svebm_ext", said.get("version")) == "0.1.0" != svebm_ext.__version__


@pytest.mark.parametrize("kind", KINDS)
def test_it_measures_and_writes_what_it_did(folder, kind):
    expected = json.loads((folder / kind / "seen.json").read_text())
    document, model = measured(folder / kind / "whole")
    for name, value in expected["metrics"].items():
        if kind == "points" and name in OF_ANOTHER_SAMPLER:
            assert document[name] == pytest.approx(value, rel=0.02, abs=0.02), name  # an energy that is nearly flat
            continue
        assert document[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name
    if kind == "sentences":
        assert model.generate(5, seed=3) == expected["texts"]
        assert model.generate(5, seed=3, symbol=1) == expected["of_symbol"]
    if kind == "dialogs":
        assert model.respond(CONTEXTS, seed=3) == expected["texts"]
        assert model.respond(CONTEXTS, seed=3, symbol=1) == expected["of_symbol"]


@pytest.mark.parametrize("kind", KINDS)
def test_it_resumes_to_the_end_of_the_uninterrupted_run(folder, kind):
    """Parameters and every line of the log: losses of later iterations tell of Adam's moments and of the chains."""
    half, whole = folder / kind / "half", folder / kind / "whole"
    config = read_run_config(half)
    if kind == "points":
        train_points(config, half, resume=True, evaluate=False)
    else:
        train(config, half, resume=True)
    found, expected = (read_tensors(run / "model.safetensors")[0] for run in (half, whole))
    added = found.keys() - expected.keys()  # what earlier builds had not: p0, which is N(0, I)
    assert found.keys() >= expected.keys() and added == {name for name in found if ".reference." in name} <= ADDED
    assert not any(found[name].any() for name in added)
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name], tensor, rtol=1e-4, atol=1e-5, msg=lambda m, name=name: f"{name}: {m}")
    for mine, theirs in zip(log(half), log(whole), strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4, abs=1e-5)
