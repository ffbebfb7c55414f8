"""The series of numbers that a run logged."""

from __future__ import annotations

import json
from pathlib import Path

from svebm_ext.errors import DataError


def read_metrics(path: Path) -> dict[str, tuple[list[int], list[float]]]:
    """Steps and values of every number in a run's metrics.jsonl.

    Args:
        path: the file; an unfinished last line, left by a run that was killed, is ignored.

    Raises:
        DataError: no such file, no record in it, or a damaged line before the last; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: not readable ({error})") from error
    series: dict[str, tuple[list[int], list[float]]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            step = int(record["step"])
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines):
                break
            raise DataError(
                f"{path}, line {number}: expected a JSON object with a step, found {line[:60]!r}"
            ) from error
        for name, value in record.items():
            if name != "step" and isinstance(value, (int, float)) and not isinstance(value, bool):
                steps, values = series.setdefault(name, ([], []))
                steps.append(step)
                values.append(float(value))
    if not series:
        raise DataError(f"{path}: no records yet")
    return series
