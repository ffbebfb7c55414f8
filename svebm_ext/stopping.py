"""How a command ends when it is told to: Ctrl-C (SIGINT), SIGTERM, or a connection that breaks (SIGHUP)."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
_HANGUP = getattr(signal, "SIGHUP", None)
#: Seconds that a computation in compiled code may go on before a command that has nothing to save is ended.
GRACE = 2.0


class Stopped(KeyboardInterrupt):
    """A signal has asked the command to end.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__(number)
        self.number = int(number)


class _State:
    """What the thread that watches signals knows: whether a run saves itself first, and whether Python has heard."""

    saves = False
    shared = False
    heard = threading.Event()


def status_of(stopped: BaseException) -> int:
    """Exit status of a process that a signal has ended, as a shell counts it: 130 for Ctrl-C."""
    return 128 + int(getattr(stopped, "number", signal.SIGINT))


@contextlib.contextmanager
def stops_raised() -> Iterator[None]:
    """In the block, the first signal raises `Stopped`, and a second one ends the process at once.

    A thread watches over it: a computation in compiled code keeps Python from hearing of a signal, and is not waited
    for longer than GRACE.
    """

    def stop(number: int, frame: object) -> None:
        _State.heard.set()
        _let_go()
        raise Stopped(number)

    with _handled_by(stop) as handled:
        if not handled:
            yield
            return
        _State.heard.clear()
        with _watched():
            yield


@contextlib.contextmanager
def stops_noted(*, shared: bool = False) -> Iterator[list[int]]:
    """List that gets the number of the first signal; a second signal ends the process at once.

    Args:
        shared: several processes work together. Whoever started them passes signals on that they have already had, so
            that a second one means nothing.
    """
    noted: list[int] = []

    def note(number: int, frame: object) -> None:
        _State.heard.set()
        noted.append(number)
        _let_go(ignore=shared)

    before = _State.saves, _State.shared
    with _handled_by(note):
        _State.saves, _State.shared = True, shared
        try:
            yield noted
        finally:
            _State.saves, _State.shared = before


@contextlib.contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[bool]:
    """Signals go to a handler in the block; nothing changes outside the main thread."""
    # Someone who started us with nohup wants us to outlive the terminal.
    numbers = [s for s in SIGNALS if s != _HANGUP or signal.getsignal(s) != signal.SIG_IGN]
    try:
        previous = {number: signal.signal(number, handler) for number in numbers}
    except ValueError:
        yield False
        return
    try:
        yield True
    finally:
        for number, old in previous.items():
            signal.signal(number, signal.SIG_DFL if old is None else old)


def _let_go(*, ignore: bool = False) -> None:
    """The next signal ends the process. A closed terminal sends several SIGHUP, which count as one."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN if ignore or number == _HANGUP else signal.SIG_DFL)


@contextlib.contextmanager
def _watched() -> Iterator[None]:
    """A thread sees signals while the main thread is in compiled code."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    before = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    thread = threading.Thread(target=_watch, args=(reading,), name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        os.close(writing)  # ends the thread
        thread.join(1.0)
        os.close(reading)


def _watch(reading: int) -> None:
    """End the process where a signal asks for it and Python cannot."""
    n_seen = 0
    while number := os.read(reading, 1):
        if number[0] not in SIGNALS:
            continue
        n_seen += 1
        if _State.saves:
            if n_seen > 1 and not _State.shared and number[0] != _HANGUP:
                os._exit(128 + number[0])
        elif not _State.heard.wait(GRACE):
            with contextlib.suppress(OSError):
                os.write(2, b"interrupted\n")
            os._exit(128 + number[0])
