"""Texts and labels of one file, or of data in memory, whatever its format."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ..errors import DataError
from ..terminal import counted
from .containers import STANDARD_INPUT, PathLike, Source, name_of, read_folder, read_source
from .delimited import read_delimited
from .encodings import check_characters, decode, split_lines
from .formats import Format, read_fasttext, recognise_format
from .python_data import python_table
from .records import read_json_lines, read_json_text, read_parquet
from .shards import files_of, name_of_files
from .tables import ABSENT, Choice, Table, choose_columns, is_missing
from .tokenize import is_blank, normalise

EmptyLines = Literal["error", "skip"]
_SPACE = re.compile(r"\s+")
_FEW_LABELS = 50
"""Labels may all differ in so few lines."""
OWN_CLASS = 0.9
"""Share of different labels among the lines from which on a column is refused, although it was asked for."""
MANY_CLASSES = 10
"""Lines a class below which the number of classes of a column that was asked for is told."""


@dataclass(frozen=True)
class Reading:
    """How files of text are read; see `svebm_ext.data.own_text.load_text`.

    Args:
        format: of the file.
        empty_lines: "error" or "skip".
        text_column, label_column: names or numbers of columns.
        labels: "wanted"; "optional": a label column that is asked for may be missing; "unused".
    """

    format: Format = "auto"
    empty_lines: EmptyLines = "skip"
    text_column: str | None = None
    label_column: str | None = None
    labels: Literal["wanted", "optional", "unused"] = "wanted"


@dataclass
class Examples:
    """What was read.

    Args:
        name: of the file.
        texts: one an example.
        labels: of each text, "" where it has none.
        rows: line (or number) of each text.
        place: how messages name it.
        n_skipped: empty lines left out.
        notes: what a user should know, each with the name of the file.
        is_table: whether the file has columns.
        parts: those of each file, where there are several.
    """

    name: str
    texts: list[str]
    labels: list[str]
    rows: Sequence[int]
    place: str = "{name}:{row}"
    n_skipped: int = 0
    notes: list[str] = field(default_factory=list)
    is_table: bool = False
    parts: Sequence["Examples"] = ()

    def where(self, index: int) -> str:
        """Example `index` as messages name it."""
        for part in self.parts:
            if index < len(part.texts):
                return part.where(index)
            index -= len(part.texts)
        return self.place.format(name=self.name, row=self.rows[index])


def read_examples(
    data: object, reading: Reading | None = None, *, label_path: PathLike | None = None, name: str = "texts"
) -> Examples:
    """Texts and labels of a file, several, a folder, standard input ("-"), or of data in memory.

    Args:
        data: a path (see `files_of` for several files), or what `python_table` takes.
        reading: how; by default everything is recognised.
        label_path: file with the label of each line, for format lines.
        name: what messages call data in memory.

    Raises:
        DataError: names file, line and what is expected.
    """
    reading = reading or Reading()
    if isinstance(data, (str, os.PathLike)):
        files = files_of(data)
        if len(files) > 1:
            return _of_files(files, reading, label_path)
        data = files[0]
    notes: list[str] = []
    if not isinstance(data, (str, os.PathLike)):
        examples = _of_table(python_table(data, name), reading, notes)
    elif str(data) != STANDARD_INPUT and Path(data).expanduser().is_dir():
        examples = _of_folder(Path(data).expanduser(), reading, notes)
    else:
        examples = examples_of_source(data, read_source(data), reading, notes, label_path)
    if label_path is not None and examples.is_table:
        raise DataError(f"{label_path}: a file of labels goes with format lines, but {examples.name} has columns")
    examples.notes = notes
    return without_empty(examples, reading.empty_lines)


def _of_files(files: Sequence[Path], reading: Reading, label_path: PathLike | None) -> Examples:
    """Those of several files, one after the other."""
    if label_path is not None:
        raise DataError(f"{label_path}: a file of labels goes with one file of text, not with {len(files)}")
    parts = [read_examples(file, reading) for file in files]
    return Examples(
        name_of_files(files),
        [text for part in parts for text in part.texts],
        [label for part in parts for label in part.labels],
        range(sum(len(part.texts) for part in parts)),
        n_skipped=sum(part.n_skipped for part in parts),
        notes=list(dict.fromkeys(note for part in parts for note in part.notes)),
        is_table=any(part.is_table for part in parts),
        parts=parts,
    )


def _of_folder(folder: Path, reading: Reading, notes: list[str]) -> Examples:
    """One document of each `.txt` file."""
    if reading.format not in ("auto", "lines"):
        raise DataError(f"{folder}: a folder; data.format {reading.format} needs a file")
    sources, n_others = read_folder(folder)
    texts = []
    for source in sources:
        text, said = decode(source.content, source.name)
        texts.append(text)
        notes.extend(said)
    notes.append(f"{folder}: {counted(len(texts), 'document')}, one of each .txt file")
    if n_others:
        notes.append(f"{folder}: {counted(n_others, 'other file or folder', 'other files and folders')} not read")
    return Examples(str(folder), texts, [""] * len(texts), range(1, len(texts) + 1), "{name}: file {row} by name")


def check_no_parquet(name: str, ending: str, reading: Reading) -> None:
    """Refuse (DataError) a file that should be Parquet by its name or by what is asked for, and is not."""
    if reading.format == "parquet" or (reading.format == "auto" and ending == ".parquet"):
        raise DataError(
            f"{name}: no Parquet file, although it is {'called' if reading.format == 'auto' else 'read as'} so"
        )


def check_parquet_asked(name: str, reading: Reading) -> None:
    """Refuse (DataError) a Parquet file where another format is asked for."""
    if reading.format not in ("auto", "parquet"):
        raise DataError(f"{name}: a Parquet file; data.format is {reading.format}, expected auto or parquet")


def examples_of_source(
    path: PathLike, source: Source, reading: Reading, notes: list[str], label_path: PathLike | None = None
) -> Examples:
    """Examples of the content of a file, empty ones among them; arguments and errors as those of `read_examples`.

    Args:
        path: of the file.
        source: its content.
        reading: how.
        notes: receives what a user should know.
        label_path: see `read_examples`.
    """
    name = source.name
    if source.content.startswith(b"PAR1"):
        check_parquet_asked(name, reading)
        return _of_table(read_parquet(name, source.content), reading, notes)
    check_no_parquet(name, source.ending, reading)
    text, said = decode(source.content, name)
    notes.extend(said)
    if is_blank(text):
        empty = "no text; expected one text a line" if str(path) == STANDARD_INPUT else "the file is empty"
        raise DataError(f"{name}: {empty}")
    lines = split_lines(text)
    chosen = recognise_format(f"x{source.ending}", lines, name) if reading.format == "auto" else reading.format
    if label_path is not None and chosen != "lines":
        raise DataError(f"{label_path}: a file of labels goes with format lines, but {path} is {chosen}")
    if chosen == "lines" or chosen == "fasttext":
        n_returns = sum("\r" in line for line in lines) if "\r" in text else 0
        if n_returns:
            notes.append(f"{name}: carriage returns inside {counted(n_returns, 'line')} count as white space")
        labels = _label_lines(label_path, lines, name, notes)
        if chosen == "fasttext":
            lines, labels = read_fasttext(name, lines)
        return Examples(name, lines, [normalise_label(label) for label in labels], range(1, len(lines) + 1))
    asked = [c for c in (reading.text_column, reading.label_column) if c is not None and not c.isdecimal()]
    if chosen in ("tsv", "csv"):
        table = read_delimited(name, text, "\t" if chosen == "tsv" else None, asked)
    elif chosen == "jsonl":
        table = read_json_lines(name, lines)
    else:
        table = read_json_text(name, text)
    return _of_table(table, reading, notes)


def _label_lines(label_path: PathLike | None, lines: list[str], name: str, notes: list[str]) -> list[str]:
    """Lines of a file of labels, as many as there are lines of text."""
    if label_path is None:
        return [""] * len(lines)
    text, said = decode(read_source(label_path).content, name_of(label_path))
    notes.extend(said)
    labels = split_lines(text)
    if len(labels) != len(lines):
        shorter = min(len(labels), len(lines))
        raise DataError(
            f"{label_path}:{shorter + 1}: {counted(len(labels), 'label')} for {counted(len(lines), 'line')} of {name}"
        )
    return labels


def _of_table(table: Table, reading: Reading, notes: list[str]) -> Examples:
    """Texts and labels of the columns that are asked for, or that are the sensible choice."""
    if not table.rows:
        raise DataError(f"{table.name}: no text in {counted(len(table.empty), 'line')}")
    choice = choose_columns(table, reading.text_column, reading.label_column, labels=reading.labels)
    if choice.note:
        notes.append(f"{table.name}: {choice.note}")
    texts = _texts(table, choice, none_is_empty=reading.empty_lines == "skip")
    labels = [""] * len(texts)
    if choice.label is not None:
        column, seen = table.columns[choice.label], {}
        for index, value in enumerate(column):
            if not isinstance(value, str):
                labels[index] = _label(value, table, index)
                continue
            if value not in seen:
                check_characters(value, table.name, table.where(index))
                seen[value] = normalise_label(value)
            labels[index] = seen[value]
        _question_labels(table, choice, labels, notes)
    examples = Examples(table.name, texts, labels, table.rows, table.place, is_table=True)
    if table.empty:  # lines without anything keep their place among the others
        order = sorted([*((row, i) for i, row in enumerate(table.rows)), *((row, -1) for row in table.empty)])
        examples.texts = ["" if i < 0 else texts[i] for _, i in order]
        examples.labels = ["" if i < 0 else labels[i] for _, i in order]
        examples.rows = [row for row, _ in order]
    return examples


def _texts(table: Table, choice: Choice, *, none_is_empty: bool) -> list[str]:
    """Values of the text column, all of them strings of proper characters."""
    values = table.columns[choice.text]
    expected, in_memory = "a string", table.place != Examples.place
    if table.what == "key" and table.names and not in_memory:
        label = f', "{table.names[choice.label]}": "..."' if choice.label is not None else ""
        expected = f'{{"{table.names[choice.text]}": "..."{label}}}'
    title = table.title(choice.text).replace("'", "")
    texts = [
        value
        if isinstance(value, str)
        else checked_text(value, title, table.where(index), expected, none_is_empty=none_is_empty)
        for index, value in enumerate(values)
    ]
    if table.what == "key" or in_memory:  # escapes of JSON may spell what the file itself does not hold
        for index, text in enumerate(texts):
            check_characters(text, table.name, table.where(index))
    return [str(text) for text in texts]


def checked_text(value: object, title: str, where: str, expected: str, *, none_is_empty: bool = True) -> str:
    """A value of a text column.

    Args:
        value: of any type.
        title: of the column.
        where: the value stands.
        expected: what should stand there.
        none_is_empty: a value that stands for none is an empty text.

    Raises:
        DataError: it is no string.
    """
    if isinstance(value, str):
        return value
    if none_is_empty and value is not ABSENT and is_missing(value):
        return ""
    raise DataError(f"{where}: {f'no {title}' if value is ABSENT else _type(value)}; expected {expected}")


def _type(value: object) -> str:
    hint = ", decode it first" if isinstance(value, (bytes, bytearray)) else ""
    if isinstance(value, (dict, list)):
        hint = ", give the text inside it a key of its own"
    return f"text of type {type(value).__name__} ({value!r:.40}{hint})"


def _label(value: object, table: Table, index: int) -> str:
    """A label that is no string."""
    if is_missing(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))  # pandas makes whole numbers floats where some are missing
    if isinstance(value, int):
        return str(value)
    raise DataError(f"{table.where(index)}: label of type {type(value).__name__}; expected a string or a whole number")


def normalise_label(label: str) -> str:
    """A label in Unicode form C, without format characters and white space around it, with single spaces inside."""
    return _SPACE.sub(" ", normalise(label)).strip()


def _question_labels(table: Table, choice: Choice, labels: list[str], notes: list[str]) -> None:
    """Doubt labels that are nearly as many as their lines: they are texts or identifiers."""
    if choice.label is None:
        return
    counts = Counter(label for label in labels if label)
    n, title = counts.total(), table.title(choice.label)
    few = n <= _FEW_LABELS
    if choice.label_asked and (few or len(counts) < OWN_CLASS * n):
        if (2 if few else MANY_CLASSES) * len(counts) > n:
            notes.append(f"{table.name}: {len(counts):,} different labels in {n:,} lines, from {table.what} {title}")
        return
    if few or 2 * len(counts) <= n:
        return
    raise DataError(
        f"{table.name}: {table.what} {title} would give {len(counts):,} different labels to {n:,} lines, which are "
        "texts or identifiers rather than labels. Name the columns (--data.text-column, --data.label-column; 0: no "
        "labels), or read whole lines (--data.format lines)"
    )


def left_out(name: str, n: int, *, is_table: bool) -> str:
    """A note on lines, or rows of a table, that have no text."""
    lines = counted(n, "row without a text", "rows without a text") if is_table else counted(n, "empty line")
    return f"{name}: {lines} left out"


def empty_error(where: str, *, is_table: bool) -> DataError:
    """What is raised for a line, or a row of a table, that has no text."""
    if is_table:
        return DataError(f"{where}: no text in this row; delete it, or leave it out by --data.empty-lines skip")
    return DataError(f"{where}: empty line; delete it, or leave it out by --data.empty-lines skip")


def without_empty(examples: Examples, empty_lines: EmptyLines) -> Examples:
    """The examples without empty texts, or an error (DataError) that names the first one."""
    kept = [index for index, text in enumerate(examples.texts) if not is_blank(text)]
    if len(kept) == len(examples.texts):
        return examples
    if not kept and empty_lines == "skip":
        raise DataError(f"{examples.name}: no text in {counted(len(examples.texts), 'line')}")
    if empty_lines == "error":
        first = next(index for index, text in enumerate(examples.texts) if is_blank(text))
        raise empty_error(examples.where(first), is_table=examples.is_table)
    examples.n_skipped = len(examples.texts) - len(kept)
    examples.texts, examples.labels = [examples.texts[i] for i in kept], [examples.labels[i] for i in kept]
    examples.rows = [examples.rows[i] for i in kept]
    return examples
