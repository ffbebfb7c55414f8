"""All measures of a trained text model on a test split, in order; what `python -m svebm_ext.evaluate` prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from svebm_ext.config import is_bag_of_words, to_dict
from svebm_ext.data.corpus import Corpus
from svebm_ext.data.model_files import folder_is_gone
from svebm_ext.errors import DataError
from svebm_ext.evaluation.classification import ReliabilityBin
from svebm_ext.evaluation.evaluate_dialogs import DialogEvaluator
from svebm_ext.evaluation.evaluate_documents import DocumentEvaluator
from svebm_ext.evaluation.evaluate_sentences import SentenceEvaluator
from svebm_ext.evaluation.evaluator import Evaluator
from svebm_ext.evaluation.report import METRIC_DOCUMENTATION, ReportContext, metrics_document, write_document
from svebm_ext.models.svebm import SVEBM


def evaluate_run(
    folder: Path, model: SVEBM, corpus: Corpus, *, seed: int = 0, say: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Measure a model and write metrics.json, report.md, the model card and plots into its folder.

    Args:
        folder: of the run.
        model: trained.
        corpus: of the run.
        seed: of the evaluation.
        say: receives progress lines.

    Returns:
        The content of metrics.json; its keys are documented in `evaluation.report.METRIC_DOCUMENTATION`.
    """
    from svebm_ext.models.pretrained import CARD, model_card, write_atomically

    kind: type[Evaluator] = SentenceEvaluator
    if is_bag_of_words(model.config.model):
        kind = DocumentEvaluator
    elif model.config.model.kind == "dialogs":
        kind = DialogEvaluator
    found = kind(model, corpus, seed=seed, say=say or _say_to_stderr).run()
    context = ReportContext(
        title=f"{model.config.preset} on {corpus.name}",
        configuration=to_dict(model.config),
        seed=seed,
        device=_device_name(model.device),
        sample_counts=found.counts,
        warnings=[*corpus.notes, *found.warnings],
        texts=found.texts,
        summary=found.summary,
    )
    document = metrics_document(found.metrics, context, found.reasons)
    if not folder.is_dir():
        raise folder_is_gone(folder)
    for name, page in found.pages.items():
        write_atomically(folder / name, page)
    write_atomically(folder / CARD, model_card(model, document))
    _plot(folder, found.reliability, say)
    write_document(folder, document, context)  # last: with metrics.json all that belongs to it is there
    return document


def print_summary(document: dict[str, Any]) -> None:
    """Print what was found in plain sentences, then the measures as a table of name, value, unit."""
    for line in document["about"]["summary"]:
        print(line)
    if document["about"]["summary"]:
        print()
    for key, value in document.items():
        if key not in METRIC_DOCUMENTATION:
            continue
        rows = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
        for name, number in rows.items():
            print(f"{name:48s} {_number(number):>12s}  {METRIC_DOCUMENTATION[key].unit}")
    for warning in document["about"]["warnings"]:
        print(f"warning: {warning}")


def _number(value: Any) -> str:
    if isinstance(value, list):
        return " to ".join(map(_number, value))
    return "–" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def _plot(folder: Path, reliability: Sequence[ReliabilityBin], say: Callable[[str], None] | None = None) -> None:
    """Learning curves and reliability, where matplotlib is installed and the run has what they show."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return
    from svebm_ext.plots import learning_curves, reliability_diagram

    (folder / "plots").mkdir(exist_ok=True)
    if (folder / "metrics.jsonl").exists():
        try:
            learning_curves(folder / "metrics.jsonl", folder / "plots" / "learning_curves.png", say=say)
        except DataError as error:
            (say or _say_to_stderr)(f"no learning curves: {error}")
    if reliability:
        reliability_diagram(reliability, folder / "plots" / "reliability.png")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"


def _say_to_stderr(text: str) -> None:
    import sys

    print(text, file=sys.stderr)
