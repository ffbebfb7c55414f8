"""Guards: notice a run that has gone wrong, say what to change, keep the last good state."""

from __future__ import annotations

import math
from collections.abc import Callable

from svebm_ext.config import Config, options_of
from svebm_ext.errors import TrainingDivergedError
from svebm_ext.files import JsonObject
from svebm_ext.training.saved_state import Fields
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
#: Mean of the smaller of |F(z+)| and |F(z-)|, in nats, beyond which F has run away with the chains behind it. log Z and
#: F of runs that end well are at most 40 to 60.
RUNAWAY_LEVEL = 200.0
#: I(z, y) below which, once w is at its largest, the symbols say nothing of the texts (nats).
LOST_INFORMATION = 0.05
#: Share of the texts above which one symbol has too many, and share of the symbols below which too few are in use.
LARGEST_SYMBOL, SYMBOLS_IN_USE = 0.5, 0.5


def cure(config: Config) -> str:
    """What to change where an energy that is learnt together with the networks goes wrong.

    Smaller Langevin steps are no part of it: on text of a user's own, F runs away sooner with them.
    """
    objective = config.objective
    penalty = "--objective.energy-penalty 0.02"
    guided = objective.pseudo_label_weight > 0 and objective.pseudo_labels == "words"
    forgets_labels = objective.label_weight > 0 and not guided
    if not options_of(config.model).has_second_stage or forgets_labels or objective.regroup_at > 0:
        return f"Bound it with {penalty}"
    return (
        "Learn the energy after the networks (--training.prior-stage second --training.prior-steps 1000), or bound it "
        f"with {penalty}"
    )


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
        self._level = 0.0
        self._information, self._n_informed = 0.0, 0
        self._warned: set[str] = set()

    def state(self) -> JsonObject:
        """Running means and counts, ready for JSON: with them a resumed run stops where an uninterrupted one would."""
        return {
            "skipped": self._skipped,
            "gap": self._gap,
            "n_gaps": self._n_gaps,
            "level": self._level,
            "information": self._information,
            "n_informed": self._n_informed,
            "warned": sorted(self._warned),
        }

    def load(self, state: object, where: str = "guards") -> None:
        """Take back what `state` gave.

        Args:
            state: as `state` gave it.
            where: file, and place in it, for errors.

        Raises:
            ModelFolderError: an entry that is missing, unknown, or something else.
        """
        fields = Fields(state, where)
        fields.only(*self.state())
        self._skipped, self._n_gaps = fields.integer("skipped"), fields.integer("n_gaps")
        self._gap, self._level = fields.number("gap"), fields.number("level", least=0.0)
        self._information, self._n_informed = fields.number("information"), fields.integer("n_informed")
        self._warned = set(fields.texts("warned"))

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
                    f"{limit:.4g}: the prior has diverged. {cure(self._config)}"
                )
        self._check_level(step, outcome)
        self._check_gap(step, outcome)
        self._check_information(step, outcome, weight)
        if (
            self._config.objective.kl_weight > 0
            and self._settled(step, weight)
            and outcome.terms.get("kl", math.inf) < COLLAPSED_KL
        ):
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
                f"prior is about to diverge. {cure(self._config)}",
            )

    def _check_level(self, step: int, outcome: Outcome) -> None:
        """Stop where F runs away although the chains keep up with it: no gap tells of that."""
        if "energy_negative" not in outcome.terms:
            return
        positive, negative = outcome.terms["energy_positive"], outcome.terms["energy_negative"]
        level = min(abs(positive), abs(negative)) if positive * negative > 0 else 0.0
        self._level += (1.0 - GAP_DECAY) * (level - self._level)
        if self._level > RUNAWAY_LEVEL:
            raise TrainingDivergedError(
                f"iteration {step}: F at the encoder's z and F of the chains run away together (now {positive:.4g} and "
                f"{negative:.4g} nats): the prior has diverged. {cure(self._config)}"
            )

    def _check_information(self, step: int, outcome: Outcome, weight: float) -> None:
        """Warn where the symbols stay without information although the objective asks for it."""
        wanted = self._config.objective.mutual_information > 0 and self._config.model.n_categories > 1
        if not wanted or "mi" not in outcome.terms or not self._settled(step, weight):
            return
        value = outcome.terms["mi"]
        self._n_informed += 1
        # A plain mean as long as there are fewer values than the running one averages over.
        self._information += max(1.0 - GAP_DECAY, 1.0 / self._n_informed) * (value - self._information)
        if self._information < LOST_INFORMATION and self._n_informed > 1.0 / (1.0 - GAP_DECAY):
            self._once(
                "information",
                f"iteration {step}: the symbols carry nothing (I(z, y) {self._information:.3f} nats): all texts have "
                f"the same one. {cure(self._config)}",
            )

    def _settled(self, step: int, weight: float) -> bool:
        """Whether w is at its largest, and z has had the time to carry something."""
        return step >= COLLAPSE_AFTER and weight >= self._config.objective.kl_weight

    def accept(
        self, step: int, measured: dict[str, float], weight: float, *, n_texts: int = 0, largest_class: float = 0.0
    ) -> bool:
        """Whether a validated state may become the best one; warns where it tells of a run that goes wrong.

        Args:
            step: finished iterations.
            measured: what `Validator.measure` gave.
            weight: w of the last update.
            n_texts: validation texts that were measured.
            largest_class: share of the labelled ones among them that the largest class has; 0 where none are.
        """
        if self._settled(step, weight):
            self._check_symbols(step, measured, n_texts, largest_class)
        bounded = options_of(self._config.model).is_validated and self._config.objective.kl_weight > 0
        if bounded and measured["valid_bound"] < 0.0:
            self._once(
                "bound",
                f"iteration {step}: the validation bound is {measured['valid_bound']:.1f} nats, but no text has a "
                f"probability above 1: F has left what log Z can be estimated for, and this state is never taken as "
                f"the best. {cure(self._config)}",
            )
            return False
        return self._level <= 0.5 * RUNAWAY_LEVEL

    def _check_symbols(self, step: int, measured: dict[str, float], n_texts: int, largest_class: float) -> None:
        """Warn where one symbol has most of the texts, or most symbols have none."""
        if "valid_symbols_used" not in measured:
            return
        share, used = measured["valid_largest_symbol"], int(measured["valid_symbols_used"])
        asked = min(self._config.model.n_categories, n_texts)
        joint = self._config.training.prior_stage == "joint"
        advice = cure(self._config) if joint else "Ask for fewer symbols (--model.n-categories), or take another --seed"
        if share > LARGEST_SYMBOL and largest_class <= LARGEST_SYMBOL:
            self._once("largest", f"iteration {step}: one symbol has {share:.0%} of the validation texts. {advice}")
        if used < SYMBOLS_IN_USE * asked:
            self._once("unused", f"iteration {step}: {used} of {asked} symbols are in use. {advice}")

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
