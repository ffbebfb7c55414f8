"""Tables of JSON lines, JSON arrays and Parquet files."""

import io
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeVar

from ..errors import DataError
from .tables import ABSENT, TEXT_NAMES, Table, known_name
from .text_files import json_reason, parse_json_object

_SPACE = re.compile(r"\s*")
_MOST_KEYS = 100
_Key = TypeVar("_Key")
EXTRA = 'pip install "svebm_ext[arrow]"'


def records_table(name: str, records: Sequence[Mapping[_Key, object]], rows: Sequence[int], place: str) -> Table:
    """Table of objects: a column for each key, the most frequent ones where objects have a great many."""
    counts = Counter(key for record in records for key in record)
    keys = [key for key, _ in counts.most_common(_MOST_KEYS)] if len(counts) > _MOST_KEYS else list(counts)
    columns = [[record.get(key, ABSENT) for record in records] for key in keys]
    return Table(name, list(columns), [str(key) for key in keys], rows, place, "key")


def read_json_lines(name: str, lines: Sequence[str]) -> Table:
    """Table of a text with one JSON object a line.

    Raises:
        DataError: a line that is no object; the message names file and line.
    """
    numbers = [number for number, line in enumerate(lines, 1) if line.strip()]
    records = [checked_json_object(name, number, lines[number - 1]) for number in numbers]
    if len(records) == 1 and _holds_a_table(records[0]):
        return _object_table(name, records[0])
    table = records_table(name, records, numbers, "{name}:{row}")
    last = max(numbers, default=0)  # lines after it hold no example
    table.empty.extend(number for number, line in enumerate(lines[:last], 1) if not line.strip())
    return table


def checked_json_object(name: str, number: int, line: str) -> dict[str, object]:
    """The object of a line of JSON lines.

    Raises:
        DataError: it is none; the message names file and line.
    """
    try:
        return parse_json_object(name, number, line)
    except DataError as error:
        raise DataError(f"{error}; if these are whole lines, set --data.format lines") from None


def _holds_a_table(record: dict[str, object]) -> bool:
    """Whether the only line of a file is an object of columns, and not an example with a text."""
    has_text = any(isinstance(v, str) and known_name(key, TEXT_NAMES) is not None for key, v in record.items())
    return not has_text and any(isinstance(v, (dict, list)) for v in record.values())


def read_json_text(name: str, text: str) -> Table:
    """Table of a text that is one JSON value: an array of objects, of texts or of rows, or an object of columns.

    Raises:
        DataError: not JSON, or another value; the message names file and line.
    """
    text = text.strip("\ufeff")
    begin = _SPACE.match(text).end()  # type: ignore[union-attr]
    if text[begin : begin + 1] != "[":
        return _object_table(name, _whole(name, text))
    values, lines = [], []
    for value, line in _elements(name, text, begin + 1):
        values.append(value)
        lines.append(line)
    return values_table(name, values, lines, "{name}:{row}")


def values_table(name: str, values: list[object], rows: Sequence[int], place: str) -> Table:
    """Table of a list of objects, of texts, or of lists of equal length."""
    if not values:
        raise DataError(f"{name}: an empty array; expected objects with a text each")
    kind = next((kind for kind in (dict, str, list) if isinstance(values[0], kind)), None)
    where = place.format(name=name, row=rows[0])
    if kind is None:
        raise DataError(f"{where}: a value of type {type(values[0]).__name__}; expected objects with a text each")
    width = len(values[0]) if isinstance(values[0], list) else 0
    for value, row in zip(values, rows, strict=True):
        if not isinstance(value, kind) or (isinstance(value, list) and len(value) != width):
            where = place.format(name=name, row=row)
            raise DataError(f"{where}: {_kind(value)}; expected {_kind(values[0])}, as the first one is")
    if kind is dict:
        return records_table(name, [value for value in values if isinstance(value, dict)], rows, place)
    lists = [value for value in values if isinstance(value, list)]
    columns = [values] if kind is str else [[value[i] for value in lists] for i in range(width)]
    if not columns:
        raise DataError(f"{where}: an empty list; expected a text")
    return Table(name, list(columns), None, rows, place)


def _kind(value: object) -> str:
    return f"a list of {len(value)}" if isinstance(value, list) else f"a value of type {type(value).__name__}"


