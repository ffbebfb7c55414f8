"""Width of the likelihood's samples, on a linear-Gaussian model whose likelihood is known."""

import math

import pytest
from linear_gaussian import LinearGaussian, P

from svebm_ext.errors import ConfigError
from svebm_ext.latents.categorical import CategoricalLatent
from svebm_ext.models.importance import importance_samples
from svebm_ext.models.proposal import PROPOSAL_SCALES, tightest_proposal_scale


@pytest.mark.parametrize("factor", PROPOSAL_SCALES)
def test_a_narrow_posterior_is_widened_towards_the_true_one(factor):
    """q narrower than p(z|x) by a factor: with that factor log p(x) is exact, and what is chosen is near in effect."""
    model = LinearGaussian(1 / factor)
    test = model.examples(50, 4)
    exact = float(model.density.logpdf(test.x.double().numpy()).mean())
    assert model.estimate(test, factor) == pytest.approx(exact, abs=1e-3)
    chosen = tightest_proposal_scale(model, [model.examples(20, 2), model.examples(12, 3)], 200)
    assert abs(PROPOSAL_SCALES.index(chosen) - PROPOSAL_SCALES.index(factor)) <= 1
    assert model.estimate(test, chosen) == pytest.approx(exact, abs=0.6)


def test_samples_of_a_narrow_posterior_itself_fall_short():
    """At the narrowness that a weight w of 1/2 teaches: the estimate is nats too low, from any q below the truth."""
    model = LinearGaussian(math.sqrt(0.5))
    test = model.examples(50, 4)
    exact = float(model.density.logpdf(test.x.double().numpy()).mean())
    own = model.estimate(test, 1.0)
    assert own < exact - 1.0
    assert all(own < model.estimate(test, scale) < exact + 0.25 for scale in PROPOSAL_SCALES[1:])


def test_without_vector_or_examples_nothing_is_widened():
    model = LinearGaussian(0.5)
    assert tightest_proposal_scale(model, [], 10) == 1.0
    model.latent = CategoricalLatent(P, 2, 3)
    batch = model.examples(3, 0)
    assert tightest_proposal_scale(model, [batch], 10) == 1.0
    with pytest.raises(ConfigError, match=r"proposal_scale: 1\.2"):
        importance_samples(model, batch, 2, proposal_scale=1.2)
