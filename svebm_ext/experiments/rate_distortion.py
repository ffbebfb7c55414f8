"""Rate against distortion on Penn Treebank, with the priors that stand on the same z."""

from __future__ import annotations

from svebm_ext.experiments import rate_distortion_report as report
from svebm_ext.experiments.rate_distortion_rows import (
    PRIORS,
    ROWS,
    SETTINGS,
    families_of,
    kept_priors,
    make_row,
    plain,
)
from svebm_ext.experiments.rows import Budget, Experiment, Further, Run
from svebm_ext.files import write_json
from svebm_ext.terminal import say


class Measured(Further):
    """Priors on the z of a finished run, learnt and measured: priors.json, which grows by one prior at a time."""

    def __init__(self, budget: Budget) -> None:
        self.settings = SETTINGS[budget]

    def done(self, run: Run) -> bool:
        """Whether priors.json has all of them."""
        return kept_priors(run.folder, self.settings).keys() >= set(families_of(run))

    def work(self, run: Run) -> None:
        """Learn and measure those that are missing; an interruption loses the one at work."""
        from svebm_ext.experiments.rate_distortion_priors import Priors

        entries = dict(kept_priors(run.folder, self.settings))
        missing = [family for family in families_of(run) if family not in entries]
        if not missing:
            return
        priors = Priors(run, self.settings, say)
        for family in missing:
            say(f"{run.label}: prior {family}")
            entries[family] = priors.measured(family)
            write_json(run.folder / PRIORS, {"settings": plain(self.settings), "priors": entries})


RATE_DISTORTION = Experiment(
    title="Rate against distortion on Penn Treebank",
    names=tuple(ROWS),
    make_row=make_row,
    report=report.report,
    show=report.show,
    further=Measured,
    budgets=("smoke", "cpu", "long"),
)
