"""Runs of an experiment: which are made, kept, refused; what happens when one fails or is interrupted."""

import json
from dataclasses import replace

import pytest
from tiny_runs import tiny_config, write_corpus

from svebm_ext import experiments
from svebm_ext.commands import run_command
from svebm_ext.config import to_dict
from svebm_ext.errors import ConfigError, DataError, ModelFolderError, TrainingDivergedError
from svebm_ext.experiments import rows
from svebm_ext.experiments.rows import Experiment, Place, Row, finished, run_all
from svebm_ext.training.loop import LAST, Interrupted


def a_row(name="a", **changes):
    return Row(name, tiny_config(None, **changes))


def pretend(run, *, config=None, measured=True):
    """Leave a run's folder as training and evaluation would."""
    (run.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    (run.folder / "config.json").write_text(json.dumps({"config": to_dict(config or run.config)}))
    (run.folder / LAST).write_bytes(b"")
    document = {
        "nll": 1.5,
        "null_reasons": {},
        "about": {"seed": 0, "commit": "c", "device": "d", "sample_counts": {}, "warnings": []},
    }
    if measured:
        for name in rows.belongings(run):
            (run.folder / name).parent.mkdir(exist_ok=True)
            if name != "config.json":
                (run.folder / name).write_text(json.dumps(document))
    return document


def changed(config, section, **options):
    return replace(config, **{section: replace(getattr(config, section), **options)})


def test_folders_are_named_by_row_and_seed(tmp_path):
    place = Place(tmp_path)
    assert place.run(a_row("svebm"), 3).folder == tmp_path / "svebm-seed3"
    for name in ("svebm-seed10", "svebm-seed3", "svebm-ib-seed0", "svebm-seedling", "svebm-seed"):
        (tmp_path / name).mkdir()
    assert place.seeds("svebm") == [3, 10] and place.seeds("svebm-ib") == [0]


def test_a_run_is_finished_when_it_is_trained_and_measured_as_it_stands(tmp_path):
    run = Place(tmp_path).run(a_row(), 0)
    assert finished(run) is None
    pretend(run, measured=False)
    assert finished(run) is None
    document = pretend(run)
    assert finished(run) == document
    pretend(run, config=changed(run.config, "evaluation", importance_samples=6))
    assert finished(run) is None  # to be measured again
    elsewhere = changed(changed(run.config, "data", root=tmp_path), "training", device="cuda")
    pretend(run, config=elsewhere)
    assert finished(run) == document  # where it was made does not matter


@pytest.mark.parametrize(
    ("changes", "lost"),
    [
        ({}, ["config.json", "vocab.json", "model.safetensors", "metrics.json", "report.md", "MODEL_CARD.md"]),
        ({}, ["plots/learning_curves.png"]),
        ({"training": {"prior_steps": 5}}, ["checkpoints/fitted.safetensors"]),
        (
            {"model": {"kind": "points", "latent_dim": 2}, "data": {"corpus": "pinwheel"}},
            ["model.safetensors", "samples.safetensors", "plots/figure2.png", "report.md"],
        ),
    ],
)
def test_a_run_that_lacks_some_of_its_files_is_not_finished(tmp_path, changes, lost):
    run = Place(tmp_path).run(a_row(**changes), 0)
    for name in lost:
        document = pretend(run)
        assert finished(run) == document
        (run.folder / name).unlink()
        if name == "config.json":
            with pytest.raises(ModelFolderError, match="missing"):
                finished(run)
        else:
            assert finished(run) is None, name


def test_a_run_of_another_configuration_is_refused_with_what_differs(tmp_path):
    run = Place(tmp_path).run(a_row(), 0)
    pretend(run, config=changed(run.config, "training", max_steps=99))
    with pytest.raises(ConfigError, match=r"a-seed0 holds a run of another .*training\.max_steps is 99 there, 12 here"):
        finished(run)
    with pytest.raises(ConfigError, match="another configuration"):
        rows.run_row(run)


def test_a_row_that_reads_a_part_of_its_options_may_differ_in_the_others(tmp_path):
    run = Place(tmp_path).run(replace(a_row(), reads=("data.", "training.max_steps")), 0)
    document = pretend(run, config=changed(changed(run.config, "objective", free_bits=9.0), "training", log_every=77))
    assert finished(run) == document
    pretend(run, config=changed(run.config, "training", max_steps=99))
    with pytest.raises(ConfigError, match=r"training\.max_steps is 99 there"):
        finished(run)


def test_a_run_that_fails_is_named_and_the_others_are_made(tmp_path, monkeypatch):
    runs = [Place(tmp_path).run(a_row(name), 0) for name in "abcd"]
    pretend(runs[1])
    made, reported, lines = [], [], []

    def run_row(run):
        made.append(run.row.name)
        if run.row.name == "a":
            raise TrainingDivergedError("the energy has diverged\nand more")
        if run.row.name == "c":
            raise ZeroDivisionError("division by zero")
        return pretend(run)

    monkeypatch.setattr(rows, "run_row", run_row)
    failures = run_all(runs, lambda failed: reported.append(dict(failed)), lines.append)
    assert made == ["a", "c", "d"]  # b is finished
    assert failures["a, seed 0"] == "the energy has diverged"
    assert failures["c, seed 0"].startswith("ZeroDivisionError: division by zero (traceback: ")
    assert "ZeroDivisionError" in (runs[2].folder / rows.FAILURE).read_text()
    assert [len(failed) for failed in reported] == [1, 2, 2]
    assert lines[0] == "1 of 4 rows are finished and kept"
    assert lines[1].startswith("[2/4] a, seed 0: ") and "left" not in lines[1]
    assert lines[-1].startswith("[4/4] d, seed 0: ") and "elapsed, about 0:00:0" in lines[-1]

    monkeypatch.setattr(rows, "run_row", pretend)
    assert run_all(runs, lambda failed: None, lines.append) == {}
    assert not (runs[2].folder / rows.FAILURE).exists()


def test_clock():
    assert [rows.clock(s) for s in (0.4, 59.6, 3599.0, 3600.0 * 30 + 61)] == [
        "0:00:00",
        "0:01:00",
        "0:59:59",
        "30:01:01",
    ]


# The command --------------------------------------------------------------------------------------------------


@pytest.fixture
def letters(tmp_path, monkeypatch):
    """An experiment of three tiny rows on a corpus of its own; its report counts the finished runs."""
    corpus = write_corpus(tmp_path)
    reports = []

    def make_row(name, budget):
        return Row(name, tiny_config(corpus, training={"max_steps": {"smoke": 2, "cpu": 4}[budget]}))

    def report(results):
        reports.append([run.label for run, _ in results.documents])
        return []

    experiment = Experiment("Letters", ("a", "b", "c"), make_row, report)
    monkeypatch.setitem(experiments.EXPERIMENTS, "letters", experiment)
    return ["letters", "--budget", "smoke", "--out", str(tmp_path / "out")], reports


def status(command):
    with pytest.raises(SystemExit) as stop:
        run_command(experiments.main, command)
    return stop.value.code


def test_every_row_and_seed_is_made_once(letters, monkeypatch):
    command, reports = letters
    monkeypatch.setattr(rows, "run_row", pretend)
    experiments.main([*command, "--rows", "c", "a", "--seeds", "2"])
    assert reports[-1] == ["a, seed 0", "a, seed 1", "c, seed 0", "c, seed 1"]  # in the order of the table
    assert reports[0] == ["a, seed 0"]  # written after the first run
    experiments.main([*command, "--rows", "b"])
    assert reports[-1] == ["a, seed 0", "a, seed 1", "b, seed 0", "c, seed 0", "c, seed 1"]  # and of those there were


def test_a_failing_row_ends_in_status_1(letters, monkeypatch, capsys):
    command, reports = letters

    def run_row(run):
        if run.row.name == "b":
            raise DataError("no such file")
        return pretend(run)

    monkeypatch.setattr(rows, "run_row", run_row)
    assert status(command) == 1
    assert reports[-1] == ["a, seed 0", "c, seed 0"]
    assert "failed: b, seed 0: no such file" in capsys.readouterr().err


@pytest.mark.parametrize("stop", [Interrupted, KeyboardInterrupt])
def test_an_interruption_tells_how_to_go_on(letters, monkeypatch, capsys, stop):
    command, reports = letters

    def run_row(run):
        if run.row.name == "b":
            raise stop
        return pretend(run)

    monkeypatch.setattr(rows, "run_row", run_row)
    assert status(command) == 130
    assert reports == [["a, seed 0"]]
    assert f"continue with python -m svebm_ext.experiments {' '.join(command)}" in capsys.readouterr().err


def test_wrong_options_end_before_any_work(letters, monkeypatch, tmp_path):
    command, _ = letters
    monkeypatch.setattr(rows, "run_row", lambda run: pytest.fail("worked"))
    with pytest.raises(ConfigError, match="--rows: letters has no row 'd'; it has a, b, c"):
        experiments.main([*command, "--rows", "a", "d"])
    with pytest.raises(ConfigError, match="--seeds: 0 given"):
        experiments.main([*command, "--seeds", "0"])
    with pytest.raises(
        ConfigError, match="EXPERIMENT: 'numbers' given; expected one of table1-ptb, table1-ptb-ablation, "
    ):
        experiments.main(["numbers"])
    (tmp_path / "corpus.txt").unlink()
    with pytest.raises(DataError, match="corpus"):
        experiments.main(command)
    assert not (tmp_path / "out").exists()


def of_budget(command, budget):
    """The same command with another budget."""
    place = command.index("--budget") + 1
    return [*command[:place], budget, *command[place + 1 :]]


def test_a_folder_of_another_budget_is_refused_before_any_work(letters, monkeypatch):
    command, _ = letters
    monkeypatch.setattr(rows, "run_row", pretend)
    experiments.main([*command, "--rows", "c"])
    monkeypatch.setattr(rows, "run_row", lambda run: pytest.fail("worked"))
    with pytest.raises(ConfigError, match="c-seed0 holds a run of another configuration"):
        experiments.main(of_budget(command, "cpu"))


def test_folders_that_do_not_belong_are_left_out_and_told(letters, monkeypatch):
    command, _ = letters
    seen = []
    monkeypatch.setattr(rows, "run_row", pretend)
    experiments.main([*command, "--rows", "c"])
    letters_experiment = experiments.EXPERIMENTS["letters"]
    monkeypatch.setitem(
        experiments.EXPERIMENTS,
        "letters",
        replace(letters_experiment, report=lambda results: seen.append(results) or []),
    )
    experiments.main([*of_budget(command, "cpu"), "--rows", "a"])
    assert [run.label for run, _ in seen[-1].documents] == ["a, seed 0"]
    assert len(seen[-1].left_out) == 1 and seen[-1].left_out[0].startswith("c-seed0: --out: ")


def test_the_folder_is_there_when_a_reference_is_the_first_thing_asked_for(letters, monkeypatch):
    command, _ = letters
    found = []
    references = {"truth": lambda budget, place: found.append(place.out.is_dir())}
    experiment = replace(experiments.EXPERIMENTS["letters"], references=references)
    monkeypatch.setitem(experiments.EXPERIMENTS, "letters", experiment)
    experiments.main([*command, "--rows", "truth"])
    assert found == [True]


def test_a_reference_is_worked_out_when_it_is_asked_for(letters, monkeypatch):
    command, _ = letters
    asked = []
    experiment = replace(experiments.EXPERIMENTS["letters"], references={"truth": lambda *given: asked.append(given)})
    monkeypatch.setitem(experiments.EXPERIMENTS, "letters", experiment)
    monkeypatch.setattr(rows, "run_row", pretend)
    experiments.main([*command, "--rows", "a"])
    assert asked == []
    experiments.main([*command, "--rows", "truth"])
    assert [budget for budget, _ in asked] == ["smoke"]

    def fail(budget, place):
        raise DataError("no truth")

    monkeypatch.setitem(experiments.EXPERIMENTS, "letters", replace(experiment, references={"truth": fail}))
    assert status([*command, "--rows", "truth"]) == 1
