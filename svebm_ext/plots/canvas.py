"""What all pictures share: canvas, colours, saving. Needs the `plots` extra."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from svebm_ext.errors import ConfigError
from svebm_ext.files import write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours that stay apart for colour-blind readers (Okabe & Ito).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
#: Markers and line styles that tell more curves apart than there are colours.
STYLES = (("-", "o"), ("--", "s"), (":", "^"), ("-.", "D"), ((0, (5, 1, 1, 1, 1, 1)), "v"))


def can_draw(say: Callable[[str], None]) -> bool:
    """Whether matplotlib can be used; says why where it is installed and cannot."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    except (ValueError, OSError) as error:  # a variable (MPLBACKEND) or file of settings that it does not take
        say(f"no pictures: {error}")
        return False
    return True


def new_figure(*, figsize: tuple[float, float], layout: Literal["constrained"]) -> Figure:
    """Figure on the Agg canvas, which needs no display and leaves pyplot's global state alone."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("plots need matplotlib: pip install 'svebm_ext[plots]'") from error
    except ValueError as error:
        raise ConfigError(f"plots: matplotlib cannot start: {error}") from error
    figure = Figure(figsize=figsize, layout=layout)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, out: Path) -> Path:
    """Write a picture as a whole, its folder made where it is missing; returns `out`."""
    content = io.BytesIO()
    figure.savefig(content, dpi=130, format=out.suffix[1:] or "png")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, content.getvalue())
    return out
