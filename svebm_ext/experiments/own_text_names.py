"""Names of the rows of `own-text`: what each says."""

from __future__ import annotations

from svebm_ext.experiments.own_text_data import READERS

#: Labels of each class by the part of a name that tells them (0: all).
COUNTS = {"5": 5, "10": 10, "50": 50, "all": 0}


def split_name(name: str) -> tuple[str, str, int]:
    """Corpus, method, and labels of each class (0: all; -1: none) of a row."""
    corpus = max((one for one in READERS if name.startswith(f"{one}-")), key=len)
    rest = name[len(corpus) + 1 :]
    count, _, method = rest.partition("-")
    return (corpus, method, COUNTS[count]) if count in COUNTS else (corpus, rest, -1)
