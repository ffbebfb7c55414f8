"""Files that appear whole or not at all, and files of a model or run folder, read within bounds.

A folder may come from anyone. What stands in the place of a file need not be one: opening a FIFO waits for a writer, a
device never ends, a link may lead to itself.
"""

from __future__ import annotations

import contextlib
import errno
import io
import json
import math
import os
import re
import stat
import tempfile
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from svebm_ext.errors import ModelFolderError

T = TypeVar("T")

#: An object of JSON: a report, a row, a record of a log. What a key holds is said where the object is made.
JsonObject: TypeAlias = dict[str, Any]
#: The same for a function that reads it and changes nothing.
JsonMapping: TypeAlias = Mapping[str, Any]

#: Bytes of a JSON file at most; a vocabulary of 100,000 words has 2 million.
MAX_BYTES = 64_000_000
#: Brackets inside brackets at most; no file of this package has more than ten.
MAX_DEPTH = 50
#: Whole numbers are smaller, signs apart.
LARGEST = 1 << 64
#: Bytes of a file's name that a temporary one repeats; names have 255 at most.
_REPEATED = 200
#: Times that a folder is made again; a path that never exists, such as one under a deleted folder, ends so too.
_TRIES = 100
_TEMPORARY = re.compile(r"\.(.*)\.(\d+)\.tmp")


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part, also after a crash.

    What is no regular file (/dev/null, a pipe) is written to as it is, and a link stays one.

    Raises:
        OSError: it names `path`; the old content is as it was, and no other file is left.
    """
    # Halves of surrogate pairs (a file name that is not UTF-8) as JSON and Python write them.
    data = content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content
    with written_whole(path) as file:
        file.write(data)


@contextlib.contextmanager
def written_whole(path: Path) -> Iterator[io.BufferedIOBase]:
    """A file to write bytes to, which takes its place when the block ends well; else what was there stays as it was.

    What is no regular file (/dev/null, a pipe) is written to as it is, and a link stays one.

    Raises:
        OSError: it cannot be written; the error names `path`.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    is_special = _is_special(path)
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    temporary = path if is_special else _temporary_name(target)
    try:
        if not is_special:
            _remove_stale(target)
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            if not is_special:
                os.fsync(file.fileno())
        if not is_special:
            os.replace(temporary, target)
            sync_folder(target.parent)
    except OSError as error:
        raise _about(path, error) if error.filename in (None, str(temporary)) else error from None
    finally:
        if not is_special:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)


def write_json(path: Path, value: object) -> None:
    """Write JSON as `write_whole`; not-a-number and infinities are not written (ValueError)."""
    write_whole(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, whole or not at all.

    Raises:
        OSError: it names `path`.
    """
    size = None
    try:
        with open(path, "ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            data = memoryview((line + "\n").encode("utf-8", "backslashreplace"))
            while data:
                data = data[file.write(data) :]
    except OSError as error:
        if size is not None:
            with contextlib.suppress(OSError):
                os.truncate(path, size)
        raise _about(path, error) from None


def sync_file(path: Path) -> None:
    """Make what was added to a file outlast a loss of power.

    Raises:
        OSError: it names `path`.
    """
    try:
        with open(path, "ab") as file:
            os.fsync(file.fileno())
    except OSError as error:
        raise _about(path, error) from None


def remove_stale(folder: Path) -> None:
    """Remove temporary files of writers that were killed, in a folder in which nobody writes now."""
    if not folder.is_dir():
        return
    for path in folder.glob(".*.tmp"):
        named = _TEMPORARY.fullmatch(path.name)
        if named and not is_running(int(named[2])):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def missing_folders(folder: Path) -> list[Path]:
    """Folders that `made_folder` has to make, the topmost first: those of a path that are not there."""
    every = [folder, *folder.parents]
    return every[: next((i for i, path in enumerate(every) if path.exists()), len(every))][::-1]


@contextlib.contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """A folder, made with those above it where they are missing; what is still empty at the end is taken away again.

    Raises:
        OSError: it cannot be made.
    """
    missing = missing_folders(folder)
    try:
        in_made_folder(folder, lambda: None)
        yield
    finally:
        for path in reversed(missing):
            with contextlib.suppress(OSError):
                path.rmdir()


def in_made_folder(folder: Path, make: Callable[[], T]) -> T:
    """What `make` returns, which makes a file in a folder of `made_folder`.

    Until a folder has a file, another process that made it for nothing may take it away. It is made again then.

    Raises:
        OSError: of `make`, or the folder cannot be made.
    """
    for _ in range(_TRIES - 1):
        # mkdir itself looks twice: "exists" may be followed by "is no folder" where it has gone meanwhile.
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            folder.mkdir(parents=True, exist_ok=True)
            return make()
    folder.mkdir(parents=True, exist_ok=True)
    return make()


def check_folder_takes_files(folder: Path) -> None:
    """Find out whether a folder, which may be missing yet, can be written to; leaves nothing.

    Raises:
        OSError: it cannot; the error names the folder.
    """
    try:
        with made_folder(folder):
            in_made_folder(folder, lambda: _write_for_nothing(folder))
    except OSError as error:
        raise _about(folder, error) from None


def _write_for_nothing(folder: Path) -> None:
    """Write a file that has no name, where the system has such files, so that a process killed here leaves none."""
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(b"0")
        file.flush()
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make names that were written to a folder outlast a loss of power, where the system can."""
    with contextlib.suppress(OSError):  # some file systems, and Windows, refuse to open a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def is_running(pid: int) -> bool:
    """Whether another process of this machine has this number."""
    if pid == os.getpid():
        return False
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


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
            status = self._path.stat()
        except OSError:
            return False
        return stat.S_ISDIR(status.st_mode) and os.path.samestat(status, self._found)


def check_regular(path: Path, limit: int | None = None) -> None:
    """Refuse what is no regular file, before it is opened: that alone may wait for ever.

    Args:
        path: of the file; a link to a regular file is one.
        limit: bytes at most.

    Raises:
        ModelFolderError: missing, a folder, FIFO, device or socket, a link to itself, or too large.
    """
    try:
        status = path.stat()
    except FileNotFoundError:
        raise ModelFolderError(f"{path}: missing; copy all files of the folder together") from None
    except (OSError, ValueError) as error:
        raise ModelFolderError(f"{path}: cannot be read ({_reason(error)})") from error
    if not stat.S_ISREG(status.st_mode):
        raise ModelFolderError(f"{path}: not a regular file, but a {_kind(status.st_mode)}")
    if limit is not None and status.st_size > limit:
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


def read_json(path: Path) -> Any:
    """A JSON file of a model or run folder.

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


def _about(path: Path, error: OSError) -> OSError:
    """The same error of the file that the caller knows, not of a temporary one, or of a stream without a name."""
    return OSError(error.errno, error.strerror or str(error), str(path))


def _is_special(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _temporary_name(path: Path) -> Path:
    kept = os.fsdecode(os.fsencode(path.name)[:_REPEATED])
    return path.with_name(f".{kept}.{os.getpid()}.tmp")


def _remove_stale(path: Path) -> None:
    """Remove what earlier writers of this file have left when they were killed."""
    begin = _temporary_name(path).name.rpartition(f".{os.getpid()}.")[0]
    with contextlib.suppress(OSError):
        for entry in os.scandir(path.parent):
            named = _TEMPORARY.fullmatch(entry.name)
            if named and f".{named[1]}" == begin and not is_running(int(named[2])):
                Path(entry.path).unlink(missing_ok=True)


def _check_values(value: object) -> None:
    """Refuse what is JSON for the parser, but no value that could be computed with or printed."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[object] = []
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
