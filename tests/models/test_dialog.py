"""Networks of dialogs: the context's encoder against plain torch, the prior given a context against closed forms."""

from dataclasses import replace

import pytest
import torch

from svebm_ext.config import DialogModel
from svebm_ext.data.corpus import Split
from svebm_ext.data.dialogs import DialogSplit
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import ConfigError
from svebm_ext.latents.conditional import ConditionalEnergyLatent
from svebm_ext.models.encoders import softmax_of_rows
from svebm_ext.models.networks import build_networks
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.randomness import Draw

VOCABULARY = Vocabulary(["a", "b", "c", "d", "e"])
TURNS = Split([["a"], ["b", "b"], ["c"], ["d", "d", "d"], ["e"]], dialogs=[0, 0, 0, 0, 1])
MODEL = DialogModel(
    latent_dim=3, n_categories=4, prior_hidden=(8,), embedding_dim=6, encoder_hidden=5, decoder_hidden=6,
    context_hidden=4, context_dim=7, context_map=2, init_range=0.5,
)  # fmt: skip


def networks(**changes):
    torch.manual_seed(0)
    return build_networks(replace(MODEL, **changes), len(VOCABULARY))


@pytest.fixture
def batch():
    return DialogSplit.from_split(TURNS, VOCABULARY).collate([0, 1, 2, 3, 4])


def test_softmax_of_rows():
    scores, rows = torch.tensor([1.0, 200.0, -3.0, 0.0, 201.0]), torch.tensor([0, 1, 0, 0, 1])
    found = softmax_of_rows(scores, rows, 2)
    torch.testing.assert_close(found[rows == 0], torch.softmax(scores[[0, 2, 3]], 0))
    torch.testing.assert_close(found[rows == 1], torch.softmax(scores[[1, 4]], 0))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_context_is_that_of_each_dialog_alone(batch, cell):
    """Words by torch's own network one turn at a time, weights by softmax, turns one after the other."""
    encoder = networks(cell=cell).encoder.context
    words = encoder.turns

    def turn_vector(ids):
        states, _ = words.recurrent(words.embedding(torch.tensor(ids))[:, None])
        weights = torch.softmax(words.query(torch.tanh(words.key(states[:, 0]))), dim=0)
        return (weights * states[:, 0]).sum(0)

    def encode(sentence):
        return [*VOCABULARY.encode(sentence), VOCABULARY.END]

    with torch.no_grad():
        found = encoder(batch)
        for row, index in enumerate(batch.indices.tolist()):
            turns = [TURNS.sentences[i] for i in TURNS.previous_turns(index)] or [[]]
            vectors = torch.stack([turn_vector(encode(turn)) for turn in turns])
            alone = encoder.recurrent(vectors[:, None])[0][-1, 0]
            torch.testing.assert_close(found[row], alone, rtol=1e-5, atol=1e-6)


def test_response_is_given_its_context(batch):
    """The likelihood of the same turn changes with what stands before it, and every part of the model is trained."""
    model = networks()
    forward = model(batch, Draw(0, 0))
    assert torch.allclose(forward.nll, model.nll(batch, forward.z, Draw(0, 0)))
    other = DialogSplit.from_split(replace(TURNS, sentences=[["c"], *TURNS.sentences[1:]]), VOCABULARY)
    changed = model.nll(other.collate([0, 1, 2, 3, 4]), forward.z, Draw(0, 0))
    differences = (changed - forward.nll).abs().tolist()
    before = dict(zip(batch.indices.tolist(), differences, strict=True))
    assert before[4] == pytest.approx(0, abs=1e-6) and min(before[i] for i in (1, 2, 3)) > 1e-5
    terms = forward.posterior.terms(forward.z)
    (forward.nll.sum() + terms["kl"].sum() - terms["energy_positive"].sum()).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None] == []


def test_prior_does_not_train_the_context(batch):
    model = networks()
    posterior = model.latent.posterior(model.encoder(batch))
    posterior.logits(posterior.mean.detach()).logsumexp(-1).sum().backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    assert all(p.grad is not None for p in model.prior_parameters())
    assert {id(p) for p in model.prior_parameters()} == {id(p) for p in model.latent.prior.parameters()}


def linear_latent():
    """f_k(z, c) = a_k.z + b_k + c_k: p(z|c) is a mixture of N(a_k, I), weights softmax(b + c + |a|^2 / 2)."""
    latent = ConditionalEnergyLatent(4, 2, 2, context_dim=2)
    latent.prior = EnergyMLP(2, 2, (), context_dim=2)
    means, offset = torch.tensor([[1.2, 0.0], [-0.8, 0.5]]), torch.tensor([0.3, -0.2])
    with torch.no_grad():
        latent.prior.linears[0].weight.copy_(means)
        latent.prior.linears[0].bias.copy_(offset)
        latent.prior.context.weight.copy_(torch.eye(2))
    return latent, means, offset + 0.5 * means.square().sum(1)


def test_samples_are_of_each_context_s_prior():
    latent, means, log_weight = linear_latent()
    contexts = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    n = 3000
    z = latent.sample_given(contexts.repeat_interleave(n, 0), seed=3)
    for k, part in enumerate(z.split(n)):
        expected = torch.softmax(log_weight + contexts[k], 0) @ means
        # 4 standard errors of a variable of variance 2, and the bias of steps of .125
        assert (part.mean(0) - expected).abs().max() < 4 * (2 / n) ** 0.5 + 0.03
    under = latent.sample_given(contexts.repeat_interleave(n, 0), seed=3, symbol=1)
    assert (under.mean(0) - means[1]).abs().max() < 4 * (1.1 / (2 * n)) ** 0.5
    with pytest.raises(ConfigError, match=r"symbol: 2 is outside 0 \.\. 1"):
        latent.sample_given(contexts, seed=0, symbol=2)
    for refused in (lambda: latent.sample_prior(1, seed=0), lambda: latent.log_prior(z)):
        with pytest.raises(ConfigError, match="depends on a context"):
            refused()


@pytest.mark.parametrize("family", ["gaussian", "categorical", "mixture", "semi", "deterministic"])
def test_other_families_are_given_the_context_by_encoder_and_decoder(batch, family):
    model = networks(latent=family, latent_dim=6, n_variables=3, n_classes=2)
    forward = model(batch, Draw(0, 0))
    assert forward.nll.shape == (5,) and bool(torch.isfinite(forward.nll).all())
    z = model.sample_prior(batch, seed=0)
    assert z.shape == forward.z.shape
    assert len(model.decode(batch, z, max_tokens=4)) == 5
