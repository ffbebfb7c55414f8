"""metrics.json and report.md of a run: what was measured, in which unit, and on what."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.files import JsonMapping, JsonObject, read_json, write_json, write_whole
from svebm_ext.markdown import table_row
from svebm_ext.measures.documentation import CORE_METRICS, METRIC_DOCUMENTATION, value_text
from svebm_ext.provenance import source_version
from svebm_ext.terminal import printable

METRICS, REPORT = "metrics.json", "report.md"
#: Pages beside report.md, of dialogs: what Tables 4 and 5 of the paper show.
ACTIONS, RESPONSES = "actions.md", "responses.md"


@dataclass(frozen=True)
class ReportContext:
    """What a reader needs to judge the numbers, and to get them again.

    Attributes:
        title: name of the run.
        configuration: plain JSON-ready form of it.
        seed: of the evaluation.
        device: where it ran.
        sample_counts: what was counted on, for instance {"test sentences": 3761, "importance samples": 500}.
        warnings: one line each.
        remarks: how single measures are to be read, by their keys; they stand beside them.
        notes: facts about the data, one line each.
        paper: the paper's (or another reference's) value of a measure.
        summary: what was found, in plain sentences; indented lines belong to the one before.
        topics: the symbols, as entries of metrics.json.
        topics_of: the texts that they were found on.
        groups: of the symbols, as entries of metrics.json.
        first: lines to quote under a heading before the measures: what the symbols mean.
        texts: lines to quote under a heading after them, such as samples and reconstructions.
        commit: of the sources, see `svebm_ext.provenance.source_version`.
    """

    title: str
    configuration: JsonMapping
    seed: int
    device: str
    sample_counts: Mapping[str, int] = field(default_factory=dict)
    warnings: Sequence[str] = ()
    remarks: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    paper: Mapping[str, float] = field(default_factory=dict)
    summary: Sequence[str] = ()
    topics: Sequence[JsonMapping] = ()
    topics_of: str = ""
    groups: Sequence[JsonMapping] = ()
    first: Mapping[str, Sequence[str]] = field(default_factory=dict)
    texts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    commit: str = field(default_factory=source_version)


def metrics_document(
    metrics: JsonMapping, context: ReportContext, reasons: Mapping[str, str] | None = None
) -> JsonObject:
    """Content of metrics.json: the measures by their documented keys, `null_reasons` and `about`.

    Numbers that JSON cannot hold (not a number, infinite) become null. Whatever is null has a line in `null_reasons`,
    under its key (`homogeneity.act` for the label act).

    Args:
        metrics: numbers (also of torch or numpy) by key of METRIC_DOCUMENTATION; a mapping gives one number per label.
        context: of the evaluation; `about` repeats its seed, commit, device and sample counts.
        reasons: why a measure that is missing or None was not computed.

    Raises:
        ConfigError: a key that METRIC_DOCUMENTATION lacks, or a value that is no number, text, mapping or interval.
    """
    reasons = dict(reasons or {})
    unknown = sorted((set(metrics) | set(reasons)) - set(METRIC_DOCUMENTATION))
    if unknown:
        raise ConfigError(
            f"measure {unknown[0]!r} is not described in METRIC_DOCUMENTATION (measures/documentation.py)"
        )
    document: JsonObject = {}
    null_reasons: dict[str, str] = {}
    for key in METRIC_DOCUMENTATION:
        if key in metrics or key in reasons or key in CORE_METRICS:
            document[key] = _plain(key, metrics.get(key), reasons.get(key, "not computed"), null_reasons)
    document["null_reasons"] = null_reasons
    document["about"] = {
        "seed": context.seed,
        "commit": context.commit,
        "device": context.device,
        "sample_counts": {name: int(count) for name, count in context.sample_counts.items()},
        "warnings": list(context.warnings),
        "notes": list(context.notes),
        "summary": list(context.summary),
    }
    if context.remarks:
        document["about"]["remarks"] = dict(context.remarks)
    if context.topics:
        document["about"] |= {"topics_of": context.topics_of, "topics": [dict(topic) for topic in context.topics]}
    if context.groups:
        document["about"]["groups"] = [dict(group) for group in context.groups]
    return document


def render_report(document: JsonMapping, context: ReportContext) -> str:
    """Content of report.md: what was found, what the symbols mean, a table of the measures, what they were measured on.

    Args:
        document: from `metrics_document`.
        context: of the evaluation.
    """
    header = ["measure", "value", "unit", "meaning", "defined by"]
    if context.paper:
        header.insert(2, "paper")
    lines = [f"# {context.title}"]
    for number, text in enumerate(context.summary):
        # Indented lines are one block of code; Markdown asks for an empty line before it.
        inside = text.startswith(" ") and number > 0 and context.summary[number - 1].startswith(" ")
        lines += [text] if inside else ["", text]
    lines += _quoted(context.first)
    lines += ["", "## Measures", "", table_row(header), table_row(["---"] * len(header))]
    for key, documentation in METRIC_DOCUMENTATION.items():
        value = document.get(key)
        values = {f"{key}, {name}": item for name, item in value.items()} if isinstance(value, dict) else {key: value}
        for name, item in values.items() if key in document else ():
            remark = f". {context.remarks[key]}" if key in context.remarks else ""
            cells = [name, value_text(item), documentation.unit, documentation.meaning + remark, documentation.source]
            if context.paper:
                cells.insert(2, value_text(context.paper[key]) if key in context.paper else "")
            lines.append(table_row(cells))
    for name, reason in document["null_reasons"].items():
        lines += ["", f"{name}: {reason}."]
    for warning in context.warnings:
        lines += ["", f"**Warning:** {warning}"]
    for note in context.notes:
        lines += ["", f"Note: {note}"]
    lines += _quoted(context.texts)
    counts = ", ".join(f"{name} {count:,}" for name, count in context.sample_counts.items()) or "not given"
    lines += ["", "## Measured on", "", table_row(["what", "value"]), table_row(["---", "---"])]
    about = {"commit": context.commit, "seed": context.seed, "device": context.device, "sample counts": counts}
    lines += [table_row([name, str(value)]) for name, value in about.items()]
    lines += ["", "## Configuration", "", table_row(["option", "value"]), table_row(["---", "---"])]
    lines += [table_row([name, value]) for name, value in _options(context.configuration)]
    return printable("\n".join(lines) + "\n", "\n")


def _quoted(sections: Mapping[str, Sequence[str]]) -> list[str]:
    """Texts under headings, as blocks of code: whatever stands in them is no Markdown."""
    lines: list[str] = []
    for heading, texts in sections.items():
        lines += ["", f"## {heading}", "", *("    " + " ".join(text.splitlines()) for text in texts)]
    return lines


def write_report(
    folder: Path, metrics: JsonMapping, context: ReportContext, reasons: Mapping[str, str] | None = None
) -> JsonObject:
    """Write metrics.json and report.md to a folder, each atomically; returns the content of metrics.json.

    Arguments and errors are those of `metrics_document`.
    """
    document = metrics_document(metrics, context, reasons)
    write_document(folder, document, context)
    return document


def write_document(folder: Path, document: JsonObject, context: ReportContext) -> None:
    """Write report.md, then metrics.json: who finds the latter finds all that belongs to it."""
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / REPORT, render_report(document, context))
    write_json(folder / METRICS, document)


def read_document(path: Path) -> JsonObject:
    """Content of a metrics.json, its layout checked.

    Raises:
        ModelFolderError: missing, damaged, or of another layout; the message names the entry.
    """
    document = read_json(path)
    kinds = {
        "commit": str, "device": str, "sample_counts": dict, "warnings": list, "notes": list, "summary": list,
        "remarks": dict,
    }  # fmt: skip
    about = document.get("about") if isinstance(document, dict) else None
    if not isinstance(about, dict):
        raise ModelFolderError(f"{path}: expected an object of measures with an entry about")
    wrong = [name for name, kind in kinds.items() if name in about and not isinstance(about[name], kind)]
    texts = [text for name in ("warnings", "notes", "summary") for text in about.get(name, [])] if not wrong else []
    texts += about.get("remarks", {}).values() if not wrong else []
    if wrong or not all(isinstance(text, str) for text in texts):
        raise ModelFolderError(f"{path}: about.{(wrong or ['warnings'])[0]} is not as evaluate writes it")
    if not _are_topics(about.get("topics", [])) or not isinstance(about.get("topics_of", ""), str):
        raise ModelFolderError(f"{path}: about.topics is not as evaluate writes it")
    if not _are_topics(about.get("groups", []), number="group"):
        raise ModelFolderError(f"{path}: about.groups is not as evaluate writes it")
    if not isinstance(document.get("null_reasons", {}), dict):
        raise ModelFolderError(f"{path}: null_reasons is not as evaluate writes it, expected an object")
    return document


def _are_topics(topics: object, number: str = "symbol") -> bool:
    """Whether something read is a list of topics: whole numbers of symbols (or groups), with words and texts."""
    kinds: dict[str, type | tuple[type, ...]] = {number: int, "share": (int, float), "words": list, "texts": list}
    return isinstance(topics, list) and all(
        isinstance(topic, dict)
        and all(isinstance(topic.get(name), kind) for name, kind in kinds.items())
        and isinstance(topic.get("label"), (str, type(None)))
        and isinstance(topic.get("address", ""), str)
        and all(type(symbol) is int for symbol in _listed(topic.get("symbols", [])))
        and all(isinstance(text, str) for text in (*topic["words"], *topic["texts"]))
        for topic in topics
    )


def _listed(value: object) -> list[object]:
    """A list as it is, anything else as a list of it."""
    return value if isinstance(value, list) else [value]


def _plain(name: str, value: object, reason: str, null_reasons: dict[str, str]) -> object:
    """JSON-ready form of a measure; notes why it is null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(f"{name}.{k}", item, reason, null_reasons) for k, item in value.items()}
    if value is None:
        null_reasons[name] = reason
        return None
    if isinstance(value, str):
        return value
    if name.endswith("_interval") and isinstance(value, tuple) and len(value) == 2:
        return [_plain(f"{name}.{end}", item, reason, null_reasons) for end, item in enumerate(value)]
    number = value.item() if hasattr(value, "item") else value
    if not isinstance(number, (int, float)):
        raise ConfigError(f"measure {name!r} is {value!r}; expected a number, text, or numbers by name")
    if isinstance(number, float) and not math.isfinite(number):
        null_reasons[name] = "not a number" if math.isnan(number) else f"infinite ({number})"
        return None
    return number


def _options(configuration: JsonMapping, prefix: str = "") -> list[tuple[str, str]]:
    options: list[tuple[str, str]] = []
    for name, value in configuration.items():
        if isinstance(value, Mapping):
            options += _options(value, f"{prefix}{name}.")
        else:
            options.append((prefix + name, str(value)))
    return options
