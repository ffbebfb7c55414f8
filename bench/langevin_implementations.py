"""S Langevin steps of N chains, as this package does them and in the other ways that a user has.

An implementation is a function (problem, n_steps, noise_scale) -> call; a call returns the states after n_steps steps
from problem.z. It draws its own noise by the means of its own library. What cannot run here raises Unavailable.
"""

from __future__ import annotations

from collections.abc import Callable

import onednn
import torch
from langevin_libraries import jax_scan, torchebm_sampler
from langevin_problem import (
    SLOPE,
    STEP_SIZE,
    Call,
    Implementation,
    Problem,
    Unavailable,
    activate,
    activate_backward,
    aten,
    energy,
)
from torch import Tensor
from torch.nn import functional

from svebm_ext.ops.backend import unavailable_reason
from svebm_ext.ops.langevin import langevin

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


def packed_products(dtype: torch.dtype) -> Implementation:
    """The gradient written by hand, its products by oneDNN with packed weights, activations in the products' format."""

    def implementation(problem: Problem, n_steps: int, noise_scale: float) -> Call:
        if reason := onednn.missing(problem.z.device, dtype):
            raise Unavailable(reason)
        n, kind = len(problem.z), problem.shape.activation
        forward = [onednn.packed_linear(w, b, n, dtype) for w, b in zip(problem.weights, problem.biases, strict=True)]
        scales = (STEP_SIZE, 1.0, 1.0)
        backward = [
            onednn.packed_linear(s * w.t(), None, n, dtype) for s, w in zip(scales, problem.weights, strict=True)
        ]

        @torch.no_grad()
        def call() -> Tensor:
            z = problem.z
            for noise in problem.noise(n_steps, noise_scale).unbind():
                a1 = forward[0](z.to(dtype))
                a2 = forward[1](activate(kind, a1))
                p = torch.softmax(forward[2](activate(kind, a2)), dim=1)
                v = activate_backward(kind, backward[2](p), a2)
                v = activate_backward(kind, backward[1](v), a1)
                z = torch.add(noise, z, alpha=1 - STEP_SIZE).add_(backward[0](v))
            return z

        return call

    return implementation


class FrozenSteps(torch.nn.Module):
    """Steps whose weights are constants of the program, so that torch.compile packs them."""

    def __init__(self, problem: Problem, dtype: torch.dtype) -> None:
        super().__init__()
        self.activation, self.dtype = problem.shape.activation, dtype

        def constants(tensors: list[Tensor]) -> torch.nn.ParameterList:
            cast = [tensor.to(dtype).contiguous() for tensor in tensors]
            return torch.nn.ParameterList([torch.nn.Parameter(tensor, requires_grad=False) for tensor in cast])

        self.weights, self.biases = constants(problem.weights), constants(problem.biases)
        self.transposed = constants([weight.t() for weight in problem.weights])

    def forward(self, z: Tensor, noises: Tensor) -> Tensor:
        """One step for each of the noises [S, N, D]."""
        linear, kind = functional.linear, self.activation
        for noise in noises.unbind():
            a1 = linear(z.to(self.dtype), self.weights[0], self.biases[0])
            a2 = linear(activate(kind, a1), self.weights[1], self.biases[1])
            p = torch.softmax(linear(activate(kind, a2), self.weights[2], self.biases[2]), dim=1)
            v = activate_backward(kind, linear(p, self.transposed[2]), a2)
            v = activate_backward(kind, linear(v, self.transposed[1]), a1)
            z = (1 - STEP_SIZE) * z + STEP_SIZE * linear(v, self.transposed[0]) + noise
        return z


def frozen(dtype: torch.dtype, n_together: int = 10) -> Implementation:
    """n_together steps by torch.compile with freezing."""

    def implementation(problem: Problem, n_steps: int, noise_scale: float) -> Call:
        if problem.z.device.type != "cpu":
            raise Unavailable("freezing is for inference on a CPU")
        import torch._inductor.config as inductor

        module = FrozenSteps(problem, dtype).eval()
        fast_steps = torch.compile(module, dynamic=False, fullgraph=True)

        @torch.no_grad()
        def call() -> Tensor:
            z = problem.z
            for noises in problem.noise(n_steps, noise_scale).split(n_together):
                z = fast_steps(z, noises)
            return z

        try:
            with inductor.patch(freezing=True):
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


IMPLEMENTATIONS: dict[str, Implementation] = {
    "native": own("native", "fp32"),
    "native fast": own("native", "fast"),
    "reference": own("reference", "fp32"),
    "eager autograd": eager_autograd,
    "hand-written gradient": hand_written_gradient,
    "oneDNN, packed": packed_products(torch.float32),
    "oneDNN, packed, bf16": packed_products(torch.bfloat16),
    "torch.compile, frozen": frozen(torch.float32),
    "torch.compile, frozen, bf16": frozen(torch.bfloat16),
    "torch.compile of autograd": compiled(functional_step, 10),
    "torch.compile of gradient": compiled(gradient_step, 10),
    "CUDA graph of gradient": cuda_graph(hand_written_gradient),
    "CUDA graph of compiled": cuda_graph(compiled(gradient_step, 1)),
    "CUDA graph of autotuned": cuda_graph(compiled(gradient_step, 1, "max-autotune-no-cudagraphs")),
    "jax": jax_scan,
    "torchebm": torchebm_sampler,
}
FASTEST = (
    "native",
    "native fast",
    "hand-written gradient",
    "oneDNN, packed",
    "oneDNN, packed, bf16",
    "torch.compile, frozen, bf16",
    "CUDA graph of gradient",
    "CUDA graph of compiled",
)
