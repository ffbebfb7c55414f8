"""What every latent family provides, and its posterior; a baseline is a family and an objective."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.randomness import Draw


class Posterior(ABC):
    """q(z|x) of B examples, as a family reads it off the encoder's features.

    Attributes:
        mean: [B, D] mu(x), the vector used for reconstruction and classification.
        context: [B, C] what the prior depends on beside z; None for a prior that depends on nothing.
    """

    mean: Tensor
    context: Tensor | None = None

    @abstractmethod
    def rsample(self, draw: Draw, ids: Int[Tensor, "B"]) -> Float[Tensor, "B D"]:
        """One reparameterised z per example, its noise addressed by the example's id."""

    @abstractmethod
    def importance_samples(self, n_samples: int, *, seed: int, ids: Int[Tensor, "B"]) -> Float[Tensor, "M B D"]:
        """M exact samples for each example, none relaxed, for the likelihood."""

    @abstractmethod
    def terms(self, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """Per-example terms of the objective at z by name (see objectives.elbo)."""

    def reference_terms(self, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """The terms as long as what is learnt of the prior is left out: of most families all of them."""
        return self.terms(z)

    def log_prob(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """log q(z|x) in nats."""
        raise NotImplementedError

    def widened(self, scale: float) -> Posterior:
        """The same with `scale` times the standard deviations of its Gaussian vector; without one, itself."""
        return self

    @property
    def deviations(self) -> Float[Tensor, "B D"]:
        """Standard deviations of the Gaussian vector; 0 in codes."""
        raise NotImplementedError

    @property
    def log_categories(self) -> Float[Tensor, "B n K"] | None:
        """log probabilities of n symbols of K categories given x; None where the family has none."""
        return None

    def detached(self) -> Posterior:
        """The same without gradient."""
        raise NotImplementedError


class Latent(nn.Module):
    """Latent family: posterior of features, density and samples of its prior.

    A learnt prior is the submodule `prior`; everything else reads the posterior off the encoder's features.

    Attributes:
        latent_dim: D, size of the vector that the decoder receives.
        n_categories: K, or None where the family has no symbols that a user can choose.
        has_prior: whether a density p(z) exists, so that there is a likelihood.
        has_features: whether the posterior looks at the sentence at all.
        has_vector: whether a Gaussian vector is part of the posterior, so that it can be widened.
    """

    latent_dim: int
    n_categories: int | None = None
    has_prior: bool = True
    has_features: bool = True
    has_vector: bool = False

    def posterior(self, features: Float[Tensor, "B F"]) -> Posterior:
        """q(z|x)."""
        raise NotImplementedError

    def log_prior(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """log of the prior's density in nats, up to the constant log Z that evaluation estimates (0 if normalised)."""
        raise NotImplementedError

    def sample_prior(self, n: int, *, seed: int, symbol: int | None = None) -> Float[Tensor, "n D"]:
        """Samples of p(z), or of p(z|y = symbol)."""
        raise NotImplementedError

    def sample_some(
        self, ids: Int[Tensor, "m"], n: int, *, seed: int, symbol: int | Sequence[int] | None = None
    ) -> Float[Tensor, "m D"]:
        """Those of n samples of the prior that `ids` numbers, as `sample_prior` has them."""
        return self.sample_prior(n, seed=seed, symbol=symbol)[ids]  # type: ignore[arg-type]

    def sample_reference(self, n: int, *, seed: int) -> Float[Tensor, "n D"]:
        """Vectors to generate from when systems are compared: the prior's, or what stands in for one."""
        return self.sample_prior(n, seed=seed)
