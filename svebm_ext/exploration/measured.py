"""What a run folder has of measures and logs, for the page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from svebm_ext.errors import DataError
from svebm_ext.evaluation.report import METRICS, read_document
from svebm_ext.exploration.content import Measure
from svebm_ext.measures.documentation import METRIC_DOCUMENTATION
from svebm_ext.plots import read_metrics

#: Measures that stand at the top of the page.
MAIN_MEASURES = (
    "accuracy", "nll", "entropy", "ppl", "bleu", "mi", "symbols_used", "homogeneity", "rppl", "wkl", "grammar_accept",
    "active_units",
)  # fmt: skip

Say = Callable[[str], None]


def measures_of(run: Path, reasons: dict[str, str]) -> tuple[list[Measure], list[str]]:
    """The main measures of metrics.json, and the warnings that came with them."""
    if not (run / METRICS).exists():
        reasons["measures"] = "the run has not been evaluated"
        return [], []
    document = read_document(run / METRICS)
    measures = []
    for key in MAIN_MEASURES:
        value, documentation = document.get(key), METRIC_DOCUMENTATION[key]
        values = {f"{key}, {name}": item for name, item in value.items()} if isinstance(value, dict) else {key: value}
        for name, number in values.items():
            if isinstance(number, (int, float)):
                text = f"{number:.4g}" if isinstance(number, float) and abs(number) < 1000 else f"{number:,.0f}"
                measures.append(Measure(name.replace("_", " "), text, documentation.unit, documentation.meaning))
    about = document.get("about", {})
    commit = [f"measured by {about['commit']}, seed {about.get('seed')}"] if about.get("commit") else []
    return measures, [*commit, *(str(warning) for warning in about.get("warnings", []))]


def curves_of(run: Path, reasons: dict[str, str], say: Say) -> dict[str, tuple[list[int], list[float]]]:
    """What the run logged; nothing, with the reason, where there is no log that can be read."""
    if not (run / "metrics.jsonl").exists():
        reasons["curves"] = "the folder has no metrics.jsonl"
        return {}
    try:
        return read_metrics(run / "metrics.jsonl", say)
    except DataError as error:
        say(f"no learning curves: {error}")
        reasons["curves"] = "metrics.jsonl cannot be read"
        return {}
