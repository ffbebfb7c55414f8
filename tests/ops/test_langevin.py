"""Langevin dynamics against autograd, direct formulas and exactly known stationary distributions."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from svebm_ext.errors import ConfigError
from svebm_ext.ops.langevin import langevin, langevin_autograd
from svebm_ext.ops.langevin.options import LangevinInputs
from svebm_ext.ops.langevin.reference import network_target
from svebm_ext.ops.philox import Stream, philox_normal, philox_uniform
from svebm_ext.prior.network import ACTIVATIONS, EnergyMLP

HIDDEN = [(), (7,), (9, 6)]


def make_energy(latent_dim=3, n_categories=4, hidden=(9, 6), activation="gelu", scale=3.0, seed=0):
    """Weights large enough that softmax and activations are far from linear."""
    torch.manual_seed(seed)
    model = EnergyMLP(latent_dim, n_categories, hidden, activation).double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(scale)
    return model


def constant_layers(latent_dim, value=0.7, dtype=torch.float32):
    return [(torch.zeros(2, latent_dim, dtype=dtype), torch.full((2,), value, dtype=dtype))]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("use_labels", [False, True])
@pytest.mark.parametrize("use_context", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_gradient_is_that_of_autograd(activation, hidden, use_labels, use_context, temperature):
    model = make_energy(hidden=hidden, activation=activation)
    z = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 3, 1, 1, 2]) if use_labels else None
    shift = torch.randn(5, hidden[0] if hidden else 4, dtype=torch.float64) if use_context else None
    logits = model.logits(z, shift)
    if labels is not None:
        expected = logits[torch.arange(5), labels]
    else:
        expected = temperature * torch.logsumexp(logits / temperature, dim=-1)
    (expected_gradient,) = torch.autograd.grad(expected.sum(), z)
    inputs = LangevinInputs(
        z, torch.arange(5), n_steps=1, step_size=0.1, seed=0,
        weights=[weight for weight, _ in model.layers()], biases=[bias for _, bias in model.layers()],
        activation=activation, negative_slope=model.negative_slope, temperature=temperature, labels=labels,
        context_shift=shift,
    )  # fmt: skip
    with torch.no_grad():
        energy, gradient = network_target(inputs, with_energy=True)(z)
    torch.testing.assert_close(energy, expected.detach(), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("reference_precision", [1.0, 0.0, 2.5])
@pytest.mark.parametrize("noise_scale", [1.0, 0.3, 0.0])
def test_one_step_is_equation_7(reference_precision, noise_scale):
    model = make_energy()
    z = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    ids = torch.tensor([5, 0, 3, 99, 1 << 35, 2])
    log_density = model.energy(z) - 0.5 * reference_precision * z.square().sum(1)
    (gradient,) = torch.autograd.grad(log_density.sum(), z)
    noise = philox_normal(7, ids, dim=3, first_step=11, stream=Stream.LANGEVIN)[0].double()
    expected = z + 0.05 * gradient + noise_scale * math.sqrt(2 * 0.05) * noise
    result = langevin(
        z,
        model.layers(),
        n_steps=1,
        step_size=0.05,
        seed=7,
        reference_precision=reference_precision,
        noise_scale=noise_scale,
        first_step=11,
        chain_ids=ids,
        diagnostics=True,
    )
    torch.testing.assert_close(result.z, expected.detach(), rtol=1e-12, atol=1e-12)
    assert not result.z.requires_grad and bool(result.finite)
    torch.testing.assert_close(result.mean_energy[0], model.energy(z).mean().detach())
    torch.testing.assert_close(result.mean_gradient_norm[0], gradient.norm(dim=1).mean())


def test_float32_stays_within_rounding_of_float64():
    model = make_energy(40, 20, (200, 200), scale=2.0)
    z = torch.randn(16, 40, dtype=torch.float64)
    exact = langevin(z, model.layers(), n_steps=1, step_size=0.125, seed=1).z
    single = langevin(z.float(), model.float().layers(), n_steps=1, step_size=0.125, seed=1).z
    assert (single.double() - exact).abs().max() < 1e-5


def test_sixty_steps_are_twenty_and_forty():
    model = make_energy().float()
    z = torch.randn(8, 3)
    for metropolis in (False, True):
        options = {"step_size": 0.1, "seed": 3, "metropolis": metropolis}
        whole = langevin(z, model.layers(), n_steps=60, **options).z
        half = langevin(z, model.layers(), n_steps=20, **options).z
        assert torch.equal(langevin(half, model.layers(), n_steps=40, first_step=20, **options).z, whole)
        assert not torch.equal(langevin(half, model.layers(), n_steps=40, **options).z, whole)


def test_noise_does_not_depend_on_the_block_it_is_drawn_in(monkeypatch):
    model = make_energy().float()
    z = torch.randn(4, 3)
    whole = langevin(z, model.layers(), n_steps=11, step_size=0.1, seed=3).z
    monkeypatch.setattr("svebm_ext.ops.langevin.reference.NOISE_BLOCK", 4 * 3 * 2)
    assert torch.equal(langevin(z, model.layers(), n_steps=11, step_size=0.1, seed=3).z, whole)


@pytest.mark.parametrize("metropolis", [False, True])
def test_a_chain_does_not_depend_on_its_neighbours(metropolis):
    model = make_energy()
    z = torch.randn(9, 3, dtype=torch.float64)
    labels, shift = torch.arange(9) % 4, torch.randn(9, 9, dtype=torch.float64)
    options = {"n_steps": 15, "step_size": 0.05, "seed": 3, "metropolis": metropolis}
    whole = langevin(z, model.layers(), labels=labels, context_shift=shift, **options).z
    rows = torch.tensor([7, 2, 3])
    part = langevin(
        z[rows], model.layers(), labels=labels[rows], context_shift=shift[rows], chain_ids=rows, **options
    ).z
    torch.testing.assert_close(part, whole[rows], rtol=1e-10, atol=1e-10)


def test_bank_rows_are_moved_in_place_and_others_left():
    model = make_energy()
    bank = torch.randn(10, 3, dtype=torch.float64)
    before, rows = bank.clone(), torch.tensor([8, 0, 5])
    options = {"n_steps": 4, "step_size": 0.1, "seed": 1}
    result = langevin(bank, model.layers(), bank_indices=rows, **options)
    expected = langevin(before[rows], model.layers(), chain_ids=rows, **options).z
    assert torch.equal(bank[rows], result.z) and torch.equal(result.z, expected)
    others = [1, 2, 3, 4, 6, 7, 9]
    assert torch.equal(bank[others], before[others])


def test_states_given_are_left_unchanged():
    z = torch.randn(5, 3, dtype=torch.float64)
    before = z.clone()
    for metropolis in (False, True):
        langevin(z, make_energy().layers(), n_steps=3, step_size=0.1, seed=1, metropolis=metropolis)
        assert torch.equal(z, before)


@settings(max_examples=25)
@given(
    n_chains=st.integers(0, 5),
    latent_dim=st.integers(1, 9),
    n_categories=st.integers(1, 4),
    n_steps=st.integers(1, 4),
    n_hidden=st.integers(0, 2),
    metropolis=st.booleans(),
    single=st.booleans(),
)
def test_autograd_version_takes_the_same_path(
    n_chains, latent_dim, n_categories, n_steps, n_hidden, metropolis, single
):
    model = make_energy(latent_dim, n_categories, (5, 6)[:n_hidden], scale=1.0)
    z = torch.randn(n_chains, latent_dim, dtype=torch.float64)
    if single:
        model, z = model.float(), z.float()
    options = {"n_steps": n_steps, "step_size": 0.1, "seed": 5, "metropolis": metropolis, "reference_precision": 1.0}
    options["temper"] = torch.linspace(0.2, 1, n_steps)
    by_hand = langevin(z, model.layers(), **options)
    by_autograd = langevin_autograd(z, model.energy, **options)
    assert by_hand.z.shape == z.shape and by_hand.z.dtype == z.dtype
    assert by_hand.log_weights.shape == (n_chains,)
    tolerance = 1e-4 if single else 1e-10
    torch.testing.assert_close(by_hand.z, by_autograd.z, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(by_hand.log_weights, by_autograd.log_weights, rtol=tolerance, atol=tolerance)


def stationary_variance(step_size, metropolis, precision=1.0, n_steps=160, burn=60, n_chains=4000):
    """Variance of each of two independent coordinates, averaged over the steps after `burn`."""
    z = torch.zeros(n_chains, 2)
    options = {"step_size": step_size, "seed": 9, "metropolis": metropolis, "reference_precision": precision}
    z = langevin(z, constant_layers(2), n_steps=burn, **options).z
    moments = []
    for step in range(burn, n_steps, 10):
        z = langevin(z, constant_layers(2), n_steps=10, first_step=step, **options).z
        moments.append(float(z.square().mean()))
    return float(np.mean(moments))


@pytest.mark.parametrize(("step_size", "precision"), [(0.5, 1.0), (0.25, 2.0), (0.125, 1.0)])
def test_unadjusted_chain_has_its_exact_stationary_variance(step_size, precision):
    # z' = (1 - s/v) z + sqrt(2 s) e has variance v / (1 - s / (2 v)) for a target N(0, v).
    expected = (1 / precision) / (1 - 0.5 * step_size * precision)
    # 8,000 correlated draws x 10 visits; 0.03 is above four standard errors and far below the bias of 14-33 %
    # (6.7 % for the last case).
    assert stationary_variance(step_size, False, precision) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("step_size", [0.5, 0.25])
def test_metropolis_removes_the_bias(step_size):
    assert stationary_variance(step_size, True) == pytest.approx(1.0, rel=0.03)


def test_linear_energy_moves_the_gaussian():
    # exp(a.z) N(0, I) is N(a, I).
    shift = torch.tensor([[1.0, -2.0]])
    layers = [(shift, torch.zeros(1))]
    z = langevin(torch.zeros(5000, 2), layers, n_steps=100, step_size=0.3, seed=2, metropolis=True).z
    np.testing.assert_allclose(z.mean(0), shift[0], atol=4.5 / math.sqrt(5000))
    np.testing.assert_allclose(np.cov(z.T), np.eye(2), atol=0.09)


def test_metropolis_move_is_its_direct_formula():
    """One move written with densities of the two proposals in full, normalising constants and all."""
    model = make_energy(2, 3, (5,), scale=2.0)
    z = torch.randn(300, 2, dtype=torch.float64, requires_grad=True)
    s, ids = 0.4, torch.arange(300)

    def log_density(x):
        return 0.7 * model.energy(x) - 0.5 * 1.5 * x.square().sum(1)

    def proposal_distribution(x):
        (gradient,) = torch.autograd.grad(log_density(x).sum(), x)
        return torch.distributions.Normal(x.detach() + s * gradient, math.sqrt(2 * s))

    forward = proposal_distribution(z)
    noise = philox_normal(4, ids, dim=2, first_step=6, stream=Stream.LANGEVIN)[0].double()
    proposal = (forward.loc + forward.scale * noise).requires_grad_()
    log_ratio = log_density(proposal) - log_density(z)
    log_ratio = log_ratio + proposal_distribution(proposal).log_prob(z).sum(1) - forward.log_prob(proposal).sum(1)
    uniform = philox_uniform(4, ids, dim=1, first_step=6, stream=Stream.METROPOLIS)[0, :, 0].double()
    accept = uniform < log_ratio.exp()
    assert 30 < int(accept.sum()) < 290
    result = langevin(
        z,
        model.layers(),
        n_steps=1,
        step_size=s,
        seed=4,
        first_step=6,
        reference_precision=1.5,
        temper=torch.tensor([0.7]),
        metropolis=True,
    )
    torch.testing.assert_close(result.z, torch.where(accept[:, None], proposal, z).detach())
    assert float(result.acceptance) == pytest.approx(float(accept.double().mean()))
    torch.testing.assert_close(result.log_weights, 0.7 * model.energy(z).detach())


def grid_probabilities(model, labels=None, low=-4.0, high=4.0, n_bins=16, n_fine=10):
    """Probability of each cell of a D = 2 histogram under exp(G) N(0, I), by quadrature."""
    n = n_bins * n_fine
    points = low + (np.arange(n) + 0.5) * (high - low) / n
    grid = torch.tensor(np.stack(np.meshgrid(points, points, indexing="ij"), -1))
    with torch.no_grad():
        energy = model.energy(grid) if labels is None else model.logits(grid)[..., labels]
        density = (energy - 0.5 * grid.square().sum(-1)).exp().numpy()
    cells = density.reshape(n_bins, n_fine, n_bins, n_fine).sum((1, 3))
    return cells / cells.sum()


@pytest.mark.parametrize("label", [None, 2])
def test_histogram_in_two_dimensions_is_the_density(label):
    model = make_energy(2, 3, (8,), scale=2.5, seed=3)
    expected = grid_probabilities(model, label)
    assert expected.max() > 4 * np.sort(expected.ravel())[-60]  # far from flat
    n = 12_000
    z = torch.randn(n, 2, dtype=torch.float64)
    labels = None if label is None else torch.full((n,), label)
    z = langevin(z, model.layers(), n_steps=150, step_size=0.2, seed=1, metropolis=True, labels=labels).z
    counts, _, _ = np.histogram2d(*z.numpy().T, bins=16, range=[[-4, 4], [-4, 4]])
    assert counts.sum() > 0.999 * n
    # Total variation of n exact draws from the cells' probabilities has mean sum sqrt(p / (2 pi n)).
    exact = np.sqrt(expected * (1 - expected) / (2 * np.pi * n)).sum()
    assert 0.5 * np.abs(counts / counts.sum() - expected).sum() < 1.35 * exact


def test_log_weights_of_annealing_estimate_log_z():
    """exp(a.z) under N(0, I) has mean exp(|a|^2 / 2); the weights' mean is unbiased for any schedule."""
    direction = torch.tensor([[1.5, 0.5]], dtype=torch.float64)
    layers = [(direction, torch.tensor([0.25], dtype=torch.float64))]
    z = philox_normal(1, torch.arange(4000), dim=2, stream=Stream.INITIAL)[0].double()
    temper = torch.linspace(0, 1, 21)[1:]
    up = langevin(z, layers, n_steps=20, step_size=0.4, seed=2, metropolis=True, temper=temper)
    log_z = 0.25 + 0.5 * float(direction.square().sum())
    assert float(torch.logsumexp(up.log_weights, 0)) - math.log(4000) == pytest.approx(log_z, abs=0.05)
    exact = z + direction
    down = langevin(
        exact, layers, n_steps=20, step_size=0.4, seed=3, metropolis=True, temper=1 - temper, initial_temper=1.0
    )
    assert math.log(4000) - float(torch.logsumexp(down.log_weights, 0)) == pytest.approx(log_z, abs=0.05)


