"""log Z = log E_p0[exp F], the normaliser of the prior (Eq. 4), by annealed importance sampling.

`estimate_log_z` goes both ways, for a lower and an upper end; `conditional_log_z` has the lower end of each of many
contexts at once.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.errors import ConfigError
from svebm_ext.ops.langevin import langevin
from svebm_ext.ops.philox import Stream, philox_normal
from svebm_ext.prior.diagnostics import split_r_hat
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.population import Population
from svebm_ext.prior.schedule import Schedule, find_schedule

# Chain ids of the parts of an estimate: none shares random numbers with another, nor with chains counted from 0.
_PILOT, _FORWARD, _EQUILIBRIUM, _REVERSE, _CONTEXTS = (part << 40 for part in (1, 2, 3, 4, 5))
_TEMPERATURES_PER_CALL = 8
_SNAPSHOTS = 20
# Acceptance is an average: chains in narrow modes may accept nothing at the step size that suits the others, freeze,
# and bias the result. Every third move is for them.
_SMALL_STEP = 0.2


@dataclass(frozen=True)
class LogZEstimate:
    """Both ends of log Z and what is known of their quality; the reverse run's figures are NaN without it.

    Attributes:
        lower: forward estimate in nats; its expectation is at most log Z.
        upper: reverse estimate in nats; its expectation is at least log Z if the starting chains sample the prior.
        lower_standard_error, upper_standard_error: of each end, in nats.
        forward_ess, reverse_ess: starting chains that the final weights effectively descend from.
        r_hat: largest split R-hat of F and of z's coordinates among groups of the prior's chains; near 1 if the
            groups, found independently, agree and do not drift.
        acceptance: mean Metropolis acceptance of the forward run.
        n_chains, n_temperatures: used in each direction.
    """

    lower: float
    upper: float
    lower_standard_error: float
    upper_standard_error: float
    forward_ess: float
    reverse_ess: float
    r_hat: float
    acceptance: float
    n_chains: int
    n_temperatures: int

    @property
    def standard_error(self) -> float:
        """Of the difference of both ends, in nats."""
        return math.hypot(self.lower_standard_error, self.upper_standard_error)


@torch.no_grad()
def estimate_log_z(
    energy: EnergyMLP,
    latent_dim: int,
    *,
    n_chains: int = 1000,
    n_temperatures: int = 500,
    steps_per_temperature: int = 1,
    n_equilibrium_steps: int | None = None,
    n_groups: int = 4,
    seed: int = 0,
    reverse: bool = True,
) -> LogZEstimate:
    """Estimate log Z of the prior p(z) = exp(F(z)) p0(z) / Z, p0 = N(0, I) (Eq. 4, 5), from below and from above.

    Forward: chains of p0 are carried to the prior through p_t proportional to exp(t F) p0. Reverse: chains of the
    prior are carried back; they start from the forward run's weighted chains and take `n_equilibrium_steps` more. Every
    move is Metropolis-adjusted. A pilot run with its own random numbers finds temperatures and step sizes first
    (`find_schedule`), so that both ends are unbiased on the scale of Z.

    A mode that the forward run never meets is missing from both ends: they bound log Z as far as chains find the
    modes. More chains and temperatures lower that risk.

    Args:
        energy: network of F, on any device, in float32 or float64.
        latent_dim: D.
        n_chains: chains in each direction, rounded down to a multiple of `n_groups`.
        n_temperatures: in each direction.
        steps_per_temperature: Metropolis-adjusted Langevin steps at each.
        n_equilibrium_steps: steps between the two runs; default `n_temperatures`.
        n_groups: independent groups that the chains are divided into.
        seed: of all random numbers.
        reverse: also estimate the upper end.

    Raises:
        ConfigError: a number is out of range, or D is not the network's.

    Source: Neal, Statistics and Computing 11 (2001) 125-139; Del Moral, Doucet & Jasra, JRSS B 68 (2006) 411-436
    (resampling); Grosse, Ancha & Roy, NeurIPS 2016 (both directions).
    """
    _check(energy, latent_dim, n_chains, n_temperatures, steps_per_temperature, n_equilibrium_steps, n_groups)
    n_chains -= n_chains % n_groups
    equilibrium_steps = n_temperatures if n_equilibrium_steps is None else n_equilibrium_steps

    n_pilot = min(256, max(64, n_chains))
    pilot = Population.of_reference(energy, n_pilot, n_groups=1, seed=seed, first_id=_PILOT)
    schedule = find_schedule(pilot, n_temperatures)
    forward = Population.of_reference(energy, n_chains, n_groups=n_groups, seed=seed, first_id=_FORWARD)
    acceptance = _carry(forward, schedule.tempers[1:], schedule, steps_per_temperature)
    lower, lower_error, forward_ess = forward.estimate()
    upper = upper_error = reverse_ess = r_hat = math.nan
    if reverse:
        upper, upper_error, reverse_ess, r_hat = _upper_end(forward, schedule, steps_per_temperature, equilibrium_steps)
    return LogZEstimate(
        lower, upper, lower_error, upper_error, forward_ess, reverse_ess, r_hat, acceptance, n_chains, n_temperatures
    )


@torch.no_grad()
def conditional_log_z(
    energy: EnergyMLP,
    context: Float[Tensor, "B C"],
    *,
    n_chains: int = 8,
    n_temperatures: int = 64,
    step_size: float = 0.125,
    seed: int = 0,
) -> Float[Tensor, "B"]:
    """Estimate log Z(c) = log E_p0[exp F(z, c)] of each context from below, by annealed importance sampling.

    Chains of p0 go through p_t proportional to exp(t F) p0 in steps of Metropolis-adjusted Langevin dynamics, so that
    the mean weight is Z in expectation, and its logarithm at most log Z.

    Args:
        energy: network of F with a context.
        context: c of B contexts.
        n_chains: chains a context.
        n_temperatures: steps from p0 to the prior, one move at each.
        step_size: s of the moves.
        seed: of all random numbers.

    Source: Neal, Annealed Importance Sampling, Statistics and Computing 11 (2001) 125-139.
    """
    B = context.shape[0]
    ids = _CONTEXTS + torch.arange(B * n_chains, device=context.device)
    z = philox_normal(seed, ids, dim=energy.latent_dim, stream=Stream.INITIAL)[0].to(context.dtype)
    result = langevin(
        z,
        energy.layers(),
        n_steps=n_temperatures,
        step_size=step_size,
        seed=seed,
        context_shift=energy.context_shift(context).repeat_interleave(n_chains, dim=0),
        temper=torch.arange(1, n_temperatures + 1, dtype=torch.float64) / n_temperatures,
        metropolis=True,
        chain_ids=ids,
        **energy.langevin_options,
    )
    assert result.log_weights is not None  # asked for with temper
    return result.log_weights.view(B, n_chains).logsumexp(-1) - math.log(n_chains)


def _upper_end(
    forward: Population, schedule: Schedule, steps: int, equilibrium_steps: int
) -> tuple[float, float, float, float]:
    """Carry chains of the prior back to p0: the upper end, its standard error and effective chains, and their R-hat."""
    energy, n_groups, seed = forward.energy, forward.n_groups, forward.seed
    forward.resample(threshold=math.inf)
    prior = Population(energy, forward.z, n_groups=n_groups, temper=1.0, seed=seed, first_id=_EQUILIBRIUM)
    r_hat = _equilibrate(prior, schedule, equilibrium_steps)
    backward = Population(energy, prior.z, n_groups=n_groups, temper=1.0, seed=seed, first_id=_REVERSE)
    _carry(backward, schedule.tempers[-2::-1], schedule, steps)
    log_ratio, error, effective = backward.estimate()
    return -log_ratio, error, effective, r_hat


def _carry(population: Population, tempers: list[float], schedule: Schedule, steps: int) -> float:
    """Carry a population through `tempers`, resampling where needed; returns the mean acceptance."""
    acceptances = []
    for first in range(0, len(tempers), _TEMPERATURES_PER_CALL):
        part = [temper for temper in tempers[first : first + _TEMPERATURES_PER_CALL] for _ in range(steps)]
        acceptances.append(population.move(part, _step_sizes(schedule, part, population.step)))
        population.resample()
    return float(torch.cat(acceptances).mean())


def _step_sizes(schedule: Schedule, tempers: list[float], first_step: int) -> list[float]:
    """Return the step size of each move: the schedule's in most, a fraction of it in every third."""
    factors = (_SMALL_STEP if (first_step + index) % 3 == 2 else 1.0 for index in range(len(tempers)))
    return [factor * schedule.step_size(temper) for factor, temper in zip(factors, tempers, strict=True)]


