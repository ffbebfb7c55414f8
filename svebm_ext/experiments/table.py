"""The table of an experiment: report.json, report.md, what the terminal shows, and the pictures.

Everything is drawn from the rows of report.json. A row of it has

- `row`, `preset`, `budget`, `seed`: which system, at what size, with which training seed;
- `commit`, `device`: of the evaluation;
- each measure of the experiment by its key in metrics.json, null where it was not measured; those of each label in an
  object of that name (`homogeneity: {act, emotion}`);
- `paper`: the paper's figure by measure, likewise, null where the paper prints none; `paper_incomparable`: those among
  them that are of another quantity (`homogeneity.act`);
- `iterations`, `epochs`, `best_iteration` (of the validation that chose the model), `training_seconds`;
- `sample_counts`, `evaluation_seed`, `warnings`, `null_reasons`: of the evaluation.
"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from svebm_ext import plots
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.experiments.rows import Budget, Results, Run, clock
from svebm_ext.files import JsonMapping, JsonObject, write_json, write_whole

REPORT, REPORT_JSON = "report.md", "report.json"
PICTURE, CURVES = "plots/measures.png", "plots/learning_curves.png"


@dataclass(frozen=True)
class Measure:
    """A column of the table.

    Attributes:
        key: in metrics.json; `homogeneity.act` is the entry act of the mapping homogeneity.
        title: for people.
        digits: after the decimal point.
        better: which end is good.
        published: whether the paper's table has it, so that its figure stands beside ours.
    """

    key: str
    title: str
    digits: int
    better: Literal["lower", "higher"] | None = None
    published: bool = False

    @property
    def heading(self) -> str:
        """Title with an arrow to the good end."""
        return self.title + {"lower": " ↓", "higher": " ↑", None: ""}[self.better]


# Rows of report.json -------------------------------------------------------------------------------------------


def report_row(run: Run, document: JsonMapping, budget: Budget, keys: Sequence[str], n_train: int) -> JsonObject:
    """Row of report.json of a finished run; see the module's description.

    Args:
        run: finished.
        document: its metrics.json.
        budget: of the run.
        keys: measures of the experiment.
        n_train: training sentences, to count epochs by.
    """
    training = run.config.training
    row = _row(run.row.name, document, budget, keys, dict(run.row.paper))
    log = _log(run.folder)
    bounds = log.get("valid_bound")
    row |= {
        "preset": run.config.preset,
        "seed": run.config.seed,
        "paper_incomparable": list(run.row.incomparable),
        "iterations": training.max_steps,
        "epochs": round(training.max_steps / math.ceil(n_train / training.batch_size), 2),
        "best_iteration": min(zip(bounds[1], bounds[0], strict=True))[1] if bounds else None,
        "training_seconds": log["seconds"][1][-1] if "seconds" in log else None,
    }
    return row


def reference_row(
    name: str, document: JsonMapping, budget: Budget, keys: Sequence[str], paper: Mapping[str, float | None]
) -> JsonObject:
    """Row of report.json of something that is no trained model, such as real text; its seed is the evaluation's."""
    nothing = dict.fromkeys(("preset", "iterations", "epochs", "best_iteration", "training_seconds"))
    row = _row(name, document, budget, keys, dict(paper))
    return row | nothing | {"seed": document["about"]["seed"], "paper_incomparable": []}


def _row(
    name: str, document: JsonMapping, budget: Budget, keys: Sequence[str], paper: dict[str, float | None]
) -> JsonObject:
    about = document["about"]
    measured = {key: value_of(document, key) for key in keys}
    reasons = document["null_reasons"]
    missing = [key for key, value in measured.items() if value is None]
    return {
        "row": name,
        "budget": budget,
        "commit": about["commit"],
        "device": about["device"],
        **_nested(measured),
        "paper": _nested(paper),
        "evaluation_seed": about["seed"],
        "sample_counts": about["sample_counts"],
        "warnings": about["warnings"],
        "null_reasons": {key: reasons.get(key, "not measured") for key in missing},
    }


def _nested(values: Mapping[str, int | float | None]) -> JsonObject:
    """Numbers by key, see `Measure.key`, as metrics.json has them."""
    document: JsonObject = {}
    for key, value in values.items():
        *outer, last = key.split(".")
        place = document
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
    return document


def value_of(document: JsonMapping, key: str) -> int | float | None:
    """Number by its key, see `Measure.key`; None where there is none."""
    value: object = document
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _log(folder: Path) -> dict[str, tuple[list[int], list[float]]]:
    try:
        return plots.read_metrics(folder / "metrics.jsonl")
    except DataError:
        return {}


