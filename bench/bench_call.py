"""What a call of `langevin` costs in Python: a problem of a few numbers, beside the kernel alone, planned and run."""

import itertools
import types

import pytest
import torch
from shapes import CALL

from svebm_ext.ops import native_call
from svebm_ext.ops.langevin import langevin
from svebm_ext.ops.native_library import native_module


def planned_again(call, monkeypatch):
    """A function without arguments that plans and runs what the kernel was asked for in a call."""
    asked = []
    plan = native_module().plan_langevin_cpu

    def noted(fields, n_threads):
        asked.append(fields)
        return plan(fields, n_threads)

    monkeypatch.setattr(native_call, "native_module", lambda: types.SimpleNamespace(plan_langevin_cpu=noted))
    call()
    monkeypatch.undo()
    fields = asked[-1]
    workspace = native_call.aligned(plan(fields, 1).workspace_bytes)
    return lambda: plan(fields, 1).run(workspace.data_ptr(), 0)


@pytest.mark.parametrize("part", ["op", "kernel"])
def bench_call(benchmark, monkeypatch, part, device, require_native):
    if device.type != "cpu":
        pytest.skip("the cost is that of Python, on any device")
    require_native("langevin")
    generator = torch.Generator().manual_seed(0)
    n_chains, widths = CALL
    layers = [
        (torch.randn(after, before, generator=generator), torch.randn(after, generator=generator))
        for before, after in itertools.pairwise(widths)
    ]
    z, ids = torch.randn(n_chains, widths[0], generator=generator), torch.arange(n_chains)
    benchmark.group = f"a call of langevin, {device.type}: {n_chains} chains of widths {widths}"

    def call():
        langevin(z, layers, n_steps=1, step_size=0.1, seed=1, chain_ids=ids, backend="native")

    benchmark(call if part == "op" else planned_again(call, monkeypatch))
