"""The compiled kernels of `langevin`: planned once a call, then run; raw pointers out, tensors back."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from svebm_ext.ops.langevin.options import ACTIVATIONS, LangevinInputs, LangevinResult
from svebm_ext.ops.native_call import NativeCall, Unsupported, cleared_flag, plan_native
from svebm_ext.ops.philox import Stream

LANGEVIN_STREAM, METROPOLIS_STREAM = int(Stream.LANGEVIN), int(Stream.METROPOLIS)

CHAIN_GROUP = 16
"""Chains whose sums a kernel writes together: kSvebmChainGroup of csrc/langevin/langevin.h."""

PART_OPERATIONS = 2e10
"""Floating-point operations of a call on the CPU that nothing can interrupt: about half a second of one thread."""


class Planned(ABC):
    """What is ready to run, as `reference.run` would; rows `bank_indices` of the states are written back."""

    @abstractmethod
    def run(self) -> LangevinResult:
        """Compute, once."""


def plan(inputs: LangevinInputs) -> Planned | Unsupported:
    """What will serve a call, or why the kernels cannot though the reference can."""
    states = inputs.states
    if states.dtype != torch.float32:
        return Unsupported(f"the kernels compute in float32, and z is {states.dtype}", states.dtype == torch.float64)
    n_steps = _steps_of_a_part(inputs)
    if n_steps < inputs.n_steps:
        return _Parts(inputs, n_steps)
    if inputs.bank_indices is not None and not states.is_contiguous():
        return _plan_rows(inputs)
    return _plan_call(inputs)


def _steps_of_a_part(inputs: LangevinInputs) -> int:
    """Steps of a call; all of them on CUDA, and where log weights are summed up over them."""
    if not inputs.states.is_cpu or inputs.temper is not None:
        return inputs.n_steps
    a_step = 4.0 * inputs.n_chains * sum([weight.numel() for weight in inputs.weights])
    return min(inputs.n_steps, max(1, int(PART_OPERATIONS / max(a_step, 1.0))))


class _Parts(Planned):
    """A long run on the CPU in parts, between which an interrupt is heard; a bank is written to after the last one.

    A chain's bits do not depend on how its steps are divided.
    """

    def __init__(self, inputs: LangevinInputs, n_steps: int) -> None:
        self.inputs, self.n_steps = inputs, n_steps

    def run(self) -> LangevinResult:
        inputs, part, rows, sizes = self.inputs, self.n_steps, self.inputs.bank_indices, self.inputs.step_sizes
        z, results = inputs.states if rows is None else inputs.states[rows], []
        for start in range(0, inputs.n_steps, part):
            own = dataclasses.replace(
                inputs,
                states=z,
                bank_indices=None,
                n_steps=min(part, inputs.n_steps - start),
                first_step=inputs.first_step + start,
                step_sizes=None if sizes is None else sizes[start : start + part],
            )
            results.append(_planned(own).run())
            z = results[-1].z
        if rows is not None:
            inputs.states[rows] = z

        def joined(name: str) -> Tensor | None:
            values = [getattr(result, name) for result in results]
            return None if values[0] is None else torch.cat(values)

        finite = torch.stack([result.finite for result in results]).all()
        sums = joined("mean_energy"), joined("mean_gradient_norm"), joined("acceptance")
        return LangevinResult(z, *sums, None, finite)


class _Rows(Planned):
    """A call on a copy of the rows of a bank that is not contiguous, and so out of a kernel's reach."""

    def __init__(self, inputs: LangevinInputs, call: Planned) -> None:
        self.inputs, self.call = inputs, call

    def run(self) -> LangevinResult:
        result = self.call.run()
        self.inputs.states[self.inputs.bank_indices] = result.z
        return result


def _plan_rows(inputs: LangevinInputs) -> Planned | Unsupported:
    rows = dataclasses.replace(inputs, states=inputs.states[inputs.bank_indices], bank_indices=None)
    planned = _plan_call(rows)
    return planned if isinstance(planned, Unsupported) else _Rows(inputs, planned)


class _Memory(NamedTuple):
    """What the kernel writes, by the names of its structure's fields."""

    z: Tensor
    non_finite: Tensor
    partials: Tensor | None
    log_weights: Tensor | None


class _Call(Planned):
    """One call of a kernel, and its results."""

    def __init__(self, inputs: LangevinInputs, call: NativeCall, memory: _Memory) -> None:
        self.inputs, self.call, self.memory = inputs, call, memory

    def run(self) -> LangevinResult:
        self.call.run()
        inputs, memory = self.inputs, self.memory
        energy = norm = acceptance = None
        if memory.partials is not None:
            means = memory.partials.sum(dim=1, dtype=torch.float64).div_(inputs.n_chains).float()
            if inputs.diagnostics:  # clones: an op's results share no memory
                energy, norm = means[:, 0].clone(), means[:, 1].clone()
            acceptance = means[:, 2].clone() if inputs.metropolis else None
        return LangevinResult(memory.z, energy, norm, acceptance, memory.log_weights, memory.non_finite.logical_not())


def _plan_call(inputs: LangevinInputs) -> _Call | Unsupported:
    memory = _memory(inputs)
    fields = {**vars(inputs), **memory._asdict(), **_derived(inputs)}
    call = plan_native("langevin", inputs.states.device, fields)
    return call if isinstance(call, Unsupported) else _Call(inputs, call, memory)


def _planned(inputs: LangevinInputs) -> Planned:
    """A call of a part of what was planned, which the kernels serve as the whole."""
    planned = _plan_call(inputs)
    assert not isinstance(planned, Unsupported), planned.reason
    return planned


def _memory(inputs: LangevinInputs) -> _Memory:
    n_chains, device = inputs.n_chains, inputs.states.device
    z = inputs.states.new_empty(n_chains, inputs.states.shape[1])
    non_finite = cleared_flag(device)
    partials = log_weights = None
    if inputs.diagnostics or inputs.metropolis:
        shape = (inputs.n_steps, -(-n_chains // CHAIN_GROUP), 3)
        partials = torch.empty(shape, dtype=torch.float32, device=device)
    if inputs.temper is not None:
        log_weights = torch.empty(n_chains, dtype=torch.float32, device=device)
    return _Memory(z, non_finite, partials, log_weights)


def _derived(inputs: LangevinInputs) -> dict[str, object]:
    """Fields of the kernel's structure that are no inputs of the op, or are of another type."""
    device, step_sizes, temper = inputs.states.device, inputs.step_sizes, inputs.temper
    values: dict[str, object] = {
        "n_chains": inputs.n_chains,
        "widths": [inputs.states.shape[1], *[offset.shape[0] for offset in inputs.biases]],
        "activation": ACTIVATIONS.index(inputs.activation),
        "stream": LANGEVIN_STREAM,
        "metropolis_stream": METROPOLIS_STREAM,
        "fast": inputs.precision == "fast" or _rounding_allowed(device),
    }
    if step_sizes is not None:
        values["step_sizes"] = step_sizes.to(device, torch.float32)
    if temper is not None:
        temper = temper.double()
        before = torch.cat([torch.full_like(temper[:1], inputs.initial_temper), temper[:-1]])
        values["temper"] = temper.to(device, torch.float32)
        values["temper_changes"] = (temper - before).to(device, torch.float32)
    return values


def _rounding_allowed(device: torch.device) -> bool:
    """Whether torch's own products of float32 may round their operands: to TF32 on a GPU, to bfloat16 on a CPU."""
    setting = torch.get_float32_matmul_precision()
    return setting == "medium" or (setting == "high" and device.type == "cuda")
