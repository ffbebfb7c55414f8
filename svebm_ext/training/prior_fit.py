"""The prior alone, fitted to the encoder's z when everything else has been learnt.

While encoder, generator and energy learn together, the energy runs after an encoder that moves, with small steps lest F
leave the chains, and the mutual information pulls at it with lambda / w. In the end exp(F) p0 can be further from the
encoder's z than a Gaussian is. A second stage, of the prior by maximum likelihood of z ~ q(z|x) with the networks held,
costs a small part of a run and raises the bound by what it gains.

Source: two-stage training of Dai & Wipf, Diagnosing and Enhancing VAE Models, ICLR 2019; with energies, Aneja, Schwing,
Kautz & Vahdat, A Contrastive Learning Approach for Training Variational Autoencoder Priors, NeurIPS 2021. The gradient
is that of the prior in Algorithm 1 of Pang & Wu (2021).

Where something guides the symbols, the stage begins at a mixture of Gaussians, a component a symbol, and the symbols
are held to their guide. Chains then move by Metropolis-adjusted steps, whose size follows their acceptance: they sample
no blurred density, however sharp F becomes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.data.batching import EncodedSplit
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.latents.gaussian import GaussianPosterior
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.objectives.mutual_information import mutual_information
from svebm_ext.objectives.schedules import cosine_decay
from svebm_ext.ops.philox import Stream
from svebm_ext.prior.chain_bank import ChainBank
from svebm_ext.prior.schedule import TARGET_ACCEPTANCE
from svebm_ext.randomness import Draw
from svebm_ext.training.encoding import encoded_rows, posteriors_of

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
#: Weight of the symbols' cross-entropy where they are held to guesses.
GUIDANCE = 1.0
#: Metropolis-adjusted steps: how quickly their size follows their acceptance, and its bounds.
ADAPTATION, SMALLEST_STEP, LARGEST_STEP = 0.1, 1e-4, 0.5
#: The start: Adam's iterations and step size, sentences whose variances count for those of all, and the lowest F that
#: is asked for, since far from every sentence it is enough that F is low.
START_ITERATIONS, START_RATE, POOLED_SENTENCES, LOWEST_ENERGY = 600, 3e-3, 50.0, -30.0
#: Lines of progress.
N_REPORTS = 5


def fit_prior(
    model: LatentVariableModel,
    train: EncodedSplit,
    n_iterations: int,
    *,
    seed: int,
    information: float = 0.0,
    guesses: Float[Tensor, "N K"] | None = None,
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
        guesses: probabilities of the symbols of every training sentence, to which p(y|z) is held instead.
        say: receives lines of progress.
    """
    latent = cast(EnergyLatent, model.latent)
    prior = latent.prior
    posterior = _posteriors(model, train)
    targets = None
    if guesses is not None:
        targets = guesses[encoded_rows(train, MAX_SENTENCES)].to(posterior.mean.device)
        say("prior alone: starts at a mixture of Gaussians, one for each symbol")
        start_at_mixture(latent, posterior, targets, seed=seed)
    n_moved, n_steps = (N_MOVED, N_STEPS) if targets is None else (N_MOVED_FROM_MIXTURE, N_STEPS_FROM_MIXTURE)
    chains = ChainBank(
        N_CHAINS, latent.latent_dim, seed=seed + 1, n_steps=n_steps, step_size=STEP_SIZE, device=posterior.mean.device
    )
    chains.states = latent.sample_prior(N_CHAINS, seed=seed)
    step_size = STEP_SIZE
    optimiser = torch.optim.Adam(prior.parameters(), lr=RATE)
    every = max(1, n_iterations // N_REPORTS)
    for iteration in range(n_iterations):
        optimiser.param_groups[0]["lr"] = RATE * cosine_decay(iteration, n_iterations)
        rows, z = _sample(latent, posterior, Draw(seed, iteration))
        negative = chains.advance(
            prior.layers(),
            iteration,
            n_moved,
            step_size=step_size,
            metropolis=targets is not None,
            activation=prior.activation,
            negative_slope=prior.negative_slope,
        )
        if chains.acceptance is not None:
            step_size = adapted_step_size(step_size, chains.acceptance)
        logits = prior.logits(z)
        gap = logits.logsumexp(-1).mean() - prior.logits(negative).logsumexp(-1).mean()
        loss = -gap
        if targets is not None:
            loss = loss - GUIDANCE * (targets[rows] * logits.log_softmax(-1)).sum(-1).mean()
        elif information > 0.0:
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
    batches = list(posteriors_of(model, train, MAX_SENTENCES))
    order = torch.cat([batch.indices for batch, _ in batches]).argsort()
    return GaussianPosterior(
        *(torch.cat(parts)[order] for parts in zip(*(posterior for _, posterior in batches), strict=True))
    )


def _sample(
    latent: EnergyLatent, posterior: GaussianPosterior, draw: Draw
) -> tuple[Int[Tensor, "B"], Float[Tensor, "B D"]]:
    """Sentences drawn with replacement, and z of each."""
    n = len(posterior.mean)
    ids = torch.arange(BATCH, device=posterior.mean.device)
    rows = (draw.uniform(ids, 1, Stream.SELECTION)[:, 0] * n).long().clamp(max=n - 1)
    return rows, latent.sample(GaussianPosterior(*(part[rows] for part in posterior)), draw, ids)


def adapted_step_size(step_size: float, acceptance: float) -> float:
    """The next size of Metropolis-adjusted steps: larger where more moves than TARGET_ACCEPTANCE are accepted."""
    adapted = step_size * math.exp(ADAPTATION * (acceptance - TARGET_ACCEPTANCE))
    return min(max(adapted, SMALLEST_STEP), LARGEST_STEP)


def hold_symbols(model: LatentVariableModel, train: EncodedSplit, guesses: Float[Tensor, "N K"], *, seed: int) -> None:
    """Move f so that p(z) is N(0, I), where nothing better was learnt, while the symbols agree with the guesses."""
    posterior = _posteriors(model, train)
    targets = guesses[encoded_rows(train, MAX_SENTENCES)].to(posterior.mean.device)
    start_at_mixture(cast(EnergyLatent, model.latent), posterior, targets, seed=seed, flat=True)


def start_at_mixture(
    latent: EnergyLatent,
    posterior: GaussianPosterior,
    targets: Float[Tensor, "N K"],
    *,
    seed: int,
    flat: bool = False,
) -> None:
    """Move f so that exp(F) p0 is a mixture of Gaussians, a component a symbol, and p(y|z) agrees with the targets.

    Component y has the mean and the variances of z of the sentences with that symbol; variances of symbols with few
    sentences are drawn towards the mean of all. Of points that lie between components and of N(0, I) F is told as well.

    Args:
        latent: its prior is changed in place.
        posterior: q(z|x) of the N sentences.
        targets: probabilities of their symbols.
        seed: of the points.
        flat: F is to be 0 instead, that is p(z) to be N(0, I).
    """
    prior, (mean, log_variance) = latent.prior, posterior
    mass = targets.sum(0) + 1e-6
    centres = targets.T @ mean / mass[:, None]
    second = targets.T @ (mean.square() + log_variance.exp()) / mass[:, None] - centres.square()
    pooled = (mass[:, None] * second).sum(0) / mass.sum()
    variance = ((mass[:, None] * second + POOLED_SENTENCES * pooled) / (mass[:, None] + POOLED_SENTENCES)).clamp_min(
        1e-3
    )
    log_share = ((mass + 1.0) / (mass + 1.0).sum()).log()

    def log_ratios(z: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """log of each component's density times its share, over p0."""
        squares = ((z[:, None] - centres).square() / variance).sum(-1)
        return log_share - 0.5 * (squares + variance.log().sum(-1)) + 0.5 * z.square().sum(-1, keepdim=True)

    generator = torch.Generator().manual_seed(seed % 2**63)
    optimiser = torch.optim.Adam(prior.parameters(), lr=START_RATE)
    n, device = len(mean), mean.device
    for iteration in range(START_ITERATIONS):
        optimiser.param_groups[0]["lr"] = START_RATE * (1.0 - iteration / START_ITERATIONS)
        rows = torch.randint(n, (BATCH,), generator=generator).to(device)
        noise = torch.randn(3, BATCH, mean.shape[1], generator=generator).to(device)
        z = mean[rows] + (0.5 * log_variance[rows]).exp() * noise[0]
        shares = torch.rand(BATCH, 1, generator=generator).to(device)
        others = torch.cat((noise[1], shares * z + (1.0 - shares) * noise[2]))
        with torch.no_grad():
            energies = torch.cat([log_ratios(part).logsumexp(-1) for part in (z, others)]).clamp_min(LOWEST_ENERGY)
            if flat:
                energies.zero_()
        found = prior.logits(torch.cat((z, others)))
        wrong = torch.nn.functional.smooth_l1_loss(found.logsumexp(-1), energies)
        symbols = -(targets[rows] * found[:BATCH].log_softmax(-1)).sum(-1).mean()
        optimiser.zero_grad(set_to_none=True)
        (wrong + GUIDANCE * symbols).backward()
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
