"""Files that appear whole or not at all, and leave nothing behind where they cannot be written."""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

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
    try:
        if _is_special(path):
            path.write_bytes(data)
            return
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        _remove_stale(target)
        temporary = _temporary_name(target)
        try:
            with open(temporary, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, target)
            sync_folder(target.parent)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise _about(path, error) from None


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


@contextlib.contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """A folder, made with those above it where they are missing; what is still empty at the end is taken away again.

    Raises:
        OSError: it cannot be made.
    """
    missing = [folder, *folder.parents]
    missing = missing[: next((i for i, path in enumerate(missing) if path.exists()), len(missing))]
    try:
        in_made_folder(folder, lambda: None)
        yield
    finally:
        for path in missing:
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
            probe = _temporary_name(folder / "probe")  # each process has its own
            in_made_folder(folder, lambda: write_whole(probe, b"0"))
            probe.unlink()
    except OSError as error:
        raise _about(folder, error) from None


def sync_folder(folder: Path) -> None:
    """Make names that were written to a folder outlast a loss of power, where the system can."""
    with contextlib.suppress(OSError):  # some file systems, and Windows, refuse to open a folder
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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
