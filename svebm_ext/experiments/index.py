"""`python -m svebm_ext.experiments.index [FOLDER]`: the overview of results/, made from what experiments left there.

For each measure of the paper's tables it says what the paper has, what SVEBM-IB has here, what the best system here
has, and the command that makes that row again. It writes README.md of the folder.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from svebm_ext.commands import run_command
from svebm_ext.experiments import agnews, smd, table1, table2, yelp
from svebm_ext.experiments.index_of_reports import assistant_lines, figure2_lines, rate_lines, strange_lines
from svebm_ext.experiments.own_text_data import TITLES
from svebm_ext.experiments.own_text_report import CLASSIFIERS, METHODS, PLAIN, PLAIN_CLASSIFIERS
from svebm_ext.experiments.table import REPORT, REPORT_JSON, Measure, by_name, value_of
from svebm_ext.files import JsonMapping, read_json, write_whole
from svebm_ext.markdown import table_row
from svebm_ext.terminal import show

INDEX, NOTES = "README.md", "notes"
OURS = "svebm-ib"


@dataclass(frozen=True)
class Place:
    """A folder of results: of which experiment and budget its rows are."""

    folder: str
    experiment: str
    budget: str = "cpu"


@dataclass(frozen=True)
class Table:
    """A table of the paper.

    Attributes:
        title: of the page.
        places: its folders, that of the headline first.
        measures: columns, as in the reports.
    """

    title: str
    places: tuple[Place, ...]
    measures: tuple[Measure, ...]


@dataclass(frozen=True)
class Figure:
    """A number of a row: mean over its seeds.

    Attributes:
        value: the mean.
        row: which row has it.
        place: its folder.
        commits: of the evaluation, one a seed without repetitions.
        seeds: how many.
    """

    value: float
    row: str
    place: Place
    commits: tuple[str, ...]
    seeds: int = 1

    @property
    def command(self) -> str:
        """What makes the row again."""
        words = ["python -m svebm_ext.experiments", self.place.experiment, "--data.root DIR"]
        if self.place.budget != "cpu":
            words.append(f"--budget {self.place.budget}")
        words.append(f"--rows {self.row}")
        if self.seeds > 1:
            words.append(f"--seeds {self.seeds}")
        return " ".join(words)


@dataclass(frozen=True)
class Cell:
    """A measure of a table: the paper's SVEBM-IB, ours, and the best of all systems here.

    Attributes:
        measure: which.
        paper: the paper's figure of SVEBM-IB; None where it has none.
        comparable: whether it is of the same quantity.
        ours: the best of the rows named SVEBM-IB; None where it wasn't measured.
        best: of all rows.
    """

    measure: Measure
    paper: float | None
    comparable: bool
    ours: Figure | None
    best: Figure

    def text(self, figure: float | None) -> str:
        """A figure with the measure's digits; a dash where there is none."""
        return "–" if figure is None else f"{figure:,.{self.measure.digits}f}"


#: Accuracy on AG News by number of labels; keys are those of `_agnews_rows`.
ACCURACIES = tuple(
    Measure(f"accuracy.{count}", f"accuracy, {count:,} labels, %", 1, "higher", published=True)
    for count in agnews.COUNTS
)
TABLES = {
    "table1": Table(
        "Table 1: Penn Treebank",
        (
            Place("table1-ptb/30-epochs", "table1-ptb", "30-epochs"),
            Place("table1-ptb/long", "table1-ptb", "long"),
            Place("table1-ptb/cpu", "table1-ptb"),
        ),
        table1.MEASURES[:4],
    ),
    "table2": Table("Table 2: DailyDialog", (Place("table2-dailydialog", "table2-dailydialog"),), table2.MEASURES[1:4]),
    "table3": Table("Table 3: Stanford dialogs", (Place("table3-smd", "table3-smd"),), smd.INDEXED),
    "table6": Table("Table 6: Yelp", (Place("table6-yelp", "table6-yelp"),), yelp.MEASURES[:3]),
    "table8": Table("Table 8: AG News", (Place("table8-agnews", "table8-agnews"),), ACCURACIES),
}


def _agnews_rows(rows: Sequence[JsonMapping]) -> list[JsonMapping]:
    """AG News' report, a row a system and number of labels, in the form of the others'."""
    return [
        {
            "row": f"{row['row']}-{row['labels']}",
            "preset": row["row"],
            "accuracy": {str(row["labels"]): row["accuracy"]},
            "paper": {"accuracy": {str(row["labels"]): row["paper"]}},
            "paper_incomparable": [],
            "commit": row["commit"],
            "seeds": row["seeds"],
        }
        for row in rows
    ]


