"""Texts that a user hands to a model, checked."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ..errors import DataError

Texts = Iterable[object]
"""Strings, or lists of words: a list, a column of a table, a generator. What they hold is checked on use."""


def each_text(texts: object) -> Iterator[str | list[str]]:
    """The texts one after the other, each checked when it is its turn; of a generator no more is kept.

    Raises:
        DataError: one text in place of several, or something that is no text; the message names its place and type.
    """
    if isinstance(texts, str):
        raise DataError("texts: one string given, expected a list of texts; write [text]")
    if isinstance(texts, bytes | bytearray | memoryview):
        raise DataError(f"texts: {type(texts).__name__} given, expected a list of texts; decode them, write [text]")
    if isinstance(texts, Mapping | set | frozenset):
        raise DataError(
            f"texts: {type(texts).__name__} given, expected a list of texts, whose order the answers have; of a "
            "dictionary give its values, list(texts.values())"
        )
    if not isinstance(texts, Iterable):
        raise DataError(f"texts: {type(texts).__name__} given, expected a list of texts")
    return (_checked(number, text) for number, text in enumerate(texts))


def _checked(number: int, text: object) -> str | list[str]:
    if isinstance(text, str):
        return text
    if not isinstance(text, list | tuple):
        missing = " (NaN: a missing value)" if isinstance(text, float) and text != text else ""
        raise DataError(f"text {number}: {type(text).__name__}{missing} given, expected a string, or a list of words")
    for word in text:
        if not isinstance(word, str):
            raise DataError(f"text {number}: a word of type {type(word).__name__}, expected a list of strings")
    return list(text)
