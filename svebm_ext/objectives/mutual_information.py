"""Mutual information of symbols and sentences, I(z, y) of Eq. 21, over a minibatch."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

SumOverProcesses = Callable[[Tensor], Tensor]


def entropy(probabilities: Float[Tensor, "*B K"]) -> Float[Tensor, "*B"]:
    """Shannon entropy in nats; 0 log 0 = 0, with a finite slope there, as a probability that has underflowed needs."""
    smallest = torch.finfo(probabilities.dtype).tiny
    return -(probabilities * probabilities.clamp_min(smallest).log()).sum(-1)


def mutual_information(
    log_symbol: Float[Tensor, "B K"],
    *,
    n_total: int | None = None,
    sum_over_processes: SumOverProcesses | None = None,
    running_marginal: Float[Tensor, "K"] | None = None,
    momentum: float = 0.0,
) -> tuple[Float[Tensor, ""], Float[Tensor, "K"]]:
    """Plug-in estimate H(mean_b p(y|z_b)) - mean_b H(p(y|z_b)) in nats, at most log of the batch size (Eq. 21).

    With a running marginal, q(y) = momentum * running + (1 - momentum) * minibatch mean takes the place of the
    minibatch mean, so that the number of symbols may exceed the batch; the gradient flows through the minibatch part,
    scaled back to that of the minibatch estimate.

    Args:
        log_symbol: log p(y|z_b), the examples of this process.
        n_total: examples over all processes (default: B).
        sum_over_processes: differentiable sum over processes.
        running_marginal: exponential moving average of q(y), or None.
        momentum: weight of the running marginal, in [0, 1).

    Returns:
        The estimate, over all processes, and the marginal used, detached.

    Source: Pang & Wu 2021, Eq. 21; the running marginal is this project's.
    """
    n = log_symbol.shape[0] if n_total is None else n_total
    total = sum_over_processes or (lambda x: x)
    symbol = log_symbol.exp()
    # one message over processes
    sums = total(torch.cat((symbol.sum(0), -(symbol * log_symbol).sum().view(1)))) / n
    marginal, conditional = sums[:-1], sums[-1]
    if running_marginal is None or momentum == 0.0:
        return entropy(marginal) - conditional, marginal.detach()
    mixed = momentum * running_marginal + (1.0 - momentum) * marginal
    # Value of the mixed marginal's entropy, gradient rescaled by 1 / (1 - momentum): the slope -log q(y) - 1 of a
    # slowly moving q at full strength.
    slope = -(mixed.detach().clamp_min(1e-12).log() + 1.0)
    marginal_entropy = entropy(mixed.detach()) + (slope * (marginal - marginal.detach())).sum()
    return marginal_entropy - conditional, mixed.detach()
