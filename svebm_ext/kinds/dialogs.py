"""Turns of dialogs, given the turns before them."""

from __future__ import annotations

from collections.abc import Sequence

from svebm_ext.config import Config, DialogModel
from svebm_ext.data.corpus import Split
from svebm_ext.data.dialogs import DialogSplit
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import ConfigError
from svebm_ext.kinds.sentences import Sentences


class Dialogs(Sentences):
    """Responses in dialogs, each with its context."""

    name = "dialogs"

    def encode(
        self,
        split: Split,
        vocabulary: Vocabulary,
        config: Config,
        label: str | None = None,
        classes: Sequence[str] | None = None,
    ) -> DialogSplit:
        """Ids of each turn, and where its context begins; arguments and errors as for `TextKind.encode`."""
        n_turns = DialogModel.of(config.model).context_turns
        return DialogSplit.from_split(split, vocabulary, config.data.max_tokens, label, classes, n_turns=n_turns)

    def check_texts(self) -> None:
        """Refuse texts without a context.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("texts: this model answers turns of a dialog; use SVEBM.respond(contexts)")

    def check_responses(self) -> None:
        """Accept contexts."""
