"""The bank of persistent chains that supplies the learner with samples of the prior (Algorithm 1).

It is addressed by (seed, iteration), never by a generator that is used up: what a run draws does not depend on how
often it was interrupted, and every process of a distributed run selects the same chains.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.ops.langevin import langevin
from svebm_ext.ops.langevin.options import Layers
from svebm_ext.ops.philox import Stream, philox_normal, philox_uniform
from svebm_ext.prior.jumps import N_PROPOSALS, jumped
from svebm_ext.prior.step_sizes import LARGEST_STEP, SMALLEST_STEP, adapted_step_size
from svebm_ext.processes import ALONE, Processes, ShardedRows

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from svebm_ext.prior.network import MoveOptions

#: Steps of the noise lie below (`svebm_ext.ops.philox`).
LAST_STEP = 1 << 32
#: Chains whose numbers are looked at together where some of all chains are chosen.
CHOSEN_AMONG = 1 << 16


class ChainBank:
    """L persistent chains of the prior; each iteration advances m of them and writes them back (Algorithm 1).

    Each of W processes holds one block of the bank: a W-th of the memory, and the file of the whole can be read and
    written block by block. The chosen chains r, r + W, r + 2 W, ... are advanced by process r, whoever holds them:
    work is even, and the m states of an iteration travel, not the bank. The result is that of a single process up to
    the rounding of matrix products.

    Args:
        n_chains: L.
        latent_dim: D.
        seed: of the chains' initial states, selection and noise.
        n_steps: S, Langevin steps an iteration.
        step_size: s, one number or one per step [S].
        restart_fraction: probability with which each chosen chain starts again from p0, in [0, 1].
        metropolis: moves are accepted or rejected, and s, which is one number then, follows their acceptance.
        device: where the bank is.
        dtype: of the states.
        processes: that share the bank; all of them call its methods, in the same order.

    Attributes:
        states: [own, D] of this process's block, of one process all of them.

    Raises:
        ConfigError: a size is not positive, or the restart fraction is outside [0, 1].
    """

    def __init__(
        self,
        n_chains: int,
        latent_dim: int,
        *,
        seed: int,
        n_steps: int = 40,
        step_size: float | Float[Tensor, " S"] = 0.125,
        restart_fraction: float = 0.0,
        metropolis: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
        processes: Processes = ALONE,
    ) -> None:
        if n_chains < 1 or latent_dim < 1:
            raise ConfigError(f"chains: {n_chains} chains of dimension {latent_dim}; expected at least 1 of each")
        _check_fraction(restart_fraction)
        self.seed, self.n_steps, self.step_size = seed, n_steps, step_size
        self.restart_fraction = restart_fraction
        #: Whether moves are accepted or rejected.
        self.metropolis = metropolis
        self._n_chains, self._processes, self._device = n_chains, processes, device
        self._first, end = processes.block(n_chains)
        own = torch.arange(self._first, end, device=device)
        self.states: Float[Tensor, "own D"] = self._from_reference(own, latent_dim, step=0).to(dtype)
        #: Langevin steps taken so far. A step of the noise is never used twice, also where S changes on the way.
        self.noise_step = 0
        #: Share of the last call's moves that were accepted, where they were Metropolis-adjusted.
        self.acceptance: float | None = None

    def __len__(self) -> int:
        return self._n_chains

    def select(self, step: int, m: int) -> Int[Tensor, " m"]:
        """Return m different chains out of L, uniformly: a pure function of (seed, step).

        Raises:
            ConfigError: m is not in 0 .. L.
        """
        if not 0 <= m <= len(self):
            raise ConfigError(
                f"chains: {m} chains asked for from a bank of {len(self)}; "
                "expected no more than the bank holds (a larger bank, or a smaller batch)"
            )
        smallest = torch.zeros(0, device=self._device)
        chosen = torch.zeros(0, dtype=torch.int64, device=self._device)
        for first in range(0, len(self), CHOSEN_AMONG):
            ids = torch.arange(first, min(first + CHOSEN_AMONG, len(self)), device=self._device)
            numbers = torch.cat((smallest, self._uniforms(ids, step)[:, 0]))
            smallest, order = (part[:m] for part in numbers.sort(stable=True))
            chosen = torch.cat((chosen, ids))[order]
        return chosen

    def states_of(self, ids: Int[Tensor, " m"]) -> Float[Tensor, "m D"]:
        """States of some chains, a copy: of all processes at once, which all ask for the same ones."""
        if self._processes.world_size == 1:
            return self.states[ids]
        rows = torch.zeros(len(ids), self.states.shape[1], dtype=self.states.dtype, device=self.states.device)
        mine, places = self._held(ids)
        rows[mine] = self.states[places]
        return self._processes.sum(rows)

    def _held(self, ids: Int[Tensor, " m"]) -> tuple[Tensor, Tensor]:
        """Which of some chains [m] are in this process's block, and their places in it."""
        mine = (ids >= self._first) & (ids < self._first + len(self.states))
        return mine, ids[mine] - self._first

    @torch.no_grad()
    def advance(
        self,
        layers: Layers,
        step: int,
        m: int,
        *,
        n_steps: int | None = None,
        step_size: float | Float[Tensor, " S"] | None = None,
        restart_fraction: float | None = None,
        chosen: Int[Tensor, " m"] | None = None,
        starts: Float[Tensor, "B D"] | None = None,
        energy: Callable[[Tensor], Tensor] | None = None,
        **options: Unpack[MoveOptions],
    ) -> Float[Tensor, "m D"]:
        """Advance m chosen chains S steps on the current prior and write them back (Eq. 7, 8).

        Args:
            layers: of the energy network.
            step: iteration, which determines the choice of chains.
            m: how many.
            n_steps: S, in place of the bank's own for this iteration.
            step_size: likewise.
            restart_fraction: likewise.
            chosen: these chains instead of a random choice: those of examples, on whose context the prior depends.
            starts: states of which chains that start again take one, chosen chain i row i mod B; default p0.
            energy: F of states [.., m, D] of this process's chains. Where it is given, a chain that is to start again
                at p0 only proposes to, so that p(z) is left as it is (`jumps`).
            options: of `langevin`, such as activation, precision, metropolis, context_shift of this process's chains.

        Returns:
            The m chains' new states, of all processes; not a view of the bank.

        Raises:
            ConfigError: m exceeds the bank, or an argument of `langevin` is wrong.
        """
        steps = self.n_steps if n_steps is None else n_steps
        fraction = self.restart_fraction if restart_fraction is None else restart_fraction
        _check_fraction(fraction)
        chosen = self.select(step, m) if chosen is None else chosen
        alone, own = self._processes.world_size == 1, self._processes.own(chosen)
        states = self.states if alone else self._processes.own(self.states_of(chosen))
        rows = own if alone else torch.arange(len(own), device=own.device)
        if fraction > 0.0:
            states[rows] = self._started(states[rows], own, step, fraction, starts, energy)
        options.setdefault("metropolis", self.metropolis)
        moved = langevin(
            states, layers, bank_indices=rows, chain_ids=own, n_steps=steps, seed=self.seed,
            first_step=self.noise_step, step_size=self.step_size if step_size is None else step_size, **options,
        )  # fmt: skip
        self.acceptance = None if moved.acceptance is None else float(moved.acceptance.mean())
        z = self._processes.gather(moved.z, len(chosen))
        if self.metropolis and m > 0:
            self._adapt(len(own))
        if not alone:
            mine, places = self._held(chosen)
            self.states[places] = z[mine]
        self.noise_step += steps
        return z

    def state_dict(self) -> dict[str, Tensor | ShardedRows]:
        """Everything that a resumed run needs beside (seed, iteration): the states, a copy where one process has all of
        them, the noise's step, and the size of steps where it moves."""
        alone = self._processes.world_size == 1
        states = self.states.clone() if alone else ShardedRows(self.states, len(self), self._processes)
        state: dict[str, Tensor | ShardedRows] = {"states": states, "noise_step": torch.tensor(self.noise_step)}
        if self.metropolis:
            state["step_size"] = torch.tensor(float(self.step_size), dtype=torch.float64)
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up a saved state, that of the whole bank, of which the states of this process's block are kept.

        Raises:
            ModelFolderError: it is not that of a bank of this size and type, or not of finite numbers.
        """
        held = {name: (tuple(value.shape), value.dtype) for name, value in state.items()}
        whole = (len(self), self.states.shape[1])
        expected = {"states": (whole, self.states.dtype), "noise_step": ((), torch.int64)}
        if self.metropolis:
            expected["step_size"] = ((), torch.float64)
        if held != expected:
            raise ModelFolderError(f"chains: saved state is {held!s:.200}; expected {expected}")
        if not all(bool(part.isfinite().all()) for part in state["states"].split(CHOSEN_AMONG)):
            raise ModelFolderError("chains: saved states has values that are not finite, expected numbers")
        noise_step = int(state["noise_step"])
        if not 0 <= noise_step <= LAST_STEP:
            raise ModelFolderError(f"chains: saved noise_step is {noise_step}; expected 0 to {LAST_STEP}")
        if self.metropolis:
            step_size = float(state["step_size"])
            if not SMALLEST_STEP <= step_size <= LARGEST_STEP:
                limits = f"{SMALLEST_STEP} to {LARGEST_STEP}"
                raise ModelFolderError(f"chains: saved step_size is {step_size}; expected {limits}")
            self.step_size = step_size
        own = state["states"][self._first : self._first + len(self.states)]
        self.states = self.states.clone().copy_(own)
        self.noise_step = noise_step

    def _adapt(self, n_own: int) -> None:
        """Let s follow the acceptance of the last moves; all processes have one size, and it follows all chains."""
        accepted = (self.acceptance or 0.0) * n_own if n_own > 0 else 0.0
        n_accepted, n_moved = self._processes.total(accepted, float(n_own))
        self.step_size = adapted_step_size(float(self.step_size), n_accepted / n_moved)

    def _started(
        self,
        z: Float[Tensor, "own D"],
        own: Int[Tensor, " own"],
        step: int,
        fraction: float,
        starts: Float[Tensor, "B D"] | None,
        energy: Callable[[Tensor], Tensor] | None,
    ) -> Float[Tensor, "own D"]:
        """States of chains, each of which starts again, or proposes to, with probability `fraction`."""
        if energy is not None and starts is None:
            return self._jumped(z, own, step, fraction, energy)
        restarts = self._uniforms(own, step)[:, 1] < fraction
        if starts is None:
            # Step 0 of the stream gave the bank's initial states.
            fresh = self._from_reference(own, z.shape[1], step=step + 1)
        else:
            places = torch.arange(len(own), device=z.device) * self._processes.world_size + self._processes.rank
            fresh = starts[places % len(starts)]
        return torch.where(restarts[:, None], fresh.to(z.dtype), z)

    def _jumped(
        self,
        z: Float[Tensor, "own D"],
        own: Int[Tensor, " own"],
        step: int,
        fraction: float,
        energy: Callable[[Tensor], Tensor],
    ) -> Float[Tensor, "own D"]:
        """States of chains, each of which proposes, with probability `fraction`, to start again at p0."""
        proposals = self._from_reference(own, N_PROPOSALS * z.shape[1], step=step + 1).to(z.dtype)
        proposals = proposals.view(len(own), N_PROPOSALS, z.shape[1])
        # The first two numbers of a chain choose it, and decide on its restart.
        uniforms = self._uniforms(own, step, 2 + N_PROPOSALS)
        energies = energy(torch.cat((z[None], proposals.transpose(0, 1)))).T
        after = jumped(z, energies[:, 0], proposals, energies[:, 1:], uniforms[:, 2:])
        return torch.where(uniforms[:, 1:2] < fraction, after, z)

    def _uniforms(self, ids: Int[Tensor, " n"], step: int, dim: int = 2) -> Float[Tensor, "n dim"]:
        """Numbers of chains: one to choose by, one to restart by, and those of a jump."""
        return philox_uniform(self.seed, ids, dim=dim, first_step=step, stream=Stream.SELECTION)[0]

    def _from_reference(self, ids: Tensor, latent_dim: int, step: int) -> Tensor:
        return philox_normal(self.seed, ids, dim=latent_dim, first_step=step, stream=Stream.INITIAL)[0]


def _check_fraction(fraction: float) -> None:
    if not 0.0 <= fraction <= 1.0:
        raise ConfigError(f"chains: restart_fraction is {fraction}; expected 0 to 1")
