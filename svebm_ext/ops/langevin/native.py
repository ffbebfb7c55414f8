"""The compiled kernels of `langevin`: raw pointers out, tensors back."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.ops.langevin.options import ACTIVATIONS, Dynamics, LangevinResult, Network
from svebm_ext.ops.native_library import native_module
from svebm_ext.ops.philox import Stream, signed_seed
from svebm_ext.ops.threads import kernel_threads

CHAIN_GROUP = 16
"""Chains whose sums a kernel writes together: kSvebmChainGroup of csrc/langevin/langevin.h."""

PART_OPERATIONS = 2e10
"""Floating-point operations of a call on the CPU that nothing can interrupt: about half a second of one thread."""


def run(
    states: Float[Tensor, "rows D"],
    network: Network,
    dynamics: Dynamics,
    chain_ids: Int[Tensor, " N"],
    indices: Int[Tensor, " N"] | None,
    precision: str,
) -> LangevinResult:
    """As `reference.run`; rows `indices` of `states` are written back where they are given.

    On the CPU a long run goes in parts, between which an interrupt is heard; a bank is written to after the last one.
    A chain's bits do not depend on how its steps are divided.
    """
    n_steps = _steps_of_a_part(states, network, dynamics, chain_ids)
    if n_steps < dynamics.n_steps:
        return _run_in_parts(states, network, dynamics, chain_ids, indices, precision, n_steps)
    call = _Call(states, network, dynamics, chain_ids, indices, precision)
    native, device = native_module(), states.device
    if device.type == "cuda":
        with torch.cuda.device(device):
            index = torch.cuda.current_device()
            size, _ = native.langevin_cuda_workspace(call.fields, index)
            workspace = torch.empty(size, dtype=torch.uint8, device=device)
            queue = torch.cuda.current_stream().cuda_stream
            native.langevin_cuda(call.fields, workspace.data_ptr(), index, queue)
    else:
        n_threads = kernel_threads()
        size = native.langevin_cpu_workspace(call.fields, n_threads)
        workspace = torch.empty(size + 64, dtype=torch.uint8, device="cpu")
        start = workspace.data_ptr()
        native.langevin_cpu(call.fields, start + -start % 64, n_threads)
    return call.result()


def _steps_of_a_part(states: Tensor, network: Network, dynamics: Dynamics, chain_ids: Tensor) -> int:
    """Steps of a call; all of them on CUDA, and where log weights are summed up over them."""
    if states.device.type != "cpu" or dynamics.tempers is not None:
        return dynamics.n_steps
    a_step = 4.0 * chain_ids.shape[0] * sum(weight.numel() for weight, _ in network.layers)
    return min(dynamics.n_steps, max(1, int(PART_OPERATIONS / max(a_step, 1.0))))


def _run_in_parts(
    states: Tensor,
    network: Network,
    dynamics: Dynamics,
    chain_ids: Tensor,
    indices: Tensor | None,
    precision: str,
    part: int,
) -> LangevinResult:
    z, results = states if indices is None else states[indices], []
    for start in range(0, dynamics.n_steps, part):
        size = dynamics.step_size
        own = dataclasses.replace(
            dynamics,
            n_steps=min(part, dynamics.n_steps - start),
            first_step=dynamics.first_step + start,
            step_size=size[start : start + part] if isinstance(size, Tensor) else size,
        )
        results.append(run(z, network, own, chain_ids, None, precision))
        z = results[-1].z
    if indices is not None:
        states[indices] = z

    def joined(name: str) -> Tensor | None:
        values = [getattr(result, name) for result in results]
        return None if values[0] is None else torch.cat(values)

    finite = torch.stack([result.finite for result in results]).all()
    return LangevinResult(z, joined("mean_energy"), joined("mean_gradient_norm"), joined("acceptance"), None, finite)


def unsupported_reason(
    states: Float[Tensor, "rows D"],
    network: Network,
    dynamics: Dynamics,
    chain_ids: Int[Tensor, " N"],
    indices: Int[Tensor, " N"] | None,
    precision: str,
) -> str:
    """Why the kernels cannot serve a call that the reference can; empty where they can."""
    if states.dtype != torch.float32:
        return f"the kernels compute in float32, and z is {states.dtype}"
    if states.device.type != "cuda" or chain_ids.shape[0] == 0:
        return ""
    call = _Call(states, network, dynamics, chain_ids, indices, precision)
    with torch.cuda.device(states.device):
        return str(native_module().langevin_cuda_workspace(call.fields, torch.cuda.current_device())[1])


class _Call:
    """Arguments of one call as SvebmLangevinArguments, and the tensors behind its pointers."""

    def __init__(
        self,
        states: Tensor,
        network: Network,
        dynamics: Dynamics,
        chain_ids: Tensor,
        indices: Tensor | None,
        precision: str,
    ) -> None:
        self.n_chains, device = chain_ids.shape[0], states.device
        self.dynamics = dynamics
        self.kept: list[Tensor] = []  # alive until the call has been enqueued
        self.z = torch.empty((self.n_chains, states.shape[1]), dtype=torch.float32, device=device)
        self.non_finite = torch.zeros((), dtype=torch.int32, device=device)
        self.partials = self.log_weights = None
        if dynamics.diagnostics or dynamics.metropolis:
            n_groups = -(-self.n_chains // CHAIN_GROUP)
            self.partials = torch.empty((dynamics.n_steps, n_groups, 3), dtype=torch.float32, device=device)
        if dynamics.tempers is not None:
            self.log_weights = torch.empty(self.n_chains, dtype=torch.float32, device=device)
        seed_tensor = dynamics.seed if isinstance(dynamics.seed, Tensor) else None
        # a bank is written to, and its rows are wherever they are; anything else may be copied
        self.fields: dict[str, Any] = {
            "states": states.data_ptr() if indices is not None else self._pointer(states),
            "z": self.z.data_ptr(),
            "indices": self._pointer(indices),
            "chain_ids": self._pointer(chain_ids),
            "labels": self._pointer(network.labels),
            "context": self._pointer(network.bias),
            "n_chains": self.n_chains,
            "weights": [self._pointer(weight) for weight, _ in network.layers],
            "biases": [self._pointer(bias) for _, bias in network.layers],
            "widths": [states.shape[1], *(bias.shape[0] for _, bias in network.layers)],
            "activation": ACTIVATIONS.index(network.activation),
            "negative_slope": network.negative_slope,
            "temperature": network.temperature,
            "n_steps": dynamics.n_steps,
            "first_step": dynamics.first_step,
            "seed": 0 if isinstance(dynamics.seed, Tensor) else signed_seed(dynamics.seed),
            "seed_pointer": self._pointer(seed_tensor),
            "stream": int(dynamics.stream),
            "metropolis_stream": int(Stream.METROPOLIS),
            "reference_precision": dynamics.reference_precision,
            "noise_scale": dynamics.noise_scale,
            "metropolis": dynamics.metropolis,
            "fast": precision == "fast" or _rounding_allowed(device),
            "partials": self._pointer(self.partials),
            "log_weights": self._pointer(self.log_weights),
            "non_finite": self.non_finite.data_ptr(),
        }
        self._add_schedule(device)

    def _pointer(self, tensor: Tensor | None) -> int | None:
        if tensor is None:
            return None
        tensor = tensor.contiguous()
        self.kept.append(tensor)
        return tensor.data_ptr()

    def _add_schedule(self, device: torch.device) -> None:
        dynamics = self.dynamics
        if isinstance(dynamics.step_size, Tensor):
            self.fields["step_size"] = 0.0
            self.fields["step_sizes"] = self._pointer(dynamics.step_size.to(device, torch.float32))
        else:
            self.fields["step_size"] = dynamics.step_size
        if dynamics.tempers is not None:
            tempers = dynamics.tempers.double()
            before = torch.cat([torch.full_like(tempers[:1], dynamics.initial_temper), tempers[:-1]])
            self.fields["tempers"] = self._pointer(tempers.to(device, torch.float32))
            self.fields["temper_changes"] = self._pointer((tempers - before).to(device, torch.float32))

    def result(self) -> LangevinResult:
        """What the kernel wrote, as the reference would return it."""
        energy = norm = acceptance = None
        if self.partials is not None:
            means = self.partials.sum(dim=1, dtype=torch.float64).div_(self.n_chains).float()
            if self.dynamics.diagnostics:  # clones: an op's results share no memory
                energy, norm = means[:, 0].clone(), means[:, 1].clone()
            acceptance = means[:, 2].clone() if self.dynamics.metropolis else None
        return LangevinResult(self.z, energy, norm, acceptance, self.log_weights, self.non_finite == 0)


def _rounding_allowed(device: torch.device) -> bool:
    """Whether torch's own products of float32 may round their operands: to TF32 on a GPU, to bfloat16 on a CPU."""
    setting = torch.get_float32_matmul_precision()
    return setting == "medium" or (setting == "high" and device.type == "cuda")