# Tables --------------------------------------------------------------------------------------------------------


def by_name(rows: Sequence[JsonMapping]) -> dict[str, list[JsonMapping]]:
    """Rows of report.json by row of the table: its seeds."""
    groups: dict[str, list[JsonMapping]] = {}
    for row in rows:
        groups.setdefault(row["row"], []).append(row)
    return groups


def cell(seeds: Sequence[JsonMapping], measure: Measure) -> str:
    """Mean of the seeds, with the standard deviation where there are several; a dash where none was measured."""
    of_seeds = [value_of(row, measure.key) for row in seeds]
    values = [value for value in of_seeds if value is not None]
    if not values:
        return "–"
    text = f"{statistics.fmean(values):,.{measure.digits}f}"
    if len(values) > 1:
        text += f" ± {statistics.stdev(values):,.{measure.digits}f}"
    return text if len(values) == len(seeds) else f"{text} ({len(values)} of {len(seeds)})"


def paper_cell(row: JsonMapping, measure: Measure) -> str:
    """The paper's figure, marked where it is of another quantity."""
    figure = value_of(row["paper"], measure.key)
    if figure is None:
        return "–"
    return f"{figure:,.2f}" + (" †" if measure.key in row["paper_incomparable"] else "")


def table_cells(rows: Sequence[JsonMapping], measures: Sequence[Measure]) -> list[list[str]]:
    """Cells of the table, its heading first: of each measure ours, and the paper's where it has that measure."""
    several = _several_seeds(rows)
    heading = ["row", *(["seeds"] if several else [])]
    for measure in measures:
        heading += [measure.heading, "paper"] if measure.published else [measure.heading]
    lines = [heading]
    for name, seeds in by_name(rows).items():
        line = [name, *([str(len(seeds))] if several else [])]
        for measure in measures:
            line += [cell(seeds, measure), *([paper_cell(seeds[0], measure)] if measure.published else [])]
        lines.append(line)
    return lines


def _several_seeds(rows: Sequence[JsonMapping]) -> bool:
    return any(len(seeds) > 1 for seeds in by_name(rows).values())


def print_table(title: str, rows: Sequence[JsonMapping], measures: Sequence[Measure]) -> None:
    """Print the table on standard output, as wide as it is."""
    from rich.console import Console
    from rich.table import Table

    heading, *lines = table_cells(rows, measures)
    drawn = Table(title=title, title_justify="left")
    for number, text in enumerate(heading):
        drawn.add_column(
            text, justify="left" if number == 0 else "right", no_wrap=True, style="dim" if text == "paper" else None
        )
    for line in lines:
        drawn.add_row(*line)
    # Without a terminal rich takes 80 columns and would cut numbers off.
    needed = sum(max(map(len, column)) + 3 for column in zip(heading, *lines, strict=True)) + 1
    Console(file=sys.stdout, width=max(80, needed)).print(drawn)


