"""What every backend of `langevin` is given and gives back: the one declaration of the op's inputs."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Layers = Sequence[tuple[Tensor, Tensor]]
ACTIVATIONS = ("gelu", "leaky_relu", "silu", "tanh")


class LangevinResult(NamedTuple):
    """What a run of S steps of N chains returns; reading no field costs more than one device synchronisation.

    Attributes:
        z: final states [N, D].
        mean_energy: mean over chains of the energy G before each move [S]; None without `diagnostics`.
        mean_gradient_norm: mean over chains of |grad log p| before each move [S]; None without `diagnostics`.
        acceptance: fraction of the N chains that accepted each move [S]; None without `metropolis`.
        log_weights: annealed importance sampling log weights [N], nats; None without `temper`.
        finite: a scalar, true where every number of `z` is finite, and no rounded operand left the range of its type.
    """

    z: Float[Tensor, "N D"]
    mean_energy: Float[Tensor, " S"] | None
    mean_gradient_norm: Float[Tensor, " S"] | None
    acceptance: Float[Tensor, " S"] | None
    log_weights: Float[Tensor, " N"] | None
    finite: Bool[Tensor, ""]


class LangevinOutputs(NamedTuple):
    """What the op returns: every field of `LangevinResult`, of no numbers where that has None."""

    z: Tensor
    mean_energy: Tensor
    mean_gradient_norm: Tensor
    acceptance: Tensor
    log_weights: Tensor
    finite: Tensor


@dataclass
class LangevinInputs:
    """Everything that a run of S steps of N chains is given: the one declaration of the op's inputs.

    What differs from step to step is a tensor [S], float64 where the caller gave it on the CPU. Fields that are not
    listed are arguments of `langevin`.

    Attributes:
        states: [N, D], or the bank [L, D].
        seed: Philox key, as a signed number; not used with `seed_tensor`, an int64 scalar on the chains' device.
        step_size: s of every step; not used with `step_sizes`, one per step [S].
        weights, biases: of each layer of the network, first to last.
        backend: the call's own choice; empty without one.
        n_chains: N, which follows from the others.
    """

    states: Tensor
    chain_ids: Tensor
    n_steps: int
    step_size: float
    seed: int
    step_sizes: Tensor | None = None
    seed_tensor: Tensor | None = None
    first_step: int = 0
    reference_precision: float = 1.0
    noise_scale: float = 1.0
    temper: Tensor | None = None
    initial_temper: float = 0.0
    metropolis: bool = False
    diagnostics: bool = False
    weights: list[Tensor] = field(default_factory=list)
    biases: list[Tensor] = field(default_factory=list)
    activation: str = "gelu"
    negative_slope: float = 0.2
    temperature: float = 1.0
    labels: Tensor | None = None
    context_shift: Tensor | None = None
    precision: str = "fp32"
    backend: str = ""
    bank_indices: Tensor | None = None

    def __post_init__(self) -> None:
        chains = self.states if self.bank_indices is None else self.bank_indices
        self.n_chains = chains.shape[0] if chains.dim() else 0

    @property
    def key(self) -> int | Tensor:
        """Philox key, 0 to 2^64 - 1, or an int64 scalar."""
        return self.seed % (1 << 64) if self.seed_tensor is None else self.seed_tensor

    def list_of_step_sizes(self) -> list[float]:
        """s of each step as numbers; waits for the device where they are on one."""
        return [self.step_size] * self.n_steps if self.step_sizes is None else self.step_sizes.tolist()

    def shapes(self) -> LangevinOutputs:
        """Results without numbers."""
        z, n_chains = self.states, self.chain_ids.shape[0]
        n_diagnosed = self.n_steps if self.diagnostics else 0
        return LangevinOutputs(
            z=z.new_empty((n_chains, z.shape[1])),
            mean_energy=z.new_empty(n_diagnosed),
            mean_gradient_norm=z.new_empty(n_diagnosed),
            acceptance=z.new_empty(self.n_steps if self.metropolis else 0),
            log_weights=z.new_empty(0 if self.temper is None else n_chains),
            finite=z.new_empty((), dtype=torch.bool),
        )
