"""`strange-texts`: how well texts are told that are unlike those of the training (`svebm_ext.models.novelty`).

A model of CLINC150 without every fifth of its intents meets these, and models of one corpus meet texts of the others.
The figure is the area under the ROC curve: how often a strange text is above one of the test split. Parts of the
novelty stand beside it, and two plain ways: the distance to the nearest training texts by TF-IDF, and by a pretrained
encoder.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from svebm_ext.config import to_dict, with_changes
from svebm_ext.errors import DataError
from svebm_ext.evaluation.report import METRICS
from svebm_ext.experiments.own_text import READS, SMOKE, train_and_test
from svebm_ext.experiments.own_text_data import TITLES, Files, Line, spread, write_files, write_lines
from svebm_ext.experiments.rows import Budget, Experiment, Place, Results, Row, Run
from svebm_ext.experiments.table import REPORT, REPORT_JSON
from svebm_ext.files import JsonMapping, JsonObject, write_json, write_whole
from svebm_ext.markdown import table_row
from svebm_ext.models.folder import CONFIG
from svebm_ext.presets import preset
from svebm_ext.terminal import show as show_text

#: Every so manyth intent of CLINC150 is held back, by name.
HELD_BACK_EVERY = 5
#: Corpora whose texts are strange to a model of another one.
CORPORA = ("clinc150", "banking77", "snips", "agnews", "yelp", "daily-dialog")
#: Folder of the model in that of a run; the sets of strange texts.
MODEL, NEW, OTHERS = "model", "intents held back", "texts of other corpora"


@dataclass(frozen=True)
class System:
    """A model: of which corpus, and how it learns.

    Attributes:
        title: for people.
        corpus: key of `own_text_data.READERS`.
        holds_back: intents are held back.
        n_symbols: without labels; 0 learns the classes.
        n_of_class: labels of each class; 0: all.
    """

    title: str
    corpus: str
    holds_back: bool = False
    n_symbols: int = 0
    n_of_class: int = 0


SYSTEMS = {
    "clinc150-new": System("CLINC150 without 30 intents, 120 symbols without labels", "clinc150", True, 120),
    "clinc150-new-all": System("CLINC150 without 30 intents, all labels", "clinc150", True),
    "banking77": System("BANKING77, 20 symbols without labels", "banking77", n_symbols=20),
    "snips-5": System("SNIPS, 5 labels of each class", "snips", n_of_class=5),
}


@dataclass(frozen=True)
class Limits:
    """Training and test lines of a corpus, texts of each set, at most, evenly spread; 0: all."""

    train: int = 0
    test: int = 0
    texts: int = 1000


LIMITS: dict[Budget, Limits] = {"smoke": Limits(600, 200, 40), "cpu": Limits()}


def make_row(name: str, budget: Budget) -> Row:
    """A row, by its name."""
    system = SYSTEMS[name]
    config = preset("lines" if system.n_symbols else "lines-labelled")
    if system.n_symbols:
        config = with_changes(config, {"model": {"n_categories": system.n_symbols if budget != "smoke" else 4}})
    if budget == "smoke":
        config = with_changes(config, SMOKE)
    files = partial(train_and_test, corpus=name if system.holds_back else system.corpus)
    return Row(name, config, make=partial(_make, system=system, limits=LIMITS[budget]), reads=READS, files=files)


def prepare(names: Sequence[str], budget: Budget, place: Place) -> dict[str, str]:
    """Write the files of all corpora that there are; returns why by row whose corpus is not in the data root."""
    limits, missing = LIMITS[budget], {}
    for corpus in CORPORA:
        try:
            write_files(corpus, place.root, place.out, (limits.train, limits.test))
        except DataError as error:
            missing[corpus] = f"unavailable: {error}"
    for name in names:
        if SYSTEMS[name].holds_back and SYSTEMS[name].corpus not in missing:
            hold_back(Files.of(place.out, SYSTEMS[name].corpus), Files.of(place.out, name))
    return {name: missing[SYSTEMS[name].corpus] for name in names if SYSTEMS[name].corpus in missing}


def read_lines(path: Path) -> list[Line]:
    """Labels and texts of a file of this experiment."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [(label, text) for label, _, text in (line.partition("\t") for line in lines)]


def hold_back(files: Files, known: Files) -> None:
    """Write the files of a corpus without every fifth of its classes, in the order of their names."""
    held_back = held_back_of(files)
    for path, own in ((files.train, known.train), (files.test, known.test)):
        write_lines(own, [line for line in read_lines(path) if line[0] not in held_back])


def held_back_of(files: Files) -> set[str]:
    """Classes of a corpus that are held back."""
    return set(sorted({label for label, _ in read_lines(files.train)})[HELD_BACK_EVERY - 1 :: HELD_BACK_EVERY])


def _make(run: Run, system: System, limits: Limits) -> JsonObject:
    """Train and measure a row; config.json and metrics.json are left in its folder."""
    from svebm_ext.experiments.strange_texts_measured import areas
    from svebm_ext.models.svebm import SVEBM
    from svebm_ext.provenance import source_version
    from svebm_ext.training.folder import LAST
    from svebm_ext.training.run import train
    from svebm_ext.training.runtime import Runtime

    folder, config = run.folder / MODEL, run.config
    training = [text for _, text in read_lines(run.config.data.train)]  # type: ignore[arg-type]
    if system.n_of_class:
        n_classes = len({label for label, _ in read_lines(run.config.data.train)})  # type: ignore[arg-type]
        config = replace(config, data=replace(config.data, n_labelled=system.n_of_class * n_classes, seed=config.seed))
    runtime = Runtime.alone(config.training.device, config.training.precision)
    train(config, folder, resume=(folder / LAST).exists(), runtime=runtime)
    known = [text for _, text in spread(read_lines(run.config.data.test), 2 * limits.texts)]  # type: ignore[arg-type]
    model = SVEBM.from_pretrained(folder, device=str(runtime.device))
    document: JsonObject = {
        "areas": areas(model, training, known, strange_sets(run.folder.parent, system, limits)),
        "about": {"seed": config.seed, "commit": source_version(), "device": str(runtime.device)},
    }
    write_json(run.folder / CONFIG, {"config": to_dict(run.config)})
    write_json(run.folder / METRICS, document)
    return document


