"""Checks of the arguments of `langevin`, done once for all backends."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn, TypedDict

import torch
from torch import Tensor

from svebm_ext.config.bounds import TEMPERATURES
from svebm_ext.ops.arguments import LARGEST, Arguments, are_plain, plain, shown
from svebm_ext.ops.langevin.options import ACTIVATIONS, LangevinInputs
from svebm_ext.ops.philox import signed_seed

PRECISIONS = ("fp32", "fast")
CHECKS = Arguments("langevin")
STEPS = 1 << 32
STEP_SIZES = (1e-30, LARGEST)
"""Smaller ones move nothing, and their squares, of which acceptance is made, are no numbers of float32."""
LAYERS = "1 to 3 pairs (weight [out, in], bias [out])"


class Dynamics(TypedDict):
    """Fields of `LangevinInputs` that say how chains move."""

    n_steps: int
    step_size: float
    seed: int
    step_sizes: Tensor | None
    seed_tensor: Tensor | None
    first_step: int
    reference_precision: float
    noise_scale: float
    temper: Tensor | None
    initial_temper: float
    metropolis: bool
    diagnostics: bool


class Network(TypedDict):
    """Fields of `LangevinInputs` that say what log density they move on, and how it is computed."""

    weights: list[Tensor]
    biases: list[Tensor]
    activation: str
    negative_slope: float
    temperature: float
    labels: Tensor | None
    context_shift: Tensor | None
    precision: str
    backend: str


def fail(name: str, value: object, expected: str) -> NoReturn:
    """Raise a ConfigError that names the option, its value and what is expected."""
    CHECKS.fail(name, value, expected)


def check_types(
    z: object, layers: object, numbers: Sequence[object] = (), **tensors: object
) -> tuple[list[Tensor], list[Tensor], bool]:
    """Check the Python types of the tensors of a call.

    Args:
        z, layers: as the arguments of `langevin`; layers None: there are none.
        numbers: what may be a tensor, and is checked later.
        **tensors: optional ones by name.

    Returns:
        Weights and biases of the layers, and whether all tensors are plain (`are_plain`).
    """
    weights, biases = _unpacked(layers)
    optional = [tensor for tensor in tensors.values() if tensor is not None]
    if are_plain([z, *weights, *biases, *optional, *[value for value in numbers if isinstance(value, Tensor)]]):
        return weights, biases, True
    CHECKS.tensor("z", z, "[N, D] of float32 or float64")
    for name, tensor in tensors.items():
        if tensor is not None:
            CHECKS.tensor(name, tensor, "or None")
    for index, pair in enumerate(zip(weights, biases, strict=True)):
        for tensor in pair:
            CHECKS.tensor(f"layers[{index}]", tensor, "weight [out, in] or bias [out]")
    return weights, biases, False


def _unpacked(layers: object) -> tuple[list[Tensor], list[Tensor]]:
    """Weights and biases of pairs, whatever these hold."""
    weights: list[Tensor] = []
    biases: list[Tensor] = []
    if layers is None:
        return weights, biases
    if isinstance(layers, (str, bytes, Tensor)) or not isinstance(layers, Iterable):
        fail("layers", shown(layers), LAYERS)
    for pair in layers:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            fail(f"layers[{len(weights)}]", shown(pair), "a pair (weight [out, in], bias [out])")
        weights.append(pair[0])
        biases.append(pair[1])
    return weights, biases


def check_storage(inputs: LangevinInputs) -> None:
    """Check that the tensors of a call, and of its layers, have storage where z has."""
    z = ("z", inputs.states)
    for index, pair in enumerate(zip(inputs.weights, inputs.biases, strict=True)):
        for tensor in pair:
            if tensor.is_meta:
                CHECKS.with_storage(z, {f"layers[{index}]": tensor})
    names = ("labels", "context_shift", "chain_ids", "bank_indices", "temper")
    per_step = {"seed": inputs.seed_tensor, "step_size": inputs.step_sizes}
    CHECKS.with_storage(z, {name: getattr(inputs, name) for name in names} | per_step)


def checked_dynamics(
    n_steps: object, step_size: object, seed: object, first_step: object, reference_precision: object,
    noise_scale: object, temper: object, initial_temper: object, metropolis: object, diagnostics: object,
) -> Dynamics:  # fmt: skip
    """Options of the dynamics as the op takes them, their Python types and ranges checked."""
    seed, step_size, temper = check_tensors_or_numbers(seed, step_size, temper)
    n_steps, first_step = check_steps(n_steps, first_step)
    reference_precision, noise_scale, initial_temper = check_scales(reference_precision, noise_scale, initial_temper)
    return {
        "n_steps": n_steps,
        "step_size": 0.0 if isinstance(step_size, Tensor) else step_size,
        "seed": 0 if isinstance(seed, Tensor) else signed_seed(seed),
        "step_sizes": step_size if isinstance(step_size, Tensor) else None,
        "seed_tensor": seed if isinstance(seed, Tensor) else None,
        "first_step": first_step,
        "reference_precision": reference_precision,
        "noise_scale": noise_scale,
        "temper": temper,
        "initial_temper": initial_temper,
        "metropolis": CHECKS.flag("metropolis", metropolis),
        "diagnostics": CHECKS.flag("diagnostics", diagnostics),
    }


def checked_network(
    weights: list[Tensor], biases: list[Tensor], activation: object, negative_slope: object, temperature: object,
    labels: Tensor | None, context_shift: Tensor | None, precision: object, backend: object,
) -> Network:  # fmt: skip
    """The network and its options as the op takes them, their Python types and ranges checked."""
    activation, negative_slope, temperature, precision = check_energy(
        activation, negative_slope, temperature, precision
    )
    return {
        "weights": [plain(weight) for weight in weights],
        "biases": [plain(offset) for offset in biases],
        "activation": activation,
        "negative_slope": negative_slope,
        "temperature": temperature,
        "labels": labels,
        "context_shift": None if context_shift is None else plain(context_shift),
        "precision": precision,
        "backend": CHECKS.backend(backend) or "",
    }


def check_tensors_or_numbers(
    seed: object, step_size: object, temper: object
) -> tuple[int | Tensor, float | Tensor, Tensor | None]:
    """Check the Python types of what may be a tensor; those [S] hold no gradient."""
    if isinstance(step_size, Tensor) and step_size.dim() > 0:
        step_size = CHECKS.tensor("step_size", step_size, "one number per step").detach()
    else:
        step_size = CHECKS.number("step_size", step_size, *STEP_SIZES)
    if temper is not None:
        temper = CHECKS.tensor("temper", temper, "one number per step [S], or None").detach()
    return CHECKS.seed(seed), step_size, temper


def check_steps(n_steps: object, first_step: object) -> tuple[int, int]:
    """Check the Python types of the numbers of steps."""
    return CHECKS.integer("n_steps", n_steps, 1, STEPS), CHECKS.integer("first_step", first_step, 0, STEPS - 1)


def check_numbers(inputs: LangevinInputs) -> None:
    """Check numbers and words, each by itself, as `checked_dynamics` and `checked_network` do."""
    check_steps(inputs.n_steps, inputs.first_step)
    check_scales(inputs.reference_precision, inputs.noise_scale, inputs.initial_temper)
    check_energy(inputs.activation, inputs.negative_slope, inputs.temperature, inputs.precision)


def check_tensors(inputs: LangevinInputs) -> None:
    """Check tensors, and what must fit together, the network included."""
    n_chains = inputs.n_chains
    check_state(inputs.states)
    check_dynamics(inputs)
    if inputs.bank_indices is not None:
        check_bank(inputs.states, inputs.bank_indices)
    check_ids(inputs.states, inputs.chain_ids, n_chains)
    check_network(inputs, n_chains)


def check_scales(
    reference_precision: object, noise_scale: object, initial_temper: object
) -> tuple[float, float, float]:
    """Check what multiplies a part of a move."""
    return (
        CHECKS.number("reference_precision", reference_precision, 0.0),
        CHECKS.number("noise_scale", noise_scale, 0.0),
        CHECKS.number("initial_temper", initial_temper),
    )


def check_energy(
    activation: object, negative_slope: object, temperature: object, precision: object
) -> tuple[str, float, float, str]:
    """Check the options of the energy, and how it is computed."""
    return (
        CHECKS.choice("activation", activation, ACTIVATIONS),
        CHECKS.number("negative_slope", negative_slope),
        CHECKS.number("temperature", temperature, *TEMPERATURES),
        CHECKS.choice("precision", precision, PRECISIONS),
    )


def check_dynamics(inputs: LangevinInputs) -> None:
    """Check what of the dynamics must fit together; values on another device than the CPU are not read."""
    n_steps, s, device = inputs.n_steps, inputs.step_sizes, inputs.states.device
    if inputs.first_step + n_steps > STEPS:
        fail("first_step", inputs.first_step, "0 <= first_step and first_step + n_steps <= 2^32")
    if s is not None:
        _check_per_step("step_size", s, n_steps, device)
        if s.device.type == "cpu" and not bool(((s >= STEP_SIZES[0]) & (s <= STEP_SIZES[1])).all()):
            fail(
                "step_size",
                s.tolist() if n_steps <= 8 else "not so throughout",
                "numbers from {:g} to {:g}".format(*STEP_SIZES),
            )
    if inputs.temper is not None:
        _check_per_step("temper", inputs.temper, n_steps, device)
        CHECKS.finite("temper", inputs.temper)
    if inputs.metropolis and inputs.noise_scale != 1.0:
        fail("noise_scale", inputs.noise_scale, "1 with metropolis=True, whose acceptance rule assumes it")
    seed = inputs.seed_tensor
    if seed is not None and (seed.dtype != torch.int64 or seed.dim() != 0 or seed.device != device):
        given = f"{seed.dtype} of {seed.dim()} dimensions on {seed.device}"
        fail("seed", given, f"an integer or a torch.int64 scalar on {device}")


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


def check_ids(z: Tensor, chain_ids: Tensor, n_chains: int) -> None:
    """Check the chains' ids [N]."""
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


