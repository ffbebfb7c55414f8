"""The prior alone, fitted to the encoder's z when everything else has been learnt.

While encoder, generator and energy learn together, the energy runs after an encoder that moves, with small steps lest F
leave the chains, and the mutual information pulls at it with lambda / w. In the end exp(F) p0 can be further from the
encoder's z than a Gaussian is. A second stage, of the prior by maximum likelihood of z ~ q(z|x) with the networks held,
costs a small part of a run and raises the bound by what it gains.

Source: two-stage training of Dai & Wipf, Diagnosing and Enhancing VAE Models, ICLR 2019; with energies, Aneja, Schwing,
Kautz & Vahdat, A Contrastive Learning Approach for Training Variational Autoencoder Priors, NeurIPS 2021. The gradient
is that of the prior in Algorithm 1 of Pang & Wu (2021).

Chains move by Metropolis-adjusted steps, whose size follows their acceptance: they sample no blurred density, however
sharp F becomes. An energy that begins here stands on a Gaussian with the moments of z (`Reference`). Where something
guides the symbols, it begins at a mixture of Gaussians instead, a component a symbol, and the symbols are held to their
guide.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.objectives.mutual_information import mutual_information
from svebm_ext.objectives.schedules import cosine_decay
from svebm_ext.ops.philox import Stream
from svebm_ext.prior.chain_bank import ChainBank
from svebm_ext.prior.conditional import sample_prior
from svebm_ext.prior.mixture_start import GUIDANCE, start_at_mixture
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.symbols import energy_of, log_symbols_of
from svebm_ext.processes import ALONE, Processes
from svebm_ext.randomness import Draw

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
#: The same two from a mixture, which is near the end already: fewer chains that move less suffice.
N_MOVED_FROM_MIXTURE, N_STEPS_FROM_MIXTURE = 256, 10
#: Lines of progress.
N_REPORTS = 5


def fit_prior(
    network: EnergyMLP,
    posterior: tuple[Float[Tensor, "N D"], Float[Tensor, "N D"]],
    n_iterations: int,
    *,
    seed: int,
    step_size: float,
    information: float = 0.0,
    targets: Float[Tensor, "N K"] | None = None,
    whiten: bool = False,
    processes: Processes = ALONE,
    say: Callable[[str], None] = print,
) -> None:
    """Move the prior towards the aggregate posterior of the training sentences.

    Maximises E_q[F(z)] - log Z, whose gradient is that of the mean F at z of the encoder less the mean at persistent
    chains (Eq. 11), plus `information` times I(z, y).

    Args:
        network: f, changed in place.
        posterior: mean and log variance of q(z|x) of N sentences.
        n_iterations: of Adam.
        seed: of z, chains and their noise.
        step_size: s of training, for the samples that the chains start from.
        information: lambda.
        targets: probabilities of the symbols of every sentence, to which p(y|z) is held instead.
        whiten: take a Gaussian with mean and covariance of z for p0 first. F has to be new.
        processes: that share z and chains of each iteration. All of them call, with the same arguments.
        say: receives lines of progress.
    """
    if whiten:
        network.reference.fit(*posterior)
    n_moved, n_steps = N_MOVED, N_STEPS
    if targets is not None:
        say("prior alone: starts at a mixture of Gaussians, one for each symbol")
        start_at_mixture(network, posterior, targets, seed=seed, n_iterations=n_iterations)
        n_moved, n_steps = N_MOVED_FROM_MIXTURE, N_STEPS_FROM_MIXTURE
        processes.share(network.parameters())  # the start is made on each, whose arithmetic may round elsewhere
    chains = _chains(network, seed, n_steps, step_size, processes)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    every = max(1, n_iterations // N_REPORTS)
    for iteration in range(n_iterations):
        optimiser.param_groups[0]["lr"] = RATE * cosine_decay(iteration, n_iterations)
        rows, z = _sample(posterior, Draw(seed, iteration))
        negatives = chains.advance(network.layers(), iteration, n_moved, **network.langevin_options)
        rows, z, negatives = (processes.own(part) for part in (rows, z, negatives))
        logits = network.logits(network.reference.whitened(z))
        gap = energy_of(logits).sum() / BATCH - energy_of(network.logits(negatives)).sum() / n_moved
        loss = _symbols_loss(logits, None if targets is None else targets[rows], information, processes) - gap
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        whole_gap = processes.reduce_gradients(network.parameters(), gap.detach().view(1))
        optimiser.step()
        if (iteration + 1) % every == 0:
            say(_progress(iteration + 1, n_iterations, float(whole_gap)))
    optimiser.zero_grad(set_to_none=True)


def _symbols_loss(
    logits: Float[Tensor, "own K"], targets: Float[Tensor, "own K"] | None, information: float, processes: Processes
) -> Tensor | float:
    """This process's share of what holds the symbols: their guide, or lambda I(z, y), or nothing."""
    if targets is not None:
        return -GUIDANCE * (targets * log_symbols_of(logits)).sum() / BATCH
    if information == 0.0:
        return 0.0
    log_symbols = log_symbols_of(logits)
    whole, _ = mutual_information(log_symbols, n_total=BATCH, sum_over_processes=processes.sum)
    return -information / processes.world_size * whole  # each process has the whole; their gradients are added up


def _chains(network: EnergyMLP, seed: int, n_steps: int, step_size: float, processes: Processes) -> ChainBank:
    """Chains that begin as samples of the prior, each process with its block of them."""
    chains = ChainBank(
        N_CHAINS, network.latent_dim, seed=seed + 1, n_steps=n_steps, step_size=STEP_SIZE, metropolis=True,
        device=network.device, processes=processes,
    )  # fmt: skip
    first, end = processes.block(N_CHAINS)
    chains.states = sample_prior(network, end - first, seed=seed, step_size=step_size, ids=torch.arange(first, end))
    return chains


def _progress(done: int, n_iterations: int, gap: float) -> str:
    apart = f"{abs(gap):.2f} nats {'above' if gap >= 0 else 'below'}"
    head = f"prior alone: iteration {done:,} of {n_iterations:,}"
    return f"{head}, F at z of the texts is {apart} F at samples of the prior"


def _sample(posterior: tuple[Tensor, Tensor], draw: Draw) -> tuple[Int[Tensor, "B"], Float[Tensor, "B D"]]:
    """Sentences drawn with replacement, and z+ of each."""
    mean, log_variance = posterior
    ids = torch.arange(BATCH, device=mean.device)
    rows = (draw.uniform(ids, 1, Stream.SELECTION)[:, 0] * len(mean)).long().clamp(max=len(mean) - 1)
    noise = draw.normal(ids, mean.shape[1], Stream.POSTERIOR).to(mean.dtype)
    return rows, mean[rows] + torch.exp(0.5 * log_variance[rows]) * noise
