"""Table 2: its rows, its budgets, the codes that need no model, and rows from the command to the report."""

import json
import math
from dataclasses import replace

import pytest
import sklearn.metrics
from tiny_runs import write_daily_dialog

from svebm_ext import experiments
from svebm_ext.config import validate
from svebm_ext.data.corpora import load_corpus
from svebm_ext.experiments import table2
from svebm_ext.experiments.rows import Place
from svebm_ext.experiments.table2 import CODES, PAPER, TABLE2, make_row, reference_document, sized
from svebm_ext.measures import surface
from svebm_ext.presets import PRESETS, preset


def test_rows_are_those_of_the_paper_in_its_order():
    assert next(iter(PAPER)) == "di-vae" and list(PAPER)[-2:] == ["svebm", "svebm-ib"] and len(PAPER) == 9
    row = make_row("svebm-ib", "paper")
    assert row.paper == {"mi": 2.42, "bleu": 10.04, "homogeneity.act": 0.59, "homogeneity.emotion": 0.56}
    assert row.incomparable == ("homogeneity.act", "homogeneity.emotion") == make_row("svebm", "cpu").incomparable
    assert make_row("dgm-vae-i", "paper").incomparable == () and row.config.preset == "dailydialog-svebm-ib"
    assert set(TABLE2.references) == set(CODES)


@pytest.mark.parametrize("name", PAPER)
def test_all_rows_have_125_codes_and_the_same_networks(name):
    config, base = make_row(name, "paper").config, preset("dailydialog-svebm-ib")
    model = config.model
    codes = model.n_categories if model.latent == "energy" else model.n_classes**model.n_variables
    assert codes == 125
    if model.latent == "mixture":
        assert model.latent_dim / model.n_variables == 5  # dimensions of z of each mixture
        assert config.objective.dispersion == (0.3 if "dgm" in name else 1.0)
    latent = ("latent", "latent_dim", "n_variables", "n_classes")
    assert replace(model, **{key: getattr(base.model, key) for key in latent}) == base.model
    assert (config.data, config.training, config.optimiser) == (base.data, base.training, base.optimiser)


@pytest.mark.parametrize("budget", ["smoke", "cpu", "paper"])
@pytest.mark.parametrize("name", [name for name in PRESETS if name.startswith("dailydialog")])
def test_budgets_give_valid_configurations(name, budget):
    base, config = preset(name), sized(preset(name), budget)
    validate(config)
    assert config.data == base.data and config.model.n_categories == base.model.n_categories
    assert config.evaluation.language_model == "none"
    if budget == "paper":
        assert config == base
    if budget == "cpu":
        assert config.model == base.model
        assert config.training.max_steps == 2 * math.ceil(87_170 / 64)
        assert config.objective.mutual_information == base.objective.mutual_information
        assert config.objective.schedule != "sigmoid"


def test_systems_differ_at_a_budget_in_what_their_presets_differ_in():
    """The budget may not favour a row: what it changes, it changes alike."""
    first, second = sized(preset("dailydialog-dgm-vae"), "cpu"), sized(preset("dailydialog-svebm-ib"), "cpu")
    assert first.training == second.training and first.evaluation == second.evaluation
    assert first.optimiser == second.optimiser
    assert (first.objective.schedule, first.objective.ramp_fraction) == ("linear", 0.5)


def test_the_notes_name_the_sizes():
    cpu, paper = " ".join(table2.notes("cpu", 0.311)), " ".join(table2.notes("paper", 0.311))
    assert "2,726 iterations of 64 utterances, 2 epochs" in cpu and "50 importance samples, 500 test sentences" in cpu
    assert "500 importance samples, all test sentences" in paper and "31 % of the test utterances" in paper


# Codes that need no model --------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def no_kept_corpus():
    table2._corpus.cache_clear()
    yield
    table2._corpus.cache_clear()


