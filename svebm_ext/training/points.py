"""2-D runs: the models of Figure 2 on densities that are known exactly."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from svebm_ext import __version__
from svebm_ext.config import Config, EvaluationConfig, to_dict, validate
from svebm_ext.errors import ConfigError, DataError, ModelFolderError
from svebm_ext.evaluation.evaluate_points import PointEvaluator
from svebm_ext.evaluation.report import ReportContext, metrics_document, write_document
from svebm_ext.files import JsonObject
from svebm_ext.kinds import Points, kind_of
from svebm_ext.models.folder import CONFIG, WEIGHTS
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.models.networks import networks_of
from svebm_ext.models.pretrained import expected_tensors
from svebm_ext.models.tensor_files import check_finite, load_parameters, read_tensors, write_tensors
from svebm_ext.plots import PlaneDensities, can_draw, figure2, learning_curves
from svebm_ext.terminal import flush_output, say
from svebm_ext.training.callbacks import Callback
from svebm_ext.training.checkpoint import check_networks
from svebm_ext.training.feeds import PointFeed
from svebm_ext.training.folder import SAMPLES, read_run_config, resumable
from svebm_ext.training.loop import Trainer
from svebm_ext.training.resuming import check_unchanged
from svebm_ext.training.running import Run
from svebm_ext.training.runtime import Runtime

Show = Callable[[JsonObject], None]


class PointRun(Run):
    """A run of a 2-D model; arguments and errors are those of `Run`."""

    networks: LatentVariableModel

    def check(self) -> None:
        """Refuse what is no model of points that can be drawn (ConfigError)."""
        Points.check_drawn(self.config)

    def prepare(self) -> Trainer:
        """Fresh networks, and points without end."""
        if self.resume:
            told = check_unchanged(read_run_config(self.out), self.config, self.out)
            if told is not None and self.runtime.is_main:
                say(told)
            check_networks(resumable(self.out), expected_tensors(self.config, 0, self.out))
        torch.manual_seed(self.config.seed)
        self.networks = networks_of(self.config, 0)
        feed = PointFeed(self.config, self.runtime)
        return Trainer(self.config, self.networks, feed, self.out, self.runtime, callbacks=self.callbacks)

    def description(self) -> JsonObject:
        """What config.json holds."""
        return {"format": 1, "config": to_dict(self.config), "label_names": []}

    def save(self) -> None:
        """Write the weights."""
        _write_tensors(self.out / WEIGHTS, self.networks.state_dict())


def train_points(
    config: Config,
    out: Path,
    *,
    resume: bool = False,
    runtime: Runtime | None = None,
    evaluate: bool = True,
    show: Show | None = None,
    callbacks: Sequence[Callback] = (),
) -> JsonObject | None:
    """Train a 2-D model, write its folder and measure it.

    Args:
        config: of the run.
        out: run folder; must be new or empty unless resuming.
        resume: continue from the folder's last checkpoint.
        runtime: device and processes; started from the configuration when absent.
        evaluate: measure the model when it is trained.
        show: receives the content of metrics.json before it is written.
        callbacks: are told what the run logs (`svebm_ext.training.callbacks`).

    Returns:
        The content of metrics.json; None if not evaluated, or not on the main process.

    Raises:
        ConfigError, ModelFolderError: before any training.
        TrainingDivergedError, Interrupted: see `Trainer.run`.
    """
    run = PointRun(config, out, resume=resume, runtime=runtime, callbacks=callbacks)
    run.train()
    return _evaluate(out, config, run.networks, seed=0, show=show) if run.runtime.is_main and evaluate else None


def evaluate_points(
    run: Path,
    *,
    seed: int = 0,
    evaluation: EvaluationConfig | None = None,
    device: str = "cpu",
    show: Show | None = None,
) -> JsonObject:
    """Measure the model of a run folder; writes metrics.json, report.md and the pictures there.

    Args:
        run: run folder.
        seed: of the test points and every random number.
        evaluation: sample counts; default the run's own.
        device: cpu, cuda, cuda:N, or auto.
        show: receives the content of metrics.json before it is written.

    Returns:
        The content of metrics.json; its keys are documented in `measures.documentation.METRIC_DOCUMENTATION`.

    Raises:
        ModelFolderError: no run folder, a damaged one, or one whose training has not ended.
        ConfigError: a model of text.
    """
    config, model = load_points(run)
    if evaluation is not None:
        config = dataclasses.replace(config, evaluation=evaluation)
        validate(config)
    return _evaluate(run, config, model.to(Runtime.alone(device).device), seed=seed, show=show)


def load_points(run: Path) -> tuple[Config, LatentVariableModel]:
    """Configuration and trained networks of a run folder. Errors are those of `evaluate_points`."""
    config = read_run_config(run)
    try:
        validate(config)
    except ConfigError as error:
        raise ModelFolderError(f"{run / CONFIG}: {error}") from error
    if kind_of(config.model).has_words:
        raise ConfigError(f"{run}: holds a model of {config.model.kind}, not of points")
    Points.check_drawn(config)
    # Sizes are compared before any memory is taken, which a hostile configuration would ask for without measure.
    tensors, _ = read_tensors(run / WEIGHTS, expected_tensors(config, 0, run))
    model = networks_of(config, 0)
    load_parameters(model, tensors, str(run / WEIGHTS))
    return config, model.eval()


def load_densities(run: Path) -> PlaneDensities:
    """Points of the five densities of an evaluated run.

    Raises:
        ModelFolderError: the run has not been evaluated, or the file is damaged.
    """
    tensors, _ = read_tensors(run / SAMPLES)
    names = [field.name for field in dataclasses.fields(PlaneDensities)]
    points = all(t.ndim == 2 and t.shape[1] == 2 and t.dtype == torch.float32 for t in tensors.values())
    if set(tensors) != set(names) or not points:
        raise ModelFolderError(f"{run / SAMPLES}: expected points of the plane by the names {', '.join(names)}")
    for name in names:
        check_finite(name, tensors[name], str(run / SAMPLES))
    return PlaneDensities(**{name: tensors[name].numpy() for name in names})


def model_name(config: Config) -> str:
    """Name of a configuration's model in the paper."""
    if config.model.latent == "mixture":
        name = "GM-VAE" if config.objective.dispersion == 1.0 else "DGM-VAE"
        return name if config.objective.category_information else f"{name} + I"
    if config.model.latent != "energy":
        return "VAE"
    return "SVEBM-IB" if config.objective.mutual_information > 0 else "SVEBM"


