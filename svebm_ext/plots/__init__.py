"""Pictures of runs, of several systems and of densities in the plane. Needs the `plots` extra."""

from svebm_ext.plots.against import Point, TradeOff, trade_offs
from svebm_ext.plots.canvas import can_draw
from svebm_ext.plots.plane import PlaneDensities, density_grid, figure2
from svebm_ext.plots.run import LEARNING_LABELS, LEARNING_PANELS, learning_curves, reliability_diagram
from svebm_ext.plots.series import read_metrics
from svebm_ext.plots.systems import Panel, beside_published, bounds_of_rows

__all__ = [
    "LEARNING_LABELS",
    "LEARNING_PANELS",
    "Panel",
    "PlaneDensities",
    "Point",
    "TradeOff",
    "beside_published",
    "bounds_of_rows",
    "can_draw",
    "density_grid",
    "figure2",
    "learning_curves",
    "read_metrics",
    "reliability_diagram",
    "trade_offs",
]
