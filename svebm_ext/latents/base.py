"""What every latent family provides; a baseline is a family and an objective."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from svebm_ext.randomness import Draw


class Latent(nn.Module):
    """Latent family: posterior of features, its samples, the terms of its divergence, samples of its prior.

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

    def posterior(self, features: Float[Tensor, "B F"]) -> Any:
        """Parameters of q(z|x)."""
        raise NotImplementedError

    def mean(self, posterior: Any) -> Float[Tensor, "B D"]:
        """mu(x), the vector used for reconstruction and classification."""
        raise NotImplementedError

    def sample(self, posterior: Any, draw: Draw, ids: Int[Tensor, "B"]) -> Float[Tensor, "B D"]:
        """One reparameterised z per example, its noise addressed by the example's id."""
        raise NotImplementedError

    def widened(self, posterior: Any, scale: float) -> Any:
        """Posterior with `scale` times the standard deviations of its Gaussian vector; of a family without, itself."""
        return posterior

    def deviations(self, posterior: Any) -> Float[Tensor, "B D"]:
        """Standard deviations of q(z|x) in the Gaussian vector; 0 in codes."""
        raise NotImplementedError

    def importance_samples(
        self, posterior: Any, n_samples: int, *, seed: int, ids: Int[Tensor, "B"]
    ) -> Float[Tensor, "M B D"]:
        """M exact samples of q(z|x) for each example, none relaxed, for the likelihood."""
        raise NotImplementedError

    def terms(self, posterior: Any, z: Float[Tensor, "B D"]) -> dict[str, Tensor]:
        """Per-example terms of the objective by name (see objectives.elbo)."""
        raise NotImplementedError

    def log_posterior(self, z: Float[Tensor, "*M B D"], posterior: Any) -> Float[Tensor, "*M B"]:
        """log q(z|x) in nats."""
        raise NotImplementedError

    def log_prior(self, z: Float[Tensor, "*M B D"]) -> Float[Tensor, "*M B"]:
        """log of the prior's density in nats, up to the constant log Z that evaluation estimates (0 if normalised)."""
        raise NotImplementedError

    def log_categories(self, posterior: Any) -> Float[Tensor, "B n K"] | None:
        """log probabilities of the family's n symbols of K categories given x; None where it has none."""
        return None

    def sample_prior(self, n: int, *, seed: int, symbol: int | None = None) -> Float[Tensor, "n D"]:
        """Samples of p(z), or of p(z|y = symbol)."""
        raise NotImplementedError

    def sample_reference(self, n: int, *, seed: int) -> Float[Tensor, "n D"]:
        """Vectors to generate from when systems are compared: the prior's, or what stands in for one."""
        return self.sample_prior(n, seed=seed)
