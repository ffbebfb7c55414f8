"""Symbols that stand for clusters of sentences: p(y|z) is made anew once in a run, while p(z) stays as it is.

The mutual information asks that symbols be certain and evenly used, not that they be of one kind: a network of two
hidden layers can cut through what belongs together, and symbols that lose early are never used again. Clusters of mu(x)
by k-means know nothing of that network. From them on, learning goes on as before.

This is the project's own; the objective alone is that of regularised information maximisation (Krause et al., NIPS
2010), which likewise starts from k-means.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.errors import DataError
from svebm_ext.prior.conditional import sample_prior
from svebm_ext.prior.groups import SymbolGroups
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.symbols import energy_of, log_symbols_of

#: Training sentences that are clustered, and chains that F is held at, at most; samples of the prior without chains.
MAX_SENTENCES, SAMPLES = 10_000, 1000
#: Iterations that fit the prior to the clusters, z a batch, and the first step size of Adam.
ITERATIONS, BATCH, RATE = 1500, 256, 2e-3


@dataclass(frozen=True)
class Clusters:
    """Mixture of K Gaussians with one diagonal covariance: `log_weights` [K], `centres` [K, D], `variance` [D]."""

    log_weights: Float[Tensor, "K"]
    centres: Float[Tensor, "K D"]
    variance: Float[Tensor, "D"]

    @classmethod
    def fit(
        cls,
        means: Float[Tensor, "N D"],
        z: Float[Tensor, "N D"],
        n_clusters: int,
        seed: int,
        groups: SymbolGroups | None = None,
    ) -> Clusters:
        """k-means of the means; weights and variance are those of the samples z.

        Of fewer distinct means than clusters, some centres are alike. With groups, k-means finds as many as there are,
        the largest for the group with most symbols, and within each of them its symbols.

        Source: scikit-learn's KMeans (k-means++ start).
        """
        from threadpoolctl import threadpool_limits

        # Sums of several threads end differently each time; a resumed run must not.
        with threadpool_limits(1):
            if groups is None:
                centres, members = _k_means(means, n_clusters, seed)
            else:
                centres, members = _k_means_in_groups(means, groups, seed)
        # One more each: no cluster is impossible.
        counts = torch.bincount(members, minlength=n_clusters).to(means) + 1.0
        variance = (z - centres[members]).square().mean(0) + 1e-4
        return cls((counts / counts.sum()).log(), centres, variance)

    def log_responsibilities(self, z: Float[Tensor, "*B D"]) -> Float[Tensor, "*B K"]:
        """log p(k|z)."""
        distance = ((z.unsqueeze(-2) - self.centres).square() / self.variance).sum(-1)
        return (self.log_weights - 0.5 * distance).log_softmax(-1)


def _k_means(means: Float[Tensor, "N D"], n_clusters: int, seed: int) -> tuple[Float[Tensor, "K D"], Int[Tensor, "N"]]:
    """Centres, and the cluster of each mean. Of fewer means than clusters the last centres are that of all."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    n = min(n_clusters, len(means))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct means than clusters
        clustering = KMeans(n, n_init=1, random_state=seed % 2**32).fit(means.double().cpu().numpy())
    centres = torch.as_tensor(clustering.cluster_centers_).to(means)
    members = torch.as_tensor(clustering.labels_, device=means.device).long()
    return torch.cat((centres, means.mean(0).expand(n_clusters - n, -1))), members


def _k_means_in_groups(
    means: Float[Tensor, "N D"], groups: SymbolGroups, seed: int
) -> tuple[Float[Tensor, "K D"], Int[Tensor, "N"]]:
    """The same in two levels: clusters of a group's means are its symbols."""
    coarse_centres, coarse = _k_means(means, groups.n_groups, seed)
    by_size = coarse.bincount(minlength=groups.n_groups).argsort(descending=True, stable=True).tolist()
    centres = means.new_empty(len(groups.of), means.shape[1])
    members = torch.empty_like(coarse)
    for group, number in zip(sorted(groups.members, key=len, reverse=True), by_size, strict=True):
        symbols, rows = torch.tensor(group, device=means.device), (coarse == number).nonzero()[:, 0]
        if len(rows) == 0:  # fewer distinct means than groups
            centres[symbols] = coarse_centres[number]
            continue
        centres[symbols], own = _k_means(means[rows], len(group), seed)
        members[rows] = symbols[own]
    return centres, members


