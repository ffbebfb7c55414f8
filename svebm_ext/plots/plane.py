"""Densities in the plane (Figure 2 of the paper)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from svebm_ext.errors import DataError
from svebm_ext.plots.canvas import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Points = Float[np.ndarray, "_ 2"]

#: Columns of Figure 2: field of PlaneDensities and title.
FIGURE2_COLUMNS = (
    ("true_x", "true x"),
    ("posterior_x", "posterior x"),
    ("prior_x", "prior x"),
    ("posterior_z", "posterior z"),
    ("prior_z", "prior z"),
)


@dataclass(frozen=True)
class PlaneDensities:
    """Points of one model on one data set, each [n, 2].

    Attributes:
        true_x: the data.
        posterior_x: reconstructions, from z of q(z|x).
        prior_x: generated points, from z of the prior.
        posterior_z: latent vectors of the data, from q(z|x).
        prior_z: latent vectors sampled from the prior.
    """

    true_x: Points
    posterior_x: Points
    prior_x: Points
    posterior_z: Points
    prior_z: Points


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
    figure = new_figure(figsize=(11.0 + 2.0 * bool(notes), 2.2 * n_rows + 0.4), layout="constrained")
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
    return save_figure(figure, out)


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


def _density_panel(axis: Axes, cells: Float[np.ndarray, "r c"], limits: tuple[float, float], top: float) -> None:
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
