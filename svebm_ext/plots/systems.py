"""Several systems side by side: measures beside published figures, curves of a measure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from svebm_ext.errors import DataError
from svebm_ext.plots.canvas import COLOURS, STYLES, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


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
    figure = new_figure(figsize=(1.6 + 2.6 * len(panels), 1.3 + 0.3 * len(names)), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    handles: dict[str, Line2D] = {}
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
    return save_figure(figure, out)


def _published_panel(axis: Axes, panel: Panel, names: Sequence[str]) -> dict[str, Line2D]:
    """Marks of one measure; returns a handle of each kind of mark for the legend."""
    handles: dict[str, Line2D] = {}
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
        few_decades = max(seen) < 300 * min(seen)  # on a longer axis the numbers between powers of ten overlap
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few_decades else (1,)))
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
    figure = new_figure(figsize=(8.4, 4.8), layout="constrained")
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
    drawn = [value for seeds in curves.values() for _, values in seeds for value in values]
    top = _top(drawn)
    if top is not None:
        axis.set_ylim(min(drawn) - 0.05 * (top - min(drawn)), top)
        caption = f"{caption} Values above {top:.0f} are cut off.".strip()
    axis.set_title(caption, loc="left", fontsize=8)
    axis.grid(alpha=0.25)
    axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=8, frameon=False, borderaxespad=0.0)
    return save_figure(figure, out)


def _top(values: Sequence[float]) -> float | None:
    """Upper end of an axis where few values are so far above the others that these could not be told apart, or None.

    That is when the largest is farther above the ninth decile than the decile is above the smallest value.
    """
    ordered = sorted(values)
    decile = ordered[int(0.9 * (len(ordered) - 1))]
    top = 2.0 * decile - ordered[0]
    return top if ordered[-1] > top > ordered[0] else None
