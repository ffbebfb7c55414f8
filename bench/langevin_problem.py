"""A problem of Langevin sampling, the same for all implementations, and what they are made of."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from shapes import LangevinShape
from torch import Tensor
from torch.nn import functional

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
