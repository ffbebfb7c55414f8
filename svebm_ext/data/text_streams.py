"""Texts of a file of any size, read as they are needed, each with everything else that its row holds.

What needs a look at many rows (format, encoding, layout, which column is the text) is decided from the beginning of a
file, as `svebm_ext.data.examples` decides it from all of it. A later row that does not fit is an error with its line,
when all rows before it have been given. A file that is no longer than a beginning is read whole first.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import NamedTuple, TypeVar

from ..errors import DataError
from ..terminal import counted
from .byte_streams import ByteStream, open_bytes
from .containers import STANDARD_INPUT, PathLike, Source
from .delimited import Layout, layout_of, rows_of, table_of, wrong_length
from .encodings import check_characters, decode, split_lines
from .examples import (
    Examples,
    Reading,
    check_no_parquet,
    checked_text,
    examples_of_source,
    read_examples,
    without_empty,
)
from .formats import FASTTEXT, read_fasttext, recognise_format
from .records import checked_json_object, read_json_lines, read_json_text
from .tables import ABSENT, Table, choose_columns
from .text_blocks import Block, TextBlocks
from .tokenize import is_blank

#: Bytes of a beginning.
BEGINNING = 1 << 20


R = TypeVar("R")


class Row(NamedTuple):
    """A row of a file.

    Args:
        line: where it stands: its line, or its number.
        text: "" where it has none.
        fields: of its columns, in the order of `TextStream.columns`, or by key of JSON.
    """

    line: int
    text: str
    fields: Sequence[object] | dict[str, object]


@dataclass
class TextStream:
    """The rows of a file, in order.

    Args:
        name: of the file.
        form: its format, or "folder".
        source: its bytes, which know how far they have been read.
        is_complete: whether it was read whole, so that `notes` are all that there is to say.
        place: how messages name a row.
        columns: names of the columns, those without a name as column1, column2, ...; of JSON the keys of the beginning.
        notes: what a user should know.
        n_empty: rows without a text, when all have been read.
        rows: of the file, for `__iter__`.
        marks: where byte-order marks are counted.
        n_returns: lines with a carriage return inside.
        is_table: whether it has columns.
        schema: types of the columns of a Parquet file.
        has_labels: whether rows have labels, of a `Reading` that wants them.
    """

    name: str
    form: str
    source: ByteStream | None = None
    is_complete: bool = True
    place: str = Examples.place
    columns: list[str] = field(default_factory=lambda: ["text"])
    notes: list[str] = field(default_factory=list)
    n_empty: int = 0
    rows: Iterator[Row] = field(default_factory=lambda: iter(()))
    marks: TextBlocks | None = None
    n_returns: int = 0
    is_table: bool = False
    schema: object = None
    has_labels: bool = False

    def __iter__(self) -> Iterator[Row]:
        """Rows; those without a text have an empty one, and lines without anything are left out and counted.

        Raises:
            DataError: a row that does not fit, after all rows before it.
        """
        n_texts = 0
        for row in self.rows:
            n_texts += bool(row.text)
            yield row
        if not n_texts:
            raise DataError(f"{self.name}: no text in {counted(self.n_empty, 'line')}")

    def where(self, line: int) -> str:
        """A row as messages name it."""
        return self.place.format(name=self.name, row=line)

    def later_notes(self) -> list[str]:
        """What there is to say only when all has been read, of a file that is not complete."""
        if self.is_complete:
            return []
        said = [] if self.marks is None else list(self.marks.late_notes)
        if self.marks is not None and self.marks.n_marks:
            said.append(f"{self.name}: {self.marks.n_marks} byte-order marks inside the text left out")
        if self.n_returns:
            said.append(f"{self.name}: carriage returns inside {counted(self.n_returns, 'line')} count as white space")
        return said


@contextlib.contextmanager
def open_texts(path: PathLike, reading: Reading) -> Iterator[TextStream]:
    """The rows of a file, a folder, or standard input ("-").

    Args:
        path: of the file; what it holds is recognised as `read_examples` does.
        reading: its format and text column. Labels are not read, and rows without a text are given. Where it wants
            labels, the stream tells whether there are some.

    Raises:
        DataError: as `read_examples`, of what the beginning shows; in a file that is no longer, of all of it.
    """
    if str(path) != STANDARD_INPUT and Path(path).expanduser().is_dir():
        examples = read_examples(path, reading)
        texts = (Row(line, text, (text,)) for line, text in zip(examples.rows, examples.texts, strict=True))
        yield TextStream(
            examples.name, "folder", place=examples.place, notes=examples.notes, n_empty=examples.n_skipped, rows=texts
        )
        return
    with open_bytes(path) as source:
        head, is_complete = source.beginning(BEGINNING)
        if head.startswith(b"PAR1"):
            from .parquet import open_parquet

            yield open_parquet(source, head, reading, is_complete=is_complete)
            return
        if not is_complete and b"\n" not in head and b"\r" not in head:  # one line, such as a JSON array
            head = head + source.rest()
            yield _of_beginning(path, source, head, reading, is_complete=False, is_whole=True)
            return
        yield _of_beginning(path, source, head, reading, is_complete=is_complete, is_whole=is_complete)


def _of_beginning(
    path: PathLike, source: ByteStream, head: bytes, reading: Reading, *, is_complete: bool, is_whole: bool
) -> TextStream:
    """Rows of a text file.

    Args:
        path: of the file.
        source: its bytes after the beginning.
        head: its beginning.
        reading: how.
        is_complete: the beginning is all of it, and short, so that everything is looked at first.
        is_whole: the beginning is all of it.
    """
    stream = TextStream(source.name, "", source, is_complete)
    if is_complete:
        whole = Source(source.name, source.ending, head)
        examples = without_empty(examples_of_source(path, whole, reading, stream.notes), "skip")
        stream.is_table, stream.place = examples.is_table, examples.place
        blocks: list[Block] | TextBlocks = [Block(1, decode(head, source.name)[0])]
    elif is_whole:
        check_no_parquet(source.name, source.ending, reading)
        text, said = decode(head, source.name)
        stream.notes.extend(said)
        blocks = [Block(1, text)]
    else:
        check_no_parquet(source.name, source.ending, reading)
        blocks = stream.marks = TextBlocks(source, head, stream.notes)
    text = blocks[0].text if isinstance(blocks, list) else blocks.first.text
    lines = split_lines(text)
    recognised = recognise_format(f"x{source.ending}", lines, source.name) if reading.format == "auto" else None
    stream.form = recognised or reading.format
    if not is_whole and (stream.form == "json" or (recognised == "lines" and _may_be_json(lines))):
        return _of_beginning(path, source, head + source.rest(), reading, is_complete=False, is_whole=True)
    if stream.form in ("lines", "fasttext"):
        stream.has_labels = stream.form == "fasttext"
        stream.columns = ["label", "text"] if stream.has_labels else ["text"]
        stream.rows = _plain_rows(stream, blocks)
    elif stream.form in ("tsv", "csv"):
        layout = layout_of(text, "\t" if stream.form == "tsv" else None)
        _choose_delimited(stream, rows_of(source.name, blocks, layout), layout, reading, len(lines))
    else:
        if stream.form == "json":
            _choose_table(stream, read_json_text(source.name, text), reading)
        elif is_whole and len([line for line in lines if line.strip()]) == 1:  # it may hold a table
            _choose_table(stream, read_json_lines(source.name, lines), reading)
        else:
            _choose_records(stream, _numbered_records(source.name, blocks), reading, len(lines))
    return stream


def _may_be_json(lines: Sequence[str]) -> bool:
    """Whether lines begin as an array of texts or of rows does, whose end would have to be seen."""
    first = next((line.strip() for line in lines if line.strip()), "")
    return first == "[" or first.startswith(('["', "[["))


def _plain_rows(stream: TextStream, blocks: Iterable[Block]) -> Iterator[Row]:
    """Lines, of fastText without their labels, which the text as a field keeps."""
    for first, block in blocks:
        lines = split_lines(block)
        if "\r" in block:
            stream.n_returns += sum("\r" in line for line in lines)
        if stream.form == "lines":
            for number, line in enumerate(lines, first):
                if is_blank(line):
                    stream.n_empty += 1
                else:
                    yield Row(number, line, (line,))
            continue
        for number, line in enumerate(lines, first):
            (text,), (label,) = read_fasttext(stream.name, [line], number) if FASTTEXT in line else ([line], [""])
            if is_blank(text):
                stream.n_empty += 1
            else:
                yield Row(number, text, (label, text))


def _choose_delimited(
    stream: TextStream, rows: Iterator[tuple[int, list[str]]], layout: Layout, reading: Reading, n_lines: int
) -> None:
    """Rows of CSV or TSV, with columns chosen by those of the first `n_lines` lines."""
    first = list(_until(rows, n_lines))
    asked = [c for c in (reading.text_column, reading.label_column) if c is not None and not c.isdecimal()]
    table, header = table_of(stream.name, first, layout.delimiter, asked)
    text = _chosen(stream, table, reading)
    width, names = header.width, header.names
    if names is not None:
        text = [i for i in range(width) if names[i] or any(row[i].strip() for _, row in first[1:] if row)][text]
        first = first[next(i for i, (_, row) in enumerate(first) if row) + 1 :]
    stream.columns = _column_names(names or [""] * width)

    def each() -> Iterator[Row]:
        n_pending = 0
        for line, row in chain(first, rows):
            if not row:  # lines after the last row are none
                n_pending += 1
                continue
            if len(row) != width:
                raise wrong_length(stream.name, line, row, header, layout.delimiter)
            stream.n_empty, n_pending = stream.n_empty + n_pending, 0
            yield _row(stream, line, row[text], row)

    stream.rows = each()


def _until(rows: Iterator[tuple[int, R]], n_lines: int) -> Iterator[tuple[int, R]]:
    """Rows as long as they end among the first lines."""
    for line, row in rows:
        yield line, row
        if line >= n_lines:
            return


def _column_names(names: Sequence[str]) -> list[str]:
    """Names of columns, those without one, or with that of another, by their numbers."""
    named: list[str] = []
    for number, name in enumerate(names, 1):
        unused = f"column{number}"
        while not name or name in named:
            name, unused = unused, f"{unused}_"
        named.append(name)
    return named


def _row(stream: TextStream, line: int, text: str, fields: Sequence[object] | dict[str, object]) -> Row:
    if is_blank(text):
        stream.n_empty += 1
        return Row(line, "", fields)
    return Row(line, text, fields)


def _chosen(stream: TextStream, table: Table, reading: Reading) -> int:
    """Column of the text, told in a note."""
    if not table.rows:
        raise DataError(f"{table.name}: no text in {counted(len(table.empty), 'line')}")
    choice = choose_columns(table, reading.text_column, reading.label_column, labels=reading.labels)
    stream.is_table, stream.has_labels = True, choice.label is not None
    if choice.note and not stream.is_complete:
        stream.notes.append(f"{table.name}: {choice.note}")
    return choice.text


def _numbered_records(name: str, blocks: Iterable[Block]) -> Iterator[tuple[int, dict[str, object] | None]]:
    """Objects of JSON lines with their lines; None for a line without anything."""
    for first, block in blocks:
        for number, line in enumerate(split_lines(block), first):
            yield number, checked_json_object(name, number, line) if line.strip() else None


def _choose_records(
    stream: TextStream, records: Iterator[tuple[int, dict[str, object] | None]], reading: Reading, n_lines: int
) -> None:
    """Rows of JSON lines, with the key of the text chosen by the first `n_lines`."""
    from .records import records_table

    first = list(_until(records, n_lines))
    filled = [(number, record) for number, record in first if record is not None]
    table = records_table(stream.name, [r for _, r in filled], [n for n, _ in filled], Examples.place)
    index = _chosen(stream, table, reading)
    assert table.names is not None
    stream.columns, key, expected = list(table.names), table.names[index], f'{{"{table.names[index]}": "..."}}'

    def each() -> Iterator[Row]:
        n_pending = 0
        for number, record in chain(first, records):
            if record is None:
                n_pending += 1
                continue
            stream.n_empty, n_pending = stream.n_empty + n_pending, 0
            text = checked_text(record.get(key, ABSENT), key, stream.where(number), expected)
            check_characters(text, stream.name, stream.where(number))
            yield _row(stream, number, text, record)

    stream.rows = each()


def _choose_table(stream: TextStream, table: Table, reading: Reading) -> None:
    """Rows of a table that is in memory: a JSON array, or an object of columns."""
    index = _chosen(stream, table, reading)
    unnamed = [""] * len(table.columns) if len(table.columns) > 1 else ["text"]
    stream.columns, stream.place = _column_names(table.names or unnamed), table.place
    names, title = stream.columns, table.title(index).replace("'", "")

    def each() -> Iterator[Row]:
        stream.n_empty += len(table.empty)
        for line, values in zip(table.rows, zip(*table.columns, strict=True), strict=True):
            fields = {name: value for name, value in zip(names, values, strict=True) if value is not ABSENT}
            text = checked_text(values[index], title, stream.where(line), "a string")
            check_characters(text, stream.name, stream.where(line))
            yield _row(stream, line, text, fields)

    stream.rows = each()
