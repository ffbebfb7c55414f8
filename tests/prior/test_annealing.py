"""log Z against closed forms and grid integration."""

import math

import numpy as np
import pytest
import torch

from svebm_ext.errors import ConfigError
from svebm_ext.prior.annealing import conditional_log_z, estimate_log_z
from svebm_ext.prior.network import EnergyMLP


def linear_energy(a, b):
    """f_k(z) = a_k.z + b_k: p(z) is a mixture of N(a_k, I), Z = sum_k exp(b_k + |a_k|^2 / 2) for any D."""
    model = EnergyMLP(a.shape[1], a.shape[0], ())
    with torch.no_grad():
        model.linears[0].weight.copy_(a)
        model.linears[0].bias.copy_(b)
    return model, float(torch.logsumexp(b.double() + 0.5 * a.double().square().sum(1), 0))


def separated_modes(latent_dim, n_modes, radius, seed=0):
    """Modes of comparable mass in random directions, up to exp(radius^2 / 2) deep."""
    generator = torch.Generator().manual_seed(seed)
    a = torch.randn(n_modes, latent_dim, generator=generator)
    a = radius * a / a.norm(dim=1, keepdim=True)
    return linear_energy(a, torch.randn(n_modes, generator=generator) - 0.5 * radius**2)


def sharp_energy(scale, seed, activation):
    """A network of large weights: rugged, F over tens of nats within the reach of the prior."""
    torch.manual_seed(seed)
    model = EnergyMLP(2, 6, (20, 20), activation)
    with torch.no_grad():
        for linear, factor in zip(model.linears, (3.0, 3.0, scale), strict=True):
            linear.weight.mul_(factor)
    return model


def grid_log_z(model, extent, n=401):
    x = torch.linspace(-extent, extent, n, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(x, x, indexing="ij"), -1).flatten(0, 1)
    double = EnergyMLP(2, model.n_categories, model.hidden, model.activation).double()
    double.load_state_dict(model.state_dict())
    with torch.no_grad():
        log_density = double.energy(grid) - 0.5 * grid.square().sum(1) - math.log(2 * math.pi)
    edge = log_density[grid.abs().amax(1) > extent - 0.5]
    assert float(edge.max()) < float(log_density.max()) - 15  # all of the mass lies on the grid
    return float(torch.logsumexp(log_density, 0) + 2 * math.log(x[1] - x[0]))


def embedded(model, latent_dim, seed=0):
    """The same energy of two hidden coordinates, in D dimensions: log Z does not change."""
    plane = torch.linalg.qr(torch.randn(latent_dim, 2, generator=torch.Generator().manual_seed(seed)))[0]
    larger = EnergyMLP(latent_dim, model.n_categories, model.hidden, model.activation)
    state = {name: value for name, value in model.state_dict().items() if name.startswith("linears")}
    state["linears.0.weight"] = state["linears.0.weight"] @ plane.T
    larger.load_state_dict(larger.state_dict() | state)
    return larger


def assert_brackets(estimate, truth, tolerance):
    """Within `tolerance`, and within four of the standard errors that the estimate itself states."""
    for end, error in (
        (estimate.lower, estimate.lower_standard_error),
        (estimate.upper, estimate.upper_standard_error),
    ):
        assert abs(end - truth) < tolerance
        assert abs(end - truth) < 4 * error + 0.005
    assert abs(estimate.upper - estimate.lower) < tolerance
    assert estimate.r_hat < 1.1 and 0.2 < estimate.acceptance < 0.99
    assert 10 < estimate.forward_ess <= estimate.n_chains and 10 < estimate.reverse_ess <= estimate.n_chains


@pytest.mark.parametrize(("latent_dim", "n_modes", "radius"), [(1, 2, 3.0), (2, 12, 8.0), (40, 20, 8.0)])
def test_well_separated_modes_in_closed_form(latent_dim, n_modes, radius):
    model, truth = separated_modes(latent_dim, n_modes, radius)
    estimate = estimate_log_z(model, latent_dim, n_chains=400, n_temperatures=150, seed=1)
    assert_brackets(estimate, truth, 0.25)


def test_flat_energy_is_exact():
    model, truth = linear_energy(torch.zeros(3, 5), torch.tensor([0.5, -1.0, 2.0]))
    estimate = estimate_log_z(model, 5, n_chains=40, n_temperatures=20)
    assert estimate.lower == pytest.approx(truth, abs=1e-4) and estimate.upper == pytest.approx(truth, abs=1e-4)
    assert estimate.lower_standard_error < 1e-3 and estimate.forward_ess == pytest.approx(40, rel=1e-3)


