"""Symbols made anew from clusters of mu(x): what is clustered, and what the prior keeps."""

import math

import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from svebm_ext.objectives.mutual_information import mutual_information
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.regrouping import Clusters, fit_to_clusters

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
        return prior.energy(at, prior.context_shift(context)).detach()

    before = energy(z), energy(chains)
    fit_to_clusters(prior, Clusters.fit(means, z, K, seed=0), z, chains, context, seed=0)
    symbols = prior.logits(z, prior.context_shift(context)).argmax(-1).reshape(-1, K)
    assert float((symbols == symbols.mode(0).values).float().mean()) > 0.98
    for now, then in zip((energy(z), energy(chains)), before, strict=True):
        assert float((now - then).square().mean().sqrt()) < 0.25 * float(then.std())
