"""The second stage, in which the prior alone learns, and its start at a mixture: against closed forms in the plane."""

import math

import pytest
import torch

from svebm_ext.objectives.mutual_information import mutual_information
from svebm_ext.prior.mixture_start import start_at_mixture
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.second_stage import fit_prior

MEAN, DEVIATION = torch.tensor([1.0, -0.5]), 0.5


def log_z(prior):
    """Of exp(F(z)) N(z; 0, I) in the plane, by a sum over a grid."""
    axis = torch.linspace(-7.0, 7.0, 281, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        log_density = prior.energy(z.float()).double() - 0.5 * z.square().sum(-1) - math.log(2 * math.pi)
    return float(log_density.logsumexp(0)) + 2 * math.log(float(axis[1] - axis[0]))


@pytest.fixture
def prior():
    """A network in the plane, all but flat."""
    torch.manual_seed(0)
    network = EnergyMLP(2, 4, (32, 32))
    with torch.no_grad():
        network.layers()[-1][0].mul_(0.1)
    return network


#: q(z|x) of two sentences: N(MEAN, DEVIATION^2) and the same with -MEAN.
POSTERIOR = torch.stack([MEAN, -MEAN]), torch.full((2, 2), 2 * math.log(DEVIATION))


def sample(n=20_000):
    generator = torch.Generator().manual_seed(5)
    signs = torch.randint(0, 2, (n, 1), generator=generator) * 2 - 1
    return signs * MEAN + DEVIATION * torch.randn(n, 2, generator=generator)


def log_ratio(z):
    """log of the aggregate posterior over p0."""
    log_q = torch.stack([-0.5 * ((z - m) / DEVIATION).square().sum(-1) for m in (MEAN, -MEAN)]).logsumexp(0)
    return log_q - math.log(2.0) - 2 * math.log(DEVIATION) + 0.5 * z.square().sum(-1)


@pytest.mark.parametrize("information", [0.0, 0.5])
def test_the_prior_becomes_the_aggregate_posterior(prior, information):
    """E_q[F] - log Z rises to the divergence of the aggregate posterior from p0, beyond which it cannot go."""
    z = sample()
    most = float(log_ratio(z).mean())

    def energy():
        return prior.energy(z).detach() - log_z(prior)

    before = float(energy().mean())
    lines = []
    fit_prior(prior, POSTERIOR, 600, seed=0, step_size=0.125, information=information, say=lines.append)
    gain = float(energy().mean())
    assert before < 0.3 * most and most - 0.06 < gain < most + 0.01
    assert float((energy() - log_ratio(z)).std()) < 0.35  # not only on average
    found = float(mutual_information(prior.log_posterior_symbol(z).detach())[0])
    assert found > 0.6 if information else found < 0.5
    assert len(lines) == 5


def guesses_of(signs):
    """Symbol 0 for sentences whose q(z|x) is at MEAN, 1 for the others."""
    return torch.nn.functional.one_hot(torch.tensor(signs), 4).float()


def test_the_start_is_the_mixture_and_its_symbols(prior):
    """F is the log-ratio of the mixture that the aggregate posterior is, and p(y|z) tells its components apart."""
    start_at_mixture(prior, POSTERIOR, guesses_of([0, 1]), seed=0)
    z = sample()
    wrong = prior.energy(z).detach() - log_ratio(z)
    assert float(wrong.mean().abs()) < 0.2 and float(wrong.std()) < 0.6  # near; chains do the rest
    assert abs(log_z(prior)) < 0.2  # a normalised density over p0
    symbols = prior.log_posterior_symbol(z).detach().argmax(-1)
    at_mean = (z - MEAN).square().sum(-1) < (z + MEAN).square().sum(-1)
    assert float((symbols == torch.where(at_mean, 0, 1)).float().mean()) > 0.97


def test_a_flat_start_keeps_the_symbols_alone(prior):
    start_at_mixture(prior, POSTERIOR, guesses_of([0, 1]), seed=0, flat=True)
    z = sample()
    assert float(prior.energy(z).detach().abs().mean()) < 0.2 and abs(log_z(prior)) < 0.1
    symbols = prior.log_posterior_symbol(z).detach().argmax(-1)
    at_mean = (z - MEAN).square().sum(-1) < (z + MEAN).square().sum(-1)
    assert float((symbols == torch.where(at_mean, 0, 1)).float().mean()) > 0.95


def test_the_guided_stage_reaches_the_aggregate_posterior(prior):
    targets = guesses_of([0, 1])
    fit_prior(prior, POSTERIOR, 300, seed=0, step_size=0.125, targets=targets, say=lambda _: None)
    z = sample()
    most = float(log_ratio(z).mean())
    gain = float((prior.energy(z).detach() - log_z(prior)).mean())
    assert most - 0.06 < gain < most + 0.01
    found = float(mutual_information(prior.log_posterior_symbol(z).detach())[0])
    assert found > 0.6  # of log 2
