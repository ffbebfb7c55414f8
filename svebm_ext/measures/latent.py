"""What the latent vector and the symbol carry: information, agreement with labels, active units, reconstruction."""

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.errors import DataError

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class ReconstructionAccuracy:
    """Shares, from 0 to 1, of target tokens and of whole sentences that were reconstructed."""

    token: float
    sentence: float


@dataclass(frozen=True)
class ClusterAgreement:
    """Scores of inferred symbols against labels that the model was not shown, each from 0 (none) to 1.

    Adjusted mutual information is 0 at chance level and may be slightly negative. `chance_homogeneity` is the mean
    homogeneity of the same symbols, randomly permuted over the sentences: what the sizes of the clusters give by
    themselves. `n` sentences were labelled.
    """

    homogeneity: float
    completeness: float
    v_measure: float
    adjusted_mutual_information: float
    chance_homogeneity: float
    n: int


@dataclass(frozen=True)
class ConditionalInformation:
    """What symbols tell about labels beyond a feature that is known anyway.

    `information` = I(symbol; label | known) and `chance`, the mean of the same for symbols permuted among the sentences
    that share a value of the feature, are in nats. `share` = information / H(label | known), from 0 to 1 (0 where the
    feature leaves nothing open). `n` sentences were labelled.
    """

    information: float
    chance: float
    share: float
    n: int


def marginal_symbol_probabilities(log_posterior: Float[Tensor, "*samples K"]) -> Float[Tensor, "K"]:
    """Marginal q(y) over a whole data set: the mean of p(y|z) over every z given (float64).

    Args:
        log_posterior: log p(y|z) of Eq. 3 for every z, [B, K] or [M, B, K].

    Raises:
        DataError: for no z at all.
    """
    flat = log_posterior.flatten(0, -2).double()
    if len(flat) == 0:
        raise DataError("symbol probabilities need at least one latent vector, got none")
    return flat.exp().mean(0)


def marginal_entropy(log_posterior: Float[Tensor, "*samples K"]) -> float:
    """Entropy of the marginal q(y), in nats: how evenly a data set uses the K symbols, at most log K.

    Arguments and errors are those of `marginal_symbol_probabilities`.
    """
    return float(torch.special.entr(marginal_symbol_probabilities(log_posterior)).sum())


def mutual_information(log_posterior: Float[Tensor, "*samples K"]) -> float:
    """Mutual information I(z, y) of Eq. 21 over a whole data set, in nats: H(q(y)) - mean H(p(y|z)).

    Over the whole set and not averaged over minibatches, whose size B would cap it at log B. It is at most log K.

    Args:
        log_posterior: log p(y|z) of Eq. 3, [B, K] for one z of each sentence or [M, B, K] for M of them.

    Raises:
        DataError: for no z at all.
    """
    conditional = torch.special.entr(log_posterior.double().exp()).sum(-1).mean()
    return max(0.0, marginal_entropy(log_posterior) - float(conditional))


def kl_to_standard_normal(mean: Float[Tensor, "B D"], log_variance: Float[Tensor, "B D"]) -> Float[Tensor, "B"]:
    """KL(q(z|x) || N(0, I)) of Eq. 10 in closed form, in nats for each of B sentences; its mean is the measure `kl`.

    Args:
        mean: means of q(z|x).
        log_variance: log variances of q(z|x).
    """
    return 0.5 * (mean.square() + torch.expm1(log_variance) - log_variance).sum(-1)


def active_units(mean: Float[Tensor, "B D"], threshold: float = 0.01) -> int:
    """Number of active units: dimensions whose posterior mean varies over the data, Var_x(E_q[z_d]) > threshold.

    Args:
        mean: posterior means of the whole data set, in units of the standard deviation of p0.
        threshold: least variance (over B, not B - 1) of a dimension that is called active.

    Raises:
        DataError: for no sentences.

    Source: Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, ICLR 2016, section 5.2.
    """
    if len(mean) == 0:
        raise DataError("active units need at least one posterior mean, got none")
    return int((mean.double().var(0, correction=0) > threshold).sum())


