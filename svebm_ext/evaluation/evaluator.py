"""What an evaluation of any kind of text model measures: likelihood, symbols, classification."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from svebm_ext.data.batching import evaluation_batches
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.evaluation.collected import Evaluation
from svebm_ext.evaluation.likelihoods import measure_likelihood
from svebm_ext.evaluation.verdict import FEW_TEXTS, crossing_remark, symbol_warnings
from svebm_ext.kinds import EncodedTexts
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.measures import latent
from svebm_ext.measures.agreement import agreement_with_labels
from svebm_ext.measures.classification import (
    accuracy,
    expected_calibration_error,
    reliability,
    wilson_interval,
)
from svebm_ext.measures.perplexity import bits_per_byte, perplexity
from svebm_ext.models.annealed_likelihood import annealed_likelihood, find_step_sizes
from svebm_ext.models.latent_variable import Batch
from svebm_ext.models.proposal import PROPOSAL_EXAMPLES, tightest_proposal_scale
from svebm_ext.models.svebm import SVEBM
from svebm_ext.prior.annealing import LogZEstimate, estimate_log_z
from svebm_ext.prior.groups import log_groups_of
from svebm_ext.processes import ALONE, Processes

#: Largest distance of the two ends of log Z that is reported without a warning (nats).
LOG_Z_GAP = 0.1
#: Smallest effective sample size behind an end of log Z that is reported without a warning.
LOG_Z_ESS = 30
#: Largest R-hat of the prior's chains that is reported without a warning.
R_HAT = 1.05
#: Smallest mean acceptance of annealed chains that is reported without a warning.
ANNEALED_ACCEPTANCE = 0.4


#: Keys of metrics.json for groups of symbols, and the attribute of `latent.ClusterAgreement` that each holds.
GROUP_AGREEMENT = {
    "homogeneity_groups": "homogeneity",
    "homogeneity_groups_chance": "chance_homogeneity",
    "adjusted_mutual_information_groups": "adjusted_mutual_information",
}


def log_z_warnings(estimate: LogZEstimate) -> list[str]:
    """What there is to say against an estimate of log Z."""
    warnings, gap = [], estimate.upper - estimate.lower
    if not gap <= LOG_Z_GAP:
        warnings.append(f"the ends of log Z are {gap:.2f} nats apart: take more chains or temperatures")
    smallest = min(estimate.forward_ess, estimate.reverse_ess)
    if not smallest >= LOG_Z_ESS:
        warnings.append(f"log Z stands on an effective sample of {smallest:.0f} chains: take more")
    if not estimate.r_hat <= R_HAT:
        warnings.append(f"R-hat of the prior's chains is {estimate.r_hat:.2f}: they have not converged")
    return warnings


class Evaluator:
    """Measures one model on one corpus: what the kinds of examples have in common, likelihood and symbols.

    Args:
        model: trained.
        corpus: its test split is measured on, its training split is the reference of wKL.
        seed: of every random number of the evaluation.
        say: receives a line about each finished part.
        processes: that share the work of the parts named in `shared`, the results of which all of them have; the main
            process does the others.
    """

    #: Parts whose examples, batch by batch, are shared out among processes.
    shared: frozenset[str] = frozenset({"likelihoods", "annealed"})
    test: EncodedTexts

    def __init__(
        self,
        model: SVEBM,
        corpus: Corpus,
        *,
        seed: int = 0,
        say: Callable[[str], None] = print,
        processes: Processes = ALONE,
    ) -> None:
        self.processes = processes
        self.model, self.corpus, self.seed, self._say = model.eval(), corpus, seed, say
        self.options = model.config.evaluation
        self.evaluation = Evaluation()
        self.test = self.encode_split(corpus.test)
        self.evaluation.counts.update(self.split_counts())
        self._log_categories: Tensor | None = None  # log p(y | z = mu(x)) of the test split
        self._answers: Tensor | None = None  # what the model answers, where that is not the same
        self._predicted: Tensor | None = None  # class of each test example, where classes were learnt
        self._truth: Tensor | None = None  # ... and its true class, -1 where it has none
        self._nll = torch.full((len(self.test),), torch.nan, dtype=torch.float64)  # of the examples it is measured on

    @property
    def found(self) -> Evaluation:
        """`evaluation`, by its former name."""
        return self.evaluation

    def encode_split(self, split: Split) -> EncodedTexts:
        """A split as the model reads it."""
        return self.model.encode_split(split, keep=True)

    def split_counts(self) -> dict[str, int]:
        """What the report tells of the size of the test split."""
        raise NotImplementedError

    def n_bytes(self, rows: Tensor) -> int:
        """UTF-8 bytes of some test examples; 0 where an example is no text in order."""
        return 0

    def batch(self, rows: Tensor, split: EncodedTexts | None = None) -> Batch:
        """Examples of a split, the test split unless another is given, as a batch of the model."""
        return (self.test if split is None else split).collate(rows).to(self.model.device)

    def parts(self) -> list[Callable[[], None]]:
        """What is measured, in order."""
        raise NotImplementedError

    @torch.no_grad()
    def run(self) -> Evaluation:
        """All measures that the model's family has."""
        for part in self.parts():
            if not self.processes.is_main and part.__name__ not in self.shared:
                continue
            begin = time.monotonic()
            part()
            self._say(f"evaluated {part.__name__.replace('_', ' ')} in {time.monotonic() - begin:.1f} s")
        return self.evaluation

    # Parts ------------------------------------------------------------------------------------------------------

    def normaliser(self) -> None:
        """Both ends of log Z; 0 for a normalised prior."""
        metrics, family = self.evaluation.metrics, self.model.networks.latent
        if not family.has_prior:
            for key in ("log_z_lower", "log_z_upper", "nll", "ppl", "elbo", "kl"):
                self.evaluation.reasons[key] = "an autoencoder has no prior and no likelihood"
            return
        if not isinstance(family, EnergyLatent):
            metrics["log_z_lower"] = metrics["log_z_upper"] = 0.0
            return
        estimate = estimate_log_z(
            family.prior,
            family.latent_dim,
            n_chains=self.options.log_z_chains,
            n_temperatures=self.options.log_z_temperatures,
            seed=self.seed,
        )
        metrics["log_z_lower"], metrics["log_z_upper"] = estimate.lower, estimate.upper
        metrics["log_z_ess_lower"], metrics["log_z_ess_upper"] = estimate.forward_ess, estimate.reverse_ess
        metrics["chains_r_hat"] = estimate.r_hat
        self.evaluation.counts["log Z chains"] = self.options.log_z_chains
        self.evaluation.counts["log Z temperatures"] = self.options.log_z_temperatures
        crossing = crossing_remark(estimate.lower, estimate.upper, estimate.standard_error)
        if crossing is not None:
            self.evaluation.remarks["log_z_upper"] = crossing
        self.evaluation.warnings += log_z_warnings(estimate)

    def likelihoods(self) -> None:
        """Importance-weighted NLL; of samples of q(z|x) itself the ELBO, its parts and the published estimate."""
        family = self.model.networks.latent
        if not family.has_prior:
            return
        M = self.options.importance_samples if family.latent_dim > 0 else 1
        chosen = self._likelihood_sentences()
        lengths = self.test.lengths[chosen]
        log_z = self.processes.agree(self.evaluation.metrics.get("log_z_upper", 0.0))
        scale = self.options.proposal_scale or self.processes.agree(self._tightest_proposal_scale(M))
        batches = [chosen[rows] for rows in evaluation_batches(lengths, 64)]
        measured = self.processes.map(lambda rows: measure_likelihood(self, rows, M, scale, log_z), batches)
        for part in measured:
            self._nll[part.rows] = part.nll
        sums = {key: sum(part.sums[key] for part in measured) for key in measured[0].sums}
        n = len(chosen)
        self.evaluation.metrics.update({key: value / n for key, value in sums.items()})
        self.evaluation.metrics["ppl"] = perplexity(sums["nll"], int(lengths.sum()))
        n_bytes = self.n_bytes(chosen)
        if n_bytes:
            self.evaluation.metrics["bits_per_byte"] = bits_per_byte(sums["nll"], n_bytes)
        self.evaluation.metrics["nll_ess"] = float(torch.cat([part.sizes for part in measured]).median())
        self.evaluation.metrics["nll_proposal_scale"] = scale
        self.evaluation.counts["NLL sentences"], self.evaluation.counts["NLL importance samples"] = n, M
        if n < len(self.test):
            self.evaluation.warnings.append(
                f"NLL is of {n:,} of {len(self.test):,} test sentences (evaluation.max-sentences)"
            )

    def annealed(self) -> None:
        """NLL of some sentences by annealed importance sampling, and beside it the usual one of the same sentences."""
        family, options = self.model.networks.latent, self.options
        if not options.annealed_sentences or not family.has_prior:
            return
        if not family.has_vector:
            self.evaluation.reasons["nll_annealed"] = "the latent family has no Gaussian vector that could be annealed"
            return
        order = self._shuffled(len(self.test))
        chosen = order[~self._nll[order].isnan()][: options.annealed_sentences]
        n, networks = len(chosen), self.model.networks
        metrics = self.evaluation.metrics
        log_z, scale = self.processes.agree(
            (float(metrics.get("log_z_upper", 0.0)), float(metrics.get("nll_proposal_scale", 1.0)))
        )
        pilot, *_ = self._pilot_batches()
        step_sizes = self.processes.agree(
            find_step_sizes(networks, pilot, options.annealed_temperatures, proposal_scale=scale, seed=self.seed)
        )
        sums = {"done": 0.0, "annealed": 0.0, "importance": 0.0}  # of this process, for the eye

        def estimated(rows: Tensor) -> tuple[float, float]:
            estimate = annealed_likelihood(
                networks, self.batch(rows), n_chains=options.annealed_chains, step_sizes=step_sizes,
                proposal_scale=scale, seed=self.seed,
            )  # fmt: skip
            own = -float(estimate.log_likelihood(log_z).sum())
            for key, value in zip(sums, (len(rows), own, float(self._nll[rows].sum())), strict=True):
                sums[key] += value
            done, (annealed, importance) = int(sums["done"]), (sums[key] / sums["done"] for key in list(sums)[1:])
            self._say(f"annealed {done} of {n} sentences: NLL {annealed:.2f}, by importance {importance:.2f}")
            return own, estimate.acceptance * len(rows) / n

        batches = [chosen[rows] for rows in evaluation_batches(self.test.lengths[chosen], 32)]
        estimates = self.processes.map(estimated, batches)
        annealed_nll, acceptance = (sum(column) for column in zip(*estimates, strict=True))
        nll = sum(float(self._nll[rows].sum()) for rows in batches)
        metrics.update(nll_annealed=annealed_nll / n, nll_of_annealed=nll / n)
        self.evaluation.counts |= {
            "annealed sentences": n,
            "annealed chains": options.annealed_chains,
            "annealed temperatures": options.annealed_temperatures,
        }
        if options.annealed_temperatures > 1 and not acceptance >= ANNEALED_ACCEPTANCE:
            self.evaluation.warnings.append(
                f"acceptance of the annealed chains is {acceptance:.2f}: take more temperatures"
            )

    def _tightest_proposal_scale(self, n_samples: int) -> float:
        if not self.model.networks.latent.has_vector:
            return 1.0
        return tightest_proposal_scale(self.model.networks, self._pilot_batches(), n_samples, seed=self.seed)

    def _pilot_batches(self) -> list[Batch]:
        """The validation examples by which settings of the likelihood are chosen."""
        valid = self.encode_split(self.corpus.valid)
        chosen = self._shuffled(len(valid))[:PROPOSAL_EXAMPLES]
        return [self.batch(chosen[rows], valid) for rows in evaluation_batches(valid.lengths[chosen], 64)]

    def _likelihood_sentences(self) -> Tensor:
        n, limit = len(self.test), self.options.max_sentences
        if limit == 0 or limit >= n:
            return torch.arange(n)
        return self._shuffled(n)[:limit]

    def _shuffled(self, n: int) -> Tensor:
        return torch.randperm(n, generator=torch.Generator().manual_seed(self.seed))

    def symbols(self) -> None:
        """I(z, y), and the symbols against every label of the test split.

        Of several discrete variables, the information is the sum over them, and a sentence's symbol is the tuple of
        their most probable categories.
        """
        metrics = self.evaluation.metrics
        if self._log_categories is None:
            for key in ("mi", "homogeneity"):
                self.evaluation.reasons[key] = f"the {self.model.config.model.latent} latent family has no symbols"
            return
        variables = self._log_categories.unbind(1)
        answers = self._log_categories if self._answers is None else self._answers
        _, symbols = answers.argmax(-1).unique(dim=0, return_inverse=True)
        metrics["mi"] = sum(map(latent.mutual_information, variables))
        metrics["marginal_entropy"] = sum(map(latent.marginal_entropy, variables))
        metrics["symbols_used"] = len(set(symbols.tolist()))
        labels = {name: values for name, values in self.corpus.test.labels.items() if any(values)}
        self._group_measures(answers, labels)
        if len(variables) == 1:
            self.evaluation.warnings += symbol_warnings(symbols.tolist(), answers.shape[-1], metrics["mi"], labels)
        if not labels:
            self.evaluation.reasons["homogeneity"] = "the test split has no labels"
            return
        metrics |= agreement_with_labels(symbols, self.corpus.test, questions=self.model.kind.is_ordered)
        metrics["homogeneity_per_batch_as_published"] = {
            name: latent.homogeneity_per_batch_as_published(symbols, values) for name, values in labels.items()
        }
        if len(variables) == 1:
            self._classification(answers[:, 0])

    def _group_measures(self, answers: Tensor, labels: dict[str, list[str]]) -> None:
        """The same of the groups of symbols, where these are in two levels."""
        groups, metrics = self.model.groups, self.evaluation.metrics
        if groups is None or self._log_categories is None:
            return
        of = torch.tensor(groups.of)[answers[:, 0].argmax(-1)]
        metrics["mi_groups"] = latent.mutual_information(log_groups_of(self._log_categories[:, 0].double(), groups))
        metrics["groups_used"] = len(set(of.tolist()))
        scores = {name: latent.cluster_agreement(of, values) for name, values in labels.items()}
        if scores:
            for key, attribute in GROUP_AGREEMENT.items():
                metrics[key] = {name: float(getattr(score, attribute)) for name, score in scores.items()}

    def _classification(self, log_symbol: Tensor) -> None:
        """Accuracy where the symbols were learnt as classes."""
        names, label = self.model.label_names, self.model.config.data.label
        known = sorted(self.corpus.test.labels)
        if not names or not known:
            return
        ids = {name: i for i, name in enumerate(names)}
        values = self.corpus.test.labels[label or known[0]]
        # A class that training lacked is no symbol: whatever is answered is wrong.
        truth = torch.tensor([ids.get(value, log_symbol.shape[-1]) if value else -1 for value in values])
        unknown = sorted(set(values) - set(ids) - {""})
        if unknown:
            n = sum(value in unknown for value in values)
            self.evaluation.warnings.append(
                f"{n} test examples have classes that training lacked, and count as wrong: {', '.join(unknown)}"
            )
        classes = set(values) - {""}
        if len(classes) == 1:
            self.evaluation.warnings.append(
                f"all labelled test examples are of one class, {classes.pop()!r}: their accuracy says little"
            )
        if not set(values) & set(ids):
            self.evaluation.reasons["accuracy"] = "no test example has a class that was learnt"
            return
        self.evaluation.metrics["accuracy"] = accuracy(log_symbol.argmax(-1), truth)
        self.evaluation.metrics["calibration_error"] = expected_calibration_error(log_symbol.exp(), truth)
        self.evaluation.reliability = reliability(log_symbol.exp(), truth)
        self._predicted, self._truth = log_symbol.argmax(-1), truth
        n = int((truth >= 0).sum())
        self.evaluation.counts["classified examples"] = n
        if n < FEW_TEXTS:
            self.evaluation.metrics["accuracy_interval"] = wilson_interval(int((self._predicted == truth).sum()), n)
