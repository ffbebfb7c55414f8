"""Posterior chains where the posterior is known."""

import math

import numpy as np
import torch

from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.posterior import sample_posterior


def linear_energy(a, b):
    model = EnergyMLP(a.shape[1], a.shape[0], ())
    with torch.no_grad():
        model.linears[0].weight.copy_(a)
        model.linears[0].bias.copy_(b)
    return model


def test_linear_gaussian_model_has_its_gaussian_posterior():
    """exp(a.z) N(0, I) is N(a, I); with x = W z + noise the posterior is Gaussian, in closed form."""
    torch.manual_seed(0)
    a, W, x, variance, n = torch.tensor([[1.0, -0.5]]), torch.randn(3, 2), torch.randn(3), 0.5, 4000
    precision = torch.eye(2) + W.T @ W / variance
    mean = torch.linalg.solve(precision, a[0] + W.T @ x / variance)

    def log_likelihood(z):
        return -0.5 * (x - z @ W.T).square().sum(1) / variance

    for energy, expected in (
        (linear_energy(a, torch.zeros(1)), mean),
        (None, torch.linalg.solve(precision, W.T @ x / variance)),
    ):
        z = sample_posterior(
            torch.zeros(n, 2), log_likelihood, energy, n_steps=80, step_size=0.08, seed=1, metropolis=True
        ).z
        np.testing.assert_allclose(z.mean(0), expected, atol=4 / math.sqrt(n))
        np.testing.assert_allclose(np.cov(z.T), torch.linalg.inv(precision), atol=0.06)


def test_two_symbols_give_a_mixture_with_the_right_shares():
    """D = 1, F = log(e^{2z} + e^{-2z}), x = z + noise: the CDF by quadrature."""
    energy = linear_energy(torch.tensor([[2.0], [-2.0]]), torch.zeros(2))
    x, variance, n = 0.3, 1.5, 4000
    grid = np.linspace(-8, 8, 4001)
    density = np.cosh(2 * grid) * np.exp(-0.5 * grid**2 - 0.5 * (x - grid) ** 2 / variance)
    cdf = np.cumsum(density) / density.sum()
    start = torch.linspace(-3, 3, n)[:, None]
    z = sample_posterior(
        start, lambda z: -0.5 * (x - z[:, 0]).square() / variance, energy, n_steps=150, step_size=0.3, seed=2,
        metropolis=True,
    ).z  # fmt: skip
    empirical = np.searchsorted(np.sort(z[:, 0].numpy()), grid) / n
    assert np.abs(empirical - cdf).max() < 1.95 / math.sqrt(n)  # Kolmogorov-Smirnov, p = .001


def test_networks_get_no_gradients_and_steps_continue():
    torch.manual_seed(0)
    energy, generator = EnergyMLP(3, 4, (5,)), torch.nn.Linear(3, 2)

    def log_likelihood(z):
        return -generator(z).square().sum(1)

    z = torch.randn(6, 3)
    options = {"step_size": 0.05, "seed": 3}
    whole = sample_posterior(z, log_likelihood, energy, n_steps=6, diagnostics=True, **options)
    assert all(p.grad is None for p in [*energy.parameters(), *generator.parameters()])
    assert not whole.z.requires_grad
    with torch.no_grad():  # also where the caller has switched gradients off
        half = sample_posterior(z, log_likelihood, energy, n_steps=2, **options).z
        rest = sample_posterior(half, log_likelihood, energy, n_steps=4, first_step=2, **options).z
    assert torch.equal(rest, whole.z)
    with torch.no_grad():
        start = (energy.energy(z) + log_likelihood(z)).mean()
    torch.testing.assert_close(whole.mean_energy[0], start)
