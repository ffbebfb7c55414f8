"""A linear-Gaussian model as a latent-variable model, whose likelihood and posterior are known."""

import math
from dataclasses import dataclass

import scipy.stats
import torch

from svebm_ext.data.synthetic import PointBatch
from svebm_ext.latents.gaussian import GaussianLatent
from svebm_ext.models.importance import importance_samples
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.models.likelihood import importance_weighted_log_likelihood

#: Dimensions of z and of x.
D, P = 80, 100


@dataclass(frozen=True)
class Observations(PointBatch):
    """Points of P dimensions, not two."""

    x: torch.Tensor


class Observed(torch.nn.Module):
    """Encoder whose features are the observations themselves."""

    def forward(self, batch, draw=None):
        return batch.x


class LinearDecoder(torch.nn.Module):
    """N(W z, I)."""

    def __init__(self, weight):
        super().__init__()
        self.weight = weight

    def nll(self, batch, z, draw=None):
        return 0.5 * ((batch.x - z @ self.weight.T).square() + math.log(2 * math.pi)).sum(-1)


class LinearGaussian(LatentVariableModel):
    """x = W z + noise, z ~ N(0, I), W with orthogonal columns, so that p(z|x) is a diagonal Gaussian.

    q(z|x) has the mean of p(z|x) and `deviation` times its standard deviations.
    """

    def __init__(self, deviation, D=D, P=P):
        generator = torch.Generator().manual_seed(0)
        scale = torch.linspace(1.0, 3.0, D)
        weight = torch.linalg.qr(torch.randn(P, D, generator=generator)).Q * scale
        super().__init__(Observed(), GaussianLatent(P, D), LinearDecoder(weight))
        precision = 1 + scale.square()
        with torch.no_grad():
            self.latent.to_mean.weight.copy_(weight.T / precision[:, None])
            self.latent.to_mean.bias.zero_()
            self.latent.to_log_variance.weight.zero_()
            self.latent.to_log_variance.bias.copy_(2 * math.log(deviation) - precision.log())
        covariance = weight @ weight.T + torch.eye(P)
        self.P = P
        self.density = scipy.stats.multivariate_normal(cov=covariance.double().numpy())

    def examples(self, n, seed):
        generator = torch.Generator().manual_seed(seed)
        z = torch.randn(n, self.decoder.weight.shape[1], generator=generator)
        x = z @ self.decoder.weight.T + torch.randn(n, self.P, generator=generator)
        return Observations(torch.zeros(n, 2), torch.zeros(n, dtype=torch.long), torch.arange(n), x)

    def estimate(self, batch, scale, n_samples=200):
        drawn = importance_samples(self, batch, n_samples, seed=1, proposal_scale=scale)
        return float(importance_weighted_log_likelihood(*drawn[:3]).mean())
