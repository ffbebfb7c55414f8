"""Latent families against torch.distributions, finite differences and exact samples."""

import pytest
import torch
from torch.distributions import Independent, Normal, kl_divergence

from svebm_ext.errors import ConfigError
from svebm_ext.latents.categorical import CategoricalPosterior
from svebm_ext.latents.conditional import ConditionalEnergyLatent
from svebm_ext.latents.deterministic import DeterministicLatent
from svebm_ext.latents.energy import EnergyLatent, EnergyPosterior
from svebm_ext.latents.gaussian import GaussianLatent, GaussianPosterior
from svebm_ext.latents.mixture import MixtureLatent, MixturePosterior
from svebm_ext.latents.semi import SemiPosterior
from svebm_ext.prior.conditional import sample_prior
from svebm_ext.randomness import Draw


def posterior(B=5, D=3):
    torch.manual_seed(0)
    return GaussianPosterior(torch.randn(B, D), torch.randn(B, D))


def as_distribution(found):
    return Independent(Normal(found.mean, (0.5 * found.log_variance).exp()), 1)


def test_gaussian_densities_and_divergence_equal_torch_distributions():
    latent, found, z = GaussianLatent(4, 3), posterior(), torch.randn(7, 5, 3)
    q = as_distribution(found)
    p = Independent(Normal(torch.zeros(5, 3), 1.0), 1)
    torch.testing.assert_close(found.log_prob(z), q.log_prob(z))
    torch.testing.assert_close(latent.log_prior(z), p.log_prob(z))
    torch.testing.assert_close(found.terms(z[0])["kl"].sum(-1), kl_divergence(q, p))


def test_widened_posteriors_are_those_with_larger_deviations():
    found, z = posterior(), torch.randn(7, 5, 3)
    wide = found.widened(1.4)
    expected = Independent(Normal(found.mean, 1.4 * (0.5 * found.log_variance).exp()), 1)
    torch.testing.assert_close(wide.log_prob(z), expected.log_prob(z))
    torch.testing.assert_close(wide.deviations, 1.4 * found.deviations)
    codes = torch.rand(5, 3, 2).log_softmax(-1)
    mixture = MixturePosterior(found, codes, MixtureLatent(4, 3, 2, 3).prior).widened(1.4)
    torch.testing.assert_close(mixture.log_prob(z), expected.log_prob(z))
    assert mixture.log_categories is codes
    semi = SemiPosterior(found, CategoricalPosterior(codes[:, :1])).widened(1.4)
    assert torch.equal(semi.vector.log_variance, wide.log_variance)
    assert torch.equal(semi.deviations, torch.cat((wide.deviations, torch.zeros(5, 2)), -1))  # codes have none


def test_samples_of_the_posterior_have_its_moments():
    one = GaussianPosterior(torch.tensor([[1.0, -2.0]]), torch.tensor([[0.6, -1.2]]))
    n = 40_000
    many = GaussianPosterior(one.mean.expand(n, 2), one.log_variance.expand(n, 2))
    z = many.rsample(Draw(3, 4), torch.arange(n))
    std = (0.5 * one.log_variance).exp()[0]
    assert ((z.mean(0) - one.mean[0]).abs() < 5 * std / n**0.5).all()
    assert ((z.std(0) / std - 1).abs() < 5 / (2 * n) ** 0.5).all()


def test_sample_depends_on_the_sentence_and_the_step():
    found = posterior()
    ids = torch.tensor([10, 3, 7, 99, 5])
    z = found.rsample(Draw(1, 6), ids)
    swapped = GaussianPosterior(found.mean.flip(0), found.log_variance.flip(0))
    torch.testing.assert_close(swapped.rsample(Draw(1, 6), ids.flip(0)).flip(0), z)
    assert not torch.allclose(found.rsample(Draw(1, 7), ids), z)


def energy_latent(K=4, D=2):
    torch.manual_seed(1)
    latent = EnergyLatent(4, D, K, hidden=(16,))
    with torch.no_grad():
        for weight, bias in latent.prior.layers():
            weight.mul_(2.0)
            bias.normal_()
    return latent


def test_energy_terms_are_the_equations():
    latent, found = energy_latent(D=3), posterior()
    z = torch.randn(5, 3)
    energy = EnergyPosterior(*found.moments, latent.prior)
    terms, logits = energy.terms(z), latent.prior.logits(z)
    assert energy.reference_terms(z).keys() == {"kl"} and torch.equal(terms["kl"], found.terms(z)["kl"])
    at_mean = latent.prior.logits(found.mean).log_softmax(-1)[:, None]
    torch.testing.assert_close(energy.log_categories, at_mean)
    torch.testing.assert_close(terms["energy_positive"], logits.exp().sum(-1).log())
    torch.testing.assert_close(terms["log_symbol"].exp(), logits.exp() / logits.exp().sum(-1, keepdim=True))
    torch.testing.assert_close(latent.log_prior(z) - latent.prior.energy(z), GaussianLatent(4, 3).log_prior(z))


def test_samples_of_the_family_are_those_of_its_prior():
    latent = energy_latent()
    for symbol in (None, 2):
        expected = sample_prior(latent.prior, 5, seed=3, step_size=latent.step_size, symbol=symbol)
        assert torch.equal(latent.sample_prior(5, seed=3, symbol=symbol), expected)


def test_what_a_family_does_not_have_is_refused():
    with pytest.raises(ConfigError, match="no symbols"):
        GaussianLatent(4, 2).sample_prior(3, seed=0, symbol=1)
    with pytest.raises(ConfigError, match=r"outside 0 \.\. 3"):
        energy_latent().sample_prior(3, seed=0, symbol=4)
    with pytest.raises(ConfigError, match="no prior"):
        DeterministicLatent(4, 2).sample_prior(3, seed=0)


def test_the_posterior_of_a_prior_given_a_context_carries_it():
    torch.manual_seed(3)
    latent = ConditionalEnergyLatent(5, 3, 4, context_dim=2, hidden=(16,))
    features, z = torch.randn(6, 5, requires_grad=True), torch.randn(6, 3)
    posterior = latent.posterior(features)
    assert torch.equal(posterior.context, features[:, 3:]) and not posterior.context.requires_grad
    expected = latent.prior.logits(z, latent.prior.context_shift(features[:, 3:].detach()))
    torch.testing.assert_close(posterior.terms(z)["energy_positive"], expected.logsumexp(-1))
    # With another context, another energy; without gradient, the same numbers.
    other = EnergyPosterior(*posterior.moments, latent.prior, posterior.context + 1.0)
    assert not torch.allclose(other.logits(z), expected)
    detached = posterior.detached()
    assert posterior.mean.requires_grad and not detached.mean.requires_grad and not detached.log_variance.requires_grad
    assert torch.equal(detached.logits(z), posterior.logits(z))


@pytest.mark.parametrize("symbolless", [DeterministicLatent(4, 2), GaussianLatent(4, 2)])
def test_a_posterior_without_symbols_has_none(symbolless):
    found = symbolless.posterior(torch.randn(3, 4))
    assert found.log_categories is None and found.context is None
