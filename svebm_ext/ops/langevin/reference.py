"""Langevin dynamics in plain torch: the equations that native kernels are compared with, and their fallback.

A target is any function z -> (G(z) or None, grad G(z)). At step t the chains sample
p_t(z) proportional to exp(temper_t G(z) - reference_precision |z|^2 / 2).
"""

import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from svebm_ext.ops.arguments import full_precision, shown
from svebm_ext.ops.langevin.checks import fail
from svebm_ext.ops.langevin.options import LangevinInputs, LangevinResult
from svebm_ext.ops.philox import Stream, philox_normal, philox_uniform

Target = Callable[[Tensor], tuple[Tensor | None, Tensor]]

# Noise is drawn for many steps in one call, in blocks of at most this many numbers (4 MB in fp32).
NOISE_BLOCK = 1 << 20


def run(inputs: LangevinInputs) -> LangevinResult:
    """Move N chains S steps on the energy network; rows `bank_indices` of the states are written back where given.

    `precision` is a permission that plain torch makes no use of.
    """
    states, rows = inputs.states, inputs.bank_indices
    # Under autocast products would silently be bf16, whose rounding is far above the step's accuracy.
    with torch.no_grad(), full_precision(states.device):
        z = states if rows is None else states[rows]
        result = run_chains(z, network_target(inputs, needs_energy(inputs)), inputs)
        if rows is not None:
            states[rows] = result.z
        return result


def needs_energy(inputs: LangevinInputs) -> bool:
    """Return whether G itself is used, not only its gradient."""
    return inputs.diagnostics or inputs.metropolis or inputs.temper is not None


def network_target(inputs: LangevinInputs, with_energy: bool) -> Target:
    """Return z -> (G, grad G) of the energy network, with the gradient derived by hand.

    G = tau logsumexp_k(f_k / tau), whose gradient is E_{y ~ softmax(f / tau)}[grad f_y] (Eq. 8), or G = f_label. With
    a_l = W_l h_{l-1} + b_l, h_l = act(a_l) and the last layer f = W_L h_{L-1} + b_L, the gradient starts as
    v = W_L^T p, p the softmax or the label's indicator, and runs back through v <- W_l^T (v * act'(a_l)).
    """
    forward, backward = _activation(inputs.activation, inputs.negative_slope)
    weights = [weight.detach() for weight in inputs.weights]
    offsets = [offset.detach() for offset in inputs.biases]
    if inputs.context_shift is not None:
        offsets[0] = offsets[0] + inputs.context_shift.detach()  # [N, H]: other for each chain
    transposed = [weight.t() for weight in weights]
    last, labels, temperature = len(weights) - 1, inputs.labels, inputs.temperature
    if labels is not None:
        label_weight = weights[last][labels]
        label_offset = offsets[last].expand(len(labels), -1).gather(1, labels[:, None])[:, 0]

    def target(z: Tensor) -> tuple[Tensor | None, Tensor]:
        energy, saved, hidden = None, [], z
        for layer in range(last):
            hidden, kept = forward(torch.addmm(offsets[layer], hidden, transposed[layer]))
            saved.append(kept)
        if labels is not None:
            gradient = label_weight
            if with_energy:
                energy = (hidden * label_weight).sum(dim=1) + label_offset
        else:
            logits = torch.addmm(offsets[last], hidden, transposed[last])
            if temperature != 1.0:
                logits = logits / temperature
            if with_energy:
                energy = temperature * torch.logsumexp(logits, dim=1)
                energy = torch.where(energy.abs() == math.inf, math.nan, energy)  # its gradient is no number either
            gradient = torch.softmax(logits, dim=1) @ weights[last]
        for layer in reversed(range(last)):
            gradient = backward(gradient, saved[layer]) @ weights[layer]
        return energy, gradient

    return target


