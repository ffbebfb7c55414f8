"""All measures of a 2-D model against the known density of its points, and the five densities of Figure 2."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.config import Config
from svebm_ext.data.synthetic import PointBatch, log_density, mode_log_densities, sample_points
from svebm_ext.evaluation.collected import Evaluation
from svebm_ext.evaluation.evaluator import LOG_Z_GAP, R_HAT
from svebm_ext.evaluation.verdict import crossing_remark
from svebm_ext.latents.base import Latent
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.latents.gaussian import GaussianPosterior
from svebm_ext.measures import latent
from svebm_ext.measures.two_sample import maximum_mean_discrepancy, modes_found_by_density, two_sample_test
from svebm_ext.models import likelihood
from svebm_ext.models.decoders import PointDecoder
from svebm_ext.models.importance import importance_samples
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.models.proposal import PROPOSAL_EXAMPLES, tightest_proposal_scale
from svebm_ext.ops.philox import Stream, philox_normal
from svebm_ext.prior.annealing import estimate_log_z
from svebm_ext.prior.conditional import STEPS_A_ROUND, sample_adjusted
from svebm_ext.prior.jumps import N_PROPOSALS
from svebm_ext.randomness import Draw

#: Points of each set that two-sample distances are computed of; their time grows with the square.
TWO_SAMPLE_POINTS = 1000
#: Rounds of moves from N(0, I) to a sample of the prior.
PRIOR_ROUNDS = 50
#: Largest -log p(x) of a generated point under the known density (nats).
MAX_TRUE_NLL = 100.0
#: "Step" of the test points, beyond that of any training batch.
TEST_STEP = 1 << 40
#: Of the points on which the width of the likelihood's samples is chosen.
OTHER_STEP = TEST_STEP + 1
#: Ids of the observation noise of reconstructed and of generated points, apart from those of other random numbers.
NOISE_IDS = 1 << 40


@dataclass(frozen=True)
class PointSamples:
    """The five densities of Figure 2 as samples, each [n, 2], and the test points with their modes.

    Points are drawn from p(x|z), observation noise included: x of the prior is then a sample of the model's p(x), whose
    density the NLL is of, and x of the posterior is comparable with it.
    """

    test: PointBatch
    posterior_x: Float[Tensor, "n 2"]
    prior_x: Float[Tensor, "n 2"]
    posterior_z: Float[Tensor, "n D"]
    prior_z: Float[Tensor, "n D"]

    def tensors(self) -> dict[str, Tensor]:
        """The five densities by the names of plots.PlaneDensities."""
        names = ("posterior_x", "prior_x", "posterior_z", "prior_z")
        return {"true_x": self.test.points, **{name: getattr(self, name) for name in names}}


def sample_prior(family: Latent, n: int, *, seed: int) -> Float[Tensor, "n D"]:
    """Samples of the prior: exact ones, or, of an energy, PRIOR_ROUNDS rounds of `sample_adjusted`.

    The modes of a plane's prior lie far apart, and Langevin steps seldom cross between them. Samples of the density
    that the NLL is of are adjusted ones, which proposals from N(0, I) carry from mode to mode.
    """
    if not isinstance(family, EnergyLatent):
        return family.sample_prior(n, seed=seed)
    return sample_adjusted(family.prior, n, seed=seed, step_size=family.step_size, n_rounds=PRIOR_ROUNDS, first_id=0)


class PointEvaluator:
    """Measures one 2-D model on as many test points, and as many generated ones, as `evaluation.frequency_samples`.

    Args:
        model: trained.
        config: of the run.
        seed: of the test points and every random number.
    """

    def __init__(self, model: LatentVariableModel, config: Config, *, seed: int = 0) -> None:
        assert isinstance(model.decoder, PointDecoder)
        self.model, self.config, self.seed, self.n = model.eval(), config, seed, config.evaluation.frequency_samples
        self.family, self.decoder = model.latent, model.decoder
        self.name, self.device = config.data.corpus, next(model.parameters()).device
        self.evaluation = Evaluation()

    @property
    def found(self) -> Evaluation:
        """`evaluation`, by its former name."""
        return self.evaluation

    @torch.no_grad()
    def run(self) -> tuple[Evaluation, PointSamples]:
        """All measures that the model's family has, and the samples that the picture is drawn from."""
        samples = self.samples()
        self.evaluation.counts["test points"] = self.n
        self.normaliser()
        self.likelihoods(samples.test)
        self.symbols(samples.test)
        self.distances(samples)
        for key in ("bleu", "wkl", "ppl"):
            self.evaluation.reasons[key] = "points of the plane have no words"
        return self.evaluation, samples

    # Parts ------------------------------------------------------------------------------------------------------

    def samples(self) -> PointSamples:
        """Test points, their reconstructions through z of q(z|x), and points generated through z of the prior."""
        test = sample_points(self.name, self.n, seed=self.seed, step=TEST_STEP).to(self.device)
        posterior = self.family.posterior(self.model.encoder(test))
        posterior_z = posterior.rsample(Draw(self.seed, 0), test.indices)
        prior_z = sample_prior(self.family, self.n, seed=self.seed)
        return PointSamples(
            test, self._observe(posterior_z, NOISE_IDS), self._observe(prior_z, 2 * NOISE_IDS), posterior_z, prior_z
        )

    def _observe(self, z: Float[Tensor, "n D"], first_id: int) -> Float[Tensor, "n 2"]:
        """x of p(x|z)."""
        ids = first_id + torch.arange(z.shape[0], device=z.device)
        noise = philox_normal(self.seed, ids, dim=2, stream=Stream.EVALUATION)[0]
        return self.decoder.network(z) + self.decoder.std * noise

    def normaliser(self) -> None:
        """Both ends of log Z; 0 for a normalised prior."""
        metrics, options, counts = self.evaluation.metrics, self.config.evaluation, self.evaluation.counts
        metrics["log_z_lower"] = metrics["log_z_upper"] = 0.0
        if not isinstance(self.family, EnergyLatent):
            return
        estimate = estimate_log_z(
            self.family.prior,
            self.family.latent_dim,
            n_chains=options.log_z_chains,
            n_temperatures=options.log_z_temperatures,
            seed=self.seed,
        )
        metrics["log_z_lower"], metrics["log_z_upper"] = estimate.lower, estimate.upper
        metrics["log_z_ess_lower"], metrics["log_z_ess_upper"] = estimate.forward_ess, estimate.reverse_ess
        metrics["chains_r_hat"] = estimate.r_hat
        counts["log Z chains"], counts["log Z temperatures"] = options.log_z_chains, options.log_z_temperatures
        crossing = crossing_remark(estimate.lower, estimate.upper, estimate.standard_error)
        if crossing is not None:
            self.evaluation.remarks["log_z_upper"] = crossing
        gap = estimate.upper - estimate.lower
        if not gap <= LOG_Z_GAP:
            self.evaluation.warnings.append(
                f"the ends of log Z are {gap:.2f} nats apart: take more chains or temperatures"
            )
        if not estimate.r_hat <= R_HAT:
            self.evaluation.warnings.append(
                f"R-hat of the prior's chains is {estimate.r_hat:.2f}: they have not converged"
            )

    @torch.no_grad()
    def likelihoods(self, test: PointBatch) -> None:
        """Importance-weighted NLL, ELBO and its parts, beside the entropy of the known density at the same points."""
        M, limit = self.config.evaluation.importance_samples, self.config.evaluation.max_sentences
        batch = test if limit == 0 else test.select(slice(limit))
        scale = self.config.evaluation.proposal_scale
        if scale == 0:
            other = sample_points(self.name, PROPOSAL_EXAMPLES, seed=self.seed, step=OTHER_STEP).to(self.device)
            scale = tightest_proposal_scale(self.model, [other], M, seed=self.seed)
        wide = importance_samples(self.model, batch, M, seed=self.seed, proposal_scale=scale)
        drawn = wide if scale == 1.0 else importance_samples(self.model, batch, M, seed=self.seed)
        log_z = self.evaluation.metrics["log_z_upper"]
        posterior = self.family.posterior(self.model.encoder(batch))
        if isinstance(posterior, GaussianPosterior):
            kl = float(latent.kl_to_standard_normal(*posterior.moments).mean())
        else:  # to the family's own prior, by its samples
            kl = float((drawn.log_posterior - drawn.log_prior).mean())
        self.evaluation.metrics.update(
            nll=-float(likelihood.importance_weighted_log_likelihood(*wide[:3], log_z).mean()),
            nll_proposal_scale=scale,
            elbo=float(likelihood.evidence_lower_bound(*drawn[:3], log_z).mean()),
            reconstruction_nll=-float(drawn.log_likelihood.mean()),
            kl=kl,
            nll_ess=float(likelihood.effective_sample_size(wide.log_weights).median()),
            true_entropy=-float(log_density(self.name, batch.points).mean()),
        )
        self.evaluation.counts["NLL points"], self.evaluation.counts["NLL importance samples"] = batch.n_points, M

    def symbols(self, test: PointBatch) -> None:
        """I(z, y) at z = mu(x), and the symbols against the modes that the test points were drawn from.

        A symbol of a mixture is its component, of which I(x, c) is measured.
        """
        posterior, metrics = self.model.posterior(test), self.evaluation.metrics
        metrics["active_units"] = latent.active_units(posterior.mean)
        log_categories = posterior.log_categories
        if log_categories is None or self.family.n_categories is None:
            for key in ("mi", "homogeneity"):
                self.evaluation.reasons[key] = f"the {self.config.model.latent} latent family has no symbols"
            return
        log_symbol = log_categories[:, 0].cpu()
        symbols = log_symbol.argmax(-1)
        agreement = latent.cluster_agreement(symbols, [str(label) for label in test.labels.tolist()])
        metrics.update(
            mi=latent.mutual_information(log_symbol),
            marginal_entropy=latent.marginal_entropy(log_symbol),
            symbols_used=len(set(symbols.tolist())),
            homogeneity={"mode": agreement.homogeneity},
            homogeneity_chance={"mode": agreement.chance_homogeneity},
            completeness={"mode": agreement.completeness},
            v_measure={"mode": agreement.v_measure},
            adjusted_mutual_information={"mode": agreement.adjusted_mutual_information},
        )

    def distances(self, samples: PointSamples) -> None:
        """Generated points against the known density: modes, two-sample distances, energy of the true density."""
        generated, test = samples.prior_x, samples.test
        own = mode_log_densities(self.name, test.points).gather(1, test.labels[:, None])[:, 0]
        modes = modes_found_by_density(mode_log_densities(self.name, generated), own)
        n = min(self.n, TWO_SAMPLE_POINTS)
        test_of_equality = two_sample_test(generated, test.points, max_points=n, seed=self.seed)
        self.evaluation.metrics.update(
            modes_found=modes.n_found,
            share_at_modes=modes.share_at_modes,
            energy_distance=test_of_equality.statistic,
            energy_distance_p_value=test_of_equality.p_value,
            mmd=maximum_mean_discrepancy(generated[:n], test.points[:n]),
            true_nll=true_nll(self.name, generated),
        )
        self.evaluation.counts["generated points"], self.evaluation.counts["two-sample points, each"] = self.n, n
        if isinstance(self.family, EnergyLatent):
            self.evaluation.counts["Langevin steps of a generated point"] = PRIOR_ROUNDS * STEPS_A_ROUND
            self.evaluation.counts["proposals from N(0, I), of it"] = PRIOR_ROUNDS * N_PROPOSALS


def true_nll(name: str, points: Float[Tensor, "n 2"]) -> float:
    """Mean over points of -log of the known density in nats, each at most MAX_TRUE_NLL.

    Far from the data the density is 0 in float64: without the cap one stray point would make the mean infinite.
    """
    return float(-log_density(name, points).clamp(min=-MAX_TRUE_NLL).mean())
