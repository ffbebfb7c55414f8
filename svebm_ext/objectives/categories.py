"""Divergence of discrete posteriors from their uniform prior, split into its two parts."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

from svebm_ext.objectives.mutual_information import SumOverProcesses, entropy


def category_divergence(
    log_categories: Float[Tensor, "B n K"],
    *,
    n_total: int | None = None,
    sum_over_processes: SumOverProcesses | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """KL of the mean posterior to the uniform prior, and mutual information of codes and sentences, summed over n.

    mean_b KL(q(c|x_b) || uniform) is the sum of the two: KL(q(c) || uniform) + I(c, x) with q(c) = mean_b q(c|x_b).
    DI-VAE and the rows "+ I" of the paper's Table 1 drop the second. Both are in nats, of the minibatch.

    Args:
        log_categories: log q(c|x) of n variables, the examples of this process.
        n_total: examples over all processes (default: B).
        sum_over_processes: differentiable sum over processes.

    Source: Zhao, Lee & Eskenazi, Unsupervised Discrete Sentence Representation Learning, ACL 2018, Eq. 4-6.
    """
    n = log_categories.shape[0] if n_total is None else n_total
    total = sum_over_processes or (lambda x: x)
    probabilities = log_categories.exp()
    marginal_entropy = entropy(total(probabilities.sum(0)) / n).sum()
    conditional = total(entropy(probabilities).sum()) / n
    n_variables, n_classes = log_categories.shape[1:]
    return n_variables * math.log(n_classes) - marginal_entropy, marginal_entropy - conditional
