"""Texts in memory: lists, data frames, data sets. Their libraries are not imported: what they offer is asked."""

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

from ..errors import DataError
from .records import records_table, with_class_names
from .tables import ABSENT, Table

_PLACE = "{name}: row {row} (counted from 0)"
_EXPECTED = "a path, a list of texts, of (text, label) pairs or of dictionaries, a data frame or a data set"


@runtime_checkable
class _ByName(Protocol):
    """What has values by name."""

    def __getitem__(self, name: str, /) -> object: ...


def python_table(data: object, name: str) -> Table:
    """Table of texts that are in memory.

    Args:
        data: a list (or any iterable) of strings, of (text, label) pairs or of dictionaries; a dictionary of columns; a
            pandas or polars DataFrame or Series; a `datasets.Dataset` or a table of pyarrow.
        name: what messages call it.

    Raises:
        DataError: anything else, or nothing in it.
    """
    if isinstance(data, (bytes, bytearray, memoryview)):
        raise DataError(f"{name}: {type(data).__name__} given; expected {_EXPECTED}")
    if isinstance(data, Mapping):
        table = _mapping(data, name)
    elif hasattr(data, "column_names") and hasattr(data, "__getitem__"):
        features = getattr(data, "features", None) or {}
        names = list(data.column_names)
        columns = [_values(data[column], name) for column in names]
        table = _columns(
            name, names, [with_class_names(c, _names(features, n)) for n, c in zip(names, columns, strict=True)]
        )
    elif hasattr(data, "columns") and hasattr(data, "__getitem__"):
        by_place = getattr(data, "iloc", None)  # pandas: names of columns may occur twice
        columns = [
            _values(data[column] if by_place is None else by_place[:, i], name) for i, column in enumerate(data.columns)
        ]
        table = _columns(name, list(data.columns), columns)
    else:
        table = _list(_values(data, name), name)
    if not table.columns or not len(table.rows):
        raise DataError(f"{name}: no texts in it")
    return table


def _names(features: object, column: str) -> list[str] | None:
    if not isinstance(features, _ByName):
        return None
    try:
        return getattr(features[column], "names", None)
    except (KeyError, TypeError):
        return None


def _columns(name: str, names: list[object], columns: list[list[object]]) -> Table:
    lengths = {len(column) for column in columns}
    if len(lengths) > 1:
        raise DataError(f"{name}: columns of {' and '.join(map(str, sorted(lengths)))} values; expected equal lengths")
    return Table(name, list(columns), list(map(str, names)), range(max(lengths, default=0)), _PLACE)


def _mapping(data: Mapping[object, object], name: str) -> Table:
    if any(hasattr(value, "column_names") for value in data.values()):
        raise DataError(f"{name}: several splits ({', '.join(map(str, data))}); give one of them, as data['train']")
    if any(isinstance(value, (str, bytes)) for value in data.values()):
        raise DataError(
            f"{name}: one dictionary of values; expected a dictionary of columns, or a list of dictionaries"
        )
    return _columns(name, list(data), [_values(value, name) for value in data.values()])


def _values(data: object, name: str) -> list[object]:
    """Elements of anything that has some, as Python's own types."""
    for method in ("to_pylist", "to_list", "tolist"):
        if hasattr(data, method):
            values = getattr(data, method)()
            return values if isinstance(values, list) else [values]
    if isinstance(data, (str, bytes)) or not isinstance(data, Iterable):
        raise DataError(f"{name}: {type(data).__name__} given; expected {_EXPECTED}")
    return list(data)


def _list(values: list[object], name: str) -> Table:
    """Table of a list: its first element tells what all others have to be."""
    rows = range(len(values))
    first = next((value for value in values if value is not None), None)
    if isinstance(first, Mapping):
        _same_kind(values, Mapping, "a dictionary", name)
        return records_table(name, [value for value in values if isinstance(value, Mapping)], rows, _PLACE)
    if isinstance(first, (tuple, list)):
        _same_kind(values, (tuple, list), "a (text, label) pair", name)
        pairs = [value for value in values if isinstance(value, (tuple, list))]
        for row, value in enumerate(pairs):
            if len(value) != 2:
                raise DataError(f"{_PLACE.format(name=name, row=row)}: {len(value)} values; expected (text, label)")
        texts, labels = zip(*pairs, strict=True)
        return Table(
            name, [texts, [ABSENT if v is None else v for v in labels]], ["text", "label"], rows, _PLACE, "key"
        )
    return Table(name, [values], ["text"], rows, _PLACE, "key")


def _same_kind(values: list[object], kind: type | tuple[type, ...], expected: str, name: str) -> None:
    for row, value in enumerate(values):
        if not isinstance(value, kind):
            where = _PLACE.format(name=name, row=row)
            raise DataError(f"{where}: {type(value).__name__} ({value!r:.40}); expected {expected}, as the others are")
