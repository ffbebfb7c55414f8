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

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from svebm_ext.prior.network import MoveOptions

#: Rows of this process -> rows of all, row i of process r at i * world_size + r.
Gather = Callable[[Tensor], Tensor]

#: Steps of the noise lie below (`svebm_ext.ops.philox`).
LAST_STEP = 1 << 32


class ChainBank:
    """L persistent chains of the prior; each iteration advances m of them and writes them back (Algorithm 1).

    Every process holds the whole bank. Process r of W advances the chosen chains r, r + W, r + 2 W, ... and `gather`
    puts the parts together, so that the result is that of a single process up to the rounding of matrix products.

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
    ) -> None:
        if n_chains < 1 or latent_dim < 1:
            raise ConfigError(f"chains: {n_chains} chains of dimension {latent_dim}; expected at least 1 of each")
        _check_fraction(restart_fraction)
        self.seed, self.n_steps, self.step_size = seed, n_steps, step_size
        self.restart_fraction = restart_fraction
        #: Whether moves are accepted or rejected.
        self.metropolis = metropolis
        self._ids = torch.arange(n_chains, device=device)
        self.states: Float[Tensor, "L D"] = self._from_reference(self._ids, latent_dim, step=0).to(dtype)
        #: Langevin steps taken so far. A step of the noise is never used twice, also where S changes on the way.
        self.noise_step = 0
        #: Share of the last call's moves that were accepted, where they were Metropolis-adjusted.
        self.acceptance: float | None = None

    def __len__(self) -> int:
        return self.states.shape[0]

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
        return self._uniforms(step)[:, 0].sort(stable=True).indices[:m]

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
        rank: int = 0,
        world_size: int = 1,
        gather: Gather | None = None,
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
            starts: states of which chains that start again take one, chain i of this process row i mod B; default p0.
            energy: F of states [.., m, D] of this process's chains. Where it is given, a chain that is to start again
                at p0 only proposes to, so that p(z) is left as it is (`jumps`).
            rank: of this process.
            world_size: how many processes there are.
            gather: rows of this process -> rows of all, row i of process r at i * world_size + r.
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
        own = chosen[rank::world_size]
        self._start_again(own, step, fraction, starts, energy)
        options.setdefault("metropolis", self.metropolis)
        moved = langevin(
            self.states, layers, bank_indices=own, n_steps=steps, seed=self.seed, first_step=self.noise_step,
            step_size=self.step_size if step_size is None else step_size, **options,
        )  # fmt: skip
        self.acceptance = None if moved.acceptance is None else float(moved.acceptance.mean())
        z = gathered(moved.z, world_size, gather)
        if self.metropolis and m > 0:
            self._adapt(len(own), world_size, gather)
        if world_size > 1:
            self.states[chosen] = z
        self.noise_step += steps
        return z

    def state_dict(self) -> dict[str, Tensor]:
        """Everything that a resumed run needs beside (seed, iteration): a copy of the states, the noise's step, and the
        size of steps where it moves."""
        state = {"states": self.states.clone(), "noise_step": torch.tensor(self.noise_step)}
        if self.metropolis:
            state["step_size"] = torch.tensor(float(self.step_size), dtype=torch.float64)
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up a saved state.

        Raises:
            ModelFolderError: it is not that of a bank of this size and type, or not of finite numbers.
        """
        held = {name: (tuple(value.shape), value.dtype) for name, value in state.items()}
        expected = {"states": (tuple(self.states.shape), self.states.dtype), "noise_step": ((), torch.int64)}
        if self.metropolis:
            expected["step_size"] = ((), torch.float64)
        if held != expected:
            raise ModelFolderError(f"chains: saved state is {held!s:.200}; expected {expected}")
        if not bool(state["states"].isfinite().all()):
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
        self.states = self.states.clone().copy_(state["states"])
        self.noise_step = noise_step

    def _adapt(self, n_own: int, world_size: int, gather: Gather | None) -> None:
        """Let s follow the acceptance of the last moves; all processes have one size, and it follows all chains."""
        accepted = (self.acceptance or 0.0) * n_own if n_own > 0 else 0.0
        counts = torch.tensor([[accepted, n_own]], dtype=torch.float64, device=self.states.device)
        total = gathered(counts, world_size, gather).sum(0)
        self.step_size = adapted_step_size(float(self.step_size), float(total[0] / total[1]))

    def _start_again(
        self,
        own: Int[Tensor, " own"],
        step: int,
        fraction: float,
        starts: Float[Tensor, "B D"] | None,
        energy: Callable[[Tensor], Tensor] | None,
    ) -> None:
        """Let each of the chains start again, or propose to, with probability `fraction`."""
        if fraction > 0.0 and energy is not None and starts is None:
            self._jump(own, step, fraction, energy)
        elif fraction > 0.0:
            self._restart(own, step, fraction, starts)

    def _restart(
        self, own: Int[Tensor, " own"], step: int, fraction: float, starts: Float[Tensor, "B D"] | None
    ) -> None:
        """Let each of the chains start again with probability `fraction`, at p0 or, in turn, at `starts`."""
        z = self.states[own]
        restarts = self._uniforms(step)[own, 1] < fraction
        if starts is None:
            # Step 0 of the stream gave the bank's initial states.
            starts = self._from_reference(own, z.shape[1], step=step + 1)
        fresh = starts[torch.arange(len(own), device=z.device) % len(starts)].to(z.dtype)
        self.states[own] = torch.where(restarts[:, None], fresh, z)

    def _jump(self, own: Int[Tensor, " own"], step: int, fraction: float, energy: Callable[[Tensor], Tensor]) -> None:
        """Let each of the chains propose, with probability `fraction`, to start again at p0."""
        z = self.states[own]
        proposals = self._from_reference(own, N_PROPOSALS * z.shape[1], step=step + 1).to(z.dtype)
        proposals = proposals.view(len(own), N_PROPOSALS, z.shape[1])
        # The first two numbers of a chain choose it, and decide on its restart.
        uniforms = philox_uniform(self.seed, own, dim=2 + N_PROPOSALS, first_step=step, stream=Stream.SELECTION)[0]
        energies = energy(torch.cat((z[None], proposals.transpose(0, 1)))).T
        after = jumped(z, energies[:, 0], proposals, energies[:, 1:], uniforms[:, 2:])
        self.states[own] = torch.where(uniforms[:, 1:2] < fraction, after, z)

    def _uniforms(self, step: int) -> Tensor:
        """Return [L, 2]: one number to choose by, one to restart by."""
        return philox_uniform(self.seed, self._ids, dim=2, first_step=step, stream=Stream.SELECTION)[0]

    def _from_reference(self, ids: Tensor, latent_dim: int, step: int) -> Tensor:
        return philox_normal(self.seed, ids, dim=latent_dim, first_step=step, stream=Stream.INITIAL)[0]


def gathered(z: Float[Tensor, "own D"], world_size: int, gather: Gather | None) -> Float[Tensor, "m D"]:
    """The rows of all processes; of one process, its own.

    Raises:
        ConfigError: several processes, and nothing that joins their rows.
    """
    if world_size == 1:
        return z
    if gather is None:
        raise ConfigError(f"chains: world_size is {world_size} without gather; expected a function that joins the rows")
    return gather(z)


def _check_fraction(fraction: float) -> None:
    if not 0.0 <= fraction <= 1.0:
        raise ConfigError(f"chains: restart_fraction is {fraction}; expected 0 to 1")
