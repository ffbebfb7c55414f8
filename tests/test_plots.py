import json
import sys

import matplotlib
import numpy as np
import pytest

from svebm_ext import plots
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.plots import against, plane, run, systems
from svebm_ext.plots.canvas import save_figure


@pytest.fixture
def saved(monkeypatch):
    """Figures as they were saved, for looking into them."""
    figures = []
    for module in (against, plane, run, systems):
        monkeypatch.setattr(
            module, "save_figure", lambda figure, out: figures.append(figure) or save_figure(figure, out)
        )
    return figures


def metrics_file(folder, records, tail=""):
    path = folder / "metrics.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records) + tail)
    return path


def normal(n, scale=1.0, seed=0):
    return scale * np.random.default_rng(seed).normal(size=(n, 2))


def test_read_metrics_keeps_each_series_with_its_steps(tmp_path):
    path = metrics_file(
        tmp_path, [{"step": 20, "nll": 3.0}, {"step": 40, "nll": 2.0, "note": "x"}, {"step": 40, "v": 1}]
    )
    assert plots.read_metrics(path) == {"nll": ([20, 40], [3.0, 2.0]), "v": ([40], [1.0])}


def test_lines_that_cannot_be_read_are_left_out_and_told_where_no_kill_explains_them(tmp_path):
    said = []
    cut = metrics_file(tmp_path, [{"step": 1, "nll": 1.0}], '{"step": 2, "n')
    assert plots.read_metrics(cut, said.append)["nll"][0] == [1] and not said
    cut.write_bytes(cut.read_bytes()[:-3] + "é".encode()[:1])  # half a character
    assert plots.read_metrics(cut, said.append)["nll"][0] == [1] and not said
    for line in ("oops", "[" * 10_000, '{"step": 2, "nll": 1%s}' % ("0" * 400), '{"step": "x"}', '{"step": true}', "7"):
        damaged = metrics_file(tmp_path, [{"step": 1, "nll": 1.0}], line + '\n{"step": 3, "nll": 1.0}\n')
        said.clear()
        assert plots.read_metrics(damaged, said.append) == {"nll": ([1, 3], [1.0, 1.0])}
        assert len(said) == 1 and "line 2 cannot be read" in said[0]
    with pytest.raises(DataError, match="not a regular file, but a folder"):
        plots.read_metrics(tmp_path)
    with pytest.raises(DataError, match="not readable"):
        plots.read_metrics(tmp_path / "missing.jsonl")
    with pytest.raises(DataError, match="no records"):
        plots.read_metrics(metrics_file(tmp_path, []))


def test_learning_curves_draw_what_the_run_has(tmp_path, saved):
    records = [
        {"step": i, "loss": 1.0 / i, "nll": 2.0 / i, "gradient_norm": 1.0 * i, "seconds": i} for i in range(1, 200)
    ]
    out = plots.learning_curves(metrics_file(tmp_path, records), tmp_path / "plots" / "curves.png")
    assert out.read_bytes().startswith(b"\x89PNG")
    titles = [axis.get_title(loc="left") for axis in saved[0].axes]
    assert titles == ["Loss terms", "Gradient norms before clipping"]
    raw = saved[0].axes[0].lines[0]
    np.testing.assert_allclose(raw.get_ydata(), [record["loss"] for record in records])
    with pytest.raises(DataError, match="none of the terms"):
        plots.learning_curves(metrics_file(tmp_path, [{"step": 1, "seconds": 2.0}]), tmp_path / "none.png")


def test_an_evaluation_without_matplotlib_goes_without_pictures(tmp_path, monkeypatch):
    from svebm_ext.evaluation.evaluate_model import _plot

    metrics_file(tmp_path, [{"step": 1, "loss": 1.0}])
    with monkeypatch.context() as absent:
        for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
            absent.setitem(sys.modules, name, None)
        _plot(tmp_path, [])
    assert not (tmp_path / "plots").exists()
    _plot(tmp_path, [])
    assert (tmp_path / "plots" / "learning_curves.png").exists()


def test_logged_names_of_a_run_are_those_that_are_drawn():
    drawn = {key for _, _, keys in plots.LEARNING_PANELS for key in keys}
    assert {"loss", "nll", "kl", "energy_positive", "energy_negative", "energy_gap", "mi", "gradient_norm",
            "prior_gradient_norm"} <= drawn  # fmt: skip