def check_sentences(n_sentences: int, n_symbols: int) -> None:
    """Before a run that will regroup.

    Raises:
        DataError: fewer sentences than symbols.
    """
    if n_sentences < n_symbols:
        raise DataError(
            f"objective.regroup-at: {n_sentences} training sentences for clusters of {n_symbols} symbols "
            "(model.n-categories); expected at least one for each"
        )


@dataclass(frozen=True)
class Encoded:
    """Sentences that are clustered: `rows` [N] in the split, mu(x) and one z of q(z|x) [N, D], context [N, C]."""

    rows: Int[Tensor, "N"]
    means: Float[Tensor, "N D"]
    z: Float[Tensor, "N D"]
    context: Float[Tensor, "N C"] | None


def regroup(
    network: EnergyMLP,
    encoded: Encoded,
    chains: Float[Tensor, "M D"] | None,
    optimiser: torch.optim.Optimizer,
    *,
    seed: int,
    step_size: float,
    groups: SymbolGroups | None = None,
) -> None:
    """Fit p(y|z) of the prior to clusters of mu(x), with F(z) as it was, and let its Adam begin anew.

    Args:
        network: f, changed in place.
        encoded: sentences that are clustered.
        chains: states of persistent chains, where F is held as well; with contexts, row i is that of sentence i. None:
            samples of the prior.
        optimiser: of the prior.
        seed: of the run.
        step_size: s of training, for those samples.
        groups: of the symbols, where they are in two levels.
    """
    negatives = _sampled(network, encoded, seed, step_size) if chains is None else chains
    clusters = Clusters.fit(encoded.means, encoded.z, network.n_categories, seed, groups)
    fit_to_clusters(network, clusters, encoded.z, negatives, encoded.context, seed=seed)
    # Moments alone at 0, with the step count kept, would make the first steps three times as large.
    for parameter in network.parameters():
        optimiser.state.pop(parameter, None)


def _sampled(network: EnergyMLP, encoded: Encoded, seed: int, step_size: float) -> Float[Tensor, "M D"]:
    """z- of the prior; of a prior that depends on a context, one for each sentence."""
    if encoded.context is None:
        return sample_prior(network, SAMPLES, seed=seed, step_size=step_size)
    shift = network.context_shift(encoded.context).detach()
    return sample_prior(network, len(encoded.context), seed=seed, step_size=step_size, context_shift=shift)


def fit_to_clusters(
    network: EnergyMLP,
    clusters: Clusters,
    z: Float[Tensor, "N D"],
    negatives: Float[Tensor, "M D"],
    context: Float[Tensor, "N C"] | None = None,
    *,
    seed: int,
) -> None:
    """Move f so that p(y|z) approaches the clusters' responsibilities at z, and F(z) stays at z and z-.

    The loss is the cross-entropy at z plus the squared change of F at both. The last layer starts at random, since its
    symbols have no more to do with the old ones.

    Args:
        network: f, changed in place.
        clusters: K of them.
        z: of sentences.
        negatives: z- of the prior; with contexts, row i has that of sentence i.
        context: of the sentences, where f depends on one.
        seed: of the minibatches.
    """
    generator = torch.Generator().manual_seed(seed)
    everywhere = torch.cat((z, negatives))
    contexts = None if context is None else torch.cat((context, context))

    def logits(rows: Tensor) -> Tensor:
        return network.logits(everywhere[rows], None if contexts is None else network.context_shift(contexts[rows]))

    with torch.no_grad():
        parts = torch.arange(len(everywhere), device=z.device).split(4096)
        energies = torch.cat([energy_of(logits(part)) for part in parts])
        targets = torch.cat([clusters.log_responsibilities(part).exp() for part in z.split(1024)])
        weight, bias = network.layers()[-1]
        bound = weight.shape[1] ** -0.5
        for parameter in (weight, bias):
            parameter.copy_(torch.rand(parameter.shape, generator=generator).mul_(2 * bound).sub_(bound))
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    for iteration in range(ITERATIONS):
        optimiser.param_groups[0]["lr"] = RATE * (1.0 - iteration / ITERATIONS)
        rows = torch.randint(len(z), (BATCH,), generator=generator)
        others = len(z) + torch.randint(len(negatives), (BATCH // 2,), generator=generator)
        both = torch.cat((rows, others)).to(z.device)
        fitted = logits(both)
        symbols = -(targets[both[:BATCH]] * log_symbols_of(fitted[:BATCH])).sum(-1).mean()
        change = (energy_of(fitted) - energies[both]).square().mean()
        optimiser.zero_grad(set_to_none=True)
        (symbols + change).backward()
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
