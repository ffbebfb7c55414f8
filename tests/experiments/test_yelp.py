"""Tables 6 and 7: rows, budgets, and all rows from the command to the report on a stand-in for Yelp."""

import json
import random
from dataclasses import replace

import pytest

from svebm_ext import experiments
from svebm_ext.config import validate
from svebm_ext.experiments import yelp, yelp_control
from svebm_ext.experiments.rows import Results
from svebm_ext.experiments.yelp import PAPER, make_row
from svebm_ext.experiments.yelp_control import ControlSettings
from svebm_ext.presets import preset

WORDS = {"0": ["awful", "rude", "cold"], "1": ["great", "friendly", "tasty"]}


def write_yelp(root, sizes=(60, 20, 20)):
    """A stand-in with the file names and format of Yelp; the last word tells the sentiment."""
    rng = random.Random(0)
    (root / "yelp").mkdir()
    for name, n in zip(("train", "dev", "test"), sizes, strict=True):
        for number, marks in WORDS.items():
            lines = [f"the {rng.choice(['food', 'staff'])} was {rng.choice(marks)} .\n" for _ in range(n)]
            (root / "yelp" / f"sentiment.{name}.{number}").write_text("".join(lines))


@pytest.mark.parametrize("budget", ["smoke", "cpu", "paper"])
@pytest.mark.parametrize("name", PAPER)
def test_budgets_give_valid_configurations(name, budget):
    row = make_row(name, budget)
    validate(row.config)
    base = preset(row.config.preset)
    assert row.config.data == base.data and row.config.model.latent == base.model.latent
    assert row.config.objective.label_weight == (0.0 if name == "cgan" else 20.0)
    if budget == "paper":
        assert row.config == base
    if budget == "cpu":
        assert row.config.model == base.model and row.config.training.max_steps == 2 * 2077


def test_rows_are_those_of_the_paper():
    assert make_row("svebm-ib", "paper").paper == {
        "control": 90.1, "control_positive": 95.1, "control_negative": 85.2
    }  # fmt: skip
    # overall is the mean of both, as many sentences each, but for rounding
    for overall, positive, negative in PAPER.values():
        assert overall == pytest.approx((positive + negative) / 2, abs=0.11)


def test_systems_differ_in_the_prior_alone():
    svebm, dgm, released = preset("yelp-svebm-ib"), preset("yelp-dgm-vae-i"), preset("yelp-svebm-ib-released")
    assert svebm.training == dgm.training == released.training and svebm.optimiser == dgm.optimiser
    same = {"mutual_information": 5.0, "dispersion": 1.0, "category_information": True, "label_at": "sample"}
    assert replace(dgm.objective, **same) == svebm.objective
    assert (dgm.model.n_variables, dgm.model.n_classes) == (1, 2)
    # the released table: four cycles of .2 / .2 / .6 up to w = 1
    cycles = released.objective
    assert (cycles.n_cycles, cycles.zero_fraction, cycles.ramp_fraction, cycles.kl_weight) == (4, 0.2, 0.2, 1.0)
    for name in ("yelp-svebm-ib", "yelp-svebm-ib-paper", "yelp-svebm-ib-released", "yelp-dgm-vae-i", "yelp-cgan"):
        validate(preset(name))


@pytest.fixture(autouse=True)
def no_kept_corpus():
    yelp_control.yelp.cache_clear()
    yield
    yelp_control.yelp.cache_clear()


@pytest.mark.slow
def test_all_rows_from_command_to_report(tmp_path, capsys, monkeypatch):
    write_yelp(tmp_path)
    tiny = ControlSettings(12, 0, 60, 50, 3, 8)
    monkeypatch.setitem(yelp_control.SETTINGS, "smoke", tiny)
    out = tmp_path / "out"
    command = ["yelp", "--budget", "smoke", "--data.root", str(tmp_path), "--out", str(out), "--device", "cpu"]
    experiments.main(command)
    printed = "".join(capsys.readouterr())
    assert "the judge is right for real test sentences: overall 100.0%" in printed and "90.10" in printed
    rows = {row["row"]: row for row in json.loads((out / "report.json").read_text())}
    assert list(rows) == ["dgm-vae-i", "cgan", "svebm-ib", "real-text"]
    for name, row in rows.items():
        assert 0 <= row["control"] <= 100 and row["sample_ppl"] > 1
        if name != "real-text":
            control = json.loads((out / f"{name}-seed0" / "control.json").read_text())
            assert row["control"] == pytest.approx((row["control_positive"] + row["control_negative"]) / 2)
            assert row["control"] == control["control"] and row["control_ancestral"] is not None
            assert row["sample_counts"]["negative sentences judged"] == 12
    assert rows["svebm-ib"]["paper"]["control"] == 90.1 and rows["svebm-ib"]["accuracy"] is not None
    assert rows["real-text"]["control"] == 100.0 and rows["real-text"]["nll"] is None
    text = (out / "report.md").read_text()
    assert "98.5 %" in text and "![](plots/measures.png)" in text
    table7 = (out / "examples.md").read_text()
    assert table7.count("| positive | negative |") == 6  # three rows, two decodings

    # A second call makes nothing again; other settings are generated and measured anew, and not trained.
    kept = {path: path.stat().st_mtime_ns for path in [*out.glob("*.safetensors"), *out.glob("*-seed0/*")]}
    experiments.main(command)
    assert "3 of 3 rows are finished and kept" in capsys.readouterr().out
    assert kept == {path: path.stat().st_mtime_ns for path in kept}
    monkeypatch.setitem(yelp_control.SETTINGS, "smoke", replace(tiny, n_sentences=6))
    experiments.main([*command, "--rows", "svebm-ib"])
    (row,) = (row for row in json.loads((out / "report.json").read_text()) if row["row"] == "svebm-ib")
    assert row["sample_counts"]["negative sentences judged"] == 6
    path = out / "svebm-ib-seed0" / "model.safetensors"
    assert path.stat().st_mtime_ns == kept[path]


def test_a_row_without_control_is_shown_with_the_reason(tmp_path):
    about = {"commit": "c", "device": "d", "seed": 0, "sample_counts": {}, "warnings": []}
    document = yelp.with_control({"nll": 3.0, "null_reasons": {}, "about": about}, None, ["control", "nll"])
    assert "generated yet" in document["null_reasons"]["control"] and document["nll"] == 3.0
    results = Results("smoke", experiments.Place(tmp_path), [])
    assert "not trained yet" in "".join(yelp.notes(results)) and yelp.rows_of_report(results) == []