def strange_sets(out: Path, system: System, limits: Limits) -> dict[str, list[str]]:
    """Texts by set: those of classes that were held back, and those of the other corpora that there are."""
    sets: dict[str, list[str]] = {}
    own = Files.of(out, system.corpus)
    if system.holds_back:
        held_back = held_back_of(own)
        lines = [line for line in read_lines(own.test) if line[0] in held_back]
        sets[NEW] = [text for _, text in spread(lines, limits.texts)]
    others = [Files.of(out, corpus).test for corpus in CORPORA if corpus != system.corpus]
    sets[OTHERS] = [text for path in others if path.exists() for _, text in spread(read_lines(path), limits.texts)]
    return {name: texts for name, texts in sets.items() if texts}


# The report -----------------------------------------------------------------------------------------------------

COLUMNS = {
    "novelty": "novelty", "nll": "-log p(x)", "doubt": "1 - max p(y given x)", "tfidf": "TF-IDF", "encoder": "MiniLM",
}  # fmt: skip


def report_rows(results: Results) -> list[JsonObject]:
    """Content of report.json: a row a model and set, with means and standard deviations over seeds."""
    groups: dict[tuple[str, str], list[JsonObject]] = {}
    for run, document in results.documents:
        for name, areas in document["areas"].items():
            about = {"commit": document["about"]["commit"], "device": document["about"]["device"]}
            groups.setdefault((run.row.name, name), []).append(areas | about)
    rows = []
    for (name, strange), seeds in groups.items():
        row: JsonObject = {"row": name, "strange": strange, "seeds": len(seeds), "budget": results.budget}
        row |= {key: ", ".join(dict.fromkeys(one[key] for one in seeds)) for key in ("commit", "device")}
        row |= {key: seeds[0][key] for key in ("known_texts", "strange_texts")}
        for key in COLUMNS:
            values = [one[key] for one in seeds if one[key] is not None]
            row[key] = statistics.fmean(values) if values else None
            row[f"{key}_deviation"] = statistics.stdev(values) if len(values) > 1 else None
        rows.append(row)
    return rows


def cells_of(rows: Sequence[JsonMapping]) -> list[list[str]]:
    """Cells of the table, its heading first."""
    lines = [["model", "strange texts", "seeds", *COLUMNS.values()]]
    for row in rows:
        figures = []
        for key in COLUMNS:
            deviation = row[f"{key}_deviation"]
            figure = "–" if row[key] is None else f"{row[key]:.3f}"
            figures.append(figure if deviation is None else f"{figure} ± {deviation:.3f}")
        lines.append([SYSTEMS[row["row"]].title, row["strange"], str(row["seeds"]), *figures])
    return lines


def table_lines(rows: Sequence[JsonMapping]) -> list[str]:
    """The table in Markdown."""
    heading, *lines = cells_of(rows)
    return [table_row(heading), "|---|---|" + "---:|" * (len(heading) - 2), *map(table_row, lines)]


def report(results: Results) -> list[Path]:
    """Write report.json and report.md."""
    rows, out = report_rows(results), results.place.out
    if not rows and not results.failures and not results.left_out:
        return []
    commits = sorted({row["commit"] for row in rows})
    content = [
        "# Strange texts",
        "",
        "Area under the ROC curve: how often a strange text is above a test text of the kind that was learnt, 0.5 by "
        "chance. Novelty is what `classify --novelty` tells. TF-IDF and MiniLM: distance to the 5 nearest training "
        "texts.",
        "",
        f"Other corpora are {', '.join(TITLES[corpus].split(' (')[0] for corpus in CORPORA)} without the model's own.",
        "",
        *table_lines(rows),
        "",
        *(f"Commit {commit}." for commit in commits),
        *(f"Failed: {label}: {reason}" for label, reason in results.failures.items()),
        *(f"Left out: {reason}" for reason in results.left_out),
    ]
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / REPORT_JSON, rows)
    write_whole(out / REPORT, "\n".join(content) + "\n")
    return [out / REPORT_JSON, out / REPORT]


def show(results: Results) -> None:
    """Print the table."""
    for cells in cells_of(report_rows(results))[1:]:
        show_text(f"{cells[0]}; {cells[1]}: {', '.join(map(' '.join, zip(COLUMNS.values(), cells[3:], strict=True)))}")


def index_lines(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The part of the overview of results/."""
    seeds = max(int(str(row["seeds"])) for row in rows)
    return [
        "## Strange texts",
        "",
        f"[Report](strange-texts/{REPORT}): area under the ROC curve of novelty and of plain ways.",
        "",
        *table_lines(rows),
        "",
        f"    python -m svebm_ext.experiments strange-texts --data.root DIR{'' if seeds == 1 else f' --seeds {seeds}'}",
        "",
    ]


STRANGE_TEXTS = Experiment(
    title="strange texts", names=tuple(SYSTEMS), make_row=make_row, report=report, show=show, prepare=prepare,
    budgets=("smoke", "cpu"),
)  # fmt: skip
