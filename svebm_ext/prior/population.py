"""A population of weighted chains that is carried from one temperature to another (sequential Monte Carlo).

Target at temperature factor t: p_t(z) proportional to exp(t F(z)) p0(z), p0 = N(0, I); t = 0 is p0, t = 1 the prior.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.ops.langevin import langevin
from svebm_ext.ops.philox import Stream, philox_normal, philox_uniform
from svebm_ext.prior.network import EnergyMLP


class Population:
    """N chains in G independent groups of n, with importance weights.

    Chains are resampled within their group where its effective sample size falls below half of n, so that chains in
    parts of space whose weight shrinks as t changes are given up for those whose weight grows. The groups' estimates
    of a ratio of normalisers stay unbiased, and independent of each other.

    Args:
        energy: F.
        z: states [G * n, D], group after group.
        n_groups: G.
        temper: factor t for which z are samples.
        seed: of the random numbers.
        first_id: id of the first chain; populations that must not share random numbers have ids apart.
    """

    def __init__(
        self, energy: EnergyMLP, z: Float[Tensor, "N D"], *, n_groups: int, temper: float, seed: int, first_id: int
    ) -> None:
        self.energy, self.z, self.n_groups, self.temper, self.seed = energy, z, n_groups, temper, seed
        self.n = z.shape[0] // n_groups
        self.ids = first_id + torch.arange(z.shape[0], device=z.device)
        self.log_weights = torch.zeros(n_groups, self.n, dtype=torch.float64, device=z.device)
        self.log_ratio = torch.zeros(n_groups, dtype=torch.float64, device=z.device)  # of weights already resampled
        self.roots = torch.arange(self.n, device=z.device).repeat(n_groups, 1)
        self.n_resampled = torch.zeros(n_groups, dtype=torch.int64, device=z.device)
        self.step = 0

    @classmethod
    def of_reference(cls, energy: EnergyMLP, n: int, *, n_groups: int, seed: int, first_id: int) -> Population:
        """n chains that begin as samples of p0, at t = 0; arguments as in `Population`."""
        ids = first_id + torch.arange(n, device=energy.device)
        z = philox_normal(seed, ids, dim=energy.latent_dim, stream=Stream.INITIAL)[0].to(energy.dtype)
        return cls(energy, z, n_groups=n_groups, temper=0.0, seed=seed, first_id=first_id)

    def move(self, tempers: list[float], step_sizes: list[float]) -> Float[Tensor, " S"]:
        """Weigh for and move at each temperature in turn, Metropolis-adjusted; returns the acceptance of each move."""
        result = langevin(
            self.z,
            self.energy.layers(),
            n_steps=len(tempers),
            step_size=torch.tensor(step_sizes, dtype=torch.float64),
            seed=self.seed,
            temper=torch.tensor(tempers, dtype=torch.float64),
            initial_temper=self.temper,
            metropolis=True,
            first_step=self.step,
            chain_ids=self.ids,
            **self.energy.langevin_options,
        )
        assert result.log_weights is not None and result.acceptance is not None
        self.z, self.temper = result.z, tempers[-1]
        self.log_weights += result.log_weights.view(self.n_groups, self.n)
        self.step += len(tempers)
        return result.acceptance

    def resample(self, threshold: float = 0.5) -> None:
        """Resample (systematically) the groups whose effective sample size is below `threshold` n."""
        weights = torch.softmax(self.log_weights, dim=1)
        poor = 1.0 / weights.square().sum(dim=1) < threshold * self.n
        if not bool(poor.any()):
            return
        group_ids = self.ids[:: self.n]
        shift = philox_uniform(self.seed, group_ids, dim=1, first_step=self.step, stream=Stream.SELECTION)[0]
        positions = (torch.arange(self.n, device=self.z.device) + shift.double()) / self.n
        chosen = torch.searchsorted(weights.cumsum(dim=1), positions).clamp_(max=self.n - 1)
        chosen = torch.where(poor[:, None], chosen, torch.arange(self.n, device=self.z.device))
        mean_weight = torch.logsumexp(self.log_weights, dim=1) - math.log(self.n)
        self.log_ratio += torch.where(poor, mean_weight, 0.0)
        self.log_weights = torch.where(poor[:, None], 0.0, self.log_weights)
        self.roots = self.roots.gather(1, chosen)
        self.n_resampled += poor
        rows = chosen + self.n * torch.arange(self.n_groups, device=self.z.device)[:, None]
        self.z = self.z[rows.flatten()]

    def log_ratios(self) -> Float[Tensor, " G"]:
        """Return each group's estimate of log Z(now) - log Z(start), whose exponential is unbiased."""
        return self.log_ratio + torch.logsumexp(self.log_weights, dim=1) - math.log(self.n)

    def estimate(self) -> tuple[float, float, float]:
        """Return log of the groups' mean ratio, its standard error, and the effective sample size.

        W_e being the share of the final weight that descends from starting chain e, the relative variance of a group
        that was resampled r times is 1 - (n / (n - 1))^(r + 1) (1 - sum_e W_e^2); never resampled, it is the usual one
        of a mean of weights. Chains that all missed the same mode agree on too small a variance, so the spread of the
        groups is used where it is larger. The effective sample size counts starting chains.

        Source: Lee & Whiteley, Biometrika 105 (2018) 609-625.
        """
        weights = torch.softmax(self.log_weights, dim=1)
        concentration = torch.zeros_like(weights).scatter_add_(1, self.roots, weights).square().sum(dim=1)
        inflation = (self.n / (self.n - 1.0)) ** (self.n_resampled + 1)
        variance = (1.0 - inflation * (1.0 - concentration)).clamp(min=0.0)
        share = torch.softmax(self.log_ratios(), dim=0)
        log_mean = float(torch.logsumexp(self.log_ratios(), dim=0)) - math.log(self.n_groups)
        error = math.sqrt(float((share.square() * variance).sum()))
        if self.n_groups > 1:
            error = max(error, float(share.std()) * math.sqrt(self.n_groups))  # share_g = ratio_g / (G mean ratio)
        return log_mean, error, 1.0 / float((share.square() * concentration).sum())
