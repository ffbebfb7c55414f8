"""The aggregate posterior: its samples against their known distribution, and what its measures tell of a prior."""

import pytest
import torch
from tiny_runs import tiny_config, write_corpus

from svebm_ext.evaluation.evaluate_sentences import SentenceEvaluator
from svebm_ext.training.run import train


@pytest.fixture(autouse=True)
def no_gradients():
    with torch.no_grad():
        yield


@torch.enable_grad()
def evaluator(folder, latent, **evaluation):
    config = tiny_config(
        write_corpus(folder),
        model={"latent": latent},
        objective={"mutual_information": 0.0},
        evaluation={"aggregate_posterior": True} | evaluation,
    )
    return SentenceEvaluator(*train(config, folder / "run"), seed=3)


def as_set(z):
    return z[torch.tensor(sorted(range(len(z)), key=lambda i: z[i].tolist()))]


def test_every_training_sentence_is_taken_in_turn(tmp_path):
    measured = evaluator(tmp_path, "deterministic")
    sentences = measured.corpus.train.sentences
    means = measured.model.encode(sentences)
    z = measured.aggregate_posterior(2 * len(sentences) + 5)
    for part in z.split(len(sentences))[:2]:
        torch.testing.assert_close(as_set(part), as_set(means))
        assert not torch.equal(part, means)  # sentences that follow each other are unrelated
    assert torch.equal(z[-5:], z[:5])


def test_noise_is_that_of_the_posterior_and_new_for_every_sample(tmp_path):
    measured = evaluator(tmp_path, "gaussian")
    family = measured.model.networks.latent
    for head, bias in ((family.to_mean, 1.5), (family.to_log_variance, 2 * torch.tensor(0.25).log())):
        head.weight.zero_()
        head.bias.fill_(bias)
    z = measured.aggregate_posterior(5000)
    assert len(z.unique(dim=0)) == len(z)
    assert z.mean() == pytest.approx(1.5, abs=5 * 0.25 / (5000 * 4) ** 0.5)
    assert z.std() == pytest.approx(0.25, rel=5 / (2 * 5000 * 4) ** 0.5)
    assert torch.equal(z, measured.aggregate_posterior(5000))


def test_a_prior_that_equals_the_aggregate_posterior_scores_the_same_and_another_does_not(tmp_path):
    measured = evaluator(tmp_path, "gaussian", frequency_samples=4000)
    family, decoder = measured.model.networks.latent, measured.model.networks.decoder
    for parameter in decoder.parameters():  # so that words depend on z, which so short a training does not teach
        parameter.mul_(3)
    family.to_log_variance.weight.zero_()
    family.to_log_variance.bias.zero_()
    family.to_mean.weight.zero_()
    family.to_mean.bias.zero_()
    measured.samples()
    same = dict(measured.evaluation.metrics)
    family.to_mean.bias.fill_(3.0)
    measured.samples()
    other = measured.evaluation.metrics
    assert other["wkl"] == same["wkl"]
    assert same["wkl_aggregate"] == pytest.approx(same["wkl"], rel=0.05)
    assert abs(other["wkl_aggregate"] / other["wkl"] - 1) > 0.2


def test_it_is_left_out_unless_asked_for(tmp_path):
    measured = evaluator(tmp_path, "gaussian", aggregate_posterior=False)
    measured.samples()
    assert "wkl" in measured.evaluation.metrics and "wkl_aggregate" not in measured.evaluation.metrics
