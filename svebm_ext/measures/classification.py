"""Quality of a classifier's labels and of the probabilities it gives them."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.errors import DataError


class ReliabilityBin(NamedTuple):
    """Predictions whose confidence lies in one bin: how many, their mean confidence, the share that is right."""

    n: int
    confidence: float
    accuracy: float


def accuracy(predicted: Int[Tensor, "B"], labels: Int[Tensor, "B"]) -> float:
    """Share of labelled sentences that were classified correctly, from 0 to 1; a negative label means unlabelled.

    Args:
        predicted: predicted class of each sentence.
        labels: true class of each sentence, negative where there is none.

    Raises:
        DataError: if no sentence is labelled.
    """
    rows = _labelled_rows(labels)
    return float((predicted[rows] == labels[rows]).double().mean())


def expected_calibration_error(
    probabilities: Float[Tensor, "B K"], labels: Int[Tensor, "B"], n_bins: int = 15
) -> float:
    """Expected calibration error, from 0 to 1: mean distance of confidence and accuracy over bins of confidence.

    sum_bins (n_bin / n) |accuracy of the bin - mean confidence of the bin|, where confidence is the probability of the
    predicted class and bins divide (0, 1] evenly, each closed on its right.

    Args:
        probabilities: p(y|x) of each sentence; rows sum to 1.
        labels: true class of each sentence, negative where there is none (left out).
        n_bins: number of bins.

    Raises:
        DataError: if no sentence is labelled, or `n_bins` is not positive.

    Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017, Eq. 3.
    """
    bins = reliability(probabilities, labels, n_bins)
    return sum(b.n * abs(b.accuracy - b.confidence) for b in bins) / sum(b.n for b in bins)


def reliability(
    probabilities: Float[Tensor, "B K"], labels: Int[Tensor, "B"], n_bins: int = 15
) -> list[ReliabilityBin]:
    """What a reliability diagram shows: accuracy against confidence, in the bins that hold predictions, ascending.

    Arguments, errors and bins are those of `expected_calibration_error`.

    Source: Niculescu-Mizil & Caruana, Predicting Good Probabilities with Supervised Learning, ICML 2005.
    """
    if n_bins < 1:
        raise DataError(f"calibration error needs at least one bin, got {n_bins}")
    rows = _labelled_rows(labels)
    confidence, predicted = probabilities[rows].double().max(-1)
    right = (predicted == labels[rows]).double()
    bins = (torch.ceil(confidence * n_bins).long() - 1).clamp(0, n_bins - 1)
    sums = torch.zeros(3, n_bins, dtype=torch.double, device=confidence.device)
    sums = sums.index_add(1, bins, torch.stack((torch.ones_like(right), confidence, right)))
    return [ReliabilityBin(int(n), c / n, r / n) for n, c, r in sums.T.tolist() if n > 0]


def wilson_interval(n_right: int, n: int, z: float = 1.959963984540054) -> tuple[float, float]:
    """Wilson's interval of a share: between what true shares `n_right` of `n` is no surprise.

    (p + z^2 / 2n -+ z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n), where p = n_right / n

    Args:
        n_right: examples that count.
        n: all examples.
        z: standard deviations; of the default the interval is one of 95 %.

    Raises:
        DataError: n is not positive, or n_right is not between 0 and n.

    Source: Wilson, Probable Inference, the Law of Succession, and Statistical Inference, JASA 22, 1927.
    """
    if n < 1 or not 0 <= n_right <= n:
        raise DataError(f"interval of a share: {n_right} of {n} is no share")
    p, scale = n_right / n, 1.0 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / scale
    return max(0.0, min(p, centre - half)), min(1.0, max(p, centre + half))  # rounding: p is inside


def _labelled_rows(labels: Int[Tensor, "B"]) -> Tensor:
    rows = labels >= 0
    if not bool(rows.any()):
        raise DataError(f"none of the {len(labels)} sentences has a label")
    return rows
