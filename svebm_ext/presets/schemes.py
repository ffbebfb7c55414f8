"""Learning schemes that presets of several corpora share."""

from __future__ import annotations

from dataclasses import replace

from svebm_ext.config import Config, ObjectiveConfig, OptimiserConfig, with_changes

Preset = tuple[str, Config]

PAPER = "learning scheme of the paper: Algorithm 1 with persistent chains, w = 1, lambda 50"
RELEASED = "learning scheme of the released code: short-run chains, cyclical w, free bits"


def paper(config: Config, optimiser: OptimiserConfig, **objective: object) -> Config:
    """A preset with the paper's scheme: w = 1, lambda 50, the prior updated first, chains never restarted.

    Args:
        config: the preset.
        optimiser: with the released learning rates.
        objective: further options of the objective.
    """
    scheme = replace(
        config,
        preset=f"{config.preset}-paper",
        chains=replace(config.chains, restart_fraction=0.0),
        objective=ObjectiveConfig(mutual_information=50.0, update="alternating"),
        optimiser=optimiser,
    )
    return with_changes(scheme, {"objective": objective})


def released(config: Config, optimiser: OptimiserConfig, objective: ObjectiveConfig) -> Config:
    """A preset with the released program's scheme: chains from N(0, I), lambda 50 where w > 0, free bits.

    Args:
        config: the preset.
        optimiser: with the released learning rates.
        objective: has the schedule of w; this package's regrouping and its point of labels are taken back.
    """
    return replace(
        config,
        preset=f"{config.preset}-released",
        chains=replace(config.chains, mode="short_run"),
        objective=replace(
            objective,
            mutual_information=50.0,
            mutual_information_always=False,
            mutual_information_encoder=True,
            free_bits=1.0,
            regroup_at=0.0,
            label_at="mean",
        ),
        optimiser=optimiser,
    )