def reconstruction_accuracy(
    predicted: Sequence[Sequence[Hashable]], target: Sequence[Sequence[Hashable]]
) -> ReconstructionAccuracy:
    """Share of target tokens that a reconstruction has at the same position, and share of sentences equal throughout.

    A position that a shorter prediction lacks counts as wrong; tokens past the end of the target make the sentence
    wrong but are no further positions. Keep the end-of-sentence token in both for it to count.

    Args:
        predicted: tokens (words or identifiers) of each reconstruction.
        target: tokens of each original, in the same order.

    Raises:
        DataError: for unequal numbers of sentences, or no target tokens.
    """
    if len(predicted) != len(target):
        raise DataError(
            f"reconstruction accuracy needs one prediction per target, got {len(predicted)} and {len(target)}"
        )
    n_tokens = sum(len(row) for row in target)
    if n_tokens == 0:
        raise DataError("reconstruction accuracy needs at least one target token, got none")
    pairs = list(zip(predicted, target, strict=True))
    right = sum(a == b for row, truth in pairs for a, b in zip(row, truth, strict=False))
    whole = sum(list(row) == list(truth) for row, truth in pairs)
    return ReconstructionAccuracy(token=right / n_tokens, sentence=whole / len(target))


def cluster_agreement(
    symbols: Int[Tensor, "B"], labels: Sequence[str], *, n_permutations: int = 20, seed: int = 0
) -> ClusterAgreement:
    """Agreement of symbols y = argmax p(y|z) with labels, over the whole set at once.

    homogeneity = 1 - H(label | symbol) / H(label), completeness = 1 - H(symbol | label) / H(symbol), V-measure their
    harmonic mean; adjusted mutual information corrects for chance under random labelling.

    Args:
        symbols: inferred symbol of each sentence.
        labels: label of each sentence; "" marks a sentence without one, which is left out.
        n_permutations: random permutations behind the chance level.
        seed: seed of these permutations.

    Raises:
        DataError: for unequal numbers of symbols and labels, or no labelled sentence.

    Source: Rosenberg & Hirschberg, V-Measure, EMNLP 2007; Vinh, Epps & Bailey, JMLR 2010 (adjusted mutual information).
    """
    import numpy as np
    from sklearn import metrics

    label_ids, symbol_ids = _labelled(symbols, labels)
    with warnings.catch_warnings():
        # Of few sentences with many symbols it suspects a regression.
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        homogeneity, completeness, v_measure = metrics.homogeneity_completeness_v_measure(label_ids, symbol_ids)
        adjusted = metrics.adjusted_mutual_info_score(label_ids, symbol_ids)
    generator = np.random.default_rng(seed)
    chance = [_homogeneity(label_ids, generator.permutation(symbol_ids)) for _ in range(n_permutations)]
    return ClusterAgreement(
        homogeneity=min(1.0, float(homogeneity)),
        completeness=min(1.0, float(completeness)),
        v_measure=min(1.0, float(v_measure)),
        adjusted_mutual_information=float(adjusted),
        chance_homogeneity=float(np.mean(chance)) if chance else float("nan"),
        n=len(label_ids),
    )


