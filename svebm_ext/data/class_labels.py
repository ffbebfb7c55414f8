"""Texts and their classes in memory, as scikit-learn's estimators take them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from svebm_ext.errors import ConfigError, DataError, nearest
from svebm_ext.files import write_whole

#: Classes that an error lists.
SHOWN = 20
#: Files that `written` writes.
TEXTS, LABELLED = "texts.jsonl", "labelled.jsonl"


def each_checked_text(X: Iterable[object]) -> Iterator[str]:
    """Texts of anything that has some, one after the other; of a generator no more than one is kept.

    Raises:
        DataError: one text in place of many, or something among them that is no text; the message names its place.
    """
    if isinstance(X, (str, bytes)) or not isinstance(X, Iterable):
        raise DataError(f"X: {type(X).__name__} given, expected a list of texts")
    if isinstance(X, Mapping | set | frozenset) or hasattr(X, "columns") or getattr(X, "ndim", 1) != 1:
        raise DataError(
            f"X: {type(X).__name__} given, expected a list of texts; of a table give the column of the texts"
        )
    return _checked(X.tolist() if hasattr(X, "tolist") else X)


def _checked(texts: Iterable[object]) -> Iterator[str]:
    number = -1
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"X: text {number} is {type(text).__name__}, expected a string")
        if not text.strip():
            raise DataError(f"X: text {number} is empty, expected at least one word")
        yield text
    if number < 0:
        raise DataError("X: no texts given, expected a list of texts")


def listed_texts(X: Iterable[object]) -> list[str]:
    """Texts of anything that has some, as a list; errors as those of `each_checked_text`."""
    return list(each_checked_text(X))


def listed_labels(y: object, n: int) -> list[object] | None:
    """Labels, None where a text has none; None where no text has one.

    Raises:
        DataError: another number of them, one class only, or a number that is no class.
    """
    if hasattr(y, "columns") or getattr(y, "ndim", 1) != 1:
        raise DataError(
            f"y: {type(y).__name__} given, expected a list of labels; of a table give the column of the labels"
        )
    if not isinstance(y, Iterable):
        raise DataError(f"y: {type(y).__name__} given, expected a list of labels")
    values: list[object] = y.tolist() if hasattr(y, "tolist") else list(y)
    if len(values) != n:
        raise DataError(f"y: {len(values)} labels for {n} texts, expected one for each")
    labels = [None if _is_missing(value) else value for value in values]
    if all(label is None for label in labels):
        return None
    for number, label in enumerate(labels):
        if isinstance(label, float) and not label.is_integer():
            raise DataError(f"y: label {number} is {label!r}, expected a class: a text or a whole number")
    classes = {label for label in labels if label is not None}
    if len(classes) < 2:
        raise DataError(f"y: all labels are {classes.pop()!r}, expected two classes or more")
    return labels


def _is_missing(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return value is None or value == -1 or (isinstance(value, float) and math.isnan(value))


def classes_by_name(labels: Sequence[object]) -> dict[str, object]:
    """Classes by the text that stands for each in a file.

    Raises:
        DataError: two classes of one text, such as 1 and "1".
    """
    classes: dict[str, object] = {}
    for label in labels:
        if label is not None and classes.setdefault(str(label), label) != label:
            raise DataError(
                f"y: {label!r} and {classes[str(label)]!r} are two classes of one name, expected different ones"
            )
    return classes


def class_array(classes: Sequence[object]) -> np.ndarray:
    """Classes as scikit-learn has them: numbers or texts; objects where they are of several kinds."""
    kinds = {type(name) for name in classes}
    return (
        np.array(classes) if len(kinds) == 1 and kinds <= {str, int, float, bool} else np.array(classes, dtype=object)
    )


def written(folder: Path, texts: Sequence[str], labels: Sequence[object] | None) -> tuple[Path, Path | None]:
    """Texts and labels as files of a folder, which a training reads.

    Args:
        folder: where they are written.
        texts: N texts.
        labels: None, or N labels, None for a text without one.

    Returns:
        The file of all texts; or of those without a label, and the file of the others.
    """
    train, labelled = folder / TEXTS, folder / LABELLED
    pairs = [(text, None) for text in texts] if labels is None else list(zip(texts, labels, strict=True))
    known = [{"text": text, "label": str(label)} for text, label in pairs if label is not None]
    others = [{"text": text} for text, label in pairs if label is None]
    if labels is None or not others:
        _write(train, others or known)
        return train, None
    _write(train, others)
    _write(labelled, known)
    return train, labelled


def known_of(labels: Sequence[object] | None) -> dict[str, list[int]]:
    """Place in X of each line of the files that `written` writes, by their names, where they differ."""
    known = [i for i, label in enumerate(labels or ()) if label is not None]
    others = [i for i, label in enumerate(labels or ()) if label is None]
    return {TEXTS: others, LABELLED: known} if known and others else {}


def _write(path: Path, records: Iterable[Mapping[str, str]]) -> None:
    write_whole(path, "".join(json.dumps(record) + "\n" for record in records))


def place_of(name: object, classes: Sequence[object]) -> int:
    """Place of a class among others.

    Raises:
        ConfigError: it is none of them.
    """
    places = [i for i, one in enumerate(classes) if one == name]
    if not places:
        names = list(map(repr, classes))
        shown = [*names[:SHOWN], "..."] if len(names) > SHOWN else names
        meant = nearest(repr(name), names) if isinstance(name, str) else None
        hint = "" if meant is None else f"did you mean {meant}? "
        raise ConfigError(f"symbol: {name!r} given, {hint}expected one of {', '.join(shown)}")
    return places[0]
