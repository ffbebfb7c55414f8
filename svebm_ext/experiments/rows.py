"""Rows of an experiment and their runs: made where missing, taken up where they stopped, kept when finished."""

from __future__ import annotations

import importlib.util
import json
import re
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from svebm_ext.config import Config, to_dict
from svebm_ext.errors import ConfigError, Interrupted, SvebmError
from svebm_ext.evaluation.report import METRICS, REPORT, read_document
from svebm_ext.files import JsonMapping, JsonObject, write_whole
from svebm_ext.models.folder import CARD, CONFIG, VOCABULARY, WEIGHTS
from svebm_ext.training.folder import FITTED, LAST, SAMPLES, read_run_config

Budget = Literal["smoke", "cpu", "long", "30-epochs", "paper"]

#: Options that say where a run is made, or what it is called, not what it is: a row may be taken up with others.
PLACE = ("data.root", "data.cache", "training.device", "preset")
#: All finished rows of a folder, one line each: what each is, and what was measured.
ROWS = "rows.jsonl"
#: Folder of vectors of frozen encoders, which the rows of an experiment share.
VECTORS = "sentence_vectors"
#: Left in the folder of a run that failed: what was raised, and where.
FAILURE = "failure.txt"


@dataclass(frozen=True)
class Row:
    """One system of a table or figure.

    Attributes:
        name: of the row.
        config: at the budget asked for.
        paper: the paper's figure by measure; None where the paper prints none.
        incomparable: measures whose published figure is of another quantity, so that it stands beside ours only to be
            recognised.
        make: trains and measures a row that is no model of this package; leaves config.json and metrics.json in the
            folder of the run, and returns the content of the latter.
        reads: options, or sections ("data."), that `make` reads; the others may differ between calls.
        data_seed: data.seed is the training seed as well, so that each seed has labels of its own.
        files: training and test file in the folder of the experiment, of a row that is trained on text of one's own.
    """

    name: str
    config: Config
    paper: Mapping[str, float | None] = field(default_factory=dict)
    incomparable: tuple[str, ...] = ()
    make: Callable[[Run], JsonObject] | None = None
    reads: tuple[str, ...] = ("",)
    data_seed: bool = False
    files: Callable[[Path], tuple[Path, Path]] | None = None


@dataclass(frozen=True)
class Place:
    """Where runs are made: folder of the experiment, data root and device, as the options of the same names."""

    out: Path
    root: Path | None = None
    device: str = "auto"

    def run(self, row: Row, seed: int) -> Run:
        """The run of a row for a training seed; its folder is OUT/ROW-seedSEED."""
        data = replace(row.config.data, root=self.root)
        if row.files is not None:
            train, test = row.files(self.out)
            data = replace(data, train=train, test=test)
        if row.config.model.pretrained_encoder is not None:  # rows of one text need its vectors once
            data = replace(data, cache=self.out / VECTORS)
        config = replace(
            row.config,
            seed=seed,
            data=replace(data, seed=seed) if row.data_seed else data,
            training=replace(row.config.training, device=self.device),
        )
        return Run(row, config, self.out / f"{row.name}-seed{seed}")

    def seeds(self, name: str) -> list[int]:
        """Seeds of the folders of a row, ascending."""
        matches = (re.fullmatch(re.escape(name) + r"-seed(\d+)", path.name) for path in self.out.glob(f"{name}-seed*"))
        return sorted(int(match[1]) for match in matches if match)


@dataclass(frozen=True)
class Run:
    """A row with a training seed, and its folder."""

    row: Row
    config: Config
    folder: Path

    @property
    def label(self) -> str:
        """Row and seed, for people."""
        return f"{self.row.name}, seed {self.config.seed}"


@dataclass(frozen=True)
class Results:
    """What is known of an experiment at some moment, also before its end.

    Attributes:
        budget: of the rows.
        place: where they were made.
        documents: metrics.json of the finished runs, in the order of the table.
        failures: reason by label of the runs that failed in this call.
        left_out: rows that could not be made, and folders in OUT that are not of this experiment at this budget, with
            the reason.
        final: whether this is the last report of a call.
    """

    budget: Budget
    place: Place
    documents: Sequence[tuple[Run, JsonObject]]
    failures: Mapping[str, str] = field(default_factory=dict)
    left_out: Sequence[str] = ()
    final: bool = False


