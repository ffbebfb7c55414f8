"""Priors that stand on the z of one model, learnt and measured: what `rate-distortion` does with each finished run."""

from __future__ import annotations

import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.baselines.fitted_priors import FittedLatent, FittedPrior, fit_gaussians, fit_mixture
from svebm_ext.config import Config
from svebm_ext.data.batching import EncodedSplit, evaluation_batches
from svebm_ext.data.corpora import load_configured
from svebm_ext.data.corpus import Split
from svebm_ext.densities import standard_normal_log_density
from svebm_ext.errors import TrainingDivergedError
from svebm_ext.evaluation.evaluate_sentences import SentenceEvaluator
from svebm_ext.evaluation.evaluator import log_z_warnings
from svebm_ext.evaluation.report import METRICS, read_document
from svebm_ext.experiments.rate_distortion_rows import (
    GAUSSIAN,
    INFORMATION,
    MIXTURE,
    PriorSettings,
)
from svebm_ext.experiments.rows import Run
from svebm_ext.files import JsonObject
from svebm_ext.latents.base import Latent, Posterior
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.latents.gaussian import GaussianLatent, GaussianPosterior
from svebm_ext.latents.mixture import MixturePosterior
from svebm_ext.measures.latent import kl_to_standard_normal
from svebm_ext.models.annealed_likelihood import annealed_likelihood, find_step_sizes
from svebm_ext.models.importance import ImportanceSamples, importance_samples
from svebm_ext.models.latent_variable import Batch, LatentVariableModel
from svebm_ext.models.likelihood import importance_weighted_log_likelihood
from svebm_ext.models.networks import build_latent
from svebm_ext.models.svebm import SVEBM
from svebm_ext.prior.annealing import estimate_log_z
from svebm_ext.prior.second_stage import INFORMATION as SHARE
from svebm_ext.prior.second_stage import fit_prior
from svebm_ext.randomness import Draw
from svebm_ext.training.encoding import posterior_of
from svebm_ext.training.runtime import Runtime

#: Sentences of a batch, and validation sentences by which the annealed steps are chosen.
BATCH, ANNEALED_BATCH, PILOT = 64, 32, 16


@contextlib.contextmanager
def in_place_of_prior(networks: LatentVariableModel, latent: Latent) -> Iterator[None]:
    """In the block, another p(z) stands on the z of the networks."""
    before = networks.latent
    networks.latent = latent
    try:
        yield
    finally:
        networks.latent = before


def rate_of(
    mean: Float[Tensor, "B D"],
    log_variance: Float[Tensor, "B D"],
    z: Float[Tensor, "M B D"],
    log_prior: Float[Tensor, "M B"],
    log_z: float = 0.0,
) -> Float[Tensor, "B"]:
    """KL(q(z|x) || p(z)) in nats of each sentence (float64).

    KL(q || N(0, I)) in closed form, and the mean of log N(z; 0, I) - log p(z) over samples of q. The latter is all that
    is left to chance, and nothing is where p is N(0, I).

    Args:
        mean, log_variance: of q(z|x).
        z: M samples of it.
        log_prior: log p(z), up to log Z.
        log_z: log Z.
    """
    apart = (standard_normal_log_density(z.double()) - log_prior.double()).mean(0)
    return kl_to_standard_normal(mean.double(), log_variance.double()) + apart + log_z


