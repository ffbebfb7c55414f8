"""Measures of a model's samples: word frequencies, and what a language model learns from them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.data.corpus import Corpus
from svebm_ext.evaluation.collected import Evaluation
from svebm_ext.measures.frequencies import word_frequency_divergence
from svebm_ext.models.svebm import SVEBM
from svebm_ext.processes import ALONE, Processes

if TYPE_CHECKING:
    from svebm_ext.judges.language_model import ReversePerplexity

#: Samples that the language model of the reverse perplexity is validated on.
VALIDATION_SAMPLES = 3000


def measure_samples(
    model: SVEBM,
    corpus: Corpus,
    evaluation: Evaluation,
    *,
    seed: int,
    say: Callable[[str], None],
    aggregate: Callable[[int], Float[Tensor, "n D"]],
    processes: Processes = ALONE,
) -> list[list[str]]:
    """wKL and reverse perplexity of sentences from the prior, decoded greedily and by ancestral sampling.

    Where `evaluation.aggregate_posterior` says so, the same of sentences decoded greedily at z of the aggregate
    posterior, the mean of q(z|x) over the training data (Tomczak & Welling 2018). The prior is learnt to equal it:
    what the two kinds of sentences differ by is the prior's fault, the rest the generator's.

    Args:
        model: trained; `model.config.evaluation` says how many samples, in which arithmetic, and which language model.
        corpus: its training split is the reference of wKL, its test split what the language models are scored on.
        evaluation: gets the measures, reasons for missing ones, counts, warnings and texts.
        seed: of the samples and the language models.
        say: receives lines of progress.
        aggregate: gives n vectors of the aggregate posterior.
        processes: that share the samples, some thousand at a time, and the language models, of which each has another.

    Returns:
        The greedy samples by words; none where the model has no latent variable.
    """
    family, options, training = model.networks.latent, model.config.evaluation, corpus.train.sentences
    n, greedy, aggregated = options.frequency_samples, [], []
    if not family.has_prior:
        evaluation.warnings.append("an autoencoder has no prior: its samples are decoded from N(0, I)")
    if family.has_features:
        greedy = _generate(model, processes, greedy=True, seed=seed)
        divergence = word_frequency_divergence(greedy[:n], training)
        evaluation.metrics |= {"wkl": divergence.divergence, "wkl_skipped": divergence.n_skipped}
        evaluation.texts["Samples (greedy decoding of prior samples)"] = list(map(model.to_read, greedy[:10]))
        if options.aggregate_posterior:
            aggregated = _generate(model, processes, greedy=True, seed=seed, z=aggregate(_n_sentences(model)))
            evaluation.metrics["wkl_aggregate"] = word_frequency_divergence(aggregated[:n], training).divergence
    else:
        for key in (
            "wkl",
            "rppl",
            "rppl_as_published",
            *(("wkl_aggregate", "rppl_aggregate") if options.aggregate_posterior else ()),
        ):
            evaluation.reasons[key] = "greedy decoding gives one sentence: the model has no latent variable"
    ancestral = _generate(model, processes, greedy=False, seed=seed)
    evaluation.metrics["wkl_ancestral"] = word_frequency_divergence(ancestral[:n], training).divergence
    evaluation.texts["Samples (ancestral sampling)"] = list(map(model.to_read, ancestral[:10]))
    evaluation.counts["wKL samples"] = n
    if options.language_model != "none":
        samples = {"rppl": greedy, "rppl_ancestral": ancestral}
        if aggregated:
            samples["rppl_aggregate"] = aggregated
        _reverse_perplexities(model, corpus, samples, evaluation, seed, say, processes)
    return greedy


def _n_sentences(model: SVEBM) -> int:
    """How many sentences the measures of samples ask for."""
    options = model.config.evaluation
    return options.frequency_samples + (VALIDATION_SAMPLES if options.language_model != "none" else 0)


def _generate(
    model: SVEBM, processes: Processes, *, greedy: bool, seed: int, z: Float[Tensor, "n D"] | None = None
) -> list[list[str]]:
    """As many sentences as the measures of samples ask for, by words; from the prior, or from each z given."""
    n, precision = _n_sentences(model), model.config.evaluation.sample_precision

    def part(first: int) -> list[list[str]]:
        size, part_seed = min(4096, n - first), seed + 1 + first
        of = model.networks.latent.sample_reference(size, seed=part_seed) if z is None else z[first : first + size]
        return model.decode_words(of, greedy=greedy, seed=part_seed, precision=precision)

    return [words for part_of_all in processes.map(part, range(0, n, 4096)) for words in part_of_all]


@torch.enable_grad()
def _reverse_perplexities(
    model: SVEBM,
    corpus: Corpus,
    samples: dict[str, list[list[str]]],
    evaluation: Evaluation,
    seed: int,
    say: Callable[[str], None],
    processes: Processes,
) -> None:
    """Perplexity of the test set under a language model of the samples of each key.

    A model learns from one update after the other, so that its training is one process's; processes share the models.
    """
    from svebm_ext.judges.language_model import FAST, PAPER, reverse_perplexity

    def result_of(key: str) -> ReversePerplexity | None:
        if not any(samples[key]):
            return None
        return reverse_perplexity(
            samples[key],
            corpus.test.sentences,
            FAST if model.config.evaluation.language_model == "fast" else PAPER,
            vocabulary=model.vocabulary,
            n_valid=VALIDATION_SAMPLES,
            seed=seed,
            device=str(model.device),
            say=say,
        )

    for key, result in zip(samples, processes.map(result_of, list(samples)), strict=True):
        if result is None:
            evaluation.reasons.setdefault(key, "no sample has a word")
            continue
        evaluation.metrics[key] = result.perplexity
        if key == "rppl":
            evaluation.metrics["rppl_as_published"] = result.perplexity_as_published
        evaluation.counts[f"{key} training samples"] = result.n_train
