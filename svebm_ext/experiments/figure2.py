"""Figure 2: SVEBM-IB, SVEBM and DGM-VAE + I on densities of the plane that are known exactly."""

from __future__ import annotations

import contextlib
import functools
import statistics
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from svebm_ext.config import Config
from svebm_ext.errors import ConfigError
from svebm_ext.experiments import table
from svebm_ext.experiments.rows import Budget, Experiment, Results, Row, Run
from svebm_ext.experiments.table import Measure, by_name, report_row, value_of
from svebm_ext.files import JsonMapping, JsonObject, write_json, write_whole
from svebm_ext.presets import preset
from svebm_ext.training.folder import SAMPLES

#: Of the table. `nll_above_entropy` and `energy_distance_p_of_parts`, a list and its mean, are worked out here.
MEASURES = (
    Measure("modes_found", "modes", 1, "higher"),
    Measure("share_at_modes", "share at modes", 3, "higher"),
    Measure("energy_distance", "energy distance", 3, "lower"),
    Measure("energy_distance_p_value", "its p", 2, "higher"),
    Measure("energy_distance_p_mean", "mean p of parts", 2, "higher"),
    Measure("nll", "NLL", 3, "lower"),
    Measure("nll_above_entropy", "NLL - entropy", 3, "lower"),
    Measure("mi", "I(z, y)", 2),
    Measure("homogeneity.mode", "homogeneity", 3, "higher"),
)
FURTHER = (
    Measure("mmd", "MMD", 3, "lower"),
    Measure("true_nll", "-log true p", 3),
    Measure("true_entropy", "entropy", 3),
    Measure("elbo", "ELBO", 3, "higher"),
    Measure("kl", "KL", 2),
    Measure("reconstruction_nll", "NLL given z", 3),
    Measure("log_z_lower", "log Z lower", 2),
    Measure("log_z_upper", "log Z upper", 2),
    Measure("chains_r_hat", "R-hat", 3),
    Measure("symbols_used", "symbols used", 1),
)
SETS = ("gaussians8", "pinwheel")
SYSTEMS = ("dgm-vae-i", "svebm", "svebm-ib")
OWN = ("nll_above_entropy", "energy_distance_p_mean")
#: Points of a part, which the energy distance is tested on by itself.
PART = 1000
PAGE, REPORT_JSON, PICTURE = "figure2.md", "report.json", "figure2.png"


def figure2_rows(budget: Budget) -> dict[str, Config]:
    """Rows of Figure 2: three systems on eight Gaussians and on the pinwheel, each a preset at a budget."""
    presets = {f"{name}-svebm-ib": name for name in SETS}
    names = [f"{name}-{system}" for name in SETS for system in SYSTEMS]
    return {name: _sized(preset(presets.get(name, name)), budget) for name in names}


def _sized(config: Config, budget: Budget) -> Config:
    if budget == "smoke":
        return replace(
            config,
            training=replace(config.training, batch_size=50, max_steps=20),
            evaluation=replace(config.evaluation, importance_samples=10, log_z_chains=64, log_z_temperatures=30),
        )
    if budget == "paper":
        return with_released_settings(config)
    return config


def with_released_settings(config: Config) -> Config:
    """With the settings by which the released code drew Figure 2, chains persistent as in Algorithm 1."""
    eight = config.data.corpus == "gaussians8"
    objective = config.objective
    if objective.mutual_information > 0.0:
        objective = replace(objective, mutual_information=15.0)
    return replace(
        config,
        model=replace(config.model, prior_hidden=(200,), prior_scale=1.0, n_categories=8 if eight else 5),
        chains=replace(
            config.chains, n_chains=2000, n_steps=100, step_size=0.08, metropolis=False, restart_fraction=0.02
        ),
        objective=replace(objective, energy_penalty=0.0),
        optimiser=replace(
            config.optimiser,
            learning_rate=1e-3,
            prior_learning_rate=1e-4,
            prior_weight_decay=0.0,
            schedule="constant",
        ),
        training=replace(config.training, batch_size=500, max_steps=25_000 if eight else 12_000),
    )


# Report ---------------------------------------------------------------------------------------------------------


def report_rows(results: Results) -> list[JsonObject]:
    """Content of report.json: a row for each finished run, with what lies between NLL and entropy."""
    keys = [measure.key for measure in (*MEASURES, *FURTHER) if measure.key not in OWN]
    rows = []
    for run, document in results.documents:
        row = report_row(run, document, results.budget, keys, 1)
        row |= {"epochs": None, "nll_above_entropy": None}  # points without end have no epochs
        row["null_reasons"].setdefault("nll_above_entropy", "NLL was not measured")
        if row["nll"] is not None:
            row["nll_above_entropy"] = row["nll"] - row["true_entropy"]
        parts = _p_of_parts(run.folder / SAMPLES, (run.folder / SAMPLES).stat().st_mtime_ns)
        row |= {"energy_distance_p_of_parts": list(parts), "energy_distance_p_mean": statistics.fmean(parts)}
        rows.append(row)
    return rows


