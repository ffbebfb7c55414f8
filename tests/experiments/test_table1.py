"""Table 1: its rows, its budgets, its reference, and two rows from the command to the report."""

import json
import math
import os
import re
import signal
import sys
from dataclasses import fields, replace
from types import SimpleNamespace

import pytest
import torch
from tiny_runs import write_ptb

from svebm_ext import experiments
from svebm_ext.config import EvaluationConfig, validate
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.errors import DataError, Interrupted
from svebm_ext.experiments import table1
from svebm_ext.experiments.table1 import CONTROLS, PAPER, TABLE1, make_row, reference_rows, sized
from svebm_ext.judges import language_model
from svebm_ext.models.folder import WEIGHTS
from svebm_ext.models.tensor_files import read_tensors
from svebm_ext.presets import PRESETS, preset
from svebm_ext.training.folder import LAST
from svebm_ext.training.loop import Trainer


def test_rows_are_those_of_the_paper_in_its_order():
    assert list(PAPER)[:4] == ["rnn-lm", "ae", "vae", "dae"] and list(PAPER)[-2:] == ["svebm", "svebm-ib"]
    assert len(PAPER) == 14
    row = make_row("svebm-ib", "paper")
    assert row.paper == {"rppl": 177.59, "bleu": 9.47, "wkl": 0.16, "nll": 94.68} and row.incomparable == ("nll",)
    assert make_row("ae", "paper").paper["nll"] is None and make_row("ae", "paper").incomparable == ()


@pytest.mark.parametrize("budget", ["smoke", "cpu", "30-epochs"])
@pytest.mark.parametrize("name", CONTROLS)
def test_controls_are_named_after_what_they_change(name, budget):
    """The name is the base's, and then every change, each of which is in the configuration; nothing else is."""
    row, base = make_row(name, budget), make_row(CONTROLS[name].base, budget).config
    changes = re.fullmatch(
        r"-?(?:w-(?P<w>[\d.]+))?-?(?:dropout-(?P<dropout>[\d.]+))?-?(?:(?P<epochs>\d+)-epochs)?-?(?P<stage>two-stage|after-vae)?",
        name.removeprefix(CONTROLS[name].base),
    )
    assert changes is not None and any(changes.groupdict().values())
    config = row.config
    if changes["w"]:
        assert config.objective.kl_weight == float(changes["w"]) != base.objective.kl_weight
    if changes["dropout"]:
        assert config.model.embedding_dropout == config.model.output_dropout == float(changes["dropout"])
    if changes["epochs"] and budget == "30-epochs":
        assert config.training.max_steps == 702 * int(changes["epochs"])  # 42,068 sentences in batches of 60
    if changes["stage"]:
        stage = "second" if changes["stage"] == "after-vae" else "joint"
        assert (config.training.prior_steps, config.training.prior_stage) == (20 if budget == "smoke" else 3000, stage)
    if budget == "cpu":  # at the others controls start from another preset than their base, or keep its second stage
        assert config.training == replace(
            base.training, prior_steps=config.training.prior_steps, prior_stage=config.training.prior_stage
        )
        assert replace(config.objective, kl_weight=base.objective.kl_weight) == base.objective
        assert config.chains == base.chains and config.optimiser == base.optimiser
    assert config.training.max_steps <= (20 if budget == "smoke" else 21_060)
    assert set(row.paper.values()) == {None} and row.paper.keys() == make_row("vae", "cpu").paper.keys()


@pytest.mark.parametrize("name", PAPER)
def test_rows_have_presets(name):
    assert make_row(name, "paper").config.preset == f"ptb-{name}"


@pytest.mark.parametrize("budget", ["smoke", "cpu", "long", "30-epochs", "paper"])
@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("ptb")])
def test_budgets_give_valid_configurations(name, budget):
    base, config = preset(name), sized(preset(name), budget)
    validate(config)
    wanted = {"smoke": "none", "cpu": "fast", "long": "fast", "30-epochs": "paper", "paper": "paper"}
    assert config.evaluation.language_model == wanted[budget] and TABLE1.budgets == tuple(wanted)
    assert config.model.latent == base.model.latent and config.model.latent_dim == base.model.latent_dim
    assert config.data == base.data
    if budget == "paper":
        assert config == replace(
            base,
            evaluation=replace(
                base.evaluation, language_model="paper", aggregate_posterior=True, annealed_sentences=256
            ),
        )
    else:
        assert config.objective.schedule != "sigmoid"
    if budget == "30-epochs":
        ours = preset("ptb-svebm-ib").training
        own = {"prior_steps", "prior_stage"}  # a second stage is the row's own
        for name in {field.name for field in fields(ours)} - {"sample_every"}:
            assert getattr(config.training, name) == getattr(base.training if name in own else ours, name), name
        assert config.model == base.model and config.optimiser.schedule == "cosine"
    if budget in ("cpu", "long"):
        assert config.model == base.model and config.chains == base.chains
        epoch = {30: 1403, 60: 702}[base.training.batch_size]  # iterations over 42,068 sentences
        assert config.training.max_steps == {"cpu": 3, "long": 12}[budget] * epoch
        assert config.objective.mutual_information == base.objective.mutual_information


