"""Symbols made anew in the midst of a run, on all processes those of the main one."""

from __future__ import annotations

from torch import optim

from svebm_ext.data.batching import EncodedSplit
from svebm_ext.models.features import evenly_spread
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.prior.chain_bank import ChainBank
from svebm_ext.prior.regrouping import MAX_SENTENCES, regroup
from svebm_ext.processes import Processes
from svebm_ext.randomness import Draw
from svebm_ext.training.encoding import encoded_of


def regroup_symbols(
    model: LatentVariableModel,
    train: EncodedSplit,
    bank: ChainBank | None,
    optimiser: optim.Optimizer,
    draw: Draw,
    processes: Processes,
) -> None:
    """Fit p(y|z) to clusters of training sentences; see `svebm_ext.prior.regrouping.regroup`.

    Args:
        model: whose prior is changed.
        train: split that is learnt from.
        bank: persistent chains, where there are some: F is held at no more of them than sentences are clustered.
        optimiser: of the prior.
        draw: random numbers of the iteration; its seed is that of the run.
        processes: that train the model together.
    """
    latent = model.energy_latent
    encoded = encoded_of(model, train, MAX_SENTENCES, draw, processes)
    chains = None
    if bank is not None:
        spread = evenly_spread(len(bank), MAX_SENTENCES).to(encoded.z.device)
        chains = bank.states_of(spread if encoded.context is None else encoded.rows)
    regroup(
        latent.prior,
        encoded,
        chains,
        optimiser,
        groups=latent.groups,
        seed=draw.seed,
        step_size=latent.step_size,
    )
    processes.share(latent.prior.parameters())
