"""What reaches the terminal: results on standard output, messages on standard error, control characters on neither."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import sys
from collections.abc import Iterator
from typing import TypeVar

_Stream = TypeVar("_Stream")
#: Control characters (C0, DEL, C1), ends of lines and directions of Unicode, and halves of surrogate pairs.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
STANDARD_OUTPUT = "standard output"

#: What to do about an error of the operating system.
_CURES = {
    "EACCES EPERM": "choose a place that you may read and write, or change its permissions",
    "EROFS": "choose a place that can be written to",
    "ENOSPC EDQUOT": "free some space, or choose a place that has some",
    "EFBIG": "raise the limit on the size of files (ulimit -f), or choose another place",
    "ENAMETOOLONG": "choose a shorter name",
    "ENOENT": "check the path",
    "ENOTDIR": "a part of the path is a file; choose another place",
    "EISDIR": "expected a file; choose another name",
    "EEXIST": "something else has that name; choose another one",
    "ELOOP": "a link leads to itself; choose another place",
    "EMFILE ENFILE": "raise the limit on open files (ulimit -n)",
    "ENOMEM EAGAIN": "free some memory, or raise the limit on it (ulimit -a)",
    "EIO ESTALE ETIMEDOUT ENXIO ENODEV": "the disk or the network has failed; try again, or choose another place",
    "EBADF EPIPE": "nobody reads it any more; send it to a file",
}
_CURE_OF = {getattr(errno, name, -1): cure for names, cure in _CURES.items() for name in names.split()}


def printable(text: str, keep: str = "") -> str:
    r"""The text with every character escaped (\x1b, \u202e) that would change what a terminal shows of other text.

    Args:
        text: anything that a user, a file or a model has brought in.
        keep: of these characters the ones that stay, such as "\n" in text of several lines.
    """
    return _UNSAFE.sub(lambda match: match[0] if match[0] in keep else _escape(match[0]), text)


def printable_json(text: str) -> str:
    r"""JSON with the same characters escaped as JSON does it (\u001b); ends of lines between its values stay."""
    return _UNSAFE.sub(lambda match: match[0] if match[0] in "\n" else f"\\u{ord(match[0]):04x}", text)


def _escape(character: str) -> str:
    short = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(character)
    code = ord(character)
    return short or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


class _Voice:
    """Whether this process prints: of several that share their work one does."""

    muted = False


def mute(muted: bool = True) -> None:
    """Let `show` and `say` print nothing: another process tells the same."""
    _Voice.muted = muted


def counted(n: int, what: str, several: str | None = None) -> str:
    """A number with what it counts: "1 text", "2,000 texts"; `several` where that is not `what` with an s."""
    return f"{n:,} {what if n == 1 else several or what + 's'}"


def show(text: str = "") -> None:
    """Print a result on standard output.

    Raises:
        OSError: it cannot be written to.
    """
    if _Voice.muted:
        return
    print(printable(text, "\n\t"), flush=sys.stdout is not None and sys.stdout.isatty())


def say(text: str, *, over: bool = False) -> None:
    """Print a message on standard error; where nobody can read it any more, the work goes on without.

    Args:
        text: the message.
        over: write over the line that the cursor is on, and stay there.
    """
    if _Voice.muted:
        return
    begin, end = ("\r", "") if over else ("", "\n")
    try:
        print(begin + printable(text, "\n\t"), end=end, file=sys.stderr, flush=True)
    except (OSError, ValueError):  # a terminal that has gone, a full disk, a closed stream
        return


def describe_os_error(error: OSError) -> str:
    """One line, `PATH: reason; what to do`."""
    reason = error.strerror or str(error) or type(error).__name__
    name = error.filename2 if error.filename2 is not None else error.filename
    where = "" if name is None else f"{name if isinstance(name, int) else os.fsdecode(name)}: "
    cure = _CURE_OF.get(error.errno or 0, "check that the place is there and can be used")
    return f"{where}{reason}; {cure}"


class _Output(io.TextIOWrapper):
    """Standard output whose errors say that it is standard output."""

    def write(self, text: str) -> int:
        with _named():
            return super().write(text)

    def flush(self) -> None:
        with _named():
            super().flush()


@contextlib.contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), STANDARD_OUTPUT) from None


class _Messages(io.TextIOWrapper):
    """Standard error that goes nowhere once it cannot be written to: messages are worth less than the work."""

    def write(self, text: str) -> int:
        try:
            return super().write(text)
        except OSError:
            _to_nowhere(2)
            return len(text)

    def flush(self) -> None:
        try:
            super().flush()
        except OSError:
            _to_nowhere(2)


def prepare_streams() -> None:
    """Make the process's own streams fit for any text, and keep descriptors 0 to 2 from becoming files of ours.

    A stream that was closed before we began leaves its number free, and the next file that is opened would get it: a
    checkpoint would then receive what is printed.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    sys.stdout = _replaced(sys.stdout, sys.__stdout__, _Output)
    sys.stderr = _replaced(sys.stderr, sys.__stderr__, _Messages)


def _replaced(stream: _Stream, original: object, kind: type[io.TextIOWrapper]) -> _Stream | io.TextIOWrapper:
    """A stream of a kind in place of the process's own; any other (of a notebook, of a test) stays."""
    if stream is not original or not isinstance(stream, io.TextIOWrapper) or type(stream) is not io.TextIOWrapper:
        return stream
    return kind(
        stream.buffer,
        encoding=stream.encoding,
        errors="backslashreplace",  # "café" on a terminal that knows ASCII alone: caf\\xe9
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def give_up_output() -> None:
    """Let standard output, which cannot be written to, end in the null device: no more is raised about it."""
    if isinstance(sys.stdout, _Output):
        _to_nowhere(1)


def _to_nowhere(descriptor: int) -> None:
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, descriptor)
    os.close(null)


def flush_output() -> None:
    """Write what is still to be written on standard output.

    Raises:
        OSError: it cannot be; the error names standard output.
    """
    if sys.stdout is not None and not sys.stdout.closed:
        sys.stdout.flush()