class Further:
    """Work of an experiment on a finished run, beyond training and the usual measures."""

    def done(self, run: Run) -> bool:
        """Whether its results are in the run's folder."""
        raise NotImplementedError

    def work(self, run: Run) -> None:
        """Do it; it may have been interrupted before."""
        raise NotImplementedError


@dataclass(frozen=True)
class Experiment:
    """A table or figure of the paper.

    Attributes:
        title: in the paper.
        names: of its rows, in the paper's order.
        make_row: row by name, at a budget. Raises ConfigError where its preset is missing.
        report: writes what is made of the results, and returns the files.
        show: prints the table, where there is one.
        references: further rows that are no run of a model; each is worked out once and kept in OUT.
        further: at a budget, what is done with each finished run before the next is begun.
        groups: names that stand for several rows each.
        unavailable: why a row cannot be made at a place, such as data that are not there; None where it can.
        prepare: makes what rows need at a place before any of them is begun; returns why by row that cannot be made.
        budgets: that it has.
    """

    title: str
    names: tuple[str, ...]
    make_row: Callable[[str, Budget], Row]
    report: Callable[[Results], list[Path]]
    show: Callable[[Results], None] | None = None
    references: Mapping[str, Callable[[Budget, Place], object]] = field(default_factory=dict)
    further: Callable[[Budget], Further] | None = None
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    unavailable: Callable[[str, Place], str | None] | None = None
    prepare: Callable[[Sequence[str], Budget, Place], Mapping[str, str]] | None = None
    budgets: tuple[Budget, ...] = ("smoke", "cpu", "paper")


def finished(run: Run) -> JsonObject | None:
    """The content of metrics.json, where the run is trained and measured with its present settings; otherwise None.

    Raises:
        ConfigError: the folder holds a run of another configuration.
        ModelFolderError: the folder is damaged.
    """
    if not (run.folder / (LAST if run.row.make is None else METRICS)).exists():
        return None
    differing = _differences(to_dict(read_run_config(run.folder)), to_dict(run.config))
    if run.config.model.pretrained_dim == 0:  # the run asks the encoder
        differing.pop("model.sentence_encoder_dim", None)
    differing = {name: text for name, text in differing.items() if name.startswith(run.row.reads)}
    training = [text for name, text in differing.items() if not name.startswith("evaluation.")]
    if training:
        what = "; ".join(training[:3])
        raise ConfigError(f"--out: {run.folder} holds a run of another configuration ({what}); choose another folder")
    if differing or not all((run.folder / name).exists() for name in belongings(run)):
        return None
    return read_document(run.folder / METRICS)


def belongings(run: Run) -> list[str]:
    """Files that a finished run has: one that lacks some of them is resumed and measured again."""
    if run.row.make is not None:
        return [CONFIG, METRICS]
    points = run.config.model.kind == "points"
    names = [CONFIG, WEIGHTS, METRICS, REPORT, *([SAMPLES] if points else [VOCABULARY, CARD])]
    if run.config.training.prior_steps > 0:
        names.append(FITTED)
    if importlib.util.find_spec("matplotlib") is not None:
        names += ["plots/learning_curves.png", *(["plots/figure2.png"] if points else [])]
    return names


def _differences(there: JsonMapping, here: JsonMapping, prefix: str = "") -> dict[str, str]:
    """Options whose values differ, with both values; kinds that differ have some options in common."""
    differences: dict[str, str] = {}
    for name, value in here.items():
        if isinstance(value, Mapping):
            differences |= _differences(there[name], value, f"{prefix}{name}.")
        elif there.get(name, value) != value and prefix + name not in PLACE:
            differences[prefix + name] = f"{prefix}{name} is {there[name]} there, {value} here"
    return differences