def autograd_target(log_density: Callable[[Tensor], Tensor]) -> Target:
    """Return z -> (G, grad G) of any differentiable log density [N, D] -> [N]."""

    def target(z: Tensor) -> tuple[Tensor | None, Tensor]:
        with torch.enable_grad():
            point = z.detach().requires_grad_()
            energy = log_density(point)
            expected = f"one number per chain, ({z.shape[0]},), that depends on z"
            if not isinstance(energy, Tensor) or not energy.requires_grad:
                fail("log_density(z)", shown(energy), expected)
            if energy.shape != z.shape[:1]:
                fail("log_density(z)", f"of shape {tuple(energy.shape)}", expected)
            (gradient,) = torch.autograd.grad(energy.sum(), point)
        return energy.detach(), gradient

    return target


def _activation(
    name: str, negative_slope: float
) -> tuple[Callable[[Tensor], tuple[Tensor, Tensor]], Callable[[Tensor, Tensor], Tensor]]:
    """Return a -> (act(a), what act' needs) and (v, that) -> v * act'(a).

    torch's own backward kernels compute v * act'(a) in one pass; written out, GELU' alone would take eight.
    """
    aten = torch.ops.aten
    if name == "gelu":
        return lambda a: (functional.gelu(a), a), aten.gelu_backward
    if name == "silu":
        return lambda a: (functional.silu(a), a), aten.silu_backward
    if name == "leaky_relu":
        return (
            lambda a: (functional.leaky_relu(a, negative_slope), a),
            lambda v, a: aten.leaky_relu_backward(v, a, negative_slope, False),
        )

    def tanh(a: Tensor) -> tuple[Tensor, Tensor]:
        output = torch.tanh(a)
        return output, output  # tanh' = 1 - tanh^2 is read off the output

    return tanh, aten.tanh_backward


def run_chains(z: Float[Tensor, "N D"], target: Target, inputs: LangevinInputs) -> LangevinResult:
    """Move N chains S steps on any target, by the dynamics of `inputs`; `z` is left as it is."""
    return (_adjusted if inputs.metropolis else _unadjusted)(z, target, inputs)


def _unadjusted(z: Tensor, target: Target, inputs: LangevinInputs) -> LangevinResult:
    """z <- z + s grad log p_t(z) + noise_scale sqrt(2 s) e (Eq. 7), e ~ N(0, I)."""
    z, record = z.clone(), _Record(inputs, z)
    precision, step_sizes = inputs.reference_precision, inputs.list_of_step_sizes()
    for step, noise in enumerate(_scaled_noise(z, inputs)):
        step_size, temper = step_sizes[step], record.temper(step)
        energy, gradient = target(z)
        record.before_move(step, z, energy, gradient)
        # In place on z only: the gradient may be a tensor that the target uses again.
        z.mul_(1.0 - step_size * precision).add_(gradient, alpha=_factor(step_size * temper, z))
        if noise is not None:
            z.add_(noise)
    return record.result(z)


def _factor(number: float, like: Tensor) -> float:
    """A number as `alpha` of add_: torch refuses one that is beyond the tensor's type, and takes infinity."""
    return number if abs(number) <= torch.finfo(like.dtype).max else math.copysign(math.inf, number)


