"""Simple classifiers as guides of the document model: where words start, and class probabilities of what has none."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tiny_runs import document_config, write_documents

from svebm_ext.config import validate
from svebm_ext.data.corpora import load_configured
from svebm_ext.data.documents import collate_documents
from svebm_ext.errors import ConfigError
from svebm_ext.judges.semi_supervised import count_matrix, guessed_classes, naive_bayes_em, self_training
from svebm_ext.models.document import WORD_STD, DocumentDecoder, DocumentEncoder
from svebm_ext.objectives.elbo import Averager, collect_terms, total_loss
from svebm_ext.training.feeds import DocumentFeed, start_words
from svebm_ext.training.run import build_vocabulary, train
from svebm_ext.training.runtime import Runtime


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    corpus = write_documents(tmp_path_factory.mktemp("pseudo"), n=200)
    return document_config(
        corpus,
        data={"n_labelled": 12},
        model={"class_words": True, "class_words_start": "naive_bayes", "document_layers": 0},
        objective={"pseudo_label_weight": 2.0},
        training={"batch_size": 20, "max_steps": 4, "validate_every": 4},
    )


@pytest.fixture(scope="module")
def feed(config):
    corpus = load_configured(config.data)
    return DocumentFeed(corpus, build_vocabulary(corpus, config), config, Runtime(torch.device("cpu")))


def test_guesses_are_those_of_naive_bayes_where_there_is_no_label(feed):
    share = feed.batch(3)
    rows = share.batch.indices
    naive_bayes = naive_bayes_em(feed.train, 3)
    expected = guessed_classes(feed.train, naive_bayes, "naive_bayes")[rows]
    unlabelled = feed.train.labels[rows] < 0
    assert unlabelled.any() and torch.equal(share.guesses[unlabelled], expected[unlabelled])
    assert (share.guesses[~unlabelled] == 0).all()
    known = torch.cat([feed.batch(step).guesses.sum(-1) > 0 for step in range(feed.steps_per_epoch)])
    assert int((~known).sum()) == 12
    # A quarter of naive Bayes's log-odds.
    odds, full = expected.double().log(), naive_bayes.log_probabilities(feed.train)[rows]
    torch.testing.assert_close(4.0 * (odds - odds[:, :1]), full - full[:, :1], rtol=1e-3, atol=1e-2)


def test_the_ensemble_is_the_mean_of_both(feed):
    naive_bayes = naive_bayes_em(feed.train, 3)
    both = guessed_classes(feed.train, naive_bayes, "ensemble")
    learner = self_training(feed.train)
    other = torch.from_numpy(learner.predict_proba(count_matrix(feed.train))).float()
    assert learner.classes_.tolist() == [0, 1, 2]
    torch.testing.assert_close(both, (guessed_classes(feed.train, naive_bayes, "naive_bayes") + other) / 2)
    torch.testing.assert_close(both.sum(-1), torch.ones(len(both)))


def test_words_start_at_what_naive_bayes_knows(config, feed):
    encoder = DocumentEncoder(feed.train.n_words, 16)
    decoder = DocumentDecoder(feed.train.n_words, 4, 16, 0, n_classes=3)
    before = encoder.words.weight.detach().clone()
    start_words(encoder, decoder, feed, config)
    naive_bayes = naive_bayes_em(feed.train, 3)
    words = (decoder.background + decoder.class_words.detach()).softmax(-1).double()
    torch.testing.assert_close(words, naive_bayes.log_words.exp(), rtol=1e-4, atol=1e-7)

    # The encoder's first features tell documents apart as naive Bayes does, but for the prior of the classes.
    rows = torch.arange(len(feed.train))
    with torch.no_grad():
        batch = collate_documents(feed.train, rows)
        seen = encoder.words(batch.words, batch.offsets[:-1], per_sample_weights=batch.counts)
    expected = (naive_bayes.log_probabilities(feed.train) - naive_bayes.log_prior).float()
    expected = expected - expected.mean(1, keepdim=True)
    scale = float(seen[:, 0] @ expected[:, 0] / expected[:, 0].square().sum())
    torch.testing.assert_close(seen[:, :3], scale * expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(seen[:, 3:6], -seen[:, :3])
    assert float(encoder.words.weight.detach()[:, :6].std()) == pytest.approx(WORD_STD, rel=0.1)
    torch.testing.assert_close(encoder.words.weight.detach()[:, 6:], before[:, 6:])

    without = replace(config, model=replace(config.model, class_words_start="zero"))
    untouched = DocumentEncoder(feed.train.n_words, 16)
    before = untouched.words.weight.detach().clone()
    start_words(untouched, decoder, feed, without)
    torch.testing.assert_close(decoder.background, feed.train.log_frequencies())
    assert torch.equal(untouched.words.weight, before)


def test_a_narrow_encoder_starts_with_the_features_that_it_has(config, feed):
    encoder = DocumentEncoder(feed.train.n_words, 4)
    decoder = DocumentDecoder(feed.train.n_words, 4, 16, 0, n_classes=3)
    start_words(encoder, decoder, feed, config)
    torch.testing.assert_close(encoder.words.weight[:, 3], -encoder.words.weight[:, 0])


def test_the_term_is_a_mean_over_examples_with_a_guess(config):
    logits = torch.randn(5, 3, dtype=torch.float64)
    guesses = torch.rand(5, 3, dtype=torch.float64).softmax(-1)
    guesses[[1, 4]] = 0.0
    nll = torch.rand(5, dtype=torch.float64)
    terms = collect_terms(nll, {}, config.objective, Averager(5), guess_logits=logits, guesses=guesses, n_guessed=3)
    expected = sum(float(F.cross_entropy(logits[[row]], guesses[[row]])) for row in (0, 2, 3)) / 3
    assert float(terms.pseudo_label) == pytest.approx(expected)
    assert float(total_loss(terms, 0.0, config.objective)) == pytest.approx(float(nll.mean()) + 2.0 * expected)
    none = collect_terms(nll, {}, config.objective, Averager(5), guess_logits=logits, guesses=torch.zeros(5, 3))
    assert float(none.pseudo_label) == 0.0


def test_a_run_learns_from_guesses(config, tmp_path):
    train(config, tmp_path / "run")
    assert '"pseudo_label": ' in (tmp_path / "run" / "metrics.jsonl").read_text()


def test_wrong_combinations_are_refused(config):
    validate(config)
    with pytest.raises(ConfigError, match="class-words-start: naive_bayes needs a table of classes"):
        validate(replace(config, model=replace(config.model, class_words=False)))
    without = replace(config.objective, label_weight=0.0)
    model = replace(config.model, class_words_start="zero")
    data, training = replace(config.data, n_labelled=0), replace(config.training, labelled_batch_size=0)
    with pytest.raises(
        ConfigError, match="pseudo-label-weight: pseudo-labels naive_bayes need bags of words and labels"
    ):
        validate(replace(config, objective=without, model=model, data=data, training=training))
