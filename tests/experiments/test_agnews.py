"""Table 8: its rows and budgets, what the report makes of seeds, and all systems from the command to the report."""

import json
import statistics
from dataclasses import replace

import pytest
from tiny_encoders import counting, write_encoder
from tiny_runs import write_agnews

from svebm_ext import experiments
from svebm_ext.config import SequenceModel, options_of, validate
from svebm_ext.data import sentence_encoders, sentence_vectors
from svebm_ext.data.sentence_encoders import FoundEncoder
from svebm_ext.errors import ConfigError
from svebm_ext.experiments import agnews, agnews_encoder, rows
from svebm_ext.experiments.agnews import (
    AGNEWS,
    PAPER,
    cell,
    make_row,
    rows_of_report,
    split_name,
    table_cells,
    unavailable,
)
from svebm_ext.experiments.agnews_baselines import SYSTEMS
from svebm_ext.experiments.rows import Place, Results, finished
from svebm_ext.presets import preset


def test_rows_are_systems_with_numbers_of_labels():
    assert AGNEWS.names[:4] == ("nb-em-200", "nb-em-500", "nb-em-2500", "nb-em-10000") and len(AGNEWS.names) == 68
    assert make_row("svebm-ib-2500", "cpu").paper == {"accuracy": 87.9}
    assert make_row("nb-em-200", "cpu").paper == {"accuracy": None}
    assert make_row("self-training-lr-200", "cpu").config.data.n_labelled == 200
    assert AGNEWS.groups["catvae"] == ("catvae-200", "catvae-500", "catvae-2500", "catvae-10000")
    assert len(AGNEWS.groups["500"]) == len(PAPER) == 17
    assert {*SYSTEMS, *agnews_encoder.SYSTEMS} == {name for name in PAPER if not name.startswith("svebm")}


@pytest.mark.parametrize("budget", ["smoke", "cpu", "paper"])
def test_budgets_give_valid_configurations(budget):
    for name in AGNEWS.names:
        row = make_row(name, budget)
        validate(row.config)
        assert (row.make is None) == name.startswith("svebm") and row.data_seed
        assert (row.config.preset == "agnews-svebm-ib") == (split_name(name)[0] == "svebm-ib")
    with_ib, without = make_row("svebm-ib-200", budget).config, make_row("svebm-200", budget).config
    assert without.objective.mutual_information == 0.0 < with_ib.objective.mutual_information
    same = replace(without, preset="agnews-svebm-ib", objective=with_ib.objective)
    assert same == with_ib


def test_budget_cpu_is_the_preset_but_for_evaluation_and_what_is_printed():
    base, config = preset("agnews-svebm-ib"), make_row("svebm-ib-200", "cpu").config
    assert (config.model, config.objective, config.chains) == (base.model, base.objective, base.chains)
    assert config.training == replace(base.training, sample_every=0, checkpoint_every=500)
    assert make_row("svebm-ib-200", "paper").config.training.max_steps == 48_843  # 201 epochs of 48,459 by 200


def test_the_row_of_sequences_shares_prior_labels_and_batches_of_labels_with_the_row_of_bags():
    bags, sequences = make_row("svebm-ib-500", "cpu").config, make_row("svebm-ib-gru-500", "cpu").config
    assert sequences.preset == "agnews-svebm-ib-gru" and isinstance(sequences.model, SequenceModel)
    assert options_of(bags.model).is_bag
    assert sequences.data.n_labelled == 500 and sequences.chains == bags.chains
    assert sequences.objective == replace(bags.objective, bag_of_words=1.0)
    assert sequences.training == replace(preset("agnews-svebm-ib-gru").training, sample_every=0, checkpoint_every=500)
    assert make_row("svebm-ib-gru-500", "paper").config.training.max_steps == 15_000


def test_each_seed_has_labels_of_its_own(tmp_path):
    place = Place(tmp_path)
    run = place.run(make_row("catvae-200", "smoke"), 3)
    assert run.config.seed == run.config.data.seed == 3 and run.folder.name == "catvae-200-seed3"
    assert place.run(replace(run.row, data_seed=False), 3).config.data.seed == 0


