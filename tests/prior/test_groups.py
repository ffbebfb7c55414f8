"""Symbols in two levels: p(c|z), both informations and p(z|c) against closed forms, and what symbols are called."""

import math

import pytest
import torch

from svebm_ext.errors import ConfigError
from svebm_ext.objectives.mutual_information import entropy, mutual_information
from svebm_ext.ops.langevin import langevin
from svebm_ext.prior.conditional import sample_prior
from svebm_ext.prior.groups import SymbolGroups, log_groups_of, only
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.symbols import energy_of, log_symbols_of

GROUPS = SymbolGroups((1, 0, 1, 2, 0, 1))


def logits(B=50, K=6):
    return 3.0 * torch.randn(B, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_probability_of_a_group_is_the_sum_over_its_symbols():
    symbols = logits().softmax(-1)
    expected = torch.stack((symbols[:, [1, 4]].sum(-1), symbols[:, [0, 2, 5]].sum(-1), symbols[:, 3]), dim=-1)
    found = log_groups_of(log_symbols_of(logits()), GROUPS)
    torch.testing.assert_close(found.exp(), expected, rtol=1e-13, atol=0.0)
    torch.testing.assert_close(found.exp().sum(-1), torch.ones(50).double(), rtol=1e-13, atol=0.0)


def test_it_is_finite_with_a_finite_slope_where_a_whole_group_has_no_mass():
    far = torch.tensor([[0.0, -2000.0, -1.0, -3000.0, -2500.0, 0.5]], dtype=torch.float64, requires_grad=True)
    found = log_groups_of(log_symbols_of(far), GROUPS)
    assert found.isfinite().all() and float(found.detach()[0, 0]) == pytest.approx(
        -2000.0 - float(far.detach().logsumexp(-1))
    )
    mutual_information(found)[0].backward()
    assert far.grad is not None and far.grad.isfinite().all()


def test_information_of_groups_is_that_part_of_the_symbols_which_groups_tell():
    """I(z; (c, k)) = I(z; c) + I(z; k | c): the chain rule, each part by its definition."""
    log_symbol = log_symbols_of(logits())
    whole, part = mutual_information(log_symbol)[0], mutual_information(log_groups_of(log_symbol, GROUPS))[0]
    symbols, group = log_symbol.exp(), log_groups_of(log_symbol, GROUPS).exp()
    of = torch.tensor(GROUPS.of)
    mean, mean_group = symbols.mean(0), group.mean(0)
    within = (symbols * ((symbols / group[:, of]).log() - (mean / mean_group[of]).log())).sum(-1).mean()
    direct = (group * (group / mean_group).log()).sum(-1).mean()
    assert float(part) == pytest.approx(float(direct), rel=1e-12)
    assert float(whole) == pytest.approx(float(part + within), rel=1e-12)
    assert 0.0 < float(part) < float(whole) < math.log(6)


def test_certain_symbols_used_evenly_tell_the_entropy_of_their_groups():
    certain = torch.log(torch.eye(6, dtype=torch.float64).clamp_min(1e-300)).repeat(5, 1)
    shares = torch.tensor([2.0, 3.0, 1.0], dtype=torch.float64) / 6
    assert float(mutual_information(log_groups_of(certain, GROUPS))[0]) == pytest.approx(float(entropy(shares)))
    assert float(mutual_information(certain)[0]) == pytest.approx(math.log(6))


@pytest.fixture
def network():
    torch.manual_seed(1)
    network = EnergyMLP(2, 6, (16,))
    with torch.no_grad():
        for weight, bias in network.layers():
            weight.mul_(2.0)
            bias.normal_()
    return network


def test_the_energy_of_some_symbols_is_their_part_of_the_sum(network):
    z = torch.randn(40, 2, generator=torch.Generator().manual_seed(2))
    weight, bias = only(GROUPS.members[1], network.layers())[-1]
    hidden = torch.nn.functional.gelu(network.linears[0](z))
    torch.testing.assert_close(energy_of(hidden @ weight.T + bias), log_groups_of(network.logits(z), GROUPS)[:, 1])


@pytest.mark.parametrize("group", [0, 1])
def test_samples_of_a_group_have_the_moments_of_its_density_on_a_grid(network, group):
    members = GROUPS.members[group]
    axis = torch.linspace(-6, 6, 401)
    grid = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        energy = network.logits(grid)[:, list(members)].logsumexp(-1)
    weight = (energy.double() - 0.5 * grid.double().square().sum(-1)).softmax(0)
    mean = weight @ grid.double()
    variance = weight @ (grid.double() - mean).square()
    z = sample_prior(network, 4000, seed=5, step_size=0.125, symbol=members).double()
    assert ((z.mean(0) - mean).abs() < 0.1).all()  # four standard errors
    assert ((z.var(0) / variance - 1).abs() < 0.09).all()


def test_one_of_several_symbols_is_drawn_as_by_its_number(network):
    one = sample_prior(network, 20, seed=5, step_size=0.125, symbol=3)
    torch.testing.assert_close(sample_prior(network, 20, seed=5, step_size=0.125, symbol=(3,)), one, rtol=0, atol=0)
    torch.testing.assert_close(sample_prior(network, 20, seed=5, step_size=0.125, symbol=[3, 3]), one, rtol=0, atol=0)
    everything = sample_prior(network, 20, seed=5, step_size=0.125)
    torch.testing.assert_close(sample_prior(network, 20, seed=5, step_size=0.125, symbol=range(6)), everything)


@pytest.mark.parametrize("symbol", [(), (0, 6), (-1,), 6])
def test_symbols_that_there_are_not_are_refused(network, symbol):
    with pytest.raises(ConfigError, match="symbol: "):
        sample_prior(network, 2, seed=0, step_size=0.125, symbol=symbol)


def test_kernels_see_the_symbols_of_a_group_alone(network, monkeypatch):
    from svebm_ext.prior import conditional

    seen = []
    monkeypatch.setattr(conditional, "langevin", lambda z, layers, **rest: seen.append((layers, rest)) or langevin(
        z, layers, **rest))  # fmt: skip
    sample_prior(network, 3, seed=0, step_size=0.125, symbol=GROUPS.members[1])
    ((layers, rest),) = seen
    assert layers[-1][0].shape == (3, 16) and rest["labels"] is None and len(layers) == 2


def test_addresses_and_members():
    assert GROUPS.n_groups == 3 and GROUPS.members == ((1, 4), (0, 2, 5), (3,))
    assert [GROUPS.address(k) for k in range(6)] == ["1.0", "0.0", "1.1", "2.0", "0.1", "1.2"]
    assert GROUPS.symbols_at("1") == (0, 2, 5) and GROUPS.symbols_at("1.2") == (5,) and GROUPS.symbols_at("2") == (3,)


@pytest.mark.parametrize("address", ["3", "1.3", "0.2", "-1", "1.", ".1", "one", "1.1.1", "", "9999999999", "1,2"])
def test_an_address_that_there_is_not_is_refused(address):
    with pytest.raises(ConfigError, match="symbol: "):
        GROUPS.symbols_at(address)


def test_addresses_of_large_groups_differ_as_numbers_too():
    groups = SymbolGroups(tuple([0] * 25 + [1]))
    names = [groups.address(k) for k in range(26)]
    assert names[:3] == ["0.00", "0.01", "0.02"] and names[25] == "1.00"
    assert len({float(name) for name in names}) == 26  # as a table of numbers has them
    assert all(groups.symbols_at(name) == (k,) for k, name in enumerate(names))
    assert groups.symbols_at("0.7") == (7,) and groups.symbols_at("0.0") == (0,)
    with pytest.raises(ConfigError, match=r"0\.02, 0\.20"):
        groups.symbols_at("0.2")  # 0.20 may have lost its zero


@pytest.mark.parametrize("of", [(), (1, 2), (0, 2), (0, -1), (0, 10**12)])
def test_a_partition_has_no_empty_group(of):
    with pytest.raises(ConfigError, match="groups: "):
        SymbolGroups(of)


@pytest.mark.parametrize(("n_symbols", "n_groups"), [(6, 3), (7, 3), (5, 5), (4, 1), (125, 12)])
def test_even_groups_follow_each_other(n_symbols, n_groups):
    groups = SymbolGroups.even(n_symbols, n_groups)
    sizes = list(map(len, groups.members))
    assert groups.n_groups == n_groups and sum(sizes) == n_symbols and max(sizes) - min(sizes) <= 1
    assert list(groups.of) == sorted(groups.of)
