"""Controls of the default run: what each row changes, priors beside it, and the row of k-means."""

import json
from dataclasses import replace

import pytest
from tiny_runs import tiny_config, write_corpus

from svebm_ext import experiments
from svebm_ext.config import to_dict, validate
from svebm_ext.experiments import assistant, rows
from svebm_ext.presets import preset


def changed(name, section):
    """Options of a section in which a row differs from the default run."""
    there, here = (to_dict(config)[section] for config in (preset("assistant"), assistant.make_row(name, "cpu").config))
    return {option: here[option] for option in here if here[option] != there.get(option)}


def test_rows_differ_from_the_default_run_by_what_they_are_named_after():
    assert assistant.make_row("svebm-ib", "cpu").config == preset("assistant")
    assert changed("svebm-ib-w-0.5", "objective") == {"kl_weight": 0.5}
    assert changed("svebm-ib-w-0.25", "objective") == {"kl_weight": 0.25}
    without = {"mutual_information": 0.0, "pseudo_label_weight": 0.0, "label_at": "mean"}
    assert changed("svebm", "objective") == changed("vae", "objective") == without
    assert changed("vae", "model") == {"latent": "gaussian"} and changed("svebm", "model") == {}
    assert changed("vae", "training") == {"prior_steps": 0, "prior_stage": "joint"}
    for budget in assistant.ASSISTANT.budgets:
        for name in assistant.ROWS:
            validate(assistant.make_row(name, budget).config)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """Rows of a tiny corpus, whose labels are verbs."""
    path = write_corpus(tmp_path, labelled=True)

    def make_row(name, budget):
        config = tiny_config(path, training={"max_steps": 30})
        objective = replace(config.objective, mutual_information=0.0)
        if name == "vae":
            config = replace(config, model=replace(config.model, latent="gaussian"), objective=objective)
        return rows.Row(name, config, reads=("model.", "objective.", "training."))

    monkeypatch.setattr(assistant, "make_row", make_row)
    monkeypatch.setitem(
        experiments.EXPERIMENTS, "assistant", replace(assistant.ASSISTANT, names=("vae", "svebm-ib"), make_row=make_row)
    )
    return tmp_path


def test_each_row_has_its_controls(tiny):
    command = ["assistant", "--budget", "smoke", "--device", "cpu", "--out", str(tiny / "out")]
    experiments.main(command)
    report = json.loads((tiny / "out/report.json").read_text())
    assert [row["row"] for row in report] == ["vae", "vae-k-means", "svebm-ib"]
    vae, clustered, energy = report
    # N(0, I) is the VAE's own prior: the same sentences by the same samples.
    assert vae["control"]["nll_standard"] == pytest.approx(vae["nll"], rel=1e-6)
    assert energy["control"]["nll_standard"] != pytest.approx(energy["nll"], rel=1e-6)
    for row in (vae, energy):
        assert row["control"]["components"] in (2, 3)
        assert abs(row["control"]["nll_mixture"] - row["nll"]) < 5 and row["control"]["nll_gaussian"] > 0
    assert clustered["nll"] == vae["nll"] and clustered["bleu"] == vae["bleu"]
    kept = json.loads((tiny / "out/vae-seed0/control.json").read_text())
    assert clustered["homogeneity"] == kept["k_means"]["homogeneity"] and vae["homogeneity"]["domain_act"] is None
    text = (tiny / "out/report.md").read_text()
    assert "| vae-k-means |" in text and "fitted to z of the training sentences afterwards" in text
    assert {line["row"] for line in rows.read_rows(tiny / "out")} == {"vae", "svebm-ib"}
    before = (tiny / "out/vae-seed0/control.json").stat().st_mtime_ns
    experiments.main(command)
    assert (tiny / "out/vae-seed0/control.json").stat().st_mtime_ns == before


def test_controls_of_other_settings_are_worked_out_again(tmp_path):
    settings = assistant.ControlSettings((2,), 100)
    assert assistant.kept_control(tmp_path, settings) is None
    content = {"settings": json.loads(json.dumps(assistant.plain(settings))), "components": 2}
    (tmp_path / assistant.CONTROL).write_text(json.dumps(content))
    assert assistant.kept_control(tmp_path, settings) == content
    assert assistant.kept_control(tmp_path, replace(settings, sentences=200)) is None
