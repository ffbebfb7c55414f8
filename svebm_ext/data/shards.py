"""Which files a user means: one, several with commas between, a pattern, or a list of paths in a file."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from pathlib import Path

from ..config import LIST_MARK, is_pattern, split_paths
from ..errors import DataError
from .containers import STANDARD_INPUT, PathLike, check_there


def files_of(given: PathLike) -> list[Path]:
    """The files that a path means, in their order; a single path as it is, whether it is there or not.

    Args:
        given: `a.txt`, `a.txt,b.txt`, `part-*.txt.gz` (sorted by name), `@shards.txt` (a path a line, those that are
            relative from the folder of the list), or such parts with commas between. A file that has the name itself
            is that file.

    Raises:
        DataError: a pattern without a match, a list that cannot be read or is empty, a file that is named twice, or
            a folder or standard input among several files.
    """
    parts = split_paths(str(given))
    files = [file for part in parts for file in _files_of_part(part)]
    if len(files) > 1:
        _check_files(files)
    return files


def check_named(given: PathLike) -> None:
    """Refuse (DataError) a file by its own name that is not there; what patterns and lists mean is looked at later."""
    for part in split_paths(str(given)):
        if not (part.startswith(LIST_MARK) or is_pattern(part)):
            check_there(Path(part))


def name_of_files(files: Sequence[Path]) -> str:
    """What messages call some files together."""
    if len(files) == 1:
        return str(files[0])
    return f"{files[0]} and {len(files) - 1} more file{'' if len(files) == 2 else 's'}"


def _files_of_part(part: str) -> list[Path]:
    path = Path(part).expanduser()
    if part == STANDARD_INPUT or os.path.lexists(path):
        return [Path(part)]
    if part.startswith(LIST_MARK):
        return _listed(Path(part.removeprefix(LIST_MARK)).expanduser())
    if not is_pattern(part):
        return [Path(part)]
    matches = sorted(match for match in glob.glob(str(path), recursive=True) if not Path(match).is_dir())
    if not matches:
        raise DataError(f"{part}: no file matches; expected a pattern of files that are there, such as 'part-*.txt.gz'")
    return [Path(match) for match in matches]


def _listed(path: Path) -> list[Path]:
    """Files of a list, one path a line."""
    from .text_files import read_lines

    files: list[Path] = []
    for number, line in enumerate(read_lines(path), 1):
        name = line.strip()
        if name.startswith(LIST_MARK) or name == STANDARD_INPUT:
            raise DataError(f"{path}:{number}: {name!r:.80} in a list of files; expected the path of a file")
        if name:
            files += _files_of_part(str(path.parent / Path(name).expanduser()))
    return files


def _check_files(files: Sequence[Path]) -> None:
    """Refuse (DataError) what is no file of its own among several."""
    seen: dict[object, Path] = {}
    for file in files:
        if str(file) == STANDARD_INPUT:
            raise DataError("standard input (-) among several files; expected files, or standard input alone")
        path = file.expanduser()
        if path.is_dir():
            raise DataError(f"{file}: a folder among several files; expected files, or a folder alone")
        try:
            status = path.stat()
        except FileNotFoundError:
            raise DataError(f"{file}: no such file") from None
        except (OSError, ValueError) as error:
            raise DataError(f"{file}: cannot be read: {error}") from error
        same = seen.setdefault((status.st_dev, status.st_ino), file)
        if same is not file:
            twice = "is given twice" if str(same) == str(file) else f"is the same file as {same}"
            raise DataError(f"{file}: {twice}; expected each file once, since its texts would count twice")
