"""Figure 2: SVEBM and SVEBM-IB on densities of the plane that are known exactly."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from svebm_ext.config import Config
from svebm_ext.errors import ConfigError
from svebm_ext.experiments.rows import Budget, Experiment, Results, Row
from svebm_ext.files import JsonObject
from svebm_ext.presets import preset

MEASURES = (
    "modes_found", "share_at_modes", "energy_distance", "energy_distance_p_value", "mmd", "true_nll",
    "true_entropy", "nll", "elbo", "log_z_lower", "log_z_upper", "mi", "symbols_used", "homogeneity",
)  # fmt: skip


def figure2_rows(budget: Budget) -> dict[str, Config]:
    """Rows of Figure 2: SVEBM and SVEBM-IB on eight Gaussians and on the pinwheel.

    SVEBM is SVEBM-IB with lambda = 0. At the small budget it also goes without the decay that keeps symbols apart,
    which only blurs a prior that has no symbols to keep, and its prior can learn faster; the released settings do not
    have the decay.
    """
    rows = {}
    for name in ("gaussians8", "pinwheel"):
        with_ib = _sized(preset(name), budget)
        without = replace(with_ib, objective=replace(with_ib.objective, mutual_information=0.0))
        if budget != "paper":
            without = replace(
                without,
                objective=replace(without.objective, energy_penalty=0.005),
                optimiser=replace(without.optimiser, prior_learning_rate=2e-3, prior_weight_decay=0.0),
            )
        rows[f"{name}-svebm"], rows[f"{name}-svebm-ib"] = without, with_ib
    return rows


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
    corpus = config.data.corpus
    base = preset(corpus)
    return replace(
        config,
        model=replace(base.model, prior_hidden=(200,), prior_scale=1.0, n_categories=8 if "8" in corpus else 5),
        chains=replace(base.chains, n_chains=2000, n_steps=100, step_size=0.08),
        objective=replace(base.objective, mutual_information=15.0, energy_penalty=0.0),
        optimiser=replace(
            base.optimiser, learning_rate=1e-3, prior_learning_rate=1e-4, prior_weight_decay=0.0, schedule="constant"
        ),
        training=replace(base.training, batch_size=500, max_steps=25_000 if "8" in corpus else 12_000),
    )


def report(results: Results) -> list[Path]:
    """Write figure2.md, the measures of all finished rows, and figure2.png, their densities.

    Without matplotlib there is no picture.
    """
    from svebm_ext import plots
    from svebm_ext.training.points import load_densities, model_name, note

    if not results.documents:
        return []
    several = len({run.config.seed for run, _ in results.documents}) > 1
    densities: dict[tuple[str, str], plots.PlaneDensities] = {}
    notes: dict[tuple[str, str], str] = {}
    columns: dict[str, tuple[Config, dict[str, object]]] = {}
    for run, document in results.documents:
        seed = f", seed {run.config.seed}" if several else ""
        key = (str(run.config.data.corpus), model_name(run.config) + seed)
        densities[key], notes[key] = load_densities(run.folder), note(document)
        columns[run.row.name + seed] = (run.config, document)
    out = results.place.out
    written = [write_table("Figure 2", columns, MEASURES, out / "figure2.md")]
    with contextlib.suppress(ConfigError):
        written.append(plots.figure2(densities, out / "figure2.png", notes=notes))
    return written


def write_table(
    title: str, columns: Mapping[str, tuple[Config, JsonObject]], measures: Sequence[str], path: Path
) -> Path:
    """Write the measures of all rows as a Markdown table, with what each was measured on."""
    from svebm_ext.files import write_whole
    from svebm_ext.measures.documentation import METRIC_DOCUMENTATION

    names = list(columns)
    lines = [f"# {title}", "", f"| measure | {' | '.join(names)} | unit |", "|" + "---|" * (len(names) + 2)]
    for key in measures:
        cells = [_text(document.get(key)) for _, document in columns.values()]
        lines.append(f"| {key} | {' | '.join(cells)} | {METRIC_DOCUMENTATION[key].unit} |")
    lines.append("")
    for name, (config, document) in columns.items():
        about = document["about"]
        counts = ", ".join(f"{count:,} {what}" for what, count in about["sample_counts"].items())
        lines.append(
            f"- {name}: training seed {config.seed}, {config.training.max_steps:,} iterations of "
            f"{config.training.batch_size}; evaluation seed {about['seed']}, commit {about['commit']}, device "
            f"{about['device']}; {counts}. Configuration: config.json of the run's folder."
        )
        lines += [f"  **Warning:** {warning}" for warning in about["warnings"]]
    write_whole(path, "\n".join(lines) + "\n")
    return path


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_text(item)}" for name, item in value.items())
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


FIGURE2 = Experiment(
    title="Figure 2",
    names=("gaussians8-svebm", "gaussians8-svebm-ib", "pinwheel-svebm", "pinwheel-svebm-ib"),
    make_row=lambda name, budget: Row(name, figure2_rows(budget)[name]),
    report=report,
)
