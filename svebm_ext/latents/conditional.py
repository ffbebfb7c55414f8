"""The symbol-vector coupling prior given a context: p(y, z|c) proportional to exp(<y, f(z, c)>) p0(z)."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from svebm_ext.errors import ConfigError
from svebm_ext.latents.energy import EnergyLatent, EnergyPosterior
from svebm_ext.latents.gaussian import wide
from svebm_ext.prior.conditional import sample_prior


class ConditionalEnergyLatent(EnergyLatent):
    """q(z|x, c) Gaussian; p(z|c) proportional to exp(F(z, c)) N(z; 0, I), F(z, c) = logsumexp_k f_k(z, c).

    The last C of the encoder's features are the context c. The prior does not train the network that makes it.

    Args:
        feature_dim: size of the encoder's features.
        latent_dim: D.
        n_categories: K.
        context_dim: C.
        hidden, activation, step_size: as for `EnergyLatent`.
    """

    def __init__(
        self,
        feature_dim: int,
        latent_dim: int,
        n_categories: int,
        *,
        context_dim: int,
        hidden: tuple[int, ...] = (200, 200),
        activation: str = "gelu",
        step_size: float = 0.125,
    ) -> None:
        super().__init__(
            feature_dim,
            latent_dim,
            n_categories,
            hidden=hidden,
            activation=activation,
            step_size=step_size,
            context_dim=context_dim,
        )
        self.context_dim = context_dim

    def posterior(self, features: Float[Tensor, "B F"]) -> EnergyPosterior:
        """mu(x, c), log sigma^2(x, c) and c, in at least float32."""
        context = wide(features[:, features.shape[1] - self.context_dim :]).detach()
        return EnergyPosterior(*self.moments(features), self.prior, context)

    def log_prior(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """Not known without the context.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("log_prior: the prior of dialogs depends on a context, and so does its log Z")

    def sample_prior(self, n: int, *, seed: int, symbol: int | Sequence[int] | None = None) -> Float[Tensor, "n D"]:
        """Not known without the context; see `sample_given`.

        Raises:
            ConfigError: always.
        """
        raise ConfigError("sample_prior: the prior of dialogs depends on a context; give one (SVEBM.respond)")

    def sample_given(
        self, context: Float[Tensor, "n C"], *, seed: int, symbol: int | None = None
    ) -> Float[Tensor, "n D"]:
        """A Langevin sample of p(z|c) for each context, or of p(z|y = symbol, c).

        Raises:
            ConfigError: the symbol is outside 0 .. K-1.
        """
        shift = self.prior.context_shift(wide(context)).detach()
        return sample_prior(
            self.prior, context.shape[0], seed=seed, step_size=self.step_size, symbol=symbol, context_shift=shift
        )
