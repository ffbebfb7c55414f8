"""Where a guided second stage begins: exp(F) p0 is a mixture of Gaussians, a component for each symbol."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.symbols import energy_of, log_symbols_of

#: z of the encoder at an iteration; as many points of N(0, I), and between the two, beside them.
BATCH = 500
#: Weight of the symbols' cross-entropy where they are held to guesses.
GUIDANCE = 1.0
#: Adam's iterations and step size, sentences whose variances count for those of all, and the lowest F that is asked
#: for, since far from every sentence it is enough that F is low. A stage of fewer iterations has a start of as many,
#: and LEAST_START at least.
START_ITERATIONS, LEAST_START, RATE, POOLED_SENTENCES, LOWEST_ENERGY = 600, 100, 3e-3, 50.0, -30.0


@dataclass(frozen=True)
class SymbolMixture:
    """A Gaussian for each symbol: log of its share [K], centres [K, D], variances [K, D]."""

    log_share: Float[Tensor, "K"]
    centres: Float[Tensor, "K D"]
    variance: Float[Tensor, "K D"]

    @classmethod
    def of(
        cls, mean: Float[Tensor, "N D"], log_variance: Float[Tensor, "N D"], targets: Float[Tensor, "N K"]
    ) -> SymbolMixture:
        """Component y has the mean and the variances of z of the sentences with that symbol; variances of symbols with
        few sentences are drawn towards the mean of all.

        Args:
            mean, log_variance: of q(z|x) of N sentences.
            targets: probabilities of their symbols.
        """
        mass = targets.sum(0) + 1e-6
        centres = targets.T @ mean / mass[:, None]
        second = targets.T @ (mean.square() + log_variance.exp()) / mass[:, None] - centres.square()
        pooled = (mass[:, None] * second).sum(0) / mass.sum()
        weighted = mass[:, None] * second + POOLED_SENTENCES * pooled
        variance = (weighted / (mass[:, None] + POOLED_SENTENCES)).clamp_min(1e-3)
        return cls(((mass + 1.0) / (mass + 1.0).sum()).log(), centres, variance)

    def log_ratios(self, z: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """log of each component's density times its share, over p0."""
        squares = ((z[:, None] - self.centres).square() / self.variance).sum(-1)
        return self.log_share - 0.5 * (squares + self.variance.log().sum(-1)) + 0.5 * z.square().sum(-1, keepdim=True)


def start_at_mixture(
    network: EnergyMLP,
    posterior: tuple[Float[Tensor, "N D"], Float[Tensor, "N D"]],
    targets: Float[Tensor, "N K"],
    *,
    seed: int,
    n_iterations: int = START_ITERATIONS,
    flat: bool = False,
) -> None:
    """Move f so that exp(F) p0 is a mixture of Gaussians, a component a symbol, and p(y|z) agrees with the targets.

    Of points that lie between components and of N(0, I) F is told as well.

    Args:
        network: f, changed in place.
        posterior: mean and log variance of q(z|x) of N sentences.
        targets: probabilities of their symbols.
        seed: of the points.
        n_iterations: of the second stage.
        flat: F is to be 0 instead, that is p(z) to be N(0, I).
    """
    mean, log_variance = posterior
    mixture = SymbolMixture.of(mean, log_variance, targets)
    generator = torch.Generator().manual_seed(seed % 2**63)
    optimiser = torch.optim.Adam(network.parameters(), lr=RATE)
    n, device = len(mean), mean.device
    n_iterations = min(START_ITERATIONS, max(LEAST_START, n_iterations))
    for iteration in range(n_iterations):
        optimiser.param_groups[0]["lr"] = RATE * (1.0 - iteration / n_iterations)
        rows = torch.randint(n, (BATCH,), generator=generator).to(device)
        noise = torch.randn(3, BATCH, mean.shape[1], generator=generator).to(device)
        z = mean[rows] + (0.5 * log_variance[rows]).exp() * noise[0]
        shares = torch.rand(BATCH, 1, generator=generator).to(device)
        others = torch.cat((noise[1], shares * z + (1.0 - shares) * noise[2]))
        with torch.no_grad():
            energies = torch.cat([energy_of(mixture.log_ratios(part)) for part in (z, others)])
            energies = energies.clamp_min(LOWEST_ENERGY)
            if flat:
                energies.zero_()
        logits = network.logits(torch.cat((z, others)))
        wrong = functional.smooth_l1_loss(energy_of(logits), energies)
        symbols = -(targets[rows] * log_symbols_of(logits[:BATCH])).sum(-1).mean()
        optimiser.zero_grad(set_to_none=True)
        (wrong + GUIDANCE * symbols).backward()
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
