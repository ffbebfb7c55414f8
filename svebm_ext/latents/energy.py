"""The symbol-vector coupling prior (Eq. 2-5): the latent family of SVEBM."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.latents.gaussian import GaussianLatent, GaussianPosterior
from svebm_ext.prior.conditional import sample_prior
from svebm_ext.prior.groups import SymbolGroups
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.prior.symbols import energy_of, log_symbols_of


@dataclass(frozen=True)
class EnergyPosterior(GaussianPosterior):
    """q(z|x) against p(z) proportional to exp(F(z)) N(z; 0, I), or against p(z|c) given a context.

    Args:
        mean, log_variance: of the Gaussian, each [B, D].
        prior: f, with its present parameters.
        context: [B, C], where f depends on it.
    """

    prior: EnergyMLP
    context: Tensor | None = None

    def logits(self, z: Float[Tensor, "B D"]) -> Float[Tensor, "B K"]:
        """f(z), or f(z, c)."""
        return self.prior.at(z, None if self.context is None else self.prior.context_shift(self.context))

    def terms(self, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """`kl` [B, D] to p0, `energy_positive` [B] = F(z+), `log_symbol` [B, K] = log p(y|z+)."""
        logits = self.logits(z)
        terms = self.reference_terms(z)
        terms["energy_positive"] = energy_of(logits)
        terms["log_symbol"] = log_symbols_of(logits)
        return terms

    def reference_terms(self, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """`kl` [B, D] alone: the terms under p0, as long as the energy is not learnt."""
        return super().terms(z)

    @property
    def log_categories(self) -> Float[Tensor, "B 1 K"]:
        """log p(y | z = mu(x)) (Eq. 3): one symbol."""
        return log_symbols_of(self.logits(self.mean))[:, None]

    def detached(self) -> EnergyPosterior:
        """The same without gradient of encoder and context."""
        context = None if self.context is None else self.context.detach()
        return replace(self, mean=self.mean.detach(), log_variance=self.log_variance.detach(), context=context)


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
    #: Groups of the symbols; None where they are in one level.
    groups: SymbolGroups | None = None

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

    def posterior(self, features: Float[Tensor, "B F"]) -> EnergyPosterior:
        """mu(x) and log sigma^2(x), in at least float32."""
        return EnergyPosterior(*self.moments(features), self.prior)

    def logits(self, z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch K"]:
        """f(z), of a prior without a context."""
        return self.prior.at(z)

    def log_prior(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """F(z) + log N(z; 0, I), without the constant -log Z."""
        return energy_of(self.logits(z)) + super().log_prior(z)

    def sample_some(
        self, ids: Int[Tensor, "m"], n: int, *, seed: int, symbol: int | Sequence[int] | None = None
    ) -> Float[Tensor, "m D"]:
        """As in `Latent`; the others are not sampled."""
        u = sample_prior(self.prior, len(ids), seed=seed, step_size=self.step_size, symbol=symbol, ids=ids)
        return self.prior.reference.restored(u)

    def sample_prior(self, n: int, *, seed: int, symbol: int | Sequence[int] | None = None) -> Float[Tensor, "n D"]:
        """Langevin samples of p(z), or of p(z|y = symbol) proportional to exp(f_symbol(z)) p0(z).

        Of several symbols it is the sum of theirs.

        Raises:
            ConfigError: the symbol is outside 0 .. K-1.
        """
        u = sample_prior(self.prior, n, seed=seed, step_size=self.step_size, symbol=symbol)
        return self.prior.reference.restored(u)