def note(document: JsonObject) -> str:
    """The main measures of metrics.json, for the margin of a picture."""

    def text(key: str) -> str:
        value = document.get(key)
        value = value.get("mode") if isinstance(value, dict) else value
        return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)

    return "\n".join(
        (
            f"modes {text('modes_found')}, at modes {text('share_at_modes')}",
            f"energy distance {text('energy_distance')}",
            f"p-value {text('energy_distance_p_value')}, MMD {text('mmd')}",
            f"NLL {text('nll')}, entropy {text('true_entropy')}",
            f"-log true p: {text('true_nll')}",
            f"I(z, y) {text('mi')}",
            f"homogeneity {text('homogeneity')}",
        )
    )


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    write_tensors(path, tensors, {"format": "pt", "svebm_ext": __version__})


def _evaluate(
    run: Path,
    config: Config,
    model: LatentVariableModel,
    *,
    seed: int,
    show: Show | None,
) -> JsonObject:
    evaluation, samples = PointEvaluator(model, config, seed=seed).run()
    context = ReportContext(
        title=f"{model_name(config)} on {config.data.corpus}",
        configuration=to_dict(config),
        seed=seed,
        device=str(next(model.parameters()).device),
        sample_counts=evaluation.counts,
        warnings=evaluation.warnings,
        remarks=evaluation.remarks,
    )
    document = metrics_document(evaluation.metrics, context, evaluation.reasons)
    try:
        if show is not None:
            show(document)
            flush_output()
    finally:  # what cannot be printed is written all the same
        _write(run, config, context, document, samples.tensors())
    return document


def _write(run: Path, config: Config, context: ReportContext, document: JsonObject, samples: dict[str, Tensor]) -> None:
    """Files of what was measured."""
    _write_tensors(run / SAMPLES, samples)
    _draw(run, config, document)
    write_document(run, document, context)  # last: with metrics.json all that belongs to it is there


def _draw(run: Path, config: Config, document: JsonObject) -> None:
    """Pictures of the run, where matplotlib is installed."""
    if not can_draw(say):
        return
    key = (config.data.corpus, model_name(config))
    figure2({key: load_densities(run)}, run / "plots" / "figure2.png", notes={key: note(document)})
    if (run / "metrics.jsonl").exists():
        title = f"{key[1]} on {key[0]}"
        with contextlib.suppress(DataError):  # a log without a record
            learning_curves(run / "metrics.jsonl", run / "plots" / "learning_curves.png", title=title)
