"""All S Langevin steps of N chains in one call: on the energy network, or on any differentiable log density."""

import contextlib
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.ops.arguments import plain, shown, watched
from svebm_ext.ops.backend import planned_or_none, resolve, use_backend
from svebm_ext.ops.langevin import checks, native, reference
from svebm_ext.ops.langevin.checks import CHECKS
from svebm_ext.ops.langevin.options import LangevinInputs, LangevinOutputs, LangevinResult, Layers
from svebm_ext.ops.schema import Op

__all__ = ["LangevinResult", "langevin", "langevin_autograd"]


def langevin(
    z: Float[Tensor, "rows D"], layers: Layers, *, n_steps: int, step_size: float | Float[Tensor, " S"],
    seed: int | Int[Tensor, ""], activation: str = "gelu", negative_slope: float = 0.2, precision: str = "fp32",
    backend: str | None = None, labels: Int[Tensor, " N"] | None = None,
    context_shift: Float[Tensor, "N H"] | None = None, temperature: float = 1.0, reference_precision: float = 1.0,
    noise_scale: float = 1.0, temper: Float[Tensor, " S"] | None = None, initial_temper: float = 0.0,
    metropolis: bool = False, first_step: int = 0, chain_ids: Int[Tensor, " N"] | None = None,
    bank_indices: Int[Tensor, " N"] | None = None, diagnostics: bool = False,
) -> LangevinResult:  # fmt: skip
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
        context_shift: what the context of each chain adds to the first layer's pre-activation [N, H].
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
    weights, biases, all_plain = checks.check_types(
        z, layers, (seed, step_size, temper), labels=labels, context_shift=context_shift, chain_ids=chain_ids,
        bank_indices=bank_indices)  # fmt: skip
    dynamics = checks.checked_dynamics(
        n_steps, step_size, seed, first_step, reference_precision, noise_scale, temper, initial_temper, metropolis,
        diagnostics,
    )  # fmt: skip
    network = checks.checked_network(
        weights, biases, activation, negative_slope, temperature, labels, context_shift, precision, backend
    )
    if chain_ids is None:
        chain_ids = _ids(z) if bank_indices is None else bank_indices
    inputs = LangevinInputs(plain(z), chain_ids, **dynamics, **network, bank_indices=bank_indices)
    return _run(inputs) if all_plain and not watched() else _through_torch(inputs)


def _through_torch(inputs: LangevinInputs) -> LangevinResult:
    """Call the op where torch must see it; where not, every tensor has storage."""
    checks.check_storage(inputs)
    states, energy, norm, acceptance, log_weights, finite = (
        LANGEVIN if inputs.bank_indices is None else LANGEVIN_BANK
    ).of(inputs)
    return LangevinResult(
        z=states,
        mean_energy=energy if inputs.diagnostics else None,
        mean_gradient_norm=norm if inputs.diagnostics else None,
        acceptance=acceptance if inputs.metropolis else None,
        log_weights=None if inputs.temper is None else log_weights,
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
    checks.check_types(z, None, chain_ids=chain_ids)
    if not callable(log_density):
        CHECKS.fail("log_density", shown(log_density), "a function of z [N, D] to [N]")
    dynamics = checks.checked_dynamics(
        n_steps, step_size, seed, first_step, reference_precision, noise_scale, temper, initial_temper, metropolis,
        diagnostics,
    )  # fmt: skip
    inputs = LangevinInputs(z, _ids(z) if chain_ids is None else chain_ids, **dynamics)
    checks.check_dynamics(inputs)
    checks.check_state(z)
    checks.check_ids(z, inputs.chain_ids, z.shape[0])
    with torch.inference_mode(False), torch.no_grad():  # a tensor of inference mode has no gradient, a copy has one
        return reference.run_chains(z.detach().clone(), reference.autograd_target(log_density), inputs)


def _run(inputs: LangevinInputs) -> LangevinResult:
    """Choose the backend here, not in the public function, so that a compiled graph follows the choice too."""
    checks.check_tensors(inputs)
    device, requested = inputs.states.device, inputs.backend or None
    if inputs.n_chains == 0:  # of which the reference gives empty results of the right shapes
        resolve("langevin", device, requested)
    elif planned := planned_or_none("langevin", device, requested, lambda: native.plan(inputs)):
        return planned.run()
    # The call's own choice holds for the reference's random numbers too.
    with contextlib.nullcontext() if requested is None else use_backend(requested):
        return reference.run(inputs)


def _compute(inputs: LangevinInputs) -> LangevinOutputs:
    checks.check_numbers(inputs)  # whoever calls `torch.ops.svebm.langevin` has not checked them
    result, states = _run(inputs), inputs.states
    return LangevinOutputs(*(states.new_empty(0) if numbers is None else numbers for numbers in result))


def _shapes(inputs: LangevinInputs) -> LangevinOutputs:
    # a tensor without storage brings a call here whose others have theirs
    checks.check_alike(inputs.weights, inputs.biases, inputs.states)
    return inputs.shapes()


LANGEVIN = Op(
    "langevin",
    LangevinInputs,
    LangevinOutputs,
    compute=_compute,
    shapes=_shapes,
    without=("bank_indices",),
)
LANGEVIN_BANK = Op(
    "langevin_bank",
    LangevinInputs,
    LangevinOutputs,
    compute=_compute,
    shapes=_shapes,
    mutated=("states",),
)