def all_rows(results: Path, place: Place) -> list[JsonMapping]:
    """Rows of a folder's report, references as well."""
    rows: list[JsonMapping] = read_json(results / place.folder / REPORT_JSON)
    return _agnews_rows(rows) if place.experiment == "table8-agnews" else rows


def _rows(results: Path, place: Place) -> list[JsonMapping]:
    """Rows of a folder that are systems; references, which are no models, are left out."""
    return [row for row in all_rows(results, place) if row["preset"] is not None]


def _figures(results: Path, place: Place, measure: Measure) -> list[Figure]:
    """Figures of all rows of a folder that have the measure."""
    figures = []
    for name, seeds in by_name(_rows(results, place)).items():
        values = [value for row in seeds if (value := value_of(row, measure.key)) is not None]
        if values:
            commits = tuple(dict.fromkeys(row["commit"].split(" ")[0] for row in seeds))
            count = seeds[0].get("seeds", len(values))
            figures.append(Figure(statistics.fmean(values), name, place, commits, count))
    return figures


def _best(figures: Iterable[Figure], measure: Measure) -> Figure | None:
    sign = -1.0 if measure.better == "lower" else 1.0
    return max(figures, key=lambda figure: sign * figure.value, default=None)


def cells(results: Path, table: Table) -> list[Cell]:
    """Cells of a table, those without any figure left out.

    Args:
        results: folder that holds the folders of the tables.
        table: one of TABLES.
    """
    filled = []
    for measure in table.measures:
        figures = [figure for place in table.places for figure in _figures(results, place, measure)]
        best = _best(figures, measure)
        if best is None:
            continue
        own = [figure for figure in figures if re.fullmatch(rf"{OURS}(-\d+)?", figure.row)]
        paper, comparable = paper_figure(results, table, measure)
        filled.append(Cell(measure, paper, comparable, _best(own, measure), best))
    return filled


def paper_figure(results: Path, table: Table, measure: Measure) -> tuple[float | None, bool]:
    """The paper's figure of SVEBM-IB, and whether it is of the same quantity."""
    for place in table.places:
        for row in _rows(results, place):
            if re.fullmatch(rf"{OURS}(-\d+)?", row["row"]):
                figure = value_of(row["paper"], measure.key)
                if figure is not None:
                    return figure, measure.key not in row["paper_incomparable"]
    return None, True


def _table_lines(results: Path, table: Table) -> list[str]:
    lines = [table_row(["measure", "paper's SVEBM-IB", "SVEBM-IB", "best here", "its row", "seeds", "commit"])]
    lines.append("| --- | ---: | ---: | ---: | --- | ---: | --- |")
    commands: dict[str, None] = {}
    for cell in cells(results, table):
        paper = cell.text(cell.paper) + ("" if cell.comparable else " †")
        ours = cell.text(None if cell.ours is None else cell.ours.value)
        best = cell.best
        link = f"[{best.row}]({best.place.folder}/{REPORT})"
        row = [cell.measure.heading, paper, ours, cell.text(best.value), link, str(best.seeds), best.commits[0]]
        lines.append(table_row(row))
        for figure in (best, cell.ours):
            if figure is not None:
                commands[figure.command] = None
    return [*lines, "", *(f"    {command}" for command in commands), ""]


# Text of one's own ----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class OwnText:
    """SVEBM-IB on a corpus of own text, beside the best method without a network.

    Attributes:
        corpus: its key.
        labels: of each class; None without any.
        ours: AMI, or accuracy in per cent.
        plain: the same of the best plain method.
        method: its name.
        row: SVEBM-IB's.
    """

    corpus: str
    labels: str | None
    ours: float
    plain: float
    method: str
    row: str


