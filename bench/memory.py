"""Peak memory of a call: on the CPU what is resident at most in a process of its own, on a GPU what tensors hold at
most, in either case less what was there before the call."""

from __future__ import annotations

import gc
import json
import resource
import subprocess
import sys
from collections.abc import Callable

import torch


def bytes_in_a_process(file: str, *arguments: str) -> int:
    """Run a benchmark's file with arguments; it prints what `print_growth` measures."""
    command = [sys.executable, file, *arguments]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return int(json.loads(output.splitlines()[-1]))


def print_growth(call: Callable[[], object]) -> None:
    """Print by how many bytes the largest resident memory grows when call() runs twice."""
    warm = torch.randn(64, 64, requires_grad=True)
    (warm @ warm).sum().backward()  # libraries and threads are not the call's
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call()
    call()
    print(json.dumps(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)))


def bytes_on_gpu(work: Callable[[], object]) -> int:
    """By how many bytes the tensors that torch holds on the GPU grow at most while work() runs."""
    gc.collect()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    work()
    return torch.cuda.max_memory_allocated() - before
