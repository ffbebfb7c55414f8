"""Pictures of one run: learning curves, reliability."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from svebm_ext.errors import DataError
from svebm_ext.plots.canvas import COLOURS, new_figure, save_figure
from svebm_ext.plots.series import read_metrics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Panels of the learning curves: title, unit, and the keys of metrics.jsonl that each shows where a run has them.
LEARNING_PANELS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("Loss terms", "nats a sentence", ("loss", "nll", "kl", "label", "valid_nll", "valid_bound")),
    ("Energy of the prior", "nats", ("energy_positive", "energy_negative", "energy_gap")),
    ("Mutual information I(z, y)", "nats", ("mi",)),
    ("Accuracy", "share", ("valid_accuracy",)),
    ("Gradient norms before clipping", "", ("gradient_norm", "prior_gradient_norm")),
)
LEARNING_LABELS = {
    "nll": "NLL (reconstruction)",
    "kl": "KL(q || p0)",
    "label": "cross-entropy of labels",
    "valid_nll": "NLL, validation",
    "valid_bound": "bound, validation",
    "valid_accuracy": "accuracy, validation",
    "energy_positive": "F+ (posterior)",
    "energy_negative": "F- (prior chains)",
    "energy_gap": "F- minus F+",
    "mi": "minibatch",
    "gradient_norm": "encoder and decoder",
    "prior_gradient_norm": "prior",
}


def learning_curves(metrics: Path, out: Path, *, title: str = "", say: Callable[[str], None] | None = None) -> Path:
    """Draw the learning curves of a run: loss terms; F+, F- and their gap; mutual information; gradient norms.

    Args:
        metrics: metrics.jsonl of the run. Panels whose terms the run does not have are left out.
        out: picture to write; its suffix chooses the format.
        title: line above the picture.
        say: receives a line where the file has lines that cannot be read.

    Returns:
        `out`.

    Raises:
        DataError: as `read_metrics`, or if the file has none of the terms.
        ConfigError: matplotlib is not installed.
    """
    series = read_metrics(metrics, say)
    panels = [(name, unit, [key for key in keys if key in series]) for name, unit, keys in LEARNING_PANELS]
    panels = [panel for panel in panels if panel[2]]
    if not panels:
        raise DataError(f"{metrics}: has none of the terms to draw, only {', '.join(sorted(series))}")
    figure = new_figure(figsize=(6.4, 2.6 * len(panels) + 0.4), layout="constrained")
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, unit, keys) in zip(axes, panels, strict=True):
        for colour, key in zip(COLOURS, keys, strict=False):
            _curve(axis, *series[key], label=LEARNING_LABELS.get(key, key), colour=colour)
        axis.set_title(name, loc="left", fontsize=10)
        axis.set_ylabel(unit)
        axis.grid(alpha=0.25)
        # Norms span decades; a logarithmic axis shows them only where all are positive.
        if "norm" in keys[0] and all(value > 0 for key in keys for value in series[key][1]):
            axis.set_yscale("log")
        # Outside the axes, where it can cover no curve.
        axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, frameon=False, borderaxespad=0.0)
    axes[-1].set_xlabel("iteration")
    if title:
        figure.suptitle(title, fontsize=11)
    return save_figure(figure, out)


def reliability_diagram(bins: Sequence[tuple[int, float, float]], out: Path, *, title: str = "") -> Path:
    """Draw accuracy against confidence, and how many predictions stand behind each point.

    Args:
        bins: count, mean confidence and accuracy of each bin (see `measures.classification.reliability`).
        out: picture to write; its suffix chooses the format.
        title: line above the picture.

    Returns:
        `out`.

    Raises:
        DataError: no bins.
        ConfigError: matplotlib is not installed.
    """
    if not bins:
        raise DataError("reliability: no predictions were given")
    counts, confidence, accuracy = zip(*bins, strict=True)
    figure = new_figure(figsize=(4.4, 5.0), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    above.plot([0, 1], [0, 1], color="0.6", linewidth=1.0, linestyle="--", label="calibrated")
    above.plot(confidence, accuracy, color=COLOURS[0], marker="o", markersize=4, linewidth=1.4, label="model")
    above.set_ylabel("accuracy")
    above.set_xlim(0, 1)
    above.set_ylim(0, 1)
    above.grid(alpha=0.25)
    above.legend(loc="upper left", fontsize=8, frameon=False)
    below.bar(confidence, counts, width=0.03, color=COLOURS[0])
    below.set_xlabel("confidence")
    below.set_ylabel("predictions")
    if title:
        figure.suptitle(title, fontsize=11)
    return save_figure(figure, out)


def _curve(axis: Axes, steps: Sequence[int], values: Sequence[float], *, label: str, colour: str) -> None:
    """One series: thin as logged, and a running mean over it where there are many points."""
    window = len(values) // 50
    if window < 2:
        axis.plot(steps, values, color=colour, linewidth=1.2, label=label)
        return
    axis.plot(steps, values, color=colour, linewidth=0.6, alpha=0.3)
    mean = np.convolve(values, np.ones(window) / window, mode="valid")
    axis.plot(steps[window - 1 :], mean, color=colour, linewidth=1.4, label=label)
