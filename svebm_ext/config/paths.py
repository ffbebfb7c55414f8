"""Paths of a user's text: one file, or several in one option."""

from __future__ import annotations

import glob
import os
from pathlib import Path

#: Between several paths; and before a file that lists paths.
SEPARATOR, LIST_MARK = ",", "@"


def split_paths(given: str) -> list[str]:
    """The parts of an option that names files, with commas between; a file whose name has commas is one part."""
    if SEPARATOR not in given or os.path.lexists(Path(given).expanduser()):
        return [given]
    return [part for part in given.split(SEPARATOR) if part]


def is_pattern(part: str) -> bool:
    """Whether a path is a pattern that names of files match."""
    return glob.has_magic(part)


def absolute_paths(given: Path) -> Path:
    """The same files, named so that they are the same from every folder; "-" is standard input."""
    return Path(SEPARATOR.join(map(_absolute, split_paths(str(given)))))


def _absolute(part: str) -> str:
    if part == "-":
        return part
    path = Path(part).expanduser()
    if not os.path.lexists(path):
        if part.startswith(LIST_MARK):
            return LIST_MARK + str(Path(part.removeprefix(LIST_MARK)).expanduser().absolute())
        if is_pattern(part) and not path.is_absolute():
            return str(Path(glob.escape(str(Path.cwd()))) / path)
    return str(path.absolute())
