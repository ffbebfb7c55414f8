"""Eight Gaussians and the pinwheel: points of the plane from known densities (Figure 2)."""

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ..errors import DataError, alternatives

# The usual toy densities, four times as large: the released code multiplies both sets by 4 before training.
EIGHT_RADIUS, EIGHT_STD, EIGHT_SCALE = 4.0, 0.5, 4.0 / 1.414
PINWHEEL_RADIAL_STD, PINWHEEL_TANGENTIAL_STD, PINWHEEL_RATE, PINWHEEL_SCALE = 0.3, 0.1, 0.25, 8.0
MODES = {"gaussians8": 8, "pinwheel": 5}

GRID = 720
"""Angles at which the pinwheel's density looks for a change of sign."""


@dataclass(frozen=True)
class PointBatch:
    """Points of the plane, the mode each was drawn from, and its place in the global batch."""

    points: Float[Tensor, "B 2"]
    labels: Int64[Tensor, " B"]
    indices: Int64[Tensor, " B"]

    @property
    def n_points(self) -> int:
        """Number of points."""
        return self.points.shape[0]

    @property
    def n_tokens(self) -> int:
        """What the speed of a run is counted in: points."""
        return self.n_points

    def repeat(self, n: int) -> "PointBatch":
        """Batch with every point n times in a row."""
        rows = torch.arange(self.n_points, device=self.points.device).repeat_interleave(n)
        return self if n == 1 else self.select(rows)

    def copies_within(self, budget: int) -> int:
        """One: a pass over the points is cheap, whatever the budget."""
        return 1

    def select(self, rows: slice | Int64[Tensor, " b"]) -> "PointBatch":
        """The points at `rows`."""
        return replace(self, points=self.points[rows], labels=self.labels[rows], indices=self.indices[rows])

    def to(self, device: torch.device | str) -> "PointBatch":
        """The same points on `device`."""
        return replace(
            self, points=self.points.to(device), labels=self.labels.to(device), indices=self.indices.to(device)
        )


def sample_points(name: str, n_points: int, *, seed: int, step: int = 0) -> PointBatch:
    """Independent points of "gaussians8" or "pinwheel": a pure function of its arguments.

    Args:
        name: which density.
        n_points: points to draw.
        seed: 0 <= seed < 2^64.
        step: a training step, so that every step draws other points.

    Raises:
        DataError: an unknown name, or a number out of range.
    """
    n_modes = _n_modes(name)
    if n_points < 0 or step < 0 or not 0 <= seed < 2**64:
        raise DataError(f"n_points and step must be >= 0 and seed in 0 .. 2^64 - 1, not {n_points}, {step} and {seed}")
    random = np.random.Generator(np.random.Philox(key=np.array([seed, step], dtype=np.uint64)))
    labels = torch.from_numpy(random.integers(n_modes, size=n_points))
    noise = torch.from_numpy(random.standard_normal((n_points, 2)))
    if name == "gaussians8":
        points = EIGHT_SCALE * (_eight_centers()[labels] + EIGHT_STD * noise)
    else:
        points = _pinwheel_points(noise, labels)
    return PointBatch(points.float(), labels, torch.arange(n_points))


def mode_log_densities(name: str, points: Float[Tensor, "B 2"]) -> Float[Tensor, "B K"]:
    """log p(x | mode) in nats, float64, for each mode; modes are equally probable.

    Raises:
        DataError: an unknown name.
    """
    _n_modes(name)
    x = points.detach().double()
    return _eight_log_densities(x) if name == "gaussians8" else _pinwheel_log_densities(x)


def log_density(name: str, points: Float[Tensor, "B 2"]) -> Float[Tensor, " B"]:
    """log p(x) in nats, float64, of "gaussians8" or "pinwheel".

    Raises:
        DataError: an unknown name.
    """
    return mode_log_densities(name, points).logsumexp(1) - math.log(_n_modes(name))


def _n_modes(name: str) -> int:
    if name not in MODES:
        raise DataError(f"no generated density named {name!r}; {alternatives(name, MODES)}")
    return MODES[name]


