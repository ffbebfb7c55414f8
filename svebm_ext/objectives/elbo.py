"""The loss of one iteration, from the terms of a latent family by name (docs/math.md, Eq. 10-12, 21-23).

    loss = NLL + w (KL(q||p0) - mean F(z+) + mean F(z-)) - lambda I(z, y) + eta CE(y, p(y | z = mu(x)))

Where symbols are in two levels, y = (c, k), lambda_1 I(z, c) is taken off as well.

With discrete variables or mixtures, w also weighs KL(q(c) || uniform) + I(c, x) and beta times the dispersion. A family
that does not provide a term simply lacks it. Means are over the examples of all processes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from svebm_ext.config import ObjectiveConfig
from svebm_ext.objectives.categories import category_divergence
from svebm_ext.objectives.mutual_information import mutual_information


def kept_kl(kl: Tensor, free_bits: float) -> Tensor:
    """KL per example [B] in nats from that per dimension [B, D]; dimensions at or below `free_bits` are dropped."""
    return (kl if free_bits <= 0.0 else torch.where(kl > free_bits, kl, 0.0)).sum(-1)


@dataclass
class Averager:
    """Means over the examples of all processes.

    Attributes:
        n_total: examples over all processes.
        sum_over_processes: differentiable sum over processes, identity for one.
        world_size: number of processes.
    """

    n_total: int
    sum_over_processes: Callable[[Tensor], Tensor] | None = None
    world_size: int = 1

    def mean(self, per_example: Tensor) -> Tensor:
        """This process's share of the global mean: shares add up to it, and so do their gradients."""
        return per_example.sum() / self.n_total


@dataclass
class LossTerms:
    """Terms of one iteration in nats, each this process's share of a mean.

    What is not a mean over examples (`mutual_information`, `group_information`, `category_kl`,
    `category_information`) is the whole.
    """

    nll: Tensor
    kl: Tensor | None = None
    energy_positive: Tensor | None = None
    energy_negative: Tensor | None = None
    mutual_information: Tensor | None = None
    group_information: Tensor | None = None
    label: Tensor | None = None
    pseudo_label: Tensor | None = None
    energy_square: Tensor | None = None
    bag_of_words: Tensor | None = None
    dispersion: Tensor | None = None
    category_kl: Tensor | None = None
    category_information: Tensor | None = None
    marginal: Tensor | None = None


def collect_terms(
    nll: Tensor,
    terms: dict[str, Tensor],
    config: ObjectiveConfig,
    average: Averager,
    *,
    energy_negative: Tensor | None = None,
    n_negatives: int | None = None,
    label_logits: Tensor | None = None,
    labels: Tensor | None = None,
    n_labelled: int = 0,
    guess_logits: Tensor | None = None,
    guesses: Tensor | None = None,
    n_guessed: int = 0,
    running_marginal: Tensor | None = None,
) -> LossTerms:
    """Average per-example terms over the batch.

    Args:
        nll: [B] -log p(x|z).
        terms: from `Latent.terms`.
        config: the objective's options.
        average: means over all processes.
        energy_negative: [N] F(z-) of this process, z- detached.
        n_negatives: z- of all processes (default: as many as examples).
        label_logits: [B, K] f at mu(x) or at z; labels [B], -1 where there is none.
        n_labelled: labelled examples over all processes.
        guess_logits: [B, K] f at mu(x) or at z of examples, whose class probabilities `guesses` [B, K] are guessed,
            all 0 where they are not.
        n_guessed: examples with a guess over all processes.
        running_marginal: [K] moving average of q(y), or None.
    """
    collected = _means(nll, terms, config, average)
    if energy_negative is not None:
        n = average.n_total if n_negatives is None else n_negatives
        collected.energy_negative = energy_negative.sum() / n
        collected.energy_square = collected.energy_square + energy_negative.square().sum() / n  # type: ignore[operator]
    if "log_symbol" in terms:
        collected.mutual_information, collected.marginal = mutual_information(
            terms["log_symbol"],
            n_total=average.n_total,
            sum_over_processes=average.sum_over_processes,
            running_marginal=running_marginal,
            momentum=config.marginal_momentum,
        )
    if "log_group" in terms:
        collected.group_information, _ = mutual_information(
            terms["log_group"], n_total=average.n_total, sum_over_processes=average.sum_over_processes
        )
    if "log_categories" in terms:
        collected.category_kl, collected.category_information = category_divergence(
            terms["log_categories"], n_total=average.n_total, sum_over_processes=average.sum_over_processes
        )
    if label_logits is not None and labels is not None and n_labelled > 0:
        collected.label = F.cross_entropy(label_logits, labels, ignore_index=-1, reduction="sum") / n_labelled
    if guess_logits is not None and guesses is not None:
        collected.pseudo_label = -(guesses * guess_logits.log_softmax(-1)).sum() / max(1, n_guessed)
    return collected


