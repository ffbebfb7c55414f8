"""`python -m svebm_ext.experiments EXPERIMENT`: train and measure the rows of a table or figure of the paper.

A row is a configuration and a run folder. Rows that are finished are kept, and a row that was interrupted is taken up
where it stopped: give the same command again. One file an experiment; what they share is in `rows` (how runs are made)
and `table` (what is made of them). `index` makes the overview of results/.
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from svebm_ext.commands import LARGEST_SEED, check_numbers, parse, say_missing_folders
from svebm_ext.config import validate
from svebm_ext.errors import ConfigError, Interrupted, SvebmError, alternatives
from svebm_ext.experiments.ablation import ABLATION
from svebm_ext.experiments.agnews import AGNEWS
from svebm_ext.experiments.assistant import ASSISTANT
from svebm_ext.experiments.figure2 import FIGURE2
from svebm_ext.experiments.own_text import OWN_TEXT
from svebm_ext.experiments.rate_distortion import RATE_DISTORTION
from svebm_ext.experiments.rows import (
    Budget,
    Experiment,
    Place,
    Results,
    Run,
    finished,
    note_failure,
    run_all,
    write_rows,
)
from svebm_ext.experiments.smd import TABLE3
from svebm_ext.experiments.strange_texts import STRANGE_TEXTS
from svebm_ext.experiments.table1 import TABLE1
from svebm_ext.experiments.table2 import TABLE2
from svebm_ext.experiments.yelp import YELP
from svebm_ext.files import check_folder_takes_files
from svebm_ext.terminal import flush_output, say, show

EXPERIMENTS: dict[str, Experiment] = {
    "table1-ptb": TABLE1,
    "table1-ptb-ablation": ABLATION,
    "table2-dailydialog": TABLE2,
    "table3-smd": TABLE3,
    "table6-yelp": YELP,
    "table8-agnews": AGNEWS,
    "figure2": FIGURE2,
    "assistant": ASSISTANT,
    "own-text": OWN_TEXT,
    "rate-distortion": RATE_DISTORTION,
    "strange-texts": STRANGE_TEXTS,
}
#: Names that experiments had before 0.2.0; they go on working.
FORMER_NAMES = {
    "ptb": "table1-ptb",
    "ptb-ablation": "table1-ptb-ablation",
    "dd": "table2-dailydialog",
    "smd": "table3-smd",
    "yelp": "table6-yelp",
    "agnews": "table8-agnews",
}


@dataclass(frozen=True)
class DataArguments:
    """Where the data are."""

    root: Path | None = None
    """Folder with the released corpora (root/ptb/ptb.train.txt and so on, plain or .gz)."""


@dataclass(frozen=True)
class Arguments:
    """Options of an experiment."""

    rows: tuple[str, ...] = ()
    """Rows, or groups of rows, to make (default: all). The report shows all finished rows of the folder."""
    budget: Budget = "cpu"
    """smoke: a few iterations of small networks, to see that it works; cpu: sized for two cores; long: four times the
    iterations of cpu (table1-ptb), or the paper's networks for as long (rate-distortion), or all lines (own-text);
    30-epochs: as preset ptb-svebm-ib (table1-ptb); paper: the paper's."""
    seeds: int = 1
    """Training seeds of every row: SEED, SEED + 1, and so on, this many."""
    seed: int = 0
    """First training seed."""
    data: DataArguments = field(default_factory=DataArguments)
    out: Path | None = None
    """Folder of the runs and of what is made of them (default: runs/EXPERIMENT-BUDGET)."""
    device: str = "auto"
    """Device: auto, cpu, cuda, or cuda:N."""


def parse_arguments(arguments: Sequence[str]) -> tuple[str, Arguments]:
    """Name of the experiment, and its options.

    Raises:
        ConfigError: an unknown experiment or row, or an option out of range.
    """
    rest = list(arguments)
    name = rest.pop(0) if rest and not rest[0].startswith("-") else None
    listed = "\n".join(
        f"  {key} ({one.title}): {', '.join(one.groups or _names(one))}" for key, one in EXPERIMENTS.items()
    )
    options = parse(
        Arguments,
        rest,
        prog="python -m svebm_ext.experiments EXPERIMENT",
        description=f"Train and measure the rows of a table or figure.\n\nExperiments and their rows:\n{listed}",
    )
    name = FORMER_NAMES.get(name or "", name)
    if name not in EXPERIMENTS:
        raise ConfigError(f"EXPERIMENT: {name!r} given; {alternatives(name, EXPERIMENTS)}")
    known, groups = _names(EXPERIMENTS[name]), EXPERIMENTS[name].groups
    # Rows were once called w-.5, and are w-0.5.
    given = [row if row in known else re.sub(r"-\.(?=\d)", "-0.", row) for row in options.rows]
    options = replace(options, rows=tuple(row for one in given for row in groups.get(one, (one,))))
    unknown = [row for row in options.rows if row not in known]
    if unknown:
        there = alternatives(unknown[0], (*groups, *known), "it has")
        raise ConfigError(f"--rows: {name} has no row {', '.join(map(repr, unknown))}; {there}")
    if options.budget not in EXPERIMENTS[name].budgets:
        has = alternatives(options.budget, EXPERIMENTS[name].budgets, "it has")
        raise ConfigError(f"--budget: {name} has no budget {options.budget!r}; {has}")
    if options.seeds < 1:
        raise ConfigError(f"--seeds: {options.seeds} given, expected a number of at least 1")
    check_numbers(options, seeds=(1, 1000), seed=(0, LARGEST_SEED - 1000))
    return name, options


