"""Samples of the finished prior: their moments by a grid and in closed form, and what addresses them."""

import math

import pytest
import torch

from svebm_ext.errors import ConfigError
from svebm_ext.ops.langevin import langevin
from svebm_ext.ops.philox import Stream, philox_normal
from svebm_ext.prior.conditional import SAMPLE_IDS, sample_in_steps, sample_prior
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.step_sizes import sampling_steps

STEP_SIZE = 0.125


@pytest.fixture
def network():
    torch.manual_seed(1)
    network = EnergyMLP(2, 4, (16,))
    with torch.no_grad():
        for weight, bias in network.layers():
            weight.mul_(2.0)
            bias.normal_()
    return network


@pytest.mark.parametrize("symbol", [None, 0, 3])
def test_samples_have_the_moments_of_the_density_on_a_grid(network, symbol):
    axis = torch.linspace(-6, 6, 401)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        logits = network.logits(grid)
    log_density = logits.logsumexp(-1) if symbol is None else logits[:, symbol]
    weight = (log_density.double() - 0.5 * grid.double().square().sum(-1)).softmax(0)
    mean = weight @ grid.double()
    variance = weight @ (grid.double() - mean).square()
    n = 4000
    z = sample_prior(network, n, seed=5, step_size=STEP_SIZE, symbol=symbol).double()
    # Four standard errors.
    assert ((z.mean(0) - mean).abs() < 0.1).all()
    assert ((z.var(0) / variance - 1).abs() < 0.09).all()


def test_samples_of_a_sharp_prior_are_not_blurred():
    """exp(-5 |z_1|) N(z; 0, I): steps of one size .125 give a mean |z_1| of .50 in place of .186."""
    network = EnergyMLP(2, 1, (2,), "leaky_relu")
    first, second = network.linears
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
        second.weight.fill_(-5.0 / 0.8)  # slopes 1 and -.2 of both units add up to .8 |z_1|
        first.bias.zero_(), second.bias.zero_()
    axis = torch.linspace(0.0, 8.0, 100_001, dtype=torch.float64)
    weight = (-5.0 * axis - axis.square() / 2).softmax(0)
    z = sample_prior(network, 8000, seed=2, step_size=STEP_SIZE).double()
    assert float(z[:, 0].abs().mean()) == pytest.approx(float(weight @ axis), rel=0.12)
    assert float(z[:, 1].var()) == pytest.approx(1.0, abs=0.06)


def test_samples_given_a_context_are_of_its_prior():
    """f_k(z, c) = a_k.z + c_k: p(z|c) is a mixture of N(a_k, I) with weights softmax(c + |a|^2 / 2)."""
    network, slopes = EnergyMLP(2, 2, (), context_dim=2), torch.tensor([[1.2, 0.0], [-0.8, 0.5]])
    with torch.no_grad():
        network.linears[0].weight.copy_(slopes)
        network.linears[0].bias.zero_()
        network.context.weight.copy_(torch.eye(2))
    n = 3000
    for context in ([2.0, 0.0], [0.0, 2.0]):
        shift = network.context_shift(torch.tensor([context]).expand(n, 2)).detach()
        z = sample_prior(network, n, seed=3, step_size=STEP_SIZE, context_shift=shift)
        expected = torch.softmax(torch.tensor(context) + 0.5 * slopes.square().sum(1), 0) @ slopes
        # 4 standard errors of a variable of variance 2, and the bias of steps of .125
        assert (z.mean(0) - expected).abs().max() < 4 * math.sqrt(2 / n) + 0.03


def test_a_sample_depends_on_seed_and_place_alone(network):
    """By the steps written out, from ids that no chain of training has."""
    ids = SAMPLE_IDS + torch.arange(6)
    start = philox_normal(7, ids, dim=2, stream=Stream.INITIAL)[0]
    options = {"n_steps": 500, "step_size": sampling_steps(STEP_SIZE), "seed": 7, "chain_ids": ids}
    expected = langevin(start, network.layers(), **options).z
    found = sample_prior(network, 6, seed=7, step_size=STEP_SIZE)
    assert torch.equal(found, expected)
    torch.testing.assert_close(
        sample_prior(network, 3, seed=7, step_size=STEP_SIZE), expected[:3], rtol=1e-5, atol=1e-5
    )
    other = sample_in_steps(network, 6, seed=7, step_size=0.1, n_steps=3, first_id=0)
    start = philox_normal(7, torch.arange(6), dim=2, stream=Stream.INITIAL)[0]
    assert torch.equal(other, langevin(start, network.layers(), n_steps=3, step_size=0.1, seed=7).z)


@pytest.mark.parametrize("symbol", [-1, 4])
def test_symbols_out_of_range_are_named(network, symbol):
    with pytest.raises(ConfigError, match=rf"symbol: {symbol} is outside 0 \.\. 3"):
        sample_prior(network, 2, seed=0, step_size=STEP_SIZE, symbol=symbol)
