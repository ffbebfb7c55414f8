"""S Langevin steps of N chains, as this package does them and in the other ways that a user has.

An implementation is a function (problem, n_steps, noise_scale) -> call; a call returns the states after n_steps steps
from problem.z. It draws its own noise by the means of its own library. What cannot run here raises Unavailable.
"""

from __future__ import annotations

import importlib.metadata
import itertools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass

import torch
from shapes import LangevinShape
from torch import Tensor
from torch.nn import functional

from svebm_ext.ops.backend import unavailable_reason
from svebm_ext.ops.langevin import langevin

aten = torch.ops.aten
STEP_SIZE = 0.08
SLOPE = 0.2


class Unavailable(Exception):
    """Why an implementation cannot run here."""


@dataclass(frozen=True)
class Problem:
    """Initial states and the energy network, the same for all implementations."""

    shape: LangevinShape
    z: Tensor
    weights: list[Tensor]
    biases: list[Tensor]

    @staticmethod
    def draw(shape: LangevinShape, device: torch.device) -> Problem:
        generator = torch.Generator().manual_seed(0)
        widths = [shape.dim, shape.hidden, shape.hidden, shape.n_categories]
        pairs = list(itertools.pairwise(widths))
        weights = [torch.randn(after, before, generator=generator) / math.sqrt(before) for before, after in pairs]
        biases = [0.1 * torch.randn(after, generator=generator) for _, after in pairs]
        z = torch.randn(shape.n_chains, shape.dim, generator=generator)
        return Problem(shape, z.to(device), [w.to(device) for w in weights], [b.to(device) for b in biases])

    def noise(self, n_steps: int, noise_scale: float) -> Tensor:
        """sqrt(2 s) e of all steps, from one torch.randn: for few chains faster than one a step, for many equal."""
        return torch.randn(n_steps, *self.z.shape, device=self.z.device).mul_(noise_scale * math.sqrt(2 * STEP_SIZE))


Call = Callable[[], object]
Implementation = Callable[[Problem, int, float], Call]


# -- this package


def own(backend: str, precision: str) -> Implementation:
    def implementation(problem: Problem, n_steps: int, noise_scale: float) -> Call:
        reason = unavailable_reason("langevin", problem.z.device.type)
        if backend == "native" and reason:
            raise Unavailable(reason)
        layers = list(zip(problem.weights, problem.biases, strict=True))
        options = {"activation": problem.shape.activation, "negative_slope": SLOPE}
        options |= {"n_steps": n_steps, "step_size": STEP_SIZE, "noise_scale": noise_scale}
        options |= {"precision": precision, "backend": backend, "seed": 0}
        return lambda: langevin(problem.z, layers, **options).z

    return implementation


# -- plain PyTorch


def activate(activation: str, a: Tensor) -> Tensor:
    return functional.gelu(a) if activation == "gelu" else functional.leaky_relu(a, SLOPE)


def activate_backward(activation: str, v: Tensor, a: Tensor) -> Tensor:
    return aten.gelu_backward(v, a) if activation == "gelu" else aten.leaky_relu_backward(v, a, SLOPE, False)


