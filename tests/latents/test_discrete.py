"""Discrete and mixture families against enumeration, torch.distributions and Monte Carlo."""

import itertools
import math

import pytest
import torch
from torch.distributions import (
    Categorical,
    Independent,
    MixtureSameFamily,
    Normal,
    OneHotCategorical,
    RelaxedOneHotCategorical,
    kl_divergence,
)  # fmt: skip

from svebm_ext.config import ObjectiveConfig
from svebm_ext.errors import ConfigError
from svebm_ext.latents.categorical import CategoricalLatent, CategoricalPosterior
from svebm_ext.latents.gaussian import GaussianLatent, GaussianPosterior
from svebm_ext.latents.mixture import MixtureLatent, MixturePosterior
from svebm_ext.latents.none import NoLatent
from svebm_ext.latents.semi import SemiLatent
from svebm_ext.objectives.categories import category_divergence
from svebm_ext.objectives.elbo import Averager, collect_terms, total_loss
from svebm_ext.randomness import Draw

B, N, K = 5, 3, 4


def log_categories(rows=B, dtype=torch.float32):
    return (2 * torch.randn(rows, N, K, generator=torch.Generator().manual_seed(0))).to(dtype).log_softmax(-1)


def gaussian(rows=B, dim=6):
    generator = torch.Generator().manual_seed(1)
    return GaussianPosterior(torch.randn(rows, dim, generator=generator), torch.randn(rows, dim, generator=generator))


def mixture():
    torch.manual_seed(2)
    latent = MixtureLatent(4, N, K, 2 * N)
    with torch.no_grad():
        latent.prior.mean.mul_(2.0)
        latent.prior.log_variance.normal_()
    return latent


def as_mixture(latent, variable, dtype=torch.float32):
    mean, log_variance = (p.detach()[variable].to(dtype) for p in (latent.prior.mean, latent.prior.log_variance))
    components = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    return MixtureSameFamily(Categorical(logits=torch.zeros(K, dtype=dtype)), components)


def one_hot(codes):
    return torch.nn.functional.one_hot(torch.as_tensor(codes), K).flatten(-2).float()


def test_categorical_densities_equal_torch_distributions():
    latent, posterior = CategoricalLatent(7, N, K), log_categories()
    z = one_hot(torch.randint(K, (6, B, N), generator=torch.Generator().manual_seed(3)))
    expected = Independent(OneHotCategorical(logits=posterior), 1).log_prob(z.view(6, B, N, K))
    torch.testing.assert_close(CategoricalPosterior(posterior).log_prob(z), expected)
    torch.testing.assert_close(latent.log_prior(z), torch.full((6, B), -N * math.log(K)))


def test_all_codes_together_have_probability_one():
    latent, posterior = CategoricalLatent(7, N, K), log_categories(1)
    z = one_hot(list(itertools.product(range(K), repeat=N)))[:, None]
    assert float(CategoricalPosterior(posterior).log_prob(z).exp().sum()) == pytest.approx(1.0, abs=1e-5)
    assert float(latent.log_prior(z).exp().sum()) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("relaxed", [False, True])
def test_category_frequencies_are_those_of_the_posterior(relaxed):
    n, posterior = 40_000, log_categories(1)
    if relaxed:  # Gumbel-max in evaluation; in training the largest share is distributed like it
        many = CategoricalPosterior(posterior.expand(n, N, K), temperature=1.0)
        z = many.rsample(Draw(4, 2), torch.arange(n)).view(n, N, K)
        assert not ((z == 0) | (z == 1)).all()
        torch.testing.assert_close(z.sum(-1), torch.ones(n, N))
        codes = z.argmax(-1)
    else:
        one = CategoricalPosterior(posterior)
        z = one.importance_samples(n, seed=4, ids=torch.tensor([7]))[:, 0].view(n, N, K)
        assert ((z == 0) | (z == 1)).all()
        codes = z.argmax(-1)
    for variable in range(N):
        expected = posterior[0, variable].exp().double()
        found = torch.bincount(codes[:, variable], minlength=K) / n
        assert ((found - expected).abs() < 5 * (expected * (1 - expected) / n).sqrt() + 1e-4).all()
    joint = torch.bincount(codes[:, 0] * K + codes[:, 1], minlength=K * K).view(K, K) / n
    independent = torch.outer(posterior[0, 0].exp(), posterior[0, 1].exp())
    assert (joint - independent).abs().max() < 5 * 0.5 / n**0.5


def test_relaxed_samples_are_distributed_like_torchs_at_the_temperature():
    n, posterior = 40_000, log_categories(1)
    many = CategoricalPosterior(posterior.expand(n, N, K), temperature=0.7)
    z = many.rsample(Draw(5, 0), torch.arange(n)).view(n, N, K)[:, 1]
    torch.manual_seed(6)
    reference = RelaxedOneHotCategorical(torch.tensor(0.7), logits=posterior[0, 1]).sample((n,))
    for power in (1, 2):
        found, expected = z.pow(power), reference.pow(power)
        error = (found.var(0) / n + expected.var(0) / n).sqrt()
        assert ((found.mean(0) - expected.mean(0)).abs() < 5 * error).all()


