"""Sentences that were ended by the longest length and not by the model, marked for whoever reads them."""

from __future__ import annotations

#: Stands behind a sentence that would go on.
CUT = " ..."


def marked(text: str, n_words: int, max_words: int) -> str:
    """A decoded text, with CUT behind it where it has as many words as were allowed: its end was not decoded.

    Files that programs read hold the text as it is.
    """
    return text + CUT if n_words >= max_words else text