@pytest.mark.parametrize(
    ("activation", "scale", "latent_dim", "least_range", "extent", "tolerance"),
    [
        ("gelu", 1.0, 2, 5, 8, 0.1),
        ("gelu", 3.0, 10, 15, 14, 0.15),
        ("tanh", 30.0, 2, 15, 8, 0.5),
        ("gelu", 10.0, 2, 50, 24, 0.8),
    ],
)
def test_network_against_grid_integration(activation, scale, latent_dim, least_range, extent, tolerance):
    model = sharp_energy(scale, 1, activation)
    with torch.no_grad():
        energy = model.energy(2 * torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)))
    assert float(energy.max() - energy.min()) > least_range
    truth = grid_log_z(model, extent)
    if latent_dim > 2:
        model = embedded(model, latent_dim)
    estimate = estimate_log_z(model, latent_dim, n_chains=400, n_temperatures=150, seed=3)
    assert_brackets(estimate, truth, tolerance)


@pytest.fixture(scope="module")
def repeated():
    """The same problem under twelve seeds, and its true log Z."""
    model, truth = separated_modes(8, 6, 4.0)
    options = {"n_chains": 100, "n_temperatures": 25, "n_equilibrium_steps": 20}
    return [estimate_log_z(model, 8, seed=seed, **options) for seed in range(12)], truth


def test_ends_are_unbiased_on_the_scale_of_z(repeated):
    """E[exp(lower)] = Z and E[exp(-upper)] = 1 / Z, hence E[lower] <= log Z <= E[upper]."""
    estimates, truth = repeated
    for values in ([e.lower - truth for e in estimates], [truth - e.upper for e in estimates]):
        ratio = np.exp(values)
        standard_error = ratio.std(ddof=1) / math.sqrt(len(ratio))
        assert standard_error < 0.1
        assert ratio.mean() == pytest.approx(1, abs=3.5 * standard_error)


def test_standard_errors_are_the_spread_over_seeds(repeated):
    estimates, _ = repeated
    for end in ("lower", "upper"):
        spread = np.std([getattr(e, end) for e in estimates], ddof=1)
        stated = np.sqrt(np.mean([getattr(e, f"{end}_standard_error") ** 2 for e in estimates]))
        assert 0.4 < spread / stated < 1.7  # twelve seeds: the spread itself is known to 21 %


def test_same_seed_same_estimate_and_forward_alone():
    model, _ = separated_modes(3, 4, 3.0)
    options = {"n_chains": 40, "n_temperatures": 10}
    first, second = (estimate_log_z(model, 3, seed=5, **options) for _ in range(2))
    assert first == second
    forward = estimate_log_z(model, 3, seed=5, reverse=False, **options)
    assert forward.lower == first.lower and math.isnan(forward.upper) and math.isnan(forward.r_hat)
    assert estimate_log_z(model, 3, seed=6, **options).lower != first.lower


@pytest.mark.parametrize(
    "options", [{"n_chains": 7}, {"n_temperatures": 0}, {"steps_per_temperature": 0}, {"n_groups": 0}]
)
def test_options_out_of_range_are_named(options):
    model, _ = separated_modes(2, 2, 1.0)
    with pytest.raises(ConfigError, match=f"{next(iter(options))} is .*at least"):
        estimate_log_z(model, 2, **options)
    with pytest.raises(ConfigError, match="the energy network has 2"):
        estimate_log_z(model, 3)


def test_log_z_of_each_context():
    """f_k(z, c) = a_k.z + b_k + c_k, so that Z(c) = sum_k exp(b_k + c_k + |a_k|^2 / 2)."""
    network = EnergyMLP(2, 2, (), context_dim=2)
    slopes, offset = torch.tensor([[1.2, 0.0], [-0.8, 0.5]]), torch.tensor([0.3, -0.2])
    contexts = torch.tensor([[0.0, 0.0], [3.0, -1.0], [-2.0, 1.0]])
    with torch.no_grad():
        network.linears[0].weight.copy_(slopes)
        network.linears[0].bias.copy_(offset)
        network.context.weight.copy_(torch.eye(2))
        found = conditional_log_z(network, contexts, n_chains=400, n_temperatures=40, seed=1)
    expected = (offset + 0.5 * slopes.square().sum(1) + contexts).logsumexp(-1)
    torch.testing.assert_close(found, expected, rtol=0, atol=0.05)
