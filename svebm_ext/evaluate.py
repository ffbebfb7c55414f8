"""`python -m svebm_ext.evaluate RUN`: measure a trained model on its test split."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from svebm_ext.commands import LARGEST_SEED, check_numbers, check_run, load_model, parse_with_run, run_command
from svebm_ext.config import DataConfig, EvaluationConfig, options_of, validate, with_absolute_paths
from svebm_ext.errors import ConfigError
from svebm_ext.files import JsonObject
from svebm_ext.terminal import printable_json, show
from svebm_ext.training.folder import check_trained, read_run_config

if TYPE_CHECKING:
    from svebm_ext.training.runtime import Runtime


@dataclass(frozen=True)
class Arguments:
    """Options; defaults of the groups are the run's own."""

    data: DataConfig
    evaluation: EvaluationConfig
    all: bool = False
    """Print every measure, not only those that are read first."""
    json: bool = False
    """Print metrics.json instead of a table."""
    seed: int = 0
    """Seed of the evaluation's random numbers."""
    device: str = "auto"
    """Device: auto, cpu, cuda, or cuda:N."""


def default_arguments(run: str | None) -> Arguments:
    """Options with those of the run."""
    if run is None:
        return Arguments(DataConfig(), EvaluationConfig())
    config = read_run_config(Path(run))
    return Arguments(config.data, config.evaluation)


def main(arguments: Sequence[str]) -> None:
    """Measure the model of a run folder; prints what it finds, then writes metrics.json and report.md there."""
    given, options = parse_with_run(
        Arguments,
        arguments,
        command="evaluate",
        description=(
            "Measure a trained model on its test split; writes RUN/metrics.json and RUN/report.md. Options of data and "
            "evaluation default to those of the run, which RUN --help shows: --data.test FILE takes another test file."
        ),
        default=default_arguments,
    )
    check_numbers(options, seed=(0, LARGEST_SEED))
    check_run(Path(given))
    from svebm_ext.training.runtime import Runtime

    with Runtime.of_command(options.device) as runtime:
        _evaluate(Path(given), options, runtime)


def _evaluate(run: Path, options: Arguments, runtime: Runtime) -> None:

    config = read_run_config(run)
    in_groups = functools.partial(print_document, all_measures=options.all)
    show_document: Callable[[JsonObject], None] = show_as_json if options.json else in_groups
    if options_of(config.model).is_generated:
        if options.data != config.data:
            raise ConfigError(f"--data: {run} is a model of points, which are generated; expected no options of data")
        from svebm_ext.training.points import evaluate_points

        check_trained(run)
        if runtime.is_main:  # some thousand points are not worth the messages
            device = str(runtime.device)
            evaluate_points(run, seed=options.seed, evaluation=options.evaluation, device=device, show=show_document)
        return
    from svebm_ext.data.corpora import load_configured
    from svebm_ext.data.corpus import texts_digest
    from svebm_ext.evaluation.evaluate_model import evaluate_run

    model = load_model(run, runtime.device)
    data = with_absolute_paths(options.data)
    model.config = dataclasses.replace(model.config, data=data, evaluation=options.evaluation)
    validate(model.config)
    corpus = load_configured(data, model.writing)
    if data == config.data and model.texts_sha256 not in (None, texts_digest(corpus)):
        note = f"the texts of {data.train} are not those that the model was trained on"
        corpus = dataclasses.replace(corpus, notes=(*corpus.notes, note))
    evaluate_run(run, model, corpus, seed=options.seed, show=show_document, processes=runtime)


def show_as_json(document: JsonObject) -> None:
    """Print metrics.json."""
    show(printable_json(json.dumps(document, indent=2)))


def print_document(document: JsonObject, *, all_measures: bool = False) -> None:
    """Print metrics.json as a table."""
    from svebm_ext.evaluation.summary import print_summary

    print_summary(document, all_measures=all_measures)


if __name__ == "__main__":
    run_command(main)
