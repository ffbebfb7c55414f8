"""Peak memory of a call: on the CPU what is resident at most in a process of its own, on a GPU what tensors hold at
most, in either case less what was there before the call."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch


def bytes_in_a_process(file: str, *arguments: str) -> int:
    """Run a benchmark's file with arguments; it prints what `print_growth` measures."""
    command = [sys.executable, file, *arguments]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(json.loads(output.splitlines()[-1]))


def peak_bytes() -> int:
    """Largest resident memory of this process so far, of Linux; `ru_maxrss` would have that of its parent in it."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    [kibibytes] = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return 1024 * int(kibibytes)


def growth(call: Callable[[], object]) -> int:
    """By how many bytes the largest resident memory grows when call() runs, libraries and threads not counted."""
    warm = torch.randn(64, 64, requires_grad=True)
    (warm @ warm).sum().backward()
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # from here on, the largest is that of the call
    before = peak_bytes()
    call()
    return peak_bytes() - before


def print_growth(call: Callable[[], object]) -> None:
    """Print by how many bytes the largest resident memory grows when call() runs twice."""
    print(json.dumps(growth(lambda: (call(), call()))))


def bytes_on_gpu(work: Callable[[], object]) -> int:
    """By how many bytes the tensors that torch holds on the GPU grow at most while work() runs."""
    gc.collect()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    return torch.cuda.max_memory_allocated() - before
