"""All S Langevin steps of N chains in one call: on the energy network, or on any differentiable log density."""

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.ops.arguments import TEMPERATURES, shown
from svebm_ext.ops.backend import fall_back, resolve, use_backend
from svebm_ext.ops.langevin import native, options, reference
from svebm_ext.ops.langevin.options import (
    ACTIVATIONS,
    CHECKS,
    PRECISIONS,
    Dynamics,
    LangevinResult,
    Layers,
    Network,
)
from svebm_ext.ops.philox import Stream, signed_seed

__all__ = ["LangevinResult", "langevin", "langevin_autograd"]


def langevin(
    z: Float[Tensor, "rows D"],
    layers: Layers,
    *,
    n_steps: int,
    step_size: float | Float[Tensor, " S"],
    seed: int | Int[Tensor, ""],
    activation: str = "gelu",
    negative_slope: float = 0.2,
    precision: str = "fp32",
    backend: str | None = None,
    labels: Int[Tensor, " N"] | None = None,
    bias: Float[Tensor, "N H"] | None = None,
    temperature: float = 1.0,
    reference_precision: float = 1.0,
    noise_scale: float = 1.0,
    temper: Float[Tensor, " S"] | None = None,
    initial_temper: float = 0.0,
    metropolis: bool = False,
    first_step: int = 0,
    chain_ids: Int[Tensor, " N"] | None = None,
    bank_indices: Int[Tensor, " N"] | None = None,
    diagnostics: bool = False,
) -> LangevinResult:
    """Sample the prior by Langevin dynamics, z <- z + s grad log p(z) + sqrt(2 s) e (Eq. 7, 8).

    log p(z) = G(z) - reference_precision |z|^2 / 2 + constant, with G = temperature * logsumexp_k(f_k / temperature)
    (the marginal prior, Eq. 4), or G = f_label (the class-conditional prior) where labels are given. No gradient flows
    through the result. Step t of chain c takes its noise from Philox at (chain_ids[c], first_step + t), so that S = 60
    equals 20 + 40, and no chain depends on which others are in the call beyond the rounding of matrix products.

    Args:
        z: states [N, D], float32 or float64, left unchanged; with `bank_indices`, a bank [L, D].
        layers: 1 to 3 pairs (weight [out, in], bias [out]), first to last, of z's type and device.
        n_steps: S >= 1.
        step_size: the paper's s, from 1e-30 to the largest float32, one number or one per step [S].
        seed: 64-bit seed of the random numbers.
        activation: between layers: "gelu" (exact), "leaky_relu", "silu" or "tanh".
        negative_slope: of LeakyReLU.
        precision: "fp32", or "fast": native kernels may round the operands of products to 16 bits (bfloat16 on CPUs
            that multiply it, fp16 on GPUs), which `torch.set_float32_matmul_precision` allows as well ("high" on a
            GPU, "medium" anywhere). Sums, states, softmax and noise stay in float32.
        backend: "auto", "native", "reference", or None for the setting of `svebm_ext.ops.backend`.
        labels: category of each chain [N] int64.
        bias: context of each chain, added to the first layer's pre-activation [N, H].
        temperature: tau > 0.
        reference_precision: 1 / sigma^2 of the Gaussian reference p0; 0 is a uniform reference.
        noise_scale: factor on the noise; 0 is gradient ascent.
        temper: factor on G at each step [S]. The result's log weights then sum (temper_t - temper_{t-1}) G(z_t), z_t
            the state before move t: those of annealed importance sampling (Neal 2001).
        initial_temper: the factor for which z are samples, before the first step.
        metropolis: accept or reject each move, so that p itself is left invariant (Roberts & Tweedie 1996).
        first_step: absolute number of the first step.
        chain_ids: absolute ids of the chains [N] int64; default the bank's rows, or 0 to N - 1.
        bank_indices: rows of the bank [N] int64, each once: they are moved and written back in place.
        diagnostics: report mean energy and gradient norm of each step.

    Raises:
        ConfigError: an argument has a wrong shape, type, device or value.
        BackendUnavailableError: `backend` is "native" and the native library cannot serve the call.
    """
    layers, backend = options.check_types(
        z, layers, backend, labels=labels, bias=bias, chain_ids=chain_ids, bank_indices=bank_indices
    )
    seed, step_size, temper = options.check_tensors_or_numbers(seed, step_size, temper)
    tensors = {"labels": labels, "bias": bias, "chain_ids": chain_ids, "bank_indices": bank_indices}
    in_layers = {
        f"layers[{index}]": tensor
        for index, pair in enumerate(layers)
        for tensor in pair
        if tensor.device.type == "meta"
    }
    per_step = {"seed": seed, "step_size": step_size, "temper": temper}
    CHECKS.with_storage(("z", z), {**tensors, **in_layers, **per_step})
    n_steps, first_step = options.check_steps(n_steps, first_step)
    if chain_ids is None:
        chain_ids = _ids(z) if bank_indices is None else bank_indices
    weights, biases = [weight.detach() for weight, _ in layers], [offset.detach() for _, offset in layers]
    arguments = (
        weights,
        biases,
        chain_ids,
        labels,
        None if bias is None else bias.detach(),
        0 if isinstance(seed, Tensor) else signed_seed(seed),
        seed if isinstance(seed, Tensor) else None,
        n_steps,
        first_step,
        0.0 if isinstance(step_size, Tensor) else step_size,
        step_size if isinstance(step_size, Tensor) else None,
        temper,
        CHECKS.number("initial_temper", initial_temper),
        CHECKS.number("temperature", temperature, *TEMPERATURES),
        CHECKS.number("reference_precision", reference_precision, 0.0),
        CHECKS.number("noise_scale", noise_scale, 0.0),
        CHECKS.flag("metropolis", metropolis),
        CHECKS.flag("diagnostics", diagnostics),
        CHECKS.choice("activation", activation, ACTIVATIONS),
        CHECKS.number("negative_slope", negative_slope),
        CHECKS.choice("precision", precision, PRECISIONS),
        backend or "",
    )
    if bank_indices is None:
        outputs = torch.ops.svebm.langevin(z.detach(), *arguments)
    else:
        outputs = torch.ops.svebm.langevin_bank(z.detach(), bank_indices, *arguments)
    states, energy, norm, acceptance, log_weights, finite = outputs
    return LangevinResult(
        z=states,
        mean_energy=energy if diagnostics else None,
        mean_gradient_norm=norm if diagnostics else None,
        acceptance=acceptance if metropolis else None,
        log_weights=None if temper is None else log_weights,
        finite=finite,
    )


