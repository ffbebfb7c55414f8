"""Bytes of a user's file, unpacked as they are read: plain, compressed, in a zip archive, or from standard input."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import DataError
from .containers import (
    DEPTH,
    PACKED,
    STANDARD_INPUT,
    PathLike,
    is_zip,
    name_of,
    only_member,
    refuse_others,
    text_ending,
)

#: Bytes of a file that tell what it is, and that are read at a time.
MAGIC, BLOCK = 512, 1 << 20


@dataclass
class ByteStream:
    """Content of a file, which is read from its beginning to its end once.

    Args:
        name: what messages call it.
        ending: of its name, as `Source.ending`.
        file: its bytes, unpacked.
        damage: errors that mean that it is damaged.
        raw: the file itself where it is one that can be sought in, compressed or not.
        is_plain: whether `raw` holds the bytes as they are.
    """

    name: str
    ending: str
    file: io.BufferedIOBase
    damage: tuple[type[Exception], ...]
    raw: io.BufferedIOBase | None = None
    is_plain: bool = False
    _head: bytes = field(default=b"", init=False)

    def beginning(self, n: int) -> tuple[bytes, bool]:
        """The first n bytes, which `read` does not give again, and whether there are no more."""
        content = self._read(n)
        rest = b"" if len(content) < n else self._read(1)
        self._head = rest
        return content, not rest

    def read(self) -> bytes:
        """A block of what follows; empty at the end.

        Raises:
            DataError: damaged, or it cannot be read.
        """
        head, self._head = self._head, b""
        return head + self._read(BLOCK)

    def rest(self) -> bytes:
        """All that follows; errors as those of `read`."""
        return b"".join(iter(self.read, b""))

    def share(self) -> float | None:
        """Share of the file that has been read; None where its size is not known."""
        with contextlib.suppress(OSError, ValueError):
            if self.raw is not None and (size := os.fstat(self.raw.fileno()).st_size):
                return min(1.0, self.raw.tell() / size)
        return None

    def _read(self, n: int) -> bytes:
        parts: list[bytes] = []
        try:
            while n > 0 and (part := self.file.read(n)):
                parts.append(part)
                n -= len(part)
        except self.damage as error:
            raise DataError(f"{self.name}: cannot be read: {error}") from error
        return b"".join(parts)


@contextlib.contextmanager
def open_bytes(path: PathLike) -> Iterator[ByteStream]:
    """A file, unpacked where it is compressed (by content, whatever its name); "-" is standard input.

    Raises:
        DataError: as `read_source`.
    """
    name, is_input = name_of(path), str(path) == STANDARD_INPUT
    with contextlib.ExitStack() as stack:
        raw = _standard_input() if is_input else stack.enter_context(_opened(Path(path).expanduser(), name))
        sought = None if is_input or not raw.seekable() else raw
        stream = ByteStream(name, "", raw, (OSError, EOFError, ValueError, zlib.error), sought, is_plain=True)
        inner = "" if is_input else Path(path).name
        for _ in range(DEPTH):
            first, _ = stream.beginning(MAGIC)
            stream.file = _with_head(first + stream._head, stream.file, stream)
            module = next((module for magic, module in PACKED.items() if first.startswith(magic)), None)
            if is_zip(first):
                inner = _unzip(stream, stack)
            elif module is not None:
                _unpack(stream, module)
            else:
                break
            stream.is_plain = False
        first, _ = stream.beginning(MAGIC)
        stream.file = _with_head(first + stream._head, stream.file, stream)
        refuse_others(name, first)
        stream.ending = text_ending(inner)
        yield stream


def _opened(path: Path, name: str) -> io.BufferedIOBase:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise DataError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise DataError(f"{name}: cannot be read: {error}") from error


def _standard_input() -> io.BufferedIOBase:
    if sys.stdin is None or sys.stdin.closed:
        reason = "closed; name a file, or pipe text into the command" if sys.stdin is None else (
            "cannot be read: I/O operation on closed file."
        )  # fmt: skip
        raise DataError(f"standard input: {reason}")
    buffer: io.BufferedIOBase | None = getattr(sys.stdin, "buffer", None)
    return buffer if buffer is not None else io.BytesIO(sys.stdin.read().encode())


class _Headed(io.RawIOBase):
    """Bytes that were read already, and then those of a file."""

    def __init__(self, head: bytes, file: io.BufferedIOBase) -> None:
        self._head, self._file = head, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        part = self._head[: len(buffer)] or self._file.read(len(buffer))
        self._head = self._head[len(part) :]
        buffer[: len(part)] = part
        return len(part)


def _with_head(head: bytes, file: io.BufferedIOBase, stream: ByteStream) -> io.BufferedIOBase:
    """The file with the bytes before it that were read already."""
    stream._head = b""
    return io.BufferedReader(_Headed(head, file), BLOCK)


def _unpack(stream: ByteStream, module: str) -> None:
    try:
        unpack = importlib.import_module(module)
    except ImportError as error:
        raise DataError(
            f"{stream.name}: {module}-compressed, which this Python cannot read ({error}); unpack it"
        ) from error
    stream.damage = (*stream.damage, getattr(unpack, "LZMAError", OSError))
    stream.file = unpack.open(stream.file, "rb")


def _unzip(stream: ByteStream, stack: contextlib.ExitStack) -> str:
    """Open the one file of a zip archive; returns its name. An archive is sought in: others are held in memory."""
    if stream.raw is not None and stream.is_plain:
        stream.raw.seek(0)
    whole: io.BufferedIOBase = stream.raw if stream.raw is not None and stream.is_plain else io.BytesIO(stream.rest())
    with _zip_errors(stream.name):
        archive = stack.enter_context(zipfile.ZipFile(whole))
        name = only_member(stream.name, archive)
        member = archive.open(name)
        stack.callback(member.close)
        stream.file = io.BufferedReader(member, BLOCK)  # type: ignore[type-var]
    stream.damage = (*stream.damage, zipfile.BadZipFile)
    return name


@contextlib.contextmanager
def _zip_errors(name: str) -> Iterator[None]:
    try:
        yield
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{name}: cannot be read: {error}") from error
