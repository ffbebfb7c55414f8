"""Symbols and classes that words find: against known topics, a closed form, and the module that keeps them."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import adjusted_mutual_info_score, f1_score
from tiny_runs import tiny_config, write_documents

from svebm_ext.data import EncodedSplit, Split, Vocabulary, load_text
from svebm_ext.data.documents import choose_labelled
from svebm_ext.models.features import WordFeatures
from svebm_ext.models.guide import SymbolGuide
from svebm_ext.training.guides import labelled
from svebm_ext.training.guides.bags import (
    Bags,
    Guide,
    bags_of_split,
    expectation_maximisation,
    log_softmax,
    word_scores,
)
from svebm_ext.training.guides.labelled import find_classes
from svebm_ext.training.guides.merging import merged
from svebm_ext.training.guides.number import choose_n_symbols
from svebm_ext.training.guides.unlabelled import find_symbols, regression, without_empty
from svebm_ext.training.run import train


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """Documents of three topics, half of whose words are common to all: corpus, its bags, features, encoded split."""
    corpus = load_text(write_documents(tmp_path_factory.mktemp("guides"), n=360))
    vocabulary = Vocabulary.build(corpus.train.sentences)
    split = EncodedSplit.from_split(corpus.train, vocabulary, label="label")
    features = WordFeatures(len(vocabulary))
    features.fit(split)
    return corpus, bags_of_split(split, features), features, split


def few_labels(split, n):
    """Labels of the first n sentences of each class, -1 for the others."""
    labels = np.full(len(split), -1)
    for k in range(3):
        rows = np.flatnonzero(split.labels.numpy() == k)[:n]
        labels[rows] = k
    return labels


def test_word_scores_are_smoothed_log_frequencies():
    words = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]], np.float32)
    shares = np.array([[1.0, 0.0], [0.25, 0.75]], np.float32)
    counts = np.array([[1.0, 0.0], [1.25, 0.75], [0.25, 0.75]]) + 0.1
    np.testing.assert_allclose(word_scores(words, shares), np.log(counts / counts.sum(0)), rtol=1e-5)


def test_expectation_maximisation_raises_the_likelihood_to_a_fixed_point(text):
    _, bags, _, _ = text
    generator = np.random.default_rng(0)
    shares = generator.dirichlet(np.ones(3), len(bags)).astype(np.float32)
    likelihoods = []
    for _ in range(30):
        shares, mean = expectation_maximisation(bags.words, shares, 1)
        likelihoods.append(mean)
    assert (np.diff(likelihoods) > -2e-3).all() and likelihoods[-1] > likelihoods[0] + 0.5
    again, _ = expectation_maximisation(bags.words, shares, 10)
    np.testing.assert_allclose(again, shares, atol=0.02)
    np.testing.assert_allclose(shares.sum(1), 1.0, rtol=1e-5)


def test_symbols_are_the_topics_and_none_is_empty(text):
    corpus, bags, _, _ = text
    said = []
    guide = find_symbols(bags, 3, seed=0, say=said.append)
    found = guide.log_probabilities(bags).argmax(1)
    assert adjusted_mutual_info_score(corpus.train.labels["label"], found) > 0.85
    assert said == [
        f"symbols of {len(bags)} texts by their words: 3 of 3 in use; half of the text finds 100% of them again"
    ]
    again = find_symbols(bags, 3, seed=0)
    assert np.array_equal(again.scores, guide.scores) and np.array_equal(again.weight, guide.weight)
    many = find_symbols(bags, 12, seed=0)
    assert len(set(many.log_probabilities(bags).argmax(1))) == 12


def test_empty_symbols_get_half_of_the_largest():
    features = np.concatenate((np.zeros((10, 2)), np.ones((10, 2)))).astype(np.float32)
    shares = np.eye(3, dtype=np.float32)[np.zeros(20, int)]
    symbols = without_empty(features, shares, 0).argmax(1)
    assert sorted(np.bincount(symbols, minlength=3).tolist()) != [0, 0, 20]
    assert len(set(symbols[:10])) <= 2 and set(symbols[:10]).isdisjoint(set(symbols[10:]))
    even = np.eye(3, dtype=np.float32)[np.arange(21) % 3]
    assert without_empty(np.zeros((21, 2)), even, 0) is even


def information(words, symbols):
    """Mutual information of symbol and word, in nats, of a table of their counts."""
    table = np.stack([np.asarray(words[symbols == k].sum(0)).ravel() for k in np.unique(symbols)]).astype(np.float64)
    joint = table / table.sum()
    independent = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    return float((joint[joint > 0] * np.log(joint[joint > 0] / independent[joint > 0])).sum())


def test_each_merge_loses_the_least_information_about_words():
    """Against every pair that could have been merged, by the definition of mutual information."""

    generator = np.random.default_rng(0)
    words = csr_matrix((generator.random((60, 15)) < generator.random((60, 1)) * 0.6 + 0.05).astype(np.float32))
    fine = generator.integers(0, 8, 60) * 3  # names with gaps
    for n in range(7, 0, -1):
        coarse = merged(words, fine, n)
        finer = merged(words, fine, n + 1)
        assert sorted(set(coarse)) == list(range(n)) and len(set(zip(finer, coarse, strict=True))) == n + 1
        pairs = [(i, j) for i in range(n + 1) for j in range(i)]
        best = max(information(words, np.where(finer == i, j, finer)) for i, j in pairs)
        assert information(words, coarse) == pytest.approx(best, abs=1e-9)
    assert np.array_equal(merged(words, fine, 20), fine // 3)


def test_the_number_of_symbols_is_that_of_the_topics(text):
    said = []
    assert choose_n_symbols(text[1], seed=0, say=said.append) == 3
    assert said[0].startswith("symbols: 3, on which halves of the text agree best (3: ")
    assert "no more are tried" not in said[0] and said[0].endswith("for another number set --model.n-categories")


def test_kinds_are_found_and_not_the_phrases_that_they_are_written_in():
    """Four kinds, each with six phrases and words of its own; halves of the text find all of these again."""
    generator = np.random.default_rng(0)
    phrases = [[f"k{k}p{p}a k{k}p{p}b" for p in range(6)] for k in range(4)]
    words = [[f"k{k}w{i}" for i in range(8)] for k in range(4)]
    kinds = generator.integers(0, 4, 600)
    sentences = [f"{generator.choice(phrases[k])} {' '.join(generator.choice(words[k], 3))}".split() for k in kinds]
    vocabulary = Vocabulary.build(sentences)
    split = EncodedSplit.from_split(Split(sentences), vocabulary)
    features = WordFeatures(len(vocabulary))
    features.fit(split)
    said = []
    assert choose_n_symbols(bags_of_split(split, features), seed=0, say=said.append) == 4
    assert float(said[0].split("20: ")[1][:4]) > 0.6, said


def test_a_number_at_the_limit_is_said_to_be_at_it(text, monkeypatch):
    said = []
    monkeypatch.setattr("svebm_ext.training.guides.number.CANDIDATES", (2, 3, 400))
    assert choose_n_symbols(text[1], seed=0, say=said.append) == 3
    assert f"; no more are tried on {len(text[1]):,} texts; for another number" in said[0]


def test_a_text_too_small_to_compare_numbers(text):
    said = []
    assert choose_n_symbols(text[1][:20], seed=0, say=said.append) == 2
    assert said == ["symbols: 2; the text is too small to compare numbers of symbols (20 texts)"]
    assert choose_n_symbols(text[1][:1], seed=0, say=lambda _: None) == 1


@pytest.mark.parametrize("n", [1, 5])
def test_few_labels_find_the_classes(text, n):
    _, bags, _, split = text
    labels, said = few_labels(split, n), []
    guide = find_classes(bags, labels, 3, seed=0, say=said.append)
    right = guide.log_probabilities(bags).argmax(1) == split.labels.numpy()
    assert right[labels < 0].mean() > (0.7 if n == 1 else 0.9)
    assert ("cross-validation" in said[0]) == (n > 1) and f"{3 * n} labels of 3 classes" in said[0]
    guesses = guide.guesses(bags, torch.from_numpy(labels), 4)
    known = labels >= 0
    assert guesses.shape == (len(bags), 4) and (guesses[:, 3] == 0).all()
    assert (
        torch.equal(guesses[known].argmax(1), torch.from_numpy(labels[known])) and (guesses[known].max(1)[0] == 1).all()
    )
    torch.testing.assert_close(guesses.sum(1), torch.ones(len(bags)))


def unbalanced(n=1500, seed=0):
    """Bags of sentences of three classes, 85 % of them of the first; most words of a sentence are of any class."""
    generator = np.random.default_rng(seed)
    classes = generator.choice(3, n, p=[0.85, 0.1, 0.05])
    own = classes[:, None] * 20 + generator.integers(20, size=(n, 2))
    words = np.zeros((n, 100), np.float32)
    np.put_along_axis(words, np.hstack([own, 60 + generator.integers(40, size=(n, 4))]), 1.0, axis=1)
    return Bags(csr_matrix(words), words / np.linalg.norm(words, axis=1, keepdims=True), csr_matrix(words)), classes


def test_sizes_of_classes_are_learnt_where_labels_do_not_tell_them(monkeypatch):
    """Five labels of each class of very different sizes: more is right, also of the mean of classes, than without."""
    bags, classes = unbalanced()
    labels = np.full(len(classes), -1)
    for one in range(3):
        labels[np.flatnonzero(classes == one)[:5]] = one
    told = {}
    for sizes in ((0.0,), (1.0, 0.0)):
        monkeypatch.setattr(labelled, "SIZES", sizes)
        answers = find_classes(bags, labels, 3, seed=0).log_probabilities(bags).argmax(1)
        told[sizes] = (answers == classes).mean(), f1_score(classes, answers, average="macro")
    assert told[1.0, 0.0][0] > told[0.0,][0] + 0.1 and told[1.0, 0.0][1] > told[0.0,][1] + 0.1


def test_sizes_of_labels_that_tell_them_are_left_alone(monkeypatch):
    bags, classes = unbalanced()
    labels = np.where(np.arange(len(classes)) < 60, classes, -1)
    before = find_classes(bags, labels, 3, seed=0)
    monkeypatch.setattr(labelled, "SIZES", (0.0,))
    np.testing.assert_array_equal(find_classes(bags, labels, 3, seed=0).bias, before.bias)


def test_the_only_label_of_a_class_is_learnt_from_and_never_held_out(text, monkeypatch):
    """The others tell how many answers are right, as they do without that class."""
    _, bags, _, split = text
    labels, said, seen = few_labels(split, 5), [], []
    single = np.flatnonzero(labels == 2)
    labels[single[1:]] = -1
    taught = labelled._Learner.taught
    monkeypatch.setattr(
        labelled._Learner, "taught", lambda self, known, *how: seen.append(known) or taught(self, known, *how)
    )
    guide = find_classes(bags, labels, 3, seed=0, say=said.append)
    assert len(seen) > 5 and all(single[0] in known for known in seen)
    assert 0.6 < guide.reliability <= 1.0 and "% right in cross-validation" in said[0]


def test_each_class_is_spread_over_the_folds():
    labels = np.repeat([0, 1, 2, 3], [4, 4, 2, 9])
    parts = list(labelled._folds(np.arange(19), labels, 5, seed=0))
    assert sorted(np.concatenate([held for _, held in parts]).tolist()) == list(range(19))
    for kept, held in parts:
        assert set(labels[kept]) == {0, 1, 2, 3} and not set(kept) & set(held)


def test_two_classes_and_all_labels(text):
    """Two classes, of which scikit-learn keeps one row; every sentence labelled, so that EM has nothing to do."""
    _, bags, _, split = text
    labels = (split.labels.numpy() > 0).astype(int)
    guide = find_classes(bags, labels, 2, seed=0)
    found = guide.log_probabilities(bags)
    assert (found.argmax(1) == labels).mean() > 0.95
    np.testing.assert_allclose(np.exp(found).sum(1), 1.0, rtol=1e-4)


def test_the_model_keeps_the_guide(text):
    """The module's answers for a batch are those of the fitted guide, and it gives the guide back."""
    _, bags, features, split = text
    guide = find_classes(bags, few_labels(split, 5), 3, seed=0)
    module = SymbolGuide(len(features.idf), 4)
    guide.copy_to(module)
    batch = split.collate(torch.arange(40))
    found = module(batch, features)[batch.indices.argsort()]
    expected = guide.log_probabilities(bags)[:40]
    np.testing.assert_allclose(found[:, :3].numpy(), expected, rtol=1e-3, atol=1e-3)
    assert (found[:, 3] < -1e3).all()
    assert float(module.power) == 1.0
    assert np.array_equal(type(guide).of(module).scores[:, :3], guide.scores)


