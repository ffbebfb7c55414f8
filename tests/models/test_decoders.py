"""The recurrent generator against torch.nn.GRU/LSTM on padded sentences, and its samples against its probabilities."""

import math

import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from svebm_ext.data.batching import EncodedSplit, collate
from svebm_ext.data.corpus import Split
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.models.decoders import RecurrentDecoder
from svebm_ext.ops.backend import use_backend
from svebm_ext.ops.philox import Stream
from svebm_ext.ops.token_loss import reference
from svebm_ext.randomness import Draw

SENTENCES = [["a", "b", "c"], ["b"], ["c", "a", "a", "b", "c"], ["a", "a"]]


def make_batch(sentences=SENTENCES):
    vocabulary = Vocabulary.build(SENTENCES)
    return vocabulary, collate(EncodedSplit.from_split(Split(sentences), vocabulary), list(range(len(sentences))))


def make_decoder(vocabulary, cell="gru", tied=True, **options):
    torch.manual_seed(3)
    return RecurrentDecoder(len(vocabulary), 3, 6, 6, cell=cell, tied=tied, **options)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
@pytest.mark.parametrize("tied", [True, False])
def test_sentence_nll_equals_torch_on_one_sentence_at_a_time(cell, tied):
    vocabulary, batch = make_batch()
    decoder = make_decoder(vocabulary, cell, tied)
    z = torch.randn(4, 3)
    found = decoder.nll(batch, z)
    for row in range(4):
        words = [Vocabulary.BEGIN, *vocabulary.encode(SENTENCES[int(batch.indices[row])])]
        inputs = torch.cat((decoder.embedding.weight[words], z[row].expand(len(words), 3)), -1)
        start = tuple(s[row][None] for s in decoder.initial_state(z))
        output, _ = decoder.recurrent(inputs, start if cell == "lstm" else start[0])
        scores = F.linear(output, decoder.embedding.weight) if tied else decoder.output(output)
        target = torch.tensor([*words[1:], Vocabulary.END])
        torch.testing.assert_close(found[row], F.cross_entropy(scores, target, reduction="sum"))


def test_nll_without_gradient_is_the_same_in_chunks(monkeypatch):
    vocabulary, batch = make_batch()
    decoder, z = make_decoder(vocabulary), torch.randn(4, 3)
    whole = decoder.nll(batch, z)
    monkeypatch.setattr(reference, "CHUNK_NUMBERS", 3 * len(vocabulary))
    with torch.no_grad(), use_backend("reference"):
        torch.testing.assert_close(decoder.nll(batch, z), whole)


def test_repeated_batch_has_every_row_n_times():
    vocabulary, batch = make_batch()
    decoder, z = make_decoder(vocabulary), torch.randn(4, 5, 3)
    found = decoder.nll(batch.repeat(5), z.reshape(20, 3)).view(4, 5)
    for m in range(5):
        torch.testing.assert_close(found[:, m], decoder.nll(batch, z[:, m].contiguous()))


def test_dropout_depends_on_the_sentence_not_on_its_batch():
    vocabulary, batch = make_batch()
    split = EncodedSplit.from_split(Split(SENTENCES), vocabulary)
    decoder = make_decoder(vocabulary, embedding_dropout=0.5, output_dropout=0.5, word_dropout=0.3)
    z, draw = torch.randn(4, 3), Draw(5, 17)
    together = decoder.nll(batch, z, draw)
    for row, index in enumerate(batch.indices.tolist()):
        alone = decoder.nll(collate(split, [index]), z[row : row + 1], draw)
        torch.testing.assert_close(alone[0], together[row])
    assert not torch.allclose(decoder.nll(batch, z, Draw(5, 18)), together)


def test_dropout_keeps_the_mean_and_the_share():
    x = torch.ones(2000, 50)
    dropped = Draw(1, 2).dropout(x, 0.3, torch.arange(2000), stream=Stream.DROPOUT)
    assert sorted(dropped.unique().tolist()) == pytest.approx([0.0, 1 / 0.7])
    share = float((dropped == 0).double().mean())
    assert abs(share - 0.3) < 4 * math.sqrt(0.3 * 0.7 / x.numel())


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_greedy_sentence_has_the_most_probable_word_at_every_step(cell):
    vocabulary, _ = make_batch()
    decoder, z = make_decoder(vocabulary, cell), 3 * torch.randn(20, 3)
    for row, sentence in enumerate(decoder.decode(z, max_tokens=6)):
        words, state = [Vocabulary.BEGIN, *sentence], None
        for position in range(min(len(sentence) + 1, 6)):
            inputs = torch.cat((decoder.embedding.weight[words[: position + 1]], z[row].expand(position + 1, 3)), -1)
            start = tuple(s[row][None] for s in decoder.initial_state(z))
            state, _ = decoder.recurrent(inputs, start if cell == "lstm" else start[0])
            scores = decoder.logits(state[-1:])[0]
            scores[[Vocabulary.PAD, Vocabulary.BEGIN]] = -math.inf
            expected = words[position + 1] if position < len(sentence) else Vocabulary.END
            assert int(scores.argmax()) == expected


def test_sampled_first_words_follow_the_softmax():
    vocabulary, _ = make_batch()
    decoder = make_decoder(vocabulary)
    with torch.no_grad():
        decoder.embedding.weight.mul_(0.7)  # neither uniform nor one word alone
    n, temperature = 4000, 0.8
    z = torch.randn(1, 3).expand(n, 3)
    sentences = decoder.decode(z, max_tokens=1, greedy=False, temperature=temperature, seed=4)
    first = torch.tensor([s[0] if s else Vocabulary.END for s in sentences])
    start = decoder._advance(
        torch.cat((decoder.embedding.weight[[Vocabulary.BEGIN]], z[:1]), -1), decoder.initial_state(z[:1])
    )
    scores = decoder.logits(start[0])[0]
    scores[[Vocabulary.PAD, Vocabulary.BEGIN]] = -math.inf
    expected = torch.softmax(scores.double() / temperature, -1).detach() * n
    kept = expected > 5
    counts = torch.bincount(first, minlength=len(expected)).double()
    observed, wanted = counts[kept], expected[kept]
    assert stats.chisquare(observed, wanted * observed.sum() / wanted.sum()).pvalue > 1e-3
    assert int(kept.sum()) >= 4


def test_samples_do_not_depend_on_the_batch():
    vocabulary, _ = make_batch()
    decoder, z = make_decoder(vocabulary), torch.randn(6, 3)
    together = decoder.decode(z, max_tokens=9, greedy=False, seed=8)
    for row in range(6):
        alone = decoder.decode(z[row : row + 1], max_tokens=9, greedy=False, seed=8, ids=torch.tensor([row]))
        assert alone[0] == together[row]
