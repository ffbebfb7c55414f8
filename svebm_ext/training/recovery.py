"""How a run whose energy has run away goes on: from its last good state, with an energy that is held back."""

from __future__ import annotations

from dataclasses import replace

from svebm_ext.config import Config

#: Weight of the penalty on F from the first recovery on, unless the run has a larger one: with it, F of runs that
#: diverged otherwise stays bounded.
PENALTY = 0.02


def recovered(config: Config, n: int) -> Config:
    """The configuration after n recoveries: the penalty from the first on, from the second on half the prior's step.

    Args:
        config: as the run was given it.
        n: recoveries so far; 0 leaves everything as it is.
    """
    if n == 0:
        return config
    rate = config.optimiser.prior_learning_rate * 0.5 ** (n - 1)
    return replace(
        config,
        objective=replace(config.objective, energy_penalty=max(config.objective.energy_penalty, PENALTY)),
        optimiser=replace(config.optimiser, prior_learning_rate=rate),
    )


def describe_recovery(config: Config, step: int, n: int) -> str:
    """One line of text about what goes on.

    Args:
        config: after the recovery.
        step: iteration that the run goes back to.
        n: recoveries, with this one.
    """
    return (
        f"recovery {n} of {config.training.recoveries}: the run goes on from iteration {step} with new chains, "
        f"energy-penalty {config.objective.energy_penalty:g} and prior-learning-rate "
        f"{config.optimiser.prior_learning_rate:g}"
    )
