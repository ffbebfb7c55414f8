"""Classifiers that stand beside SVEBM: bounds against explicit sums, GloVe against its formula, learning."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_runs import write_documents

from svebm_ext.baselines.class_mixture import ClassMixture, hard_bound, summed_bound, train_mixture
from svebm_ext.baselines.fitting import Fit, Labelled, fit, predict, share_right
from svebm_ext.baselines.text_classifier import AverageClassifier, choose_confident, self_train, train_classifier
from svebm_ext.baselines.vampire import TopicModel, pretrain
from svebm_ext.baselines.word_vectors import Cooccurrences, GloVe, cooccurrences, train_glove, vectors_for
from svebm_ext.data.documents import (
    DocumentSplit,
    choose_labelled,
    collate_documents,
    document_vocabulary,
    keep_labels,
)
from svebm_ext.data.embeddings import WordVectors
from svebm_ext.data.own_text import load_text
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.randomness import Draw

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    corpus = load_text(write_documents(tmp_path_factory.mktemp("baselines"), n=300))
    vocabulary = document_vocabulary(corpus.train.sentences, remove_stop_words=False)
    train, test = (DocumentSplit.from_split(s, vocabulary, "label") for s in (corpus.train, corpus.test))
    few = replace(train, labels=keep_labels(train.labels, choose_labelled(train.labels, 12, seed=0)))
    return few, test


# Fitting --------------------------------------------------------------------------------------------------------


def test_the_best_validated_parameters_are_kept():
    model = torch.nn.Linear(1, 1, bias=False)
    seen, scores = [], iter([0.1, 0.7, 0.7, 0.3])

    def score():
        seen.append(float(model.weight.detach()))
        return next(scores)

    curve = fit(model, lambda step: model.weight.sum(), Fit(7, learning_rate=0.1, validate_every=2), score)
    assert curve == [(2, 0.1), (4, 0.7), (6, 0.7), (7, 0.3)]
    assert float(model.weight.detach()) == pytest.approx(seen[1]) and seen[1] != pytest.approx(seen[2])


def test_batches_hold_labelled_documents_only(documents):
    few, _ = documents
    batches = Labelled(few, Fit(1, batch_size=5), CPU)
    seen = torch.cat([batches.batch(step).indices for step in range(3)])
    assert sorted(seen.tolist()) == (few.labels >= 0).nonzero()[:, 0].tolist()
    with pytest.raises(DataError, match="no document has a label"):
        Labelled(replace(few, labels=torch.full_like(few.labels, -1)), Fit(1), CPU)


# Averages of word vectors ---------------------------------------------------------------------------------------


def test_a_document_is_the_mean_of_its_words(documents):
    few, _ = documents
    torch.manual_seed(0)
    model = AverageClassifier(few.n_words, 5, 7, 3)
    batch = collate_documents(few, [4])
    tokens = batch.words.repeat_interleave(batch.counts.long())
    mean = model.words.weight[tokens].mean(0)
    expected = model.output(torch.relu(model.hidden(mean)))
    torch.testing.assert_close(model(batch)[0], expected)
    vectors = torch.randn(few.n_words, 5)
    torch.testing.assert_close(AverageClassifier(few.n_words, 5, 7, 3, vectors=vectors).words.weight.data, vectors)
    with pytest.raises(ConfigError, match="word vectors are of shape"):
        AverageClassifier(few.n_words, 4, 7, 3, vectors=vectors)


def test_confident_predictions_are_as_many_of_each_class():
    p = torch.tensor([[0.97, 0.03], [0.2, 0.8], [0.6, 0.4], [0.99, 0.01], [0.05, 0.95], [0.1, 0.9], [0.93, 0.07]])
    rows, classes = choose_confident(p.log(), 0.85, 2)
    assert rows.tolist() == [3, 0, 4, 5] and classes.tolist() == [0, 0, 1, 1]  # the surest of each class
    rows, classes = choose_confident(p.log(), 0.92, 3)
    assert rows.tolist() == [3, 4] and classes.tolist() == [0, 1]  # class 1 has one
    assert choose_confident(p.log(), 0.96, 3)[0].tolist() == []  # and here none


def test_classifiers_learn_and_self_training_helps_or_stays(documents):
    few, test = documents
    settings = Fit(30, batch_size=12, learning_rate=0.03, validate_every=10, seed=0)

    def make():
        torch.manual_seed(0)
        return AverageClassifier(few.n_words, 8, 16, 3)

    model = make()
    curve = train_classifier(model, few, test, settings, CPU)
    alone = share_right(model, test, CPU)
    assert [step for step, _ in curve] == [10, 20, 30] and alone == max(value for _, value in curve) > 0.6
    kept, longer = self_train(make, few, test, settings, CPU, n_rounds=2, threshold=0.5)
    assert longer[:3] == curve and [step for step, _ in longer][3:] == [40, 50, 60, 70, 80, 90]
    assert share_right(kept, test, CPU) == max(value for _, value in longer) >= alone
    assert predict(kept, test, CPU).exp().sum(-1).allclose(torch.ones(len(test)))


# Word vectors ---------------------------------------------------------------------------------------------------


def test_cooccurrences_count_by_distance():
    vocabulary = Vocabulary(["a", "b", "c"])
    found = cooccurrences([["a", "b", "x", "c"], ["b", "a"]], vocabulary, window=2)
    counts = {(int(i), int(j)): float(x) for i, j, x in zip(found.first, found.second, found.counts, strict=True)}
    # a b c (x is unknown): a-b at 1, b-c at 1, a-c at 2; b a: at 1; no pair across documents
    assert counts == {(0, 1): 2.0, (1, 0): 2.0, (1, 2): 1.0, (2, 1): 1.0, (0, 2): 0.5, (2, 0): 0.5}
    with pytest.raises(DataError, match="no two words"):
        cooccurrences([["a"], ["x", "x"]], vocabulary)


def test_glove_is_the_weighted_least_squares_of_its_source():
    torch.manual_seed(0)
    model = GloVe(4, 3).double()
    first, second = torch.tensor([0, 1, 0]), torch.tensor([1, 2, 3])
    counts = torch.tensor([2.0, 30.0, 10.0], dtype=torch.float64)
    loss = model.loss(first, second, counts)
    w, c, a, b = (t.weight.detach() for t in (model.words, model.contexts, model.word_bias, model.context_bias))
    weights = [(2 / 10) ** 0.75, 1.0, 1.0]
    errors = [float(w[i] @ c[j] + a[i] + b[j]) - math.log(x) for i, j, x in ((0, 1, 2), (1, 2, 30), (0, 3, 10))]
    assert float(loss.detach()) == pytest.approx(sum(f * e * e / 2 for f, e in zip(weights, errors, strict=True)))
    loss.backward()
    gradient = model.words.weight.grad
    torch.testing.assert_close(gradient[0], weights[0] * errors[0] * c[1] + weights[2] * errors[2] * c[3])
    torch.testing.assert_close(gradient[3], torch.zeros(3, dtype=torch.float64))


def test_glove_fits_counts_that_it_can_represent():
    """log X of rank 1 with biases: the fit explains it, so that words of one kind end up together."""
    strength = torch.tensor([2.0, 1.8, -2.0, -1.8, 0.5])
    log_x = strength[:, None] * strength[None, :] * 0.5 + 2.0
    first, second = (t.flatten() for t in torch.meshgrid(torch.arange(5), torch.arange(5), indexing="ij"))
    pairs = Cooccurrences(first, second, log_x.exp().flatten())
    vectors = train_glove(pairs, 5, 4, n_epochs=150, batch_size=25, learning_rate=0.3, seed=0)
    near, far = (torch.cosine_similarity(vectors[0], vectors[k], dim=0) for k in (1, 2))
    assert near > 0.9 and far < 0.0


def test_words_without_a_vector_get_one_of_the_same_spread():
    vocabulary = Vocabulary([f"w{i}" for i in range(2000)])
    vectors = torch.from_numpy(np.random.default_rng(0).normal(0, 0.3, (500, 8))).float()
    found = vectors_for(vocabulary, WordVectors(tuple(f"w{i}" for i in range(0, 1000, 2)), vectors))
    torch.testing.assert_close(found[2], vectors[1])
    assert float(found[1000:].std()) == pytest.approx(0.3, rel=0.05)


# Topic model ----------------------------------------------------------------------------------------------------


def test_topic_model_learns_without_labels_and_its_features_tell_topics_apart(documents):
    few, test = documents
    torch.manual_seed(0)
    model = TopicModel(few.n_words, 3, 16, few.log_frequencies())
    batch, draw = collate_documents(few, torch.arange(50)), Draw(1, 0)
    nll, kl = model.terms(batch, draw)
    dense = torch.zeros(50, few.n_words).index_put((batch.rows, batch.words), batch.counts)
    features = model.encoder(batch, draw)
    mean, log_variance = model.to_mean(features), model.to_log_variance(features)
    normal = torch.distributions.Normal(mean, (0.5 * log_variance).exp())
    expected = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(-1)
    torch.testing.assert_close(kl, expected)
    background = -(dense @ few.log_frequencies())
    assert abs(float(nll.detach().mean() - background.mean())) < 3.0  # before training: about the background's

    unlabelled = replace(few, labels=torch.full_like(few.labels, -1))
    pretrain(model, unlabelled, Fit(100, batch_size=50, learning_rate=0.03, seed=0), CPU)
    model.eval()
    with torch.no_grad():
        assert float(model.terms(batch, draw)[0].mean()) < float(nll.detach().mean()) - 1.0
    trained, checked = model.features(few), model.features(test)
    assert trained.shape == (len(few), 3 + 16) and float(trained[:, :3].square().mean()) == pytest.approx(1.0, rel=1e-4)
    classifier = AverageClassifier(few.n_words, 4, 16, 3, n_features=19)
    with torch.no_grad():
        classifier.words.weight.zero_()
    classifier.words.requires_grad_(False)  # features alone
    settings = Fit(40, batch_size=12, learning_rate=0.03, validate_every=20)
    curve = train_classifier(classifier, few, test, settings, CPU, (trained, checked))
    assert curve[-1][1] > 0.7


def test_topics_do_not_collapse_where_there_are_many(documents):
    few, _ = documents
    torch.manual_seed(0)
    model = TopicModel(few.n_words, 40, 16, few.log_frequencies())
    pretrain(model, few, Fit(100, batch_size=50, learning_rate=0.03, seed=0), CPU)
    with torch.no_grad():
        topics = model.to_mean(model.encoder(collate_documents(few, torch.arange(len(few))))).softmax(-1)
    # With theta, not D theta, as the generator's input it is .02.
    assert float((topics.std(0) / topics.mean(0)).mean()) > 0.1


# Class mixtures -------------------------------------------------------------------------------------------------


def test_bounds_against_explicit_sums():
    generator = torch.Generator().manual_seed(0)
    nll = torch.rand(6, 3, generator=generator, dtype=torch.float64) * 3
    q = torch.rand(6, 3, generator=generator, dtype=torch.float64).softmax(-1)
    evidence = [-math.log(sum(math.exp(-float(nll[b, k])) / 3 for k in range(3))) for b in range(6)]
    for b in range(6):
        explicit = sum(float(q[b, k]) * (float(nll[b, k]) + math.log(3) + math.log(q[b, k])) for k in range(3))
        assert float(summed_bound(nll, q.log())[b]) == pytest.approx(explicit) and explicit > evidence[b]
    # tight where q is the posterior, and Hard EM is never below its -log p(x, y*)
    exact = (-nll).log_softmax(-1)
    torch.testing.assert_close(summed_bound(nll, exact), torch.tensor(evidence, dtype=torch.float64))
    one_hot = torch.nn.functional.one_hot(nll.argmin(-1), 3).double()
    sure = (one_hot * 0.999999 + 5e-7).log()
    torch.testing.assert_close(hard_bound(nll, sure), nll.min(-1).values + math.log(3), atol=1e-5, rtol=0)


def test_nll_of_all_classes_is_that_of_each(documents):
    few, _ = documents
    torch.manual_seed(0)
    model = ClassMixture(few.n_words, 3, 2, 8, few.log_frequencies())
    torch.nn.init.normal_(model.decoder.class_words)
    batch = collate_documents(few, torch.arange(7))
    z = model.infer(batch, Draw(0, 0)).z
    found = model.nll_of_all(batch, z)
    dense = torch.zeros(7, few.n_words).index_put((batch.rows, batch.words), batch.counts)
    for k in range(3):
        scores = z @ model.decoder.output.weight.T + model.decoder.class_words[k] + few.log_frequencies()
        expected = -(dense * scores.log_softmax(-1)).sum(-1)
        torch.testing.assert_close(found[:, k], expected, rtol=1e-4, atol=1e-3)
        torch.testing.assert_close(model.nll(batch, z, torch.full((7,), k)), found[:, k], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("hard", [False, True])
def test_mixtures_learn_classes_from_few_labels(documents, hard):
    few, test = documents
    torch.manual_seed(0)
    model = ClassMixture(few.n_words, 3, 2, 16, few.log_frequencies())
    settings = Fit(60, batch_size=12, learning_rate=0.03, validate_every=20)
    curve = train_mixture(model, few, test, settings, CPU, hard=hard, n_unlabelled=30, label_weight=5.0)
    assert max(value for _, value in curve) == share_right(model.logits, test, CPU) > 0.85