def _whole(name: str, text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise _not_json(name, text, error.pos, error.msg) from None
    except (RecursionError, ValueError) as error:
        raise DataError(f"{name}: not JSON that can be read: {json_reason(error)}") from None


def _not_json(name: str, text: str, position: int, reason: str) -> DataError:
    line = text.count("\n", 0, position) + 1
    return DataError(f"{name}:{line}: not JSON: {reason}; if these are whole lines, set --data.format lines")


def _object_table(name: str, value: object) -> Table:
    """Table of an object of columns, or of the one list that an object holds."""
    if not isinstance(value, dict) or not value:
        raise DataError(f"{name}: a JSON value of type {type(value).__name__}; expected an array of objects")
    if not any(isinstance(v, (dict, list)) for v in value.values()):
        return records_table(name, [value], [1], "{name}:{row}")  # a single line of JSON lines
    columns = [list(v.values()) if isinstance(v, dict) else v for v in value.values()]
    lists = [column for column in columns if isinstance(column, list)]
    place = "{name}: item {row}"
    if len(lists) == len(columns) and len({len(column) for column in lists}) == 1 and len(columns) > 1:
        return Table(name, list(lists), list(map(str, value)), range(1, len(lists[0]) + 1), place, "key")
    whole = [v for v in value.values() if isinstance(v, list)]
    if len(whole) == 1 and whole[0]:
        return values_table(name, whole[0], range(1, len(whole[0]) + 1), place)
    listed = ", ".join(f"{key!r} ({type(v).__name__})" for key, v in list(value.items())[:20])
    raise DataError(f"{name}: one JSON object with {listed}; expected an array of objects, or one object a line")


def _elements(name: str, text: str, position: int) -> Iterator[tuple[object, int]]:
    """Elements of an array that begins before `position`, and the line of each."""
    decoder, line, counted = json.JSONDecoder(), 1, 0
    position = _SPACE.match(text, position).end()  # type: ignore[union-attr]
    if text[position : position + 1] == "]":
        return
    while True:
        try:
            value, end = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            raise _not_json(name, text, error.pos, error.msg) from None
        except (RecursionError, ValueError) as error:
            raise _not_json(name, text, position, json_reason(error)) from None
        line += text.count("\n", counted, position)
        counted = position
        yield value, line
        position = _SPACE.match(text, end).end()  # type: ignore[union-attr]
        if text[position : position + 1] == "]":
            break
        if text[position : position + 1] != ",":
            raise _not_json(name, text, position, "expected ',' or ']' after an element")
        position = _SPACE.match(text, position + 1).end()  # type: ignore[union-attr]
    if text[position + 1 :].strip():
        raise _not_json(name, text, position + 1, "text after the end of the array")


def read_parquet(name: str, content: bytes) -> Table:
    """Table of a Parquet file.

    Raises:
        DataError: damaged, or pyarrow is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise DataError(f"{name}: a Parquet file, which needs pyarrow: {EXTRA}") from None
    try:
        check_names(name, pyarrow.parquet.ParquetFile(io.BytesIO(content)).schema_arrow.names)
        arrow = pyarrow.parquet.read_table(io.BytesIO(content))
        columns = [arrow.column(i).to_pylist() for i in range(arrow.num_columns)]
    except DataError:
        raise
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{name}: not a Parquet file that can be read: {str(error).splitlines()[0]}") from error
    if not columns or not columns[0]:
        raise DataError(f"{name}: a Parquet file without rows")
    classes = class_names(arrow.schema.metadata)
    named = [with_class_names(c, classes.get(n)) for n, c in zip(arrow.column_names, columns, strict=True)]
    return Table(name, list(named), list(arrow.column_names), range(1, len(columns[0]) + 1), "{name}: row {row}")


def check_names(name: str, names: Sequence[str]) -> None:
    """Refuse (DataError) columns of a Parquet file that have one name, which Arrow cannot tell apart."""
    twice = next((one for one, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise DataError(f"{name}: {names.count(twice)} columns are called {twice!r}; rename them")


def class_names(metadata: dict[bytes, bytes] | None) -> dict[str, list[str]]:
    """Names of classes that `datasets` keeps in its files, by column."""
    try:
        features = json.loads((metadata or {})[b"huggingface"])["info"]["features"]
        return {name: feature["names"] for name, feature in features.items() if feature.get("_type") == "ClassLabel"}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def with_class_names(values: list[object], names: Sequence[str] | None) -> list[object]:
    """Numbers of classes as their names; -1, by which `datasets` marks unlabelled examples, as None."""
    if not names:
        return values
    return [(names[v] if 0 <= v < len(names) else None if v == -1 else v) if isinstance(v, int) else v for v in values]
