"""Rows of Parquet files, some at a time."""

from __future__ import annotations

import io
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from ..errors import DataError
from .byte_streams import ByteStream
from .containers import Source
from .encodings import check_characters
from .examples import Reading, check_parquet_asked, checked_text, examples_of_source, without_empty
from .records import EXTRA, check_names, class_names, with_class_names
from .tables import Table, choose_columns
from .text_streams import Row, TextStream
from .tokenize import is_blank

if TYPE_CHECKING:
    import pyarrow

#: Rows that are read at a time, by the first of which the column of the text is chosen.
ROWS = 8192
PLACE = "{name}: row {row}"


def open_parquet(source: ByteStream, head: bytes, reading: Reading, *, is_complete: bool) -> TextStream:
    """Rows of a Parquet file; that of a compressed file or of a pipe is held in memory, as it is on disk.

    Args:
        source: the file after its beginning.
        head: its beginning.
        reading: format and text column.
        is_complete: whether the beginning is all of it; everything is looked at first then.

    Raises:
        DataError: damaged, without rows, no text in it, or pyarrow is not installed.
    """
    name = source.name
    check_parquet_asked(name, reading)
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise DataError(f"{name}: a Parquet file, which needs pyarrow: {EXTRA}") from None
    notes: list[str] = []
    if is_complete:
        without_empty(examples_of_source(name, Source(name, source.ending, head), reading, notes), "skip")
    if source.raw is not None and source.is_plain:
        source.raw.seek(0)
        file = source.raw
    else:
        file = io.BytesIO(head + source.rest())
    batches = _batches(name, file)
    first = next(batches, None)
    if first is None:
        raise DataError(f"{name}: a Parquet file without rows")
    classes = class_names(first.schema.metadata)
    names = list(first.schema.names)
    columns = [with_class_names(first.column(i).to_pylist(), classes.get(n)) for i, n in enumerate(names)]
    table = Table(name, list(columns), names, range(1, first.num_rows + 1), PLACE)
    choice = choose_columns(table, reading.text_column, reading.label_column, labels=reading.labels)
    stream = TextStream(
        name, "parquet", source, is_complete, PLACE, names, notes, is_table=True, has_labels=choice.label is not None
    )
    if choice.note and not is_complete:
        stream.notes.append(f"{name}: {choice.note}")
    stream.schema = first.schema
    stream.rows = _rows(stream, chain([first], batches), choice.text, table.title(choice.text).replace("'", ""))
    return stream


def _batches(name: str, file: object) -> Iterator[pyarrow.RecordBatch]:
    """Batches with rows.

    Raises:
        DataError: damaged.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        parquet = pyarrow.parquet.ParquetFile(file)
        check_names(name, parquet.schema_arrow.names)
        for batch in parquet.iter_batches(ROWS):
            if batch.num_rows:
                yield batch
    except DataError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{name}: not a Parquet file that can be read: {reason}") from error


def _rows(stream: TextStream, batches: Iterator[pyarrow.RecordBatch], text: int, title: str) -> Iterator[Row]:
    line = 0
    for batch in batches:
        columns = [column.to_pylist() for column in batch.columns]
        for fields in zip(*columns, strict=True):
            line += 1
            where = stream.where(line)
            value = checked_text(fields[text], title, where, "a string")
            check_characters(value, stream.name, where)
            stream.n_empty += is_blank(value)
            yield Row(line, "" if is_blank(value) else value, fields)
