"""Tables and report.json from made-up measurements."""

import json
import sys
from dataclasses import replace

import pytest
from tiny_runs import tiny_config

from svebm_ext.experiments import table
from svebm_ext.experiments.rows import Place, Results, Row
from svebm_ext.experiments.table import Measure
from svebm_ext.plots import systems

MEASURES = (
    Measure("rppl", "rPPL", 1, "lower", published=True),
    Measure("nll", "NLL", 2, "lower", published=True),
    Measure("mi", "I(z, y)", 2),
)
FURTHER = (Measure("active_units", "active units", 0), Measure("homogeneity.act", "homogeneity act", 2))
KEYS = [measure.key for measure in (*MEASURES, *FURTHER)]
PAPER = {"rppl": 1177.59, "nll": 94.68}


def document(reasons=None, warnings=(), **measured):
    return {
        **measured,
        "null_reasons": reasons or {},
        "about": {
            "seed": 0,
            "commit": "abc",
            "device": "cpu, 2 threads",
            "sample_counts": {"test sentences": 3761},
            "warnings": list(warnings),
        },
    }


def run_of(place, name, seed, paper=PAPER, incomparable=()):
    run = place.run(Row(name, tiny_config(None), paper, incomparable), seed)
    run.folder.mkdir(parents=True)
    lines = [{"step": 4, "seconds": 1.5}, {"step": 6, "valid_bound": 9.0 + seed}, {"step": 12, "valid_bound": 9.5}]
    (run.folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return run


@pytest.fixture
def results(tmp_path):
    """Two systems, one of them with three seeds of which one has no rPPL."""
    place = Place(tmp_path)
    no_symbols = {"mi": "the gaussian latent family has no symbols", "rppl": "no language model"}
    measured = {"mi": 2.0, "active_units": 12, "homogeneity": {"act": 0.25}}
    found = [
        (run_of(place, "vae", 0, {"rppl": 686.18, "nll": None}), document(no_symbols, nll=101.5, active_units=40)),
        *(
            (
                run_of(place, "svebm", seed, incomparable=("nll",)),
                document({"rppl": "no language model"}, [f"log Z {seed // 2}"], nll=nll, rppl=rppl, **measured),
            )
            for seed, nll, rppl in ((0, 100.0, 1500.0), (1, 102.0, 1700.0), (2, 104.0, None))
        ),
    ]  # fmt: skip
    return Results("cpu", place, found, {"ae, seed 0": "diverged"}, ["dae-seed0: another configuration"])


def rows_of(results, n_train=100):
    return [table.report_row(run, found, results.budget, KEYS, n_train) for run, found in results.documents]


def test_rows_of_the_report(results):
    row = json.loads(json.dumps(rows_of(results)[1]))
    assert list(row)[:4] == ["row", "budget", "commit", "device"]
    expected = {
        "row": "svebm", "preset": "tiny", "budget": "cpu", "seed": 0, "commit": "abc", "device": "cpu, 2 threads",
        "rppl": 1500.0, "nll": 100.0, "mi": 2.0, "active_units": 12, "homogeneity": {"act": 0.25}, "paper": PAPER,
        "paper_incomparable": ["nll"], "iterations": 12, "best_iteration": 6, "training_seconds": 1.5,
        "evaluation_seed": 0, "warnings": ["log Z 0"], "null_reasons": {}, "sample_counts": {"test sentences": 3761},
        "epochs": 0.92,  # 12 iterations of 8 sentences; an epoch of 100 sentences has 13
    }  # fmt: skip
    assert row == expected
    vae = rows_of(results)[0]
    assert vae["rppl"] is None and vae["paper"]["nll"] is None
    assert vae["null_reasons"] == {
        "rppl": "no language model",
        "mi": "the gaussian latent family has no symbols",
        "homogeneity.act": "not measured",
    }


def test_every_documented_key_is_written_and_the_other_way_round(results):
    row = rows_of(results)[0]
    reference = table.reference_row("real", document(nll=1.0), "cpu", KEYS, {"nll": 2.0})
    assert set(row) == set(reference)
    for key in set(row) - {key.split(".")[0] for key in KEYS}:
        assert f"`{key}`" in table.__doc__, key


def test_the_best_iteration_is_that_of_the_least_bound(results):
    assert [row["best_iteration"] for row in rows_of(results)] == [6, 6, 12, 12]  # bounds 9, 9, 10, 11 before 9.5


def test_cells_have_mean_and_deviation_of_seeds_beside_the_paper(results):
    cells = table.table_cells(rows_of(results), MEASURES)
    assert cells == [
        ["row", "seeds", "rPPL ↓", "paper", "NLL ↓", "paper", "I(z, y)"],
        ["vae", "1", "–", "686.18", "101.50", "–", "–"],
        # Sample deviation of 100, 102, 104 is 2; of 1500, 1700 it is 141.4.
        ["svebm", "3", "1,600.0 ± 141.4 (2 of 3)", "1,177.59", "102.00 ± 2.00", "94.68 †", "2.00 ± 0.00"],
    ]
    assert table.table_cells(rows_of(results)[:2], MEASURES)[2] == [
        "svebm", "1,500.0", "1,177.59", "100.00", "94.68 †", "2.00",
    ]  # fmt: skip


def test_the_terminal_cuts_nothing_off(results, capsys):
    measures = [replace(MEASURES[0], title=f"rPPL {'x' * 30} {i}") for i in range(6)]
    table.print_table("Title", rows_of(results), measures)
    printed = capsys.readouterr().out
    assert all(measure.heading in printed for measure in measures) and "…" not in printed
    assert printed.count("1,600.0 ± 141.4 (2 of 3)") == 6


def test_the_report_says_why_cells_are_empty_and_what_failed(results):
    text = table.render("Title", rows_of(results), MEASURES, FURTHER, ["A note."], results, ["plots/a.png"])
    assert text.startswith("# Title\n\n| row | seeds | rPPL ↓ | paper | NLL ↓ | paper | I(z, y) |\n| --- | ---: |")
    empty = text.partition("## Empty cells")[2].partition("##")[0].split("\n- ")[1:]
    assert [line.strip() for line in empty] == [
        "rPPL: no language model (all rows)",
        "I(z, y): the gaussian latent family has no symbols (vae)",
        "homogeneity act: not measured (vae)",
    ]
    for expected in (
        "Mean and standard deviation over training seeds.",
        "A note.",
        "![](plots/a.png)",
        "**Failed:** ae, seed 0: diverged",
        "**Left out:** dae-seed0: another configuration",
        "| svebm | 3 | 12 ± 0 | 0.25 ± 0.00 |",
        "| svebm | 2 | 12 | 0.92 | 12 | 0:00:02 | abc | cpu, 2 threads | 3,761 test sentences |",
        "- log Z 0 (svebm)\n- log Z 1 (svebm)",
    ):
        assert expected in text
    one = table.render("Title", rows_of(results)[:2], MEASURES, FURTHER, [], results)
    assert "Mean and standard deviation" not in one


def test_a_further_column_that_no_row_has_is_left_out(results):
    further = (*FURTHER, Measure("kl", "KL", 1))
    keys = [measure.key for measure in (*MEASURES, *further)]
    rows = [table.report_row(run, found, results.budget, keys, 100) for run, found in results.documents]
    text = table.render("Title", rows, MEASURES, further, [], results)
    assert "| row | seeds | active units | homogeneity act |\n" in text and "KL" not in text
    rows[1]["kl"] = 3.0
    text = table.render("Title", rows, MEASURES, further, [], results)
    assert (
        "| row | seeds | active units | homogeneity act | KL |\n" in text
        and "homogeneity act, KL: not measured (vae)" in text
    )


def test_files_are_written_and_drawn(results, tmp_path):
    rows = rows_of(results)
    paths = table.write_report("Title", rows, MEASURES, FURTHER, [], results)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "report.md", "report.json", "plots/measures.png", "plots/learning_curves.png",
    ]  # fmt: skip
    assert json.loads(paths[1].read_text()) == json.loads(json.dumps(rows))
    assert "![](plots/measures.png)" in paths[0].read_text()
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths[2:])


