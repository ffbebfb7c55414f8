"""How soon a command answers, how fast it answers a file, and in how much memory: CPU seconds, seconds, peak memory.

    python bench/answers.py RUN                        # one answer, one sentence, command lines that are wrong
    python bench/answers.py RUN --file lines.txt       # and all lines of a file, with one thread and with all

Each command is a process of its own. Of several runs the least figure counts, since other work on the machine only adds
to it; commands take turns, so that all meet the same machine. Peak memory is the largest resident memory of the process
(VmHWM), with libraries that other processes share. `import torch` stands beside them: no answer can come sooner.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

LINE = "play some jazz in the kitchen\n"


class Cost(NamedTuple):
    """What a process took: CPU seconds of all its threads, seconds, and bytes at most."""

    cpu: float
    seconds: float
    peak: int


def cost(command: Sequence[str], given: str = LINE, threads: int | None = None) -> Cost:
    """Run a command to its end, whatever its exit status.

    Args:
        command: after the interpreter.
        given: on standard input.
        threads: of torch; None: as many as it likes.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *command], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=environment,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(given.encode())
    process.stdin.close()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return Cost(used.ru_utime + used.ru_stime, time.perf_counter() - begin, 1024 * used.ru_maxrss)


def least(costs: Sequence[Cost]) -> Cost:
    """The least of each figure."""
    return Cost(*map(min, zip(*costs, strict=True)))


def main() -> None:
    """Print a line for each command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of a model of sentences")
    parser.add_argument("--file", type=Path, help="text to classify, a sentence a line")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each command")
    options = parser.parse_args()
    run = str(options.run)
    commands = {
        "import torch": ["-c", "import torch"],
        "classify, one line": ["-m", "svebm_ext.classify", run],
        "generate -n 1": ["-m", "svebm_ext.generate", run, "-n", "1"],
        "train nonsense": ["-m", "svebm_ext.train", "nonsense"],
        "classify without RUN": ["-m", "svebm_ext.classify"],
        "classify RUN that is missing": ["-m", "svebm_ext.classify", f"{run}-missing"],
        "train --help": ["-m", "svebm_ext.train", "--help"],
        "experiments --help": ["-m", "svebm_ext.experiments", "--help"],
    }
    for command in commands.values():  # files of the machine are read, and bytecode is written
        cost(command)
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(options.repeats):
        for name, command in commands.items():
            costs[name].append(cost(command))
    for name, several in costs.items():
        one = least(several)
        print(f"{name:<30} {one.cpu:5.2f} s of CPU, {one.seconds:5.2f} s, {one.peak / 1e6:4.0f} MB")
    if options.file is None:
        return
    with open(options.file, "rb") as file:
        n = sum(1 for _ in file)
    start = least(costs["classify, one line"])
    for threads in (1, None):
        one = cost(["-m", "svebm_ext.classify", run, str(options.file)], threads=threads)
        told = "one thread" if threads == 1 else "all threads"
        print(
            f"classify, {n:,} lines, {told}: {n / (one.seconds - start.seconds):,.0f} lines a second, "
            f"{n / (one.cpu - start.cpu):,.0f} a second of CPU, {one.peak / 1e6:.0f} MB", flush=True,
        )  # fmt: skip


if __name__ == "__main__":
    main()
