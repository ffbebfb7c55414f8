"""Parts of the overview of results/ taken over from a report: Figure 2, default corpus, rate, strange texts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from svebm_ext.experiments import assistant, figure2, rate_distortion_report, strange_texts
from svebm_ext.experiments.table import REPORT, REPORT_JSON, Measure, by_name, table_cells
from svebm_ext.files import JsonMapping, read_json
from svebm_ext.markdown import table_row


def _cells_lines(rows: Sequence[JsonMapping], measures: Sequence[Measure]) -> list[str]:
    """Rows of a report, with mean and standard deviation of the seeds."""
    heading, *lines = table_cells(rows, measures)
    return [table_row(heading), "| --- |" + " ---: |" * (len(heading) - 1), *map(table_row, lines)]


def figure2_lines(results: Path) -> list[str]:
    """Figure 2: modes and distances of each system."""
    keys = ("modes_found", "energy_distance", "energy_distance_p_value", "nll_above_entropy")
    rows = read_json(results / "figure2" / REPORT_JSON)
    seeds = max(len(own) for own in by_name(rows).values())
    return [
        "## Figure 2: eight Gaussians and the pinwheel",
        "",
        f"[Pictures and all measures](figure2/{figure2.PAGE}). p is uniform for samples of the true density.",
        "",
        *_cells_lines(rows, [measure for measure in figure2.MEASURES if measure.key in keys]),
        "",
        f"    python -m svebm_ext.experiments figure2 --seeds {seeds}",
        "",
    ]


def assistant_lines(results: Path) -> list[str]:
    """The default run beside its controls."""
    rows = read_json(results / "assistant" / REPORT_JSON)
    keys = ("nll", "control.nll_mixture", "bleu", "wkl", f"adjusted_mutual_information.{assistant.LABEL}")
    measures = [measure for measure in (*assistant.MEASURES[:1], *assistant.PRIORS[:4], *assistant.MEASURES[1:])]
    seeds = max(len(own) for own in by_name(rows).values())
    return [
        "## The default corpus and its controls",
        "",
        f"[All measures](assistant/{REPORT}), of {'one seed' if seeds == 1 else f'{seeds} seeds'}. Mixture: NLL of the "
        "same networks with a mixture of Gaussians, fitted to z afterwards, as the prior.",
        "",
        *_cells_lines(rows, [measure for measure in measures if measure.key in keys]),
        "",
        f"    python -m svebm_ext.experiments assistant{'' if seeds == 1 else f' --seeds {seeds}'}",
        "",
    ]


def rate_lines(results: Path) -> list[str]:
    """Rate against distortion of each prior at each weight; nothing where there are no results yet."""
    if not (results / "rate-distortion" / REPORT_JSON).exists():
        return []
    rows = read_json(results / "rate-distortion" / REPORT_JSON)
    keys = ("rate", "reconstruction_nll", "nll_annealed", "bleu", "rppl", "rppl_ancestral")
    budget, seeds = rows[0]["budget"], max(len(own) for own in by_name(rows).values())
    options = ["" if budget == "cpu" else f" --budget {budget}", "" if seeds == 1 else f" --seeds {seeds}"]
    return [
        "## Rate against distortion",
        "",
        f"[All measures, pictures, and energies less mixtures](rate-distortion/{REPORT}), budget {budget}. All rows of "
        "one w stand on the same z, except dgm-vae-i.",
        "",
        *_cells_lines(rows, [measure for measure in rate_distortion_report.MEASURES if measure.key in keys]),
        "",
        f"    python -m svebm_ext.experiments rate-distortion --data.root DIR{''.join(options)}",
        "",
    ]


def strange_lines(results: Path) -> list[str]:
    """How well strange texts are told; nothing where there are no results yet."""
    if not (results / "strange-texts" / REPORT_JSON).exists():
        return []
    return strange_texts.index_lines(read_json(results / "strange-texts" / REPORT_JSON))
