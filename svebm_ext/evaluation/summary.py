"""What the terminal shows of an evaluation: the measures that a person reads first, in groups; all of them if asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from svebm_ext import terminal
from svebm_ext.measures.documentation import METRIC_DOCUMENTATION

#: Measures by group, in the order in which they are shown. Those that a model lacks are left out.
GROUPS: dict[str, tuple[str, ...]] = {
    "likelihood": ("nll", "entropy", "ppl", "bits_per_byte", "log_z_lower", "log_z_upper", "true_nll", "true_entropy"),
    "reconstruction": ("bleu", "reconstruction_exact", "kl", "active_units"),
    "symbols": (
        "mi", "symbols_used", "adjusted_mutual_information", "adjusted_mutual_information_tfidf", "homogeneity",
        "homogeneity_chance", "accuracy", "accuracy_interval", "accuracy_tfidf",
    ),
    "samples": (
        "grammar_accept", "wkl", "rppl", "response_bleu", "consensus_bleu", "modes_found", "share_at_modes",
        "energy_distance", "mmd",
    ),
}  # fmt: skip
#: Columns of names, and of the line.
NAME, WIDTH = 35, 79


def summary_lines(document: Mapping[str, Any], *, all_measures: bool = False) -> list[str]:
    """Lines of the terminal: what was found in plain sentences, the measures, warnings and notes.

    Args:
        document: content of metrics.json.
        all_measures: every measure, by its key, in place of the groups.
    """
    about = document["about"]
    lines = [*about["summary"], *([""] if about["summary"] else [])]
    lines += _every_line(document) if all_measures else _group_lines(document)
    lines += [f"warning: {text}" for text in about["warnings"]]
    return [*lines, *(f"note: {text}" for text in about["notes"])]


def print_summary(document: Mapping[str, Any], *, all_measures: bool = False) -> None:
    """Print `summary_lines`."""
    for line in summary_lines(document, all_measures=all_measures):
        terminal.show(line)


def _group_lines(document: Mapping[str, Any]) -> list[str]:
    lines, shown = [], 0
    for title, keys in GROUPS.items():
        own = [line for key in keys if document.get(key) is not None for line in _lines(key, document[key])]
        shown += sum(document.get(key) is not None for key in keys)
        lines += [title, *own] if own else []
    others = sum(key in METRIC_DOCUMENTATION and value is not None for key, value in document.items()) - shown
    if others:
        lines.append(f"{others} more with evaluate --all, and in report.md with their meaning")
    return lines


def _lines(key: str, value: Any) -> list[str]:
    """A measure in one line, those of several labels after each other."""
    unit = METRIC_DOCUMENTATION[key].unit
    if not isinstance(value, Mapping):
        return [f"  {key:{NAME}s} {_number(value):>10s}  {unit}"]
    numbers = {name: _number(number) for name, number in value.items()}
    if len(numbers) == 1:
        return [f"  {key:{NAME}s} {next(iter(numbers.values())):>10s}  {unit}"]
    text = ", ".join(f"{name} {number}" for name, number in numbers.items())
    if NAME + 3 + len(text) <= WIDTH:
        return [f"  {key:{NAME}s} {text}"]
    return [f"  {f'{key}.{name}':{NAME}s} {number:>10s}  {unit}" for name, number in numbers.items()]


def _every_line(document: Mapping[str, Any]) -> list[str]:
    lines = []
    for key, value in document.items():
        if key in METRIC_DOCUMENTATION:
            rows = {f"{key}.{name}": item for name, item in value.items()} if isinstance(value, dict) else {key: value}
            unit = METRIC_DOCUMENTATION[key].unit
            lines += [f"{name:48s} {_number(number):>12s}  {unit}" for name, number in rows.items()]
    return lines


def _number(value: Any) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return " to ".join(map(_number, value))
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) and abs(value) < 1e4 else str(value)
