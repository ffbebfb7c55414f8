"""Whether two sets of points come from the same distribution, and whether the modes of a known one were found."""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.errors import ConfigError, DataError


@dataclass(frozen=True)
class TwoSampleTest:
    """Value of a two-sample statistic, p-value of equal distributions, and the points that entered it."""

    statistic: float
    p_value: float
    n_first: int
    n_second: int


@dataclass(frozen=True)
class ModeCoverage:
    """Modes that samples reach, the share of samples at each, and the share at any (the rest lies between modes)."""

    n_found: int
    shares: list[float]
    share_at_modes: float


def energy_distance(first: Float[Tensor, "n D"], second: Float[Tensor, "m D"]) -> float:
    """Energy distance of two sets of points, in the points' unit to the power 1/2; 0 for equal sets.

    sqrt( 2 mean|X - Y| - mean|X - X'| - mean|Y - Y'| ), means over all pairs, a point with itself included.

    Raises:
        DataError: for an empty set.

    Source: Szekely & Rizzo, Energy Statistics, Journal of Statistical Planning and Inference 2013.
    """
    kernel, weights = _pooled(first, second, "energy")
    return float((weights @ kernel @ weights).clamp(min=0).sqrt())


def maximum_mean_discrepancy(first: Float[Tensor, "n D"], second: Float[Tensor, "m D"]) -> float:
    """Maximum mean discrepancy of two sets of points under a Gaussian kernel, without unit, from 0 (equal) to sqrt 2.

    sqrt( mean k(X, X') + mean k(Y, Y') - 2 mean k(X, Y) ), k(a, b) = exp(-|a - b|^2 / (2 h^2)), where h is the median
    of the distances between different points of both sets together.

    Raises:
        DataError: for an empty set.

    Source: Gretton et al., A Kernel Two-Sample Test, JMLR 2012, Eq. 5.
    """
    kernel, weights = _pooled(first, second, "mmd")
    return float((weights @ kernel @ weights).clamp(min=0).sqrt())


def two_sample_test(
    first: Float[Tensor, "n D"],
    second: Float[Tensor, "m D"],
    *,
    statistic: Literal["energy", "mmd"] = "energy",
    n_permutations: int = 200,
    max_points: int = 2000,
    seed: int = 0,
) -> TwoSampleTest:
    """Permutation test of equal distributions with the energy distance or the maximum mean discrepancy.

    The p-value is (1 + permutations with a statistic at least as large) / (1 + permutations): never below
    1 / (1 + n_permutations), and valid for any sample size.

    Args:
        first: points.
        second: points of the other set.
        statistic: "energy" or "mmd", see `energy_distance` and `maximum_mean_discrepancy`.
        n_permutations: random reassignments of all points to two sets of the same sizes.
        max_points: points of each set that are used at most, a random choice of them; memory grows with its square.
        seed: seed of the choice and of the permutations.

    Raises:
        DataError: for an empty set.
        ConfigError: for no permutations or no points.
    """
    if n_permutations < 1 or max_points < 1:
        raise ConfigError(f"n_permutations and max_points must be positive, got {n_permutations} and {max_points}")
    generator = torch.Generator().manual_seed(seed)
    first, second = (_choose(points, max_points, generator) for points in (first, second))
    kernel, weights = _pooled(first, second, statistic)
    observed = float(weights @ kernel @ weights)
    order = torch.argsort(torch.rand(n_permutations, len(weights), generator=generator), dim=1)
    permuted = weights[order]
    values = ((permuted @ kernel) * permuted).sum(1)
    # Permutations that leave the sets as they are must count as ties whatever the rounding.
    n_as_large = int((values >= observed - 1e-12 * max(1.0, abs(observed))).sum())
    return TwoSampleTest(
        statistic=max(0.0, observed) ** 0.5,
        p_value=(1 + n_as_large) / (1 + n_permutations),
        n_first=len(first),
        n_second=len(second),
    )