def test_density_grid_is_a_density_with_the_second_coordinate_along_rows():
    cells = plots.density_grid(normal(40_000), (-5.0, 5.0), bins=50)
    assert cells.sum() * (10 / 50) ** 2 == pytest.approx(1, abs=1e-3)
    # Peak of a standard normal in the plane, lowered a little by the smoothing of 1.2 cells of .2.
    assert cells.max() == pytest.approx(1 / (2 * np.pi * (1 + 0.24**2)), rel=0.08)
    cells = plots.density_grid(np.full((10, 2), [0.0, 3.0]), (-5.0, 5.0), bins=50)
    assert np.unravel_index(cells.argmax(), cells.shape) == (40, 25)


def test_lost_points_lower_the_density():
    points = normal(1000)
    points[:500] = np.nan
    assert plots.density_grid(points, (-6.0, 6.0)).sum() * 0.01 == pytest.approx(0.5)


def test_figure2_ranges_scales_and_labels(tmp_path, saved):
    densities = {}
    for data_set, scale in (("8 Gaussians", 1.0), ("pinwheel", 6.0)):
        for model in ("SVEBM-IB", "SVEBM"):
            wide = 3.0 if model == "SVEBM" else 1.0
            densities[data_set, model] = plots.PlaneDensities(
                normal(500, scale), normal(500, scale), normal(500, scale * wide), normal(500), normal(500, wide)
            )
    out = plots.figure2(densities, tmp_path / "figure2.png", bins=40)
    assert out.stat().st_size > 10_000
    axes = np.array(saved[0].axes).reshape(4, 5)
    assert [axis.get_title() for axis in axes[0]] == ["true x", "posterior x", "prior x", "posterior z", "prior z"]
    assert [row[0].get_ylabel().split("\n") for row in axes] == [list(key) for key in densities]
    limits = np.array([[axis.get_xlim() for axis in row] for row in axes])
    assert (limits[:2, :3] == limits[0, 0]).all() and (limits[2:, :3] == limits[2, 0]).all()
    assert (limits[:, 3:] == limits[0, 3]).all()
    assert limits[2, 0, 1] > 4 * limits[0, 0, 1]
    # One colour scale for the x panels of a row: a model three times too wide looks faint.
    top = [image.get_clim()[1] for image in (axis.images[0] for axis in axes[1, :3])]
    assert len(set(top)) == 1
    assert axes[1, 2].images[0].get_array().max() < 0.5 * top[0]
    for axis in saved[0].axes:
        assert axis.get_xlim() == axis.get_ylim()


def test_figure2_labels_do_not_overlap(tmp_path, saved):
    row = plots.PlaneDensities(*(normal(300, 25.0) for _ in range(5)))
    plots.figure2({("a data set with a long name", "SVEBM-IB"): row, ("b", "SVEBM"): row}, tmp_path / "f.png", bins=20)
    figure = saved[0]
    figure.canvas.draw()  # saving has laid it out at another resolution
    renderer = figure.canvas.get_renderer()
    boxes = [
        text.get_window_extent(renderer)
        for axis in figure.axes
        for text in (axis.title, axis.yaxis.label, *axis.get_xticklabels(), *axis.get_yticklabels())
        if text.get_text()
    ]
    assert len(boxes) > 60
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_figure2_notes_stand_beside_their_row(tmp_path, saved):
    row = plots.PlaneDensities(*(normal(300) for _ in range(5)))
    key, other = ("a", "SVEBM"), ("b", "SVEBM")
    plots.figure2({key: row, other: row}, tmp_path / "f.png", bins=20, notes={other: "modes 8\nenergy distance 0.1"})
    figure = saved[0]
    figure.canvas.draw()
    (note,) = (text for axis in figure.axes for text in axis.texts)
    panel, box = figure.axes[9].get_window_extent(), note.get_window_extent()
    assert box.x0 > panel.x1 and panel.y0 < box.y0 and box.y1 < panel.y1
    assert box.x1 <= figure.bbox.x1


def test_figure2_needs_points(tmp_path):
    with pytest.raises(DataError, match="no densities"):
        plots.figure2({}, tmp_path / "f.png")
    row = plots.PlaneDensities(normal(3), normal(3), normal(0), normal(3), normal(3))
    with pytest.raises(DataError, match="SVEBM on rings has no points of prior x"):
        plots.figure2({("rings", "SVEBM"): row}, tmp_path / "f.png")


def test_without_matplotlib_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ConfigError, match="svebm_ext\\[plots\\]"):
        plots.learning_curves(metrics_file(tmp_path, [{"step": 1, "nll": 1.0}]), tmp_path / "x.png")


def test_the_users_backend_is_left_alone(tmp_path):
    before = matplotlib.get_backend()
    plots.learning_curves(metrics_file(tmp_path, [{"step": 1, "nll": 1.0}]), tmp_path / "x.png")
    assert matplotlib.get_backend() == before