def test_references_are_measured_as_symbols_are(tmp_path):
    write_daily_dialog(tmp_path, (60, 4, 60))
    corpus = load_corpus("daily_dialog", tmp_path)
    found = {name: reference_document(name, corpus, "smoke") for name in CODES}
    # Each question of the stand-in has its mark, and each exclamation is happy.
    mark = found["question-mark"]
    assert mark["homogeneity"]["act"] == pytest.approx(1) and mark["symbols_used"] == 2
    assert mark["information_beyond_question_mark"]["act"] == pytest.approx(0, abs=1e-12)
    assert found["last-punctuation"]["homogeneity"] == pytest.approx({"act": 1, "emotion": 1})
    emotions, marks = corpus.test.labels["emotion"], [s[-1] for s in corpus.test.sentences]
    expected = sklearn.metrics.mutual_info_score(emotions, marks) - sklearn.metrics.mutual_info_score(
        emotions, [m == "?" for m in marks]
    )
    assert found["last-punctuation"]["information_beyond_question_mark"]["emotion"] == pytest.approx(expected)
    assert found["first-word"]["homogeneity"]["act"] == pytest.approx(1)
    means = found["k-means"]
    assert means["symbols_used"] == 20 and means["homogeneity"]["act"] > 3 * means["homogeneity_chance"]["act"]
    assert found["supervised"]["homogeneity"] == pytest.approx({"act": 1, "emotion": 1})
    assert "symbols_used" not in found["supervised"]  # a code for each label
    for document in found.values():
        assert document["null_reasons"]["bleu"] == "a code of sentences, not a model"
        assert document["about"]["sample_counts"] == {"test sentences": 120}


def test_references_are_kept_and_those_of_smoke_serve_smoke_only(tmp_path, monkeypatch):
    write_daily_dialog(tmp_path)
    place = Place(tmp_path / "out", tmp_path)
    place.out.mkdir()
    table2.make_reference("question-mark", "smoke", place)
    monkeypatch.setattr(surface, "last_marks", lambda sentences: pytest.fail("worked out"))
    table2.make_reference("question-mark", "smoke", place)
    with pytest.raises(pytest.fail.Exception):
        table2.make_reference("last-punctuation", "smoke", place)
    assert set(table2._kept_references("smoke", place)) == {"question-mark"}
    assert table2._kept_references("cpu", place) == {}


# From the command to the report --------------------------------------------------------------------------------


@pytest.mark.slow
def test_rows_from_command_to_report(tmp_path, capsys):
    write_daily_dialog(tmp_path)
    out = tmp_path / "out"
    command = ["dd", "--budget", "smoke", "--data.root", str(tmp_path), "--out", str(out), "--device", "cpu"]
    experiments.main([*command, "--rows", "svebm-ib", "dgm-vae-i", "question-mark"])
    printed = capsys.readouterr().out
    assert "0.59 †" in printed and "dgm-vae-i" in printed

    rows = json.loads((out / "report.json").read_text())
    assert [row["row"] for row in rows] == ["dgm-vae-i", "svebm-ib", "question-mark"]
    measured = json.loads((out / "svebm-ib-seed0" / "metrics.json").read_text())
    for key in ("homogeneity", "homogeneity_chance", "adjusted_mutual_information", "information_beyond_question_mark"):
        assert {label: rows[1][key][label] for label in ("act", "emotion")} == measured[key]
    assert rows[1]["bleu"] == measured["bleu"] and rows[1]["mi"] == measured["mi"]
    assert rows[0]["paper"] == {"mi": 1.32, "bleu": 7.39, "homogeneity": {"act": 0.23, "emotion": 0.16}}
    assert rows[1]["paper_incomparable"] == ["homogeneity.act", "homogeneity.emotion"]
    assert rows[1]["iterations"] == 20 and (rows[1]["budget"], rows[1]["seed"]) == ("smoke", 0)
    assert rows[2]["homogeneity"]["act"] == pytest.approx(1) and rows[2]["bleu"] is None
    text = (out / "report.md").read_text()
    assert "| question-mark | – | – | – | – | 1.000 | – |" in text and "all test sentences" not in text
    assert "occur word for word" in text and (out / "plots" / "measures.png").exists()
