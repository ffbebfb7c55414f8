"""What every backend of `philox` is given."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class PhiloxInputs:
    """The one declaration of the op's inputs: arguments of `philox_normal`, the seed as a number or behind a tensor.

    Attributes:
        normal: standard normal numbers, else uniform ones.
        backend: the call's own choice; empty without one.
    """

    chain_ids: Tensor
    seed: int
    seed_tensor: Tensor | None
    dim: int
    first_step: int
    n_steps: int
    stream: int
    normal: bool
    backend: str

    def shapes(self) -> Tensor:
        """The result without numbers."""
        return self.chain_ids.new_empty((self.n_steps, self.chain_ids.shape[0], self.dim), dtype=torch.float32)
