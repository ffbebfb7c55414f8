"""Diagnostics on processes whose answers are known."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm, rankdata

from svebm_ext.errors import ConfigError
from svebm_ext.prior.diagnostics import (
    effective_sample_size,
    importance_effective_sample_size,
    mean_movement,
    split_r_hat,
)


def normal(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def autoregressive(correlation, n_chains=4, n=4000, seed=0):
    noise = normal(n_chains, n, seed=seed) * math.sqrt(1 - correlation**2)
    x = [normal(n_chains, seed=seed + 1)]
    for t in range(1, n):
        x.append(correlation * x[-1] + noise[:, t])
    return torch.stack(x, 1)


def numpy_r_hat(x):
    """Vehtari et al. 2021 written with scipy's ranks."""

    def plain(c):
        n = c.shape[1]
        within, between = c.var(1, ddof=1).mean(), n * c.mean(1).var(ddof=1)
        return math.sqrt(((n - 1) / n * within + between / n) / within)

    def scores(c):
        return norm.ppf((rankdata(c).reshape(c.shape) - 3 / 8) / (c.size + 1 / 4))

    half = x.shape[1] // 2
    halves = np.concatenate([x[:, :half], x[:, -half:]])
    ordered = np.sort(halves.ravel())
    median = ordered[(len(ordered) - 1) // 2]
    return max(plain(scores(halves)), plain(scores(np.abs(halves - median))))


@settings(max_examples=30)
@given(n_chains=st.integers(1, 4), n=st.integers(4, 21), seed=st.integers(0, 100), ties=st.booleans())
def test_r_hat_is_the_published_formula(n_chains, n, seed, ties):
    x = normal(n_chains, n, seed=seed)
    if ties:
        x = (2 * x).round()
    expected = numpy_r_hat(x.numpy())
    assert split_r_hat(x) == pytest.approx(expected, rel=1e-9)


def test_r_hat_tells_agreement_from_disagreement():
    agreeing = normal(4, 2000)
    assert split_r_hat(agreeing) < 1.005
    assert split_r_hat(agreeing, rank_normalised=False) < 1.005
    shifted = agreeing + torch.tensor([[0.0], [0.0], [0.0], [1.0]])
    # Means 0, 0, 0, 1, each twice: variance of the eight is 3/14 beside 1 within.
    assert split_r_hat(shifted, rank_normalised=False) == pytest.approx(math.sqrt(1 + 3 / 14), abs=0.02)
    wider = agreeing * torch.tensor([[1.0], [1.0], [1.0], [4.0]])
    assert split_r_hat(wider, rank_normalised=False) < 1.02 < 1.1 < split_r_hat(wider)
    drifting = agreeing + torch.linspace(0, 3, 2000)
    assert split_r_hat(drifting) > 1.2


def test_r_hat_of_constant_and_non_finite_draws():
    assert split_r_hat(torch.ones(2, 10)) == 1.0
    assert math.isnan(split_r_hat(torch.full((2, 10), float("nan"))))
    assert split_r_hat(torch.tensor([[0.0], [1.0]]).expand(2, 10), rank_normalised=False) == math.inf


@pytest.mark.parametrize("correlation", [0.0, 0.5, 0.9, -0.4])
def test_effective_sample_size_of_an_autoregressive_process(correlation):
    x = autoregressive(correlation)
    expected = x.numel() * (1 - correlation) / (1 + correlation)
    for rank_normalised in (True, False):
        assert effective_sample_size(x, rank_normalised=rank_normalised) == pytest.approx(expected, rel=0.15)


def test_effective_sample_size_falls_when_chains_disagree():
    x = normal(4, 1000)
    stuck = x + 3 * torch.tensor([[0.0], [1.0], [2.0], [3.0]])
    assert effective_sample_size(stuck) < 20 < 3000 < effective_sample_size(x)


@settings(max_examples=20)
@given(n=st.integers(1, 30), shift=st.floats(-1000, 1000))
def test_importance_effective_sample_size(n, shift):
    log_weights = 2 * normal(n)
    weights = np.exp(log_weights.numpy())
    expected = weights.sum() ** 2 / (weights**2).sum()
    assert importance_effective_sample_size(log_weights + shift) == pytest.approx(expected, rel=1e-9)
    assert importance_effective_sample_size(torch.full((n,), shift)) == pytest.approx(n, rel=1e-4)


def test_mean_movement():
    before = torch.zeros(2, 2)
    after = torch.tensor([[3.0, 4.0], [0.0, 1.0]])
    assert float(mean_movement(before, after)) == 3.0


def test_too_few_draws_are_named():
    with pytest.raises(ConfigError, match="3 draws"):
        split_r_hat(torch.zeros(2, 3))
    with pytest.raises(ConfigError, match="7 draws"):
        effective_sample_size(torch.zeros(2, 7))
