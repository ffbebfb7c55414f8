"""Sources of z-, the samples of the prior in the gradient E_q[grad F(z+)] - E_p[grad F(z-)] (Eq. 11).

A run chooses its source once (`source_of_negatives`). The source keeps the chains, knows how processes share them, and
says by itself whether z- are there before the pass over the batch or depend on it.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.config import ChainConfig
from svebm_ext.errors import ConfigError
from svebm_ext.prior.chain_bank import ChainBank
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.short_run import ShortRun
from svebm_ext.prior.step_sizes import falling_steps
from svebm_ext.processes import ALONE, Processes, ShardedRows


@runtime_checkable
class Passed(Protocol):
    """What the pass over a batch gives that z- can depend on."""

    @property
    def z(self) -> Tensor:
        """z+ of this process's examples [B, D]."""

    @property
    def context(self) -> Tensor | None:
        """c [B, C], where the prior depends on one."""


#: z- [m, D] of this process, or what makes them from the pass over the batch.
Negatives = Tensor | Callable[[Passed], Tensor]


class NegativeSource(ABC):
    """Where z- come from.

    Args:
        sampler: the bank of chains (Algorithm 1), or short runs.
        network: f, with its present parameters at each call.
        precision: of the products of f, "fp32" or "fast".
        processes: that share the batches, and the sampler.
    """

    def __init__(
        self,
        sampler: ChainBank | ShortRun,
        network: EnergyMLP,
        precision: str = "fp32",
        *,
        processes: Processes = ALONE,
    ) -> None:
        self.sampler, self._network, self._precision, self._processes = sampler, network, precision, processes

    @property
    def bank(self) -> ChainBank | None:
        """The persistent chains, where there are some."""
        return self.sampler if isinstance(self.sampler, ChainBank) else None

    @abstractmethod
    def at(self, step: int, examples: Int[Tensor, "n"]) -> Negatives:
        """z- of an iteration, without gradient.

        Args:
            step: iteration, which addresses their random numbers.
            examples: places of the batch's examples in the training split, those of all processes.
        """

    def state_dict(self) -> dict[str, Tensor | ShardedRows]:
        """What a resumed run needs: that of the sampler."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up a saved state; raises as the sampler does."""
        self.sampler.load_state_dict(state)

    def _advance(self, step: int, m: int, **options: Any) -> Float[Tensor, "own D"]:
        """This process's part of z-; all processes together move m chains."""
        if self.bank is not None and self.bank.metropolis:
            options["energy"] = functools.partial(self._energy, shift=options.get("context_shift"))
        z = self.sampler.advance(
            self._network.layers(), step, m, precision=self._precision, **self._network.langevin_options, **options
        )
        return self._processes.own(z)

    def _energy(self, z: Float[Tensor, "P m D"], shift: Float[Tensor, "m H"] | None) -> Float[Tensor, "P m"]:
        """F of several states of each chain."""
        return self._network.energy(z, None if shift is None else shift.expand(len(z), *shift.shape))


class FromPrior(NegativeSource):
    """z- of p(z), the same prior for all examples: chains chosen at random from the bank, or short runs from p0.

    Args:
        sampler, network, precision, processes: as in `NegativeSource`.
        per_iteration: m, how many at an iteration; 0: as many as the batch has examples.
    """

    def __init__(
        self,
        sampler: ChainBank | ShortRun,
        network: EnergyMLP,
        precision: str = "fp32",
        *,
        per_iteration: int = 0,
        processes: Processes = ALONE,
    ) -> None:
        super().__init__(sampler, network, precision, processes=processes)
        self._per_iteration = per_iteration

    def at(self, step: int, examples: Int[Tensor, "n"]) -> Negatives:
        """z- [m, D]; arguments as in `NegativeSource`."""
        return self._advance(step, self._per_iteration or len(examples))


class RestartedAtPosterior(FromPrior):
    """z- of p(z) from the bank, whose chains start again at z+ of the batch in place of p0. Arguments: `FromPrior`."""

    def at(self, step: int, examples: Int[Tensor, "n"]) -> Negatives:
        """What makes z- from the pass over the batch; arguments as in `NegativeSource`."""
        return functools.partial(self._given, step, len(examples))

    def _given(self, step: int, n: int, passed: Passed) -> Float[Tensor, "own D"]:
        return self._advance(step, self._per_iteration or n, starts=self._processes.gather(passed.z.detach(), n))


class FromContexts(NegativeSource):
    """z- of p(z|c), one for each example's context c. Arguments: `NegativeSource`.

    Each context has a prior of its own, so that a persistent chain belongs to an example: the bank has one for each.
    The process that has an example in its share of the batch advances its chain, whoever holds it.
    """

    def at(self, step: int, examples: Int[Tensor, "n"]) -> Negatives:
        """What makes z- from the contexts of the batch; arguments as in `NegativeSource`."""
        return functools.partial(self._given, step, examples)

    def _given(self, step: int, examples: Int[Tensor, "n"], passed: Passed) -> Float[Tensor, "B D"]:
        if passed.context is None:
            raise ConfigError("negatives: this prior depends on a context, and the batch has none")
        shift = self._network.context_shift(passed.context).detach()
        if self.bank is None:
            return self._advance(step, len(examples), context_shift=shift)
        return self._advance(step, len(examples), context_shift=shift, chosen=examples.to(passed.z.device))


def source_of_negatives(
    network: EnergyMLP, config: ChainConfig, *, seed: int, processes: Processes, n_examples: int
) -> NegativeSource:
    """The source that a configuration asks for.

    Args:
        network: f, on the device of the run.
        config: mode, sizes and restarts of the chains.
        seed: of the run.
        processes: that share the batches.
        n_examples: of the training split; unused by a prior without context.

    Raises:
        ConfigError: an option is out of range.
    """
    if network.context is not None:
        of_examples = replace(config, n_chains=n_examples)
        sampler = make_sampler(of_examples, network.latent_dim, seed, network.device, processes)
        return FromContexts(sampler, network, config.precision, processes=processes)
    sampler = make_sampler(config, network.latent_dim, seed, network.device, processes)
    source = RestartedAtPosterior if config.restart_from == "posterior" else FromPrior
    return source(sampler, network, config.precision, per_iteration=config.per_iteration, processes=processes)


def make_sampler(
    config: ChainConfig,
    latent_dim: int,
    seed: int,
    device: torch.device | str | None = None,
    processes: Processes = ALONE,
) -> ChainBank | ShortRun:
    """Build what `config.mode` asks for: "persistent" or "short_run", shared by some processes.

    Raises:
        ConfigError: an option is out of range.
    """
    step_size: float | Tensor = config.step_size
    if config.final_step_size > 0.0:
        step_size = falling_steps(config.step_size, config.final_step_size, config.n_steps, device)
    if config.mode == "persistent":
        return ChainBank(
            config.n_chains,
            latent_dim,
            seed=seed,
            n_steps=config.n_steps,
            step_size=step_size,
            restart_fraction=config.restart_fraction,
            metropolis=config.metropolis,
            device=device,
            processes=processes,
        )
    if config.mode == "short_run":
        return ShortRun(
            latent_dim, seed=seed, n_steps=config.n_steps, step_size=step_size, device=device, processes=processes
        )
    raise ConfigError(f"chains.mode: {config.mode!r}; expected persistent or short_run")