def run_row(run: Run) -> JsonObject:
    """Train and measure one run, as far as that has not been done; returns the content of its metrics.json.

    A run that was interrupted is taken up at its last checkpoint. A run that was measured with other settings of the
    evaluation is measured again, not trained again.

    Raises:
        ConfigError: the folder holds a run of another configuration.
        DataError, ModelFolderError, TrainingDivergedError, Interrupted: as `svebm_ext.training.run.train`.
    """
    document = finished(run)
    if document is not None:
        return document
    # Numbers of other settings must not pass for those of this run if it is stopped while it is measured.
    (run.folder / METRICS).unlink(missing_ok=True)
    if run.row.make is not None:
        return run.row.make(run)
    from svebm_ext.training.runtime import Runtime

    resume = (run.folder / LAST).exists()
    training = run.config.training
    runtime = Runtime.alone(training.device, training.precision)
    if run.config.model.kind == "points":
        from svebm_ext.training.points import train_points

        measured = train_points(run.config, run.folder, resume=resume, runtime=runtime)
        assert measured is not None  # experiments run in one process
        return measured
    from svebm_ext.evaluation.evaluate_model import evaluate_run
    from svebm_ext.training.run import train

    return evaluate_run(run.folder, *train(run.config, run.folder, resume=resume, runtime=runtime))


def run_all(
    runs: Sequence[Run],
    after: Callable[[Mapping[str, str]], None],
    say: Callable[[str], None] = print,
    further: Further | None = None,
) -> dict[str, str]:
    """Make every run that is missing. One that fails does not keep the others from being made.

    Args:
        runs: in the order in which they are made.
        after: called when a run has ended, with the failures so far; writes the report.
        say: receives lines of progress.
        further: work on each finished run.

    Returns:
        Reason of failure by label of the run.

    Raises:
        Interrupted: on Ctrl-C or SIGTERM in training, after saving. KeyboardInterrupt passes too.
    """
    begin = time.monotonic()
    missing = [run for run in runs if finished(run) is None or (further is not None and not further.done(run))]
    n_kept = len(runs) - len(missing)
    if n_kept:
        say(f"{n_kept} of {len(runs)} rows are finished and kept")
    failures: dict[str, str] = {}
    for number, run in enumerate(missing):
        elapsed = time.monotonic() - begin
        left = f", about {clock(elapsed / number * (len(missing) - number))} left" if number else ""
        say(f"[{n_kept + number + 1}/{len(runs)}] {run.label}: {run.folder} ({clock(elapsed)} elapsed{left})")
        try:
            run_row(run)
            if further is not None:
                further.work(run)
        except Interrupted:
            raise
        except Exception as error:
            failures[run.label] = note_failure(run.folder, error)
            say(f"{run.label} failed: {failures[run.label]}")
        else:
            (run.folder / FAILURE).unlink(missing_ok=True)
        after(failures)
    return failures


def write_rows(results: Results) -> Path:
    """Write rows.jsonl: a line for each finished run, with its configuration and all that was measured.

    Keys of a line: `row`, `seed`, `budget`, `config` (as in config.json, without where data and device were) and
    `measures` (metrics.json).
    """
    lines = []
    for run, document in results.documents:
        config = to_dict(run.config)
        config["data"]["root"], config["data"]["cache"], config["training"]["device"] = None, None, "auto"
        for name in ("train", "test"):
            if config["data"][name] is not None:
                config["data"][name] = Path(config["data"][name]).name
        line = {"row": run.row.name, "seed": run.config.seed, "budget": results.budget}
        lines.append(json.dumps(line | {"config": config, "measures": document}, ensure_ascii=False))
    write_whole(results.place.out / ROWS, "".join(f"{line}\n" for line in lines))
    return results.place.out / ROWS


def read_rows(folder: Path) -> list[JsonObject]:
    """Lines of a folder's rows.jsonl, see `write_rows`."""
    return [json.loads(line) for line in (folder / ROWS).read_text(encoding="utf-8").splitlines()]


def note_failure(folder: Path, error: Exception) -> str:
    """Keep where an error came from in a folder; returns it as one line."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / FAILURE, "".join(traceback.format_exception(error)))
    lines = str(error).splitlines() or ["no message"]
    if isinstance(error, SvebmError):
        return lines[0]
    return f"{type(error).__name__}: {lines[0]} (traceback: {folder / FAILURE})"


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
