"""`python -m svebm_ext.evaluate RUN`: measure a trained model on its test split."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from svebm_ext.commands import parse, run_command
from svebm_ext.config import DataConfig, EvaluationConfig, validate
from svebm_ext.errors import ConfigError


@dataclass(frozen=True)
class Arguments:
    """Options; defaults of the groups are the run's own."""

    data: DataConfig
    evaluation: EvaluationConfig
    json: bool = False
    """Print metrics.json instead of a table."""
    seed: int = 0
    """Seed of the evaluation's random numbers."""
    device: str = "auto"
    """Device: auto, cpu, cuda, or cuda:N."""


def main(arguments: Sequence[str]) -> None:
    """Measure the model of a run folder; writes metrics.json and report.md there."""
    rest = list(arguments)
    if rest and not rest[0].startswith("-"):
        run = Path(rest.pop(0))
    elif "--help" in rest or "-h" in rest:
        run = None
    else:
        raise ConfigError("RUN: missing; usage: python -m svebm_ext.evaluate RUN [--json] [options]")
    from svebm_ext.models.svebm import SVEBM
    from svebm_ext.training.runtime import Runtime

    if run is None:
        base = Arguments(DataConfig(), EvaluationConfig())
    else:
        from svebm_ext.training.run import read_run_config

        config = read_run_config(run)
        base = Arguments(config.data, config.evaluation)
    options: Arguments = parse(
        Arguments, rest, default=base, prog="python -m svebm_ext.evaluate RUN",
        description="Measure a trained model on its test split; writes RUN/metrics.json and RUN/report.md.",
    )  # fmt: skip
    assert run is not None  # --help has ended the program
    if config.model.kind == "points":
        from svebm_ext.training.points import evaluate_points

        device_name = str(Runtime.start(options.device).device)
        document = evaluate_points(run, seed=options.seed, evaluation=options.evaluation, device=device_name)
    else:
        from svebm_ext.data.corpora import load_configured
        from svebm_ext.data.corpus import texts_digest
        from svebm_ext.evaluation.evaluate_model import evaluate_run

        device = Runtime.start(options.device).device
        model = SVEBM.from_pretrained(run, device)
        model.config = dataclasses.replace(model.config, data=options.data, evaluation=options.evaluation)
        validate(model.config)
        corpus = load_configured(options.data, model.writing)
        if options.data == config.data and model.texts_sha256 not in (None, texts_digest(corpus)):
            note = f"the texts of {options.data.train} are not those that the model was trained on"
            corpus = dataclasses.replace(corpus, notes=(*corpus.notes, note))
        document = evaluate_run(run, model, corpus, seed=options.seed)
    if options.json:
        print(json.dumps(document, indent=2))
    else:
        from svebm_ext.evaluation.evaluate_model import print_summary

        print_summary(document)


if __name__ == "__main__":
    run_command(main)