def check_network(inputs: LangevinInputs, n_chains: int) -> None:
    """Check layers, labels and context shift against the states [*, D] of N chains."""
    z, weights, width = inputs.states, inputs.weights, inputs.states.shape[1]
    if not 1 <= len(weights) <= 3:
        fail("layers", f"a list of {len(weights)}", LAYERS)
    for index, (weight, offset) in enumerate(zip(weights, inputs.biases, strict=True)):
        shape, of_offset = weight.shape, offset.shape
        if len(shape) != 2 or shape[1] != width or shape[0] < 1 or len(of_offset) != 1 or of_offset[0] != shape[0]:
            shapes = f"of shapes {tuple(shape)} and {tuple(of_offset)}"
            fail(f"layers[{index}]", shapes, f"weight [out, {width}] and bias [out]")
        width = shape[0]
    check_alike(weights, inputs.biases, z)
    shift, labels = inputs.context_shift, inputs.labels
    if shift is not None:
        expected = (n_chains, weights[0].shape[0])
        if shift.shape != expected:
            given = f"of shape {tuple(shift.shape)}"
            fail("context_shift", given, f"one row per chain for the first layer, {expected}")
        _check_like("context_shift", shift, z.dtype, z.device)
    if labels is not None:
        _check_indices("labels", labels, n_chains, z.device)
        if labels.device.type == "cpu" and n_chains:
            low, high = (int(value) for value in labels.aminmax())
            if low < 0 or high >= width:
                fail("labels", f"between {low} and {high}", f"categories 0 to {width - 1}")


