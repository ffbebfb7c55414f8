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

from svebm_ext.data.batching import EncodedSplit
from svebm_ext.errors import DataError
from svebm_ext.latents.conditional import ConditionalEnergyLatent
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.latents.gaussian import ConditionalPosterior
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.randomness import Draw
from svebm_ext.training.encoding import posteriors_of

#: Training sentences that are clustered, at most; samples of the prior where there is no bank of chains.
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
    def fit(cls, means: Float[Tensor, "N D"], z: Float[Tensor, "N D"], n_clusters: int, seed: int) -> Clusters:
        """k-means of the means; weights and variance are those of the samples z.

        Of fewer distinct means than clusters, some centres are alike.

        Source: scikit-learn's KMeans (k-means++ start).
        """
        from sklearn.cluster import KMeans
        from sklearn.exceptions import ConvergenceWarning
        from threadpoolctl import threadpool_limits

        # Sums of several threads end differently each time; a resumed run must not.
        with threadpool_limits(1), warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct means than clusters
            found = KMeans(n_clusters, n_init=1, random_state=seed % 2**32).fit(means.double().cpu().numpy())
        centres = torch.as_tensor(found.cluster_centers_).to(means)
        members = torch.as_tensor(found.labels_, device=means.device).long()
        # One more each: no cluster is impossible.
        counts = torch.bincount(members, minlength=n_clusters).to(means) + 1.0
        variance = (z - centres[members]).square().mean(0) + 1e-4
        return cls((counts / counts.sum()).log(), centres, variance)

    def log_responsibilities(self, z: Float[Tensor, "*B D"]) -> Float[Tensor, "*B K"]:
        """log p(k|z)."""
        distance = ((z.unsqueeze(-2) - self.centres).square() / self.variance).sum(-1)
        return (self.log_weights - 0.5 * distance).log_softmax(-1)


def check_sentences(train: EncodedSplit, n_symbols: int) -> None:
    """Before a run that will regroup.

    Raises:
        DataError: fewer sentences than symbols.
    """
    if len(train) < n_symbols:
        raise DataError(
            f"objective.regroup-at: {len(train)} training sentences for clusters of {n_symbols} symbols "
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
    model: LatentVariableModel,
    train: EncodedSplit,
    chains: Float[Tensor, "L D"] | None,
    optimiser: torch.optim.Optimizer,
    *,
    seed: int,
    step: int,
) -> None:
    """Fit p(y|z) of the prior to clusters of mu(x), with F(z) as it was, and let its Adam begin anew.

    Args:
        model: with the energy latent family.
        train: sentences; MAX_SENTENCES of them, evenly spread, are clustered.
        chains: states of the prior's chains, where F is held as well; of dialogs, one a training example. None: samples
            of the prior.
        optimiser: of the prior.
        seed: of the run.
        step: iteration, which addresses the samples z.
    """
    latent = model.latent
    assert isinstance(latent, EnergyLatent)
    encoded = _encoded(model, train, Draw(seed, step))
    if isinstance(latent, ConditionalEnergyLatent):
        assert encoded.context is not None
        negative = latent.sample_given(encoded.context, seed=seed) if chains is None else chains[encoded.rows]
    else:
        negative = latent.sample_prior(SAMPLES, seed=seed) if chains is None else chains
    clusters = Clusters.fit(encoded.means, encoded.z, latent.n_categories, seed)
    fit_to_clusters(latent.prior, clusters, encoded.z, negative, encoded.context, seed=seed)
    # Moments alone at 0, with the step count kept, would make the first steps three times as large.
    for parameter in latent.prior.parameters():
        optimiser.state.pop(parameter, None)


@torch.no_grad()
def _encoded(model: LatentVariableModel, train: EncodedSplit, draw: Draw) -> Encoded:
    """The chosen sentences."""
    rows, means, samples, contexts = [], [], [], []
    for batch, posterior in posteriors_of(model, train, MAX_SENTENCES):
        rows.append(batch.indices)
        means.append(model.latent.mean(posterior))
        samples.append(model.latent.sample(posterior, draw, batch.indices))
        if isinstance(posterior, ConditionalPosterior):
            contexts.append(posterior.context)
    context = torch.cat(contexts) if contexts else None
    return Encoded(torch.cat(rows), torch.cat(means), torch.cat(samples), context)


def fit_to_clusters(
    prior: EnergyMLP,
    clusters: Clusters,
    z: Float[Tensor, "N D"],
    chains: Float[Tensor, "L D"],
    context: Float[Tensor, "N C"] | None = None,
    *,
    seed: int,
) -> None:
    """Move f so that p(y|z) approaches the clusters' responsibilities at z, and F(z) stays at z and the chains.

    The loss is the cross-entropy at z plus the squared change of F at both. The last layer starts at random, since its
    symbols have no more to do with the old ones.

    Args:
        prior: f, changed in place.
        clusters: K of them.
        z: of sentences.
        chains: of the prior; with contexts, chain i has that of sentence i.
        context: of the sentences, where f depends on one.
        seed: of the minibatches.
    """
    generator = torch.Generator().manual_seed(seed)
    everywhere = torch.cat((z, chains))
    contexts = None if context is None else torch.cat((context, context))

    def logits(rows: Tensor) -> Tensor:
        return prior.logits(everywhere[rows], None if contexts is None else prior.context_bias(contexts[rows]))

    with torch.no_grad():
        parts = torch.arange(len(everywhere), device=z.device).split(4096)
        energies = torch.cat([logits(part).logsumexp(-1) for part in parts])
        targets = torch.cat([clusters.log_responsibilities(part).exp() for part in z.split(1024)])
        weight, bias = prior.layers()[-1]
        bound = weight.shape[1] ** -0.5
        for parameter in (weight, bias):
            parameter.copy_(torch.rand(parameter.shape, generator=generator).mul_(2 * bound).sub_(bound))
    optimiser = torch.optim.Adam(prior.parameters(), lr=RATE)
    for iteration in range(ITERATIONS):
        optimiser.param_groups[0]["lr"] = RATE * (1.0 - iteration / ITERATIONS)
        rows = torch.randint(len(z), (BATCH,), generator=generator)
        others = len(z) + torch.randint(len(chains), (BATCH // 2,), generator=generator)
        both = torch.cat((rows, others)).to(z.device)
        found = logits(both)
        symbols = -(targets[both[:BATCH]] * found[:BATCH].log_softmax(-1)).sum(-1).mean()
        change = (found.logsumexp(-1) - energies[both]).square().mean()
        optimiser.zero_grad(set_to_none=True)
        (symbols + change).backward()
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
