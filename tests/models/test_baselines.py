"""Every latent family as a whole model: built, trained, measured; likelihoods against enumeration and integration."""

import itertools
import math
from dataclasses import replace

import pytest
import torch
from tiny_runs import tiny_config, write_corpus

from svebm_ext.config import validate
from svebm_ext.errors import ConfigError
from svebm_ext.evaluation import evaluate_samples
from svebm_ext.evaluation.evaluate_model import evaluate_run
from svebm_ext.judges import language_model
from svebm_ext.models.annealed_likelihood import annealed_likelihood, find_step_sizes
from svebm_ext.models.importance import importance_samples
from svebm_ext.models.likelihood import importance_weighted_log_likelihood
from svebm_ext.models.svebm import SVEBM
from svebm_ext.presets import PRESETS
from svebm_ext.training.run import train

FAMILIES = ("none", "deterministic", "gaussian", "categorical", "semi", "mixture", "energy")


def family_config(corpus, family, **model):
    return tiny_config(
        corpus,
        model={"latent": family, "n_variables": 2, "n_classes": 3} | model,
        objective={"mutual_information": 1.0 if family == "energy" else 0.0},
        evaluation={
            "aggregate_posterior": True,
            "annealed_sentences": 10,
            "annealed_chains": 20,
            "annealed_temperatures": 8,
        },
        training={"max_steps": 60, "validate_every": 30},
        optimiser={"learning_rate": 1e-2},
    )


@pytest.fixture(scope="module", params=FAMILIES)
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    config = family_config(write_corpus(folder), request.param)
    model, corpus = train(config, folder / "run")
    return request.param, folder / "run", model, corpus


def test_training_learns_and_every_measure_has_a_value_or_a_reason(trained):
    family, folder, model, corpus = trained
    found = evaluate_run(folder, model, corpus)
    n_words = len(model.vocabulary)
    if family != "deterministic":
        assert found["ppl"] < 0.6 * n_words  # a uniform guess has n_words
        assert found["elbo"] <= -found["nll"] + 1e-6
    for key, value in found.items():
        assert value is not None or key in found["null_reasons"]
    assert (found["mi"] is not None) == (family in ("categorical", "semi", "mixture", "energy"))
    assert (found["bleu"] is None) == (family == "none")
    assert found["wkl_ancestral"] >= 0.0
    if family in ("gaussian", "semi", "mixture", "energy"):
        assert found["nll_annealed"] == pytest.approx(found["nll_of_annealed"], abs=0.5)
        assert found["about"]["sample_counts"]["annealed sentences"] == 10
    elif family != "deterministic":
        assert found["nll_annealed"] is None and "no Gaussian vector" in found["null_reasons"]["nll_annealed"]
    assert (found["wkl_aggregate"] is None) == (family == "none")
    again = SVEBM.from_pretrained(folder)
    torch.testing.assert_close(again.encode(["the cat sees trees"]), model.encode(["the cat sees trees"]))


@pytest.mark.parametrize("family", ["none", "energy"])
def test_reverse_perplexity_of_samples_is_measured(tmp_path, monkeypatch, family):
    small = language_model.LanguageModelSettings(
        embedding_dim=16, hidden=16, n_layers=1, batch_size=8, bptt=15, epochs=20, optimiser="adam", learning_rate=0.02
    )
    monkeypatch.setattr(language_model, "FAST", small)
    monkeypatch.setattr(evaluate_samples, "VALIDATION_SAMPLES", 20)
    config = family_config(write_corpus(tmp_path), family)
    config = replace(
        config, evaluation=replace(config.evaluation, language_model="fast", frequency_samples=400, log_z_chains=16)
    )
    found = evaluate_run(tmp_path / "run", *train(config, tmp_path / "run"))
    n_words = 27
    assert 1.0 < found["rppl_ancestral"] < 0.7 * n_words
    assert found["about"]["sample_counts"]["rppl_ancestral training samples"] == 400
    if family == "none":
        for key in ("rppl", "rppl_as_published", "rppl_aggregate"):
            assert found[key] is None and "one sentence" in found["null_reasons"][key]
    else:
        assert found["rppl"] >= found["rppl_as_published"] > 1.0 and found["rppl_aggregate"] > 1.0
        assert found["about"]["sample_counts"]["rppl_aggregate training samples"] == 400


