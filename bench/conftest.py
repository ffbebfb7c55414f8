"""What all benchmarks share: devices, a clock that waits for the GPU, and the machine written into every result."""

import importlib.metadata
import os
import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))  # for `shapes` and the others beside it

from interleaved import synchronised_time
from shapes import SMOKE

from svebm_ext import info
from svebm_ext.ops.backend import unavailable_reason


def pytest_configure(config):
    if SMOKE:
        config.option.benchmark_min_rounds = 1
        config.option.benchmark_max_time = 0.01
        config.option.benchmark_warmup = False


def pytest_report_header(config):
    found = info.collect()
    return (
        f"svebm_ext {found['svebm_ext']} {found['commit'][:12]}, torch {found['torch']}, {', '.join(found['devices'])}"
    )


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info["svebm_ext"] = info.collect()
    machine_info["load_average"] = os.getloadavg()[0]
    versions = {d.name: d.version for d in importlib.metadata.distributions() if d.name in ("jax", "torchebm")}
    machine_info["other_packages"] = versions


@pytest.fixture(params=["cpu", "cuda"])
def device(request, benchmark):
    """Each device of this machine; on CUDA a round is many calls between two synchronisations."""
    if request.param == "cuda":
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device")
        benchmark._timer = synchronised_time
    benchmark.extra_info["device"] = torch.cuda.get_device_name() if request.param == "cuda" else "cpu"
    benchmark.extra_info["threads"] = torch.get_num_threads()
    return torch.device(request.param)


@pytest.fixture
def require_native(device):
    """A function that skips, with the reason, where an op has no native kernel for the device."""

    def require(op: str) -> None:
        reason = unavailable_reason(op, device.type)
        if reason:
            pytest.skip(reason)

    return require
