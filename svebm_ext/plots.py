"""Pictures: learning curves of a run, and densities in the plane (Figure 2 of the paper). Needs the `plots` extra."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from svebm_ext.errors import ConfigError, DataError

Points = Float[np.ndarray, "_ 2"]

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
# Colours that stay apart for colour-blind readers (Okabe & Ito).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")

#: Columns of Figure 2: field of PlaneDensities and title.
FIGURE2_COLUMNS = (
    ("true_x", "true x"),
    ("posterior_x", "posterior x"),
    ("prior_x", "prior x"),
    ("posterior_z", "posterior z"),
    ("prior_z", "prior z"),
)


#: Markers and line styles that tell more curves apart than there are colours.
STYLES = (("-", "o"), ("--", "s"), (":", "^"))


@dataclass(frozen=True)
class Panel:
    """One measure of several systems, beside published figures.

    Attributes:
        title: of the panel.
        ours: by system, one value a seed; none where it was not measured.
        published: by system; None or absent where nothing was published.
        incomparable: systems whose published figure is of another quantity.
    """

    title: str
    ours: Mapping[str, Sequence[float]]
    published: Mapping[str, float | None]
    incomparable: Sequence[str] = ()


@dataclass(frozen=True)
class PlaneDensities:
    """Points of one model on one data set, each [n, 2].

    Attributes:
        true_x: the data.
        posterior_x: reconstructions, from z of q(z|x).
        prior_x: generated points, from z of the prior.
        posterior_z: latent vectors of the data, from q(z|x).
        prior_z: latent vectors of the prior's chains.
    """

    true_x: Points
    posterior_x: Points
    prior_x: Points
    posterior_z: Points
    prior_z: Points


def read_metrics(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of every number in a run's metrics.jsonl.

    Args:
        path: the file; an unfinished last line, left by a run that was killed, is ignored.

    Raises:
        DataError: no such file, no record in it, or a damaged line before the last; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable ({error})") from error
    series: dict[str, tuple[list[int], list[float]]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            step = int(record["step"])
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break
            raise DataError(
                f"{path}, line {number}: expected a JSON object with a step, found {line[:60]!r}"
            ) from error
        for name, value in record.items():
            if name != "step" and isinstance(value, (int, float)) and not isinstance(value, bool):
                steps, values = series.setdefault(name, ([], []))
                steps.append(step)
                values.append(float(value))
    if not series:
        raise DataError(f"{path}: no records yet")
    return series


def learning_curves(metrics: Path, out: Path, *, title: str = "") -> Path:
    """Draw the learning curves of a run: loss terms; F+, F- and their gap; mutual information; gradient norms.

    Args:
        metrics: metrics.jsonl of the run. Panels whose terms the run does not have are left out.
        out: picture to write; its suffix chooses the format.
        title: line above the picture.

    Returns:
        `out`.

    Raises:
        DataError: as `read_metrics`, or if the file has none of the terms.
        ConfigError: matplotlib is not installed.
    """
    series = read_metrics(metrics)
    panels = [(name, unit, [key for key in keys if key in series]) for name, unit, keys in LEARNING_PANELS]
    panels = [panel for panel in panels if panel[2]]
    if not panels:
        raise DataError(f"{metrics}: has none of the terms to draw, only {', '.join(sorted(series))}")
    figure = _figure(figsize=(6.4, 2.6 * len(panels) + 0.4), layout="constrained")
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
    return _save(figure, out)


def reliability_diagram(bins: Sequence[tuple[int, float, float]], out: Path, *, title: str = "") -> Path:
    """Draw accuracy against confidence, and how many predictions stand behind each point.

    Args:
        bins: count, mean confidence and accuracy of each bin (see `evaluation.classification.reliability`).
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
    figure = _figure(figsize=(4.4, 5.0), layout="constrained")
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
    return _save(figure, out)


