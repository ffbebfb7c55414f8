"""The table of results in README.md: a line an experiment, made from what lies in results/."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from svebm_ext.experiments import smd, table1, table2, yelp
from svebm_ext.experiments.index import ACCURACIES, OURS, TABLES, Figure, Place, all_rows, own_text, paper_figure
from svebm_ext.experiments.table import Measure, value_of
from svebm_ext.markdown import table_row


@dataclass(frozen=True)
class Headline:
    """A line of README.md: an experiment, the paper's SVEBM-IB, ours, and a plain control.

    Attributes:
        title: of the experiment.
        place: folder of our row.
        row: our row.
        measures: measures of our row, and how each is called.
        control: folder, row and name of the control.
        uncontrolled: measures of which the control's figure is of another quantity.
        whole: the command makes all rows of the budget, since one that names ours would be too long a line.
    """

    title: str
    place: Place
    row: str
    measures: Mapping[str, Measure]
    control: tuple[str, str, str]
    uncontrolled: tuple[str, ...] = ()
    whole: bool = False


_PTB, _DD, _SMD, _YELP, _AGNEWS = (table.places[0] for table in TABLES.values())
HEADLINES = (
    Headline(
        "Table 1", _PTB, OURS, {"rPPL": table1.MEASURES[0], "BLEU": table1.MEASURES[1]},
        ("table1-ptb/30-epochs", "dgm-vae-i-dropout-0.5", "DGM-VAE + I"),
        whole=True, uncontrolled=("rppl",),  # not measured by the published language model
    ),
    Headline(
        "Table 2", _DD, OURS, {"homogeneity of acts": table2.MEASURES[2]},
        ("table2-dailydialog", "k-means", "k-means"),
    ),
    Headline(
        "Table 3", _SMD, OURS, {"BLEU, one response": smd.INDEXED[0], "of 32": smd.INDEXED[4]},
        ("table3-smd", "dgm-vae-i", "DGM-VAE + I"),
    ),
    Headline(
        "Table 6", _YELP, OURS, {"sentiment as asked, %": yelp.MEASURES[0]},
        ("table6-yelp", "dgm-vae-i", "DGM-VAE + I"),
    ),
    Headline(
        "Table 8", _AGNEWS, "svebm-ib-words-200", {"accuracy, 200 labels, %": ACCURACIES[0]},
        ("table8-agnews", "nb-em-200", "naive Bayes"),
    ),
)  # fmt: skip


def _mean(results: Path, place: Place, row: str, key: str) -> Figure | None:
    """Figure of a row by name, references as well."""
    rows = all_rows(results, place)
    own = [one for one in rows if one["row"] == row and value_of(one, key) is not None]
    if not own:
        return None
    values = [float(value_of(one, key) or 0.0) for one in own]
    commits = tuple(dict.fromkeys(one["commit"] for one in own))
    return Figure(statistics.fmean(values), row, place, commits, own[0].get("seeds", len(own)))


def headline_table(results: Path) -> str:
    """Table of README.md: a line an experiment, and one for text of one's own."""
    heading = [
        "experiment",
        "measure",
        "the paper",
        "here",
        "a plain control",
        "command: `python -m svebm_ext.experiments`",
    ]
    lines = [table_row(heading), "|---|---|---:|---:|---|---|"]
    for one in HEADLINES:
        table = next(table for table in TABLES.values() if table.places[0] is one.place)
        ours, theirs, plain = [], [], []
        place = Place(one.control[0], one.place.experiment)
        command = ""
        for measure in one.measures.values():
            figure = _mean(results, one.place, one.row, measure.key)
            assert figure is not None, (one.title, measure.key)
            command = figure.command
            ours.append(f"{figure.value:.{measure.digits}f}")
            paper, comparable = paper_figure(results, table, measure)
            theirs.append(f"{paper:.{measure.digits}f}" if paper is not None and comparable else "–")
            controlled = measure.key not in one.uncontrolled
            control = _mean(results, place, one.control[1], measure.key) if controlled else None
            plain.append("–" if control is None else f"{control.value:.{measure.digits}f}")
        words = re.sub(r" --rows \S+", "", command) if one.whole else command
        words = re.sub(r" --(data\.root|seeds) \S+", "", words.removeprefix("python -m svebm_ext.experiments "))
        lines.append(
            table_row(
                [
                    one.title,
                    ", ".join(one.measures),
                    ", ".join(theirs),
                    ", ".join(ours),
                    f"{', '.join(plain)} {one.control[2]}",
                    f"`{words}`",
                ]
            )
        )
    unlabelled = [one for one in own_text(results) if one.labels is None]
    ours_mean, plain_mean = (
        statistics.fmean(values) for values in zip(*((o.ours, o.plain) for o in unlabelled), strict=True)
    )
    lines.append(
        table_row(
            [
                "own text", f"AMI, mean of {len(unlabelled)} corpora", "–",
                f"{ours_mean:.3f}", f"{plain_mean:.3f} best of five", "`own-text`",
            ]
        )
    )  # fmt: skip
    links = [f"[{one.title}](results/{one.place.folder})" for one in HEADLINES]
    links.append("[own text](results/own-text)")
    half = len(links) // 2
    folders = [f"Folders: {', '.join(links[:half])},", f"{', '.join(links[half:])}."]
    return "\n".join([*lines, "", *folders])
