"""The series of numbers that a run logged."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

from svebm_ext.errors import DataError, ModelFolderError
from svebm_ext.files import JsonObject, check_regular

#: Bytes of a log at most; a run of a million logged iterations has 400 million.
MAX_BYTES = 1_000_000_000
#: Iterations lie below, so that they can be computed with.
MAX_STEP = 1 << 53


def read_metrics(path: Path, say: Callable[[str], None] | None = None) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of every number in a run's metrics.jsonl.

    Args:
        path: the file. Lines that cannot be read, such as a last one that was being written when the run was killed,
            are left out.
        say: receives a line where others than the last cannot be read.

    Raises:
        DataError: no such file, no regular one, or no record in it.
    """
    try:
        records, damaged = read_records(path)
    except (ModelFolderError, OSError) as error:
        raise DataError(f"{path}: not readable ({error})") from error
    series: dict[str, tuple[list[int], list[float]]] = {}
    for _, _, record in records:
        for name, value in record.items():
            if name != "step" and isinstance(value, (int, float)) and not isinstance(value, bool):
                steps, values = series.setdefault(name, ([], []))
                steps.append(record["step"])
                values.append(float(value))
    if not series:
        raise DataError(f"{path}: no records yet")
    if say is not None and damaged and damaged[0] <= len(records):
        say(f"{path}: {damaged_lines(damaged)}")
    return series


def read_records(path: Path) -> tuple[list[tuple[int, str, JsonObject]], list[int]]:
    """Records of a metrics.jsonl, each with number and text of its line, and the numbers of lines that are none.

    Raises:
        ModelFolderError: no regular file, or one of more than MAX_BYTES.
        OSError: it cannot be read.
    """
    check_regular(path, MAX_BYTES)
    records, damaged = [], []
    with open(path, "rb") as file:
        for number, content in enumerate(file, start=1):
            line = content.rstrip(b"\r\n")
            record = _record(line)
            if record is not None:
                records.append((number, line.decode(), record))
            elif line.strip():
                damaged.append(number)
    return records, damaged


def _record(line: bytes) -> JsonObject | None:
    """The record of a line; None where it is no object with a step, or has a number that cannot be computed with."""
    try:
        record = json.loads(line.decode("utf-8"))
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    step = record.get("step")
    if not isinstance(step, int) or isinstance(step, bool) or not 0 <= step < MAX_STEP:
        return None
    numbers = [value for value in record.values() if isinstance(value, (int, float))]
    return record if all(_is_usable(value) for value in numbers) else None


def _is_usable(value: int | float) -> bool:
    """Whether a value is a float, not-a-number and infinities of a diverging run among them."""
    try:
        math.isfinite(value)
    except OverflowError:
        return False
    return True


def damaged_lines(numbers: list[int]) -> str:
    """What there is to say about lines that cannot be read."""
    if len(numbers) == 1:
        return f"line {numbers[0]} cannot be read and is left out"
    return f"{len(numbers)} lines cannot be read and are left out, the first of them line {numbers[0]}"