def _markdown(cells: Sequence[Sequence[str]]) -> list[str]:
    heading, *lines = cells
    rule = ["---", *(["---:"] * (len(heading) - 1))]
    return ["| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in (heading, rule, *lines)]


def render(
    title: str,
    rows: Sequence[JsonMapping],
    measures: Sequence[Measure],
    further: Sequence[Measure],
    notes: Sequence[str],
    results: Results,
    pictures: Sequence[str] = (),
) -> str:
    """Content of report.md: table, notes, why cells are empty, further measures, how each row was made.

    Args:
        title: of the page.
        rows: of report.json.
        measures: columns that stand beside the paper's.
        further: columns of the second table; those that no row has are left out.
        notes: paragraphs below the table.
        results: failures and left-out folders.
        pictures: paths, relative to the report's folder.
    """
    lines = [f"# {title}", "", *_markdown(table_cells(rows, measures)), ""]
    seeds = " Mean and standard deviation over training seeds." if _several_seeds(rows) else ""
    sides = "Left of each pair ours, right the paper's." if any(measure.published for measure in measures) else ""
    lines += [f"{sides}{seeds}".strip(), ""] if sides or seeds else []
    lines += [text for note in notes for text in (note, "")]
    lines += [f"![]({picture})\n" for picture in pictures]
    for label, reason in results.failures.items():
        lines += [f"**Failed:** {label}: {reason}", ""]
    for text in results.left_out:
        lines += [f"**Left out:** {text}", ""]
    trained = [row for row in rows if row["preset"] is not None]
    further = [measure for measure in further if any(value_of(row, measure.key) is not None for row in trained)]
    lines += _section("Empty cells", _empty_cells(rows, measures, further))
    if further:
        lines += ["## Further measures", "", *_markdown(table_cells(trained, further)), ""]
    lines += ["## How the rows were made", "", *_markdown(_origin_cells(rows)), ""]
    lines += _section("Warnings", _shared([(row, text) for row in rows for text in row["warnings"]], rows))
    return "\n".join(lines).rstrip() + "\n"


def _section(title: str, items: Sequence[str]) -> list[str]:
    return [f"## {title}", "", *(f"- {item}" for item in items), ""] if items else []


def _empty_cells(rows: Sequence[JsonMapping], measures: Sequence[Measure], further: Sequence[Measure]) -> list[str]:
    """Why cells are empty: measures of one row that share a reason together, then rows that share all that."""
    reasons = []
    for row in rows:
        titles: dict[str, list[str]] = {}
        for measure in (*measures, *further) if row["preset"] is not None else measures:
            if value_of(row, measure.key) is None:
                titles.setdefault(row["null_reasons"][measure.key], []).append(measure.title)
        reasons += [(row, f"{', '.join(names)}: {reason}") for reason, names in titles.items()]
    return _shared(reasons, rows)


def _shared(items: Sequence[tuple[JsonMapping, str]], rows: Sequence[JsonMapping]) -> list[str]:
    """Each text once, with the rows that it is about."""
    about: dict[str, list[str]] = {}
    for row, text in items:
        names = about.setdefault(text, [])
        if row["row"] not in names:
            names.append(row["row"])
    everything = len(by_name(rows))
    return [f"{text} ({'all rows' if len(names) == everything else ', '.join(names)})" for text, names in about.items()]


def _origin_cells(rows: Sequence[JsonMapping]) -> list[list[str]]:
    lines = [["row", "seed", "iterations", "epochs", "best at", "training", "commit", "device", "counted on"]]
    for row in rows:
        seconds = row["training_seconds"]
        counts = ", ".join(f"{count:,} {what}" for what, count in row["sample_counts"].items())
        numbers = [row["iterations"], row["epochs"], row["best_iteration"]]
        lines.append(
            [
                row["row"],
                str(row["seed"]),
                *("–" if number is None else f"{number:,}" for number in numbers),
                "–" if seconds is None else clock(seconds),
                row["commit"],
                row["device"],
                counts,
            ]
        )
    return lines


def write_report(
    title: str,
    rows: list[JsonObject],
    measures: Sequence[Measure],
    further: Sequence[Measure],
    notes: Sequence[str],
    results: Results,
    caption: str = "",
) -> list[Path]:
    """Write report.json, report.md and the pictures to OUT, each file at once; returns their paths.

    Without matplotlib there are no pictures. Arguments are those of `render` and `draw`.
    """
    out = results.place.out
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / REPORT_JSON, rows)
    try:
        pictures = draw(rows, measures, results, caption)
    except ConfigError as error:
        pictures, notes = [], [*notes, f"No pictures: {error}."]
    relative = [path.relative_to(out).as_posix() for path in pictures]
    text = render(title, rows, measures, further, notes, results, relative)
    write_whole(out / REPORT, text)
    return [out / REPORT, out / REPORT_JSON, *pictures]


def draw(rows: Sequence[JsonMapping], measures: Sequence[Measure], results: Results, caption: str = "") -> list[Path]:
    """Draw published measures beside the paper's, and the learning curves of all rows; returns the files.

    Args:
        rows: of report.json.
        measures: of the table.
        results: whose folders have the learning curves.
        caption: below the learning curves.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    groups = by_name(rows)
    panels = [
        plots.Panel(
            title=measure.heading,
            ours={
                name: [float(value) for row in seeds if (value := value_of(row, measure.key)) is not None]
                for name, seeds in groups.items()
            },
            published={name: value_of(seeds[0]["paper"], measure.key) for name, seeds in groups.items()},
            incomparable=[name for name, seeds in groups.items() if measure.key in seeds[0]["paper_incomparable"]],
        )
        for measure in measures
        if measure.published
    ]
    out = results.place.out
    pictures = [plots.beside_published(list(groups), panels, out / PICTURE)] if groups and panels else []
    curves: dict[str, list[tuple[list[int], list[float]]]] = {}
    for run, _ in results.documents:
        log = _log(run.folder)
        if "valid_bound" in log:
            curves.setdefault(run.row.name, []).append(log["valid_bound"])
    if curves:
        pictures.append(plots.bounds_of_rows(curves, out / CURVES, caption=caption))
    return pictures
