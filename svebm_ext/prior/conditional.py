"""Samples of the finished prior: z of p(z), of p(z|y) given a symbol, of p(z|c) given a context.

p(z|y = k) is proportional to exp(f_k(z)) p0(z), p(z|c) to exp(F(z, c)) p0(z). Both go together: f_k(z, c). Of several
symbols, such as those of a group, p(z) is proportional to the sum of their exp(f_k(z)) p0(z).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.errors import ConfigError
from svebm_ext.ops.langevin import langevin
from svebm_ext.ops.philox import Stream, philox_normal, philox_uniform
from svebm_ext.prior.groups import only
from svebm_ext.prior.jumps import N_PROPOSALS, jumped
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.step_sizes import adapted_step_size, sampling_steps

#: Ids of these samples begin here, far from those of training, so that equal seeds share no random numbers.
SAMPLE_IDS = 1 << 40
#: Adjusted Langevin steps between the proposals that lead from mode to mode.
STEPS_A_ROUND = 20


def sample_prior(
    network: EnergyMLP,
    n: int,
    *,
    seed: int,
    step_size: float,
    symbol: int | Sequence[int] | None = None,
    context_shift: Float[Tensor, "n H"] | None = None,
    ids: Int[Tensor, "n"] | None = None,
) -> Float[Tensor, "n D"]:
    """Sample by Langevin dynamics from N(0, I), with steps that become smaller (Eq. 7, 8).

    Args:
        network: f.
        n: how many.
        seed: of the random numbers; sample i depends on the seed and i alone.
        step_size: s of training; see `sampling_steps`.
        symbol: y of p(z|y), 0 .. K-1, several of which one may be it, or None for the marginal prior.
        context_shift: what the context of each sample adds to the first layer (`EnergyMLP.context_shift`), or None.
        ids: numbers of the samples; None: 0 .. n-1.

    Raises:
        ConfigError: the symbol is outside 0 .. K-1.
    """
    steps = sampling_steps(step_size, network.device)
    return sample_in_steps(
        network, n, seed=seed, step_size=steps, n_steps=len(steps), symbol=symbol, context_shift=context_shift, ids=ids
    )


@torch.no_grad()
def sample_in_steps(
    network: EnergyMLP,
    n: int,
    *,
    seed: int,
    step_size: float | Float[Tensor, " S"],
    n_steps: int,
    first_id: int = SAMPLE_IDS,
    symbol: int | Sequence[int] | None = None,
    context_shift: Float[Tensor, "n H"] | None = None,
    ids: Int[Tensor, "n"] | None = None,
) -> Float[Tensor, "n D"]:
    """Sample by S Langevin steps of given sizes from N(0, I); other arguments as in `sample_prior`.

    Args:
        step_size: s, one number or one per step [S].
        n_steps: S.
        first_id: of the samples, which address their random numbers.
    """
    chosen = _checked(symbol, network.n_categories)
    ids = first_id + (torch.arange(n, dtype=torch.int64) if ids is None else ids).to(network.device)
    z = philox_normal(seed, ids, dim=network.latent_dim, stream=Stream.INITIAL)[0].to(network.dtype)
    labels, layers = None, network.layers()
    if chosen is not None and len(chosen) == 1:
        labels = torch.full((n,), chosen[0], dtype=torch.int64, device=z.device)
    elif chosen is not None:
        layers = only(chosen, layers)
    return langevin(
        z,
        layers,
        n_steps=n_steps,
        step_size=step_size,
        seed=seed,
        labels=labels,
        context_shift=context_shift,
        chain_ids=ids,
        **network.langevin_options,
    ).z


def _checked(symbol: int | Sequence[int] | None, n_symbols: int) -> list[int] | None:
    """The symbols that are asked for, each once; None for all.

    Raises:
        ConfigError: one is outside 0 .. K-1, or none is given.
    """
    if symbol is None:
        return None
    chosen = sorted(set(symbol)) if isinstance(symbol, Sequence) else [symbol]
    for one in chosen:
        if not 0 <= one < n_symbols:
            raise ConfigError(f"symbol: {one} is outside 0 .. {n_symbols - 1}")
    if not chosen:
        raise ConfigError("symbol: none given, expected at least one")
    return chosen


@torch.no_grad()
def sample_adjusted(
    network: EnergyMLP, n: int, *, seed: int, step_size: float, n_rounds: int, first_id: int = SAMPLE_IDS
) -> Float[Tensor, "n D"]:
    """Sample p(z) itself, where a plane's modes lie apart: by moves that leave it as it is, from N(0, I) on.

    A round has N_PROPOSALS proposals from p0 (`jumps`) and STEPS_A_ROUND Metropolis-adjusted Langevin steps. Their size
    follows their acceptance in the first half of the rounds, and is held in the second.

    Args:
        network: f, of few dimensions: in many, no proposal from p0 is ever accepted.
        n: how many.
        seed: of the random numbers.
        step_size: s of the first round.
        n_rounds: of each sample.
        first_id: of the samples, which address their random numbers.
    """
    ids = first_id + torch.arange(n, dtype=torch.int64, device=network.device)
    D, size = network.latent_dim, step_size
    z = philox_normal(seed, ids, dim=D, stream=Stream.INITIAL)[0].to(network.dtype)
    for number in range(n_rounds):
        proposals = philox_normal(seed, ids, dim=N_PROPOSALS * D, first_step=number + 1, stream=Stream.INITIAL)[0]
        proposals = proposals.to(z.dtype).view(n, N_PROPOSALS, D)
        uniforms = philox_uniform(seed, ids, dim=N_PROPOSALS, first_step=number, stream=Stream.SELECTION)[0]
        z = jumped(z, network.energy(z), proposals, network.energy(proposals), uniforms)
        moved = langevin(
            z, network.layers(), n_steps=STEPS_A_ROUND, step_size=size, seed=seed, chain_ids=ids, metropolis=True,
            first_step=number * STEPS_A_ROUND, **network.langevin_options,
        )  # fmt: skip
        z = moved.z
        if number < n_rounds // 2 and moved.acceptance is not None:
            size = adapted_step_size(size, float(moved.acceptance.mean()))
    return z