def _equilibrate(population: Population, schedule: Schedule, n_steps: int) -> float:
    """Run chains of the prior for `n_steps`; returns the largest R-hat of F and of the coordinates among groups."""
    if n_steps == 0:
        return math.nan
    energy = population.energy
    snapshots: list[Float[Tensor, "G n statistics"]] = []
    n_snapshots = max(4, min(_SNAPSHOTS, n_steps))
    for index in range(n_snapshots):
        count = (index + 1) * n_steps // n_snapshots - index * n_steps // n_snapshots
        if count:
            population.move([1.0] * count, _step_sizes(schedule, [1.0] * count, population.step))
        statistics = torch.cat([energy.energy(population.z)[:, None], population.z], dim=1)
        snapshots.append(statistics.view(population.n_groups, population.n, -1))
    draws = torch.stack(snapshots, dim=1).flatten(1, 2)  # [G, time * n, statistics]: halves are halves of the time
    return max(split_r_hat(draws[:, :, index]) for index in range(draws.shape[2]))


def _check(
    energy: EnergyMLP,
    latent_dim: int,
    n_chains: int,
    n_temperatures: int,
    steps_per_temperature: int,
    n_equilibrium_steps: int | None,
    n_groups: int,
) -> None:
    if latent_dim != energy.latent_dim:
        raise ConfigError(f"estimate_log_z: latent_dim is {latent_dim}; the energy network has {energy.latent_dim}")
    least = {
        "n_groups": (n_groups, 1),
        "n_chains": (n_chains, 4 * n_groups),
        "n_temperatures": (n_temperatures, 1),
        "steps_per_temperature": (steps_per_temperature, 1),
        "n_equilibrium_steps": (n_equilibrium_steps or 0, 0),
    }
    for name, (value, bound) in least.items():
        if value < bound:
            raise ConfigError(f"estimate_log_z: {name} is {value}; expected at least {bound}")