def _ids(z: Tensor) -> Tensor:
    return torch.arange(z.shape[0] if z.dim() else 0, dtype=torch.int64, device=z.device)


def langevin_autograd(
    z: Float[Tensor, "N D"],
    log_density: Callable[[Tensor], Tensor],
    *,
    n_steps: int,
    step_size: float | Float[Tensor, " S"],
    seed: int | Int[Tensor, ""],
    reference_precision: float = 0.0,
    noise_scale: float = 1.0,
    temper: Float[Tensor, " S"] | None = None,
    initial_temper: float = 0.0,
    metropolis: bool = False,
    first_step: int = 0,
    chain_ids: Int[Tensor, " N"] | None = None,
    diagnostics: bool = False,
) -> LangevinResult:
    """Langevin dynamics on any differentiable log density, by autograd, with the noise that `langevin` would draw.

    Args:
        z: states [N, D], left unchanged.
        log_density: z [N, D] -> G(z) [N], each entry depending on its own row only.
        reference_precision: adds -reference_precision |z|^2 / 2 to G outside `temper`; 0 where G is the whole density.
        n_steps: S, as in `langevin`.
        step_size: as in `langevin`.
        seed: as in `langevin`.
        noise_scale: as in `langevin`.
        temper: as in `langevin`.
        initial_temper: as in `langevin`.
        metropolis: as in `langevin`.
        first_step: as in `langevin`.
        chain_ids: as in `langevin`.
        diagnostics: as in `langevin`.

    Raises:
        ConfigError: an argument has a wrong shape, type, device or value.
    """
    options.check_types(z, None, None, chain_ids=chain_ids)
    if not callable(log_density):
        CHECKS.fail("log_density", shown(log_density), "a function of z [N, D] to [N]")
    seed, step_size, temper = options.check_tensors_or_numbers(seed, step_size, temper)
    n_steps, first_step = options.check_steps(n_steps, first_step)
    dynamics = Dynamics(
        n_steps=n_steps,
        step_size=step_size,
        seed=seed,
        reference_precision=CHECKS.number("reference_precision", reference_precision, 0.0),
        noise_scale=CHECKS.number("noise_scale", noise_scale, 0.0),
        tempers=temper,
        initial_temper=CHECKS.number("initial_temper", initial_temper),
        metropolis=CHECKS.flag("metropolis", metropolis),
        first_step=first_step,
        stream=Stream.LANGEVIN,
        diagnostics=CHECKS.flag("diagnostics", diagnostics),
    )
    options.check_dynamics(dynamics, z.device)
    options.check_state(z)
    options.check_ids(z, chain_ids, z.shape[0])
    chain_ids = _ids(z) if chain_ids is None else chain_ids
    with torch.inference_mode(False), torch.no_grad():  # a tensor of inference mode has no gradient, a copy has one
        return reference.run_chains(z.detach().clone(), reference.autograd_target(log_density), dynamics, chain_ids)


