"""log p(x) by annealed importance sampling: a check of the likelihood that needs no q(z|x) that fits."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svebm_ext.data.batching import SentenceBatch
from svebm_ext.data.documents import DocumentBatch
from svebm_ext.data.synthetic import PointBatch
from svebm_ext.errors import ConfigError
from svebm_ext.models.importance import log_likelihoods
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.ops.philox import Stream, philox_normal, philox_uniform

#: Acceptance at which Hamiltonian moves are most efficient in high dimension (Beskos et al., Bernoulli 19, 2013).
TARGET_ACCEPTANCE = 0.65
#: Chains of each example in the run that finds the step sizes.
PILOT_CHAINS = 2
#: Ids of the examples in that run begin here, so that it shares no random number with the one that counts.
_PILOT = 1 << 41


@dataclass(frozen=True)
class AnnealedLikelihood:
    """Weighted chains that were carried from q(z|x) to p(x, z).

    Attributes:
        log_weights: logarithms [M, B] of weights whose expectation is p(x) Z, in nats (float64).
        acceptance: mean Metropolis acceptance.
    """

    log_weights: Tensor
    acceptance: float

    def log_likelihood(self, log_z: float = 0.0) -> Float[Tensor, " B"]:
        """Estimate of log p(x) of each example, in expectation at most log p(x), given the prior's log Z."""
        return torch.logsumexp(self.log_weights, 0) - math.log(len(self.log_weights)) - log_z


@torch.no_grad()
def annealed_likelihood(
    networks: LatentVariableModel,
    batch: SentenceBatch | DocumentBatch | PointBatch,
    *,
    n_chains: int = 8,
    step_sizes: Sequence[float],
    n_leapfrog: int = 3,
    proposal_scale: float = 1.0,
    seed: int = 0,
) -> AnnealedLikelihood:
    """Carry chains of q(z|x) to p(x, z) through densities proportional to q(z|x)^(1-t) p(x, z)^t.

    At temperatures t = 1/T, 2/T .. 1 each chain is weighed, and moved by Hamiltonian dynamics with a Metropolis test,
    steps being proportional to the standard deviations of q. Discrete codes are drawn from q and stay. With T = 1 there
    is no move, and the estimate is importance sampling.

    Args:
        networks: model with a prior and a Gaussian vector, in evaluation mode.
        batch: B examples; noise is addressed by `batch.indices`, starting points are those of `importance_samples`.
        n_chains: M for each example.
        step_sizes: T - 1 leapfrog step sizes, in standard deviations of q; see `find_step_sizes`.
        n_leapfrog: steps of a move.
        proposal_scale: factor on the standard deviations of q(z|x) to start from.
        seed: of the random numbers.

    Raises:
        ConfigError: a family without a Gaussian vector; a number below 1.

    Source: Neal, Statistics and Computing 11 (2001) 125-139; Wu, Burda, Salakhutdinov & Grosse, On the Quantitative
    Analysis of Decoder-Based Generative Models, ICLR 2017.
    """
    _check(networks, n_chains=n_chains, n_leapfrog=n_leapfrog)
    with _frozen(networks):
        chains = _Chains(networks, batch, n_chains, proposal_scale, seed)
        acceptances, n_temperatures = [], len(step_sizes) + 1
        for index, step_size in enumerate(step_sizes):
            chains.weigh(n_temperatures)
            acceptances.append(chains.move((index + 1) / n_temperatures, step_size, n_leapfrog, index))
        chains.weigh(n_temperatures)
    return AnnealedLikelihood(chains.log_weights, sum(acceptances) / len(acceptances) if acceptances else math.nan)


@torch.no_grad()
def find_step_sizes(
    networks: LatentVariableModel,
    batch: SentenceBatch | DocumentBatch | PointBatch,
    n_temperatures: int,
    *,
    n_leapfrog: int = 3,
    proposal_scale: float = 1.0,
    seed: int = 0,
) -> list[float]:
    """Step sizes for `annealed_likelihood`: a run with other random numbers follows the acceptance of its moves.

    Args:
        networks: as there.
        batch: some examples.
        n_temperatures: T.
        n_leapfrog, proposal_scale, seed: as there.

    Returns:
        T - 1 step sizes.

    Raises:
        ConfigError: as there.
    """
    _check(networks, n_temperatures=n_temperatures, n_leapfrog=n_leapfrog)
    step_sizes: list[float] = []
    step_size = networks.latent.latent_dim**-0.25 / n_leapfrog
    with _frozen(networks):
        chains = _Chains(networks, batch, PILOT_CHAINS, proposal_scale, seed, first_id=_PILOT)
        for index in range(n_temperatures - 1):
            step_sizes.append(step_size)
            acceptance = chains.move((index + 1) / n_temperatures, step_size, n_leapfrog, index)
            step_size *= math.exp(acceptance - TARGET_ACCEPTANCE)
    return step_sizes


