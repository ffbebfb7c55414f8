"""A command in a process of its own: how long it takes, and how much memory it needs at its peak."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Seconds between two looks at a process.
INTERVAL = 0.05
#: Threads of a command: what a small machine has.
THREADS = 2


@dataclass(frozen=True)
class Measured:
    """Exit status, wall-clock seconds, and the largest resident memory in MiB, None where the system does not tell."""

    status: int
    seconds: float
    peak_mib: float | None


def run_measured(command: Sequence[str], log: Path) -> Measured:
    """Run a command to its end, on THREADS threads, with its output in a file; it is stopped where this is interrupted.

    Args:
        command: program and arguments.
        log: receives standard output and error.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK"):  # of processes that are none of this command
        environment.pop(name, None)
    log.parent.mkdir(parents=True, exist_ok=True)
    peak, begin = None, time.monotonic()
    with log.open("wb") as stream, _stopped_by_sigterm():
        # In a session of its own: Ctrl-C on the terminal would reach it too, and a second signal ends it unsaved.
        process = subprocess.Popen(
            command, stdout=stream, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        try:
            while process.poll() is None:
                # Not the resource usage of a child: that counts the memory of this process, which it began as.
                peak = _peak(process.pid) or peak
                time.sleep(INTERVAL)
        except BaseException:
            process.terminate()
            process.wait()
            raise
    return Measured(process.returncode, time.monotonic() - begin, peak)


@contextlib.contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as Ctrl-C does: otherwise the command would outlive this process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _peak(pid: int) -> float | None:
    """Largest resident memory of a running process in MiB; None where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    peak = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(peak[1]) / 1024 if peak else None


def last_line(log: Path) -> str:
    """The last line of a command's output that has a letter: what was wrong, where it failed."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    told = [line.strip() for line in lines if any(map(str.isalpha, line))]
    return told[-1] if told else "no output"
