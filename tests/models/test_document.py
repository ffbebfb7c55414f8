"""Networks over bags of words, against dense matrices and torch's own batch normalisation."""

import copy

import pytest
import torch
import torch.nn.functional as F

from svebm_ext.config import BagModel
from svebm_ext.data.corpus import Split
from svebm_ext.data.documents import N_SPECIAL, DocumentSplit, collate_documents
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import ConfigError
from svebm_ext.models.document import DocumentDecoder, DocumentEncoder, FixedScaleNorm
from svebm_ext.models.importance import importance_samples
from svebm_ext.models.networks import build_networks
from svebm_ext.randomness import Draw

SENTENCES = [["a", "b", "c", "a"], ["b"], ["c", "a", "a", "b", "c", "d"], ["e", "e"]]
VOCABULARY = Vocabulary.build(SENTENCES[:3])  # "e" is unknown: the last document is empty
V = len(VOCABULARY) - N_SPECIAL


def make_batch():
    return collate_documents(DocumentSplit.from_split(Split(SENTENCES), VOCABULARY), [2, 0, 3, 1])


def dense(batch):
    counts = torch.zeros(batch.n_documents, V)
    counts[batch.rows, batch.words] = batch.counts
    return counts


@pytest.mark.parametrize("counts", ["counts", "log"])
def test_encoder_is_two_dense_layers(counts):
    torch.manual_seed(0)
    encoder, batch = DocumentEncoder(V, 6, counts=counts), make_batch()
    seen = dense(batch) if counts == "counts" else dense(batch).log1p()
    expected = F.relu(encoder.second(F.relu(seen @ encoder.words.weight + encoder.bias)))
    torch.testing.assert_close(encoder(batch), expected)
    torch.testing.assert_close(encoder(batch)[2], F.relu(encoder.second(F.relu(encoder.bias[None])))[0])


def test_encoder_dropout_keeps_the_mean_and_depends_on_the_document_alone():
    torch.manual_seed(0)
    encoder, batch = DocumentEncoder(V, 5, dropout=0.5, word_dropout=0.3), make_batch()
    with torch.no_grad():
        encoder.bias += 100.0  # keeps every unit of the first layer on: the rest is linear in the masks
        encoder.second.weight.abs_()
        mean = torch.stack([encoder(batch, Draw(0, step)) for step in range(4000)]).mean(0)
        expected = encoder(batch)
    torch.testing.assert_close(mean, expected, rtol=0.06, atol=0.0)
    alone = collate_documents(DocumentSplit.from_split(Split(SENTENCES), VOCABULARY), [0])
    torch.testing.assert_close(encoder(alone, Draw(0, 3))[0], encoder(batch, Draw(0, 3))[1])


@pytest.mark.parametrize("n_layers", [0, 2])
@pytest.mark.parametrize("n_classes", [0, 3])
def test_nll_is_that_of_the_dense_scores(n_layers, n_classes):
    torch.manual_seed(1)
    decoder, batch = DocumentDecoder(V, 3, 5, n_layers, n_classes=n_classes), make_batch()
    with torch.no_grad():
        decoder.background.normal_()
        decoder.output.bias.normal_()
        if n_classes:
            decoder.class_words.normal_()
    z, symbol = torch.randn(4, 3), torch.randn(4, 3).softmax(-1) if n_classes else None
    decoder.eval()  # batch statistics would differ from call to call
    hidden = decoder.layers(z)
    scores = hidden @ decoder.output.weight.T + decoder.output.bias + decoder.background
    if n_classes:
        scores = scores + symbol @ decoder.class_words
    torch.testing.assert_close(decoder.scores(z, symbol), scores)
    expected = -(scores.log_softmax(-1) * dense(batch)).sum(-1)
    torch.testing.assert_close(decoder.nll(batch, z, None, symbol), expected)
    assert expected[2] == 0.0


def test_norm_is_torch_batch_norm_with_scale_one():
    mine, torchs, x = FixedScaleNorm(4), torch.nn.BatchNorm1d(4), torch.randn(9, 4) * 3 + 1
    with torch.no_grad():
        mine.shift.copy_(torch.arange(4.0))
        torchs.bias.copy_(torch.arange(4.0))
    for _ in range(3):
        torch.testing.assert_close(mine(x), torchs(x))
    torch.testing.assert_close(mine(x[:1]), torchs.eval()(x[:1]))  # one row: running statistics
    torch.testing.assert_close(mine.eval()(x), torchs(x))


def config(**changes):
    return BagModel(latent_dim=3, n_categories=3, prior_hidden=(8,), document_hidden=6, **changes)


@pytest.mark.parametrize("class_words", [True, False])
def test_importance_samples_repeat_documents(class_words):
    torch.manual_seed(0)
    model = build_networks(config(class_words=class_words), len(VOCABULARY)).eval()
    if class_words:
        with torch.no_grad():
            model.decoder.class_words.normal_()
    batch = make_batch()
    drawn = importance_samples(model, batch, 5, seed=1)
    for m in range(5):
        torch.testing.assert_close(drawn.log_likelihood[m], -model.nll(batch, drawn.z[m]))


def test_class_table_passes_its_gradient_to_the_prior():
    """With a table, words teach the symbols; without, the likelihood says nothing to the prior."""
    for class_words in (True, False):
        torch.manual_seed(0)
        model = build_networks(config(class_words=class_words), len(VOCABULARY))
        if class_words:
            with torch.no_grad():
                model.decoder.class_words.normal_()
        model(make_batch(), Draw(0, 0)).nll.sum().backward()
        moved = [p.grad is not None and bool((p.grad != 0).any()) for p in model.prior_parameters()]
        assert any(moved) == class_words


def test_sampled_words_follow_their_probabilities():
    torch.manual_seed(0)
    decoder = DocumentDecoder(V, 3, 5, 1).eval()
    z = torch.randn(2, 3) * 3
    words = torch.tensor(decoder.decode(z, max_tokens=20_000, greedy=False, seed=3)) - N_SPECIAL
    for row in range(2):
        shares = words[row].bincount(minlength=V) / 20_000
        torch.testing.assert_close(shares, decoder.scores(z).softmax(-1)[row], rtol=0.0, atol=0.02)
    top = decoder.decode(z, max_tokens=2)
    assert top == (decoder.scores(z).topk(2).indices + N_SPECIAL).tolist()
    for options in ({"top_k": 2}, {"top_p": 0.5}, {"precision": "fast"}, {"temperature": 0.0}):
        with pytest.raises(ConfigError, match="decode"):
            decoder.decode(z, max_tokens=2, **options)


def test_copies_are_independent():
    model = build_networks(config(class_words=True), len(VOCABULARY))
    other = copy.deepcopy(model)
    with torch.no_grad():
        other.latent.prior.layers()[-1][0].zero_()
    z = torch.randn(2, 3)
    assert not torch.equal(model.symbol_argument(z)["symbol"], other.symbol_argument(z)["symbol"])
