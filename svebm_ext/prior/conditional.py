"""log Z(c) of a prior that depends on a context, for each of many contexts at once."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.ops.langevin import langevin
from svebm_ext.ops.philox import Stream, philox_normal
from svebm_ext.prior.network import EnergyMLP

#: Ids of these chains begin here, apart from those of training and of samples.
_IDS = 5 << 40


@torch.no_grad()
def conditional_log_z(
    prior: EnergyMLP,
    context: Float[Tensor, "B C"],
    *,
    n_chains: int = 8,
    n_temperatures: int = 64,
    step_size: float = 0.125,
    seed: int = 0,
) -> Float[Tensor, "B"]:
    """Estimate log Z(c) = log E_p0[exp F(z, c)] of each context from below, by annealed importance sampling.

    Chains of p0 go through p_t proportional to exp(t F) p0 in steps of Metropolis-adjusted Langevin dynamics, so that
    the mean weight is Z in expectation, and its logarithm at most log Z.

    Args:
        prior: network of F with a context.
        context: c of B contexts.
        n_chains: chains a context.
        n_temperatures: steps from p0 to the prior, one move at each.
        step_size: s of the moves.
        seed: of all random numbers.

    Source: Neal, Annealed Importance Sampling, Statistics and Computing 11 (2001) 125-139.
    """
    B = context.shape[0]
    ids = _IDS + torch.arange(B * n_chains, device=context.device)
    z = philox_normal(seed, ids, dim=prior.latent_dim, stream=Stream.INITIAL)[0].to(context.dtype)
    result = langevin(
        z,
        prior.layers(),
        n_steps=n_temperatures,
        step_size=step_size,
        seed=seed,
        activation=prior.activation,
        negative_slope=prior.negative_slope,
        bias=prior.context_bias(context).repeat_interleave(n_chains, dim=0),
        temper=torch.arange(1, n_temperatures + 1, dtype=torch.float64) / n_temperatures,
        metropolis=True,
        chain_ids=ids,
    )
    assert result.log_weights is not None  # asked for with temper
    return result.log_weights.view(B, n_chains).logsumexp(-1) - math.log(n_chains)