def _eight_centers() -> Float[Tensor, "8 2"]:
    """Centers of the eight Gaussians before scaling, on a circle."""
    angles = torch.arange(8, dtype=torch.float64) * (math.pi / 4)
    return EIGHT_RADIUS * torch.stack([angles.cos(), angles.sin()], dim=1)


def _eight_log_densities(x: Float[Tensor, "B 2"]) -> Float[Tensor, "B 8"]:
    std = EIGHT_SCALE * EIGHT_STD
    squares = (x[:, None] - EIGHT_SCALE * _eight_centers().to(x.device)).square().sum(-1)
    return -0.5 * squares / std**2 - math.log(2 * math.pi * std**2)


def _pinwheel_points(noise: Float[Tensor, "B 2"], labels: Int64[Tensor, " B"]) -> Float[Tensor, "B 2"]:
    """Points from standard normal noise: an ellipse about (1, 0), turned by an angle that grows with its first axis."""
    radial = 1 + PINWHEEL_RADIAL_STD * noise[:, 0]
    tangential = PINWHEEL_TANGENTIAL_STD * noise[:, 1]
    angle = labels * (2 * math.pi / MODES["pinwheel"]) + PINWHEEL_RATE * radial.exp()
    cos, sin = angle.cos(), angle.sin()
    return PINWHEEL_SCALE * torch.stack([radial * cos + tangential * sin, tangential * cos - radial * sin], dim=1)


def _pinwheel_log_densities(x: Float[Tensor, "B 2"]) -> Float[Tensor, "B 5"]:
    """Change of variables, summed over all preimages.

    A point with polar coordinates (rho, phi) comes from features (rho cos psi, rho sin psi) of arm k wherever
    g(psi) = psi - rate exp(rho cos psi) equals phi + 2 pi k / K modulo 2 pi, and the map's Jacobian determinant
    there is g'(psi). With level(psi) = (g(psi) - phi) K / (2 pi), preimages are where level passes an integer m,
    and k = m mod K.
    """
    n_arms = MODES["pinwheel"]
    density = x.new_zeros(x.shape[0], n_arms)
    psi_grid = torch.linspace(-math.pi, math.pi, GRID + 1, dtype=x.dtype, device=x.device)
    for start in range(0, x.shape[0], 4096):
        part = x[start : start + 4096] / PINWHEEL_SCALE
        rho, phi = part.norm(dim=1), torch.atan2(part[:, 1], part[:, 0])
        floors = _pinwheel_level(psi_grid, rho[:, None], phi[:, None]).floor()
        which, cell = (floors[:, 1:] != floors[:, :-1]).nonzero(as_tuple=True)
        integer = torch.maximum(floors[which, cell], floors[which, cell + 1])
        rho, phi = rho[which], phi[which]
        # Bisection: 40 halvings of a cell reach the resolution of float64.
        low, high = psi_grid[cell], psi_grid[cell + 1]
        rising = floors[which, cell + 1] > floors[which, cell]
        for _ in range(40):
            middle = 0.5 * (low + high)
            after = (_pinwheel_level(middle, rho, phi) >= integer) == rising
            low, high = torch.where(after, low, middle), torch.where(after, middle, high)
        psi = 0.5 * (low + high)
        radial, tangential = rho * psi.cos(), rho * psi.sin()
        determinant = (1 + PINWHEEL_RATE * radial.exp() * tangential).abs()
        exponent = ((radial - 1) / PINWHEEL_RADIAL_STD).square() + (tangential / PINWHEEL_TANGENTIAL_STD).square()
        normal = (-0.5 * exponent).exp() / (2 * math.pi * PINWHEEL_RADIAL_STD * PINWHEEL_TANGENTIAL_STD)
        arms = integer.remainder(n_arms).long()
        density.index_put_((start + which, arms), normal / determinant / PINWHEEL_SCALE**2, accumulate=True)
    return density.log()


def _pinwheel_level(psi: Tensor, rho: Tensor, phi: Tensor) -> Tensor:
    """How many arms' spacings the angle of the preimage at psi lies beyond phi."""
    return (psi - PINWHEEL_RATE * (rho * psi.cos()).exp() - phi) * (MODES["pinwheel"] / (2 * math.pi))
