"""The chain bank: selection, write-back, restarts, resuming."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from thread_processes import in_processes

from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.models.tensor_files import read_tensors, write_tensors
from svebm_ext.ops.langevin import langevin
from svebm_ext.ops.philox import Stream, philox_uniform
from svebm_ext.prior import chain_bank
from svebm_ext.prior.chain_bank import ChainBank
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.processes import ALONE


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return EnergyMLP(3, 4, (8,)).layers()


def test_initial_states_are_standard_normal():
    states = ChainBank(4000, 3, seed=1).states
    assert states.shape == (4000, 3)
    np.testing.assert_allclose(states.mean(0), 0, atol=4.5 / math.sqrt(4000))
    np.testing.assert_allclose(np.cov(states.T), np.eye(3), atol=4.5 * math.sqrt(2 / 4000))
    assert torch.equal(ChainBank(10, 3, seed=1).states, states[:10])  # by global id, whatever the bank's size


@settings(max_examples=40)
@given(n_chains=st.integers(1, 50), data=st.data(), step=st.integers(0, 10**6))
def test_selection_is_without_replacement_and_pure(n_chains, data, step):
    bank = ChainBank(n_chains, 2, seed=3)
    m = data.draw(st.integers(0, n_chains))
    chosen = bank.select(step, m)
    assert len(chosen) == m == len(set(chosen.tolist())) and all(0 <= row < n_chains for row in chosen.tolist())
    assert torch.equal(ChainBank(n_chains, 2, seed=3).select(step, m), chosen)


def test_selection_is_uniform_over_chains_and_pairs():
    bank, n, L, m = ChainBank(12, 2, seed=5), 3000, 12, 4
    taken = np.zeros((n, L))
    for step in range(n):
        taken[step, bank.select(step, m).numpy()] = 1
    expected = n * m / L
    deviation = math.sqrt(n * (m / L) * (1 - m / L))
    assert np.abs(taken.sum(0) - expected).max() < 4 * deviation
    pairs = (taken.T @ taken)[np.triu_indices(L, 1)]
    pair_probability = m * (m - 1) / (L * (L - 1))
    assert np.abs(pairs - n * pair_probability).max() < 4.3 * math.sqrt(n * pair_probability)
    # Successive choices are independent: the overlap is hypergeometric, mean m^2 / L.
    overlap = (taken[1:] * taken[:-1]).sum(1).mean()
    assert overlap == pytest.approx(m * m / L, abs=4 * 0.8 / math.sqrt(n))


def test_chains_start_again_at_given_states(layers):
    starts = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    bank = ChainBank(20, 3, seed=2, n_steps=5, step_size=0.1, restart_fraction=1.0)
    chosen = bank.select(7, 6)
    found = bank.advance(layers, 7, 6, starts=starts)
    rows = starts[[0, 1, 2, 3, 0, 1]]  # fewer states than chains are used in turn
    expected = langevin(rows, layers, n_steps=5, step_size=0.1, seed=2, chain_ids=chosen).z
    torch.testing.assert_close(found, expected)
    some = ChainBank(2000, 3, seed=2, n_steps=1, step_size=1e-6, restart_fraction=0.3)
    before = some.states.clone()
    far = some.advance(layers, 7, 2000, starts=torch.full((1, 3), 50.0))
    again = (far > 40).all(1)
    assert again.float().mean() == pytest.approx(0.3, abs=4 * math.sqrt(0.3 * 0.7 / 2000))
    torch.testing.assert_close(far[~again], before[some.select(7, 2000)][~again], atol=0.02, rtol=0)


def test_chosen_chains_are_advanced_and_written_back(layers):
    bank = ChainBank(20, 3, seed=2, n_steps=5, step_size=0.1)
    before, chosen = bank.states.clone(), bank.select(7, 6)
    z = bank.advance(layers, 7, 6)
    expected = langevin(before[chosen], layers, n_steps=5, step_size=0.1, seed=2, chain_ids=chosen).z
    assert torch.equal(z, expected) and torch.equal(bank.states[chosen], z)
    others = [row for row in range(20) if row not in chosen.tolist()]
    assert torch.equal(bank.states[others], before[others])
    z.zero_()
    assert bool((bank.states[chosen] != 0).all())  # the caller's samples are not a view of the bank


def test_noise_is_never_used_twice(layers):
    """Two visits of the same chain, with another S in between, draw different noise."""
    zero = [(torch.zeros(1, 3), torch.zeros(1))]
    bank = ChainBank(4, 3, seed=2, n_steps=1, step_size=0.5)
    increments = []
    for step, n_steps in enumerate((1, 3, 1, 1)):
        before = bank.states.clone()
        bank.advance(zero, step, 4, n_steps=n_steps)
        if n_steps == 1:
            increments.append((bank.states - 0.5 * before).flatten())  # z' - (1 - s) z is sqrt(2 s) e
    assert bank.noise_step == 6
    for i in range(3):
        for j in range(i):
            assert (increments[i] - increments[j]).abs().min() > 1e-6


def test_restart_fraction_is_the_share_that_starts_again(layers):
    L, m, n = 50, 50, 200
    bank = ChainBank(L, 3, seed=4, n_steps=1, step_size=1e-12)  # chains stand still unless they are redrawn
    moved, fresh = 0, []
    for step in range(n):
        before = bank.states.clone()
        bank.advance(layers, step, m, restart_fraction=0.1)
        rows = (bank.states - before).abs().amax(1) > 1e-4
        moved += int(rows.sum())
        fresh.append(bank.states[rows])
    assert moved == pytest.approx(0.1 * n * m, abs=4 * math.sqrt(n * m * 0.09))
    drawn = torch.cat(fresh)
    assert len(torch.unique(drawn[:, 0])) > 0.99 * len(drawn)
    np.testing.assert_allclose(drawn.var(0), 1, atol=0.2)
    before = bank.states.clone()
    bank.advance(layers, 3, m, restart_fraction=0.0)
    torch.testing.assert_close(bank.states, before, atol=1e-4, rtol=0)


def test_resuming_from_a_checkpoint_is_exact(layers):
    def new():
        return ChainBank(16, 3, seed=9, n_steps=3, step_size=0.1, restart_fraction=0.2)

    whole, first = new(), new()
    for step in range(6):
        whole.advance(layers, step, 5)
    for step in range(3):
        first.advance(layers, step, 5)
    state = first.state_dict()
    first.advance(layers, 3, 5)  # the saved state must not move with the bank
    resumed = new()
    resumed.load_state_dict(state)
    for step in range(3, 6):
        resumed.advance(layers, step, 5)
    assert torch.equal(resumed.states, whole.states) and resumed.noise_step == whole.noise_step


def test_options_out_of_range_are_named(layers):
    with pytest.raises(ConfigError, match="bank of 5"):
        ChainBank(5, 3, seed=1).advance(layers, 0, 6)
    with pytest.raises(ConfigError, match="restart_fraction"):
        ChainBank(5, 3, seed=1, restart_fraction=1.5)
    with pytest.raises(ConfigError, match="at least 1"):
        ChainBank(0, 3, seed=1)
    with pytest.raises(ModelFolderError, match=r"'states': \(\(5, 3\), torch.float32\)"):
        ChainBank(5, 3, seed=1).load_state_dict(ChainBank(6, 3, seed=1).state_dict())


def test_a_batch_of_no_chains(layers):
    assert ChainBank(5, 3, seed=1).advance(layers, 0, 0).shape == (0, 3)


def sharp():
    """exp(-20 |z|) N(z; 0, 1) of one dimension: |z| has the mean 0.0498, and steps of .05 are far too large for it."""
    network = EnergyMLP(1, 1, (2,), "leaky_relu")
    first, second = network.linears
    with torch.no_grad():
        first.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        second.weight.fill_(-20.0 / 0.8)  # slopes 1 and -.2 of both units add up to .8 |z|
        first.bias.zero_(), second.bias.zero_()
    return network


def test_adjusted_chains_sample_a_sharp_prior_and_their_steps_follow_it():
    axis = torch.linspace(0.0, 4.0, 400_001, dtype=torch.float64)
    expected = float((-20.0 * axis - axis.square() / 2).softmax(0) @ axis)
    found = {}
    for metropolis in (False, True):
        network, bank = sharp(), ChainBank(1500, 1, seed=3, n_steps=10, step_size=0.05, metropolis=metropolis)
        for step in range(120):
            z = bank.advance(network.layers(), step, 1500, **network.langevin_options)
        found[metropolis] = float(z.abs().mean())
        assert (bank.step_size == 0.05) != metropolis
    assert found[True] == pytest.approx(expected, rel=4 / math.sqrt(1500))  # |z| has a deviation of about its mean
    assert found[False] > 3 * expected
    assert bank.step_size < 0.01 and bank.acceptance == pytest.approx(0.574, abs=0.05)


def test_steps_of_adjusted_chains_are_taken_up(layers):
    def new():
        return ChainBank(16, 3, seed=9, n_steps=3, step_size=0.3, metropolis=True)

    whole, first, resumed = new(), new(), new()
    for step in range(6):
        whole.advance(layers, step, 5)
    for step in range(3):
        first.advance(layers, step, 5)
    assert first.step_size != 0.3
    resumed.load_state_dict(first.state_dict())
    assert resumed.step_size == first.step_size
    for step in range(3, 6):
        resumed.advance(layers, step, 5)
    assert torch.equal(resumed.states, whole.states) and resumed.step_size == whole.step_size
    for state in (
        ChainBank(16, 3, seed=9).state_dict(),
        whole.state_dict() | {"step_size": torch.tensor(9.0).double()},
    ):
        with pytest.raises(ModelFolderError, match=r"step_size"):
            new().load_state_dict(state)


def test_processes_share_the_size_of_adjusted_steps(layers):
    """It follows the acceptance of all chains, also where the processes have not equally many."""

    def step_size(processes):
        bank = ChainBank(9, 3, seed=4, n_steps=3, step_size=0.3, metropolis=True, processes=processes)
        bank.advance(layers, 0, 7)
        return bank.step_size

    expected = step_size(ALONE)
    assert in_processes(2, step_size) == [pytest.approx(expected, rel=1e-6)] * 2 and expected != 0.3


@pytest.mark.parametrize("n", [1, 3, 7])
def test_a_bank_is_saved_by_some_processes_and_read_by_any_number(layers, n, tmp_path):
    """Each holds a block; the file is that of one process, and each of another number takes its own block of it."""

    def save(processes):
        bank = ChainBank(5, 3, seed=4, n_steps=3, metropolis=True, processes=processes)
        bank.advance(layers, 0, 5)
        state = bank.state_dict()
        if processes.world_size > 1 and not processes.is_main:
            state["states"].serve()
            return
        path = tmp_path / f"{processes.world_size}.safetensors"
        write_tensors(path, state, {"format": "bank"})
        if processes.world_size > 1:
            state["states"].end()

    save(ALONE)
    expected, _ = read_tensors(tmp_path / "1.safetensors")
    in_processes(n, save)
    held, texts = read_tensors(tmp_path / f"{n}.safetensors")
    assert texts["format"] == "bank" and held.keys() == expected.keys() == {"states", "noise_step", "step_size"}
    for name, tensor in held.items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-5, atol=1e-6)

    def load(processes):
        bank = ChainBank(5, 3, seed=9, n_steps=3, metropolis=True, processes=processes)
        bank.load_state_dict(held)
        return bank.states, bank.noise_step, bank.step_size, bank.states_of(torch.tensor([4, 0]))

    parts = in_processes(2, load)
    assert torch.equal(torch.cat([part[0] for part in parts]), held["states"])
    for _, noise_step, step_size, asked in parts:
        assert noise_step == 3 and step_size == float(held["step_size"])
        assert torch.equal(asked, held["states"][[4, 0]])


def test_a_choice_among_many_chains_is_that_of_all_at_once(monkeypatch):
    """The chains with the m smallest numbers, in the order of these, however many are looked at together."""
    expected = ChainBank(1000, 2, seed=3).select(5, 40)
    monkeypatch.setattr(chain_bank, "CHOSEN_AMONG", 64)
    assert torch.equal(ChainBank(1000, 2, seed=3).select(5, 40), expected)
    numbers = philox_uniform(3, torch.arange(1000), dim=2, first_step=5, stream=Stream.SELECTION)[0, :, 0]
    assert torch.equal(numbers.argsort(stable=True)[:40], expected)
