"""Labels learnt by the component of a single mixture: its term of the loss, a run, and what is refused."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_runs import VERBS, tiny_config, write_corpus

from svebm_ext.config import validate
from svebm_ext.data.corpora import load_configured
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import ConfigError
from svebm_ext.models.svebm import SVEBM
from svebm_ext.objectives.elbo import Averager
from svebm_ext.plots import read_metrics
from svebm_ext.randomness import Draw
from svebm_ext.training.feeds import SentenceFeed, training_label
from svebm_ext.training.run import train
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.terms import terms_of


def labelled_config(tmp_path, **changes):
    sections = {
        "model": {"latent": "mixture", "n_variables": 1, "n_classes": len(VERBS)},
        "objective": {"mutual_information": 0.0, "label_weight": 5.0, "category_information": False},
    }
    merged = {name: {**sections.get(name, {}), **changes.get(name, {})} for name in sections | changes}
    return tiny_config(write_corpus(tmp_path, labelled=True), **merged)


def test_the_term_is_the_cross_entropy_of_the_component(tmp_path):
    config = labelled_config(tmp_path)
    corpus, runtime = load_configured(config.data), Runtime(torch.device("cpu"))
    vocabulary = Vocabulary.build(corpus.train.sentences)
    feed = SentenceFeed(corpus, vocabulary, config, runtime)
    networks, share = SVEBM(config, vocabulary, feed.label_names).networks, feed.batch(0)
    passed = networks(share.batch, Draw(0, 0))
    label = terms_of(networks, passed, share, None, config, Averager(share.n_total), None).label
    probabilities = passed.posterior.log_categories.detach().exp()[:, 0]
    by_hand = [-math.log(probabilities[row, share.batch.labels[row]].item()) for row in range(share.n_total)]
    assert label.item() == pytest.approx(sum(by_hand) / share.n_total, rel=1e-5)


@pytest.mark.slow
def test_a_run_learns_classes_and_generates_by_them(tmp_path):
    # z has to carry the class before its divergence weighs: with w = 1 from the start the components fall together.
    config = labelled_config(
        tmp_path,
        objective={"schedule": "linear", "zero_fraction": 0.4, "ramp_fraction": 0.6},
        optimiser={"learning_rate": 1e-2},
        training={"max_steps": 600, "validate_every": 600, "batch_size": 16},
    )
    model, _ = train(config, tmp_path / "run")
    accuracy = read_metrics(tmp_path / "run" / "metrics.jsonl")["valid_accuracy"][1][-1]
    assert accuracy > 0.9 and model.label_names == sorted(VERBS)
    found = [[text.split() for text in model.generate(50, symbol=k, seed=1)] for k in range(len(VERBS))]
    shares = [sum(verb in words for words in found[k]) / 50 for k, verb in enumerate(sorted(VERBS))]
    assert sum(shares) / len(shares) > 0.8  # chance: a quarter


def test_labels_need_one_mixture_with_enough_components(tmp_path):
    with pytest.raises(ConfigError, match=r"objective\.label_weight"):
        validate(labelled_config(tmp_path, model={"n_variables": 2}))
    config = labelled_config(tmp_path, training={"labelled_batch_size": 4}, objective={"labelled_bound": False})
    with pytest.raises(ConfigError, match=r"objective\.labelled-bound"):
        validate(config)
    config = labelled_config(tmp_path)
    corpus = load_configured(config.data)
    assert training_label(corpus, config)[1] == tuple(sorted(VERBS))
    with pytest.raises(ConfigError, match=r"model\.n-classes: 3 components cannot hold the 4 classes"):
        training_label(corpus, replace(config, model=replace(config.model, n_classes=3)))
