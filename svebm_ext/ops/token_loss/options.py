"""What the op `token_loss` and its backward pass are given and give back: the one declaration of their inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor


class TokenLossOutputs(NamedTuple):
    """Loss of each token, and gradients for `token_weight`, of no numbers where they are not asked for."""

    loss: Tensor
    grad_hidden: Tensor
    grad_weight: Tensor
    grad_bias: Tensor


class TokenLossGradients(NamedTuple):
    """Gradients of what has one; that of an absent bias has no numbers."""

    grad_hidden: Tensor
    grad_weight: Tensor
    grad_bias: Tensor


@dataclass
class TokenLossInputs:
    """Arguments of the function `token_loss`, and what it has decided.

    Attributes:
        gradients: compute them along with the loss.
        fast: round the operands of products to bfloat16.
        backend: the call's own choice; empty without one.
    """

    hidden: Tensor
    weight: Tensor
    bias: Tensor | None
    targets: Tensor
    token_weight: float
    gradients: bool
    fast: bool
    backend: str

    def shapes(self) -> TokenLossOutputs:
        """Results without numbers."""
        hidden, weight = self.hidden, self.weight
        return TokenLossOutputs(
            loss=hidden.new_empty(hidden.shape[0]),
            grad_hidden=hidden.new_empty(hidden.shape if self.gradients else 0),
            grad_weight=weight.new_empty(weight.shape if self.gradients else 0),
            grad_bias=weight.new_empty(weight.shape[0] if self.gradients and self.bias is not None else 0),
        )


@dataclass
class TokenLossBackwardInputs:
    """The gradient of each token's loss, and what the forward pass was given and gave back; see `TokenLossInputs`."""

    upstream: Tensor
    hidden: Tensor
    weight: Tensor
    bias: Tensor | None
    targets: Tensor
    grad_hidden: Tensor
    grad_weight: Tensor
    grad_bias: Tensor
    token_weight: float
    gradients: bool
    fast: bool
    backend: str

    def shapes(self) -> TokenLossGradients:
        """Results without numbers."""
        return TokenLossGradients(
            grad_hidden=self.hidden.new_empty(self.hidden.shape),
            grad_weight=self.weight.new_empty(self.weight.shape),
            grad_bias=self.weight.new_empty(0 if self.bias is None else self.weight.shape[0]),
        )