def _adjusted(z: Tensor, target: Target, inputs: LangevinInputs) -> LangevinResult:
    """Metropolis-adjusted Langevin: the same move is a proposal z', accepted with probability

        min(1, p(z') q(z | z') / (p(z) q(z' | z))),   log q(b | a) = -|b - a - s grad log p(a)|^2 / (4 s).

    Source: Roberts & Tweedie, Bernoulli 2 (1996) 341-363. A proposal that is not finite is rejected.
    """
    record, precision, step_sizes = _Record(inputs, z), inputs.reference_precision, inputs.list_of_step_sizes()
    uniforms = philox_uniform(
        inputs.key,
        inputs.chain_ids,
        dim=1,
        first_step=inputs.first_step,
        n_steps=inputs.n_steps,
        stream=Stream.METROPOLIS,
    )
    log_uniforms = uniforms[:, :, 0].to(z.dtype).log()
    energy, gradient = target(z)
    for step, noise in enumerate(_scaled_noise(z, inputs)):
        step_size, temper = step_sizes[step], record.temper(step)
        record.before_move(step, z, energy, gradient)
        assert noise is not None  # check_dynamics() refuses metropolis with noise_scale other than 1
        drift = temper * gradient - precision * z
        proposal = z + step_size * drift + noise
        new_energy, new_gradient = target(proposal)
        new_drift = temper * new_gradient - precision * proposal
        assert energy is not None and new_energy is not None  # needs_energy() holds here
        backward = (z - proposal - step_size * new_drift).square().sum(dim=1)
        forward = noise.square().sum(dim=1)
        log_ratio = temper * (new_energy - energy) - (backward - forward) / (4.0 * step_size)
        log_ratio -= 0.5 * precision * (proposal.square().sum(dim=1) - z.square().sum(dim=1))
        accept = log_uniforms[step] < log_ratio  # false for NaN
        record.acceptances.append(accept.to(z.dtype).mean())
        z = torch.where(accept[:, None], proposal, z)
        gradient = torch.where(accept[:, None], new_gradient, gradient)
        energy = torch.where(accept, new_energy, energy)
    return record.result(z)


def _scaled_noise(z: Tensor, inputs: LangevinInputs) -> Iterator[Tensor | None]:
    """Yield noise_scale sqrt(2 s) e [N, D] of each step, or None where there is no noise."""
    (N, D), S = z.shape, inputs.n_steps
    if inputs.noise_scale == 0.0:
        yield from [None] * S
        return
    block = max(1, NOISE_BLOCK // max(1, N * D))
    step_sizes = inputs.list_of_step_sizes()
    for start in range(0, S, block):
        count = min(block, S - start)
        noise = philox_normal(
            inputs.key,
            inputs.chain_ids,
            dim=D,
            first_step=inputs.first_step + start,
            n_steps=count,
            stream=Stream.LANGEVIN,
        ).to(z.dtype)
        scales = [inputs.noise_scale * math.sqrt(2.0 * s) for s in step_sizes[start : start + count]]
        if len(set(scales)) == 1:  # needs no copy to the device, for which the host would wait
            noise.mul_(scales[0])
        else:
            noise.mul_(torch.tensor(scales, dtype=z.dtype, device=z.device)[:, None, None])
        yield from noise.unbind()


class _Record:
    """Collects what a run reports beside the final states, without reading any number back from the device."""

    def __init__(self, inputs: LangevinInputs, z: Tensor) -> None:
        self.inputs = inputs
        self.tempers = None if inputs.temper is None else [inputs.initial_temper, *inputs.temper.tolist()]
        self.energies: list[Tensor] = []
        self.gradient_norms: list[Tensor] = []
        self.acceptances: list[Tensor] = []
        self.log_weights = None if self.tempers is None else z.new_zeros(z.shape[0])

    def temper(self, step: int) -> float:
        """Return the factor on G at `step`; the one before the first step is `initial_temper`."""
        return 1.0 if self.tempers is None else self.tempers[step + 1]

    def before_move(self, step: int, z: Tensor, energy: Tensor | None, gradient: Tensor) -> None:
        """Add (temper_t - temper_{t-1}) G(z) to the log weights and keep the diagnostics."""
        if self.log_weights is not None and energy is not None:
            self.log_weights.add_(energy, alpha=_factor(self.temper(step) - self.temper(step - 1), energy))
        if self.inputs.diagnostics and energy is not None:
            drift = self.temper(step) * gradient - self.inputs.reference_precision * z
            self.energies.append(energy.mean())
            self.gradient_norms.append(torch.linalg.vector_norm(drift, dim=1).mean())

    def result(self, z: Tensor) -> LangevinResult:
        """Return the run's result."""
        return LangevinResult(
            z=z,
            mean_energy=torch.stack(self.energies) if self.energies else None,
            mean_gradient_norm=torch.stack(self.gradient_norms) if self.gradient_norms else None,
            acceptance=torch.stack(self.acceptances) if self.acceptances else None,
            log_weights=self.log_weights,
            finite=torch.isfinite(z).all(),
        )