def _check(networks: LatentVariableModel, **numbers: int) -> None:
    if not networks.latent.has_vector:
        raise ConfigError("annealed likelihood: this latent family has no Gaussian vector to move")
    for name, value in numbers.items():
        if value < 1:
            raise ConfigError(f"annealed likelihood: {name} is {value}; expected at least 1")


@contextmanager
def _frozen(module: nn.Module) -> Iterator[None]:
    """Without gradients of the parameters, which nobody asks for here."""
    learnt = [parameter for parameter in module.parameters() if parameter.requires_grad]
    try:
        for parameter in learnt:
            parameter.requires_grad_(False)
        yield
    finally:
        for parameter in learnt:
            parameter.requires_grad_(True)


class _Chains:
    """M chains for each of B examples, with their weights, densities and gradients of these."""

    def __init__(
        self,
        networks: LatentVariableModel,
        batch: SentenceBatch | DocumentBatch | PointBatch,
        n_chains: int,
        proposal_scale: float,
        seed: int,
        first_id: int = 0,
    ) -> None:
        self.networks, self.batch, self.seed = networks, batch, seed
        self.posterior = networks.posterior(batch).widened(proposal_scale)
        self.scale = self.posterior.deviations
        examples = first_id + batch.indices
        self.z = self.posterior.importance_samples(n_chains, seed=seed, ids=examples)
        numbers = torch.arange(n_chains, device=examples.device)[:, None]
        self.ids = (examples * n_chains + numbers).flatten()
        self.log_weights = torch.zeros(self.z.shape[:2], dtype=torch.float64, device=self.z.device)
        self.densities = self._densities(self.z)

    def weigh(self, n_temperatures: int) -> None:
        """Add to the weights what the next temperature asks for."""
        log_joint, log_start, _, _ = self.densities
        self.log_weights += (log_joint - log_start) / n_temperatures

    def move(self, temper: float, step_size: float, n_leapfrog: int, index: int) -> float:
        """One Hamiltonian move that leaves the density at a temperature as it is; returns the acceptance."""
        shape = self.z.shape
        step = step_size * self.scale
        momentum = philox_normal(self.seed, self.ids, dim=shape[-1], first_step=index, stream=Stream.LANGEVIN)[0]
        momentum = momentum.view(shape).to(self.z.dtype)
        z, densities = self.z, self.densities
        start = _hamiltonian(densities, temper, momentum)
        for _ in range(n_leapfrog):
            momentum = momentum + 0.5 * step * _gradient(densities, temper)
            z = z + step * momentum
            densities = self._densities(z)
            momentum = momentum + 0.5 * step * _gradient(densities, temper)
        uniform = philox_uniform(self.seed, self.ids, dim=1, first_step=index, stream=Stream.METROPOLIS)[0]
        accepted = uniform.view(shape[:2]).double().log() < start - _hamiltonian(densities, temper, momentum)
        self.z = torch.where(accepted[..., None], z, self.z)
        self.densities = tuple(
            torch.where(accepted if new.ndim == 2 else accepted[..., None], new, old)
            for new, old in zip(densities, self.densities, strict=True)
        )
        return float(accepted.double().mean())

    @torch.enable_grad()
    def _densities(self, z: Float[Tensor, "M B D"]) -> tuple[Tensor, ...]:
        """log p(x, z) + log Z, log q(z|x) [M, B] and their gradients [M, B, D]."""
        z = z.detach().requires_grad_()
        log_prior = self.networks.latent.log_prior(z)
        log_joint = log_likelihoods(self.networks, self.batch, z).double() + log_prior.double()
        (joint_gradient,) = torch.autograd.grad(log_joint.sum(), z)
        log_start = self.posterior.log_prob(z).double()
        (start_gradient,) = torch.autograd.grad(log_start.sum(), z)
        return log_joint.detach(), log_start.detach(), joint_gradient, start_gradient


def _gradient(densities: tuple[Tensor, ...], temper: float) -> Tensor:
    return temper * densities[2] + (1.0 - temper) * densities[3]


def _hamiltonian(densities: tuple[Tensor, ...], temper: float, momentum: Tensor) -> Tensor:
    return 0.5 * momentum.double().square().sum(-1) - temper * densities[0] - (1.0 - temper) * densities[1]