def homogeneity_per_batch_as_published(symbols: Int[Tensor, "B"], labels: Sequence[str], batch_size: int = 30) -> float:
    """Mean homogeneity of batches of `batch_size` sentences in the order given: for comparison only.

    Sentences that are alone in their cluster count as perfectly homogeneous, and in a batch of 30 many are: random
    codes that have nothing to do with the labels score about .6 if 20 symbols are in use, .9 if 125 are, where they
    score .02 over the whole set. `cluster_agreement` is the measure. A last incomplete batch is dropped, as in the
    released program; a set smaller than one batch is one batch.

    Args:
        symbols: inferred symbol of each sentence.
        labels: label of each sentence; "" marks a sentence without one, which is left out.
        batch_size: sentences a batch.

    Raises:
        DataError: for unequal numbers of symbols and labels, no labelled sentence, or a batch size below 1.

    Source: the program published with the paper, github.com/bpucla/ibebm.
    """
    if batch_size < 1:
        raise DataError(f"homogeneity per batch needs a positive batch size, got {batch_size}")
    label_ids, symbol_ids = _labelled(symbols, labels)
    n_batches = max(1, len(label_ids) // batch_size)
    slices = [slice(i * batch_size, (i + 1) * batch_size) for i in range(n_batches)]
    return float(sum(_homogeneity(label_ids[rows], symbol_ids[rows]) for rows in slices) / n_batches)


def information_beyond(
    symbols: Int[Tensor, "B"], labels: Sequence[str], known: Sequence[str], *, n_permutations: int = 20, seed: int = 0
) -> ConditionalInformation:
    """Conditional mutual information I(symbol; label | known): what symbols tell beyond a trivial feature.

    For instance `known` = whether the sentence has a question mark, for labels that are dialogue acts. It is a plug-in
    estimate, biased upwards by about (symbols - 1)(labels - 1)(values of known) / (2 n); permuting symbols among
    sentences of one value of the feature keeps that bias and what the feature tells, and removes everything else.

    Args:
        symbols: inferred symbol of each sentence.
        labels: label of each sentence; "" marks a sentence without one, which is left out.
        known: value of the feature for each sentence.
        n_permutations: random permutations behind the chance level.
        seed: seed of these permutations.

    Raises:
        DataError: for unequal numbers, or no labelled sentence.

    Source: Cover & Thomas, Elements of Information Theory, 2nd edition, 2006, section 2.5.
    """
    import numpy as np

    if len(known) != len(labels):
        raise DataError(f"need one value of the known feature per label, got {len(known)} and {len(labels)}")
    label_ids, symbol_ids = _labelled(symbols, labels)
    feature = np.asarray([value for value, label in zip(known, labels, strict=True) if label != ""])
    generator = np.random.default_rng(seed)
    information = chance = left = 0.0
    for value in np.unique(feature):
        rows = feature == value
        share, there, here = float(rows.mean()), label_ids[rows], symbol_ids[rows]
        information += share * _information(there, here)
        left += share * _entropy(there)
        permuted = [_information(there, generator.permutation(here)) for _ in range(n_permutations)]
        chance += share * (float(np.mean(permuted)) if permuted else float("nan"))
    return ConditionalInformation(
        information=information,
        chance=chance,
        share=min(1.0, information / left) if left > 0.0 else 0.0,
        n=len(label_ids),
    )


def _labelled(symbols: Int[Tensor, "B"], labels: Sequence[str]) -> "tuple[np.ndarray, np.ndarray]":
    """Integer labels and symbols of the labelled sentences."""
    import numpy as np

    if len(symbols) != len(labels):
        raise DataError(f"agreement needs one label per symbol, got {len(labels)} labels and {len(symbols)} symbols")
    texts = np.asarray(labels, dtype=object)
    rows = texts != ""
    if not rows.any():
        raise DataError(f"none of the {len(labels)} sentences has a label")
    _, label_ids = np.unique(texts[rows].astype(str), return_inverse=True)
    return label_ids, symbols.cpu().numpy()[rows]


def _entropy(ids: "np.ndarray") -> float:
    """Entropy of the frequencies of values (rows of a two-dimensional array), in nats."""
    import numpy as np

    counts = np.unique(ids, axis=0, return_counts=True)[1]
    return float(np.log(len(ids)) - (counts * np.log(counts)).sum() / len(ids))


def _information(first: "np.ndarray", second: "np.ndarray") -> float:
    import numpy as np

    joint = _entropy(np.stack([first, second], axis=1))
    return max(0.0, _entropy(first) + _entropy(second) - joint)


def _homogeneity(labels: "np.ndarray", symbols: "np.ndarray") -> float:
    """Homogeneity of small sets, many times over: scikit-learn warns when a set of 30 has 20 clusters."""
    entropy = _entropy(labels)
    return 1.0 if entropy == 0.0 else min(1.0, _information(labels, symbols) / entropy)