def test_step_size_per_step():
    model = make_energy()
    z = torch.randn(4, 3, dtype=torch.float64)
    first = langevin(z, model.layers(), n_steps=1, step_size=0.1, seed=1).z
    expected = langevin(first, model.layers(), n_steps=1, step_size=0.02, seed=1, first_step=1).z
    result = langevin(z, model.layers(), n_steps=2, step_size=torch.tensor([0.1, 0.02], dtype=torch.float64), seed=1)
    torch.testing.assert_close(result.z, expected)


def test_states_that_overflow_are_reported():
    layers = [(torch.full((1, 1), 1e30), torch.zeros(1))]
    assert not bool(langevin(torch.ones(2, 1), layers, n_steps=3, step_size=1e20, seed=1).finite)


def test_metropolis_rejects_what_is_not_finite():
    layers = [(torch.full((1, 1), 1e30), torch.zeros(1))]
    result = langevin(torch.ones(2, 1), layers, n_steps=3, step_size=1e20, seed=1, metropolis=True)
    assert bool(result.finite) and torch.equal(result.z, torch.ones(2, 1))


def test_normal_quantiles_after_many_unadjusted_steps():
    # Independent of variance: the whole distribution of the exact stationary Gaussian, by its CDF.
    z = langevin(torch.zeros(5000, 1), constant_layers(1), n_steps=80, step_size=0.4, seed=8).z[:, 0].double()
    uniform = np.sort(ndtr(z.numpy() * math.sqrt(1 - 0.2)))
    distance = np.abs(uniform - (np.arange(5000) + 0.5) / 5000).max()
    assert distance < 1.95 / math.sqrt(5000)  # Kolmogorov-Smirnov, p = .001


