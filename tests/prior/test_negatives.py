"""Sources of z-: each against Langevin steps by hand, alone and shared by processes; which one a run has."""

from dataclasses import dataclass, replace

import pytest
import torch
from thread_processes import in_processes

from svebm_ext.config import ChainConfig
from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.ops.langevin import langevin
from svebm_ext.ops.philox import Stream, philox_normal
from svebm_ext.prior.chain_bank import ChainBank
from svebm_ext.prior.negatives import (
    FromContexts,
    FromPrior,
    NegativeSource,
    RestartedAtPosterior,
    make_sampler,
    source_of_negatives,
)
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.short_run import RUN_STRIDE
from svebm_ext.processes import ALONE

CHAINS = ChainConfig(n_chains=12, n_steps=4, step_size=0.1, restart_fraction=0.0)
EXAMPLES = torch.tensor([7, 2, 9])


@dataclass
class Passed:
    """A pass over a batch."""

    z: torch.Tensor
    context: torch.Tensor | None = None


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return EnergyMLP(3, 4, (8,)).layers()


@pytest.fixture
def network():
    """f with a steep energy, so that another activation or other parameters are seen."""
    torch.manual_seed(0)
    return sharp(EnergyMLP(3, 4, (8,), "leaky_relu", 0.3))


@pytest.fixture
def conditional():
    torch.manual_seed(0)
    return sharp(EnergyMLP(3, 4, (8,), context_dim=2))


def sharp(network):
    with torch.no_grad():
        for linear in network.linears:
            linear.weight.mul_(4.0)
    return network


def source(network, processes=ALONE, **changes):
    chains = replace(CHAINS, **changes)
    return source_of_negatives(network, chains, seed=5, processes=processes, n_examples=20)


def moved(z, network, ids, **options):
    """Four steps by hand."""
    options = {"activation": network.activation, "negative_slope": network.negative_slope} | options
    return langevin(z, network.layers(), n_steps=4, step_size=0.1, seed=5, chain_ids=ids, **options).z


@pytest.mark.parametrize(("per_iteration", "m"), [(0, 3), (8, 8)])
def test_from_the_bank(network, per_iteration, m):
    """m chains chosen at random, moved by the prior as it is at the call, and written back."""
    negatives = source(network, per_iteration=per_iteration)
    before, chosen = negatives.bank.states.clone(), negatives.bank.select(3, m)
    with torch.no_grad():
        network.linears[0].bias.add_(0.5)  # the prior has learnt since
    z = negatives.at(3, EXAMPLES)
    assert torch.equal(z, moved(before[chosen], network, chosen))
    assert torch.equal(negatives.bank.states[chosen], z) and not z.requires_grad
    assert int((negatives.bank.states != before).any(1).sum()) == m


def test_adjusted_chains_propose_to_start_again(network):
    """The bank is told the prior's F, so that a restart leaves p(z) as it is; chains of contexts F of each context."""
    negatives = source(network, metropolis=True, restart_fraction=1.0)
    same = make_sampler(replace(CHAINS, metropolis=True, restart_fraction=1.0), 3, seed=5)
    expected = same.advance(network.layers(), 3, 3, energy=network.energy, **network.langevin_options)
    assert torch.equal(negatives.at(3, EXAMPLES), expected)
    assert negatives.bank.step_size == same.step_size != CHAINS.step_size


def test_adjusted_chains_of_contexts(conditional):
    negatives = source(conditional, metropolis=True, restart_fraction=1.0)
    context = torch.randn(3, 2, generator=torch.Generator().manual_seed(1))
    shift = conditional.context_shift(context).detach()
    same = make_sampler(replace(CHAINS, metropolis=True, restart_fraction=1.0, n_chains=20), 3, seed=5)
    expected = same.advance(
        conditional.layers(), 3, 3, chosen=EXAMPLES, context_shift=shift,
        energy=lambda z: conditional.energy(z, shift.expand(len(z), 3, 8)), **conditional.langevin_options,
    )  # fmt: skip
    assert torch.equal(negatives.at(3, EXAMPLES)(Passed(torch.zeros(3, 3), context)), expected)


def test_from_short_runs(network):
    negatives = source(network, mode="short_run")
    ids = 3 * RUN_STRIDE + torch.arange(3)
    start = philox_normal(5, ids, dim=3, stream=Stream.INITIAL)[0]
    assert torch.equal(negatives.at(3, EXAMPLES), moved(start, network, ids))
    assert negatives.bank is None and negatives.state_dict() == {}