def _means(nll: Tensor, terms: dict[str, Tensor], config: ObjectiveConfig, average: Averager) -> LossTerms:
    """Terms that are means over examples."""
    means = LossTerms(nll=average.mean(nll))
    if "kl" in terms:
        means.kl = average.mean(kept_kl(terms["kl"], config.free_bits))
    if "bag_of_words" in terms:
        means.bag_of_words = average.mean(terms["bag_of_words"])
    if "energy_positive" in terms:
        means.energy_positive = average.mean(terms["energy_positive"])
        means.energy_square = average.mean(terms["energy_positive"].square())
    if "dispersion" in terms:
        means.dispersion = average.mean(terms["dispersion"])
    return means


def total_loss(terms: LossTerms, weight: float | Tensor, config: ObjectiveConfig, world_size: int = 1) -> Tensor:
    """Weighted sum of the terms: this process's share of the loss.

    Args:
        terms: averaged terms.
        weight: w of this iteration; as a tensor [] it is above 0, and nothing here reads it.
        config: lambda, eta, beta and the energy penalty.
        world_size: processes; what is known whole to each of them is shared out.
    """
    loss = terms.nll
    weighted = isinstance(weight, Tensor) or weight > 0.0
    if weighted:
        loss = loss + weight * _divergence_of_categories(terms, config, world_size)
        for term, sign in ((terms.kl, 1.0), (terms.energy_positive, -1.0), (terms.energy_negative, 1.0)):
            if term is not None:
                loss = loss + sign * weight * term
        if config.energy_penalty > 0.0 and terms.energy_square is not None:
            loss = loss + config.energy_penalty * terms.energy_square
    use_information = config.mutual_information > 0.0 and (weighted or config.mutual_information_always)
    if use_information and terms.mutual_information is not None:
        loss = loss - config.mutual_information * terms.mutual_information / world_size
    use_groups = config.group_information > 0.0 and (weighted or config.mutual_information_always)
    if use_groups and terms.group_information is not None:
        loss = loss - config.group_information * terms.group_information / world_size
    if terms.bag_of_words is not None and weight < config.kl_weight:
        # It guides the warm-up only: later it would make z carry more than the bound is worth.
        loss = loss + config.bag_of_words * (1.0 - weight / config.kl_weight) * terms.bag_of_words
    if config.label_weight > 0.0 and terms.label is not None:
        loss = loss + config.label_weight * terms.label
    if config.pseudo_label_weight > 0.0 and terms.pseudo_label is not None:
        loss = loss + config.pseudo_label_weight * terms.pseudo_label
    return loss


def _divergence_of_categories(terms: LossTerms, config: ObjectiveConfig, world_size: int) -> Tensor | float:
    divergence: Tensor | float = 0.0
    if terms.dispersion is not None:
        divergence = divergence + config.dispersion * terms.dispersion
    if terms.category_kl is not None and terms.category_information is not None:
        information = terms.category_information if config.category_information else 0.0
        divergence = divergence + (terms.category_kl + information) / world_size
    return divergence
