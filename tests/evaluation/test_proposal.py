"""Width of the likelihood's samples, on a linear-Gaussian model whose likelihood is known."""

import math
from dataclasses import dataclass

import pytest
import scipy.stats
import torch

from svebm_ext.data.synthetic import PointBatch
from svebm_ext.errors import ConfigError
from svebm_ext.evaluation.likelihood import importance_weighted_log_likelihood
from svebm_ext.evaluation.proposal import PROPOSAL_SCALES, tightest_proposal_scale
from svebm_ext.latents.categorical import CategoricalLatent
from svebm_ext.latents.gaussian import GaussianLatent
from svebm_ext.models.importance import importance_samples
from svebm_ext.models.latent_variable import LatentVariableModel

D, P = 80, 100


@dataclass(frozen=True)
class Observations(PointBatch):
    """Points of P dimensions, not two."""

    x: torch.Tensor


class Observed(torch.nn.Module):
    """Encoder whose features are the observations themselves."""

    def forward(self, batch):
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

    def __init__(self, deviation):
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
        self.density = scipy.stats.multivariate_normal(cov=covariance.double().numpy())

    def examples(self, n, seed):
        generator = torch.Generator().manual_seed(seed)
        z, noise = torch.randn(n, D, generator=generator), torch.randn(n, P, generator=generator)
        x = z @ self.decoder.weight.T + noise
        return Observations(torch.zeros(n, 2), torch.zeros(n, dtype=torch.long), torch.arange(n), x)

    def estimate(self, batch, scale):
        drawn = importance_samples(self, batch, 200, seed=1, proposal_scale=scale)
        return float(importance_weighted_log_likelihood(*drawn[:3]).mean())


@pytest.mark.parametrize("factor", PROPOSAL_SCALES)
def test_a_narrow_posterior_is_widened_towards_the_true_one(factor):
    """q narrower than p(z|x) by a factor: with that factor log p(x) is exact, and what is chosen is near in effect."""
    model = LinearGaussian(1 / factor)
    test = model.examples(50, 4)
    exact = float(model.density.logpdf(test.x.double().numpy()).mean())
    assert model.estimate(test, factor) == pytest.approx(exact, abs=1e-3)
    chosen = tightest_proposal_scale(model, [model.examples(20, 2), model.examples(12, 3)], 200)
    assert abs(PROPOSAL_SCALES.index(chosen) - PROPOSAL_SCALES.index(factor)) <= 1
    assert model.estimate(test, chosen) == pytest.approx(exact, abs=0.6)


def test_samples_of_a_narrow_posterior_itself_fall_short():
    """At the narrowness that a weight w of 1/2 teaches: the estimate is nats too low, from any q below the truth."""
    model = LinearGaussian(math.sqrt(0.5))
    test = model.examples(50, 4)
    exact = float(model.density.logpdf(test.x.double().numpy()).mean())
    own = model.estimate(test, 1.0)
    assert own < exact - 1.0
    assert all(own < model.estimate(test, scale) < exact + 0.25 for scale in PROPOSAL_SCALES[1:])


def test_without_vector_or_examples_nothing_is_widened():
    model = LinearGaussian(0.5)
    assert tightest_proposal_scale(model, [], 10) == 1.0
    model.latent = CategoricalLatent(P, 2, 3)
    batch = model.examples(3, 0)
    assert tightest_proposal_scale(model, [batch], 10) == 1.0
    with pytest.raises(ConfigError, match=r"proposal_scale: 1\.2"):
        importance_samples(model, batch, 2, proposal_scale=1.2)