def test_bags_are_cut_in_all_their_parts(text):
    _, bags, _, _ = text
    part = bags[5:9]
    assert isinstance(part, Bags) and len(part) == 4
    assert (part.words != bags.words[5:9]).nnz == 0 and np.array_equal(part.features, bags.features[5:9])
    assert (part.tfidf != bags.tfidf[5:9]).nnz == 0


def test_log_softmax_is_torchs():
    scores = np.random.default_rng(0).normal(size=(4, 6)) * 50
    np.testing.assert_allclose(log_softmax(scores), torch.from_numpy(scores).log_softmax(-1).numpy(), rtol=1e-9)


@pytest.mark.parametrize("n_labelled", [0, 24])
def test_held_out_labels_are_learnt_from_when_the_model_has_been_chosen(tmp_path, n_labelled):
    config = tiny_config(
        write_documents(tmp_path, n=240),
        data={"n_labelled": n_labelled},
        model={"sentence_features": "words", "n_categories": 3},
        objective={"label_weight": 1.0, "pseudo_labels": "words", "pseudo_label_weight": 1.0, "label_at": "sample"},
        training={"max_steps": 4},
    )
    model, corpus = train(config, tmp_path / "run")
    names = model.label_names
    labelled = corpus.train.labels["label"] + (corpus.valid.labels["label"] if n_labelled == 0 else [])
    sentences = corpus.train.sentences + (corpus.valid.sentences if n_labelled == 0 else [])
    split = EncodedSplit.from_split(
        Split(sentences, {"label": labelled}), model.vocabulary, config.data.max_tokens, "label", names
    )
    labels = split.labels.numpy()
    if n_labelled:
        chosen = choose_labelled(split.labels, n_labelled, config.data.seed).numpy()
        labels = np.where(np.isin(np.arange(len(split)), chosen), labels, -1)
        held = EncodedSplit.from_split(corpus.valid, model.vocabulary, config.data.max_tokens)
        split, labels = split.followed_by(held), np.concatenate((labels, np.full(len(held), -1)))
    expected = find_classes(bags_of_split(split, model.networks.encoder.words), labels, 3, seed=config.seed)
    found = Guide.of(model.networks.guide)
    for name in ("scores", "tfidf", "weight", "bias"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-5, atol=1e-6)


def test_the_regression_answers_as_one_of_scikit_learn():
    """It has dropout, so that it is less certain; where classes overlap both draw the same borders."""
    generator = np.random.default_rng(0)
    labels = generator.integers(5, size=3000)
    features = generator.normal(size=(5, 43))[labels] + 2.0 * generator.normal(size=(3000, 43))
    features = (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32)
    weight, bias = regression(features, np.eye(5, dtype=np.float32)[labels], seed=0)
    told = features @ weight.T + bias
    plain = LogisticRegression(C=10.0).fit(features, labels)
    assert (told.argmax(1) == plain.predict(features)).mean() > 0.95
    mean = np.exp(log_softmax(told)).max(1).mean()
    assert 0.2 < mean < plain.predict_proba(features).max(1).mean()
    for one, other in zip(
        regression(features, np.eye(5, dtype=np.float32)[labels], seed=0), (weight, bias), strict=True
    ):
        assert np.array_equal(one, other)
