"""All measures of a trained text model on a test split, in order; what `python -m svebm_ext.evaluate` prints."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from svebm_ext.config import is_bag_of_words, to_dict
from svebm_ext.data.batching import EncodedSplit, collate, evaluation_batches
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.data.dialogs import sentence_encoder
from svebm_ext.evaluation import latent, likelihood
from svebm_ext.evaluation.agreement import agreement_with_labels
from svebm_ext.evaluation.annealed_likelihood import annealed_likelihood, find_step_sizes
from svebm_ext.evaluation.bleu import corpus_bleu
from svebm_ext.evaluation.classification import ReliabilityBin, accuracy, expected_calibration_error, reliability
from svebm_ext.evaluation.collected import Evaluation
from svebm_ext.evaluation.evaluate_samples import measure_samples
from svebm_ext.evaluation.proposal import PROPOSAL_EXAMPLES, tightest_proposal_scale
from svebm_ext.evaluation.report import METRIC_DOCUMENTATION, ReportContext, write_report
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.latents.gaussian import GaussianLatent
from svebm_ext.models.importance import importance_samples
from svebm_ext.models.svebm import SVEBM
from svebm_ext.sampling.annealed import estimate_log_z

#: Largest distance of the two ends of log Z that is reported without a warning (nats).
LOG_Z_GAP = 0.1
#: Smallest effective sample size behind an end of log Z that is reported without a warning.
LOG_Z_ESS = 30
#: Most samples of q(z|x) for the ELBO and its parts, where the NLL has wider ones.
BOUND_SAMPLES = 50
#: Largest R-hat of the prior's chains that is reported without a warning.
R_HAT = 1.05

#: Smallest mean acceptance of annealed chains that is reported without a warning.
ANNEALED_ACCEPTANCE = 0.4


class Evaluator:
    """Measures one model on one corpus.

    Args:
        model: trained.
        corpus: its test split is measured on, its training split is the reference of wKL.
        seed: of every random number of the evaluation.
        say: receives a line about each finished part.
    """

    def __init__(self, model: SVEBM, corpus: Corpus, *, seed: int = 0, say: Callable[[str], None] = print) -> None:
        self.model, self.corpus, self.seed, self._say = model.eval(), corpus, seed, say
        self.options = model.config.evaluation
        self.found = Evaluation()
        self.test: Any = self.encode_split(corpus.test)
        self.found.counts.update(self.split_counts(self.test))
        self._log_categories: Tensor | None = None
        self._greedy: list[list[str]] = []
        self._reconstructions: list[list[str]] = []

    def encode_split(self, split: Split) -> EncodedSplit:
        """A split as the model reads it."""
        config = self.model.config
        return sentence_encoder(config.model)(split, self.model.vocabulary, config.data.max_tokens)

    def split_counts(self, test: Any) -> dict[str, int]:
        """What the report tells of the size of the test split."""
        return {"test sentences": len(test), "test sentences cut to max-tokens": test.n_truncated}

    def batch(self, rows: Tensor, split: Any = None) -> Any:
        """Examples of a split, the test split unless another is given, as a batch of the model."""
        return collate(self.test if split is None else split, rows).to(self.model.device)

    def parts(self) -> list[Callable[[], None]]:
        """What is measured, in order."""
        return [
            self.normaliser,
            self.likelihoods,
            self.annealed,
            self.reconstruction,
            self.symbols,
            self.samples,
            self.grammar,
        ]

    @torch.no_grad()
    def run(self) -> Evaluation:
        """All measures that the model's family has."""
        for part in self.parts():
            begin = time.monotonic()
            part()
            self._say(f"evaluated {part.__name__} in {time.monotonic() - begin:.1f} s")
        return self.found

    # Parts ------------------------------------------------------------------------------------------------------

    def normaliser(self) -> None:
        """Both ends of log Z; 0 for a normalised prior."""
        metrics, family = self.found.metrics, self.model.networks.latent
        if not family.has_prior:
            for key in ("log_z_lower", "log_z_upper", "nll", "ppl", "elbo", "kl"):
                self.found.reasons[key] = "an autoencoder has no prior and no likelihood"
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
        self.found.counts["log Z chains"] = self.options.log_z_chains
        self.found.counts["log Z temperatures"] = self.options.log_z_temperatures
        gap = estimate.upper - estimate.lower
        if not gap <= LOG_Z_GAP:
            self.found.warnings.append(f"the ends of log Z are {gap:.2f} nats apart: take more chains or temperatures")
        smallest = min(estimate.forward_ess, estimate.reverse_ess)
        if not smallest >= LOG_Z_ESS:
            self.found.warnings.append(f"log Z stands on an effective sample of {smallest:.0f} chains: take more")
        if not estimate.r_hat <= R_HAT:
            self.found.warnings.append(f"R-hat of the prior's chains is {estimate.r_hat:.2f}: they have not converged")

    def likelihoods(self) -> None:
        """Importance-weighted NLL; of samples of q(z|x) itself the ELBO, its parts and the published estimate."""
        family = self.model.networks.latent
        if not family.has_prior:
            return
        M = self.options.importance_samples if family.latent_dim > 0 else 1
        chosen = self._likelihood_sentences()
        lengths = self.test.lengths[chosen]
        log_z = self.found.metrics["log_z_upper"]
        sums = {key: 0.0 for key in ("nll", "elbo", "reconstruction_nll", "reconstruction_nll_shuffled", "kl")}
        if isinstance(family, GaussianLatent):
            sums["nll_as_published"] = 0.0
        sizes: list[Tensor] = []
        scale = self.options.proposal_scale or self._tightest_proposal_scale(M)
        for rows in evaluation_batches(lengths, 64):
            batch = self.batch(chosen[rows])
            drawn = importance_samples(self.model.networks, batch, M, seed=self.seed, proposal_scale=scale)
            sums["nll"] -= float(likelihood.importance_weighted_log_likelihood(*drawn[:3], log_z).sum())
            sizes.append(likelihood.effective_sample_size(drawn.log_weights))
            if scale != 1.0:
                drawn = importance_samples(self.model.networks, batch, min(M, BOUND_SAMPLES), seed=self.seed)
            posterior = family.posterior(self.model.networks.encoder(batch))
            sums["elbo"] += float(likelihood.evidence_lower_bound(*drawn[:3], log_z).sum())
            sums["reconstruction_nll"] -= float(drawn.log_likelihood.mean(0).sum())
            others = drawn.z[0].roll(1, 0)  # of sentences as long as these, or nearly: batches are sorted by length
            sums["reconstruction_nll_shuffled"] += float(self.model.networks.nll(batch, others).sum())
            if isinstance(family, GaussianLatent):
                sums["kl"] += float(latent.kl_to_standard_normal(*posterior).sum())
                energy = (
                    family.prior.energy(drawn.z)
                    if isinstance(family, EnergyLatent)
                    else torch.zeros_like(drawn.z[..., 0])
                )
                sums["nll_as_published"] += float(
                    likelihood.nll_as_published(drawn.log_likelihood, energy, drawn.z, *posterior).sum()
                )
            else:
                sums["kl"] += float((drawn.log_posterior - drawn.log_prior).mean(0).sum())
        n = len(chosen)
        self.found.metrics.update({key: value / n for key, value in sums.items()})
        self.found.metrics["ppl"] = likelihood.perplexity(sums["nll"], int(lengths.sum()))
        self.found.metrics["nll_ess"] = float(torch.cat(sizes).median())
        self.found.metrics["nll_proposal_scale"] = scale
        self.found.counts["NLL sentences"], self.found.counts["NLL importance samples"] = n, M
        if n < len(self.test):
            self.found.warnings.append(
                f"NLL is of {n:,} of {len(self.test):,} test sentences (evaluation.max-sentences)"
            )

    def annealed(self) -> None:
        """NLL of some sentences by annealed importance sampling, and beside it the usual one of the same sentences."""
        family, options = self.model.networks.latent, self.options
        n = min(options.annealed_sentences, len(self.test))
        if not n or not family.has_prior:
            return
        if not family.has_vector:
            self.found.reasons["nll_annealed"] = "the latent family has no Gaussian vector that could be annealed"
            return
        chosen, networks = self._shuffled(len(self.test))[:n], self.model.networks
        log_z, scale = self.found.metrics["log_z_upper"], self.found.metrics["nll_proposal_scale"]
        valid = self.encode_split(self.corpus.valid)
        pilot = self.batch(self._shuffled(len(valid))[:PROPOSAL_EXAMPLES], valid)
        step_sizes = find_step_sizes(
            networks, pilot, options.annealed_temperatures, proposal_scale=scale, seed=self.seed
        )
        nll = annealed_nll = acceptance = 0.0
        done = 0
        for rows in evaluation_batches(self.test.lengths[chosen], 32):
            batch = self.batch(chosen[rows])
            found = annealed_likelihood(
                networks, batch, n_chains=options.annealed_chains, step_sizes=step_sizes, proposal_scale=scale,
                seed=self.seed,
            )  # fmt: skip
            annealed_nll -= float(found.log_likelihood(log_z).sum())
            acceptance += found.acceptance * len(rows) / n
            drawn = importance_samples(
                networks, batch, options.importance_samples, seed=self.seed, proposal_scale=scale
            )
            nll -= float(likelihood.importance_weighted_log_likelihood(*drawn[:3], log_z).sum())
            done += len(rows)
            self._say(
                f"annealed {done} of {n} sentences: NLL {annealed_nll / done:.2f}, by importance {nll / done:.2f}"
            )
        self.found.metrics.update(nll_annealed=annealed_nll / n, nll_of_annealed=nll / n)
        self.found.counts |= {
            "annealed sentences": n,
            "annealed chains": options.annealed_chains,
            "annealed temperatures": options.annealed_temperatures,
        }
        if options.annealed_temperatures > 1 and not acceptance >= ANNEALED_ACCEPTANCE:
            self.found.warnings.append(f"acceptance of the annealed chains is {acceptance:.2f}: take more temperatures")

    def _tightest_proposal_scale(self, n_samples: int) -> float:
        if not self.model.networks.latent.has_vector:
            return 1.0
        valid = self.encode_split(self.corpus.valid)
        chosen = self._shuffled(len(valid))[:PROPOSAL_EXAMPLES]
        batches = [self.batch(chosen[rows], valid) for rows in evaluation_batches(valid.lengths[chosen], 64)]
        return tightest_proposal_scale(self.model.networks, batches, n_samples, seed=self.seed)

    def _likelihood_sentences(self) -> Tensor:
        n, limit = len(self.test), self.options.max_sentences
        if limit == 0 or limit >= n:
            return torch.arange(n)
        return self._shuffled(n)[:limit]

    def _shuffled(self, n: int) -> Tensor:
        return torch.randperm(n, generator=torch.Generator().manual_seed(self.seed))

    def reconstruction(self) -> None:
        """BLEU and token accuracy of greedy decoding from mu(x); active units."""
        family = self.model.networks.latent
        if not family.has_features:
            for key in ("bleu", "active_units"):
                self.found.reasons[key] = "a model without latent variables does not reconstruct"
            return
        networks, words = self.model.networks, self.model.max_words
        means = torch.empty(len(self.test), family.latent_dim)
        log_categories: dict[int, Tensor] = {}
        decoded: dict[int, list[int]] = {}
        for rows in evaluation_batches(self.test.lengths, 256):
            batch = self.batch(rows)
            posterior = family.posterior(networks.encoder(batch))
            z = family.mean(posterior)
            means[batch.indices.cpu()] = z.float().cpu()
            categories = family.log_categories(posterior)
            if categories is not None:
                log_categories.update(zip(batch.indices.tolist(), categories.float().cpu(), strict=True))
            decoded.update(zip(batch.indices.tolist(), networks.decode(batch, z, max_tokens=words), strict=True))
        vocabulary = self.model.vocabulary
        hypotheses = [vocabulary.decode(decoded[i]) for i in range(len(self.test))]
        self._reconstructions = hypotheses
        bleu = corpus_bleu(hypotheses, self.corpus.test.sentences)
        end = [vocabulary.END]
        exact = latent.reconstruction_accuracy(
            [decoded[i] + end for i in range(len(self.test))], [self.test.words(i) + end for i in range(len(self.test))]
        )
        self.found.metrics.update(
            bleu=bleu.score,
            bleu_signature=bleu.signature,
            reconstruction_accuracy=exact.token,
            reconstruction_exact=exact.sentence,
            active_units=latent.active_units(means),
        )
        if log_categories:
            self._log_categories = torch.stack([log_categories[i] for i in range(len(self.test))])
        self.found.texts["Reconstructions"] = [
            line
            for i in range(min(5, len(self.test)))
            for line in (
                f"text:           {' '.join(self.corpus.test.sentences[i])}",
                f"reconstruction: {' '.join(hypotheses[i])}",
            )
        ]

    def symbols(self) -> None:
        """I(z, y), and the symbols against every label of the test split.

        Of several discrete variables, the information is the sum over them, and a sentence's symbol is the tuple of
        their most probable categories.
        """
        metrics = self.found.metrics
        if self._log_categories is None:
            for key in ("mi", "homogeneity"):
                self.found.reasons[key] = f"the {self.model.config.model.latent} latent family has no symbols"
            return
        variables = self._log_categories.unbind(1)
        _, symbols = self._log_categories.argmax(-1).unique(dim=0, return_inverse=True)
        metrics["mi"] = sum(map(latent.mutual_information, variables))
        metrics["marginal_entropy"] = sum(map(latent.marginal_entropy, variables))
        metrics["symbols_used"] = len(set(symbols.tolist()))
        labels = {name: values for name, values in self.corpus.test.labels.items() if any(values)}
        if not labels:
            self.found.reasons["homogeneity"] = "the test split has no labels"
            return
        bags = is_bag_of_words(self.model.config.model)
        metrics |= agreement_with_labels(symbols, self.corpus.test, questions=not bags)
        metrics["homogeneity_per_batch_as_published"] = {
            name: latent.homogeneity_per_batch_as_published(symbols, values) for name, values in labels.items()
        }
        if len(variables) == 1:
            self._classification(variables[0])

    def _classification(self, log_symbol: Tensor) -> None:
        """Accuracy where the symbols were learnt as classes."""
        names, label = self.model.label_names, self.model.config.data.label
        known = sorted(self.corpus.test.labels)
        if not names or not known:
            return
        ids = {name: i for i, name in enumerate(names)}
        values = self.corpus.test.labels[label or known[0]]
        truth = torch.tensor([ids.get(value, -1) for value in values])
        unknown = sorted(set(values) - set(ids) - {""})
        if unknown:
            n = sum(value in unknown for value in values)
            self.found.warnings.append(f"{n} test examples have classes that training lacked: {', '.join(unknown)}")
        if not bool((truth >= 0).any()):
            self.found.reasons["accuracy"] = "no test example has a class that was learnt"
            return
        self.found.metrics["accuracy"] = accuracy(log_symbol.argmax(-1), truth)
        self.found.metrics["calibration_error"] = expected_calibration_error(log_symbol.exp(), truth)
        self.found.reliability = reliability(log_symbol.exp(), truth)
        self.found.counts["classified examples"] = int((truth >= 0).sum())

    def samples(self) -> None:
        """wKL and reverse perplexity of sentences from the prior, greedy and ancestral; samples to read."""
        self._greedy = measure_samples(
            self.model, self.corpus, self.found, seed=self.seed, say=self._say, aggregate=self.aggregate_posterior
        )

    def aggregate_posterior(self, n: int) -> Tensor:
        """z [n, D] of the mean of q(z|x) over the training split: each sentence in turn, all of them again if need be.

        The order is a seeded permutation, so that consecutive z are of unrelated sentences.
        """
        split, networks = self.encode_split(self.corpus.train), self.model.networks
        z = torch.empty(n, networks.latent.latent_dim, device=self.model.device)
        order = self._shuffled(len(split))
        place = torch.argsort(order).to(z.device)
        for first in range(0, n, len(split)):
            chosen = order[: n - first]
            for rows in evaluation_batches(split.lengths[chosen], 256):
                batch = self.batch(chosen[rows], split)
                ids = first + place[batch.indices]
                posterior = networks.latent.posterior(networks.encoder(batch))
                z[ids] = networks.latent.importance_samples(posterior, 1, seed=self.seed, ids=ids)[0]
        return z

    def grammar(self) -> None:
        """On the embedded corpus: its entropy, and the share of samples that its grammar accepts."""
        if self.corpus.name != "assistant":
            return
        from svebm_ext.data.assistant import assistant_grammar

        grammar = assistant_grammar()
        self.found.metrics["entropy"] = grammar.entropy
        if self._greedy:
            chosen = self._greedy[: self.options.grammar_samples]
            self.found.metrics["grammar_accept"] = sum(map(grammar.accepts, chosen)) / len(chosen)
            self.found.counts["grammar samples"] = len(chosen)


