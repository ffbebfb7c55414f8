"""Rows of Table 8 by a frozen pretrained encoder: plain classifiers of its vectors beside the words of a document."""

from __future__ import annotations

import functools
from dataclasses import replace

import torch
from torch import Tensor

from svebm_ext.baselines.fitting import Curve
from svebm_ext.config import Config
from svebm_ext.data.corpora import load_configured
from svebm_ext.data.documents import DocumentSplit
from svebm_ext.data.sentence_vectors import SentenceVectors
from svebm_ext.experiments.agnews_baselines import Answer, Documents, Task, read_documents
from svebm_ext.judges.semi_supervised import TEMPER, naive_bayes_em
from svebm_ext.measures.classification import accuracy
from svebm_ext.models.features import WordFeatures
from svebm_ext.training.guides.bags import bags_of_split
from svebm_ext.training.guides.labelled import find_classes

#: C of the logistic regression of vectors, as scikit-learn has it by default.
INVERSE_PENALTY = 1.0


@functools.lru_cache(maxsize=1)
def encoded_documents(config: Config) -> Documents:
    """The splits with vectors of their documents, every label known; kept for the rows that share them.

    Raises:
        ConfigError: the encoder is not on this disk.
    """
    documents, name = read_documents(config.data), config.model.pretrained_encoder
    assert name is not None
    corpus, vectors = load_configured(config.data), SentenceVectors(name, cache=config.data.cache)
    parts = zip(
        (documents.train, documents.valid, documents.test), (corpus.train, corpus.valid, corpus.test), strict=True
    )
    train, valid, test = (
        replace(split, vectors=vectors.with_vectors(text, corpus.writing, keep=True).vectors) for split, text in parts
    )
    return replace(documents, train=train, valid=valid, test=test)


def _with_vectors(task: Task) -> tuple[DocumentSplit, DocumentSplit, DocumentSplit]:
    """The splits with their vectors; the training split has the labels of the run."""
    config = task.config
    documents = encoded_documents(replace(config, seed=0, data=replace(config.data, n_labelled=0, seed=0)))
    return replace(documents.train, labels=task.train.labels), documents.valid, documents.test


def _answered(answers: tuple[Tensor, Tensor], valid: DocumentSplit) -> Answer:
    """Answers to validation and test documents, as those of a system."""
    curve: Curve = [(1, accuracy(answers[0].argmax(-1), valid.labels))]
    return answers[1], curve


def regression_and_words(task: Task) -> Answer:
    """Logistic regression of the vectors of labelled documents, times naive Bayes with EM to the power 1/4."""
    from sklearn.linear_model import LogisticRegression

    train, valid, test = _with_vectors(task)
    known = (train.labels >= 0).nonzero()[:, 0]
    assert train.vectors is not None
    learner = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000)
    learner.fit(train.vectors[known].numpy(), train.labels[known].numpy())
    words = naive_bayes_em(train, task.n_classes)

    def answer(split: DocumentSplit) -> Tensor:
        assert split.vectors is not None
        by_vectors = torch.from_numpy(learner.predict_log_proba(split.vectors.numpy()))
        return (by_vectors + words.log_probabilities(split) / TEMPER).log_softmax(-1)

    return _answered((answer(valid), answer(test)), valid)


def guide(task: Task) -> Answer:
    """The guide of row `svebm-ib-encoder` alone (`svebm_ext.training.guides.labelled`)."""
    train, valid, test = _with_vectors(task)
    assert train.vectors is not None
    features = WordFeatures(train.n_words + len(task.documents.vocabulary.SPECIAL), train.vectors.shape[1])
    features.fit(train, seed=task.config.seed)
    learnt = find_classes(bags_of_split(train, features), train.labels.numpy(), task.n_classes, seed=task.config.seed)

    def answer(split: DocumentSplit) -> Tensor:
        return torch.from_numpy(learnt.log_probabilities(bags_of_split(split, features))).double()

    return _answered((answer(valid), answer(test)), valid)


SYSTEMS = {"encoder-lr-nb": regression_and_words, "encoder-guide": guide}
