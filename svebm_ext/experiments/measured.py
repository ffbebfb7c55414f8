"""A command in a process of its own: how long it takes, and how much memory it needs at its peak."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Sequence
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
    log.parent.mkdir(parents=True, exist_ok=True)
    peak, begin = None, time.monotonic()
    with log.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT, env=environment)
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


def _peak(pid: int) -> float | None:
    """Largest resident memory of a running process in MiB; None where the system does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    return int(found[1]) / 1024 if found else None


def last_line(log: Path) -> str:
    """The last line of a command's output that is not empty."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "no output"
