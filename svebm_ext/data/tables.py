"""Columns of a table (CSV, JSON, Parquet, data frames): which one is the text, which one the label."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import DataError, nearest

ABSENT: object = type("Absent", (), {"__repr__": lambda self: "absent"})()
"""Value of a column in a row that lacks it, as objects of JSON lines may."""

TEXT_NAMES = (
    {"text", "texts"},
    {"sentence", "sentences", "utterance", "utterances", "content", "message", "body", "comment", "review", "tweet",
     "post", "document", "query", "question", "prompt", "input", "transcript", "sms", "email", "phrase", "reviewtext",
     "fulltext", "rawtext", "satz", "texto", "texte", "phrases"},
    {"title", "headline", "description", "summary", "abstract", "snippet"},
)  # fmt: skip
LABEL_NAMES = (
    {"label", "labels"},
    {"intent", "category", "class", "target", "topic", "tag", "sentiment", "genre", "emotion", "domain", "stance",
     "polarity", "classindex", "classname", "labelname", "labeltext", "klasse", "kategorie", "etiqueta", "categoria",
     "étiquette", "catégorie", "thema", "act"},
)  # fmt: skip
_SPLIT_NAMES = {"train", "training", "valid", "val", "validation", "dev", "test"}
_NUMBER = re.compile(r"[-+]?\d[\d.,]*(?:[eE][-+]?\d+)?%?")
_MOMENT = re.compile(r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}[ T]+\d{1,2}:\d{2}.*")
_NEARLY_ALL = 0.95
"""Share of the values from which on a column is what they are."""
_SAMPLE = 2000
NO_LABELS = "0"
"""`label_column` that asks for no label."""


@dataclass(frozen=True)
class Table:
    """Columns of equal length.

    Args:
        name: of the file, for messages.
        columns: values of each column.
        names: of the columns; None where a file has no row of names.
        rows: where each row stands in the file: its line, or its number.
        place: how messages name that ("{name}:{row}", "{name}: row {row}").
        what: how messages call a column: "column", or "key" of JSON.
        usual: whether columns stand where the format wants them, label<TAB>text: nothing to tell.
        empty: rows of the file that hold nothing, which are in no column.
    """

    name: str
    columns: list[Sequence[object]]
    names: list[str] | None
    rows: Sequence[int]
    place: str = "{name}:{row}"
    what: str = "column"
    usual: bool = False
    empty: list[int] = field(default_factory=list)

    def where(self, index: int) -> str:
        """Row `index` as messages name it."""
        return self.place.format(name=self.name, row=self.rows[index])

    def title(self, column: int) -> str:
        """Column as messages name it: 'text' (2), or its number."""
        if self.names is None or not self.names[column]:
            return str(column + 1)
        return f"{self.names[column]!r}" + ("" if self.what == "key" else f" ({column + 1})")

    def listing(self) -> str:
        """All columns, each with an example."""
        described = []
        for number, values in enumerate(self.columns[:20]):
            example = next((v for v in values if not is_missing(v) and str(v)), None)
            shown = "empty" if example is None else f"for instance {_short(example)}"
            described.append(f"{self.title(number)} {shown}")
        return "; ".join(described) + ("; ..." if len(self.columns) > 20 else "")


@dataclass(frozen=True)
class Choice:
    """Columns of text and label (None: no labels), and whether the label was asked for by name."""

    text: int
    label: int | None
    label_asked: bool
    note: str = ""


def is_missing(value: object) -> bool:
    """Whether a value stands for none: absent, None, not a number, or pandas' NA and NaT."""
    if value is ABSENT or value is None:
        return True
    return (isinstance(value, float) and value != value) or type(value).__name__ in ("NAType", "NaTType")


def known_name(name: str, tiers: Sequence[set[str]]) -> int | None:
    """Tier of a column's name among `tiers`, None where it is in none."""
    plain = re.sub(r"[\s_.-]", "", name).casefold()
    return next((number for number, names in enumerate(tiers) if plain in names), None)


