"""Have the chains converged, and how many independent samples are theirs worth? Pure functions of the draws."""

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.errors import ConfigError


def split_r_hat(draws: Float[Tensor, "chains draws"], *, rank_normalised: bool = True) -> float:
    """Potential scale reduction R-hat of chains cut in halves; 1 when all halves have one distribution, > 1 otherwise.

    R-hat^2 = ((n - 1) / n W + B / n) / W, W the mean variance within the half chains and B / n the variance of their
    means. Rank-normalised: the larger of R-hat of the normal scores of the draws' ranks (differences in location) and
    of their distances from the median (differences in scale); heavy tails do not hide either. A common limit is 1.01.

    Args:
        draws: [chains, draws] in order of time, at least 4 draws.
        rank_normalised: as above; else plain split R-hat of the draws.

    Returns:
        R-hat; 1 where all draws are equal, NaN where one is not finite.

    Raises:
        ConfigError: fewer than 4 draws.

    Source: Vehtari, Gelman, Simpson, Carpenter, Bürkner, Bayesian Analysis 16 (2021) 667-718.
    """
    halves = _halves(draws)
    if not bool(torch.isfinite(halves).all()):
        return float("nan")
    if not rank_normalised:
        return _r_hat(halves)
    folded = (halves - halves.median()).abs()
    return max(_r_hat(_normal_scores(halves)), _r_hat(_normal_scores(folded)))


def effective_sample_size(draws: Float[Tensor, "chains draws"], *, rank_normalised: bool = True) -> float:
    """Number of independent draws that would give the mean the same standard error as these autocorrelated ones.

    Chains are cut in halves; autocorrelations of all of them are combined so that disagreement between chains lowers
    the result, and summed in pairs while the pairs are positive and falling (Geyer's initial monotone sequence).

    Args:
        draws: [chains, draws] in order of time, at least 8 draws.
        rank_normalised: of the normal scores of the draws' ranks ("bulk" effective sample size); else of the draws.

    Returns:
        The effective sample size, at most S log10 S for S draws; NaN where a draw is not finite.

    Raises:
        ConfigError: fewer than 8 draws.

    Source: Vehtari et al. 2021 (as `split_r_hat`); Geyer, Statistical Science 7 (1992) 473-483.
    """
    if draws.shape[1] < 8:
        raise ConfigError(f"effective_sample_size: {draws.shape[1]} draws a chain; expected at least 8")
    chains = _halves(draws)
    if not bool(torch.isfinite(chains).all()):
        return float("nan")
    if rank_normalised:
        chains = _normal_scores(chains)
    n_chains, n = chains.shape
    total = n_chains * n
    centred = chains - chains.mean(dim=1, keepdim=True)
    spectrum = torch.fft.rfft(centred, n=2 * n)  # zero padding: linear, not circular, correlation
    autocovariance = torch.fft.irfft(spectrum.abs().square(), n=2 * n)[:, :n] / n
    within = autocovariance[:, 0].mean() * n / (n - 1)
    pooled = within * (n - 1) / n
    if n_chains > 1:
        pooled = pooled + chains.mean(dim=1).var()
    if float(pooled) == 0.0:
        return float(total)
    correlation = 1.0 - (within - autocovariance.mean(dim=0) * n / (n - 1)) / pooled
    correlation[0] = 1.0
    pairs = correlation[: n - n % 2].view(-1, 2).sum(dim=1)
    positive = int((pairs > 0).long().cumprod(0).sum())
    pairs = pairs[: max(1, positive)].cummin(dim=0).values
    time = float(2.0 * pairs.sum() - 1.0)
    # Antithetic chains can do better than independent draws, but an estimate beyond this is noise.
    return min(total / max(time, 1e-12), total * torch.tensor(float(total)).log10().item())


def importance_effective_sample_size(log_weights: Float[Tensor, " N"]) -> float:
    """(sum w)^2 / sum w^2 of importance weights given by their logarithms: between 1 and N (Kong 1992)."""
    return float(torch.exp(2.0 * torch.logsumexp(log_weights, 0) - torch.logsumexp(2.0 * log_weights, 0)))


def mean_movement(before: Float[Tensor, "N D"], after: Float[Tensor, "N D"]) -> Float[Tensor, ""]:
    """Mean Euclidean distance that the chains have moved: near 0 where they are stuck or the step size is too small."""
    return torch.linalg.vector_norm(after - before, dim=1).mean()


def _halves(draws: Tensor) -> Tensor:
    n = draws.shape[1]
    if n < 4:
        raise ConfigError(f"split_r_hat: {n} draws a chain; expected at least 4")
    # An odd chain's middle draw belongs to neither half.
    return torch.cat([draws[:, : n // 2], draws[:, n - n // 2 :]]).double()


def _r_hat(chains: Tensor) -> float:
    n = chains.shape[1]
    within, between = chains.var(dim=1).mean(), chains.mean(dim=1).var()
    if float(within) == 0.0:
        return 1.0 if float(between) == 0.0 else float("inf")
    return float((((n - 1) / n * within + between) / within).sqrt())


def _normal_scores(values: Tensor) -> Tensor:
    """Normal quantiles of the values' ranks (equal values share their mean rank), offset 3/8 as in Blom (1958)."""
    _, positions, counts = torch.unique(values, return_inverse=True, return_counts=True)
    ranks = (counts.cumsum(0).double() - (counts - 1) / 2.0)[positions]
    return torch.special.ndtri((ranks - 0.375) / (values.numel() + 0.25))
