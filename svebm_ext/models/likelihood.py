"""Log-likelihood of sentences by importance sampling. Everything is in nats."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.densities import LOG_TWO_PI
from svebm_ext.errors import DataError


def importance_weighted_log_likelihood(
    log_likelihood: Float[Tensor, "M B"],
    log_prior: Float[Tensor, "M B"],
    log_posterior: Float[Tensor, "M B"],
    log_z: float | Float[Tensor, ""] = 0.0,
) -> Float[Tensor, "B"]:
    """Estimate log p(x) of B sentences from M samples each of q(z|x), in nats a sentence (float64).

    log 1/M sum_m p(x|z_m) exp(F(z_m)) p0(z_m) / q(z_m|x) - log Z, with one log Z for the whole model: estimating it
    again for each sentence, or from samples of q, would not give a likelihood. In expectation the result does not
    exceed log p(x), and it approaches it as M grows; NLL is its negative, averaged over sentences.

    Args:
        log_likelihood: log p(x|z_m), Eq. 6.
        log_prior: F(z_m) + log p0(z_m), the unnormalised log prior of Eq. 4 and 5.
        log_posterior: log q(z_m|x).
        log_z: log E_p0[exp F(z)], the log normaliser of `log_prior`; 0 for a normal prior.

    Raises:
        DataError: without any sample.

    Source: Burda, Grosse & Salakhutdinov, Importance Weighted Autoencoders, ICLR 2016, Eq. 8.
    """
    log_weights = _log_weights(log_likelihood, log_prior, log_posterior)
    return torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights)) - float(log_z)


def evidence_lower_bound(
    log_likelihood: Float[Tensor, "M B"],
    log_prior: Float[Tensor, "M B"],
    log_posterior: Float[Tensor, "M B"],
    log_z: float | Float[Tensor, ""] = 0.0,
) -> Float[Tensor, "B"]:
    """ELBO of Eq. 10 by Monte Carlo over M samples of q(z|x), in nats a sentence (float64).

    Arguments and errors are those of `importance_weighted_log_likelihood`, whose result it never exceeds when both are
    given the same samples.
    """
    return _log_weights(log_likelihood, log_prior, log_posterior).mean(0) - float(log_z)


def effective_sample_size(log_weights: Float[Tensor, "M *batch"]) -> Float[Tensor, "*batch"]:
    """Effective number of samples behind importance weights: (sum w)^2 / sum w^2, from 1 to M (float64).

    Args:
        log_weights: natural logarithms of the M weights, up to a common constant.

    Raises:
        DataError: without any weight.

    Source: Kong, Liu & Wong, Sequential Imputations and Bayesian Missing Data Problems, JASA 1994.
    """
    if log_weights.shape[0] == 0:
        raise DataError("effective sample size needs at least one importance weight, got none")
    log_weights = log_weights.double()
    return torch.exp(2 * torch.logsumexp(log_weights, dim=0) - torch.logsumexp(2 * log_weights, dim=0))


def nll_as_published(
    log_likelihood: Float[Tensor, "M B"],
    energy: Float[Tensor, "M B"],
    z: Float[Tensor, "M B D"],
    mean: Float[Tensor, "B D"],
    log_variance: Float[Tensor, "B D"],
) -> Float[Tensor, "B"]:
    """Negative log-likelihood as the paper's released program computes it: for comparison only, it is no likelihood.

    -log [ sum_m p(x|z_m) D(z_m) / sum_m D(z_m) ],  D(z) = exp(F(z)) g(z; 0, 1) / g(z; mean, variance)

    with z_m from q(z|x). Two things are wrong. The denominator stands for Z, but is estimated from the posterior
    samples of the one sentence, which lie where p(x|z) is high, so that the ratio is near an average of p(x|z) over q.
    And the normalising terms of the Gaussian log density slipped into the denominator of its quadratic term:

        log g(z; m, v) = - sum_d (z_d - m_d)^2 / (2 v_d - 1/2 log v_d - 1/2 log 2 pi)

    This is a reconstruction of what the program does, not its code: the program exponentiates before it divides, which
    can underflow, where this works with logarithms throughout. On an exactly solvable 40-dimensional linear-Gaussian
    model it returns some 50 nats too little (tests/models/test_likelihood.py). Nats a sentence, float64.

    Args:
        log_likelihood: log p(x|z_m).
        energy: F(z_m).
        z: the samples of q(z|x).
        mean: mean of q(z|x).
        log_variance: log variance of q(z|x).

    Raises:
        DataError: without any sample.

    Source: the program published with the paper, github.com/bpucla/ibebm, text_generation.py.
    """
    if len(z) == 0:
        raise DataError("nll_as_published needs at least one sample of q(z|x), got none")
    z, mean, log_variance = z.double(), mean.double(), log_variance.double()
    ratio = energy.double() + _misplaced_log_density(z, torch.zeros_like(mean), torch.zeros_like(log_variance))
    ratio = ratio - _misplaced_log_density(z, mean, log_variance)
    return torch.logsumexp(ratio, dim=0) - torch.logsumexp(log_likelihood.double() + ratio, dim=0)


def _log_weights(
    log_likelihood: Float[Tensor, "M B"], log_prior: Float[Tensor, "M B"], log_posterior: Float[Tensor, "M B"]
) -> Float[Tensor, "M B"]:
    """Log importance weights in float64: their spread within a sentence can exceed what float32 resolves."""
    if len(log_likelihood) == 0:
        raise DataError("importance sampling needs at least one sample of q(z|x), got none")
    return log_likelihood.double() + log_prior.double() - log_posterior.double()


def _misplaced_log_density(
    z: Float[Tensor, "M B D"], mean: Float[Tensor, "B D"], log_variance: Float[Tensor, "B D"]
) -> Float[Tensor, "M B"]:
    # The denominator is positive for any variance: its minimum, at a variance of 1/4, is about 0.27.
    denominator = 2 * log_variance.exp() - 0.5 * log_variance - 0.5 * LOG_TWO_PI
    return -((z - mean).square() / denominator).sum(-1)