def choose_columns(
    table: Table, text_column: str | None = None, label_column: str | None = None, *, labels: str = "wanted"
) -> Choice:
    """Columns of text and label: those asked for, else the one sensible choice.

    Args:
        table: at least one column and row.
        text_column, label_column: name, or number from 1; `label_column` "0" asks for no label.
        labels: "wanted"; "optional": a label column that is asked for may be missing; "unused": none is looked for.

    Raises:
        DataError: no such column, no single sensible choice, or no texts in it; the message lists the columns.
    """
    text = None if text_column is None else _asked(table, text_column, "text")
    label, look = None, labels != "unused" and label_column != NO_LABELS
    asked = look and label_column is not None
    if asked and not (labels == "optional" and not _find(table, str(label_column))):
        label = _asked(table, str(label_column), "label")
    stats = [_Stats.of(values) for values in table.columns]
    if text is None:
        text = _text_column(table, stats, label)
    if look and not asked:
        label = _label_column(table, stats, text, text_asked=text_column is not None)
    if text == label:
        raise DataError(f"{table.name}: {table.what} {table.title(text)} is asked for as text and as label")
    if labels != "unused" and stats[text].no_text:
        raise DataError(
            f"{table.name}: nearly all values of {table.what} {table.title(text)} are numbers, or single tokens "
            f"without letters, expected texts; there are {table.listing()}. Name the {table.what} of the texts "
            "(--data.text-column NAME or NUMBER)"
        )
    return Choice(text, label, asked, _note(table, text, label, told=labels != "unused"))


def _note(table: Table, text: int, label: int | None, told: bool) -> str:
    """What was chosen, "" where it goes without saying; `told`: whether labels matter."""
    if len(table.columns) == 1 and (table.names is None or not told):
        return ""
    usual = set(table.names or ()) <= {"text", "label"} if table.what == "key" else table.usual and label == 0
    if told and usual:
        return ""
    unnamed = "" if table.names else "number "
    others = [unnamed + table.title(i) for i in range(len(table.columns)) if i not in (text, label)]
    parts = f"text from {table.what} {table.title(text)}"
    if label is not None:
        parts += f", labels from {table.title(label) if table.names else f'column {label + 1}'}"
    elif told:
        parts += ", no labels"
    return parts + (f"; other {table.what}s: {', '.join(others)}" if others else "")


def _find(table: Table, asked: str) -> list[int]:
    """Columns that a name or number means."""
    names = table.names or []
    columns = [i for i, name in enumerate(names) if name == asked]
    columns = columns or [i for i, name in enumerate(names) if name.casefold() == asked.strip().casefold()]
    if not columns and asked.isdecimal() and 1 <= int(asked) <= len(table.columns):
        columns = [int(asked) - 1]
    return columns


def _asked(table: Table, asked: str, what: str) -> int:
    columns = _find(table, asked)
    if len(columns) == 1:
        return columns[0]
    many = "several columns" if columns else f"no {table.what}"
    meant = None if columns else nearest(asked, filter(None, table.names or ()))
    hint = "" if meant is None else f"did you mean {meant!r}? "
    raise DataError(
        f"{table.name}: data.{what}-column: {many} {asked!r}; {hint}there are {table.listing()} (a name, or a number "
        "from 1)"
    )