def test_autocast_does_not_touch_the_products():
    model = make_energy().float()
    z = torch.randn(4, 3)
    expected = langevin(z, model.layers(), n_steps=2, step_size=0.1, seed=1).z
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(langevin(z, model.layers(), n_steps=2, step_size=0.1, seed=1).z, expected)


WRONG = {
    "n_steps": {"n_steps": 0},
    "step_size": {"step_size": -0.1},
    "step_size ": {"step_size": float("nan")},
    "step_size is of shape": {"step_size": torch.ones(3)},
    "first_step": {"first_step": -1},
    "noise_scale": {"noise_scale": -1.0},
    "noise_scale is 0.5": {"noise_scale": 0.5, "metropolis": True},
    "reference_precision": {"reference_precision": -1.0},
    "temperature": {"temperature": 0.0},
    "temper ": {"temper": torch.ones(3)},
    "activation": {"activation": "relu"},
    "precision": {"precision": "bf16"},
    "labels": {"labels": torch.tensor([0, 4, 1, 1])},
    "labels is torch": {"labels": torch.tensor([0, 1, 1])},
    "chain_ids": {"chain_ids": torch.arange(3)},
    "chain_ids ": {"chain_ids": torch.arange(4, dtype=torch.int32)},
    "bank_indices": {"bank_indices": torch.tensor([0, 4])},
    "bank_indices ": {"bank_indices": torch.tensor([1, 1])},
    "context_shift": {"context_shift": torch.zeros(4, 8, dtype=torch.float64)},
    "z": {"z": torch.zeros(4, 3, dtype=torch.float16)},
    "layers": {"z": torch.zeros(4, 3)},
    r"layers\[0\]": {"z": torch.zeros(4, 2, dtype=torch.float64)},
    "layers is a list of 0": {"layers": []},
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_named(name):
    arguments = {
        "z": torch.zeros(4, 3, dtype=torch.float64),
        "layers": make_energy().layers(),
        "n_steps": 2,
        "step_size": 0.1,
        "seed": 0,
    }
    with pytest.raises(ConfigError, match=f"langevin: {name.strip()}.*expected"):
        langevin(**(arguments | WRONG[name]))


def test_log_density_must_be_one_number_per_chain():
    with pytest.raises(ConfigError, match="log_density"):
        langevin_autograd(torch.zeros(4, 3), lambda z: z.sum(), n_steps=1, step_size=0.1, seed=0)
