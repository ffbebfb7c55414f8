"""Kernels as they are called in a program: between operations of torch, and back to back.

After an operation on several threads, OpenMP's threads spin for some milliseconds, waiting for the next.
SVEBM_THREADS=own shows what kernels took when they had threads of their own beside those.
"""

import statistics
import time
from dataclasses import replace

import bench_gru_decode
import bench_gru_sequence
import bench_token_loss
import pytest
import torch
from interleaved import no_garbage_collection, report_times
from langevin_implementations import own
from langevin_problem import Problem
from shapes import DECODE, LANGEVIN_SHAPES, LAYER, SMOKE, TOKEN_LOSS

ROUNDS = 2 if SMOKE else 25
SETTINGS = ("back to back", "between torch's operations")

_measured: dict[str, dict[str, list[float]]] = {}


def langevin_call(n_chains: int, precision: str):
    problem = Problem.draw(replace(LANGEVIN_SHAPES[0], n_chains=n_chains), torch.device("cpu"))
    return own("native", precision)(problem, problem.shape.n_steps, 1.0)


def decode_call(n_rows: int, precision: str):
    shape = replace(next(iter(DECODE.values())), n_rows=n_rows)
    return bench_gru_decode.ours(bench_gru_decode.Model.draw(shape, torch.device("cpu")), True, "native", precision)


CALLS = {
    **{
        f"langevin, {n} chains, {precision}": (lambda n=n, precision=precision: langevin_call(n, precision))
        for n in (64, 512)
        for precision in ("fp32", "fast")
    },
    **{
        f"gru_decode, {n} sentences, {precision}": (lambda n=n, precision=precision: decode_call(n, precision))
        for n in (1, 8, 32)
        for precision in ("fp32", "fast")
    },
    "gru_sequence": lambda: bench_gru_sequence.make_call(next(iter(LAYER.values())), "native", torch.device("cpu")),
    "token_loss": lambda: bench_token_loss.make_call(next(iter(TOKEN_LOSS)), "native", torch.device("cpu")),
}


def operations():
    """Some of torch's operations that take about a millisecond, on as many threads as there are."""
    x, weight = torch.randn(256, 512), torch.randn(512, 512)

    def compute() -> None:
        for _ in range(12):
            torch.relu(x @ weight)

    return compute


def measure(call) -> dict[str, list[float]]:
    """Seconds of one call in both settings, by turns."""
    compute = operations()
    times: dict[str, list[float]] = {setting: [] for setting in SETTINGS}
    call()
    for _ in range(ROUNDS):
        for setting in SETTINGS:
            for _ in range(2):
                call()
            if setting != "back to back":
                compute()
            with no_garbage_collection():
                start = time.perf_counter()
                call()
                times[setting].append(time.perf_counter() - start)
    return times


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", list(CALLS))
def bench_company(benchmark, name, setting, device, require_native):
    if device.type != "cpu":
        pytest.skip("a GPU's work is enqueued")
    require_native(name.split(",")[0])
    if name not in _measured:
        _measured[name] = measure(CALLS[name]())
    benchmark.group = f"{name}, {torch.get_num_threads()} threads"
    medians = {key: statistics.median(times) for key, times in _measured[name].items()}
    benchmark.extra_info["times_back_to_back"] = medians[setting] / medians["back to back"]
    report_times(benchmark, _measured[name][setting])
