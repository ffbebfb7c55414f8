"""Words of a user's text, read as the corpus was that a model has learnt from; no corpus is read for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..config import DataConfig
from ..errors import ConfigError
from .subwords import Subwords
from .tokenize import tokenize

if TYPE_CHECKING:
    from .writing import Writing

KEEPS_CASE = ("smd",)
"""Corpora that are read in their own case, whatever `data.lowercase` says."""


def words_of(text: str, data: DataConfig, writing: Writing | None) -> list[str]:
    """Words of a text as those of the configured corpus are read.

    Args:
        text: of a user.
        data: the data section of the model's configuration.
        writing: of the model, which has its subwords.

    Raises:
        ConfigError: subwords are asked for, and the model has none.
    """
    if isinstance(writing, Subwords):
        return writing.words(text)
    if data.tokenization == "bpe":
        raise ConfigError("data.tokenization: bpe given, but the model has no subwords; expected that of its run")
    return tokenize(text, data.tokenization, data.lowercase and data.corpus not in KEEPS_CASE)
