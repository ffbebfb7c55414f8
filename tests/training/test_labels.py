"""The cross-entropy of labels at the posterior mean and at the sample: its value, where its gradient goes, refusals."""

import math

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
from svebm_ext.training.feeds import SentenceFeed
from svebm_ext.training.run import train
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.terms import terms_of


def labelled_config(tmp_path, **changes):
    sections = {"model": {"n_categories": len(VERBS)}, "objective": {"label_weight": 5.0}}
    merged = {name: {**sections.get(name, {}), **changes.get(name, {})} for name in sections | changes}
    return tiny_config(write_corpus(tmp_path, labelled=True), **merged)


def forward(tmp_path, **objective):
    """Networks, a passed batch, and its label term."""
    config = labelled_config(tmp_path, objective=objective)
    corpus = load_configured(config.data)
    vocabulary = Vocabulary.build(corpus.train.sentences)
    feed = SentenceFeed(corpus, vocabulary, config, Runtime(torch.device("cpu")))
    torch.manual_seed(0)
    networks, share = SVEBM(config, vocabulary, feed.label_names).networks, feed.batch(0)
    passed = networks(share.batch, Draw(0, 0))
    passed.z.retain_grad(), passed.posterior.mean.retain_grad()
    term = terms_of(networks, passed, share, None, config, Averager(share.n_total), None).label
    return networks, passed, share, term


@pytest.mark.parametrize("point", ["mean", "sample"])
def test_the_term_is_the_cross_entropy_at_the_chosen_point(tmp_path, point):
    networks, passed, share, term = forward(tmp_path, label_at=point)
    z = passed.posterior.mean if point == "mean" else passed.z
    probabilities = networks.latent.prior.logits(z.detach()).double().softmax(-1)
    by_hand = [-math.log(probabilities[row, share.batch.labels[row]].item()) for row in range(share.n_total)]
    assert term.item() == pytest.approx(sum(by_hand) / share.n_total, rel=1e-5)


def test_the_gradient_of_a_sample_moves_the_width_of_the_posterior_too(tmp_path):
    gradients = {}
    for point in ("mean", "sample"):
        networks, passed, _, term = forward(tmp_path, label_at=point)
        term.backward()
        gradients[point] = networks.latent.to_log_variance.weight.grad
        assert (passed.z.grad is None) == (point == "mean")
    assert gradients["mean"] is None and gradients["sample"].abs().sum() > 0


def test_the_encoder_is_spared_where_it_should_be(tmp_path):
    networks, passed, _, term = forward(tmp_path, label_at="sample", label_encoder=False)
    term.backward()
    assert passed.z.grad is None and passed.posterior.mean.grad is None
    assert networks.latent.prior.layers()[0][0].grad.abs().sum() > 0


@pytest.mark.slow
@pytest.mark.parametrize("point", ["mean", "sample"])
def test_a_run_learns_classes(tmp_path, point):
    config = labelled_config(
        tmp_path,
        objective={"label_at": point, "schedule": "linear", "zero_fraction": 0.4, "ramp_fraction": 0.6},
        optimiser={"learning_rate": 1e-2, "prior_learning_rate": 1e-3},
        training={"max_steps": 400, "validate_every": 400, "batch_size": 16},
    )
    train(config, tmp_path / "run")
    assert read_metrics(tmp_path / "run" / "metrics.jsonl")["valid_accuracy"][1][-1] > 0.9


def test_wrong_combinations_are_refused(tmp_path):
    validate(labelled_config(tmp_path, objective={"label_at": "sample"}))
    with pytest.raises(
        ConfigError, match=r"label-at: sample needs the energy latent family, and objective.label-weight"
    ):
        validate(labelled_config(tmp_path, objective={"label_at": "sample", "label_weight": 0.0}))
    apart = {"label_at": "sample", "labelled_bound": False}
    with pytest.raises(ConfigError, match="label-at: sample needs labelled examples in the bound"):
        validate(labelled_config(tmp_path, objective=apart, training={"labelled_batch_size": 4}))


def test_one_class_is_refused_before_training(tmp_path):
    path = tmp_path / "one.tsv"
    path.write_text("".join(f"x\t{line}\n" for line in write_corpus(tmp_path).read_text().splitlines()))
    config = tiny_config(path, objective={"label_weight": 1.0})
    with pytest.raises(
        ConfigError, match=r"data\.label: all labelled training texts have the label 'x'; expected at least"
    ):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