def evaluate_run(
    folder: Path, model: SVEBM, corpus: Corpus, *, seed: int = 0, say: Callable[[str], None] | None = None
) -> dict[str, Any]:
    """Measure a model and write metrics.json, report.md, the model card and plots into its folder.

    Args:
        folder: of the run.
        model: trained.
        corpus: of the run.
        seed: of the evaluation.
        say: receives progress lines.

    Returns:
        The content of metrics.json; its keys are documented in `evaluation.report.METRIC_DOCUMENTATION`.
    """
    from svebm_ext.models.pretrained import CARD, model_card, write_atomically

    kind = Evaluator
    if is_bag_of_words(model.config.model):
        from svebm_ext.evaluation.evaluate_documents import DocumentEvaluator

        kind = DocumentEvaluator
    elif model.config.model.kind == "dialogs":
        from svebm_ext.evaluation.evaluate_dialogs import DialogEvaluator

        kind = DialogEvaluator
    found = kind(model, corpus, seed=seed, say=say or _say_to_stderr).run()
    context = ReportContext(
        title=f"{model.config.preset} on {corpus.name}",
        configuration=to_dict(model.config),
        seed=seed,
        device=_device_name(model.device),
        sample_counts=found.counts,
        warnings=[*corpus.notes, *found.warnings],
        texts=found.texts,
    )
    document = write_report(folder, found.metrics, context, found.reasons)
    for name, page in found.pages.items():
        write_atomically(folder / name, page)
    write_atomically(folder / CARD, model_card(model, document))
    _plot(folder, found.reliability)
    return document


def print_summary(document: dict[str, Any]) -> None:
    """Print the measures as a table of name, value, unit."""
    for key, value in document.items():
        if key not in METRIC_DOCUMENTATION:
            continue
        rows = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else {key: value}
        for name, number in rows.items():
            text = "–" if number is None else f"{number:.4f}" if isinstance(number, float) else str(number)
            print(f"{name:48s} {text:>12s}  {METRIC_DOCUMENTATION[key].unit}")
    for warning in document["about"]["warnings"]:
        print(f"warning: {warning}")


def _plot(folder: Path, reliability: Sequence[ReliabilityBin]) -> None:
    """Learning curves and reliability, where matplotlib is installed and the run has what they show."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return
    from svebm_ext.plots import learning_curves, reliability_diagram

    (folder / "plots").mkdir(exist_ok=True)
    if (folder / "metrics.jsonl").exists():
        learning_curves(folder / "metrics.jsonl", folder / "plots" / "learning_curves.png")
    if reliability:
        reliability_diagram(reliability, folder / "plots" / "reliability.png")


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"


def _say_to_stderr(text: str) -> None:
    import sys

    print(text, file=sys.stderr)