@dataclass(frozen=True)
class _Stats:
    """What the values of a column look like, in a sample of rows."""

    filled: int
    distinct: int
    words: float
    length: float
    prose: bool
    short: bool
    numeric: bool
    splits: bool
    codes: float

    @classmethod
    def of(cls, values: Sequence[object]) -> "_Stats":
        step = len(values) // _SAMPLE + 1
        sample = [v for v in values[::step] if not (is_missing(v) or v == "")]
        strings = [v.strip() if isinstance(v, str) else str(v) for v in sample]
        n = max(1, len(strings))
        letters = sum(sum(map(str.isalpha, s)) for s in strings)
        spaced = [s.split() for s in strings]
        words = sum(map(len, spaced)) / n
        length = sum(map(len, strings)) / n
        characters = sum(len(word) for words_of in spaced for word in words_of)
        n_ascii = sum(s.isascii() for s in strings)
        strings_only = all(isinstance(v, str) for v in sample)
        return cls(
            filled=len(strings),
            distinct=len(set(strings)),
            words=words,
            length=length,
            prose=strings_only and 2 * letters > characters and (words >= 2 or (length >= 8 and 2 * n_ascii < n)),
            short=sum(len(s) <= 60 and len(w) <= 5 for s, w in zip(strings, spaced, strict=True)) >= 0.95 * n
            and all(isinstance(v, (str, int)) or (isinstance(v, float) and v.is_integer()) for v in sample),
            numeric=bool(strings) and all(_NUMBER.fullmatch(s) for s in strings),
            splits=bool(strings) and {s.casefold() for s in strings} <= _SPLIT_NAMES,
            codes=sum(_is_code(s, w) for s, w in zip(strings, spaced, strict=True)) / n,
        )

    @property
    def label_like(self) -> bool:
        """Few short values, each of many rows."""
        return self.short and 2 <= self.distinct <= max(0.5 * self.filled, 2) and not self.splits

    @property
    def no_text(self) -> bool:
        """Numbers, dates, or single tokens without letters: nothing that words could be learnt from."""
        return self.filled >= 3 and self.codes >= _NEARLY_ALL

    @property
    def numbering(self) -> bool:
        """Numbers that are all different: an index or an id."""
        return self.numeric and self.filled >= 3 and self.distinct == self.filled

    @property
    def text_like(self) -> bool:
        """Many different values of several words."""
        return self.prose and not self.numeric and self.distinct > 0.1 * self.filled


def _is_code(value: str, words: list[str]) -> bool:
    """Whether a value is a number, a moment, or one token without letters."""
    if _NUMBER.fullmatch(value) or _MOMENT.fullmatch(value):
        return True
    return len(words) == 1 and not any(map(str.isalpha, value))


def _text_column(table: Table, stats: list[_Stats], label: int | None) -> int:
    free = [i for i in range(len(table.columns)) if i != label]
    if len(free) == 1:
        return free[0]
    for tier in range(len(TEXT_NAMES)):
        named = [i for i in free if table.names and known_name(table.names[i], TEXT_NAMES) == tier]
        if len(named) == 1:
            return named[0]
        if named:
            raise _ambiguous(table, "text")
    if table.names is None and len(free) == 2 == len(table.columns):
        return _of_two(*stats)
    candidates = sorted((i for i in free if stats[i].text_like), key=lambda i: -stats[i].length)
    if not candidates or (len(candidates) > 1 and stats[candidates[0]].length < 3 * stats[candidates[1]].length):
        raise _ambiguous(table, "text")
    return candidates[0]


def _of_two(first: _Stats, second: _Stats) -> int:
    """Text of two columns without names: the second, unless the first has more words and more different values."""
    if second.numbering and not first.numeric:
        return 0
    longer = first.words >= 2 and first.words >= 1.5 * second.words and first.distinct > second.distinct
    return 0 if longer and second.short else 1


def _label_column(table: Table, stats: list[_Stats], text: int, *, text_asked: bool) -> int | None:
    others = [i for i in range(len(table.columns)) if i != text and stats[i].filled]
    for tier in range(len(LABEL_NAMES)):
        named = [i for i in others if table.names and known_name(table.names[i], LABEL_NAMES) == tier]
        if len(named) == 1:
            return named[0]
        if named:
            raise _ambiguous(table, "label")
    if table.names is None and len(table.columns) == 2:
        return None if not others or stats[others[0]].numbering else others[0]
    candidates = [i for i in others if stats[i].label_like]
    named_text = table.names is not None and known_name(table.names[text], TEXT_NAMES) is not None
    if named_text and len(others) > 1:
        return None  # names say which column is the text, and none says that it is a label
    if len(candidates) > 1:
        if text_asked:
            return None  # whoever names the one column and not the other wants no labels
        raise _ambiguous(table, "label")
    return candidates[0] if candidates else None


def _ambiguous(table: Table, what: str) -> DataError:
    none = f", or --data.label-column {NO_LABELS} for none" if what == "label" else ""
    first = table.where(0) if len(table.rows) else table.name
    return DataError(
        f"{first}: {len(table.columns)} {table.what}s, and which one is the {what} cannot be told: {table.listing()}. "
        f"Name it (--data.{what}-column NAME or NUMBER{none}), or read whole lines (--data.format lines)"
    )


def _short(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 40 else f"{shown[:36]}...{shown[0] if isinstance(value, str) else ''}"
