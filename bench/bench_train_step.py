"""A training step at the sizes of Penn Treebank: this package beside plain PyTorch, in one run, in time and memory.

Plain PyTorch and the sizes are described in training_steps.py and shapes.py. Times are of all implementations in turn,
round after round. Memory is the largest resident memory of a process of its own that makes a few steps, less what it
had before the networks existed: parameters, moments, gradients, activations, workspaces. `python
bench/bench_train_step.py parts` prints where the time of a step goes.
"""

import json
import resource
import statistics
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from shapes import SMOKE, TRAINING
from training_steps import STEPS, alternating_times, sentence_lengths

ROUNDS = 1 if SMOKE else 9

_times: dict[str, dict[str, list[float]]] = {}


def report_times(benchmark, times: list[float]) -> None:
    """Give times measured before to pytest-benchmark, by a clock that replays them."""
    moments = iter([moment for duration in times for moment in (0.0, duration)])
    benchmark._timer = lambda: next(moments)
    benchmark.pedantic(lambda: None, rounds=len(times), iterations=1)


@pytest.mark.parametrize("implementation", list(STEPS))
@pytest.mark.parametrize("name", list(TRAINING))
def bench_train_step(benchmark, name, implementation):
    shape = TRAINING[name]
    if name not in _times:
        _times[name] = alternating_times({key: make(shape) for key, make in STEPS.items()}, ROUNDS)
    times = _times[name]
    n_tokens = int(sentence_lengths(shape).sum())
    benchmark.group = f"training step, cpu, {name}: {n_tokens} tokens, {torch.get_num_threads()} threads"
    benchmark.extra_info["tokens_per_second"] = n_tokens / statistics.median(times[implementation])
    benchmark.extra_info["times_plain"] = min(times["plain PyTorch"]) / min(times[implementation])
    report_times(benchmark, times[implementation])


@pytest.mark.parametrize("name", list(TRAINING))
def bench_peak_memory(benchmark, name):
    """The time that pytest-benchmark prints here is that of starting the processes."""
    benchmark.group = "training step, peak memory"
    found = benchmark.pedantic(lambda: {key: peak_memory(name, key) for key in STEPS}, rounds=1)
    benchmark.extra_info["bytes"] = found
    print(f"\n{name}: " + ", ".join(f"{key} {value / 1e6:.0f} MB" for key, value in found.items()))
    assert SMOKE or all(value > 0 for value in found.values())


def peak_memory(name: str, implementation: str) -> int:
    """Bytes that a process needs for a few steps, beyond the libraries it has loaded."""
    command = [sys.executable, __file__, "memory", name, implementation, str(torch.get_num_threads())]
    return int(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1]))


def measure_memory(name: str, implementation: str, n_threads: int) -> int:
    """In this process, which has made no step yet."""
    torch.set_num_threads(n_threads)
    warm = torch.randn(64, 64, requires_grad=True)
    (warm @ warm).sum().backward()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    step = STEPS[implementation](TRAINING[name])
    for _ in range(3):
        step()
    return 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)


def print_parts(name: str, implementation: str) -> None:
    """Time of a step by operator."""
    step = STEPS[implementation](TRAINING[name])
    step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        for _ in range(3):
            step()
    print(f"\n{name}, {implementation}, three steps")
    print(profile.key_averages().table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=50))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    if sys.argv[1:2] == ["memory"]:
        print(json.dumps(measure_memory(sys.argv[2], sys.argv[3], int(sys.argv[4]))))
    else:
        for batch in TRAINING:
            for key in STEPS:
                print_parts(batch, key)