def figure2(
    densities: Mapping[tuple[str, str], PlaneDensities],
    out: Path,
    *,
    bins: int = 120,
    notes: Mapping[tuple[str, str], str] | None = None,
) -> Path:
    """Draw densities of data sets x models in rows: true x, posterior x, prior x, posterior z, prior z (Figure 2).

    All x panels of a data set share one range and one colour scale, those of its true density, so that they compare
    with each other; z panels share one range over the whole figure, and a colour scale in each row. Densities are
    histograms, lightly smoothed.

    Args:
        densities: points by (data set, model), in the order of the rows.
        out: picture to write; its suffix chooses the format.
        bins: cells along each axis of a panel.
        notes: text to the right of a row, such as its measures.

    Returns:
        `out`.

    Raises:
        DataError: no rows, or a panel that has no points.
        ConfigError: matplotlib is not installed.
    """
    if not densities:
        raise DataError("figure 2: no densities were given")
    for (data_set, model), row in densities.items():
        for attribute, name in FIGURE2_COLUMNS:
            if len(getattr(row, attribute)) == 0:
                raise DataError(f"figure 2: {model} on {data_set} has no points of {name}")
    n_rows = len(densities)
    figure = _figure(figsize=(11.0 + 2.0 * bool(notes), 2.2 * n_rows + 0.4), layout="constrained")
    grid = figure.subplots(n_rows, len(FIGURE2_COLUMNS), squeeze=False)
    z_range = _range([array for row in densities.values() for array in (row.posterior_z, row.prior_z)])
    for axis, (_, name) in zip(grid[0], FIGURE2_COLUMNS, strict=True):
        axis.set_title(name, fontsize=11)
    for axes, ((data_set, model), row) in zip(grid, densities.items(), strict=True):
        x_range = _range([other.true_x for (name, _), other in densities.items() if name == data_set])
        cells = {
            attribute: density_grid(getattr(row, attribute), z_range if attribute.endswith("z") else x_range, bins)
            for attribute, _ in FIGURE2_COLUMNS
        }
        top_x, top_z = cells["true_x"].max(), max(cells["posterior_z"].max(), cells["prior_z"].max())
        for axis, (attribute, _) in zip(axes, FIGURE2_COLUMNS, strict=True):
            is_z = attribute.endswith("z")
            _density_panel(axis, cells[attribute], z_range if is_z else x_range, top_z if is_z else top_x)
        axes[0].set_ylabel(f"{data_set}\n{model}", fontsize=10)
        if notes and (data_set, model) in notes:
            axes[-1].text(
                1.08,
                0.5,
                notes[data_set, model],
                transform=axes[-1].transAxes,
                va="center",
                fontsize=8,
                linespacing=1.5,
            )
    return _save(figure, out)


