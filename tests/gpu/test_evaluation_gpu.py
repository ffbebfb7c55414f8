"""Measures that need gradients or many samples, on a GPU: the numbers of the CPU."""

import dataclasses

import pytest
import torch

from svebm_ext.data import Vocabulary
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.evaluation.evaluate_sentences import SentenceEvaluator
from svebm_ext.models.annealed_likelihood import annealed_likelihood, find_step_sizes
from svebm_ext.models.svebm import SVEBM
from svebm_ext.presets import preset


@pytest.fixture
def corpus():
    words = [f"w{i}" for i in range(30)]
    generator = torch.Generator().manual_seed(0)
    parts = []
    for n in (200, 40, 40):
        lengths = torch.randint(2, 12, (n,), generator=generator).tolist()
        parts.append([[words[i] for i in torch.randint(0, 30, (k,), generator=generator).tolist()] for k in lengths])
    return Corpus("random", *(Split(sentences, {}) for sentences in parts))


@pytest.fixture
def model(corpus):
    """Parameters of the start, made larger, so that z tells of the words and F of z."""
    config = preset("ptb")
    sizes = {"latent_dim": 8, "n_categories": 5, "embedding_dim": 32, "encoder_hidden": 32, "decoder_hidden": 32}
    torch.manual_seed(0)
    found = SVEBM(
        dataclasses.replace(config, model=dataclasses.replace(config.model, **sizes)),
        Vocabulary.build(corpus.train.sentences),
    )
    with torch.no_grad():
        for parameter in found.parameters():
            parameter.mul_(2)
    return found.eval()


def test_annealed_likelihood_is_that_of_the_cpu(device, model, corpus):
    found = {}
    for where in ("cpu", device.type):
        networks = model.to(where).networks
        (batch,) = model.batches(corpus.test.sentences)
        step_sizes = find_step_sizes(networks, batch, 8, seed=1)
        assert batch.indices.device.type == where and len(step_sizes) == 7
        result = annealed_likelihood(networks, batch, step_sizes=[0.1] * 7, n_chains=40, seed=1)
        found[where] = result.log_likelihood().cpu()
    assert found["cpu"].std() > 1.0
    # a chain whose test of acceptance is close may go another way
    torch.testing.assert_close(found[device.type], found["cpu"], rtol=0, atol=0.1)


@torch.no_grad()
def test_the_aggregate_posterior_is_that_of_the_cpu(device, model, corpus):
    found = {}
    for where in ("cpu", device.type):
        found[where] = SentenceEvaluator(model.to(where), corpus, seed=2).aggregate_posterior(450).cpu()
    assert found["cpu"].std() > 0.1
    torch.testing.assert_close(found[device.type], found["cpu"], rtol=1e-3, atol=1e-3)