def test_without_matplotlib_there_are_tables(results, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    paths = table.write_report("Title", rows_of(results), MEASURES, FURTHER, [], results)
    assert [path.name for path in paths] == ["report.md", "report.json"]
    assert "No pictures: plots need matplotlib" in paths[0].read_text()


def test_before_any_row_is_finished_there_is_a_report(tmp_path):
    nothing = Results("cpu", Place(tmp_path / "out"), [], {"a, seed 0": "why"})
    paths = table.write_report("Title", [], MEASURES, FURTHER, [], nothing)
    assert json.loads(paths[1].read_text()) == []
    assert "**Failed:** a, seed 0: why" in paths[0].read_text()


def test_what_is_drawn(results, monkeypatch):
    saved = []
    monkeypatch.setattr(systems, "save_figure", lambda figure, out: saved.append(figure) or out)
    table.draw(rows_of(results), MEASURES, results)
    measures, curves = saved
    assert [axis.get_title() for axis in measures.axes] == ["rPPL ↓", "NLL ↓"]  # no panel where nothing is published
    marks = {
        (line.get_marker(), float(line.get_xdata()[0]), float(line.get_ydata()[0]))
        for line in measures.axes[1].lines
        if line.get_marker() != "None"
    }
    assert marks == {("o", 101.5, 0.0), ("o", 102.0, 1.0), ("x", 94.68, 1.0)}
    lines = curves.axes[0].lines
    assert [list(line.get_ydata()) for line in lines] == [[9.0, 9.5], [9.0, 9.5], [10.0, 9.5], [11.0, 9.5]]
    assert [text.get_text() for text in curves.axes[0].get_legend().get_texts()] == ["vae", "svebm"]
