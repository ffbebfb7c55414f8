"""Short runs: fresh at each iteration, from p0, without a state."""

import numpy as np
import pytest
import torch

from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.prior.chain_bank import ChainBank
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.short_run import ShortRun


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return EnergyMLP(3, 4, (8,)).layers()


def test_short_runs_are_fresh_at_each_iteration(layers):
    chains = ShortRun(3, seed=1, n_steps=4, step_size=0.1)
    first, second = chains.advance(layers, 0, 6), chains.advance(layers, 1, 6)
    assert (first - second).abs().min() > 1e-6
    assert torch.equal(ShortRun(3, seed=1, n_steps=4, step_size=0.1).advance(layers, 1, 6), second)


def test_short_run_from_the_reference_with_flat_energy_stays_there():
    flat = [(torch.zeros(1, 2), torch.zeros(1))]
    z = ShortRun(2, seed=1, n_steps=10, step_size=0.01).advance(flat, 5, 4000)
    np.testing.assert_allclose(np.cov(z.T), np.eye(2), atol=0.1)


def test_persistent_chains_reach_a_mode_that_short_runs_cannot():
    # exp(8 z) N(0, 1) is N(8, 1): 5 steps of .05 cover 23 % of the way, 40 visits of them all of it.
    shifted = [(torch.tensor([[8.0]]), torch.zeros(1))]
    bank = ChainBank(200, 1, seed=1, n_steps=5, step_size=0.05)
    for step in range(40):
        z = bank.advance(shifted, step, 200)
    short = ShortRun(1, seed=1, n_steps=5, step_size=0.05).advance(shifted, 0, 200)
    assert float(z.mean()) == pytest.approx(8, abs=0.3)
    assert float(short.mean()) == pytest.approx(8 * (1 - 0.95**5), abs=0.3)


def test_what_short_runs_refuse(layers):
    with pytest.raises(ModelFolderError, match="short-run"):
        ShortRun(3, seed=1).load_state_dict(ChainBank(6, 3, seed=1).state_dict())
    with pytest.raises(ConfigError, match="dimension 0"):
        ShortRun(0, seed=1)
    assert ShortRun(3, seed=1).advance(layers, 0, 0).shape == (0, 3)
    assert ShortRun(3, seed=1).state_dict() == {}