def test_evaluation_uses_exact_codes_and_their_mode():
    latent, features = CategoricalLatent(7, N, K, temperature=0.7), torch.randn(B, 7)
    assert latent.train().posterior(features).temperature == 0.7
    posterior = latent.eval().posterior(features)
    z = posterior.rsample(Draw(0, 0), torch.arange(B))
    assert ((z == 0) | (z == 1)).all() and (z.sum(-1) == N).all()
    assert torch.equal(posterior.mean.view(B, N, K).argmax(-1), posterior.log_categories.argmax(-1))


def test_certain_categories_have_finite_densities():
    posterior = CategoricalPosterior(torch.log(torch.eye(K).repeat(N, 1, 1)[None, :, 0]))
    z = posterior.importance_samples(9, seed=0, ids=torch.tensor([0]))
    assert torch.equal(z, one_hot([0] * N).expand(9, 1, N * K))
    assert float(posterior.log_prob(z).abs().max()) == 0.0


def test_divergence_of_categories_is_marginal_divergence_plus_information():
    posterior = log_categories(dtype=torch.float64)
    q = Categorical(logits=posterior)
    whole = kl_divergence(q, Categorical(logits=torch.zeros_like(posterior))).sum(-1).mean()
    marginal = Categorical(probs=posterior.exp().mean(0))
    of_marginal = kl_divergence(marginal, Categorical(logits=torch.zeros(N, K, dtype=torch.float64))).sum()
    found, information = category_divergence(posterior)
    torch.testing.assert_close(found, of_marginal)
    torch.testing.assert_close(found + information, whole)


@pytest.mark.parametrize("information", [True, False])
def test_loss_weighs_the_parts_of_the_divergence(information):
    config = ObjectiveConfig(category_information=information, dispersion=0.2)
    posterior = MixturePosterior(gaussian(), log_categories(), mixture().prior)
    terms, nll = posterior.terms(posterior.mean), torch.rand(B)
    found = collect_terms(nll, terms, config, Averager(B))
    marginal, mutual = category_divergence(posterior.log_categories)
    parts = terms["kl"].sum(-1).mean() + 0.2 * terms["dispersion"].mean() + marginal + (mutual if information else 0.0)
    torch.testing.assert_close(total_loss(found, 0.5, config), nll.mean() + 0.5 * parts)
    torch.testing.assert_close(total_loss(found, 0.0, config), nll.mean())


def test_shares_of_processes_add_up_with_categories():
    config, posterior, nll = ObjectiveConfig(), log_categories(6), torch.rand(6)
    whole = total_loss(collect_terms(nll, {"log_categories": posterior}, config, Averager(6)), 0.7, config)
    probabilities, entropies = posterior.exp().sum(0), -(posterior.exp() * posterior).sum()

    def summed(x):  # what the other process adds is known here: the sums over all rows
        return probabilities if x.ndim == 2 else entropies

    parts = [
        total_loss(
            collect_terms(nll[r::2], {"log_categories": posterior[r::2]}, config, Averager(6, summed, 2)),
            0.7,
            config,
            2,
        )
        for r in range(2)
    ]
    torch.testing.assert_close(sum(parts), whole)


def test_mixture_divergence_equals_the_expected_divergence_to_the_components():
    latent = mixture()
    posterior = MixturePosterior(gaussian(), log_categories(), latent.prior)
    terms = posterior.terms(posterior.mean)
    mean, log_variance = (part.view(B, N, 1, 2) for part in posterior.vector.moments)
    q = Independent(Normal(mean, (0.5 * log_variance).exp()), 1)
    p = Independent(Normal(latent.prior.mean, (0.5 * latent.prior.log_variance).exp()), 1)
    expected = (posterior.log_categories.exp() * kl_divergence(q.expand((B, N, K)), p.expand((B, N, K)))).sum((-2, -1))
    torch.testing.assert_close(terms["kl"].sum(-1) + terms["dispersion"], expected, rtol=1e-4, atol=1e-4)
    assert (terms["dispersion"] > 0).all()


def test_a_single_certain_component_has_no_dispersion():
    latent = mixture()
    certain = torch.log(torch.eye(K)[[1, 1, 1]])[None]
    terms = MixturePosterior(gaussian(1), certain.clamp_min(-1e4), latent.prior).terms(torch.zeros(1, 6))
    assert float(terms["dispersion"].detach().abs()) < 1e-5


