"""What the energy and the symbols of the default run are beside: priors fitted to z, and k-means of it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from svebm_ext.baselines.fitted_priors import FittedPrior, fit_gaussians, fit_mixture, nll_of_priors
from svebm_ext.data.batching import SentenceBatch, evaluation_batches
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.data.documents import DocumentBatch
from svebm_ext.experiments.assistant import ControlSettings, plain
from svebm_ext.files import JsonObject
from svebm_ext.latents.gaussian import GaussianPosterior
from svebm_ext.measures.agreement import agreement_with_labels
from svebm_ext.models.features import evenly_spread
from svebm_ext.models.importance import importance_samples
from svebm_ext.models.svebm import SVEBM
from svebm_ext.randomness import Draw


@torch.no_grad()
def control_document(model: SVEBM, corpus: Corpus, settings: ControlSettings, scale: float) -> JsonObject:
    """NLL of the test sentences under priors fitted to z, and agreement of k-means of mu(x) with the labels.

    `scale` is that of the samples of `nll` (`nll_proposal_scale`).

    Keys: `nll_standard`, `nll_gaussian`, `nll_mixture`, of the sentences and samples that `nll` of the run is of;
    `components` of the mixture; `k_means`, the measures of as many clusters as the model has symbols; `settings`.
    """
    seed = settings.seed
    chosen = evenly_spread(len(corpus.train), settings.sentences).tolist()
    few = Split([corpus.train.sentences[row] for row in chosen], {})
    train, valid, test = (_encoded(model, split) for split in (few, corpus.valid, corpus.test))
    z, z_valid = (posterior.rsample(Draw(seed, 0), torch.arange(len(posterior.mean))) for posterior in (train, valid))
    mixture = fit_mixture(z, z_valid, settings.components, seed=seed)
    priors = {"gaussian": fit_gaussians(z, 1, seed=seed), "mixture": mixture}
    document: JsonObject = {f"nll_{name}": value for name, value in _likelihoods(model, corpus, priors, scale).items()}
    symbols = _clusters(train.mean, test.mean, model.config.model.n_categories, seed)
    agreement: JsonObject = dict(agreement_with_labels(symbols, corpus.test))
    document["k_means"] = agreement | {"symbols_used": len(symbols.unique())}
    return document | {"components": mixture.n_components, "settings": plain(settings)}


def _encoded(model: SVEBM, split: Split) -> GaussianPosterior:
    """q(z|x) of the sentences of a split, in their order."""

    def moments(batch: SentenceBatch | DocumentBatch) -> Tensor:
        posterior = model.networks.posterior(batch)
        assert isinstance(posterior, GaussianPosterior)
        return torch.cat(posterior.moments, dim=-1)

    encoded = model.of_each(split.sentences, moments)
    assert encoded is not None
    mean, log_variance = encoded.float().cpu().chunk(2, dim=-1)
    return GaussianPosterior(mean, log_variance)


def _likelihoods(
    model: SVEBM, corpus: Corpus, priors: Mapping[str, FittedPrior], proposal_scale: float
) -> dict[str, float]:
    """NLL under each prior, of the same test sentences, and by the same samples, as `nll` of metrics.json."""
    options = model.config.evaluation
    test = model.encode_split(corpus.test)
    n = len(test)
    chosen = torch.arange(n)
    if 0 < options.max_sentences < n:
        chosen = torch.randperm(n, generator=torch.Generator().manual_seed(0))[: options.max_sentences]
    sums: dict[str, float] = {}
    for rows in evaluation_batches(test.lengths[chosen], 64):
        drawn = importance_samples(
            model.networks, test.collate(chosen[rows]).to(model.device), options.importance_samples, seed=0,
            proposal_scale=proposal_scale,
        )  # fmt: skip
        for name, nll in nll_of_priors(drawn, priors).items():
            sums[name] = sums.get(name, 0.0) + float(nll.sum())
    return {name: total / len(chosen) for name, total in sums.items()}


def _clusters(train: Tensor, test: Tensor, n_clusters: int, seed: int) -> Tensor:
    """Number of the cluster of each test vector, by k-means of the training vectors."""
    from sklearn.cluster import KMeans

    means = KMeans(n_clusters, n_init=10, random_state=seed).fit(train.double().numpy())
    return torch.from_numpy(means.predict(test.double().numpy())).long()