def modes_found(
    samples: Float[Tensor, "n D"],
    centres: Float[Tensor, "modes D"],
    std: float,
    *,
    radius: float = 3.0,
    min_share: float = 0.2,
) -> ModeCoverage:
    """Count the known modes of a mixture that samples reach.

    A sample belongs to its nearest centre if it lies within `radius * std` of it. A mode is found if the samples that
    belong to it are at least `min_share` of an equal share, 1 / modes, of all samples.

    Args:
        samples: points of the model.
        centres: centres of the known distribution.
        std: standard deviation of each mode along every axis, in the points' unit.
        radius: reach of a mode in standard deviations.
        min_share: least part of an equal share, from 0 to 1.

    Raises:
        DataError: without samples or centres.
    """
    if len(samples) == 0 or len(centres) == 0:
        raise DataError(f"modes need samples and centres, got {len(samples)} and {len(centres)}")
    distance, nearest = torch.cdist(samples.double(), centres.double()).min(1)
    counts = torch.bincount(nearest[distance <= radius * std], minlength=len(centres))
    shares = counts.double() / len(samples)
    return ModeCoverage(
        n_found=int(((counts > 0) & (shares >= min_share / len(centres))).sum()),
        shares=shares.tolist(),
        share_at_modes=float(shares.sum()),
    )


def modes_found_by_density(
    samples: Float[Tensor, "n modes"],
    own: Float[Tensor, "m"],
    *,
    outside: float = 0.05,
    min_share: float = 0.2,
) -> ModeCoverage:
    """Count the modes that samples reach where a mode has any shape, such as an arm of the pinwheel.

    A sample belongs to the mode under which it is most probable, if its density there is above that of the least
    probable `outside` of the mode's own points. Of true points, a share 1 - `outside` lies at modes. A mode is found
    as in `modes_found`.

    Args:
        samples: log p(x|mode) of every sample under every mode, in nats.
        own: log p(x|mode) of true points under the mode that each was drawn from.
        outside: share of true points that counts as lying outside.
        min_share: least part of an equal share, from 0 to 1.

    Raises:
        DataError: without samples or true points.
    """
    if len(samples) == 0 or len(own) == 0:
        raise DataError(f"modes need samples and true points, got {len(samples)} and {len(own)}")
    density, nearest = samples.double().max(1)
    n_modes = samples.shape[1]
    counts = torch.bincount(nearest[density >= own.double().quantile(outside)], minlength=n_modes)
    shares = counts.double() / len(samples)
    return ModeCoverage(
        n_found=int(((counts > 0) & (shares >= min_share / n_modes)).sum()),
        shares=shares.tolist(),
        share_at_modes=float(shares.sum()),
    )


def _pooled(
    first: Float[Tensor, "n D"], second: Float[Tensor, "m D"], statistic: Literal["energy", "mmd"]
) -> tuple[Float[Tensor, "p p"], Float[Tensor, "p"]]:
    """Kernel matrix of both sets together and weights w such that the squared statistic is w^T kernel w."""
    if len(first) == 0 or len(second) == 0:
        raise DataError(f"a two-sample distance needs two sets of points, got {len(first)} and {len(second)} points")
    points = torch.cat([first, second]).double().cpu()
    # The matrix-product shortcut loses digits for close points, whose distances matter here.
    distances = torch.cdist(points, points, compute_mode="donot_use_mm_for_euclid_dist")
    weights = torch.full((len(points),), 1 / len(first), dtype=torch.double)
    weights[len(first) :] = -1 / len(second)
    if statistic == "energy":
        return -distances, weights
    between = distances[torch.triu(torch.ones_like(distances, dtype=torch.bool), diagonal=1)]
    bandwidth = between.median().clamp(min=torch.finfo(torch.double).tiny)
    return torch.exp(-0.5 * (distances / bandwidth).square()), weights


def _choose(points: Float[Tensor, "n D"], max_points: int, generator: torch.Generator) -> Float[Tensor, "k D"]:
    if len(points) <= max_points:
        return points.cpu()
    return points.cpu()[torch.randperm(len(points), generator=generator)[:max_points]]
