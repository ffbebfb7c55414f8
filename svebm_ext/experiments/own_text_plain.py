"""Plain methods of `own-text`: `python -m svebm_ext.experiments.own_text_plain METHOD`, a process for each row.

Symbols without labels: k-means of TF-IDF, NMF, k-means of h(x), EM of a mixture of multinomials from there, and the
guide that SVEBM-IB is taught by. Classes from labels: logistic regression of TF-IDF, of h(x), the latter as the
prior of naive Bayes with EM, and again the guide.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from svebm_ext.commands import parse, run_command
from svebm_ext.data.batching import EncodedSplit
from svebm_ext.data.corpora import load_configured
from svebm_ext.data.corpus import Split
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.experiments.own_text_data import Files, Texts, choose_labelled, read_files
from svebm_ext.files import JsonObject, write_json
from svebm_ext.measures.classification import accuracy
from svebm_ext.measures.latent import cluster_agreement
from svebm_ext.models.features import WordFeatures
from svebm_ext.presets import preset
from svebm_ext.training.feeds import SentenceFeed
from svebm_ext.training.guides import learn_features
from svebm_ext.training.guides.bags import (
    Array,
    Bags,
    bags_of_split,
    expectation_maximisation,
    log_softmax,
    word_scores,
)
from svebm_ext.training.guides.labelled import find_classes
from svebm_ext.training.run import build_vocabulary
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.sizes import fit_to_corpus

#: Starts of every k-means, rounds of EM after it; C of logistic regressions, rounds of EM of naive Bayes after them.
STARTS, EM_ROUNDS, INVERSE_PENALTY, NAIVE_BAYES_ROUNDS = 3, 30, 10.0, 10


@dataclass(frozen=True)
class Task:
    """What a method is given.

    Attributes:
        files: of the corpus.
        train, test: their texts, none held out. A method without labels looks at the test labels only to choose words.
        n_symbols: of methods without labels.
        n_of_class: labels of each class; 0: all.
        seed: of the method, and of which texts have a label.
    """

    files: Files
    train: Texts
    test: Texts
    n_symbols: int
    n_of_class: int
    seed: int

    def labels(self) -> Array:
        """Class of each training text, -1 where it has no label."""
        numbers = {name: number for number, name in enumerate(self.train.classes)}
        ids = np.array([numbers[label] for label in self.train.labels])
        if self.n_of_class == 0:
            return ids
        kept = choose_labelled(self.train.labels, self.n_of_class, self.seed)
        given = np.full(len(ids), -1)
        given[kept] = ids[kept]
        return given


#: Symbols or classes of the test texts, and by which words they were found where there was a choice.
Answer = tuple[Array, str | None]


def _counted(task: Task) -> Iterator[tuple[str, Array, Array]]:
    """TF-IDF of training and test texts by the package's words, and by scikit-learn's."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    least = min(2, len(task.train.words))
    own = TfidfVectorizer(sublinear_tf=True, min_df=least, analyzer=_itself)
    yield "words of this package", own.fit_transform(task.train.words), own.transform(task.test.words)
    theirs = TfidfVectorizer(sublinear_tf=True, min_df=least)
    yield "words of scikit-learn", theirs.fit_transform(task.train.written), theirs.transform(task.test.written)


def _itself(words: Sequence[str]) -> Sequence[str]:
    return words


