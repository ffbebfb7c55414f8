"""The second stage of a run, in which the prior alone learns: against closed forms, and as a part of runs."""

import functools
import math

import pytest
import torch
from tiny_runs import tiny_config, write_corpus

from svebm_ext.config import validate
from svebm_ext.errors import ConfigError
from svebm_ext.latents.gaussian import GaussianPosterior
from svebm_ext.models.pretrained import read_tensors
from svebm_ext.models.svebm import SVEBM
from svebm_ext.objectives.mutual_information import mutual_information
from svebm_ext.training import prior_fit, run
from svebm_ext.training.checkpoint import load_checkpoint, section
from svebm_ext.training.prior_fit import fit_prior
from svebm_ext.training.run import BEST, FITTED, train

MEAN, DEVIATION = torch.tensor([1.0, -0.5]), 0.5


def log_z(prior):
    """Of exp(F(z)) N(z; 0, I) in the plane, by a sum over a grid."""
    axis = torch.linspace(-7.0, 7.0, 281, dtype=torch.float64)
    z = torch.cartesian_prod(axis, axis)
    with torch.no_grad():
        log_density = prior.energy(z.float()).double() - 0.5 * z.square().sum(-1) - math.log(2 * math.pi)
    return float(log_density.logsumexp(0)) + 2 * math.log(float(axis[1] - axis[0]))


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Networks with an energy in the plane, whose q(z|x) is N(MEAN, DEVIATION^2) or that with -MEAN, as often; the
    second stage for them."""
    config = tiny_config(write_corpus(tmp_path), model={"latent_dim": 2, "n_categories": 4, "prior_hidden": (32, 32)})
    torch.manual_seed(0)
    corpus = run.load_configured(config.data)
    model = SVEBM(config, run.build_vocabulary(corpus, config)).networks

    def posteriors(*_):
        return GaussianPosterior(torch.stack([MEAN, -MEAN]), torch.full((2, 2), 2 * math.log(DEVIATION)))

    monkeypatch.setattr(prior_fit, "_posteriors", posteriors)
    feed = run.make_feed(corpus, run.build_vocabulary(corpus, config), config, run.Runtime.start("cpu"))
    return model, functools.partial(fit_prior, model, feed.train)


def sample(n=20_000):
    generator = torch.Generator().manual_seed(5)
    signs = torch.randint(0, 2, (n, 1), generator=generator) * 2 - 1
    return signs * MEAN + DEVIATION * torch.randn(n, 2, generator=generator)


def log_ratio(z):
    """log of the aggregate posterior over p0."""
    log_q = torch.stack([-0.5 * ((z - m) / DEVIATION).square().sum(-1) for m in (MEAN, -MEAN)]).logsumexp(0)
    return log_q - math.log(2.0) - 2 * math.log(DEVIATION) + 0.5 * z.square().sum(-1)


@pytest.mark.parametrize("information", [0.0, 0.5])
def test_the_prior_becomes_the_aggregate_posterior(stage, information):
    """E_q[F] - log Z rises to the divergence of the aggregate posterior from p0, beyond which it cannot go."""
    networks, fit = stage
    z, prior = sample(), networks.latent.prior
    most = float(log_ratio(z).mean())
    others = {name: p.clone() for name, p in networks.named_parameters() if not name.startswith("latent.prior")}

    def energy():
        return prior.energy(z).detach() - log_z(prior)

    before = float(energy().mean())
    lines = []
    fit(600, seed=0, information=information, say=lines.append)
    gain = float(energy().mean())
    assert before < 0.3 * most and most - 0.06 < gain < most + 0.01
    assert float((energy() - log_ratio(z)).std()) < 0.35  # not only on average
    found = float(mutual_information(prior.log_posterior_symbol(z).detach())[0])
    assert found > 0.6 if information else found < 0.5
    assert len(lines) == 5
    for name, parameter in networks.named_parameters():
        assert name not in others or torch.equal(parameter, others[name])


def guesses_of(signs):
    """Symbol 0 for sentences whose q(z|x) is at MEAN, 1 for the others."""
    return torch.nn.functional.one_hot(torch.tensor(signs), 4).float()


def test_the_start_is_the_mixture_and_its_symbols(stage, monkeypatch):
    """F is the log-ratio of the mixture that the aggregate posterior is, and p(y|z) tells its components apart."""
    networks, _ = stage
    posterior = prior_fit._posteriors()
    prior_fit.start_at_mixture(networks.latent, posterior, guesses_of([0, 1]), seed=0)
    z, prior = sample(), networks.latent.prior
    wrong = prior.energy(z).detach() - log_ratio(z)
    assert float(wrong.mean().abs()) < 0.2 and float(wrong.std()) < 0.6  # near; chains do the rest
    assert abs(log_z(prior)) < 0.2  # a normalised density over p0
    symbols = prior.log_posterior_symbol(z).detach().argmax(-1)
    at_mean = (z - MEAN).square().sum(-1) < (z + MEAN).square().sum(-1)
    assert float((symbols == torch.where(at_mean, 0, 1)).float().mean()) > 0.97


def test_a_flat_start_keeps_the_symbols_alone(stage):
    networks, _ = stage
    posterior = prior_fit._posteriors()
    prior_fit.start_at_mixture(networks.latent, posterior, guesses_of([0, 1]), seed=0, flat=True)
    z, prior = sample(), networks.latent.prior
    assert float(prior.energy(z).detach().abs().mean()) < 0.2 and abs(log_z(prior)) < 0.1
    symbols = prior.log_posterior_symbol(z).detach().argmax(-1)
    at_mean = (z - MEAN).square().sum(-1) < (z + MEAN).square().sum(-1)
    assert float((symbols == torch.where(at_mean, 0, 1)).float().mean()) > 0.95


def test_the_guided_stage_reaches_the_aggregate_posterior(stage, monkeypatch):
    networks, fit = stage
    monkeypatch.setattr(prior_fit, "encoded_rows", lambda *_: torch.arange(2))
    fit(300, seed=0, guesses=guesses_of([0, 1]), say=lambda _: None)
    z, prior = sample(), networks.latent.prior
    most = float(log_ratio(z).mean())
    gain = float((prior.energy(z).detach() - log_z(prior)).mean())
    assert most - 0.06 < gain < most + 0.01
    found = float(mutual_information(prior.log_posterior_symbol(z).detach())[0])
    assert found > 0.6  # of log 2


def test_steps_follow_their_acceptance():
    size = 0.1
    assert prior_fit.adapted_step_size(size, 0.574) == pytest.approx(size)
    assert prior_fit.adapted_step_size(size, 1.0) == pytest.approx(size * math.exp(0.1 * 0.426))
    assert prior_fit.adapted_step_size(size, 0.0) < size
    for acceptance, bound in ((0.0, prior_fit.SMALLEST_STEP), (1.0, prior_fit.LARGEST_STEP)):
        found = size
        for _ in range(1000):
            found = prior_fit.adapted_step_size(found, acceptance)
        assert found == bound


def test_posteriors_are_those_of_the_encoder(tmp_path):
    config = tiny_config(write_corpus(tmp_path))
    corpus = run.load_configured(config.data)
    vocabulary = run.build_vocabulary(corpus, config)
    model = SVEBM(config, vocabulary)
    feed = run.make_feed(corpus, vocabulary, config, run.Runtime.start("cpu"))
    found = prior_fit._posteriors(model.networks, feed.train)
    assert found.mean.shape == (len(corpus.train), config.model.latent_dim)
    expected = model.encode([" ".join(words) for words in corpus.train.sentences])
    order = found.mean[:, 0].sort().indices
    torch.testing.assert_close(found.mean[order], expected[expected[:, 0].sort().indices], rtol=1e-4, atol=1e-5)


def parameters(folder):
    return read_tensors(folder / "model.safetensors")[0]


def test_a_run_ends_with_it_once(tmp_path, monkeypatch, capsys):
    config = tiny_config(write_corpus(tmp_path), training={"prior_steps": 20})
    out = tmp_path / "run"
    train(config, out)
    assert "prior alone: iteration 20 of 20" in (said := capsys.readouterr().err) and "validation bound" in said
    tensors, state = load_checkpoint(out / FITTED)
    best = section(load_checkpoint(out / BEST)[0], "model")
    assert state["prior_steps"] == 20
    for name, value in parameters(out).items():
        assert torch.equal(value, section(tensors, "model")[name])
        moved = not torch.equal(value, best[name])
        assert moved == (state["kept"] and name.startswith("latent.prior")), name

    def never(*_, **__):
        raise AssertionError("done twice")

    monkeypatch.setattr(run, "fit_prior", never)
    train(config, out, resume=True)
    monkeypatch.undo()
    kept = parameters(out)
    (out / FITTED).unlink()  # as after an interruption
    train(config, out, resume=True)
    assert all(torch.equal(value, kept[name]) for name, value in parameters(out).items())


@pytest.mark.parametrize("spoilt", [5.0, math.nan])
def test_what_does_not_better_the_bound_is_not_kept(tmp_path, monkeypatch, spoilt):
    def spoil(model, *_, **__):
        with torch.no_grad():
            model.latent.prior.linears[0].weight.fill_(spoilt)

    monkeypatch.setattr(run, "fit_prior", spoil)
    config = tiny_config(write_corpus(tmp_path), training={"prior_steps": 20})
    train(config, tmp_path / "run")
    best = section(load_checkpoint(tmp_path / "run" / BEST)[0], "model")
    assert not load_checkpoint(tmp_path / "run" / FITTED)[1]["kept"]
    assert all(torch.equal(value, best[name]) for name, value in parameters(tmp_path / "run").items())


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"latent": "gaussian"}, "objective": {"mutual_information": 0.0}},
        {"objective": {"label_weight": 1.0}},
        {"training": {"prior_steps": -1}},
    ],
)
def test_runs_without_such_a_stage(tmp_path, changes):
    changes = {"training": {"prior_steps": 5}} | changes
    with pytest.raises(ConfigError, match=r"training\.prior-steps"):
        validate(tiny_config(write_corpus(tmp_path), **changes))
