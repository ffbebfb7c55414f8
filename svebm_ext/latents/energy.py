"""The symbol-vector coupling prior (Eq. 2-5): the latent family of SVEBM."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.errors import ConfigError
from svebm_ext.latents.gaussian import AnyGaussian, GaussianLatent
from svebm_ext.ops.langevin import langevin
from svebm_ext.ops.philox import Stream, philox_normal
from svebm_ext.prior.chain_bank import falling_steps
from svebm_ext.prior.network import EnergyMLP

#: Steps of a chain that starts from N(0, I) to sample from the finished prior: the first at a size that N(0, I) allows,
#: then smaller and smaller ones. Unadjusted steps of one size sample a blurred density (at .125 F falls short by ten
#: nats where it is sharp); the small ones take that back, and the large ones before have gone the way.
COARSE_STEPS, FINER_STEPS = 50, 450
COARSE_STEP, FINEST_STEP = 0.125, 0.005
#: Ids of these chains begin here, far from those of training, so that equal seeds share no random numbers.
SAMPLE_IDS = 1 << 40


def sampling_steps(step_size: float, device: torch.device | None = None) -> Float[Tensor, " S"]:
    """Step sizes to sample from the finished prior; those of training only where they reach beyond the usual range."""
    coarse, finest = max(step_size, COARSE_STEP), min(step_size, FINEST_STEP)
    finer = falling_steps(coarse, finest, FINER_STEPS, device)
    return torch.cat((torch.full((COARSE_STEPS,), coarse, dtype=torch.float32, device=device), finer))


class EnergyLatent(GaussianLatent):
    """q(z|x) Gaussian; p(z) proportional to exp(F(z)) N(z; 0, I), F = logsumexp_k f_k.

    Args:
        feature_dim: size of the encoder's features.
        latent_dim: D.
        n_categories: K.
        hidden: hidden layer sizes of f.
        activation: activation of f.
        step_size: s of the Langevin steps that sample the prior.
        context_dim: size of a context that f depends on as well (`latents.conditional`).
    """

    n_categories: int

    def __init__(
        self,
        feature_dim: int,
        latent_dim: int,
        n_categories: int,
        *,
        hidden: tuple[int, ...] = (200, 200),
        activation: str = "gelu",
        step_size: float = 0.125,
        context_dim: int = 0,
    ) -> None:
        super().__init__(feature_dim, latent_dim)
        self.prior = EnergyMLP(latent_dim, n_categories, hidden=hidden, activation=activation, context_dim=context_dim)
        self.n_categories = n_categories
        self.step_size = step_size

    def logits(self, posterior: AnyGaussian, z: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """f(z); the posterior tells what else f depends on, which is nothing in this family."""
        return self.prior.logits(z)

    def terms(self, posterior: AnyGaussian, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """`kl` [B, D] to p0, `energy_positive` [B] = F(z+), `log_symbol` [B, K] = log p(y|z+)."""
        logits = self.logits(posterior, z)
        terms = super().terms(posterior, z)
        terms["energy_positive"] = logits.logsumexp(-1)
        terms["log_symbol"] = logits.log_softmax(-1)
        return terms

    def reference_terms(self, posterior: AnyGaussian, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """`kl` [B, D] alone: the terms under p0, as long as the energy is not learnt."""
        return super().terms(posterior, z)

    def log_prior(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """F(z) + log N(z; 0, I), without the constant -log Z."""
        return self.prior.energy(z) + super().log_prior(z)

    def log_categories(self, posterior: AnyGaussian) -> Float[Tensor, "B 1 K"]:
        """log p(y | z = mu(x)) (Eq. 3): one symbol."""
        return self.logits(posterior, posterior.mean).log_softmax(-1)[:, None]

    def sample_prior(self, n: int, *, seed: int, symbol: int | None = None) -> Float[Tensor, "n D"]:
        """Langevin samples of p(z), or of p(z|y = symbol) proportional to exp(f_symbol(z)) p0(z).

        Raises:
            ConfigError: the symbol is outside 0 .. K-1.
        """
        return self._sample(n, seed=seed, symbol=symbol)

    @torch.no_grad()
    def _sample(
        self, n: int, *, seed: int, symbol: int | None, bias: Float[Tensor, "n H"] | None = None
    ) -> Float[Tensor, "n D"]:
        if symbol is not None and not 0 <= symbol < self.n_categories:
            raise ConfigError(f"symbol: {symbol} is outside 0 .. {self.n_categories - 1}")
        ids = SAMPLE_IDS + torch.arange(n, dtype=torch.int64, device=self.to_mean.weight.device)
        z = philox_normal(seed, ids, dim=self.latent_dim, stream=Stream.INITIAL)[0].to(self.to_mean.weight.dtype)
        labels = None if symbol is None else torch.full((n,), symbol, dtype=torch.int64, device=z.device)
        return langevin(
            z,
            self.prior.layers(),
            n_steps=COARSE_STEPS + FINER_STEPS,
            step_size=sampling_steps(self.step_size, z.device),
            seed=seed,
            activation=self.prior.activation,
            negative_slope=self.prior.negative_slope,
            labels=labels,
            bias=bias,
            chain_ids=ids,
        ).z