def document(accuracy, commit="c"):
    about = {"seed": 0, "commit": commit, "device": "cpu", "sample_counts": {}, "warnings": []}
    return {"accuracy": accuracy, "calibration_error": 0.1, "null_reasons": {}, "about": about}


def test_the_report_has_mean_and_deviation_over_seeds(tmp_path):
    place = Place(tmp_path)
    row = make_row("vampire-500", "smoke")
    found = [(place.run(row, seed), document(value, f"c{seed // 2}")) for seed, value in enumerate((0.8, 0.82, 0.87))]
    found.append((place.run(make_row("nb-em-200", "smoke"), 0), document(0.878)))
    reported = rows_of_report(Results("smoke", place, found))
    assert [(one["row"], one["labels"], one["seeds"]) for one in reported] == [("vampire", 500, 3), ("nb-em", 200, 1)]
    assert reported[0]["accuracy"] == pytest.approx(83.0) and reported[0]["paper"] == 84.5
    assert reported[0]["deviation"] == pytest.approx(statistics.stdev((80.0, 82.0, 87.0)))
    assert reported[0]["commit"] == "c0, c1" and reported[0]["by_seed"] == pytest.approx({"0": 80, "1": 82, "2": 87})
    assert reported[1]["deviation"] is None and reported[1]["paper"] is None
    assert cell(reported[0], 84.5) == "83.0 ± 3.6 / 84.5"
    assert cell(reported[1], None) == "87.8" and cell(None, 86.4) == "– / 86.4"
    by_title = {line[0]: line[1:] for line in table_cells(reported)}
    assert by_title["VAMPIRE"] == ["– / 82.9", "83.0 ± 3.6 / 84.5", "– / 85.8", "– / 87.7", "3"]
    assert "48,459" in " ".join(agnews.notes("cpu"))


def test_pictures_are_drawn_at_the_end(tmp_path):
    place, found = Place(tmp_path), []
    for name in ("nb-em-200", "svebm-ib-200"):
        for seed in range(2):
            run = place.run(make_row(name, "smoke"), seed)
            run.folder.mkdir()
            lines = [json.dumps({"step": step, "valid_accuracy": 0.8, "seconds": 1.0}) for step in (3, 6)[seed == 1 :]]
            (run.folder / "metrics.jsonl").write_text("\n".join(lines) + "\n")
            found.append((run, document(0.8 + 0.01 * seed)))
    assert [path.name for path in agnews.report(Results("smoke", place, found))] == ["report.md", "report.json"]
    paths = agnews.report(Results("smoke", place, found, final=True))
    assert [path.name for path in paths[2:]] == ["measures.png", "learning_curves_200.png"]
    assert all(path.stat().st_size > 1000 for path in paths[2:])
    assert "![](plots/learning_curves_200.png)" in (tmp_path / "report.md").read_text()
    assert json.loads((tmp_path / "report.json").read_text())[1]["iterations"] == 6


def test_published_vectors_that_are_not_there_are_told(tmp_path):
    write_agnews(tmp_path, sizes=(8, 4, 4))
    assert unavailable("glove-od-200", Place(tmp_path, tmp_path)) is None
    (tmp_path / "glove" / "glove.6B.50d.txt").unlink()
    assert "no glove/glove.6B.50d.txt" in unavailable("glove-od-200", Place(tmp_path, tmp_path))
    assert unavailable("glove-id-200", Place(tmp_path, tmp_path)) is None


def test_rows_by_an_encoder_share_its_vectors(tmp_path, monkeypatch):
    write_agnews(tmp_path)
    counter, encoder = counting(monkeypatch), write_encoder(tmp_path / "encoder")
    place, accuracies = Place(tmp_path / "out", tmp_path, "cpu"), {}
    for name in ("encoder-lr-nb-200", "encoder-guide-200", "svebm-ib-encoder-200"):
        row = make_row(name, "smoke")
        model = replace(row.config.model, sentence_encoder=str(encoder))
        run = place.run(replace(row, config=replace(row.config, model=model)), 0)
        accuracies[name] = rows.run_row(run)["accuracy"]
        assert finished(run) is not None
    assert min(accuracies["encoder-lr-nb-200"], accuracies["encoder-guide-200"]) > 0.8  # half of the words tell
    assert len(counter.texts) == len(set(counter.texts)) == 340  # each document of the three splits once
    assert len(list((tmp_path / "out" / "sentence_vectors").glob("*.npy"))) == 3