@functools.cache
def _p_of_parts(path: Path, modified: int) -> tuple[float, ...]:
    """p of the energy distance of each part of the generated points to the same part of the test points.

    One p is a draw from 0 to 1 even where both sets have the same density; independent ones tell more.

    Args:
        path: samples of a run.
        modified: when it was written; a run that was measured anew is tested anew.
    """
    from svebm_ext.measures.two_sample import two_sample_test
    from svebm_ext.models.tensor_files import read_tensors

    tensors, _ = read_tensors(path)
    true, generated = (tensors[name].split(PART) for name in ("true_x", "prior_x"))
    return tuple(two_sample_test(a, b, seed=0).p_value for a, b in zip(generated, true, strict=True))


def report(results: Results) -> list[Path]:
    """Write figure2.md and report.json, the measures of all finished rows, and figure2.png, their densities.

    Without matplotlib there is no picture.
    """
    if not results.documents:
        return []
    out, rows = results.place.out, report_rows(results)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / REPORT_JSON, rows)
    pictures: list[Path] = []
    with contextlib.suppress(ConfigError):
        pictures.append(_draw(results, rows, out / PICTURE))
    relative = [path.relative_to(out).as_posix() for path in pictures]
    text = table.render("Figure 2", rows, MEASURES, FURTHER, notes(rows), results, relative)
    write_whole(out / PAGE, text)
    return [out / PAGE, out / REPORT_JSON, *pictures]


def notes(rows: Sequence[JsonMapping]) -> list[str]:
    """What a reader has to know beside the numbers."""
    values = by_seed(rows)
    lines = ["| row | p of the energy distance by seed | of parts, by seed | NLL - entropy by seed |"]
    lines.append("| --- | --- | --- | --- |")
    for name, (p, gap) in values.items():
        parts = [row["energy_distance_p_of_parts"] for row in rows if row["row"] == name]
        texts = "; ".join(", ".join(f"{value:.2f}" for value in own) for own in parts)
        lines.append(f"| {name} | {p} | {texts} | {gap} |")
    return [
        "Modes, energy distance and MMD compare generated points with test points. A sample of the true density itself "
        "has a p that is uniform between 0 and 1: one in five of them has a p below 0.2. Parts are the first thousand "
        "generated and test points, the second, and so on, each tested by itself. NLL - entropy is the "
        "divergence of the model's density from the true one, in nats a point, at the same test points.",
        "\n".join(lines),
        "The picture shows the first seed of each row: test points, reconstructions, generated points, z of the "
        "encoder and z of the prior. Points of x have the observation noise of the generator.",
    ]


def by_seed(rows: Sequence[JsonMapping]) -> dict[str, tuple[str, str]]:
    """By row, p of the energy distance and what lies between NLL and entropy, of each seed in turn."""

    def texts(seeds: Sequence[JsonMapping], key: str, digits: int) -> str:
        figures = [value_of(row, key) for row in seeds]
        return ", ".join("–" if figure is None else f"{figure:.{digits}f}" for figure in figures)

    return {
        name: (texts(seeds, "energy_distance_p_value", 2), texts(seeds, "nll_above_entropy", 3))
        for name, seeds in by_name(rows).items()
    }


def _draw(results: Results, rows: Sequence[JsonMapping], path: Path) -> Path:
    """The densities of the first seed of each row, beside its measures."""
    from svebm_ext import plots
    from svebm_ext.training.points import load_densities, model_name, note

    first: dict[str, tuple[Run, JsonObject]] = {}
    for run, document in results.documents:
        first.setdefault(run.row.name, (run, document))
    values, counts = by_seed(rows), {name: len(seeds) for name, seeds in by_name(rows).items()}
    densities: dict[tuple[str, str], plots.PlaneDensities] = {}
    beside: dict[tuple[str, str], str] = {}
    for name, (run, document) in first.items():
        key = (str(run.config.data.corpus), model_name(run.config))
        densities[key] = load_densities(run.folder)
        beside[key] = note(document)
        if counts[name] > 1:
            beside[key] += f"\nall seeds: p {values[name][0]}\nNLL - entropy {values[name][1]}"
    return plots.figure2(densities, path, notes=beside)


def show(results: Results) -> None:
    """Print the table."""
    if results.documents:
        table.print_table(f"Figure 2, budget {results.budget}", report_rows(results), MEASURES)


FIGURE2 = Experiment(
    title="Figure 2",
    names=tuple(f"{name}-{system}" for name in SETS for system in SYSTEMS),
    make_row=lambda name, budget: Row(name, figure2_rows(budget)[name]),
    report=report,
    show=show,
)
