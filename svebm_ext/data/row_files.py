"""Rows with columns added to them, written to a file: CSV, TSV, JSON lines or Parquet, by the ending of its name."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import ConfigError, DataError
from ..files import written_whole
from .records import EXTRA
from .text_streams import Row, TextStream

if TYPE_CHECKING:
    import pyarrow

ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
#: Before the names of added columns, where the file has a column of one of their names.
PREFIX = "svebm_"


class RowFile(Protocol):
    """A file that rows are written to."""

    def write(self, rows: Sequence[Row], added: Sequence[Sequence[object]]) -> None:
        """Write rows, each with the values of its added columns, None where it has none.

        Raises:
            DataError: a row with a field that the file has no column for.
        """

    def close(self) -> None:
        """Write what is still to be written."""


def ending_of(path: Path) -> str:
    """Ending of a name that tells the format, without .gz.

    Raises:
        ConfigError: it tells none.
    """
    ending = Path(path.name.lower().removesuffix(".gz")).suffix
    if ending not in ENDINGS:
        endings = ", ".join(ENDINGS)
        raise ConfigError(f"out: {path} given, expected a name that ends with {endings}, or one of these and .gz")
    return ending


def added_names(columns: Sequence[str], added: Sequence[str]) -> list[str]:
    """Names of added columns: all with a prefix where the file has a column of one of their names, in any case."""
    taken, prefix = {name.strip().casefold() for name in columns}, ""
    while any(f"{prefix}{name}" in taken for name in added):
        prefix += PREFIX
    return [f"{prefix}{name}" for name in added]


@contextlib.contextmanager
def open_rows(path: Path, stream: TextStream, added: Mapping[str, type]) -> Iterator[RowFile]:
    """A file for the rows of a stream. It takes its place when all are written; until then, what was there stays.

    Args:
        path: its ending tells the format, `ENDINGS`; ".gz" behind it compresses.
        stream: whose columns the file begins with.
        added: type of each added column, int, float or str, by its name.

    Raises:
        ConfigError: another ending, or pyarrow is not installed.
        OSError: it cannot be written.
    """
    ending = ending_of(path)
    if ending == ".parquet":
        _check_arrow(path)
    with written_whole(path) as plain, contextlib.ExitStack() as stack:
        file: io.BufferedIOBase = plain
        if path.name.lower().endswith(".gz"):
            file = gzip.GzipFile("", "wb", 6, plain, mtime=0)
            stack.callback(file.close)
        rows: RowFile
        if ending == ".parquet":
            rows = _Parquet(file, stream, added)
        elif ending in (".jsonl", ".ndjson"):
            rows = _JsonLines(file, stream, added)
        else:
            rows = _Delimited(file, stream, added, "," if ending == ".csv" else "\t")
        try:
            yield rows
        except BaseException:
            with contextlib.suppress(Exception):  # what is left of it is thrown away
                rows.close()
            raise
        rows.close()


def _check_arrow(path: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise ConfigError(f"out: {path} is a Parquet file, which needs pyarrow: {EXTRA}") from None


class _Delimited:
    """CSV by RFC 4180; or fields with tabs between them, quoted where they hold a tab or an end of a line.

    In both a field that begins with a quote is quoted, its quotes doubled.
    """

    def __init__(self, file: io.BufferedIOBase, stream: TextStream, added: Mapping[str, type], delimiter: str) -> None:
        self._file, self._stream, self._is_csv = file, stream, delimiter == ","
        self._columns = stream.columns
        self._known = frozenset(self._columns)
        self._put([[*self._columns, *added]])

    def write(self, rows: Sequence[Row], added: Sequence[Sequence[object]]) -> None:
        self._put([[*self._fields(row), *values] for row, values in zip(rows, added, strict=True)])

    def _fields(self, row: Row) -> Sequence[object]:
        if not isinstance(row.fields, dict):
            return row.fields
        _check_known(self._stream, row, self._known, "columns of CSV and TSV")
        return [row.fields.get(name) for name in self._columns]

    def _put(self, table: list[list[object]]) -> None:
        lines = [[_plain(value) for value in row] for row in table]
        if self._is_csv:
            buffer = io.StringIO(newline="")
            csv.writer(buffer).writerows(lines)
            self._file.write(buffer.getvalue().encode("utf-8"))
        else:
            text = "".join("\t".join(map(_tab_separated, line)) + "\n" for line in lines)
            self._file.write(text.encode("utf-8"))

    def close(self) -> None:
        """Nothing is left to write."""


def _tab_separated(field: str) -> str:
    needs_quotes = field.startswith('"') or "\t" in field or "\n" in field or "\r" in field
    return '"' + field.replace('"', '""') + '"' if needs_quotes else field


def _plain(value: object) -> str:
    """A value as the text of a field."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, dict | list | bool) else str(value)


