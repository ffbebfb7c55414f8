"""One training a folder at a time."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from svebm_ext.errors import ConfigError
from svebm_ext.files import JsonObject, in_made_folder, is_running, made_folder, remove_stale
from svebm_ext.models.folder import LOCK

try:
    import fcntl
except ImportError:  # no Unix: the number of the process alone tells
    fcntl = None  # type: ignore[assignment]


@contextlib.contextmanager
def only_training(out: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Make a run folder and keep other trainings out of it; where nothing was written, nothing stays.

    Args:
        out: run folder.
        say: is told of a lock that a killed training has left.

    Raises:
        ConfigError: another training is at work there.
        OSError: the folder cannot be made or written to.
    """
    with made_folder(out):
        descriptor = _take(out / LOCK, out, say)
        try:
            for folder in (out, out / "checkpoints", out / "plots"):
                remove_stale(folder)
            yield
        finally:
            with contextlib.suppress(OSError):
                (out / LOCK).unlink(missing_ok=True)
            os.close(descriptor)


def running_training(out: Path) -> JsonObject | None:
    """Process (pid) and host of the training that is at work in a folder; None where none is, as far as one can see."""
    try:
        descriptor = os.open(out / LOCK, os.O_RDONLY)
    except OSError:
        return None
    try:
        owner = _read(descriptor)
        return owner if owner and _is_held(descriptor, owner, shared=True) else None
    finally:
        os.close(descriptor)


def _take(path: Path, out: Path, say: Callable[[str], None]) -> int:
    """Descriptor of the locked file, with this process in it."""
    while True:
        descriptor = in_made_folder(out, lambda: os.open(path, os.O_RDWR | os.O_CREAT, 0o644))
        try:
            owner = _read(descriptor)
            if _is_held(descriptor, owner):
                raise ConfigError(_refusal(path, out, owner))
            try:
                same = os.path.samestat(os.fstat(descriptor), os.stat(path))
            except FileNotFoundError:
                same = False
            if same:
                if owner:
                    say(f"{out}: process {owner['pid']}, which trained it, has ended without a word; taking over")
                content = {"pid": os.getpid(), "host": socket.gethostname()}
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, json.dumps(content).encode() + b"\n", 0)
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its owner has ended, and taken the file away, between our two looks


def _is_held(descriptor: int, owner: JsonObject, *, shared: bool = False) -> bool:
    """Whether a living process has the lock; it is ours afterwards where none has."""
    if fcntl is not None:
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            pass
        else:
            # Some network file systems lock within one host only.
            return bool(owner) and owner["host"] != socket.gethostname()
    if not owner:
        return False
    return owner["host"] != socket.gethostname() or is_running(owner["pid"])


def _read(descriptor: int) -> JsonObject:
    """Owner in a lock file; {} where it is empty or damaged."""
    try:
        owner = json.loads(os.pread(descriptor, 4096, 0))
        return {"pid": int(owner["pid"]), "host": str(owner["host"])}
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return {}


def _refusal(path: Path, out: Path, owner: JsonObject) -> str:
    here = not owner or owner["host"] == socket.gethostname()
    who = f"process {owner['pid']}" + ("" if here else f" on {owner['host']}") if owner else "another process"
    cure = "" if here else f"; if that process has ended, delete {path}"
    return f"--out: {who} is training in {out}; wait for it, stop it, or choose another folder{cure}"
