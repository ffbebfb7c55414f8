"""What the op `gru_sequence` and its backward pass are given and give back: the one declaration of their inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Saved(NamedTuple):
    """What the backward pass needs: gates r, z, n; q; h before each position. Layouts are those of the device."""

    gates: Tensor
    recurrent: Tensor
    before: Tensor


class GruSequenceOutputs(NamedTuple):
    """States [n, directions H], final states [directions, B, H], and the fields of `Saved`."""

    states: Tensor
    final: Tensor
    gates: Tensor
    recurrent: Tensor
    before: Tensor


class GruSequenceGradients(NamedTuple):
    """Gradients of inputs, of initial states (whether given or not), and of the parameters in their order."""

    grad_inputs: Tensor
    grad_initial: Tensor
    grad_parameters: list[Tensor]


@dataclass
class GruSequenceInputs:
    """Arguments of the function `gru_sequence`; `fast` rounds operands of products to bfloat16 on the CPU."""

    inputs: Tensor
    batch_sizes: Tensor
    initial: Tensor | None
    parameters: list[Tensor]
    fast: bool

    @property
    def hidden(self) -> int | torch.SymInt:
        """H: a number, or a compiled graph's symbol for one."""
        return self.parameters[1].shape[1]

    @property
    def n_directions(self) -> int:
        """One or two."""
        return len(self.parameters) // 4

    def layer(self, direction: int) -> list[Tensor]:
        """W_i, W_h, b_i, b_h of a direction."""
        return self.parameters[4 * direction : 4 * direction + 4]

    def sizes(self) -> dict[str, object]:
        """Fields of the kernels' structures that both devices have and that are no inputs of the op."""
        return {
            "n": self.inputs.shape[0],
            "n_steps": self.batch_sizes.shape[0],
            "n_rows": int(self.batch_sizes[0]),
            "hidden": self.hidden,
            "batch_sizes": self.batch_sizes,
            "weight": self.parameters[1::4],
            "bias": self.parameters[3::4],
            "initial": self.initial,
            "fast": self.fast,
        }

    def shapes(self) -> GruSequenceOutputs:
        """Results without numbers."""
        x, n, H, n_directions = self.inputs, self.inputs.shape[0], self.hidden, self.n_directions
        n_rows = torch.library.get_ctx().new_dynamic_size() if self.initial is None else self.initial.shape[1]
        on_cuda = x.device.type == "cuda"
        wide, narrow = ((n, 3 * H), (n, H)) if on_cuda else ((3 * H, padded(n)), (H, padded(n)))
        return GruSequenceOutputs(
            states=x.new_empty((n, n_directions * H)),
            final=x.new_empty((n_directions, n_rows, H)),
            gates=x.new_empty((n_directions, *wide)),
            recurrent=x.new_empty((n_directions, *narrow)),
            before=x.new_empty((n_directions, *narrow)),
        )


@dataclass
class GruSequenceBackwardInputs:
    """Gradients of states and final states, and what the forward pass was given and has saved."""

    grad_states: Tensor | None
    grad_final: Tensor | None
    inputs: Tensor
    batch_sizes: Tensor
    initial: Tensor | None
    parameters: list[Tensor]
    gates: Tensor
    recurrent: Tensor
    before: Tensor
    fast: bool

    @property
    def forward(self) -> GruSequenceInputs:
        """What the forward pass was given."""
        return GruSequenceInputs(self.inputs, self.batch_sizes, self.initial, self.parameters, self.fast)

    @property
    def saved(self) -> Saved:
        """What it has saved."""
        return Saved(self.gates, self.recurrent, self.before)

    def shapes(self) -> GruSequenceGradients:
        """Results without numbers."""
        n_directions, H = len(self.parameters) // 4, self.parameters[1].shape[1]
        n_rows = self.initial.shape[1] if self.initial is not None else torch.library.get_ctx().new_dynamic_size()
        return GruSequenceGradients(
            grad_inputs=self.inputs.new_empty(self.inputs.shape),
            grad_initial=self.inputs.new_empty((n_directions, n_rows, H)),
            grad_parameters=[parameter.new_empty(parameter.shape) for parameter in self.parameters],
        )


def padded(n: int | torch.SymInt) -> int | torch.SymInt:
    """Stride of feature-major arrays of n positions (an integer, or a compiled graph's symbol for one).

    Rows have room for a vector beyond their end, and are never a multiple of a large power of two apart.
    """
    return ((n + 32 + 15) // 32 * 2 + 1) * 16