def test_reliability_diagram_shows_the_bins(tmp_path, saved):
    bins = [(3, 0.55, 0.5), (9, 0.9, 0.8)]
    out = plots.reliability_diagram(bins, tmp_path / "reliability.png", title="news")
    assert out.read_bytes().startswith(b"\x89PNG")
    above, below = saved[0].axes
    assert above.lines[1].get_xydata().tolist() == [[0.55, 0.5], [0.9, 0.8]]
    assert [bar.get_height() for bar in below.patches] == [3, 9]
    with pytest.raises(DataError, match="no predictions"):
        plots.reliability_diagram([], tmp_path / "none.png")


def test_a_few_far_points_do_not_flatten_the_curves_of_rows(tmp_path, saved):
    steps = list(range(20))
    calm, spike = [30.0 - i / 2 for i in steps], [400.0] + [30.0 - i / 2 for i in steps[1:]]
    plots.bounds_of_rows({"a": [(steps, calm)], "b": [(steps, spike)]}, tmp_path / "spike.png", caption="b: no bound.")
    plots.bounds_of_rows({"a": [(steps, calm)], "b": [(steps, calm)]}, tmp_path / "calm.png")
    low = [0.2] + [0.8 + i / 200 for i in steps[1:]]  # accuracies: what lies low is never cut off
    plots.bounds_of_rows({"a": [(steps, low)]}, tmp_path / "low.png", measure="accuracy")
    spiked, plain, accuracy = (figure.axes[0] for figure in saved)
    assert 30.0 < spiked.get_ylim()[1] < 50.0 and 19.0 < spiked.get_ylim()[0] < 20.5
    assert spiked.get_title(loc="left").startswith("b: no bound. Values above 3")
    assert plain.get_ylim()[1] > 30.0 and plain.get_title(loc="left") == ""
    assert accuracy.get_ylim()[0] < 0.2 and accuracy.get_ylim()[1] > 0.895


def test_as_many_rows_as_a_table_has_are_told_apart(tmp_path, saved):
    names = [f"row {number}" for number in range(30)]
    plots.bounds_of_rows({name: [([1, 2], [3.0, 2.0])] for name in names}, tmp_path / "rows.png")
    lines = saved[0].axes[0].lines
    looks = {(line.get_color(), line.get_marker(), str(line.get_linestyle())) for line in lines}
    assert len(lines) == len(looks) == 30
    assert len({(line.get_color(), line.get_marker()) for line in lines}) == 30  # dashes of unequal kinds look alike


@pytest.mark.parametrize(("low", "most"), [(0.3, 6), (0.001, 6)])
def test_logarithmic_axes_have_few_numbers(tmp_path, saved, low, most):
    panel = plots.Panel("I(z, y)", {"a": [low], "b": [4.0]}, {})
    plots.beside_published(["a", "b"], [panel], tmp_path / "m.png")
    axis = saved[0].axes[0]
    shown = [tick for tick in axis.get_xticks() if axis.get_xlim()[0] <= tick <= axis.get_xlim()[1]]
    assert axis.get_xscale() == "log" and 2 <= len(shown) <= most


def test_trade_offs_have_a_line_a_system_and_a_point_a_setting(tmp_path, saved):
    lines = {"vae": [plots.Point(1.0, 9.0, "1"), plots.Point(5.0, 7.0, "0.5")], "svebm": [plots.Point(4.0, 7.0)]}
    panels = [plots.TradeOff("NLL", lines), plots.TradeOff("BLEU", {"svebm": [plots.Point(4.0, 2.0)]})]
    out = plots.trade_offs(panels, tmp_path / "a/b.png", x="rate")
    assert out.stat().st_size > 1000
    first, second = saved[0].axes
    assert [line.get_xydata().tolist() for line in first.lines] == [[[1.0, 9.0], [5.0, 7.0]], [[4.0, 7.0]]]
    assert [text.get_text() for text in first.texts] == ["1", "0.5"] and first.get_xlabel() == "rate"
    # A system looks the same in every panel, and unlike the others.
    assert second.lines[0].get_marker() == first.lines[1].get_marker() != first.lines[0].get_marker()
    assert second.lines[0].get_color() == first.lines[1].get_color() != first.lines[0].get_color()
    assert [text.get_text() for text in saved[0].legends[0].get_texts()] == ["vae", "svebm"]
    with pytest.raises(DataError, match="no points"):
        plots.trade_offs([plots.TradeOff("NLL", {})], tmp_path / "c.png", x="rate")