def test_an_encoder_that_is_not_there_is_told(tmp_path, monkeypatch):
    def missing(name):
        raise ConfigError(f"{name} is not on this disk")

    monkeypatch.setattr("svebm_ext.data.sentence_encoders.find_encoder", missing)
    assert unavailable("svebm-ib-encoder-500", Place(tmp_path, tmp_path)) == "all-MiniLM-L6-v2 is not on this disk"
    assert unavailable("svebm-ib-words-500", Place(tmp_path, tmp_path)) is None


def test_groups_stand_for_their_rows_and_what_is_not_there_is_skipped(tmp_path, monkeypatch, capsys):
    write_agnews(tmp_path)
    (tmp_path / "glove" / "glove.6B.50d.txt").unlink()
    made = []
    monkeypatch.setattr(rows, "run_row", lambda run: made.append(run.folder.name))
    command = ["agnews", "--budget", "smoke", "--data.root", str(tmp_path), "--out", str(tmp_path / "out")]
    experiments.main([*command, "--rows", "glove-od", "glove-id-500", "nb-em"])
    assert made == ["nb-em-200-seed0", "nb-em-500-seed0", "nb-em-2500-seed0", "nb-em-10000-seed0", "glove-id-500-seed0"]
    assert "glove-od-10000: skipped, no glove/glove.6B.50d.txt" in capsys.readouterr().out
    assert "**Left out:** glove-od-200: skipped" in (tmp_path / "out" / "report.md").read_text()
    told = r"--rows: table8-agnews has no row 'glove'; did you mean glove-od\? It has nb-em, self-training-lr"
    with pytest.raises(ConfigError, match=told):
        experiments.main([*command, "--rows", "glove"])


@pytest.mark.slow
def test_all_systems_from_command_to_report(tmp_path, capsys, monkeypatch):
    write_agnews(tmp_path)
    counting(monkeypatch)
    encoder = FoundEncoder(write_encoder(tmp_path / "encoder"), agnews.ENCODER)
    for module in (sentence_encoders, sentence_vectors):
        monkeypatch.setattr(module, "find_encoder", lambda name: encoder)
    out = tmp_path / "out"
    command = ["agnews", "--budget", "smoke", "--data.root", str(tmp_path), "--out", str(out), "--device", "cpu"]
    experiments.main([*command, "--rows", "200"])
    printed = capsys.readouterr().out
    assert "[17/17] svebm-ib-encoder-200, seed 0" in printed and "| CatVAE |" in printed
    reported = json.loads((out / "report.json").read_text())
    assert [row["row"] for row in reported] == list(PAPER)
    for row in reported:
        assert row["labels"] == 200 and row["seeds"] == 1 and 0.0 <= row["accuracy"] <= 100.0 and row["device"]
        assert row["valid_accuracy"] is not None and row["training_seconds"] > 0
    by_row = {row["row"]: row for row in reported}
    assert by_row["nb-em"]["accuracy"] > 80.0  # half of the words are of the topic
    text = (out / "report.md").read_text()
    assert f"| naive Bayes + EM (reference) | {by_row['nb-em']['accuracy']:.1f} | – |" in text
    assert (out / "plots" / "learning_curves_200.png").exists() and (out / "plots" / "measures.png").exists()

    measured = (out / "catvae-200-seed0" / "metrics.json").stat().st_mtime_ns
    experiments.main([*command, "--rows", "catvae-200"])
    assert "1 of 1 rows are finished and kept" in capsys.readouterr().out
    assert (out / "catvae-200-seed0" / "metrics.json").stat().st_mtime_ns == measured
    row, place = make_row("catvae-200", "smoke"), Place(out, tmp_path, "cpu")
    unread = replace(row.config, objective=replace(row.config.objective, mutual_information=77.0))
    assert finished(place.run(replace(row, config=unread), 0)) is not None
    weight = replace(row.config, objective=replace(row.config.objective, label_weight=77.0))
    for other in (make_row("catvae-200", "cpu"), replace(row, config=weight)):
        with pytest.raises(ConfigError, match="holds a run of another configuration"):
            finished(place.run(other, 0))
