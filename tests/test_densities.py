"""Gaussian log densities against scipy's."""

import scipy.stats
import torch

from svebm_ext.densities import diagonal_gaussian_log_density, standard_normal_log_density


def test_gaussian_log_densities_equal_scipys():
    generator = torch.Generator().manual_seed(1)
    z, mean, log_variance = torch.randn(3, 5, 4, dtype=torch.double, generator=generator)
    expected = scipy.stats.norm(mean.numpy(), (0.5 * log_variance).exp().numpy()).logpdf(z.numpy()).sum(-1)
    torch.testing.assert_close(diagonal_gaussian_log_density(z, mean, log_variance), torch.from_numpy(expected))
    expected = scipy.stats.multivariate_normal(cov=torch.eye(4).numpy()).logpdf(z.numpy())
    torch.testing.assert_close(standard_normal_log_density(z), torch.from_numpy(expected))


def test_moments_broadcast_over_importance_samples():
    z, mean, log_variance = torch.randn(6, 2, 3), torch.randn(2, 3), torch.randn(2, 3)
    together = diagonal_gaussian_log_density(z, mean, log_variance)
    torch.testing.assert_close(together[4], diagonal_gaussian_log_density(z[4], mean, log_variance))


def test_every_component_of_a_mixture_at_every_point():
    z, mean, log_variance = torch.randn(6, 2, 1, 3), torch.randn(2, 4, 3), torch.randn(2, 4, 3)
    together = diagonal_gaussian_log_density(z, mean, log_variance)
    assert together.shape == (6, 2, 4)
    alone = diagonal_gaussian_log_density(z[5, 1, 0], mean[1, 3], log_variance[1, 3])
    torch.testing.assert_close(together[5, 1, 3], alone)