def _names(experiment: Experiment) -> tuple[str, ...]:
    return (*experiment.names, *experiment.references)


def main(arguments: Sequence[str]) -> None:
    """Run the experiment that the command line names; exit status 1 where a row failed."""
    name, options = parse_arguments(arguments)
    experiment = EXPERIMENTS[name]
    place = Place(options.out or Path("runs") / f"{name}-{options.budget}", options.data.root, options.device)
    asked = set(options.rows or _names(experiment))
    skipped = _unavailable(experiment, place, asked)
    if experiment.prepare is not None:
        skipped |= experiment.prepare([n for n in experiment.names if n in asked], options.budget, place)
    rows = [experiment.make_row(row, options.budget) for row in experiment.names if row in asked - skipped.keys()]
    seeds = range(options.seed, options.seed + options.seeds)
    runs = [place.run(row, seed) for seed in seeds for row in rows]
    check(runs)
    check_folder_takes_files(place.out)
    if options.out is not None:
        say_missing_folders(place.out.parent)
    for text in _reasons(skipped):
        _say(text)
    try:
        further = experiment.further(options.budget) if experiment.further is not None else None
        failures = run_all(
            runs, lambda failed: write(experiment, options.budget, place, failed, skipped), _say, further
        )
        for reference, work in experiment.references.items():
            if reference in asked:
                _say(f"{reference}: a reference, worked out once and kept in {place.out}")
                try:
                    place.out.mkdir(parents=True, exist_ok=True)
                    work(options.budget, place)
                except Exception as error:
                    if isinstance(error, Interrupted):
                        raise
                    failures[reference] = note_failure(place.out / reference, error)
    except (Interrupted, KeyboardInterrupt):
        command = shlex.join(["python", "-m", "svebm_ext.experiments", *arguments])
        raise Interrupted(f"finished rows are kept in {place.out}; continue with {command}") from None
    write(experiment, options.budget, place, failures, skipped, show=True)
    if failures:
        for label, reason in failures.items():
            say(f"failed: {label}: {reason}")
        sys.exit(1)


def _unavailable(experiment: Experiment, place: Place, asked: set[str]) -> dict[str, str]:
    """Reason by row of those that cannot be made."""
    if experiment.unavailable is None:
        return {}
    reasons = {name: experiment.unavailable(name, place) for name in experiment.names if name in asked}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _reasons(skipped: Mapping[str, str]) -> list[str]:
    return [f"{name}: skipped, {reason}" for name, reason in skipped.items()]


def check(runs: Sequence[Run]) -> None:
    """Refuse, before any work is done, what could not be finished: options, folders, data.

    Raises:
        ConfigError: an option out of range, or a folder that holds a run of another configuration.
        DataError: a corpus that is not where it should be; the message tells how to get it.
    """
    from svebm_ext.data.corpora import load_configured

    for run in runs:
        validate(run.config)
        finished(run)
    # Which examples keep their label, and how a corpus is split, does not matter to whether it is there.
    texts = [run.config.data for run in runs if run.config.model.kind != "points"]
    for data in {replace(data, n_labelled=0, seed=0): None for data in texts}:
        load_configured(data)


def write(
    experiment: Experiment,
    budget: Budget,
    place: Place,
    failures: Mapping[str, str],
    skipped: Mapping[str, str] | None = None,
    *,
    show: bool = False,
) -> None:
    """Write the report of all finished runs of the folder, also of those that were not asked for now."""
    documents = []
    left_out = _reasons(skipped or {})
    for name in experiment.names:
        for seed in place.seeds(name):
            try:
                run = place.run(experiment.make_row(name, budget), seed)
                document = finished(run)
            except SvebmError as error:
                left_out.append(f"{name}-seed{seed}: {error}")
                continue
            if document is not None:
                documents.append((run, document))
    results = Results(budget, place, documents, failures, left_out, final=show)
    paths = experiment.report(results)
    if documents:
        paths.append(write_rows(results))
    if show:
        if experiment.show is not None:
            experiment.show(results)
        for path in paths:
            _say(f"wrote {path}")


def _say(text: str) -> None:
    show(text)
    flush_output()
