"""Guards: notice a run that has gone wrong, say what to change, keep the last good state."""

from __future__ import annotations

import math
from collections.abc import Callable

from svebm_ext.config import Config
from svebm_ext.errors import TrainingDivergedError
from svebm_ext.training.update import Outcome

#: Consecutive updates that may be skipped for a gradient that is not finite.
MAX_SKIPPED = 10
#: KL below which, once w is at its largest, a posterior counts as collapsed (nats).
COLLAPSED_KL = 0.05
#: Iterations before which a small KL says nothing: z starts out carrying nothing.
COLLAPSE_AFTER = 500
#: Mean of F(z+) - F(z-) in nats beyond which the chains do not sample the prior any more: equal means are what
#: learning it aims at. In the run that the figure is from, gradients gave out a hundred iterations later.
RUNAWAY_GAP = 15.0
#: Decay of that mean at an iteration, which also has to hold for as many iterations as it averages over.
GAP_DECAY = 0.99


class Guards:
    """Looks at every update's outcome.

    Args:
        config: of the run.
        warn: receives one line of text.
    """

    def __init__(self, config: Config, warn: Callable[[str], None]) -> None:
        self._config, self._warn = config, warn
        self._skipped = 0
        self._gap, self._n_gaps = 0.0, 0
        self._warned: set[str] = set()

    def check(self, step: int, outcome: Outcome, weight: float) -> None:
        """Raise or warn.

        Args:
            step: finished iterations.
            outcome: of the last update.
            weight: w of the last update.

        Raises:
            TrainingDivergedError: the loss is not finite, gradients keep being so, or the energy left its range.
        """
        bad = [name for name, value in outcome.terms.items() if not math.isfinite(value)]
        if bad or not math.isfinite(outcome.loss):
            raise TrainingDivergedError(
                f"iteration {step}: {', '.join(bad) or 'the loss'} is not finite. Lower --optimiser.learning-rate or "
                "--optimiser.prior-learning-rate, or set --optimiser.clip; under bf16 try --training.precision fp32"
            )
        self._check_gradients(step, outcome)
        limit = self._config.training.max_energy
        for name in ("energy_positive", "energy_negative"):
            value = outcome.terms.get(name, 0.0)
            if abs(value) > limit:
                raise TrainingDivergedError(
                    f"iteration {step}: mean {name.replace('_', ' ')} is {value:.4g}, beyond training.max-energy "
                    f"{limit:.4g}: the prior has diverged. Take smaller (--chains.step-size) or more "
                    "(--chains.n-steps) Langevin steps, persistent chains, "
                    "--objective.energy-penalty 0.02, or a lower --optimiser.prior-learning-rate"
                )
        self._check_gap(step, outcome)
        settled = step >= COLLAPSE_AFTER and weight >= self._config.objective.kl_weight > 0
        if settled and outcome.terms.get("kl", math.inf) < COLLAPSED_KL:
            self._once(
                "collapsed",
                f"iteration {step}: the posterior has collapsed (KL {outcome.terms.get('kl', 0.0):.3f} nats): z "
                "carries nothing. A longer warm-up (--objective.schedule linear or cyclical), --objective.free-bits, "
                "--objective.bag-of-words or --model.word-dropout may help",
            )

    def _check_gap(self, step: int, outcome: Outcome) -> None:
        """Warn where the energy of the encoder's z runs away from that of the chains."""
        if "energy_negative" not in outcome.terms:
            return
        gap = outcome.terms["energy_positive"] - outcome.terms["energy_negative"]
        self._gap += (1.0 - GAP_DECAY) * (gap - self._gap)
        self._n_gaps += 1
        if self._gap > RUNAWAY_GAP and self._n_gaps > 1.0 / (1.0 - GAP_DECAY):
            self._once(
                "runaway",
                f"iteration {step}: F at the encoder's z has been {self._gap:.0f} nats above F of the chains, and the "
                "prior is about to diverge. Steps are too coarse for an energy so sharp (a smaller "
                "--chains.step-size), or too few to follow it (more --chains.n-steps)",
            )

    def _check_gradients(self, step: int, outcome: Outcome) -> None:
        if math.isfinite(outcome.gradient_norm) and math.isfinite(outcome.prior_gradient_norm):
            self._skipped = 0
            return
        self._skipped += 1
        self._once("gradient", f"iteration {step}: gradient is not finite, the update was skipped")
        if self._skipped >= MAX_SKIPPED:
            raise TrainingDivergedError(
                f"iteration {step}: gradients were not finite for {MAX_SKIPPED} updates in a row. Lower the learning "
                "rates or set --optimiser.clip"
            )

    def _once(self, key: str, message: str) -> None:
        if key not in self._warned:
            self._warned.add(key)
            self._warn(message)
