"""Priors fitted to z afterwards: densities in closed form, the number of Gaussians, and likelihoods under them."""

import math

import pytest
import scipy.stats
import torch

from svebm_ext.baselines.fitted_priors import FittedLatent, fit_gaussians, fit_mixture, nll_of_priors
from svebm_ext.latents.gaussian import GaussianLatent
from svebm_ext.models.importance import ImportanceSamples


@pytest.fixture(scope="module")
def three_clouds():
    """4,000 points and 2,000 others of three Gaussians far apart, of equal weight."""
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[6.0, 0.0], [-6.0, 2.0], [0.0, -7.0]])

    def draw(n):
        which = torch.randint(3, (n,), generator=generator)
        return centres[which] + torch.randn(n, 2, generator=generator) * torch.tensor([1.0, 0.5])

    return draw(4000), draw(2000)


def test_one_gaussian_has_the_moments_of_the_points(three_clouds):
    z, others = three_clouds
    covariance = torch.cov(z.double().T, correction=0).numpy()
    density = scipy.stats.multivariate_normal(z.double().mean(0).numpy(), covariance)
    logged = fit_gaussians(z, 1).log_prob(others[:50])
    torch.testing.assert_close(
        logged, torch.from_numpy(density.logpdf(others[:50].double().numpy())), atol=1e-3, rtol=0
    )


def test_a_mixture_of_three_clouds_has_their_entropy(three_clouds):
    """-log p is log 3 more than that of a single cloud, 1/2 log |2 pi e S|."""
    z, others = three_clouds
    prior = fit_mixture(z, others, (1, 2, 3), seed=1)
    assert prior.n_components == 3
    entropy = math.log(3) + math.log(2 * math.pi * math.e) + math.log(0.5)
    assert -float(prior.log_prob(others).mean()) == pytest.approx(entropy, abs=4 / math.sqrt(2000))
    assert -float(fit_gaussians(z, 1).log_prob(others).mean()) > entropy + 1.0
    assert prior.log_prob(others.view(4, 500, 2)).shape == (4, 500)


def test_too_few_points_for_many_gaussians(three_clouds):
    z, others = three_clouds
    assert fit_mixture(z[:5], others, (2, 50)).n_components == 2


def test_likelihood_under_a_fitted_prior():
    """x = z + e with z of N(3, 0.5^2) and e of N(0, 1): p(x) is N(3, 1.25), and under N(0, I) it is N(0, 2)."""
    generator = torch.Generator().manual_seed(0)
    prior = fit_gaussians(3.0 + 0.5 * torch.randn(40_000, 1, generator=generator), 1)
    x, centre, deviation = torch.tensor([2.0, 3.5]), torch.tensor([2.0, 3.0]), 1.2
    z = centre + deviation * torch.randn(60_000, 2, generator=generator)

    def normal(value, mean, scale):
        return -0.5 * ((value - mean) / scale).square() - math.log(scale * math.sqrt(2 * math.pi))

    drawn = ImportanceSamples(
        normal(x, z, 1.0), torch.full_like(z, math.nan), normal(z, centre, deviation), z[..., None]
    )
    nll = nll_of_priors(drawn, {"gaussian": prior})
    torch.testing.assert_close(nll["standard"], -normal(x, 0.0, math.sqrt(2.0)).double(), atol=0.02, rtol=0)
    torch.testing.assert_close(nll["gaussian"], -normal(x, 3.0, math.sqrt(1.25)).double(), atol=0.03, rtol=0)


# As the prior of a VAE -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def fitted_family(three_clouds):
    """A mixture of three Gaussians fitted to the clouds, and the latent family that has it as its prior."""
    prior = fit_gaussians(three_clouds[0], 3)
    return prior, FittedLatent(GaussianLatent(5, 2), prior)


def test_the_density_with_a_gradient_is_that_of_scikit_learn(three_clouds, fitted_family):
    prior, latent = fitted_family
    z = (3.0 * three_clouds[1][:60].double()).view(3, 20, 2).requires_grad_()
    logged = latent.log_prior(z)
    torch.testing.assert_close(logged, prior.log_prob(z), atol=1e-10, rtol=0)
    (gradient,) = torch.autograd.grad(logged.sum(), z)
    step = 1e-5
    for axis in range(2):
        moved = torch.zeros(2, dtype=torch.float64)
        moved[axis] = step
        slope = (prior.log_prob(z + moved) - prior.log_prob(z - moved)) / (2 * step)
        torch.testing.assert_close(gradient[..., axis], slope, atol=1e-5, rtol=1e-5)
    assert latent.log_prior(z.float()).dtype == torch.float64


def test_its_samples_have_the_moments_of_the_mixture(fitted_family):
    prior, latent = fitted_family
    z = latent.sample_prior(20_000, seed=3).double()
    mixture = prior.mixture
    mean = torch.from_numpy(mixture.weights_ @ mixture.means_)
    second = sum(
        w * (torch.from_numpy(s) + torch.outer(m, m))
        for w, m, s in zip(
            mixture.weights_.tolist(), torch.from_numpy(mixture.means_), mixture.covariances_, strict=True
        )
    )
    torch.testing.assert_close(z.mean(0), mean, atol=5 * 5.0 / math.sqrt(20_000), rtol=0)
    torch.testing.assert_close(z.T @ z / len(z), second, atol=1.0, rtol=0)
    # -log p of its own samples is its entropy; the clouds are apart, so that it is that of a cloud and log 3.
    entropy = math.log(3) + math.log(2 * math.pi * math.e) + math.log(0.5)
    assert -float(latent.log_prior(z).mean()) == pytest.approx(entropy, abs=0.05)
    torch.testing.assert_close(latent.sample_prior(10, seed=3), z[:10].float())


def test_it_shares_the_encoder_of_the_vae(three_clouds):
    vae = GaussianLatent(5, 2)
    latent = FittedLatent(vae, fit_gaussians(three_clouds[0], 1))
    features = torch.randn(4, 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(latent.posterior(features).mean, vae.posterior(features).mean)
    assert {name for name, _ in latent.named_parameters()} == {name for name, _ in vae.named_parameters()}
