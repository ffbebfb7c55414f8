"""The latent space in two dimensions: linear projections, which put vectors of any origin on the same map."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor


class Projection(NamedTuple):
    """Centre [D] and two directions [D, 2]; `shares` is what each direction explains of what was maximised."""

    centre: Tensor
    directions: Tensor
    shares: tuple[float, float]

    def __call__(self, z: Float[Tensor, "B D"]) -> Float[Tensor, "B 2"]:
        """Coordinates of vectors."""
        return (z.double() - self.centre) @ self.directions


def principal_components(z: Float[Tensor, "B D"]) -> Projection:
    """The two directions of largest variance; `shares` of the variance.

    A direction that does not exist (D = 1, or fewer than three vectors) is zero.
    """
    points = z.double()
    centre = points.mean(0)
    _, sizes, directions = torch.linalg.svd(points - centre, full_matrices=False)
    return _projection(centre, directions.T, sizes.square())


def discriminants(z: Float[Tensor, "B D"], groups: Int[Tensor, "B"]) -> Projection | None:
    """The two directions w that separate groups best: largest variance between groups over that within them.

    They maximise w' S_b w / w' S_w w with the scatter matrices between and within groups, S_w with a thousandth of its
    mean variance on the diagonal so that it has an inverse; `shares` of the sum of the ratios.

    Args:
        z: vectors.
        groups: group of each.

    Returns:
        None where there are fewer than three groups, and so no two such directions.

    Source: Fisher 1936; Rao, The Utilization of Multiple Measurements in Problems of Biological Classification, 1948.
    """
    points = z.double()
    names, group = groups.to(z.device).unique(return_inverse=True)
    if len(names) < 3 or points.shape[1] < 2:
        return None
    sizes = torch.bincount(group).double()
    means = points.new_zeros(len(names), points.shape[1]).index_add(0, group, points) / sizes[:, None]
    centre = points.mean(0)
    within = (points - means[group]).T @ (points - means[group]) / len(points)
    within += torch.eye(len(within), dtype=within.dtype, device=z.device) * (1e-3 * within.diagonal().mean() + 1e-12)
    between = (means - centre).T @ (sizes[:, None] * (means - centre)) / len(points)
    root = torch.linalg.cholesky(within)  # S_w = L L'; the problem is symmetric in v = L' w
    half = torch.linalg.solve_triangular(root, between, upper=False)
    ratios, vectors = torch.linalg.eigh(torch.linalg.solve_triangular(root, half.T, upper=False))
    directions = torch.linalg.solve_triangular(root.T, vectors.flip(1), upper=True)
    return _projection(centre, directions, ratios.flip(0).clamp_min(0.0))


def _projection(centre: Tensor, directions: Tensor, sizes: Tensor) -> Projection:
    """The first two directions, each signed so that its largest entry is positive; zeros for those that are missing."""
    total = float(sizes.sum())
    chosen = torch.zeros(len(centre), 2, dtype=centre.dtype, device=centre.device)
    shares = [0.0, 0.0]
    for i in range(min(2, directions.shape[1])):
        direction = directions[:, i]
        chosen[:, i] = direction * direction[direction.abs().argmax()].sign()
        shares[i] = float(sizes[i]) / total if total > 0.0 else 0.0
    return Projection(centre, chosen, (shares[0], shares[1]))
