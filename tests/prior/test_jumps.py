"""Moves between modes: the rule by hand, and shares of modes against their closed form."""

import math

import pytest
import torch

from svebm_ext.prior.chain_bank import ChainBank
from svebm_ext.prior.conditional import sample_adjusted, sample_in_steps
from svebm_ext.prior.jumps import N_PROPOSALS, jumped
from svebm_ext.prior.network import EnergyMLP


def test_proposals_are_taken_in_turn():
    """Accepted where u < exp(F(z') - F(z)), with F of the state that the chain has by then."""
    z, energy = torch.zeros(1, 1), torch.tensor([1.0])
    proposals, energies = torch.tensor([[[1.0], [2.0], [3.0]]]), torch.tensor([[0.0, 3.0, 2.0]])
    for uniforms, expected in (
        ([0.36, 0.99, 0.36], 3.0),  # exp(-1) = 0.368: each is accepted
        ([0.38, 0.99, 0.38], 2.0),  # neither the first nor the third is
        ([0.38, 0.99, 0.36], 3.0),
    ):
        assert float(jumped(z, energy, proposals, energies, torch.tensor([uniforms]))) == expected
    assert float(jumped(z, torch.tensor([9.0]), proposals, energies, torch.full((1, 3), 0.5))) == 0.0


def two_modes(height):
    """exp(F) N(z; 0, 1) of one dimension, F = height on one side of 0 and a valley of -8 at 0, nearly a step."""
    network = EnergyMLP(1, 1, (3,), "tanh")
    first, second = network.linears
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[8.0], [8.0], [8.0]]))
        first.bias.copy_(torch.tensor([0.0, 4.0, -4.0]))
        second.weight.copy_(torch.tensor([[0.5 * height, -6.0, 6.0]]))
        second.bias.zero_()
    return network


def share_right_of_0(network):
    """By quadrature."""
    axis = torch.linspace(-8, 8, 40_001)
    with torch.no_grad():
        weight = (network.energy(axis[:, None]).double() - 0.5 * axis.double().square()).softmax(0)
    return float(weight[axis > 0].sum())


def test_adjusted_samples_have_the_weights_of_the_modes():
    network, n = two_modes(1.5), 4000
    expected = share_right_of_0(network)
    assert 0.75 < expected < 0.9
    z = sample_adjusted(network, n, seed=3, step_size=0.05, n_rounds=12)[:, 0]
    assert float((z > 0).float().mean()) == pytest.approx(expected, abs=4 * math.sqrt(0.2 * 0.8 / n))
    alone = sample_in_steps(network, n, seed=3, step_size=0.005, n_steps=240)[:, 0]
    assert abs(float((alone > 0).float().mean()) - expected) > 0.1  # few cross the valley
    assert torch.equal(z, sample_adjusted(network, n, seed=3, step_size=0.05, n_rounds=12)[:, 0])
    assert not torch.equal(z, sample_adjusted(network, n, seed=4, step_size=0.05, n_rounds=12)[:, 0])


def test_chains_of_a_bank_jump_where_the_energy_is_known():
    """Chains that all begin in the smaller mode have the weights of both in the end; without jumps they stay."""
    network = two_modes(1.5)
    shares = {}
    for energy in (None, network.energy):
        bank = ChainBank(2000, 1, seed=5, n_steps=2, step_size=0.002)
        bank.states = -bank.states.abs() - 0.5
        for step in range(12):
            fraction = 0.0 if energy is None else 1.0
            bank.advance(network.layers(), step, 2000, restart_fraction=fraction, energy=energy, activation="tanh")
        shares[energy is None] = float((bank.states > 0).float().mean())
    assert shares[True] < 0.02
    assert shares[False] == pytest.approx(share_right_of_0(network), abs=4 * math.sqrt(0.2 * 0.8 / 2000))


def test_the_share_of_chains_that_propose():
    """Under a flat energy every proposal is accepted: as many chains start anew as propose to."""
    network = EnergyMLP(2, 1, (4,))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    bank = ChainBank(2000, 2, seed=1, n_steps=1, step_size=1e-8)
    before = bank.states.clone()
    bank.advance(network.layers(), 0, 2000, restart_fraction=0.3, energy=network.energy)
    moved = (bank.states - before).abs().amax(1) > 1e-2
    assert float(moved.float().mean()) == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / 2000) + 0.01)
    assert N_PROPOSALS > 1