class Priors:
    """The networks of a finished run, and what all priors on their z have in common.

    Args:
        run: finished.
        settings: of the priors.
        say: receives lines of progress.
    """

    def __init__(self, run: Run, settings: PriorSettings, say: Callable[[str], None]) -> None:
        self.settings, self._say = settings, say
        self.model = SVEBM.from_pretrained(run.folder).to(Runtime.alone(run.config.training.device).device)
        evaluation = replace(
            run.config.evaluation, frequency_samples=settings.samples, language_model=settings.language_model
        )
        self.config: Config = replace(run.config, evaluation=evaluation)
        self.model.config = self.config
        self.corpus = load_configured(run.config.data)
        measured = read_document(run.folder / METRICS)
        self.distortion, self.scale = float(measured["reconstruction_nll"]), float(measured["nll_proposal_scale"])
        self.evaluator = SentenceEvaluator(self.model, self.corpus, seed=settings.seed, say=say)

    @property
    def networks(self) -> LatentVariableModel:
        """Encoder, latent family of the run, and generator."""
        return self.model.networks

    # What all priors share ---------------------------------------------------------------------------------------

    @functools.cached_property
    def sentences(self) -> Tensor:
        """Rows of the test split in the order in which fewer of them are taken: those of metrics.json."""
        n, seed = len(self.evaluator.test), self.settings.seed
        return torch.randperm(n, generator=torch.Generator().manual_seed(seed))[: self.settings.max_sentences or n]

    def batches(self, rows: Tensor, size: int) -> list[Tensor]:
        """The same rows in batches of sentences of similar length."""
        return [rows[part] for part in evaluation_batches(self.evaluator.test.lengths[rows], size)]

    @functools.cached_property
    def drawn(self) -> list[tuple[Tensor, ImportanceSamples]]:
        """Rows and importance samples of each batch; which prior they are weighed with is open."""
        return [
            (
                rows,
                importance_samples(
                    self.networks, self.evaluator.batch(rows), self.settings.importance_samples,
                    seed=self.settings.seed, proposal_scale=self.scale,
                ),
            )
            for rows in self.batches(self.sentences, BATCH)
        ]  # fmt: skip

    @functools.cached_property
    def own(self) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Mean and log variance of q(z|x) and samples [M, B, D] of it, by batch."""
        parts = []
        for rows in self.batches(self.sentences, BATCH):
            batch = self.evaluator.batch(rows)
            posterior = gaussian_of(self.networks.posterior(batch))
            z = posterior.importance_samples(
                self.settings.importance_samples, seed=self.settings.seed, ids=batch.indices
            )
            parts.append((*posterior.moments, z))
        return parts

    @functools.cached_property
    def pilot(self) -> Batch:
        """Validation sentences by which the annealed steps are chosen."""
        rows = torch.randperm(len(self.valid), generator=torch.Generator().manual_seed(self.settings.seed))[:PILOT]
        return self.evaluator.batch(rows, self.valid)

    @functools.cached_property
    def valid(self) -> EncodedSplit:
        """The validation split."""
        return self._encoded(self.corpus.valid)

    @functools.cached_property
    def valid_z(self) -> Tensor:
        """A z for each validation sentence; the priors share q(z|x)."""
        return self.sampled(posterior_of(self.networks, self.valid, self.settings.sentences))

    @functools.cached_property
    def training(self) -> GaussianPosterior:
        """q(z|x) of training sentences."""
        return posterior_of(self.networks, self._encoded(self.corpus.train), self.settings.sentences)

    def _encoded(self, split: Split) -> EncodedSplit:
        encoded = self.evaluator.encode_split(split)
        assert isinstance(encoded, EncodedSplit)
        return encoded

    def sampled(self, posterior: GaussianPosterior) -> Tensor:
        """A z for each sentence."""
        ids = torch.arange(len(posterior.mean), device=posterior.mean.device)
        return posterior.rsample(Draw(self.settings.seed, 0), ids)

    # Priors ------------------------------------------------------------------------------------------------------

    def learnt(self, family: str) -> tuple[Latent, JsonObject]:
        """The latent family with a prior of a name, and what there is to say of it."""
        if family in INFORMATION:
            return self._energy(family), {}
        if family not in (GAUSSIAN, MIXTURE):
            return self.networks.latent, {}
        latent = self.networks.latent
        assert isinstance(latent, GaussianLatent)
        fitted = self._fitted(family)
        return FittedLatent(latent, fitted), {"components": fitted.n_components}

    def _fitted(self, family: str) -> FittedPrior:
        z, seed = self.sampled(self.training), self.settings.seed
        if family == GAUSSIAN:
            return fit_gaussians(z, 1, seed=seed)
        return fit_mixture(z, self.valid_z, self.settings.components, seed=seed)

    @torch.enable_grad()
    def _energy(self, family: str) -> EnergyLatent:
        """f is learnt from its beginning; the encoder's maps are those of the VAE.

        Raises:
            TrainingDivergedError: a parameter is no number.
        """
        config, device = self.config, self.model.device
        vae = self.networks.latent
        assert isinstance(vae, GaussianLatent)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            latent = build_latent(
                replace(config.model, latent="energy"), vae.to_mean.in_features, config.chains.step_size
            )
        assert isinstance(latent, EnergyLatent)
        latent.to_mean, latent.to_log_variance = vae.to_mean, vae.to_log_variance
        latent.to(device)
        fit_prior(
            latent.prior, self.training.moments, self.settings.steps, seed=self.settings.seed,
            step_size=latent.step_size, information=SHARE * INFORMATION[family], whiten=True, say=self._say,
        )  # fmt: skip
        if not all(bool(p.isfinite().all()) for p in latent.prior.parameters()):
            raise TrainingDivergedError(f"{family}: the energy has parameters that are no numbers")
        return latent

    # Measures ----------------------------------------------------------------------------------------------------

    def measured(self, family: str) -> JsonObject:
        """All measures of a prior, with counts, warnings and what it took: an entry of priors.json."""
        begin = time.monotonic()
        latent, entry = self.learnt(family)
        entry["prior_seconds"] = time.monotonic() - begin
        evaluator = SentenceEvaluator(self.model, self.corpus, seed=self.settings.seed, say=self._say)
        with torch.no_grad(), in_place_of_prior(self.networks, latent):
            entry |= self._normaliser(latent)
            if isinstance(latent, EnergyLatent):
                gain = self.gain(latent, entry["log_z_upper"])
                entry["validation_gain"] = gain if math.isfinite(gain) else None
                if not gain > 0.0:
                    return self._not_kept(family, entry, gain) | {"seconds": time.monotonic() - begin}
            entry |= self._likelihoods(latent, entry.get("log_z_upper", 0.0))
            entry |= self._annealed(family, entry.get("log_z_upper", 0.0))
            evaluator.samples()
        keys = ("rppl", "rppl_ancestral", "wkl", "wkl_ancestral")
        samples = evaluator.evaluation
        entry |= {key: samples.metrics[key] for key in keys if key in samples.metrics}
        entry["warnings"] = entry.get("warnings", []) + samples.warnings
        entry["sample_counts"] = dict(samples.counts) | {
            "NLL sentences": len(self.sentences),
            "NLL importance samples": self.settings.importance_samples,
            "annealed sentences": len(entry["annealed_by_sentence"]),
            "annealed chains": self.settings.annealed_chains,
            "annealed temperatures": self.settings.annealed_temperatures,
        }
        return entry | {"seconds": time.monotonic() - begin}

    def gain(self, latent: Latent, log_z: float) -> float:
        """By how much the rate of validation sentences is below that to N(0, I), in nats; by one z of each."""
        z = self.valid_z
        apart = latent.log_prior(z).double() - standard_normal_log_density(z.double())
        return float(apart.mean()) - log_z

    def _not_kept(self, family: str, entry: JsonObject, gain: float) -> JsonObject:
        """What there is to say of an energy that a second stage would not keep (`training.prior_alone`)."""
        reason = f"{family}: behind N(0, I) on validation data by {-gain:.3g} nats: a second stage does not keep it"
        self._say(reason)
        return entry | {"warnings": [reason], "sample_counts": {}, "annealed_by_sentence": []}

    def _normaliser(self, latent: Latent) -> JsonObject:
        """Both ends of log Z of an energy; nothing of a density."""
        if not isinstance(latent, EnergyLatent):
            return {}
        options = self.config.evaluation
        estimate = estimate_log_z(
            latent.prior, latent.latent_dim, n_chains=options.log_z_chains, n_temperatures=options.log_z_temperatures,
            seed=self.settings.seed,
        )  # fmt: skip
        return {
            "log_z_lower": estimate.lower,
            "log_z_upper": estimate.upper,
            "log_z_error": estimate.upper_standard_error,
            "warnings": log_z_warnings(estimate),
        }

    def _likelihoods(self, latent: Latent, log_z: float) -> JsonObject:
        """Importance-sampled NLL, and the bound in its two parts, rate and distortion."""
        nll = torch.zeros(len(self.evaluator.test), dtype=torch.float64)
        for rows, drawn in self.drawn:
            log_prior = latent.log_prior(drawn.z)
            nll[rows] = -importance_weighted_log_likelihood(
                drawn.log_likelihood, log_prior, drawn.log_posterior, log_z
            ).cpu()
        rates = [rate_of(mean, log_variance, z, latent.log_prior(z), log_z) for mean, log_variance, z in self.own]
        rate, few = float(torch.cat(rates).mean()), self.sentences[: self.settings.annealed_sentences]
        return {
            "nll": float(nll[self.sentences].mean()),
            "nll_of_annealed": float(nll[few].mean()),
            "rate": rate,
            "elbo": -rate - self.distortion,
        }

    def _annealed(self, family: str, log_z: float) -> JsonObject:
        """Annealed NLL of the first of the sentences: of each, mean, standard error over sentences, acceptance."""
        settings, begin = self.settings, time.monotonic()
        chosen = self.sentences[: settings.annealed_sentences]
        steps = find_step_sizes(
            self.networks, self.pilot, settings.annealed_temperatures, proposal_scale=self.scale, seed=settings.seed
        )
        nll = torch.zeros(len(self.evaluator.test), dtype=torch.float64)
        acceptance = 0.0
        for part in self.batches(chosen, ANNEALED_BATCH):
            estimate = annealed_likelihood(
                self.networks, self.evaluator.batch(part), n_chains=settings.annealed_chains, step_sizes=steps,
                proposal_scale=self.scale, seed=settings.seed,
            )  # fmt: skip
            nll[part] = -estimate.log_likelihood(log_z).cpu()
            acceptance += estimate.acceptance * len(part) / len(chosen)
        values = nll[chosen]
        mean, error = float(values.mean()), float(values.std()) / math.sqrt(len(values))
        self._say(f"{family}: annealed NLL {mean:.2f} ± {error:.2f} in {time.monotonic() - begin:.0f} s")
        return {
            "nll_annealed": mean,
            "nll_annealed_error": error,
            "annealed_acceptance": acceptance,
            "annealed_by_sentence": values.tolist(),
        }


def gaussian_of(posterior: Posterior) -> GaussianPosterior:
    """The Gaussian vector of q(z|x)."""
    vector = posterior.vector if isinstance(posterior, MixturePosterior) else posterior
    assert isinstance(vector, GaussianPosterior)
    return vector