def _langevin_bank(
    states: Tensor,
    indices: Tensor | None,
    weights: list[Tensor],
    biases: list[Tensor],
    chain_ids: Tensor,
    labels: Tensor | None,
    bias: Tensor | None,
    seed: int,
    seed_tensor: Tensor | None,
    n_steps: int,
    first_step: int,
    step_size: float,
    step_sizes: Tensor | None,
    tempers: Tensor | None,
    initial_temper: float,
    temperature: float,
    reference_precision: float,
    noise_scale: float,
    metropolis: bool,
    diagnostics: bool,
    activation: str,
    negative_slope: float,
    precision: str,
    backend: str,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    dynamics = Dynamics(
        n_steps=n_steps,
        step_size=step_size if step_sizes is None else step_sizes,
        seed=seed % (1 << 64) if seed_tensor is None else seed_tensor,
        reference_precision=reference_precision,
        noise_scale=noise_scale,
        tempers=tempers,
        initial_temper=initial_temper,
        metropolis=metropolis,
        first_step=first_step,
        stream=Stream.LANGEVIN,
        diagnostics=diagnostics,
    )
    layers = list(zip(weights, biases, strict=True))
    network = Network(layers, activation, negative_slope, temperature, labels, bias)
    options.check_state(states)
    chains = states if indices is None else indices
    n_chains = chains.shape[0] if chains.dim() else 0
    options.check_dynamics(dynamics, states.device)
    if indices is not None:
        options.check_bank(states, indices)
    options.check_ids(states, chain_ids, n_chains)
    options.check_network(network, states, n_chains, precision)
    result = _run(states, network, dynamics, chain_ids, indices, precision, backend or None)

    def present(field: Tensor | None) -> Tensor:
        return states.new_empty(0) if field is None else field

    return (
        result.z,
        present(result.mean_energy),
        present(result.mean_gradient_norm),
        present(result.acceptance),
        present(result.log_weights),
        result.finite,
    )


def _run(
    states: Tensor,
    network: Network,
    dynamics: Dynamics,
    chain_ids: Tensor,
    indices: Tensor | None,
    precision: str,
    requested: str | None,
) -> LangevinResult:
    """Choose the backend here, not in the public function, so that a compiled graph follows the choice too."""
    call = (network, dynamics, chain_ids)
    backend = resolve("langevin", states.device, requested)
    if backend == "native" and chain_ids.shape[0] == 0:
        backend = "reference"  # which gives empty results of the right shapes
    if backend == "native":
        reason = native.unsupported_reason(states, *call, indices, precision)
        if reason:  # float64 is the caller's wish, no shortcoming to be warned of
            quiet = states.dtype == torch.float64
            backend = fall_back("langevin", states.device, reason, requested, quiet=quiet)
    if backend == "native" and indices is not None and not states.is_contiguous():
        result = native.run(states[indices], *call, None, precision)
        states[indices] = result.z
        return result
    # The call's own choice holds for the reference's random numbers too.
    with contextlib.nullcontext() if requested is None else use_backend(requested):
        return (native if backend == "native" else reference).run(states, *call, indices, precision)


def _langevin(states: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    return _langevin_bank(states, None, *arguments)


def _shapes(states: Tensor, *arguments: Any) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    values = dict(zip(_ARGUMENT_NAMES, arguments, strict=True))
    # a tensor without storage brings a call here whose others have theirs
    options.check_alike(values["weights"], values["biases"], states)
    n_chains, n_steps = values["chain_ids"].shape[0], values["n_steps"]
    n_diagnosed = n_steps if values["diagnostics"] else 0
    return (
        states.new_empty((n_chains, states.shape[1])),
        states.new_empty(n_diagnosed),
        states.new_empty(n_diagnosed),
        states.new_empty(n_steps if values["metropolis"] else 0),
        states.new_empty(0 if values["tempers"] is None else n_chains),
        states.new_empty((), dtype=torch.bool),
    )


def _bank_shapes(
    states: Tensor, indices: Tensor, *arguments: Any
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    return _shapes(states, *arguments)


_ARGUMENTS = (
    "Tensor[] weights, Tensor[] biases, Tensor chain_ids, Tensor? labels, Tensor? bias, int seed, Tensor? seed_tensor,"
    " int n_steps, int first_step, float step_size, Tensor? step_sizes, Tensor? tempers, float initial_temper,"
    " float temperature, float reference_precision, float noise_scale, bool metropolis, bool diagnostics,"
    " str activation, float negative_slope, str precision, str backend"
)
_ARGUMENT_NAMES = [argument.split()[-1] for argument in _ARGUMENTS.split(",")]
_RESULTS = "(Tensor z, Tensor energy, Tensor gradient_norm, Tensor acceptance, Tensor log_weights, Tensor finite)"

_library = torch.library.Library("svebm", "FRAGMENT")
_library.define(f"langevin(Tensor states, {_ARGUMENTS}) -> {_RESULTS}")
_library.define(f"langevin_bank(Tensor(a!) states, Tensor indices, {_ARGUMENTS}) -> {_RESULTS}")
_library.impl("langevin", _langevin, "CompositeExplicitAutograd")
_library.impl("langevin_bank", _langevin_bank, "CompositeExplicitAutograd")
torch.library.register_fake("svebm::langevin", _shapes, lib=_library)
torch.library.register_fake("svebm::langevin_bank", _bank_shapes, lib=_library)
