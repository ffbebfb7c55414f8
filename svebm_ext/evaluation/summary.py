"""What the terminal shows of an evaluation: the measures that a person reads first, in groups; all of them if asked."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

from svebm_ext import terminal
from svebm_ext.evaluation.topic_text import shown_topics
from svebm_ext.files import JsonMapping, JsonObject
from svebm_ext.measures.documentation import METRIC_DOCUMENTATION, documented, value_text

#: Measures by group, in the order in which they are shown. Those that a model lacks are left out.
GROUPS: dict[str, tuple[str, ...]] = {
    "likelihood": ("nll", "entropy", "ppl", "bits_per_byte", "log_z_lower", "log_z_upper", "true_nll", "true_entropy"),
    "reconstruction": ("bleu", "reconstruction_exact", "kl", "active_units"),
    "symbols": (
        "mi", "symbols_used", "adjusted_mutual_information", "adjusted_mutual_information_tfidf", "homogeneity",
        "homogeneity_chance", "groups_used", "adjusted_mutual_information_groups",
        "adjusted_mutual_information_groups_tfidf", "homogeneity_groups", "homogeneity_groups_chance", "accuracy",
        "accuracy_interval", "accuracy_tfidf",
    ),
    "samples": (
        "grammar_accept", "wkl", "rppl", "response_bleu", "consensus_bleu", "modes_found", "share_at_modes",
        "energy_distance", "mmd",
    ),
}  # fmt: skip
#: Columns of names, and of the line.
NAME, WIDTH = 35, 79


def summary_lines(document: JsonMapping, *, all_measures: bool = False) -> list[str]:
    """Lines of the terminal: what was found in plain sentences, the measures, warnings and notes.

    Args:
        document: content of metrics.json.
        all_measures: every measure, by its key, in place of the groups.
    """
    about = document["about"]
    sentences = [*about["summary"], *shown_topics(document)]
    lines = [*sentences, *([""] if sentences else [])]
    lines += _every_line(document) if all_measures else _group_lines(document)
    lines += [f"warning: {text}" for text in about["warnings"]]
    return [*lines, *(f"note: {text}" for text in about["notes"])]


def print_summary(document: JsonMapping, *, all_measures: bool = False) -> None:
    """Print `summary_lines`."""
    for line in summary_lines(document, all_measures=all_measures):
        terminal.show(line)


def _group_lines(document: JsonMapping) -> list[str]:
    lines, shown = [], 0
    for title, keys in GROUPS.items():
        own = {key: document[key] for key in keys if document.get(key) is not None}
        shown += len(own)
        where = _measured_on(document) if title == "symbols" else ""
        remarks = document["about"].get("remarks", {})
        lines += [title + where, *_lines(own)] if own else []
        for key in own.keys() & remarks.keys():
            lines += textwrap.wrap(f"{key}: {remarks[key]}", WIDTH, initial_indent="    ", subsequent_indent="    ")
    others = sum(key in METRIC_DOCUMENTATION and value is not None for key, value in document.items()) - shown
    if others:
        lines.append(f"{others} more with evaluate --all, and in report.md with their meaning")
    return lines


def _measured_on(document: JsonMapping) -> str:
    """The test examples that symbols were counted on, "" where that is not known."""
    counts = document["about"].get("sample_counts", {})
    return next((f", on {n:,} {name}" for name, n in counts.items() if name.startswith("test ")), "")


def _lines(measures: JsonMapping) -> list[str]:
    """A line a measure; those of several labels are a table below the others, a column a label, where it fits."""
    plain: JsonObject = {}
    by_label: dict[str, JsonMapping] = {}
    for key, value in measures.items():
        if isinstance(value, Mapping) and len(value) > 1:
            by_label[key] = value
        else:
            plain[key] = next(iter(value.values()), None) if isinstance(value, Mapping) else value
    lines = [_line(key, value, METRIC_DOCUMENTATION[key].unit) for key, value in plain.items()]
    labels = list(dict.fromkeys(label for value in by_label.values() for label in value))
    columns = [max(len(label), 10) for label in labels]
    if NAME + 2 + sum(width + 1 for width in columns) > WIDTH:
        return lines + [
            _line(f"{key}.{label}", number, METRIC_DOCUMENTATION[key].unit)
            for key, value in by_label.items()
            for label, number in value.items()
        ]
    rows = {"": dict(zip(labels, labels, strict=True))} if by_label else {}
    for key, value in by_label.items():
        rows[key] = {label: value_text(value.get(label)) for label in labels}
    for key, cells in rows.items():
        row = " ".join(f"{cells[label]:>{width}s}" for label, width in zip(labels, columns, strict=True))
        lines.append(f"  {key:{NAME}s} {row}")
    return lines


def _line(key: str, value: object, unit: str) -> str:
    return f"  {key:{NAME}s} {value_text(value):>10s}  {unit}"


def _every_line(document: JsonMapping) -> list[str]:
    return [f"{name:48s} {value_text(value):>12s}  {unit}" for name, value, unit in documented(document)]
