"""A training step at the sizes of Penn Treebank: this package beside plain PyTorch, in one run, in time and memory.

Plain PyTorch and the sizes are described in training_steps.py and shapes.py. Times are of all implementations in turn,
round after round. Memory is the largest that a few steps need beyond what there was before the networks existed:
parameters, moments, gradients, activations, workspaces; resident memory of a process of its own on the CPU, that of
tensors on a GPU. `python bench/bench_train_step.py parts` prints where the time of a step on the CPU goes.
"""

import json
import statistics
import sys
import time
from pathlib import Path

import pytest
import torch
from interleaved import measure, report_times, synchronised_time
from memory import bytes_in_a_process, bytes_on_gpu, growth
from shapes import SHORT, SMOKE, TRAINING, TRAINING_CUDA
from training_steps import CPU_STEPS, CUDA_STEPS, sentence_lengths

SECONDS = 3.0 if SHORT else 12.0

_measured: dict[tuple[str, str], dict[str, list[float]]] = {}


def steps_on(device: torch.device):
    return CUDA_STEPS if device.type == "cuda" else CPU_STEPS


def measure_group(name: str, device: torch.device) -> dict[str, list[float]]:
    calls = {key: make(TRAINING_CUDA[name], device) for key, make in steps_on(device).items()}
    for call in calls.values():
        call()
    clock = synchronised_time if device.type == "cuda" else time.perf_counter
    return measure(calls, clock, SECONDS, *((1, 1) if SMOKE else (9,)))


@pytest.mark.parametrize("implementation", list(CPU_STEPS | CUDA_STEPS))
@pytest.mark.parametrize("name", list(TRAINING_CUDA))
def bench_train_step(benchmark, name, implementation, device):
    if device.type == "cpu" and name not in TRAINING:
        pytest.skip("a size for GPUs")
    if implementation not in steps_on(device):
        pytest.skip("for the other device")
    if (device.type, name) not in _measured:
        _measured[device.type, name] = measure_group(name, device)
    times = _measured[device.type, name]
    n_tokens = int(sentence_lengths(TRAINING_CUDA[name]).sum())
    where = f"{torch.get_num_threads()} threads" if device.type == "cpu" else "one GPU"
    benchmark.group = f"training step, {device.type}, {name}: {n_tokens} tokens, {where}"
    benchmark.extra_info["tokens_per_second"] = n_tokens / statistics.median(times[implementation])
    benchmark.extra_info["times_plain"] = min(times["plain PyTorch"]) / min(times[implementation])
    report_times(benchmark, times[implementation])


@pytest.mark.parametrize("name", list(TRAINING_CUDA))
def bench_peak_memory(benchmark, name, device):
    """The time that pytest-benchmark prints here is that of the steps, and of starting the processes."""
    if device.type == "cpu" and name not in TRAINING:
        pytest.skip("a size for GPUs")
    benchmark.group = f"training step, {device.type}, peak memory"

    def peak(implementation: str) -> int:
        if device.type == "cpu":
            return peak_memory(name, implementation)
        return bytes_on_gpu(lambda: some_steps(name, implementation, device))

    found = benchmark.pedantic(lambda: {key: peak(key) for key in steps_on(device)}, rounds=1)
    benchmark.extra_info["bytes"] = found
    print(f"\n{name}: " + ", ".join(f"{key} {value / 1e6:.0f} MB" for key, value in found.items()))
    assert SMOKE or all(value > 0 for value in found.values())


def some_steps(name: str, implementation: str, device: torch.device) -> None:
    step = steps_on(device)[implementation](TRAINING_CUDA[name], device)
    for _ in range(3):
        step()


def peak_memory(name: str, implementation: str) -> int:
    """Bytes that a process needs for a few steps, beyond the libraries it has loaded."""
    return bytes_in_a_process(__file__, "memory", name, implementation, str(torch.get_num_threads()))


def measure_memory(name: str, implementation: str, n_threads: int) -> int:
    """In this process, which has made no step yet."""
    torch.set_num_threads(n_threads)
    return growth(lambda: some_steps(name, implementation, torch.device("cpu")))


def print_parts(name: str, implementation: str) -> None:
    """Time of a step by operator."""
    step = CPU_STEPS[implementation](TRAINING[name], torch.device("cpu"))
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
            for key in CPU_STEPS:
                print_parts(batch, key)
