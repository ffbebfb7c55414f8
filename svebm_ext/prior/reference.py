"""p0 of a prior that is learnt after the networks: a Gaussian with the mean and covariance of all z of the encoder.

Beside N(0, I) the energy would first have to learn that Gaussian, and its chains to walk along it. Coordinates in which
it is N(0, I), u = L^-1 (z - m) with S = L L^T, leave to F what is beyond a Gaussian. All chains move in u.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor, nn

from svebm_ext.densities import standard_normal_log_density
from svebm_ext.errors import ModelFolderError

#: Variance of z that a coordinate has at least, and diagonal of L that is taken from a file.
LEAST_VARIANCE, NARROWEST = 1e-8, 1e-5


class Reference(nn.Module):
    """N(m, S), or N(0, I) until it is fitted.

    Buffers are m [D] and L - I [D, D], which are 0 for N(0, I): models that were saved without them have that.

    Args:
        latent_dim: D.
    """

    mean: Tensor
    spread: Tensor

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(latent_dim))
        self.register_buffer("spread", torch.zeros(latent_dim, latent_dim))
        self._standard: bool | None = None

    @property
    def is_standard(self) -> bool:
        """Whether it is N(0, I)."""
        if self._standard is None:
            self._standard = not bool(self.mean.any() or self.spread.any())
        return self._standard

    @torch.no_grad()
    def fit(self, mean: Float[Tensor, "N D"], log_variance: Float[Tensor, "N D"]) -> None:
        """Take mean and covariance of z ~ q(z|x) over N sentences: of mu(x), and the mean of sigma^2(x) beside it."""
        centre, n = mean.double().mean(0), len(mean)
        apart = mean.double() - centre
        widths = log_variance.double().exp().mean(0).clamp_min(LEAST_VARIANCE)
        covariance = apart.T @ apart / n + widths.diag()
        self.mean.copy_(centre)
        self.spread.copy_(torch.linalg.cholesky(covariance) - torch.eye(len(centre), device=centre.device))
        self._standard = None

    def whitened(self, z: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """u = L^-1 (z - m)."""
        if self.is_standard:
            return z
        apart = (z - self.mean.to(z.dtype)).flatten(0, -2)
        return torch.linalg.solve_triangular(self._root(z).T, apart, upper=True, left=False).view(z.shape)

    def restored(self, u: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch D"]:
        """z = m + L u."""
        return u if self.is_standard else self.mean.to(u.dtype) + u @ self._root(u).T

    def log_ratio(self, z: Float[Tensor, "*batch D"], u: Float[Tensor, "*batch D"]) -> Float[Tensor, "*batch"]:
        """log N(z; m, S) - log N(z; 0, I) in nats, u being z whitened."""
        volume = self._root(z).diagonal().abs().log().sum()
        return standard_normal_log_density(u) - standard_normal_log_density(z) - volume

    def _root(self, like: Tensor) -> Float[Tensor, "D D"]:
        return self.spread.tril().to(like.dtype) + torch.eye(len(self.mean), dtype=like.dtype, device=like.device)

    def _load_from_state_dict(self, state_dict: Mapping[str, Tensor], *args: object) -> None:
        self._standard = None
        super()._load_from_state_dict(state_dict, *args)


def check_spread(name: str, spread: Float[Tensor, "D D"], where: str) -> None:
    """Refuse an L - I, as a file holds it, of no Gaussian.

    Args:
        name: of the tensor.
        spread: finite numbers.
        where: its file.

    Raises:
        ModelFolderError: a diagonal element of L is not positive.
    """
    smallest = float((1.0 + spread.diagonal()).min())
    if smallest < NARROWEST:
        raise ModelFolderError(
            f"{where}: tensor {name} is of no covariance: its root has {smallest:g} on the diagonal, expected at least "
            f"{NARROWEST:g}"
        )