def check_alike(weights: Sequence[Tensor], biases: Sequence[Tensor], z: Tensor) -> None:
    """Check that layers have the type and device of the states."""
    dtype, device = z.dtype, z.device
    for index, (weight, offset) in enumerate(zip(weights, biases, strict=True)):
        if weight.dtype != dtype or offset.dtype != dtype or weight.device != device or offset.device != device:
            _check_like(f"layers[{index}]", weight, dtype, device)
            _check_like(f"layers[{index}]", offset, dtype, device)


def _check_like(name: str, tensor: Tensor, dtype: torch.dtype, device: torch.device) -> None:
    if tensor.dtype != dtype or tensor.device != device:
        fail(name, f"{tensor.dtype} on {tensor.device}", f"the type and device of z, {dtype} on {device}")


def _check_indices(name: str, indices: Tensor, n_chains: int | None, device: torch.device) -> None:
    if indices.dtype != torch.int64 or indices.dim() != 1 or n_chains not in (None, indices.shape[0]):
        expected = "[N]" if n_chains is None else f"[{n_chains}], one per chain"
        fail(name, f"{indices.dtype} of shape {tuple(indices.shape)}", f"int64 of shape {expected}")
    if indices.device != device:
        fail(name, f"on {indices.device}", f"the device of z, {device}")
