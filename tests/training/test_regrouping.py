"""Regrouping as a part of runs: when it happens, with which sentences and z-, and what it needs."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_runs import tiny_config, write_corpus, write_dialogs

from svebm_ext.config import Config, DataConfig, ObjectiveConfig, SentenceModel, of_kind, validate
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.prior import regrouping
from svebm_ext.training import regrouping as training_regrouping
from svebm_ext.training.run import train


def test_it_happens_once_at_its_share_of_the_run(tmp_path, monkeypatch):
    config = tiny_config(write_corpus(tmp_path), objective={"mutual_information": 2.0, "regroup_at": 0.3})
    steps, banks = [], []

    def encoded_of(model, train, n_most, draw, processes):
        steps.append((draw.step, len(train)))
        return encode(model, train, n_most, draw, processes)

    def regroup(network, encoded, bank, optimiser, **options):
        banks.append(tuple(bank.shape))
        before = [p.detach().clone() for p in network.parameters()]
        moments = [optimiser.state[p]["exp_avg_sq"].abs().sum() for p in network.parameters()]
        assert all(m > 0 for m in moments)
        original(network, encoded, bank, optimiser, **options)
        assert not any(p in optimiser.state for p in network.parameters())
        assert not any(torch.equal(p, b) for p, b in zip(network.parameters(), before, strict=True))

    original, encode = training_regrouping.regroup, training_regrouping.encoded_of
    monkeypatch.setattr(training_regrouping, "regroup", regroup)
    monkeypatch.setattr(training_regrouping, "encoded_of", encoded_of)
    train(config, tmp_path / "run")
    ((step, n_train),) = steps
    assert step == math.ceil(0.3 * config.training.max_steps) and n_train > config.model.n_categories
    assert banks == [(config.chains.n_chains, config.model.latent_dim)]


def watched(monkeypatch):
    """Arguments that `fit_to_clusters` is called with."""
    calls = []

    def fit(network, clusters, z, negatives, context, *, seed):
        calls.append((clusters, z, negatives, context))
        original(network, clusters, z, negatives, context, seed=seed)

    original = regrouping.fit_to_clusters
    monkeypatch.setattr(regrouping, "fit_to_clusters", fit)
    return calls


def test_short_runs_hold_the_energy_at_samples_of_the_prior(tmp_path, monkeypatch):
    calls = watched(monkeypatch)
    changes = {"objective": {"mutual_information": 2.0, "regroup_at": 0.3}, "chains": {"mode": "short_run"}}
    config = tiny_config(write_corpus(tmp_path), **changes)
    train(config, tmp_path / "run")
    ((_, _, negatives, context),) = calls
    assert negatives.shape == (regrouping.SAMPLES, config.model.latent_dim) and context is None


@pytest.mark.parametrize("mode", ["persistent", "short_run"])
def test_turns_of_dialogs_have_their_own_contexts_and_chains(tmp_path, monkeypatch, mode):
    calls = watched(monkeypatch)
    write_dialogs(tmp_path)
    config = tiny_config(tmp_path / "unused", objective={"mutual_information": 2.0, "regroup_at": 0.3})
    config = replace(
        config,
        data=DataConfig(corpus="smd", root=tmp_path),
        model=of_kind(config.model, "dialogs"),
        chains=replace(config.chains, mode=mode),
    )
    train(config, tmp_path / "run")
    ((_, z, negatives, context),) = calls
    assert len(negatives) == len(z) == len(context) > config.model.n_categories


def test_fewer_sentences_than_symbols_are_told_before_training(tmp_path):
    config = tiny_config(write_corpus(tmp_path), objective={"mutual_information": 2.0, "regroup_at": 0.5})
    config = replace(config, model=replace(config.model, n_categories=1000))
    with pytest.raises(DataError, match=r"training sentences for clusters of 1000 symbols \(model\.n-categories\)"):
        train(config, tmp_path / "run")


@pytest.mark.parametrize(
    ("model", "objective", "named"),
    [
        ({"latent": "gaussian"}, {"regroup_at": 0.5}, "objective.regroup-at: needs sentences or dialogs, and symbols"),
        ({}, {"regroup_at": 0.5, "label_weight": 1.0}, "objective.regroup-at: symbols are classes"),
        ({}, {"regroup_at": 1.5}, "objective.regroup-at"),
    ],
)
def test_what_it_needs_is_told(model, objective, named):
    with pytest.raises(ConfigError, match=named):
        validate(Config(model=SentenceModel(**model), objective=ObjectiveConfig(**objective)))
