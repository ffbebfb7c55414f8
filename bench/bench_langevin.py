"""Langevin sampling: the native kernels beside the reference, the strongest plain PyTorch, and other libraries."""

import statistics
import time
import warnings

import numpy
import pytest
import torch
from ceilings import ceilings
from interleaved import measure, report_times, synchronised_time
from langevin_implementations import FASTEST, IMPLEMENTATIONS
from langevin_problem import Problem, Unavailable
from report import is_rounded
from shapes import LANGEVIN, SHORT, SMOKE

from svebm_ext.errors import BackendUnavailableError

SECONDS = 4.0 if SHORT else 8.0
"""Of timing, for all implementations of one size together; five rounds at least."""

#: What compiles for a minute or more, left out of a short run.
SLOW_TO_COMPILE = ("torch.compile of autograd", "CUDA graph of autotuned")

#: What a state may differ by after a step whose products have rounded operands.
ROUNDED = 4e-3

_measured: dict[tuple[str, str], dict[str, list[float] | Exception]] = {}
_ceilings: dict[tuple[str, str], dict[bool, dict[str, float]]] = {}


@pytest.mark.parametrize("implementation", list(IMPLEMENTATIONS))
@pytest.mark.parametrize("name", list(LANGEVIN))
def bench_langevin(benchmark, name, implementation, device, request):
    shape = LANGEVIN[name]
    if reason := left_out(shape, implementation):
        pytest.skip(reason)
    group = (device.type, name)
    if group not in _measured:
        _measured[group] = measure_group(shape, device, selected(request, shape))
        _ceilings[group] = {reduced: ceilings(device, reduced) for reduced in (False, True)}
    result = _measured[group][implementation]
    if isinstance(result, Unavailable):
        pytest.skip(str(result))
    if isinstance(result, Exception):
        raise result
    benchmark.group = f"langevin, {device.type}, {name}: {shape.n_steps} steps"
    flop_rate = shape.n_flop / statistics.median(result)
    rates = _ceilings[group][is_rounded(implementation)]
    benchmark.extra_info["flop"] = shape.n_flop
    benchmark.extra_info["flop_per_second"] = flop_rate
    benchmark.extra_info["ceilings"] = rates
    benchmark.extra_info["share_of_ceilings"] = {ceiling: flop_rate / rate for ceiling, rate in rates.items()}
    report_times(benchmark, result)


def left_out(shape, implementation: str) -> str | None:
    """Why an implementation is not measured at a size, or None."""
    if not shape.everything and implementation not in FASTEST:
        return "left out at this size, to limit the run time"
    if SHORT and implementation in SLOW_TO_COMPILE:
        return "left out of a short run: compiles for a minute"
    return None


def selected(request, shape) -> list[str]:
    """Implementations of this test's group that are going to run: not those that -k, for instance, deselects."""

    def group(item):
        return {key: value for key, value in item.callspec.params.items() if key != "implementation"}

    function = request.node.function
    items = [item for item in request.session.items if getattr(item, "function", None) is function]
    names = [item.callspec.params["implementation"] for item in items if group(item) == group(request.node)]
    return [name for name in names if not left_out(shape, name)]


def measure_group(shape, device, names) -> dict[str, list[float] | Exception]:
    """Times of each implementation, or why there are none."""
    problem = Problem.draw(shape, device)
    results: dict[str, list[float] | Exception] = {}
    calls = {}
    clock = synchronised_time if device.type == "cuda" else time.perf_counter
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # those of other libraries and compilers
        torch._dynamo.reset()  # programs of other sizes count against the number that torch.compile keeps
        expected = IMPLEMENTATIONS["reference"](problem, 1, 0.0)()
        for name in names:
            try:
                tolerance = ROUNDED if is_rounded(name) else 1e-4
                check(IMPLEMENTATIONS[name](problem, 1, 0.0)(), expected, tolerance, shape.activation)
                calls[name] = IMPLEMENTATIONS[name](problem, shape.n_steps, 1.0)
                check(calls[name](), expected, None, shape.activation)
            except BackendUnavailableError as error:
                results[name] = Unavailable(str(error))
            except Exception as error:  # of one implementation: the others are measured all the same
                calls.pop(name, None)
                results[name] = error
        results |= measure(calls, clock, SECONDS, *((1, 1) if SMOKE else ()))
    return results


def check(states, expected: torch.Tensor, tolerance: float | None, activation: str) -> None:
    """States must have the right shape, be finite, and equal those expected unless tolerance is None."""
    if not isinstance(states, torch.Tensor):
        states = torch.from_numpy(numpy.array(states)).to(expected.device)
    assert states.shape == expected.shape and states.dtype == torch.float32
    assert torch.isfinite(states).all()
    if tolerance is not None:
        differ = (states - expected).abs().amax(dim=1) > tolerance
        # LeakyReLU' jumps at 0: where rounding changes the sign of one pre-activation, a chain moves differently
        allowed = 0.0 if activation == "gelu" else 0.01
        assert differ.float().mean() <= allowed, f"{int(differ.sum())} of {len(differ)} chains differ after one step"