class _JsonLines:
    """One object a line."""

    def __init__(self, file: io.BufferedIOBase, stream: TextStream, added: Mapping[str, type]) -> None:
        self._file, self._stream, self._columns, self._added = file, stream, stream.columns, list(added)

    def write(self, rows: Sequence[Row], added: Sequence[Sequence[object]]) -> None:
        lines = []
        for row, values in zip(rows, added, strict=True):
            fields = row.fields
            record = dict(fields) if isinstance(fields, dict) else dict(zip(self._columns, fields, strict=True))
            for name, value in zip(self._added, values, strict=True):
                if name in record:
                    raise DataError(
                        f"{self._stream.where(row.line)}: key {name!r}, which a column that is added has, and which "
                        "the beginning of the file does not have; rename it"
                    )
                record[name] = value
            lines.append(json.dumps({k: _finite(v) for k, v in record.items()}, ensure_ascii=False, default=str) + "\n")
        self._file.write("".join(lines).encode("utf-8", "backslashreplace"))

    def close(self) -> None:
        """Nothing is left to write."""


def _finite(value: object) -> object:
    """A number that JSON has, else None."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Parquet:
    """Columns with the types that they had; of JSON, those of the first rows."""

    def __init__(self, file: io.BufferedIOBase, stream: TextStream, added: Mapping[str, type]) -> None:
        import pyarrow

        types = {int: pyarrow.int64(), float: pyarrow.float64(), str: pyarrow.string()}
        self._file, self._stream = file, stream
        self._added = [pyarrow.field(name, types[kind]) for name, kind in added.items()]
        self._writer: Any = None
        self._own: list[pyarrow.Field] = []
        self._is_inferred = stream.form in ("json", "jsonl")
        if not self._is_inferred:
            schema: Any = stream.schema
            self._own = list(schema) if schema is not None else [
                pyarrow.field(name, pyarrow.string()) for name in stream.columns
            ]  # fmt: skip

    def write(self, rows: Sequence[Row], added: Sequence[Sequence[object]]) -> None:
        import pyarrow
        import pyarrow.parquet

        try:
            if self._writer is None:
                self._own = self._own or self._inferred(rows)
                schema = pyarrow.schema([*self._own, *self._added])
                self._writer = pyarrow.parquet.ParquetWriter(self._file, schema)
            names = [field.name for field in self._own]
            known = frozenset(names)
            columns: list[list[object]] = [[] for _ in names]
            for row in rows:
                if isinstance(row.fields, dict):
                    _check_known(self._stream, row, known, "columns of Parquet")
                    values: Sequence[object] = [row.fields.get(name) for name in names]
                else:
                    values = row.fields
                for column, value in zip(columns, values, strict=True):
                    column.append(value)
            columns += [list(column) for column in zip(*added, strict=True)]
            arrays = [
                pyarrow.array(column, field.type)
                for column, field in zip(columns, self._writer.schema, strict=True)
            ]  # fmt: skip
            if self._is_inferred:
                self._check_kept(rows, columns, arrays)
            self._writer.write_table(pyarrow.Table.from_arrays(arrays, schema=self._writer.schema))
        except (pyarrow.ArrowException, TypeError, ValueError, OverflowError) as error:
            if isinstance(error, DataError):
                raise
            lines = f"rows {rows[0].line} to {rows[-1].line}"
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise DataError(
                f"{self._stream.name}: {lines} do not fit the types of the columns of Parquet: {reason}; write .jsonl"
            ) from None

    def _check_kept(self, rows: Sequence[Row], columns: Sequence[list[object]], arrays: Sequence[Any]) -> None:
        """Refuse (DataError) a value that the type of its column, chosen by the first rows, has changed or cut."""
        for field, column, array in zip(self._own, columns, arrays, strict=False):
            for row, given, stored in zip(rows, column, array.to_pylist(), strict=True):
                if not _is_kept(given, stored):
                    raise DataError(
                        f"{self._stream.where(row.line)}: key {field.name!r} has {given!r:.60}, which does not fit "
                        f"{field.type}, the type of its column by the beginning of the file; write .jsonl"
                    )

    def _inferred(self, rows: Sequence[Row]) -> list[pyarrow.Field]:
        """Types of the keys of JSON, by the first rows; text where these have none."""
        import pyarrow

        fields = []
        for name in self._stream.columns:
            values = [row.fields.get(name) for row in rows if isinstance(row.fields, dict)]
            kind = pyarrow.array(values).type
            fields.append(pyarrow.field(name, pyarrow.string() if pyarrow.types.is_null(kind) else kind))
        return fields

    def close(self) -> None:
        """Write the end of the file."""
        if self._writer is not None:
            self._writer.close()


def _is_kept(given: object, stored: object) -> bool:
    """Whether a column of Parquet holds a value of JSON as it was; keys that an object lacks are null there."""
    if isinstance(given, dict) and isinstance(stored, dict):
        lacking = [value for key, value in stored.items() if key not in given]
        known = all(key in stored and _is_kept(value, stored[key]) for key, value in given.items())
        return known and all(value is None for value in lacking)
    if isinstance(given, list) and isinstance(stored, list):
        return len(given) == len(stored) and all(map(_is_kept, given, stored))
    if isinstance(given, bool) != isinstance(stored, bool):
        return False
    return given == stored or (given != given and stored != stored)


def _check_known(stream: TextStream, row: Row, known: frozenset[str], what: str) -> None:
    """Refuse (DataError) a key that the beginning of a file of JSON lines does not have."""
    assert isinstance(row.fields, dict)
    for key in row.fields:
        if key not in known:
            raise DataError(
                f"{stream.where(row.line)}: key {key!r}, which the beginning of the file does not have; {what} are "
                "those of the beginning: write .jsonl"
            )
