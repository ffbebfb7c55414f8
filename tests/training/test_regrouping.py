"""Symbols made anew from clusters of mu(x): what is clustered, what the prior keeps, when it happens."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_runs import tiny_config, write_corpus, write_dialogs
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from svebm_ext.config import Config, DataConfig, ModelConfig, ObjectiveConfig, validate
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.objectives.mutual_information import mutual_information
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.training import loop, regrouping
from svebm_ext.training.regrouping import Clusters, fit_to_clusters
from svebm_ext.training.run import train

K, D = 8, 4
CENTRES = 3.0 * torch.randn(K, D, generator=torch.Generator().manual_seed(0))


def samples(n=1600, spread=0.3, seed=1):
    """Means of K groups, group i mod K of sample i, and z around them."""
    generator = torch.Generator().manual_seed(seed)
    means = CENTRES.repeat(n // K, 1) + 0.05 * torch.randn(n, D, generator=generator)
    return means, means + spread * torch.randn(n, D, generator=generator)


def test_clusters_are_the_groups_and_responsibilities_those_of_the_mixture():
    means, z = samples()
    clusters = Clusters.fit(means, z, K, seed=0)
    distance = torch.cdist(clusters.centres, CENTRES)
    assert sorted(distance.argmin(1).tolist()) == list(range(K)) and float(distance.min(1).values.max()) < 0.05
    torch.testing.assert_close(clusters.variance, torch.full((D,), 0.3**2 + 0.05**2), rtol=0.1, atol=0.0)
    torch.testing.assert_close(clusters.log_weights, torch.full((K,), -math.log(K)))
    x = torch.randn(50, D, dtype=torch.float64)
    exact = Clusters(*(t.double() for t in (clusters.log_weights, clusters.centres, clusters.variance)))
    parts = Independent(Normal(exact.centres, exact.variance.sqrt()), 1)
    whole = MixtureSameFamily(Categorical(logits=exact.log_weights), parts).log_prob(x)
    expected = exact.log_weights + parts.log_prob(x[:, None]) - whole[:, None]
    torch.testing.assert_close(exact.log_responsibilities(x), expected)


def test_the_prior_takes_over_the_groups_and_keeps_its_energy():
    """A prior of which two symbols are alive, so that I(z, y) is at most ln 2, ends near ln K with F as it was."""
    torch.manual_seed(0)
    prior = EnergyMLP(D, K, hidden=(64, 64))
    with torch.no_grad():
        for linear in prior.linears:
            linear.weight.mul_(3.0)
        prior.linears[-1].bias[2:] = -40.0
    means, z = samples()
    chains = torch.randn(500, D, generator=torch.Generator().manual_seed(2))

    def information():
        return float(mutual_information(prior.log_posterior_symbol(z).detach())[0])

    before = information()
    energy, at_chains = prior.energy(z).detach(), prior.energy(chains).detach()
    fit_to_clusters(prior, Clusters.fit(means, z, K, seed=0), z, chains, seed=0)
    symbols = prior.logits(z).argmax(-1).reshape(-1, K)
    agreement = (symbols == symbols.mode(0).values).float().mean()
    assert before < math.log(2) and information() > 0.95 * math.log(K)
    assert len(set(symbols.mode(0).values.tolist())) == K and float(agreement) > 0.99
    for now, then in ((prior.energy(z), energy), (prior.energy(chains), at_chains)):
        error = (now.detach() - then).square().mean().sqrt()
        assert float(error) < 0.15 and float(error) < 0.2 * float(then.std())
    assert all(parameter.grad is None for parameter in prior.parameters())


def test_it_happens_once_at_its_share_of_the_run(tmp_path, monkeypatch):
    config = tiny_config(write_corpus(tmp_path), objective={"mutual_information": 2.0, "regroup_at": 0.3})
    calls = []

    def regroup(model, train, chains, optimiser, *, seed, step):
        calls.append((step, len(train), tuple(chains.shape)))
        before = [p.detach().clone() for p in model.latent.prior.parameters()]
        moments = [optimiser.state[p]["exp_avg_sq"].abs().sum() for p in model.latent.prior.parameters()]
        assert all(m > 0 for m in moments)
        original(model, train, chains, optimiser, seed=seed, step=step)
        assert not any(p in optimiser.state for p in model.latent.prior.parameters())
        assert not any(torch.equal(p, b) for p, b in zip(model.latent.prior.parameters(), before, strict=True))

    original = loop.regroup
    monkeypatch.setattr(loop, "regroup", regroup)
    train(config, tmp_path / "run")
    bank = (config.chains.n_chains, config.model.latent_dim)
    ((step, n_train, chains),) = calls
    assert step == math.ceil(0.3 * config.training.max_steps) and chains == bank and n_train > config.model.n_categories


def watched(monkeypatch):
    """Arguments that `fit_to_clusters` is called with."""
    calls = []

    def fit(prior, clusters, z, chains, context, *, seed):
        calls.append((clusters, z, chains, context))
        original(prior, clusters, z, chains, context, seed=seed)

    original = regrouping.fit_to_clusters
    monkeypatch.setattr(regrouping, "fit_to_clusters", fit)
    return calls


def test_short_runs_hold_the_energy_at_samples_of_the_prior(tmp_path, monkeypatch):
    calls = watched(monkeypatch)
    changes = {"objective": {"mutual_information": 2.0, "regroup_at": 0.3}, "chains": {"mode": "short_run"}}
    config = tiny_config(write_corpus(tmp_path), **changes)
    train(config, tmp_path / "run")
    ((_, _, chains, context),) = calls
    assert chains.shape == (regrouping.SAMPLES, config.model.latent_dim) and context is None


def test_with_contexts_the_energy_is_kept_given_each_of_them():
    torch.manual_seed(0)
    prior = EnergyMLP(D, K, hidden=(64, 64), context_dim=3)
    with torch.no_grad():
        for linear in prior.linears:
            linear.weight.mul_(3.0)
        prior.context.weight.mul_(2.0)
    means, z = samples()
    context, chains = torch.randn(len(z), 3), torch.randn(len(z), D)

    def energy(at):
        return prior.energy(at, prior.context_bias(context)).detach()

    before = energy(z), energy(chains)
    fit_to_clusters(prior, Clusters.fit(means, z, K, seed=0), z, chains, context, seed=0)
    symbols = prior.logits(z, prior.context_bias(context)).argmax(-1).reshape(-1, K)
    assert float((symbols == symbols.mode(0).values).float().mean()) > 0.98
    for now, then in zip((energy(z), energy(chains)), before, strict=True):
        assert float((now - then).square().mean().sqrt()) < 0.25 * float(then.std())


@pytest.mark.parametrize("mode", ["persistent", "short_run"])
def test_turns_of_dialogs_have_their_own_contexts_and_chains(tmp_path, monkeypatch, mode):
    calls = watched(monkeypatch)
    write_dialogs(tmp_path)
    config = tiny_config(tmp_path / "unused", objective={"mutual_information": 2.0, "regroup_at": 0.3})
    config = replace(
        config,
        data=DataConfig(corpus="smd", root=tmp_path),
        model=replace(config.model, kind="dialogs"),
        chains=replace(config.chains, mode=mode),
    )
    train(config, tmp_path / "run")
    ((_, z, chains, context),) = calls
    assert len(chains) == len(z) == len(context) > config.model.n_categories


def test_fewer_sentences_than_symbols_are_told_before_training(tmp_path):
    config = tiny_config(write_corpus(tmp_path), objective={"mutual_information": 2.0, "regroup_at": 0.5})
    config = replace(config, model=replace(config.model, n_categories=1000))
    with pytest.raises(DataError, match=r"training sentences for clusters of 1000 symbols \(model\.n-categories\)"):
        train(config, tmp_path / "run")


@pytest.mark.parametrize(
    ("model", "objective", "named"),
    [
        ({"latent": "gaussian"}, {"regroup_at": 0.5}, "objective.regroup-at: needs sentences or dialogs, and symbols"),
        ({}, {"regroup_at": 0.5, "label_weight": 1.0}, "objective.regroup-at: symbols are classes"),
        ({}, {"regroup_at": 1.5}, "objective.regroup-at"),
    ],
)
def test_what_it_needs_is_told(model, objective, named):
    with pytest.raises(ConfigError, match=named):
        validate(Config(model=ModelConfig(**model), objective=ObjectiveConfig(**objective)))
