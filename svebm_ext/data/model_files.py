"""Files of a model or run folder, read within bounds; `svebm_ext.files` writes them.

A folder may come from anyone. What stands in the place of a file need not be one: opening a FIFO waits for a writer, a
device never ends, a link may lead to itself.
"""

import contextlib
import json
import math
import os
import stat
import weakref
from pathlib import Path
from typing import Any

from ..errors import ModelFolderError

#: Bytes of a JSON file at most; a vocabulary of 100,000 words has 2 million.
MAX_BYTES = 64_000_000
#: Brackets inside brackets at most; no file of this package has more than ten.
MAX_DEPTH = 50
#: Whole numbers are smaller, signs apart.
LARGEST = 1 << 64


def folder_is_gone(run: Path) -> ModelFolderError:
    """What there is to say where the folder of a run was deleted or moved while it is written to."""
    return ModelFolderError(
        f"{run}: the folder of the run is gone: it was deleted, moved or replaced meanwhile. Nothing more is written; "
        "put it back and resume the run, or start it anew"
    )


class HeldFolder:
    """A folder that is kept open, so that it is known from another one that has its name later.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found = path.stat()
        with contextlib.suppress(OSError):  # where a folder cannot be opened, its numbers have to do
            descriptor = os.open(path, os.O_RDONLY)  # as long as it is open, no other folder gets its number
            weakref.finalize(self, os.close, descriptor)

    def is_there(self) -> bool:
        """Whether the path still leads to this folder."""
        try:
            found = self._path.stat()
        except OSError:
            return False
        return stat.S_ISDIR(found.st_mode) and os.path.samestat(found, self._found)


def check_regular(path: Path, limit: int | None = None) -> None:
    """Refuse what is no regular file, before it is opened: that alone may wait for ever.

    Args:
        path: of the file; a link to a regular file is one.
        limit: bytes at most.

    Raises:
        ModelFolderError: missing, a folder, FIFO, device or socket, a link to itself, or too large.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        raise ModelFolderError(f"{path}: missing; copy all files of the folder together") from None
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{path}: cannot be read ({_reason(error)})") from error
    if not stat.S_ISREG(found.st_mode):
        raise ModelFolderError(f"{path}: not a regular file, but a {_kind(found.st_mode)}")
    if limit is not None and found.st_size > limit:
        raise ModelFolderError(f"{path}: larger than {limit:,} bytes, which no file of its kind is")


def read_bounded(path: Path, limit: int | None = None) -> bytes:
    """Content of a regular file.

    Args:
        path: of the file.
        limit: bytes at most; MAX_BYTES unless another is given.

    Raises:
        ModelFolderError: as `check_regular`, or it cannot be read.
    """
    limit = MAX_BYTES if limit is None else limit
    check_regular(path, limit)
    try:
        with open(path, "rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise ModelFolderError(f"{path}: cannot be read ({_reason(error)})") from error
    if len(content) > limit:
        raise ModelFolderError(f"{path}: larger than {limit:,} bytes, which no file of its kind is")
    return content


def read_small_json(path: Path) -> Any:
    """A JSON file of a model folder.

    Raises:
        ModelFolderError: the file is missing, no regular file, larger than MAX_BYTES, or not JSON in UTF-8.
    """
    return parse_json(read_bounded(path), str(path))


def parse_json(content: bytes | str, where: str) -> Any:
    """JSON as this package writes it: finite numbers of usual size, brackets at most MAX_DEPTH deep, valid Unicode.

    Args:
        content: UTF-8.
        where: named in errors.

    Raises:
        ModelFolderError: anything else.
    """
    try:
        value = json.loads(content.decode("utf-8") if isinstance(content, bytes) else content)
        _check_values(value)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError
        raise ModelFolderError(f"{where}: cannot be read as JSON in UTF-8: {error!s:.200}") from error
    return value


def _check_values(value: Any) -> None:
    """Refuse what is JSON for the parser, but no value that could be computed with or printed."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.keys()
                below += item.values()
            elif isinstance(item, list):
                below += item
            elif isinstance(item, float):
                if not math.isfinite(item):
                    raise ValueError(f"{item} where a finite number is expected")
            elif isinstance(item, int):
                if abs(item) >= LARGEST:
                    raise ValueError("a number beyond 64 bits")
            elif isinstance(item, str) and not item.isascii():
                try:
                    item.encode("utf-8")
                except UnicodeEncodeError:
                    raise ValueError("half of a surrogate pair, which is not valid Unicode") from None
        if not below:
            return
        level = below
    raise ValueError(f"brackets are more than {MAX_DEPTH} deep")


def _kind(mode: int) -> str:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket"}
    return kinds.get(stat.S_IFMT(mode), "device")


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
