"""Simple classifiers, against scikit-learn and the properties that EM has."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.naive_bayes import MultinomialNB
from tiny_runs import write_documents

from svebm_ext.data.documents import DocumentSplit, choose_labelled, document_vocabulary, keep_labels
from svebm_ext.data.own_text import load_text
from svebm_ext.errors import DataError
from svebm_ext.judges.semi_supervised import _maximise, count_matrix, naive_bayes_em, self_training


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    corpus = load_text(write_documents(tmp_path_factory.mktemp("references"), n=600))
    vocabulary = document_vocabulary(corpus.train.sentences, remove_stop_words=False)
    train, test = (DocumentSplit.from_split(s, vocabulary, "label") for s in (corpus.train, corpus.test))
    few = replace(train, labels=keep_labels(train.labels, choose_labelled(train.labels, 6, seed=0)))
    return few, test


def share_right(found, test):
    return float((torch.as_tensor(found) == test.labels).double().mean())


def test_counts_come_back(documents):
    few, _ = documents
    matrix = count_matrix(few)
    assert matrix.shape == (len(few), few.n_words) and matrix.sum() == float(few.counts.sum())
    assert matrix[3].indices.tolist() == few.words[few.offsets[3] : few.offsets[4]].tolist()


def test_supervised_naive_bayes_is_that_of_scikit_learn(documents):
    few, test = documents
    mine = naive_bayes_em(few, 3, n_iterations=0, smoothing=0.5)
    known = (few.labels >= 0).numpy()
    theirs = MultinomialNB(alpha=0.5, fit_prior=False).fit(count_matrix(few)[known], few.labels[known])
    # two documents of each class: the smoothed prior is uniform as well
    np.testing.assert_allclose(mine.log_probabilities(test), theirs.predict_log_proba(count_matrix(test)), atol=1e-9)


def test_em_never_lowers_its_objective(documents):
    """Log-likelihood of labelled pairs and unlabelled documents, plus the log of the Dirichlet prior of smoothing."""
    few, _ = documents
    known = few.labels >= 0
    smoothing, values = 1.0, []
    for n_iterations in range(6):
        model = naive_bayes_em(few, 3, n_iterations=n_iterations, smoothing=smoothing)
        dense = torch.as_tensor(count_matrix(few).toarray())
        joint = dense @ model.log_words.T + model.log_prior
        pairs = joint[known, few.labels[known]].sum() + joint[~known].logsumexp(-1).sum()
        values.append(float(pairs + smoothing * model.log_words.sum() + model.log_prior.sum()))
    assert all(b >= a - 1e-9 for a, b in itertools.pairwise(values)) and values[-1] > values[0] + 1.0


def test_unlabelled_documents_help(documents):
    few, test = documents
    alone = share_right(naive_bayes_em(few, 3, n_iterations=0).log_probabilities(test).argmax(-1), test)
    together = share_right(naive_bayes_em(few, 3).log_probabilities(test).argmax(-1), test)
    assert together > 0.95 and together > alone + 0.05
    no_weight = naive_bayes_em(few, 3, unlabelled_weight=0.0).log_words
    torch.testing.assert_close(no_weight, naive_bayes_em(few, 3, n_iterations=0).log_words)
    supervised = share_right(self_training(few, n_rounds=0).predict(count_matrix(test)), test)
    assert share_right(self_training(few).predict(count_matrix(test)), test) >= max(0.9, supervised)


def test_documents_without_a_word_get_the_prior(documents):
    few, test = documents
    model = naive_bayes_em(few, 3)
    empty = replace(test, offsets=torch.zeros(3, dtype=torch.int64), words=test.words[:0], counts=test.counts[:0])
    torch.testing.assert_close(model.log_probabilities(empty), model.log_prior.expand(2, 3))


def test_classes_without_examples(documents):
    few, _ = documents
    without = replace(few, labels=torch.where(few.labels == 1, -1, few.labels))
    with pytest.raises(DataError, match="no labelled document of class music"):
        naive_bayes_em(without, 3)
    with pytest.raises(DataError, match="at least two classes"):
        self_training(replace(few, labels=torch.where(few.labels > 0, -1, few.labels)))
    assert _maximise(few, torch.zeros(len(few), 3, dtype=torch.float64), 1.0).log_words.exp().sum() == pytest.approx(3)