def energy(z: Tensor, activation: str, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
    """logsumexp_k f_k(z) of each chain [N]."""
    hidden = z
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        hidden = activate(activation, functional.linear(hidden, weight, bias))
    return torch.logsumexp(functional.linear(hidden, weights[-1], biases[-1]), dim=1)


def functional_step(z: Tensor, noise: Tensor, activation: str, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
    """A Langevin step by autograd, in the form that torch.compile takes as one graph."""
    gradient = torch.func.grad(lambda point: energy(point, activation, weights, biases).sum())(z)
    return z + STEP_SIZE * (gradient - z) + noise


def gradient_step(z: Tensor, noise: Tensor, activation: str, weights: list[Tensor], biases: list[Tensor]) -> Tensor:
    """The gradient written by hand, for torch.compile to fuse."""
    first, second, last = weights
    a1 = torch.addmm(biases[0], z, first.t())
    a2 = torch.addmm(biases[1], activate(activation, a1), second.t())
    p = torch.softmax(torch.addmm(biases[2], activate(activation, a2), last.t()), dim=1)
    v = activate_backward(activation, p @ last, a2)
    v = activate_backward(activation, v @ second, a1)
    return (1 - STEP_SIZE) * z + STEP_SIZE * (v @ first) + noise


def eager_autograd(problem: Problem, n_steps: int, noise_scale: float) -> Call:
    """The loop that papers' programs have."""

    def call() -> Tensor:
        z = problem.z
        for noise in problem.noise(n_steps, noise_scale).unbind():
            z = z.detach().requires_grad_()
            value = energy(z, problem.shape.activation, problem.weights, problem.biases)
            (gradient,) = torch.autograd.grad(value.sum(), z)
            with torch.no_grad():
                z = z + STEP_SIZE * (gradient - z) + noise
        return z

    return call


def hand_written_gradient(problem: Problem, n_steps: int, noise_scale: float) -> Call:
    """No autograd, no memory allocated in the loop, the last product fused with the update."""
    (w1, w2, w3), (b1, b2, b3) = problem.weights, problem.biases
    w1t, w2t, w3t = w1.t(), w2.t(), w3.t()
    gelu = problem.shape.activation == "gelu"

    def forward(a: Tensor, out: Tensor) -> None:
        aten.gelu.out(a, out=out) if gelu else aten.leaky_relu.out(a, SLOPE, out=out)

    def backward(v: Tensor, a: Tensor) -> None:
        if gelu:
            aten.gelu_backward.grad_input(v, a, grad_input=v)
        else:
            aten.leaky_relu_backward.grad_input(v, a, SLOPE, False, grad_input=v)

    @torch.no_grad()
    def call() -> Tensor:
        z = problem.z.clone()
        a1, a2, hidden, v = (z.new_empty(len(z), len(b1)) for _ in range(4))
        p = z.new_empty(len(z), len(b3))
        for noise in problem.noise(n_steps, noise_scale).unbind():
            torch.addmm(b1, z, w1t, out=a1)
            forward(a1, hidden)
            torch.addmm(b2, hidden, w2t, out=a2)
            forward(a2, hidden)
            torch.addmm(b3, hidden, w3t, out=p)
            torch.softmax(p, dim=1, out=p)
            torch.mm(p, w3, out=v)
            backward(v, a2)
            torch.mm(v, w2, out=hidden)
            backward(hidden, a1)
            z.addmm_(hidden, w1, beta=1 - STEP_SIZE, alpha=STEP_SIZE).add_(noise)
        return z

    return call


def compiled(step: Callable[..., Tensor], n_together: int, mode: str = "default") -> Implementation:
    """n_together steps compiled as one program.

    Ten have nearly the speed of all, up to a sixth above that of one, and compile in seconds instead of a minute. Noise
    drawn inside the program was slower.
    """

    def steps(z: Tensor, noises: Tensor, *network: object) -> Tensor:
        for noise in noises.unbind():
            z = step(z, noise, *network)
        return z

    def implementation(problem: Problem, n_steps: int, noise_scale: float) -> Call:
        fast_steps = torch.compile(steps, dynamic=False, fullgraph=True, mode=mode)
        network = (problem.shape.activation, problem.weights, problem.biases)

        @torch.no_grad()
        def call() -> Tensor:
            z = problem.z
            for noises in problem.noise(n_steps, noise_scale).split(n_together):
                z = fast_steps(z, noises, *network)
            return z

        try:
            call()
        except torch._dynamo.exc.TorchDynamoException as error:
            raise Unavailable(f"torch.compile: {str(error).strip().splitlines()[0]}") from error
        return call

    return implementation


def cuda_graph(eager: Implementation) -> Implementation:
    """All steps recorded once and replayed as one CUDA graph."""

    def implementation(problem: Problem, n_steps: int, noise_scale: float) -> Call:
        if problem.z.device.type != "cuda":
            raise Unavailable("CUDA graphs are for GPUs")
        call = eager(problem, n_steps, noise_scale)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                call()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            z = call()

        def replay() -> Tensor:
            graph.replay()
            return z

        return replay

    return implementation


# -- other libraries


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


IMPLEMENTATIONS: dict[str, Implementation] = {
    "native": own("native", "fp32"),
    "native fast": own("native", "fast"),
    "reference": own("reference", "fp32"),
    "eager autograd": eager_autograd,
    "hand-written gradient": hand_written_gradient,
    "torch.compile of autograd": compiled(functional_step, 10),
    "torch.compile of gradient": compiled(gradient_step, 10),
    "CUDA graph of gradient": cuda_graph(hand_written_gradient),
    "CUDA graph of compiled": cuda_graph(compiled(gradient_step, 1)),
    "CUDA graph of autotuned": cuda_graph(compiled(gradient_step, 1, "max-autotune-no-cudagraphs")),
    "jax": jax_scan,
    "torchebm": torchebm_sampler,
}
FASTEST = ("native", "native fast", "hand-written gradient", "CUDA graph of gradient", "CUDA graph of compiled")