def importance_nll(model, batch, n_samples=4000):
    drawn = importance_samples(model.networks, batch, n_samples, seed=3)
    return -importance_weighted_log_likelihood(*drawn[:3])


TEXTS = ["the cat sees trees", "nobody forgets his own shadow in the water"]


def test_likelihood_of_codes_equals_their_enumeration(tmp_path):
    model, _ = train(family_config(write_corpus(tmp_path), "categorical"), tmp_path / "run")
    (batch,) = model.batches(TEXTS)
    codes = torch.tensor(list(itertools.product(range(3), repeat=2)))
    z = torch.nn.functional.one_hot(codes, 3).flatten(1).float()
    with torch.no_grad():
        nll = model.networks.decoder.nll(batch.repeat(9), z.repeat(2, 1)).view(2, 9)
    exact = -(torch.logsumexp(-nll.double(), -1) - 2 * math.log(3))
    torch.testing.assert_close(importance_nll(model, batch), exact, atol=0.02, rtol=0)


def annealed_nll(model, batch):
    step_sizes = find_step_sizes(model.networks, batch, 10, seed=3)
    return -annealed_likelihood(model.networks, batch, step_sizes=step_sizes, n_chains=200, seed=3).log_likelihood()


@pytest.mark.parametrize("family", ["mixture", "semi"])
def test_likelihood_equals_integration_on_a_grid(tmp_path, family):
    config = family_config(write_corpus(tmp_path), family, latent_dim=2)
    model, _ = train(config, tmp_path / "run")
    (batch,) = model.batches(TEXTS)
    n_cells = 140 if family == "mixture" else 40
    axis = torch.linspace(-7, 7, n_cells + 1)
    grid = torch.cartesian_prod(axis, axis)
    if family == "semi":  # each point with each of the nine pairs of codes
        codes = torch.nn.functional.one_hot(torch.tensor(list(itertools.product(range(3), repeat=2))), 3).flatten(1)
        grid = torch.cat((grid.repeat(9, 1), codes.repeat_interleave(len(grid), 0).float()), 1)
    with torch.no_grad():
        nll = torch.cat(
            [model.networks.decoder.nll(batch.repeat(len(z)), z.repeat(2, 1)).view(2, -1) for z in grid.split(500)],
            dim=1,
        )
        log_prior = model.networks.latent.log_prior(grid)
        cell = 2 * math.log(14 / n_cells)
        assert float((log_prior.double() + cell).logsumexp(0)) == pytest.approx(0.0, abs=1e-3)
        exact = -(torch.logsumexp(log_prior.double() - nll.double(), -1) + cell)
    torch.testing.assert_close(importance_nll(model, batch), exact, atol=0.02, rtol=0)
    torch.testing.assert_close(annealed_nll(model, batch), exact, atol=0.05, rtol=0)


def test_likelihood_without_latent_variables_is_exact_with_one_sample(tmp_path):
    model, _ = train(family_config(write_corpus(tmp_path), "none"), tmp_path / "run")
    (batch,) = model.batches(TEXTS)
    with torch.no_grad():
        direct = model.networks.decoder.nll(batch, torch.empty(2, 0)).double()
    torch.testing.assert_close(importance_nll(model, batch, 5), direct)
    torch.testing.assert_close(model.nll(TEXTS).cpu()[batch.indices], direct)
    assert model.generate(3, greedy=False, seed=1) != model.generate(3, greedy=False, seed=2)


def test_presets_of_table_1_are_valid():
    names = [name for name in PRESETS if name.startswith("ptb")]
    assert len(names) == 18  # fourteen systems, two of them also in one stage, and two other learning schemes
    for name in names:
        config = PRESETS[name][1]
        validate(config)
        assert config.preset == name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"latent": "mixture", "latent_dim": 5, "n_variables": 2}, r"model.latent-dim: 5 is no multiple of the 2"),
        ({"gumbel_temperature": 0.0}, r"model.gumbel-temperature"),
        ({"n_variables": 0}, r"model.n-variables"),
    ],
)
def test_wrong_options_of_families_are_refused(tmp_path, changes, message):
    config = family_config(write_corpus(tmp_path), "categorical")
    with pytest.raises(ConfigError, match=message):
        validate(replace(config, model=replace(config.model, **changes)))
