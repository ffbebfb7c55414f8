"""Annealed importance sampling of log p(x), on a linear-Gaussian model whose likelihood is known."""

import math

import pytest
import torch
from linear_gaussian import LinearGaussian, P

from svebm_ext.errors import ConfigError
from svebm_ext.latents.categorical import CategoricalLatent
from svebm_ext.models.annealed_likelihood import annealed_likelihood, find_step_sizes
from svebm_ext.models.importance import importance_samples
from svebm_ext.models.likelihood import importance_weighted_log_likelihood


def displaced(deviation, shift, **dimensions):
    """q(z|x) beside p(z|x): `shift` of its standard deviations away in every dimension, and narrower."""
    model = LinearGaussian(deviation, **dimensions)
    with torch.no_grad():
        model.latent.to_mean.bias += shift * torch.exp(0.5 * model.latent.to_log_variance.bias) / deviation
    return model


def exact(model, batch):
    return torch.from_numpy(model.density.logpdf(batch.x.double().numpy()))


def test_it_is_near_where_importance_sampling_is_far_off():
    model = displaced(0.6, 0.5)
    test = model.examples(50, 4)
    truth = float(exact(model, test).mean())
    step_sizes = find_step_sizes(model, test, 200, seed=1)
    found = annealed_likelihood(model, test, step_sizes=step_sizes, n_chains=8, seed=1)
    assert float(found.log_likelihood().mean()) == pytest.approx(truth, abs=0.15)
    # as many evaluations of the decoder
    assert model.estimate(test, 1.0, n_samples=8 * 600) < truth - 4.0
    assert 0.5 < found.acceptance < 0.8


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_weights_are_right_on_average_at_any_step_size(factor):
    """Too long steps, mostly refused, and too short ones cost precision, not correctness."""
    model = displaced(1.0, 0.7, D=6, P=8)
    test = model.examples(20, 4)
    step_sizes = [factor * size for size in find_step_sizes(model, test, 8, n_leapfrog=1, seed=1)]
    found = annealed_likelihood(model, test, step_sizes=step_sizes, n_leapfrog=1, n_chains=4000, seed=2)
    ratios = torch.exp(found.log_weights - exact(model, test))
    assert 0.05 < found.acceptance < 0.99
    error = ratios.std(0) / math.sqrt(4000)
    assert float(error.max()) < 0.2
    assert float(((ratios.mean(0) - 1).abs() / error).max()) < 5.0


def test_one_temperature_is_importance_sampling():
    model = displaced(0.8, 0.1)
    test = model.examples(5, 4)
    drawn = importance_samples(model, test, 8, seed=3, proposal_scale=1.4)
    expected = importance_weighted_log_likelihood(*drawn[:3], 2.5)
    found = annealed_likelihood(model, test, step_sizes=[], n_chains=8, proposal_scale=1.4, seed=3)
    torch.testing.assert_close(found.log_likelihood(2.5), expected, rtol=0, atol=1e-4)
    assert math.isnan(found.acceptance)


def test_an_example_has_the_same_estimate_in_any_batch():
    model = displaced(0.8, 0.1)
    test = model.examples(6, 4)
    part = type(test)(test.points[2:4], test.labels[2:4], test.indices[2:4], test.x[2:4])
    whole = annealed_likelihood(model, test, step_sizes=[0.2] * 5, seed=3).log_weights
    torch.testing.assert_close(
        annealed_likelihood(model, part, step_sizes=[0.2] * 5, seed=3).log_weights, whole[:, 2:4], rtol=0, atol=1e-3
    )


def test_parameters_are_left_as_they_were():
    model = displaced(0.8, 0.1)
    model.latent.to_mean.bias.requires_grad_(False)
    before = [parameter.requires_grad for parameter in model.parameters()]
    annealed_likelihood(model, model.examples(2, 4), step_sizes=[0.2])
    assert [parameter.requires_grad for parameter in model.parameters()] == before
    assert all(parameter.grad is None for parameter in model.parameters())


def test_what_cannot_be_annealed_is_refused():
    model = LinearGaussian(0.5)
    batch = model.examples(3, 0)
    with pytest.raises(ConfigError, match="n_chains is 0"):
        annealed_likelihood(model, batch, step_sizes=[0.1], n_chains=0)
    with pytest.raises(ConfigError, match="n_temperatures is 0"):
        find_step_sizes(model, batch, 0)
    model.latent = CategoricalLatent(P, 2, 3)
    with pytest.raises(ConfigError, match="no Gaussian vector"):
        annealed_likelihood(model, batch, step_sizes=[])
