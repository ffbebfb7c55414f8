"""What every backend of `langevin` is given and gives back, and the checks that are done once for all of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from svebm_ext.ops.arguments import LARGEST, TEMPERATURES, Arguments, shown
from svebm_ext.ops.philox import Stream

Layers = Sequence[tuple[Tensor, Tensor]]
ACTIVATIONS = ("gelu", "leaky_relu", "silu", "tanh")
PRECISIONS = ("fp32", "fast")
CHECKS = Arguments("langevin")
STEPS = 1 << 32
STEP_SIZES = (1e-30, LARGEST)
"""Smaller ones move nothing, and their squares, of which acceptance is made, are no numbers of float32."""
LAYERS = "1 to 3 pairs (weight [out, in], bias [out])"


class LangevinResult(NamedTuple):
    """What a run of S steps of N chains returns; reading no field costs more than one device synchronisation.

    Attributes:
        z: final states [N, D].
        mean_energy: mean over chains of the energy G before each move [S]; None without `diagnostics`.
        mean_gradient_norm: mean over chains of |grad log p| before each move [S]; None without `diagnostics`.
        acceptance: fraction of the N chains that accepted each move [S]; None without `metropolis`.
        log_weights: annealed importance sampling log weights [N], nats; None without `temper`.
        finite: a scalar, true where every number of `z` is finite, and no rounded operand left the range of its type.
    """

    z: Float[Tensor, "N D"]
    mean_energy: Float[Tensor, " S"] | None
    mean_gradient_norm: Float[Tensor, " S"] | None
    acceptance: Float[Tensor, " S"] | None
    log_weights: Float[Tensor, " N"] | None
    finite: Bool[Tensor, ""]


@dataclass(frozen=True)
class Network:
    """The energy G(z) as the kernels see it: MLP layers, first to last, and what is read off their output."""

    layers: Layers
    activation: str
    negative_slope: float
    temperature: float
    labels: Int[Tensor, " N"] | None
    bias: Float[Tensor, "N H"] | None


@dataclass(frozen=True)
class Dynamics:
    """How the chains move. What differs from step to step is a tensor [S], float64 where the caller gave it on the CPU.

    Attributes:
        step_size: s, one number or one per step.
        seed: Philox key, a number or an int64 scalar on the chains' device.
        tempers: factor on G at each step; None: 1 in all of them.
        stream: of the noise. The other fields are arguments of `langevin`.
    """

    n_steps: int
    step_size: float | Float[Tensor, " S"]
    seed: int | Int[Tensor, ""]
    reference_precision: float
    noise_scale: float
    tempers: Float[Tensor, " S"] | None
    initial_temper: float
    metropolis: bool
    first_step: int
    stream: Stream
    diagnostics: bool

    def step_sizes(self) -> list[float]:
        """s of each step as numbers; waits for the device where they are on one."""
        return self.step_size.tolist() if isinstance(self.step_size, Tensor) else [self.step_size] * self.n_steps


def fail(name: str, value: object, expected: str) -> NoReturn:
    """Raise a ConfigError that names the option, its value and what is expected."""
    CHECKS.fail(name, value, expected)


def check_types(z: Any, layers: Any, backend: Any, **tensors: Any) -> tuple[Layers, str | None]:
    """Check the Python types of the tensors of a call, those by name being optional; return layers and backend."""
    CHECKS.tensor("z", z, "[N, D] of float32 or float64")
    for name, tensor in tensors.items():
        if tensor is not None:
            CHECKS.tensor(name, tensor, "or None")
    if layers is None:
        return [], CHECKS.backend(backend)
    if isinstance(layers, (str, bytes, Tensor)) or not isinstance(layers, Iterable):
        fail("layers", shown(layers), LAYERS)
    pairs = []
    for index, pair in enumerate(layers):
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            fail(f"layers[{index}]", shown(pair), "a pair (weight [out, in], bias [out])")
        for tensor in pair:
            CHECKS.tensor(f"layers[{index}]", tensor, "weight [out, in] or bias [out]")
        pairs.append((pair[0], pair[1]))
    return pairs, CHECKS.backend(backend)


def check_tensors_or_numbers(
    seed: Any, step_size: Any, temper: Any
) -> tuple[int | Tensor, float | Tensor, Tensor | None]:
    """Check the Python types of what may be a tensor; those [S] hold no gradient."""
    if isinstance(step_size, Tensor) and step_size.dim() > 0:
        step_size = CHECKS.tensor("step_size", step_size, "one number per step").detach()
    else:
        step_size = CHECKS.number("step_size", step_size, *STEP_SIZES)
    if temper is not None:
        temper = CHECKS.tensor("temper", temper, "one number per step [S], or None").detach()
    return CHECKS.seed(seed), step_size, temper


def check_steps(n_steps: Any, first_step: Any) -> tuple[int, int]:
    """Check the Python types of the numbers of steps."""
    return CHECKS.integer("n_steps", n_steps, 1, STEPS), CHECKS.integer("first_step", first_step, 0, STEPS - 1)


def check_dynamics(dynamics: Dynamics, device: torch.device) -> None:
    """Check the options of the dynamics of chains on `device`; values on another device than the CPU are not read."""
    n_steps, s = dynamics.n_steps, dynamics.step_size
    if n_steps < 1:
        fail("n_steps", n_steps, "at least 1")
    if dynamics.first_step < 0 or dynamics.first_step + n_steps > 1 << 32:
        fail("first_step", dynamics.first_step, "0 <= first_step and first_step + n_steps <= 2^32")
    if isinstance(s, Tensor):
        _check_per_step("step_size", s, n_steps, device)
        if s.device.type == "cpu" and not bool(((s >= STEP_SIZES[0]) & (s <= STEP_SIZES[1])).all()):
            fail(
                "step_size",
                s.tolist() if n_steps <= 8 else "not so throughout",
                "numbers from {:g} to {:g}".format(*STEP_SIZES),
            )
    if dynamics.tempers is not None:
        _check_per_step("temper", dynamics.tempers, n_steps, device)
        CHECKS.finite("temper", dynamics.tempers)
    for name in ("initial_temper", "reference_precision", "noise_scale"):
        CHECKS.number(name, getattr(dynamics, name))
    if not 0 <= dynamics.reference_precision < math.inf:
        fail("reference_precision", dynamics.reference_precision, "0 (uniform reference) or a positive number")
    if not 0 <= dynamics.noise_scale < math.inf:
        fail("noise_scale", dynamics.noise_scale, "0 (no noise) or a positive number")
    if dynamics.metropolis and dynamics.noise_scale != 1.0:
        fail("noise_scale", dynamics.noise_scale, "1 with metropolis=True, whose acceptance rule assumes it")
    seed = dynamics.seed
    if isinstance(seed, Tensor):
        if seed.dtype != torch.int64 or seed.dim() != 0 or seed.device != device:
            found = f"{seed.dtype} of {seed.dim()} dimensions on {seed.device}"
            fail("seed", found, f"an integer or a torch.int64 scalar on {device}")
    elif not 0 <= seed < 1 << 64:
        fail("seed", seed, "0 to 2^64 - 1")


def _check_per_step(name: str, values: Tensor, n_steps: int, device: torch.device) -> None:
    if not values.is_floating_point() or values.dtype.itemsize < 2:
        fail(name, f"of type {values.dtype}", "a floating type")
    if values.shape != (n_steps,):
        fail(name, f"of shape {tuple(values.shape)}", f"one number per step, shape ({n_steps},)")
    if values.device.type != "cpu" and values.device != device:
        fail(name, f"on {values.device}", f"the CPU or the device of z, {device}")


def check_state(z: Tensor) -> None:
    """Check the chains' states [*, D]."""
    if z.dim() != 2 or z.shape[1] < 1:
        fail("z", f"of shape {tuple(z.shape)}", "[N, D] with D >= 1")
    if z.dtype not in (torch.float32, torch.float64):
        fail("z", f"of type {z.dtype}", "float32 or float64")


