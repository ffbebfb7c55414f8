"""Measures of a model's samples: word frequencies, and what a language model learns from them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.data.corpus import Corpus
from svebm_ext.evaluation.collected import Evaluation
from svebm_ext.measures.frequencies import word_frequency_divergence
from svebm_ext.models.svebm import SVEBM

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

    Returns:
        The greedy samples by words; none where the model has no latent variable.
    """
    family, options, training = model.networks.latent, model.config.evaluation, corpus.train.sentences
    n, greedy, aggregated = options.frequency_samples, [], []
    if not family.has_prior:
        evaluation.warnings.append("an autoencoder has no prior: its samples are decoded from N(0, I)")
    if family.has_features:
        greedy = _generate(model, greedy=True, seed=seed)
        divergence = word_frequency_divergence(greedy[:n], training)
        evaluation.metrics |= {"wkl": divergence.divergence, "wkl_skipped": divergence.n_skipped}
        evaluation.texts["Samples (greedy decoding of prior samples)"] = list(map(model.to_read, greedy[:10]))
        if options.aggregate_posterior:
            aggregated = _generate(model, greedy=True, seed=seed, z=aggregate(_n_sentences(model)))
            evaluation.metrics["wkl_aggregate"] = word_frequency_divergence(aggregated[:n], training).divergence
    else:
        for key in (
            "wkl",
            "rppl",
            "rppl_as_published",
            *(("wkl_aggregate", "rppl_aggregate") if options.aggregate_posterior else ()),
        ):
            evaluation.reasons[key] = "greedy decoding gives one sentence: the model has no latent variable"
    ancestral = _generate(model, greedy=False, seed=seed)
    evaluation.metrics["wkl_ancestral"] = word_frequency_divergence(ancestral[:n], training).divergence
    evaluation.texts["Samples (ancestral sampling)"] = list(map(model.to_read, ancestral[:10]))
    evaluation.counts["wKL samples"] = n
    if options.language_model != "none":
        samples = {"rppl": greedy, "rppl_ancestral": ancestral}
        if aggregated:
            samples["rppl_aggregate"] = aggregated
        _reverse_perplexities(model, corpus, samples, evaluation, seed, say)
    return greedy


def _n_sentences(model: SVEBM) -> int:
    """How many sentences the measures of samples ask for."""
    options = model.config.evaluation
    return options.frequency_samples + (VALIDATION_SAMPLES if options.language_model != "none" else 0)


def _generate(model: SVEBM, *, greedy: bool, seed: int, z: Float[Tensor, "n D"] | None = None) -> list[list[str]]:
    """As many sentences as the measures of samples ask for, by words; from the prior, or from each z given."""
    n, precision = _n_sentences(model), model.config.evaluation.sample_precision
    texts: list[list[str]] = []
    while len(texts) < n:
        first, part_seed = len(texts), seed + 1 + len(texts)
        size = min(4096, n - first)
        part = model.networks.latent.sample_reference(size, seed=part_seed) if z is None else z[first : first + size]
        texts += model.decode_words(part, greedy=greedy, seed=part_seed, precision=precision)
    return texts


@torch.enable_grad()
def _reverse_perplexities(
    model: SVEBM,
    corpus: Corpus,
    samples: dict[str, list[list[str]]],
    evaluation: Evaluation,
    seed: int,
    say: Callable[[str], None],
) -> None:
    """Perplexity of the test set under a language model of the samples of each key."""
    from svebm_ext.judges.language_model import FAST, PAPER, reverse_perplexity

    for key, sentences in samples.items():
        if not any(sentences):
            evaluation.reasons.setdefault(key, "no sample has a word")
            continue
        result = reverse_perplexity(
            sentences,
            corpus.test.sentences,
            FAST if model.config.evaluation.language_model == "fast" else PAPER,
            vocabulary=model.vocabulary,
            n_valid=VALIDATION_SAMPLES,
            seed=seed,
            device=str(model.device),
            say=say,
        )
        evaluation.metrics[key] = result.perplexity
        if key == "rppl":
            evaluation.metrics["rppl_as_published"] = result.perplexity_as_published
        evaluation.counts[f"{key} training samples"] = result.n_train