def own_text(results: Path) -> list[OwnText]:
    """All corpora that SVEBM-IB has a row of, without labels first."""
    rows = read_json(results / "own-text" / REPORT_JSON)
    corpora = []
    for row in rows:
        if row["method"] != OURS or not row["ended"]:
            continue
        key, plain = (
            ("adjusted_mutual_information", PLAIN) if row["labels"] is None else ("accuracy", PLAIN_CLASSIFIERS)
        )
        factor = 1.0 if row["labels"] is None else 100.0
        rivals = [
            one
            for one in rows
            if (one["corpus"], one["labels"]) == (row["corpus"], row["labels"]) and one["method"] in plain
            if one.get(key) is not None
        ]
        best = max(rivals, key=lambda one: one[key])
        corpora.append(
            OwnText(row["corpus"], row["labels"], factor * row[key], factor * best[key], best["method"], row["row"])
        )
    return sorted(corpora, key=lambda one: (one.labels is not None, list(TITLES).index(one.corpus)))


def _own_text_lines(results: Path) -> list[str]:
    lines = [table_row(["corpus", "measure", "SVEBM-IB", "best plain method", "which"])]
    lines.append("| --- | --- | ---: | ---: | --- |")
    for one in own_text(results):
        digits, what = (3, "AMI") if one.labels is None else (1, f"accuracy, {one.labels} labels a class, %")
        which = (METHODS if one.labels is None else CLASSIFIERS)[one.method]
        lines.append(table_row([TITLES[one.corpus], what, f"{one.ours:.{digits}f}", f"{one.plain:.{digits}f}", which]))
    unlabelled = [one for one in own_text(results) if one.labels is None]
    lead = statistics.fmean(one.ours - one.plain for one in unlabelled) if unlabelled else math.nan
    lines += ["", f"Mean lead in AMI over {len(unlabelled)} corpora: {lead:+.3f}.", ""]
    return [*lines, "    python -m svebm_ext.experiments own-text --data.root DIR", ""]


# Notes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Note:
    """A dated page of results/notes. It never changes, except for its standing.

    Attributes:
        path: of the page.
        question, answer: a sentence each.
        standing: `holds`, or what it is superseded by.
    """

    path: Path
    question: str
    answer: str
    standing: str


def read_notes(results: Path) -> list[Note]:
    """Notes, the newest first.

    Raises:
        ValueError: a page lacks one of its three lines.
    """
    notes = []
    for path in sorted((results / NOTES).glob("*.md"), reverse=True):
        text = path.read_text(encoding="utf-8")
        parts = [
            re.search(rf"^- \*\*{name}:\*\* (.+)$", text, re.MULTILINE) for name in ("Question", "Answer", "Standing")
        ]
        if not all(parts):
            raise ValueError(
                f"{path}: expected lines '- **Question:** ...', '- **Answer:** ...', '- **Standing:** ...'"
            )
        notes.append(Note(path, *(part[1] for part in parts if part is not None)))
    return notes


def index(results: Path) -> str:
    """Content of results/README.md."""
    lines = [
        "# Results",
        "",
        "Made by `python -m svebm_ext.experiments.index results`; do not edit. Every number is of the test split. DIR "
        "is the folder of the corpora ([docs/data.md](../docs/data.md)). What the tables mean is in "
        "[docs/results.md](../docs/results.md).",
        "",
    ]
    for table in TABLES.values():
        lines += [f"## {table.title}", "", *_table_lines(results, table)]
    lines += [
        "† The paper's figure is of another quantity ([docs/math.md](../docs/math.md)).",
        "",
        "Tables 4 and 5 are [table4](table3-smd/table4.md) and [table5](table3-smd/table5.md), Table 7 is "
        "[examples](table6-yelp/examples.md). One setting at a time on Penn Treebank is in "
        "[ablation](table1-ptb/ablation/report.md).",
        "",
        *figure2_lines(results),
        *assistant_lines(results),
        *rate_lines(results),
        "## Text of one's own",
        "",
        "[All rows](own-text/report.md). AMI is agreement of symbols with classes that the model was not shown.",
        "",
        *_own_text_lines(results),
        *strange_lines(results),
        "## Notes",
        "",
        table_row(["note", "question", "answer", "standing"]),
        "| --- | --- | --- | --- |",
    ]
    for note in read_notes(results):
        link = f"[{note.path.stem}]({NOTES}/{note.path.name})"
        standing = re.sub(r"\]\((?=\d)", f"]({NOTES}/", note.standing)
        lines.append(table_row([link, note.question, note.answer, standing]))
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> None:
    """Write README.md of the folder given, or of results/."""
    results = Path(arguments[0] if arguments else "results")
    write_whole(results / INDEX, index(results))
    show(f"wrote {results / INDEX}")


if __name__ == "__main__":
    run_command(main)