def k_means(train: Array, test: Array, n: int, seed: int) -> Array:
    """Clusters of the test rows by k-means of the training rows."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct texts than clusters
        codes: Array = KMeans(n, n_init=STARTS, random_state=seed).fit(train).predict(test)
    return codes


def _best(answers: Mapping[str, Array], score: Callable[[Array], float]) -> Answer:
    name = max(answers, key=lambda name: score(answers[name]))
    return answers[name], name


def _agreement(task: Task) -> Callable[[Array], float]:
    import torch

    def score(codes: Array) -> float:
        agreement = cluster_agreement(torch.as_tensor(codes), task.test.labels, n_permutations=0)
        return agreement.adjusted_mutual_information

    return score


def tfidf_k_means(task: Task) -> Answer:
    """k-means of TF-IDF, by the words that agree better with the test labels: as strong a control as there is."""
    by_words = {name: k_means(train, test, task.n_symbols, task.seed) for name, train, test in _counted(task)}
    return _best(by_words, _agreement(task))


def nmf(task: Task) -> Answer:
    """Largest part of a non-negative factorisation of TF-IDF, by the words that agree better with the test labels."""
    from sklearn.decomposition import NMF
    from sklearn.exceptions import ConvergenceWarning

    by_words = {}
    for name, train, test in _counted(task):
        parts = min(task.n_symbols, *train.shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            by_words[name] = NMF(parts, init="nndsvda", random_state=task.seed).fit(train).transform(test).argmax(1)
    return _best(by_words, _agreement(task))


def _bags(task: Task) -> tuple[Bags, Bags]:
    """Words and h(x) of training and test texts."""
    vocabulary = Vocabulary.build(task.train.words)
    longest = 2 + max(map(len, chain(task.train.words, task.test.words)))
    train, test = (
        EncodedSplit.from_split(Split(texts.words), vocabulary, longest) for texts in (task.train, task.test)
    )
    features = WordFeatures(len(vocabulary))
    features.fit(train, seed=task.seed)
    return bags_of_split(train, features), bags_of_split(test, features)


def h_k_means(task: Task) -> Answer:
    """k-means of h(x)."""
    train, test = _bags(task)
    return k_means(train.features, test.features, task.n_symbols, task.seed), None


def h_em(task: Task) -> Answer:
    """A mixture of multinomials, by EM from k-means of h(x)."""
    train, test = _bags(task)
    start = k_means(train.features, train.features, task.n_symbols, task.seed)
    shares, _ = expectation_maximisation(train.words, np.eye(task.n_symbols, dtype=np.float32)[start], EM_ROUNDS)
    scores = test.words @ word_scores(train.words, shares) + np.log(shares.mean(0) + 1e-6)
    return scores.argmax(1), None


def guide(task: Task) -> Answer:
    """What SVEBM-IB of the same seed is taught by, on the sentences that it learns from."""
    config = preset("lines")
    data = replace(config.data, train=task.files.train, test=task.files.test)
    config = replace(config, data=data, seed=task.seed, model=replace(config.model, n_categories=task.n_symbols))
    corpus = load_configured(config.data)
    config = fit_to_corpus(config, corpus)
    vocabulary = build_vocabulary(corpus, config)
    learnt = learn_features(
        SentenceFeed(corpus, vocabulary, config, Runtime.start("cpu")), vocabulary, config, lambda text: None
    )
    assert learnt.guide is not None
    test = EncodedSplit.from_split(corpus.test, vocabulary, config.data.max_tokens)
    return learnt.guide.log_probabilities(bags_of_split(test, learnt.features)).argmax(1), None


# From labels ----------------------------------------------------------------------------------------------------


def _regression(train: Array, labels: Array, test: Array) -> Array:
    from sklearn.linear_model import LogisticRegression

    known = np.flatnonzero(labels >= 0)
    learner = LogisticRegression(C=INVERSE_PENALTY, max_iter=500).fit(train[known], labels[known])
    predicted: Array = learner.predict(test)
    return predicted


def tfidf_regression(task: Task) -> Answer:
    """Logistic regression of TF-IDF, by the words that are right more often in the test file."""
    import torch

    classes, labels = {name: number for number, name in enumerate(task.train.classes)}, task.labels()
    true = torch.tensor([classes.get(label, len(classes)) for label in task.test.labels])
    by_words = {name: _regression(train, labels, test) for name, train, test in _counted(task)}
    return _best(by_words, lambda codes: accuracy(torch.as_tensor(codes), true))


def h_regression(task: Task) -> Answer:
    """Logistic regression of h(x)."""
    train, test = _bags(task)
    return _regression(train.features, task.labels(), test.features), None


def h_regression_naive_bayes(task: Task) -> Answer:
    """Logistic regression of h(x), the root of whose probabilities is the prior of naive Bayes with EM on all texts."""
    from sklearn.linear_model import LogisticRegression

    (train, test), labels = _bags(task), task.labels()
    known = np.flatnonzero(labels >= 0)
    learner = LogisticRegression(C=INVERSE_PENALTY, max_iter=500).fit(train.features[known], labels[known])
    prior, own = (0.5 * learner.predict_log_proba(bags.features) for bags in (train, test))
    shares = np.exp(2.0 * prior).astype(np.float32)
    certain = (labels[known, None] == learner.classes_).astype(np.float32)
    for _ in range(NAIVE_BAYES_ROUNDS):
        shares[known] = certain
        shares = np.exp(log_softmax(train.words @ word_scores(train.words, shares) + prior)).astype(np.float32)
    shares[known] = certain
    predicted: Array = learner.classes_[(test.words @ word_scores(train.words, shares) + own).argmax(1)]
    return predicted, None


def guide_of_labels(task: Task) -> Answer:
    """The guide that words and labels make of the whole training file, as that of labelled runs."""
    train, test = _bags(task)
    learnt = find_classes(train, task.labels(), len(task.train.classes), seed=task.seed)
    return learnt.log_probabilities(test).argmax(1), None


UNLABELLED: dict[str, Callable[[Task], Answer]] = {
    "tfidf-kmeans": tfidf_k_means,
    "nmf": nmf,
    "h-kmeans": h_k_means,
    "h-em": h_em,
    "guide": guide,
}
LABELLED: dict[str, Callable[[Task], Answer]] = {
    "tfidf-lr": tfidf_regression,
    "h-lr": h_regression,
    "h-lr-nb-em": h_regression_naive_bayes,
    "guide": guide_of_labels,
}


# The process ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Arguments:
    """Options of the process of a row."""

    train: Path
    """Training file."""
    test: Path
    """Test file."""
    out: Path
    """File of the answers."""
    labels: int = -1
    """Labels of each class; 0: all; -1: none, symbols are looked for."""
    symbols: int = 0
    """Symbols; 0: as many as there are classes."""
    seed: int = 0
    """Of the method, and of which texts have a label."""


def answer(method: str, options: Arguments) -> JsonObject:
    """Symbols, or names of classes, of the test texts by a method; which words they were found by."""
    files = Files(options.train, options.test)
    train, test = read_files(files)
    task = Task(files, train, test, options.symbols or len(train.classes), max(options.labels, 0), options.seed)
    codes, words = (UNLABELLED if options.labels < 0 else LABELLED)[method](task)
    names = None if options.labels < 0 else train.classes
    return {"answers": [int(c) if names is None else names[c] for c in codes], "words": words}


def main(arguments: Sequence[str]) -> None:
    """Write the answers of the method that the command line names."""
    method, *rest = arguments
    options = parse(
        Arguments, rest, prog="python -m svebm_ext.experiments.own_text_plain METHOD", description=__doc__ or ""
    )
    write_json(options.out, answer(method, options))


if __name__ == "__main__":
    run_command(main)
