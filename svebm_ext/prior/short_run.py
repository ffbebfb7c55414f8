"""Fresh samples of the prior for every iteration: short runs from p0 (released code), in place of Algorithm 1's bank.

They are addressed by (seed, iteration), as the bank's are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.ops.langevin import langevin
from svebm_ext.ops.langevin.options import Layers
from svebm_ext.ops.philox import Stream, philox_normal
from svebm_ext.processes import ALONE, Processes, ShardedRows

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from svebm_ext.prior.network import MoveOptions

#: Short runs of iteration i have ids i * RUN_STRIDE, i * RUN_STRIDE + 1, ...: each fresh one its own.
RUN_STRIDE = 1 << 20


class ShortRun:
    """Samples that start from p0 = N(0, I) at every iteration, S steps long (released code); interface of `ChainBank`.

    Args:
        latent_dim: D.
        seed: of initial states and noise.
        n_steps: S.
        step_size: s, one number or one per step [S].
        device: where the samples are.
        dtype: of the states.
        processes: that share the runs of an iteration.
    """

    def __init__(
        self,
        latent_dim: int,
        *,
        seed: int,
        n_steps: int = 40,
        step_size: float | Float[Tensor, " S"] = 0.125,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
        processes: Processes = ALONE,
    ) -> None:
        if latent_dim < 1:
            raise ConfigError(f"chains: dimension {latent_dim}; expected at least 1")
        self.latent_dim, self.seed, self.n_steps, self.step_size = latent_dim, seed, n_steps, step_size
        self.device, self.dtype, self._processes = device, dtype, processes

    @torch.no_grad()
    def advance(
        self,
        layers: Layers,
        step: int,
        m: int,
        *,
        n_steps: int | None = None,
        step_size: float | Float[Tensor, " S"] | None = None,
        **options: Unpack[MoveOptions],
    ) -> Float[Tensor, "m D"]:
        """Return m states after S steps from p0: a pure function of (seed, step). Arguments as `ChainBank.advance`."""
        if not 0 <= m <= RUN_STRIDE:
            raise ConfigError(f"chains: {m} chains asked for; expected 0 to {RUN_STRIDE}")
        own = self._processes.own(step * RUN_STRIDE + torch.arange(m, device=self.device))
        z = philox_normal(self.seed, own, dim=self.latent_dim, stream=Stream.INITIAL)[0].to(self.dtype)
        z = langevin(
            z,
            layers,
            n_steps=self.n_steps if n_steps is None else n_steps,
            step_size=self.step_size if step_size is None else step_size,
            seed=self.seed,
            chain_ids=own,
            **options,
        ).z
        return self._processes.gather(z, m)

    def state_dict(self) -> dict[str, Tensor | ShardedRows]:
        """Nothing: short runs keep nothing between iterations."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up a saved state.

        Raises:
            ModelFolderError: it is that of a bank.
        """
        if state:
            raise ModelFolderError(f"chains: saved state has {sorted(state)}; expected none, for short-run chains")
