"""S Langevin steps of N chains as other libraries do them; see langevin_implementations.py."""

from __future__ import annotations

import importlib.metadata
import math
import os

import torch
from langevin_problem import SLOPE, STEP_SIZE, Call, Problem, Unavailable, energy
from torch import Tensor


def installed(package: str) -> None:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable(f"{package} is not installed") from None


def jax_scan(problem: Problem, n_steps: int, noise_scale: float) -> Call:
    """jit of a scan over the steps."""
    installed("jax")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # else it takes most of the GPU's memory
    import jax

    device = jax_device(problem.z.device)
    gelu = problem.shape.activation == "gelu"

    def energy_and_reference(z, weights, biases):
        hidden = z
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            a = hidden @ weight.T + bias
            hidden = jax.nn.gelu(a, approximate=False) if gelu else jax.nn.leaky_relu(a, SLOPE)
        logits = hidden @ weights[-1].T + biases[-1]
        return jax.nn.logsumexp(logits, axis=1).sum() - 0.5 * (z**2).sum()

    def steps(z, key, weights, biases):
        def step(z, key):
            _, gradient = jax.value_and_grad(energy_and_reference)(z, weights, biases)
            noise = jax.random.normal(key, z.shape)
            return z + STEP_SIZE * gradient + noise_scale * math.sqrt(2 * STEP_SIZE) * noise, None

        return jax.lax.scan(step, z, jax.random.split(key, n_steps))[0]

    with jax.default_matmul_precision("highest"):
        tensors = (problem.z, jax.random.key(0), problem.weights, problem.biases)
        arguments = jax.tree.map(
            lambda tensor: jax.device_put(tensor.cpu().numpy() if isinstance(tensor, Tensor) else tensor, device),
            tensors,
        )
        run = jax.jit(steps).lower(*arguments).compile()
    return lambda: run(*arguments).block_until_ready()


def jax_device(device: torch.device):
    """JAX's device of the same kind; on the CPU its thread pool is made as large as torch's where it is made here."""
    import jax

    allowed = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(allowed)[: torch.get_num_threads()])  # which the pool's threads inherit
    try:
        return jax.devices("cpu" if device.type == "cpu" else "gpu")[0]
    except RuntimeError as error:
        raise Unavailable(f"jax: {error}") from error
    finally:
        os.sched_setaffinity(0, allowed)


def torchebm_sampler(problem: Problem, n_steps: int, noise_scale: float) -> Call:
    """torchebm's Langevin sampler on an energy that its user would write."""
    installed("torchebm")
    from torchebm.core import BaseModel
    from torchebm.samplers import LangevinDynamics

    class Energy(BaseModel):
        def forward(self, x: Tensor) -> Tensor:
            value = energy(x, problem.shape.activation, problem.weights, problem.biases)
            return 0.5 * x.square().sum(dim=1) - value

    # a scale of 0 is refused
    sampler = LangevinDynamics(
        Energy(device=problem.z.device), STEP_SIZE, noise_scale or 1e-20, device=problem.z.device
    )
    return lambda: sampler.sample(x=problem.z, n_steps=n_steps)