def test_systems_differ_at_a_budget_in_what_their_presets_differ_in():
    """The budget may not favour a row: what it changes, it changes alike."""
    vae, svebm = (make_row(name, "cpu").config for name in ("vae", "svebm-ib"))
    assert vae.training == svebm.training and vae.evaluation == svebm.evaluation
    assert vae.optimiser.learning_rate == svebm.optimiser.learning_rate
    assert (vae.objective.schedule, vae.objective.ramp_fraction) == ("linear", 0.5)

    def differing(first, second):
        return {
            f.name: getattr(second, f.name) for f in fields(first) if getattr(first, f.name) != getattr(second, f.name)
        }

    before = differing(preset("ptb-vae").objective, preset("ptb-svebm-ib-joint").objective)
    assert differing(vae.objective, svebm.objective) == before
    assert before == {"kl_weight": 0.5, "mutual_information": 5.0, "mutual_information_encoder": False}


# Real text -----------------------------------------------------------------------------------------------------


def small_corpus():
    train = [["a", "b"]] * 30 + [["a"]] * 10  # a: 40 of 70, b: 30 of 70
    return Corpus("ptb", Split(train), Split([["a", "b"]] * 8), Split([["b"], ["a", "b", "c"]]))


def test_real_text_is_measured_as_samples_are(monkeypatch):
    calls = []

    def reverse_perplexity(samples, test, settings, **options):
        calls.append((samples, test, settings, options))
        return SimpleNamespace(perplexity=123.0)

    monkeypatch.setattr(language_model, "FAST", "fast settings")
    monkeypatch.setattr(language_model, "PAPER", "paper settings")
    monkeypatch.setattr(language_model, "reverse_perplexity", reverse_perplexity)
    corpus = small_corpus()
    evaluation = EvaluationConfig(language_model="fast", frequency_samples=20)
    document = reference_rows(corpus, evaluation, device="cpu")
    # Words of the test text but c: a 1/3, b 2/3.
    assert document["wkl"] == pytest.approx(1 / 3 * math.log(1 / 3 * 70 / 40) + 2 / 3 * math.log(2 / 3 * 70 / 30))
    assert document["wkl_skipped"] == 1 and document["rppl"] == 123.0 and "rppl" not in document["null_reasons"]
    (samples, test, settings, options), = calls  # fmt: skip
    assert samples == corpus.train.sentences[:20] + corpus.valid.sentences[:2]  # the last n_valid are held out
    assert test == corpus.test.sentences and settings == "fast settings"
    assert options["n_valid"] == 2 and options["vocabulary"].encode(["b"]) != options["vocabulary"].encode(["z"])
    assert document["about"]["sample_counts"]["sentences of the language model"] == 20
    reference_rows(corpus, replace(evaluation, language_model="paper"), device="cpu")
    assert calls[1][2] == "paper settings"

    document = reference_rows(corpus, evaluation, language_model=False)
    assert len(calls) == 2 and document["rppl"] is None and "real-text" in document["null_reasons"]["rppl"]


# From the command to the report --------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_kept_corpus():
    table1._corpus.cache_clear()
    yield
    table1._corpus.cache_clear()


