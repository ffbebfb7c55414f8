"""Samples of the finished prior: z of p(z), of p(z|y) given a symbol, of p(z|c) given a context.

p(z|y = k) is proportional to exp(f_k(z)) p0(z), p(z|c) to exp(F(z, c)) p0(z). Both go together: f_k(z, c). Of several
symbols, such as those of a group, p(z) is proportional to the sum of their exp(f_k(z)) p0(z).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.errors import ConfigError
from svebm_ext.ops.langevin import langevin
from svebm_ext.ops.philox import Stream, philox_normal
from svebm_ext.prior.groups import only
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.step_sizes import sampling_steps

#: Ids of these samples begin here, far from those of training, so that equal seeds share no random numbers.
SAMPLE_IDS = 1 << 40


def sample_prior(
    network: EnergyMLP,
    n: int,
    *,
    seed: int,
    step_size: float,
    symbol: int | Sequence[int] | None = None,
    context_shift: Float[Tensor, "n H"] | None = None,
) -> Float[Tensor, "n D"]:
    """Sample by Langevin dynamics from N(0, I), with steps that become smaller (Eq. 7, 8).

    Args:
        network: f.
        n: how many.
        seed: of the random numbers; sample i depends on the seed and i alone.
        step_size: s of training; see `sampling_steps`.
        symbol: y of p(z|y), 0 .. K-1, several of which one may be it, or None for the marginal prior.
        context_shift: what the context of each sample adds to the first layer (`EnergyMLP.context_shift`), or None.

    Raises:
        ConfigError: the symbol is outside 0 .. K-1.
    """
    steps = sampling_steps(step_size, network.device)
    return sample_in_steps(
        network, n, seed=seed, step_size=steps, n_steps=len(steps), symbol=symbol, context_shift=context_shift
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
) -> Float[Tensor, "n D"]:
    """Sample by S Langevin steps of given sizes from N(0, I); other arguments as in `sample_prior`.

    Args:
        step_size: s, one number or one per step [S].
        n_steps: S.
        first_id: of the samples, which address their random numbers.
    """
    chosen = _checked(symbol, network.n_categories)
    ids = first_id + torch.arange(n, dtype=torch.int64, device=network.device)
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