def test_mixture_density_equals_torch_distributions():
    latent = mixture()
    z = torch.randn(4, B, 2 * N, generator=torch.Generator().manual_seed(8))
    expected = sum(as_mixture(latent, v).log_prob(z.unflatten(-1, (N, 2))[..., v, :]) for v in range(N))
    torch.testing.assert_close(latent.log_prior(z), expected)


@torch.no_grad()
def test_mixture_divergence_bounds_that_to_the_summed_out_prior():
    """KL(q(z|x) || p(z)), components summed out, by Monte Carlo."""
    latent = mixture()
    posterior = MixturePosterior(gaussian(1), log_categories(1), latent.prior)
    z = posterior.importance_samples(50_000, seed=0, ids=torch.tensor([0]))
    difference = posterior.log_prob(z) - latent.log_prior(z)
    terms = posterior.terms(z[0])
    marginal, information = category_divergence(posterior.log_categories)
    bound = terms["kl"].sum() + terms["dispersion"].sum() + marginal + information
    error = float(difference.std()) / 50_000**0.5
    assert float(difference.mean()) < float(bound) + 5 * error


def test_prior_samples_have_the_moments_of_the_mixture():
    latent, n = mixture(), 60_000
    with torch.no_grad():
        z = latent.sample_prior(n, seed=3).unflatten(-1, (N, 2))
    for variable in range(N):
        p = as_mixture(latent, variable)
        error = (p.variance / n).sqrt()
        assert ((z[:, variable].mean(0) - p.mean).abs() < 5 * error).all()
        assert ((z[:, variable].var(0) / p.variance - 1).abs() < 0.05).all()


def test_prior_codes_are_uniform():
    codes = CategoricalLatent(7, N, K).sample_prior(20_000, seed=1).view(-1, N, K)
    assert ((codes.mean(0) - 1 / K).abs() < 5 * (0.25 * 0.75 / 20_000) ** 0.5).all()


def test_semi_is_the_product_of_its_parts():
    torch.manual_seed(9)
    latent = SemiLatent(7, 6, N, K).eval()
    features = torch.randn(B, 7)
    posterior = latent.posterior(features)
    z = posterior.importance_samples(3, seed=2, ids=torch.arange(B))
    assert z.shape == (3, B, 6 + N * K) == (3, B, latent.latent_dim)
    q = Independent(Normal(posterior.vector.mean, (0.5 * posterior.vector.log_variance).exp()), 1)
    c = Independent(OneHotCategorical(logits=posterior.log_categories), 1)
    expected = q.log_prob(z[..., :6]) + c.log_prob(z[..., 6:].unflatten(-1, (N, K)))
    torch.testing.assert_close(posterior.log_prob(z), expected)
    reference = GaussianLatent(7, 6).log_prior(z[..., :6]) - N * math.log(K)
    torch.testing.assert_close(latent.log_prior(z), reference)
    prior = latent.sample_prior(11, seed=0)
    assert torch.equal(prior[:, 6:].sum(-1), torch.full((11,), float(N)))


@pytest.mark.parametrize(
    "latent", [CategoricalLatent(7, N, K), SemiLatent(7, 6, N, K), MixtureLatent(7, N, K, 6), NoLatent()]
)
def test_a_symbol_cannot_be_chosen(latent):
    with pytest.raises(ConfigError, match="symbol"):
        latent.sample_prior(3, seed=0, symbol=1)


def test_gradients_of_the_terms_are_those_of_finite_differences():
    latent = mixture().double()

    def divergence(mean, log_variance, logits, prior_mean, prior_log_variance):
        latent.prior.mean, latent.prior.log_variance = prior_mean, prior_log_variance
        vector = GaussianPosterior(mean, log_variance)
        terms = MixturePosterior(vector, logits.log_softmax(-1), latent.prior).terms(mean)
        return terms["kl"].sum(), terms["dispersion"].sum()

    del latent.prior.mean, latent.prior.log_variance
    inputs = [torch.randn(2, 6), torch.randn(2, 6), torch.randn(2, N, K), torch.randn(N, K, 2), torch.randn(N, K, 2)]
    assert torch.autograd.gradcheck(divergence, [x.double().requires_grad_() for x in inputs])


def test_the_component_of_a_single_mixture_can_be_chosen():
    torch.manual_seed(5)
    latent = MixtureLatent(4, 1, 3, 2)
    assert latent.n_categories == 3 and mixture().n_categories is None
    with torch.no_grad():
        latent.prior.log_variance.normal_()
    for symbol in range(3):
        z = latent.sample_prior(20_000, seed=6, symbol=symbol)
        torch.testing.assert_close(z.mean(0), latent.prior.mean[0, symbol].detach(), atol=0.05, rtol=0)
        torch.testing.assert_close(z.var(0).log(), latent.prior.log_variance[0, symbol].detach(), atol=0.05, rtol=0)
    for symbol in (-1, 3):
        with pytest.raises(ConfigError, match=r"outside 0 \.\. 2"):
            latent.sample_prior(3, seed=0, symbol=symbol)
