"""Moves between modes: new states proposed from p0, each accepted or rejected so that p(z) is left as it is."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

#: Proposals, one after the other, of a chain that may start again.
N_PROPOSALS = 10


def jumped(
    z: Float[Tensor, "N D"],
    energy: Float[Tensor, "N"],
    proposals: Float[Tensor, "N P D"],
    proposed_energy: Float[Tensor, "N P"],
    uniforms: Float[Tensor, "N P"],
) -> Float[Tensor, "N D"]:
    """States after P proposals from p0, taken in turn: z' replaces z with probability min(1, exp(F(z') - F(z))).

    The target over the proposal's density, exp(F) p0 / p0, is exp(F): the rule of an independence sampler. Langevin
    steps alone keep a chain in the mode that it began in, and the modes of a bank would have the weights of its start.

    Args:
        z: states.
        energy: F of them.
        proposals: independent samples of p0.
        proposed_energy: F of those.
        uniforms: numbers in (0, 1) to decide by.

    Source: Tierney, Markov Chains for Exploring Posterior Distributions, Annals of Statistics 22 (1994), section 2.3.2.
    """
    for proposal, proposed, uniform in zip(
        proposals.unbind(1), proposed_energy.unbind(1), uniforms.unbind(1), strict=True
    ):
        accepted = uniform.log() < proposed - energy
        z, energy = torch.where(accepted[:, None], proposal, z), torch.where(accepted, proposed, energy)
    return z