def check_ids(z: Tensor, chain_ids: Tensor | None, n_chains: int) -> None:
    """Check the chains' ids [N]."""
    if chain_ids is not None:
        _check_indices("chain_ids", chain_ids, n_chains, z.device)
        CHECKS.ids("chain_ids", chain_ids)


def check_bank(z: Tensor, bank_indices: Tensor) -> None:
    """Check rows of a bank [L, D]; values are looked at on the CPU only, where that needs no synchronisation."""
    _check_indices("bank_indices", bank_indices, None, z.device)
    if bank_indices.device.type == "cpu":
        rows = bank_indices.tolist()
        if rows and not (min(rows) >= 0 and max(rows) < z.shape[0]):
            fail("bank_indices", f"between {min(rows)} and {max(rows)}", f"rows of the bank, 0 to {z.shape[0] - 1}")
        if len(set(rows)) != len(rows):
            fail("bank_indices", "repeating some rows", "each row once: a chain cannot make two moves at a time")


def check_network(network: Network, z: Tensor, n_chains: int, precision: str) -> None:
    """Check layers, labels, context bias and options of the energy against states `z` [*, D] of N chains."""
    if network.activation not in ACTIVATIONS:
        fail("activation", repr(network.activation), f"one of {', '.join(ACTIVATIONS)}")
    if precision not in PRECISIONS:
        fail("precision", repr(precision), f"one of {', '.join(PRECISIONS)}")
    CHECKS.number("temperature", network.temperature, *TEMPERATURES)
    CHECKS.number("negative_slope", network.negative_slope)
    if not 1 <= len(network.layers) <= 3:
        fail("layers", f"a list of {len(network.layers)}", LAYERS)
    width = z.shape[1]
    for index, (weight, offset) in enumerate(network.layers):
        if weight.dim() != 2 or weight.shape[1] != width or weight.shape[0] < 1 or offset.shape != weight.shape[:1]:
            shapes = f"of shapes {tuple(weight.shape)} and {tuple(offset.shape)}"
            fail(f"layers[{index}]", shapes, f"weight [out, {width}] and bias [out]")
        width = weight.shape[0]
    check_alike([weight for weight, _ in network.layers], [offset for _, offset in network.layers], z)
    if network.bias is not None:
        expected = (n_chains, network.layers[0][0].shape[0])
        if network.bias.shape != expected:
            fail("bias", f"of shape {tuple(network.bias.shape)}", f"one row per chain for the first layer, {expected}")
        _check_like("bias", network.bias, z)
    if network.labels is not None:
        _check_indices("labels", network.labels, n_chains, z.device)
        if network.labels.device.type == "cpu" and n_chains:
            low, high = (int(value) for value in network.labels.aminmax())
            if low < 0 or high >= width:
                fail("labels", f"between {low} and {high}", f"categories 0 to {width - 1}")


def check_alike(weights: Sequence[Tensor], biases: Sequence[Tensor], z: Tensor) -> None:
    """Check that layers have the type and device of the states."""
    for index, layer in enumerate(zip(weights, biases, strict=True)):
        for tensor in layer:
            _check_like(f"layers[{index}]", tensor, z)


def _check_like(name: str, tensor: Tensor, z: Tensor) -> None:
    if tensor.dtype != z.dtype or tensor.device != z.device:
        fail(name, f"{tensor.dtype} on {tensor.device}", f"the type and device of z, {z.dtype} on {z.device}")


def _check_indices(name: str, indices: Tensor, n_chains: int | None, device: torch.device) -> None:
    if indices.dtype != torch.int64 or indices.dim() != 1 or n_chains not in (None, indices.shape[0]):
        expected = "[N]" if n_chains is None else f"[{n_chains}], one per chain"
        fail(name, f"{indices.dtype} of shape {tuple(indices.shape)}", f"int64 of shape {expected}")
    if indices.device != device:
        fail(name, f"on {indices.device}", f"the device of z, {device}")
