"""Times of several implementations of one thing, from one run in which they take turns.

pytest-benchmark times one test after the other: where the machine gets slower in between, the later test looks slower.
So the first test of a group measures the whole group, one implementation after the other, round after round, and every
test hands its own times to pytest-benchmark.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

SETTLING_SECONDS = 0.005
"""Pause before a time: threads of the implementation before may spin for a while, waiting for work."""

SHORTEST_SECONDS = 0.02
"""A time is that of one call, or of as many in a row as take about this long."""


def synchronised_time() -> float:
    """Wall-clock time after all work given to the GPU is done; called at the ends of a round, not of an iteration."""
    torch.cuda.synchronize()
    return time.perf_counter()


def measure(
    calls: dict[str, Callable[[], object]],
    clock: Callable[[], float],
    seconds: float,
    min_rounds: int = 5,
    max_rounds: int = 30,
) -> dict[str, list[float]]:
    """Mean seconds of a call of each implementation, one number a round.

    Args:
        calls: by name, all of them called before (compiled, cached).
        clock: time in seconds, after all work given to the device is done.
        seconds: about the time that all rounds take together, unless `min_rounds` need more.
    """
    estimates = {name: timed(call, clock, 1) for name, call in calls.items()}
    repeats = {name: 1 + min(99, int(SHORTEST_SECONDS / estimate)) for name, estimate in estimates.items()}
    round_seconds = sum(estimates[name] * repeats[name] + SETTLING_SECONDS for name in calls)
    n_rounds = max(min_rounds, min(max_rounds, int(seconds / max(round_seconds, 1e-6))))
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(n_rounds):
        for name, call in calls.items():
            time.sleep(SETTLING_SECONDS)
            times[name].append(timed(call, clock, repeats[name]))
    return times


def timed(call: Callable[[], object], clock: Callable[[], float], n_calls: int) -> float:
    """Mean seconds of n_calls calls in a row."""
    with no_garbage_collection():
        start = clock()
        for _ in range(n_calls):
            call()
        return (clock() - start) / n_calls


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """As pytest-benchmark does: no collection of cycles inside a time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def report_times(benchmark, times: list[float]) -> None:
    """Give times measured before to pytest-benchmark, by a clock that replays them: start at 0, end at the time."""
    moments = iter([moment for duration in times for moment in (0.0, duration)])

    def interleaved_clock() -> float:
        return next(moments)

    benchmark._timer = interleaved_clock
    benchmark.pedantic(lambda: None, rounds=len(times), iterations=1)