@pytest.mark.slow
def test_two_rows_from_command_to_report(tmp_path, capsys, monkeypatch):
    write_ptb(tmp_path)
    out = tmp_path / "out"
    command = ["ptb", "--budget", "smoke", "--data.root", str(tmp_path), "--out", str(out), "--device", "cpu"]
    experiments.main([*command, "--rows", "svebm-ib", "vae"])
    printed = capsys.readouterr().out
    assert "[1/2] vae, seed 0" in printed and "[2/2] svebm-ib, seed 0" in printed
    assert "94.68 †" in printed

    rows = json.loads((out / "report.json").read_text())
    assert [row["row"] for row in rows] == ["vae", "svebm-ib", "real-text"]
    measured = json.loads((out / "svebm-ib-seed0" / "metrics.json").read_text())
    for key in ("bleu", "wkl", "nll", "mi", "elbo", "kl", "log_z_upper"):
        assert rows[1][key] == measured[key] is not None
    assert rows[0]["mi"] is None and rows[0]["null_reasons"]["mi"] == "the gaussian latent family has no symbols"
    assert rows[1]["commit"] == measured["about"]["commit"] and rows[1]["device"] == measured["about"]["device"]
    assert rows[1]["paper"] == {"rppl": 177.59, "bleu": 9.47, "wkl": 0.16, "nll": 94.68}
    assert rows[1]["iterations"] == 20 and rows[1]["epochs"] == 10.0  # 120 sentences in batches of 60
    assert rows[0]["epochs"] == 5.0  # of 30
    assert 0 <= rows[2]["wkl"] < 0.2 and rows[2]["paper"]["wkl"] == 0.14
    text = (out / "report.md").read_text()
    assert f"| vae | – | 686.18 | {rows[0]['bleu']:.2f} | 3.12 |" in text.replace(",", "")
    assert "is not a likelihood" in text and "![](plots/learning_curves.png)" in text
    assert (out / "plots" / "measures.png").exists()

    times = {path: path.stat().st_mtime_ns for path in out.glob("*/*")}
    experiments.main([*command, "--rows", "svebm-ib", "vae"])
    assert "2 of 2 rows are finished and kept" in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in out.glob("*-seed0/*")} == {
        path: time for path, time in times.items() if "seed0" in path.parent.name
    }

    # With other settings of the evaluation a row is measured again, and not trained again.
    monkeypatch.setattr(Trainer, "iterate", lambda self: pytest.fail("trained again"))
    before = sized

    def more_samples(config, budget):
        config = before(config, budget)
        return replace(config, evaluation=replace(config.evaluation, importance_samples=7))

    monkeypatch.setattr(table1, "sized", more_samples)
    experiments.main([*command, "--rows", "vae"])
    rows = json.loads((out / "report.json").read_text())
    assert rows[0]["sample_counts"]["NLL importance samples"] == 7


def test_an_interrupted_row_goes_on_as_if_nothing_had_been(tmp_path, monkeypatch):
    write_ptb(tmp_path)
    command = ["ptb", "--budget", "smoke", "--data.root", str(tmp_path), "--device", "cpu", "--rows", "vae"]
    experiments.main([*command, "--out", str(tmp_path / "whole")])
    iterate = Trainer.iterate

    def stop_at_7(self):
        if self.step == 7:
            os.kill(os.getpid(), signal.SIGINT)
        return iterate(self)

    monkeypatch.setattr(Trainer, "iterate", stop_at_7)
    command += ["--out", str(tmp_path / "halves")]
    with pytest.raises(Interrupted, match=r"continue with python -m svebm_ext\.experiments ptb --budget smoke"):
        experiments.main(command)
    assert not (tmp_path / "halves" / "vae-seed0" / "metrics.json").exists()
    monkeypatch.setattr(Trainer, "iterate", iterate)
    experiments.main(command)
    whole, halves = (read_tensors(tmp_path / name / "vae-seed0" / WEIGHTS)[0] for name in ("whole", "halves"))
    assert whole.keys() == halves.keys() and all(torch.equal(halves[name], whole[name]) for name in whole)
    assert (tmp_path / "halves" / "vae-seed0" / LAST).exists()


def test_a_wrong_data_root_ends_before_any_work(tmp_path, monkeypatch):
    monkeypatch.delenv("SVEBM_DATA_ROOT", raising=False)
    command = ["ptb", "--budget", "smoke", "--rows", "vae", "--out", str(tmp_path / "out")]
    with pytest.raises(DataError, match=r"needs a data root: --data\.root DIR"):
        experiments.main(command)
    with pytest.raises(DataError, match=r"ptb\.train\.txt"):
        experiments.main([*command, "--data.root", str(tmp_path)])
    assert not (tmp_path / "out").exists()


def test_without_a_setting_there_is_no_language_model(monkeypatch):
    monkeypatch.setitem(sys.modules, "svebm_ext.judges.language_model", None)
    document = reference_rows(small_corpus(), EvaluationConfig(language_model="none"))
    assert document["null_reasons"]["rppl"] == "evaluation.language-model is none"


def test_the_notes_name_the_sizes():
    cpu, paper = " ".join(table1.notes("cpu")), " ".join(table1.notes("paper"))
    assert "4,209 iterations, 3 epochs" in cpu and "50 importance samples, 500 test sentences" in cpu
    assert "16,836 iterations, 12 epochs" in " ".join(table1.notes("long"))
    assert "500 importance samples, all test sentences" in paper and "language model of rPPL: paper" in paper
    assert set(TABLE1.references) == {"real-text"}