def beside_published(names: Sequence[str], panels: Sequence[Panel], out: Path) -> Path:
    """Draw measures of several systems beside published figures: a panel a measure, a line a system.

    Args:
        names: systems, from top to bottom.
        panels: measures, from left to right. An axis is logarithmic where its values span more than a decade.
        out: picture to write; its suffix chooses the format.

    Returns:
        `out`.

    Raises:
        DataError: no systems or no measures.
        ConfigError: matplotlib is not installed.
    """
    if not names or not panels:
        raise DataError("measures beside published ones: no systems or no measures were given")
    figure = _figure(figsize=(1.6 + 2.6 * len(panels), 1.3 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    handles: dict[str, Any] = {}
    for axis, panel in zip(axes, panels, strict=True):
        handles |= _published_panel(axis, panel, names)
        axis.set_title(panel.title, fontsize=10)
        axis.grid(alpha=0.25)
        axis.tick_params(labelsize=8)
    axes[0].set_yticks(range(len(names)), names)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    kinds = sorted(handles)
    if kinds:
        figure.legend(
            [handles[kind] for kind in kinds], kinds, loc="outside lower center", ncols=3, fontsize=8, frameon=False
        )
    return _save(figure, out)


def _published_panel(axis: Any, panel: Panel, names: Sequence[str]) -> dict[str, Any]:
    """Marks of one measure; returns a handle of each kind of mark for the legend."""
    handles: dict[str, Any] = {}
    seen: list[float] = []
    for place, name in enumerate(names):
        ours, published = panel.ours.get(name, ()), panel.published.get(name)
        middle = sum(ours) / len(ours) if ours else None
        if middle is not None and published is not None and name not in panel.incomparable:
            axis.plot([middle, published], [place, place], color="0.75", linewidth=1.0, zorder=1)
        if published is not None:
            other = name in panel.incomparable
            (mark,) = axis.plot(
                published, place, linestyle="none", marker="x" if other else "D", markersize=6,
                markerfacecolor="none", color=COLOURS[1], zorder=2,
            )  # fmt: skip
            handles["paper, another quantity" if other else "paper"] = mark
            seen.append(published)
        if middle is not None:
            (mark,) = axis.plot(middle, place, linestyle="none", marker="o", markersize=6, color=COLOURS[0], zorder=3)
            handles["ours"] = mark
            seen += [float(value) for value in ours]
        if len(ours) > 1:
            axis.plot([min(ours), max(ours)], [place, place], color=COLOURS[0], linewidth=2.5, zorder=2)
    if seen and min(seen) > 0 and max(seen) > 10 * min(seen):
        from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.xaxis.set_minor_locator(NullLocator())
    return handles


def bounds_of_rows(
    curves: Mapping[str, Sequence[tuple[Sequence[int], Sequence[float]]]],
    out: Path,
    *,
    caption: str = "",
    measure: str = "bound of -log p(x), validation (nats a sentence)",
) -> Path:
    """Draw the validation bound, or another measure, of several systems against iterations, a curve a seed.

    Args:
        curves: by system, iterations and bounds in nats a sentence of each seed.
        out: picture to write; its suffix chooses the format.
        caption: what the curves are not, if some are no bounds.
        measure: what is drawn, with its unit.

    Returns:
        `out`.

    Raises:
        DataError: no curves.
        ConfigError: matplotlib is not installed.
    """
    if not curves:
        raise DataError("learning curves of several systems: no curves were given")
    figure = _figure(figsize=(8.4, 4.8), layout="constrained")
    axis = figure.subplots()
    for number, (name, seeds) in enumerate(curves.items()):
        line, marker = STYLES[number // len(COLOURS) % len(STYLES)]
        for index, (steps, values) in enumerate(seeds):
            axis.plot(
                steps, values, color=COLOURS[number % len(COLOURS)], linestyle=line, linewidth=1.3, markersize=4,
                marker=marker if len(steps) <= 30 else None, label=name if index == 0 else None,
            )  # fmt: skip
    axis.set_xlabel("iteration")
    axis.set_ylabel(measure)
    axis.set_title(caption, loc="left", fontsize=8)
    axis.grid(alpha=0.25)
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, frameon=False, borderaxespad=0.0)
    return _save(figure, out)


def density_grid(points: Points, limits: tuple[float, float], bins: int = 120) -> Float[np.ndarray, "rows columns"]:
    """Smoothed histogram of points, as a density per unit area; rows follow the second coordinate.

    Args:
        points: points of the plane; those outside the limits, or not finite, count in the normalisation only.
        limits: lower and upper end of both axes.
        bins: cells along each axis.
    """
    inside = points[np.isfinite(points).all(axis=1)]
    counts, _, _ = np.histogram2d(inside[:, 1], inside[:, 0], bins=bins, range=[limits, limits])
    width = (limits[1] - limits[0]) / bins
    kernel = np.exp(-0.5 * (np.arange(-4, 5) / 1.2) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        counts = np.apply_along_axis(np.convolve, axis, counts, kernel, "same")
    return counts / (len(points) * width * width)


def _range(arrays: Sequence[Points]) -> tuple[float, float]:
    """Square range, centred on the origin, that holds 99.5 % of every set of points with a margin."""
    reach = [np.quantile(np.abs(array[np.isfinite(array).all(axis=1)]), 0.995) for array in arrays]
    limit = 1.15 * float(max(reach)) or 1.0
    return -limit, limit


def _density_panel(axis: Any, cells: Float[np.ndarray, "r c"], limits: tuple[float, float], top: float) -> None:
    axis.imshow(cells, origin="lower", extent=(*limits, *limits), vmin=0.0, vmax=top, cmap="viridis")
    ticks = _ticks(limits[1])
    axis.set_xticks(ticks)
    axis.set_yticks(ticks)
    axis.tick_params(labelsize=7)


def _ticks(limit: float) -> list[float]:
    """Minus one, zero and one round number, well inside the limit so that labels of neighbours keep apart."""
    power = 10.0 ** np.floor(np.log10(0.8 * limit))
    value = max(step * power for step in (1, 2, 4, 5, 8) if step * power <= 0.8 * limit)
    return [-float(value), 0.0, float(value)]


def _curve(axis: Any, steps: Sequence[int], values: Sequence[float], *, label: str, colour: str) -> None:
    """One series: thin as logged, and a running mean over it where there are many points."""
    window = len(values) // 50
    if window < 2:
        axis.plot(steps, values, color=colour, linewidth=1.2, label=label)
        return
    axis.plot(steps, values, color=colour, linewidth=0.6, alpha=0.3)
    mean = np.convolve(values, np.ones(window) / window, mode="valid")
    axis.plot(steps[window - 1 :], mean, color=colour, linewidth=1.4, label=label)


def _figure(**options: Any) -> Any:
    """Figure on the Agg canvas, which needs no display and leaves pyplot's global state alone."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("plots need matplotlib: pip install 'svebm_ext[plots]'") from error
    figure = Figure(**options)
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Any, out: Path) -> Path:
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=130)
    return out
