"""The prior alone, fitted to the encoder's z when everything else has been learnt.

While encoder, generator and energy learn together, the energy runs after an encoder that moves, with small steps lest F
leave the chains, and the mutual information pulls at it with lambda / w. In the end exp(F) p0 can be further from the
encoder's z than a Gaussian is. A second stage, of the prior by maximum likelihood of z ~ q(z|x) with the networks held,
costs a small part of a run and raises the bound by what it gains.

Source: two-stage training of Dai & Wipf, Diagnosing and Enhancing VAE Models, ICLR 2019; with energies, Aneja, Schwing,
Kautz & Vahdat, A Contrastive Learning Approach for Training Variational Autoencoder Priors, NeurIPS 2021. The gradient
is that of the prior in Algorithm 1 of Pang & Wu (2021).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.data.batching import EncodedSplit
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.latents.gaussian import GaussianPosterior
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.objectives.mutual_information import mutual_information
from svebm_ext.objectives.schedules import cosine_decay
from svebm_ext.ops.philox import Stream
from svebm_ext.randomness import Draw
from svebm_ext.sampling.chains import ChainBank
from svebm_ext.training.encoding import posteriors_of

#: Training sentences whose q(z|x) is kept, at most.
MAX_SENTENCES = 50_000
#: z of the encoder an iteration; persistent chains, and how many of them move.
BATCH, N_CHAINS, N_MOVED = 500, 1000, 500
#: Langevin steps an iteration, and their size.
N_STEPS, STEP_SIZE = 20, 0.05
#: Adam's first step size, which falls along a cosine.
RATE = 1e-3
#: lambda here, as a share of the one in training, where w weighs the energies.
INFORMATION = 0.5
#: Lines of progress.
N_REPORTS = 5


def fit_prior(
    model: LatentVariableModel,
    train: EncodedSplit,
    n_iterations: int,
    *,
    seed: int,
    information: float = 0.0,
    say: Callable[[str], None] = print,
) -> None:
    """Move the prior, and nothing else, towards the aggregate posterior of the training sentences.

    Maximises E_q[F(z)] - log Z, whose gradient is that of the mean F at z of the encoder less the mean at persistent
    chains, plus `information` times I(z, y).

    Args:
        model: with the energy latent family; its prior is changed in place.
        train: sentences, of which MAX_SENTENCES, evenly spread, are encoded.
        n_iterations: of Adam.
        seed: of z, chains and their noise.
        information: lambda.
        say: receives lines of progress.
    """
    latent = cast(EnergyLatent, model.latent)
    prior = latent.prior
    posterior = _posteriors(model, train)
    chains = ChainBank(
        N_CHAINS, latent.latent_dim, seed=seed + 1, n_steps=N_STEPS, step_size=STEP_SIZE, device=posterior.mean.device
    )
    chains.states = latent.sample_prior(N_CHAINS, seed=seed)
    optimiser = torch.optim.Adam(prior.parameters(), lr=RATE)
    every = max(1, n_iterations // N_REPORTS)
    for iteration in range(n_iterations):
        optimiser.param_groups[0]["lr"] = RATE * cosine_decay(iteration, n_iterations)
        z = _sample(latent, posterior, Draw(seed, iteration))
        negative = chains.advance(
            prior.layers(), iteration, N_MOVED, activation=prior.activation, negative_slope=prior.negative_slope
        )
        logits = prior.logits(z)
        gap = logits.logsumexp(-1).mean() - prior.logits(negative).logsumexp(-1).mean()
        loss = -gap
        if information > 0.0:
            loss = loss - information * mutual_information(logits.log_softmax(-1))[0]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        if (iteration + 1) % every == 0:
            say(f"prior alone: iteration {iteration + 1:,} of {n_iterations:,}, F of encoder less chains {gap:.2f}")
    optimiser.zero_grad(set_to_none=True)


@torch.no_grad()
def _posteriors(model: LatentVariableModel, train: EncodedSplit) -> GaussianPosterior:
    """q(z|x) of the chosen sentences: mean and log variance [N, D]."""
    found = [posterior for _, posterior in posteriors_of(model, train, MAX_SENTENCES)]
    return GaussianPosterior(*(torch.cat(parts) for parts in zip(*found, strict=True)))


def _sample(latent: EnergyLatent, posterior: GaussianPosterior, draw: Draw) -> Float[Tensor, "B D"]:
    """z of sentences drawn with replacement."""
    n = len(posterior.mean)
    ids = torch.arange(BATCH, device=posterior.mean.device)
    rows = (draw.uniform(ids, 1, Stream.SELECTION)[:, 0] * n).long().clamp(max=n - 1)
    return latent.sample(GaussianPosterior(*(part[rows] for part in posterior)), draw, ids)
