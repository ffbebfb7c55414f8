"""The second stage, in which the prior alone learns, and its start at a mixture: against closed forms in the plane."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from svebm_ext.densities import standard_normal_log_density as standard
from svebm_ext.latents.energy import EnergyLatent, EnergyPosterior
from svebm_ext.objectives.mutual_information import mutual_information
from svebm_ext.prior.mixture_start import start_at_mixture
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.reference import Reference
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


#: q(z|x) of three sentences whose z are apart by far more in one direction than in another.
SLANTED = torch.tensor([[4.0, 3.0], [0.0, 0.2], [-3.4, -2.9]]), torch.tensor([[0.0, -1.0]]).expand(3, 2)


def moments():
    """Mean and covariance of a z of one of the three, by numpy."""
    mean, variance = SLANTED[0].double().numpy(), SLANTED[1].double().exp().numpy()
    return mean.mean(0), np.cov(mean.T, bias=True) + np.diag(variance.mean(0))


def test_a_reference_is_the_gaussian_with_the_moments_of_z():
    reference, (mean, covariance) = Reference(2), moments()
    z = torch.randn(2, 5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(3)) * 3
    assert reference.is_standard and torch.equal(reference.whitened(z), z) and torch.equal(reference.restored(z), z)
    reference.fit(*SLANTED)
    u = reference.whitened(z)
    torch.testing.assert_close(reference.restored(u), z)
    theirs = multivariate_normal(mean, covariance).logpdf(z.numpy()) - multivariate_normal(np.zeros(2)).logpdf(
        z.numpy()
    )
    np.testing.assert_allclose(reference.log_ratio(z, u).numpy(), theirs, rtol=1e-4, atol=1e-4)
    copied = Reference(2)
    assert copied.is_standard
    copied.load_state_dict(reference.state_dict())
    assert not copied.is_standard and torch.equal(copied.whitened(z), u)


def test_a_prior_on_its_reference_has_the_density_and_the_samples_of_z():
    """log p(z) is that of N(m, S) times exp(F) of z whitened, and samples restored have the moments of z."""
    torch.manual_seed(0)
    latent, (mean, covariance) = EnergyLatent(4, 2, 3, hidden=(16,)), moments()
    z = torch.randn(50, 2) * 3
    plain = latent.log_prior(z)
    latent.prior.reference.fit(*SLANTED)
    energies = latent.prior.energy(latent.prior.reference.whitened(z))
    reference = torch.from_numpy(multivariate_normal(mean, covariance).logpdf(z.numpy())).float()
    torch.testing.assert_close(latent.log_prior(z).detach(), (energies + reference).detach(), rtol=1e-4, atol=1e-4)
    assert float((latent.log_prior(z) - plain).detach().abs().max()) > 10.0
    posterior = EnergyPosterior(z, torch.zeros_like(z), latent.prior)
    torch.testing.assert_close(
        posterior.terms(z)["energy_positive"], energies + reference - standard(z), rtol=1e-4, atol=1e-3
    )
    with torch.no_grad():
        latent.prior.layers()[-1][0].zero_()  # F is a number: p(z) is the reference itself
    samples = latent.sample_prior(20_000, seed=1).double()
    np.testing.assert_allclose(samples.mean(0).numpy(), mean, atol=0.08)
    np.testing.assert_allclose(torch.cov(samples.T).numpy(), covariance, rtol=0.06)
    some = latent.sample_some(torch.tensor([5, 17]), 20_000, seed=1)
    assert torch.equal(some, latent.sample_prior(20_000, seed=1)[[5, 17]])


def test_a_new_energy_learns_slanted_modes_from_whitened_z():
    """Three modes on a line across both axes: their Gaussian is half a nat from them, and F learns the rest."""
    torch.manual_seed(0)
    latent = EnergyLatent(4, 2, 3, hidden=(64, 64))
    fit_prior(latent.prior, SLANTED, 1500, seed=0, step_size=0.125, whiten=True, say=lambda _: None)
    rows = torch.arange(3).repeat(4000)
    noise = torch.randn(len(rows), 2, generator=torch.Generator().manual_seed(9))
    z = SLANTED[0][rows] + torch.exp(0.5 * SLANTED[1][rows]) * noise
    parts = [multivariate_normal(m, v.exp().diag().numpy()).pdf(z.numpy()) for m, v in zip(*SLANTED, strict=True)]
    true = np.log(np.mean(parts, axis=0)).mean()
    gaussian = multivariate_normal(*moments()).logpdf(z.numpy()).mean()
    log_density = float(latent.log_prior(z).detach().mean()) - log_z(latent.prior)
    assert gaussian < true - 0.5 and true - 0.03 < log_density < true + 0.01