def test_restarted_at_the_posterior(network):
    """Chains start again at z of the batch, which has no gradient from there."""
    negatives = source(network, restart_from="posterior", restart_fraction=1.0)
    z = torch.randn(3, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
    chosen = negatives.bank.select(3, 3)
    before = negatives.bank.states.clone()
    make = negatives.at(3, EXAMPLES)
    assert torch.equal(negatives.bank.states, before)  # nothing is known before the pass
    found = make(Passed(z))
    assert torch.equal(found, moved(z.detach(), network, chosen)) and not found.requires_grad


def test_each_context_has_its_chain(conditional):
    """Chains of the batch's examples, moved by the prior given each one's context; c gets no gradient."""
    negatives = source(conditional)
    assert len(negatives.bank) == 20  # as many as examples, whatever the configuration has
    before = negatives.bank.states.clone()
    context = torch.randn(3, 2, generator=torch.Generator().manual_seed(1)).requires_grad_()
    found = negatives.at(3, EXAMPLES)(Passed(torch.zeros(3, 3), context))
    shift = conditional.context_shift(context).detach()
    assert (
        torch.equal(found, moved(before[EXAMPLES], conditional, EXAMPLES, context_shift=shift))
        and not found.requires_grad
    )
    assert not torch.allclose(found, moved(before[EXAMPLES], conditional, EXAMPLES))
    assert (negatives.bank.states != before).any(1).nonzero()[:, 0].tolist() == sorted(EXAMPLES.tolist())
    with pytest.raises(ConfigError, match="the batch has none"):
        negatives.at(4, EXAMPLES)(Passed(torch.zeros(3, 3)))


def test_short_runs_of_contexts(conditional):
    negatives = source(conditional, mode="short_run")
    context = torch.randn(3, 2, generator=torch.Generator().manual_seed(1))
    ids = 3 * RUN_STRIDE + torch.arange(3)
    start = philox_normal(5, ids, dim=3, stream=Stream.INITIAL)[0]
    found = negatives.at(3, EXAMPLES)(Passed(torch.zeros(3, 3), context))
    assert torch.equal(found, moved(start, conditional, ids, context_shift=conditional.context_shift(context).detach()))


@pytest.mark.parametrize(
    ("changes", "has_context", "kind"),
    [
        ({}, False, FromPrior),
        ({"mode": "short_run"}, False, FromPrior),
        ({"restart_from": "posterior"}, False, RestartedAtPosterior),
        ({}, True, FromContexts),
        ({"mode": "short_run"}, True, FromContexts),
    ],
)
def test_what_a_run_has(network, conditional, changes, has_context, kind):
    negatives = source(conditional if has_context else network, **changes)
    assert type(negatives) is kind and isinstance(negatives, NegativeSource)
    assert isinstance(negatives.sampler, ChainBank) == (changes.get("mode") != "short_run")


def test_the_state_is_that_of_the_bank(network):
    first, second = source(network), source(network)
    first.at(0, EXAMPLES)
    second.load_state_dict(first.state_dict())
    assert set(first.state_dict()) == {"states", "noise_step"}
    assert torch.equal(first.at(1, EXAMPLES), second.at(1, EXAMPLES))
    with pytest.raises(ModelFolderError, match="short-run"):
        source(network, mode="short_run").load_state_dict(first.state_dict())


@pytest.mark.parametrize("changes", [{}, {"restart_from": "posterior"}, {"metropolis": True}, {"mode": "short_run"}])
@pytest.mark.parametrize("per_iteration", [0, 7])
def test_processes_have_every_other_of_them(network, changes, per_iteration):
    """Three processes with one batch between them: together the z- of one, each its own third, iteration after
    iteration, also where chains start again at z+ of the whole batch."""
    changes = {"restart_fraction": 0.5, "per_iteration": per_iteration} | changes
    examples = torch.arange(5)
    z = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))

    def two_iterations(processes):
        negatives = source(network, processes, **changes)
        found = [of_pass(negatives.at(step, examples), processes.own(z)) for step in (3, 4)]
        return found, None if negatives.bank is None else negatives.bank.states

    expected, states = two_iterations(ALONE)
    results = in_processes(3, two_iterations)
    for step, whole in enumerate(expected):
        assert len(whole) == (per_iteration or 5)
        for rank in range(3):
            torch.testing.assert_close(results[rank][0][step], whole[rank::3], rtol=1e-4, atol=1e-5)
    if states is not None:
        assert [len(held) for _, held in results] == [4, 4, 4]  # of twelve chains, nobody has more than a share
        torch.testing.assert_close(torch.cat([held for _, held in results]), states, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("mode", ["persistent", "short_run"])
def test_processes_move_chains_of_contexts_that_others_hold(conditional, mode):
    context = torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    examples = torch.tensor([19, 0, 7, 12, 3])

    def two_iterations(processes):
        negatives = source(conditional, processes, mode=mode, restart_fraction=0.5)
        passed = Passed(torch.zeros(len(processes.own(examples)), 3), processes.own(context))
        found = [negatives.at(step, examples)(passed) for step in (3, 4)]
        return found, None if negatives.bank is None else negatives.bank.states

    expected, states = two_iterations(ALONE)
    results = in_processes(2, two_iterations)
    for step, whole in enumerate(expected):
        for rank in range(2):
            torch.testing.assert_close(results[rank][0][step], whole[rank::2], rtol=1e-4, atol=1e-5)
    if states is not None:
        torch.testing.assert_close(torch.cat([held for _, held in results]), states, rtol=1e-4, atol=1e-5)


def of_pass(negatives, z):
    return negatives(Passed(z)) if callable(negatives) else negatives


@pytest.mark.parametrize("mode", ["persistent", "short_run"])
def test_steps_that_fall_are_those_of_the_sampler(layers, mode):
    config = ChainConfig(mode=mode, n_chains=6, n_steps=4, step_size=0.16, final_step_size=0.02, restart_fraction=0.0)
    chains, same = make_sampler(config, 3, seed=4), make_sampler(config, 3, seed=4)
    sizes = torch.tensor([0.16, 0.08, 0.04, 0.02])
    torch.testing.assert_close(chains.step_size, sizes)
    torch.testing.assert_close(chains.advance(layers, 1, 6), same.advance(layers, 1, 6, step_size=sizes))
    constant = make_sampler(replace(config, final_step_size=0.0), 3, seed=4)
    assert constant.step_size == 0.16
