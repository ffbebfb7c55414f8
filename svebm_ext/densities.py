"""Log densities of Gaussians, in nats."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

LOG_TWO_PI = math.log(2 * math.pi)


def standard_normal_log_density(z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
    """Log density of the reference p0 = N(0, I) of Eq. 2, in nats, summed over the D coordinates."""
    return -0.5 * (z.square() + LOG_TWO_PI).sum(-1)


def diagonal_gaussian_log_density(
    z: Float[Tensor, "*#batch D"], mean: Float[Tensor, "*#batch D"], log_variance: Float[Tensor, "*#batch D"]
) -> Float[Tensor, "*batch"]:
    """Log density of N(mean, diag exp(log_variance)) at z, in nats: the inference model q(z|x) of Eq. 10.

    Args:
        z: points; broadcast against `mean` and `log_variance`, so that [B, D] moments serve samples of shape [M, B, D].
        mean: means of the coordinates.
        log_variance: natural logarithms of the variances.
    """
    return -0.5 * ((z - mean).square() * torch.exp(-log_variance) + log_variance + LOG_TWO_PI).sum(-1)
