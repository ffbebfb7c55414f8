"""One measure against others: a panel a measure, a line a system, a point a setting of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from svebm_ext.errors import DataError
from svebm_ext.plots.canvas import COLOURS, STYLES, new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D


#: Tell lines apart where colours alone do not.
MARKERS = ("o", "s", "^", "D", "v", "X")


class Point(NamedTuple):
    """A setting of a system: what is on the axes, and what is written beside it."""

    x: float
    y: float
    label: str = ""


@dataclass(frozen=True)
class TradeOff:
    """One measure against that of the horizontal axis.

    Attributes:
        title: of the vertical axis.
        lines: by system, its points in the order in which they are joined.
        logarithmic: whether the vertical axis is.
    """

    title: str
    lines: Mapping[str, Sequence[Point]]
    logarithmic: bool = False


def trade_offs(panels: Sequence[TradeOff], out: Path, *, x: str, caption: str = "") -> Path:
    """Draw measures against another, panels side by side.

    Args:
        panels: from left to right.
        out: picture to write; its suffix chooses the format.
        x: title of the horizontal axes.
        caption: above the panels.

    Returns:
        `out`.

    Raises:
        DataError: there is no point.
        ConfigError: matplotlib is not installed.
    """
    if not any(points for panel in panels for points in panel.lines.values()):
        raise DataError("trade-offs: no points were given")
    figure = new_figure(figsize=(0.6 + 4.4 * len(panels), 5.0), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    handles: dict[str, Line2D] = {}
    for axis, panel in zip(axes, panels, strict=True):
        handles |= _panel(axis, panel, names)
        axis.set_xlabel(x)
    figure.legend(
        list(handles.values()),
        list(handles),
        loc="outside lower center",
        ncols=3 * len(panels),
        fontsize=8,
        frameon=False,
    )
    if caption:
        figure.suptitle(caption, fontsize=9, x=0.01, ha="left")
    return save_figure(figure, out)


def _panel(axis: Axes, panel: TradeOff, names: Sequence[str]) -> dict[str, Line2D]:
    """Lines of one measure; returns a handle of each system for the legend."""
    handles: dict[str, Line2D] = {}
    for number, name in enumerate(names):
        points, colour = panel.lines.get(name, ()), COLOURS[number % len(COLOURS)]
        if not points:
            continue
        line, _ = STYLES[number % len(STYLES)]
        (handles[name],) = axis.plot(
            [point.x for point in points], [point.y for point in points], color=colour, linestyle=line, linewidth=1.2,
            marker=MARKERS[number % len(MARKERS)], markersize=5, markerfacecolor="none",
        )  # fmt: skip
        for point in points:
            if point.label:
                place = (point.x, point.y)
                axis.annotate(point.label, place, (5, 5), textcoords="offset points", fontsize=7, color=colour)
    if panel.logarithmic:
        from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

        axis.set_yscale("log")
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 7)))
        axis.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.yaxis.set_minor_locator(NullLocator())
    axis.set_ylabel(panel.title)
    axis.grid(alpha=0.25)
    axis.margins(0.1)
    return handles
