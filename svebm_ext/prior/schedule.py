"""Temperatures and step sizes of an annealing run, found by a pilot run."""

import math
from bisect import bisect_left
from dataclasses import dataclass

import torch
from torch import Tensor

from svebm_ext.prior.population import Population
from svebm_ext.prior.step_sizes import TARGET_ACCEPTANCE

# Standard deviation of the log weights gained between two temperatures of the pilot.
_PILOT_SPACING = 0.3
_PILOT_STEPS = 4
_MAX_PILOT_TEMPERATURES = 3000
_MAX_JUMP = 0.05


@dataclass(frozen=True)
class Schedule:
    """Temperature factors from 0 to 1, and the step size as a function of the factor."""

    tempers: list[float]
    knots: list[float]
    log_step_sizes: list[float]

    def step_size(self, temper: float) -> float:
        """Return the step size at a temperature factor, interpolated between the pilot's."""
        return math.exp(_interpolate(temper, self.knots, self.log_step_sizes))


def find_schedule(pilot: Population, n_temperatures: int) -> Schedule:
    """Carry a pilot population from t = 0 to 1 and place `n_temperatures` steps where they are needed.

    Between neighbouring temperatures a log weight gains (t' - t) F(z), of variance (t' - t)^2 Var_t F. The sum of these
    variances is least where all are equal: temperatures are spaced evenly in the length integral sqrt(Var_t F) dt. The
    step size follows the acceptance of the pilot's moves at each temperature.

    Source: Gelman & Meng, Statistical Science 13 (1998) 163-185 (the length and its optimal path).
    """
    log_step_size = 0.0
    for _ in range(10):
        log_step_size = _adapted(log_step_size, pilot.move([0.0] * _PILOT_STEPS, [math.exp(log_step_size)] * 4))
    knots, speeds, log_step_sizes = [0.0], [_speed(pilot)], [log_step_size]
    while knots[-1] < 1.0:
        jump = min(_PILOT_SPACING / speeds[-1], _MAX_JUMP)
        jump = max(jump, 1.0 / _MAX_PILOT_TEMPERATURES)
        temper = min(1.0, knots[-1] + jump)
        pilot.move([temper], [math.exp(log_step_size)])
        pilot.resample()
        acceptance = pilot.move([temper] * _PILOT_STEPS, [math.exp(log_step_size)] * _PILOT_STEPS)
        log_step_size = _adapted(log_step_size, acceptance)
        knots.append(temper)
        speeds.append(_speed(pilot))
        log_step_sizes.append(log_step_size)
    return Schedule(_evenly_spaced(knots, speeds, n_temperatures), knots, log_step_sizes)


def _adapted(log_step_size: float, acceptance: Tensor) -> float:
    # s = 1 forgets the state of N(0, I) in one step; nothing is gained beyond it.
    return min(0.0, log_step_size + float(acceptance.mean()) - TARGET_ACCEPTANCE)


def _speed(population: Population) -> float:
    """sqrt(Var_t F) over the weighted population."""
    weights = torch.softmax(population.log_weights.flatten(), dim=0)
    energy = population.energy.energy(population.z).double()
    mean = (weights * energy).sum()
    return max(math.sqrt(float((weights * (energy - mean).square()).sum())), 1e-6)


def _evenly_spaced(knots: list[float], speeds: list[float], n: int) -> list[float]:
    """Return n + 1 factors from 0 to 1, evenly spaced in the integral of the speed."""
    lengths = [0.0]
    for index in range(1, len(knots)):
        mean_speed = 0.5 * (speeds[index] + speeds[index - 1])
        lengths.append(lengths[-1] + (knots[index] - knots[index - 1]) * mean_speed)
    # A share of even spacing in t guards against a speed that the pilot has underestimated.
    guarded = [length + 0.05 * lengths[-1] * knot for length, knot in zip(lengths, knots, strict=True)]
    inner = [_interpolate(guarded[-1] * index / n, guarded, knots) for index in range(1, n)]
    return [0.0, *inner, 1.0]


def _interpolate(x: float, xs: list[float], ys: list[float]) -> float:
    index = min(max(bisect_left(xs, x), 1), len(xs) - 1)
    share = (x - xs[index - 1]) / (xs[index] - xs[index - 1])
    return ys[index - 1] + share * (ys[index] - ys[index - 1])
