"""Naive Bayes as a guide of the document model: where the table of classes starts, and labels for what has none."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tiny_runs import document_config, write_documents

from svebm_ext.config import validate
from svebm_ext.data.corpora import load_configured
from svebm_ext.errors import ConfigError
from svebm_ext.evaluation.references import naive_bayes_em
from svebm_ext.models.document import DocumentDecoder
from svebm_ext.objectives.elbo import Averager, collect_terms, total_loss
from svebm_ext.training.feeds import DocumentFeed
from svebm_ext.training.run import build_vocabulary, start_decoder, train
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
    expected = naive_bayes_em(feed.train, 3).log_probabilities(feed.train).argmax(-1)[rows]
    unlabelled = feed.train.labels[rows] < 0
    assert unlabelled.any() and torch.equal(share.guesses[unlabelled], expected[unlabelled])
    assert (share.guesses[~unlabelled] == -1).all()
    assert int((torch.cat([feed.batch(step).guesses for step in range(feed.steps_per_epoch)]) == -1).sum()) == 12


def test_the_table_starts_at_the_word_frequencies_of_naive_bayes(config, feed):
    decoder = DocumentDecoder(feed.train.n_words, 4, 16, 0, n_classes=3)
    start_decoder(decoder, feed, config)
    words = (decoder.background + decoder.class_words.detach()).softmax(-1).double()
    torch.testing.assert_close(words, naive_bayes_em(feed.train, 3).log_words.exp(), rtol=1e-4, atol=1e-7)
    start_decoder(decoder, feed, replace(config, model=replace(config.model, class_words_start="zero")))
    torch.testing.assert_close(decoder.background, feed.train.log_frequencies())


def test_the_term_is_a_mean_over_examples_with_a_guess(config):
    logits, guesses = torch.randn(5, 3, dtype=torch.float64), torch.tensor([0, -1, 2, 1, -1])
    nll = torch.rand(5, dtype=torch.float64)
    terms = collect_terms(nll, {}, config.objective, Averager(5), guess_logits=logits, guesses=guesses)
    expected = sum(-float(F.log_softmax(logits[row], -1)[guesses[row]]) for row in (0, 2, 3)) / 3
    assert float(terms.pseudo_label) == pytest.approx(expected)
    assert float(total_loss(terms, 0.0, config.objective)) == pytest.approx(float(nll.mean()) + 2.0 * expected)
    none = collect_terms(nll, {}, config.objective, Averager(5), guess_logits=logits, guesses=torch.full((5,), -1))
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
    with pytest.raises(ConfigError, match="pseudo-label-weight: needs bags of words and labels"):
        validate(replace(config, objective=without, model=model, data=data, training=training))
