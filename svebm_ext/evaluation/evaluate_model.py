"""All measures of a trained text model on a test split, in order; what `python -m svebm_ext.evaluate` does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from svebm_ext import terminal
from svebm_ext.config import to_dict
from svebm_ext.data.corpus import Corpus
from svebm_ext.errors import DataError
from svebm_ext.evaluation.collected import Evaluation
from svebm_ext.evaluation.evaluate_dialogs import DialogEvaluator
from svebm_ext.evaluation.evaluate_documents import DocumentEvaluator
from svebm_ext.evaluation.evaluate_sentences import SentenceEvaluator
from svebm_ext.evaluation.evaluator import Evaluator
from svebm_ext.evaluation.report import ReportContext, metrics_document, write_document
from svebm_ext.files import JsonObject, folder_is_gone, write_whole
from svebm_ext.measures.classification import ReliabilityBin
from svebm_ext.models.folder import CARD
from svebm_ext.models.svebm import SVEBM
from svebm_ext.processes import ALONE, Processes

#: Evaluators of models of texts by the name of the kind.
EVALUATORS: dict[str, type[Evaluator]] = {
    "sentences": SentenceEvaluator,
    "dialogs": DialogEvaluator,
    "documents-bow": DocumentEvaluator,
    "documents-gru": SentenceEvaluator,
}


def evaluate_run(
    folder: Path,
    model: SVEBM,
    corpus: Corpus,
    *,
    seed: int = 0,
    say: Callable[[str], None] | None = None,
    show: Callable[[JsonObject], None] | None = None,
    processes: Processes = ALONE,
) -> JsonObject:
    """Measure a model and write metrics.json, report.md, the model card and plots into its folder.

    Args:
        folder: of the run.
        model: trained.
        corpus: of the run.
        seed: of the evaluation.
        say: receives progress lines.
        show: receives the content of metrics.json before anything is written: a folder that cannot be written to
            costs no measures.
        processes: that share the work; the main one prints and writes.

    Returns:
        The content of metrics.json, on the main process alone; its keys are documented in
        `measures.documentation.METRIC_DOCUMENTATION`.
    """
    say = (say or terminal.say) if processes.is_main else (lambda _: None)
    evaluation = EVALUATORS[model.kind.name](model, corpus, seed=seed, say=say, processes=processes).run()
    if not processes.is_main:
        return {}
    context = ReportContext(
        title=f"{model.config.preset} on {corpus.name}",
        configuration=to_dict(model.config),
        seed=seed,
        device=_device_name(model.device),
        sample_counts=evaluation.counts,
        warnings=evaluation.warnings,
        remarks=evaluation.remarks,
        notes=corpus.notes,
        first=evaluation.first,
        texts=evaluation.texts,
        summary=evaluation.summary,
        topics=evaluation.topics,
        topics_of=evaluation.topics_of,
        groups=evaluation.groups,
    )
    document = metrics_document(evaluation.metrics, context, evaluation.reasons)
    try:
        if show is not None:
            show(document)
            terminal.flush_output()
    finally:  # what cannot be printed is written all the same
        _write(folder, model, evaluation, document, say)
        write_document(folder, document, context)  # last: with metrics.json all that belongs to it is there
    return document


def _write(
    folder: Path, model: SVEBM, evaluation: Evaluation, document: JsonObject, say: Callable[[str], None]
) -> None:
    """What belongs to metrics.json and report.md."""
    if not folder.is_dir():
        raise folder_is_gone(folder)
    for name, page in evaluation.pages.items():
        write_whole(folder / name, page)
    write_whole(folder / CARD, model.card(document))
    _plot(folder, evaluation.reliability, say)


def _plot(folder: Path, reliability: Sequence[ReliabilityBin], say: Callable[[str], None] = terminal.say) -> None:
    """Learning curves and reliability, where matplotlib can be used and the run has what they show."""
    from svebm_ext.plots import can_draw, learning_curves, reliability_diagram

    if not can_draw(say):
        return
    (folder / "plots").mkdir(exist_ok=True)
    if (folder / "metrics.jsonl").exists():
        try:
            learning_curves(folder / "metrics.jsonl", folder / "plots" / "learning_curves.png", say=say)
        except DataError as error:
            say(f"no learning curves: {error}")
    if reliability:
        reliability_diagram(reliability, folder / "plots" / "reliability.png")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
