"""Learning curves as inline SVG: no library, no script, colours from the page's style sheet."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from svebm_ext.plots import LEARNING_LABELS, LEARNING_PANELS

#: Size of a panel in SVG units, and the margins of its plot.
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460, 250, 52, 12, 12, 34
#: Points of a curve that are drawn; longer ones are means over equal parts of the run.
POINTS = 200

Series = Mapping[str, tuple[Sequence[int], Sequence[float]]]


def panels(series: Series) -> list[str]:
    """A figure for each panel of `plots.LEARNING_PANELS` that the run has something of."""
    drawn = []
    for title, unit, keys in LEARNING_PANELS:
        shown = {key: thin(*series[key]) for key in keys if key in series}
        shown = {key: points for key, points in shown.items() if points}
        if shown:
            drawn.append(panel(title, unit, shown))
    return drawn


def thin(steps: Sequence[int], values: Sequence[float]) -> list[tuple[float, float]]:
    """At most `POINTS` points: means of step and value over equal parts; values that are not finite are left out."""
    points = [(float(step), value) for step, value in zip(steps, values, strict=True) if math.isfinite(value)]
    size = max(1, math.ceil(len(points) / POINTS))
    parts = [points[i : i + size] for i in range(0, len(points), size)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def ticks(low: float, high: float, n: int = 5) -> list[float]:
    """About n round numbers from low to high: multiples of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / n
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= 0.75 * rough)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def panel(title: str, unit: str, shown: Mapping[str, list[tuple[float, float]]]) -> str:
    """One figure: axes, curves with a legend, and a table of first and last values for who cannot see them."""
    xs = [x for points in shown.values() for x, _ in points]
    ys = sorted(y for points in shown.values() for _, y in points)
    low_x, high_x = min(0.0, *xs), max(1.0, *xs)
    # The first iterations may be far off: what is above the 98th percentile leaves the panel.
    low_y, high_y = ys[0], ys[min(len(ys) - 1, int(0.98 * len(ys)))]
    margin = 0.05 * (high_y - low_y) or 0.5
    low_y, high_y = low_y - margin, high_y + margin

    def place(x: float, y: float) -> tuple[float, float]:
        right = LEFT + (x - low_x) / (high_x - low_x) * (WIDTH - LEFT - RIGHT)
        down = HEIGHT - BOTTOM - (y - low_y) / (high_y - low_y) * (HEIGHT - TOP - BOTTOM)
        return round(right, 1), round(down, 1)

    lines = []
    for y in ticks(low_y, high_y):
        _, down = place(low_x, y)
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{down}" y2="{down}"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{down + 4}" text-anchor="end">{y:g}</text>')
    for x in ticks(low_x, high_x, 4):
        right, _ = place(x, low_y)
        lines.append(f'<text x="{right}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{x:,.0f}</text>')
    lines.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 3}" text-anchor="end">iteration</text>')
    width, height = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    lines.append(
        f'<svg x="{LEFT}" y="{TOP}" width="{width}" height="{height}" viewBox="{LEFT} {TOP} {width} {height}">'
    )
    legend = []
    for i, (key, points) in enumerate(shown.items()):
        path = " ".join(f"{right},{down}" for right, down in (place(x, y) for x, y in points))
        label = escape(LEARNING_LABELS.get(key, key))
        style = f"curve c{i % 6} dash{i // 6 + i % 3}"
        lines.append(f'<polyline class="{style}" points="{path}"><title>{label}</title></polyline>')
        if len(points) == 1:
            right, down = place(*points[0])
            lines.append(f'<circle class="dot c{i % 6}" cx="{right}" cy="{down}" r="3"/>')
        sample = f'<svg class="sample" viewBox="0 0 28 8"><line class="{style}" x1="0" x2="28" y1="4" y2="4"/></svg>'
        legend.append(f"<li>{sample}{label} <span>{points[0][1]:.4g} → {points[-1][1]:.4g}</span></li>")
    lines.append("</svg>")
    name = escape(f"{title}, {unit}" if unit else title)
    return (
        f'<figure class="panel"><figcaption>{name}</figcaption>'
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{name}">{"".join(lines)}</svg>'
        f'<ul class="legend-list">{"".join(legend)}</ul></figure>'
    )
