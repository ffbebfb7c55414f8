"""What a program may be told while a run goes on."""

from __future__ import annotations

from svebm_ext.files import JsonObject


class Callback:
    """Is told what a run writes to metrics.jsonl, as it is written; override what you need.

    On one process of several, the main one. An error that it raises ends the run, whose last checkpoint stays. A
    resumed run tells what comes after its checkpoint, and a run that has recovered tells iterations again.
    """

    def on_step(self, record: JsonObject) -> None:
        """An iteration was logged (every `training.log_every`).

        Args:
            record: its number `step`, from 1, loss terms and rates by name (docs/metrics.md).
        """

    def on_validation(self, record: JsonObject) -> None:
        """The model was measured on held-out examples (every `training.validate_every`).

        Args:
            record: the number `step` of the iteration before, and measures by name, such as `valid_bound` in nats.
        """
