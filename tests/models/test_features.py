"""Features of words against scikit-learn and numpy, and what they are for: words that occur together are alike."""

import numpy as np
import pytest
import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from tiny_runs import TOPICS, write_documents

from svebm_ext.data import EncodedSplit, Vocabulary, load_text
from svebm_ext.data.batching import bags_of
from svebm_ext.data.documents import DocumentSplit
from svebm_ext.models.features import (
    FEATURE_DIM,
    TOPIC_DIM,
    WordFeatures,
    count_matrix,
    positive_information,
    singular_vectors,
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return load_text(write_documents(tmp_path_factory.mktemp("words"), n=240))


@pytest.fixture(scope="module")
def vocabulary(corpus):
    return Vocabulary.build(corpus.train.sentences)


@pytest.fixture(scope="module")
def train(corpus, vocabulary):
    return EncodedSplit.from_split(corpus.train, vocabulary)


@pytest.fixture(scope="module")
def features(train, vocabulary):
    found = WordFeatures(len(vocabulary))
    found.fit(train, seed=3)
    return found


def test_bags_leave_special_tokens_out_and_count():
    tokens = torch.tensor([5, 4, 5, 3, 1, 3, 4, 3])
    rows = torch.tensor([0, 0, 0, 0, 1, 1, 2, 2])
    words, counts, offsets = bags_of(tokens, rows, 4, 7)
    assert words.tolist() == [4, 5, 4] and counts.tolist() == [1.0, 2.0, 1.0]
    assert offsets.tolist() == [0, 2, 2, 3, 3]


def test_counts_are_those_of_the_sentences(train, vocabulary, corpus):
    counts = count_matrix(train, len(vocabulary)).toarray()
    for row in (0, 7, 100):
        expected = np.zeros(len(vocabulary))
        for word in corpus.train.sentences[row]:
            expected[vocabulary.encode([word])[0]] += 1
        assert (counts[row] == expected).all()
    fewer = count_matrix(train, len(vocabulary), 50).toarray()
    assert len(fewer) == 50 and all((fewer[i] == counts[i * len(counts) // 50]).all() for i in range(50))


def test_a_bag_of_words_has_the_features_of_the_sentence(features, train, vocabulary, corpus):
    documents = DocumentSplit.from_split(corpus.train, vocabulary)
    torch.testing.assert_close(features.of_split(documents), features.of_split(train))
    assert (count_matrix(documents, len(vocabulary), 50) != count_matrix(train, len(vocabulary), 50)).nnz == 0
    again = WordFeatures(len(vocabulary))
    again.fit(documents, seed=3)
    torch.testing.assert_close(again.topics, features.topics)
    torch.testing.assert_close(again.vectors, features.vectors)


def test_tfidf_is_scikit_learns(features, train, vocabulary, corpus):
    words, counts, offsets = bags_of(
        train.targets, torch.repeat_interleave(torch.arange(len(train)), train.lengths), len(train), len(vocabulary)
    )
    found = torch.zeros(len(train), len(vocabulary))
    rows = torch.repeat_interleave(torch.arange(len(train)), offsets.diff())
    found[rows, words] = features.tfidf(words, counts, offsets)
    learner = TfidfVectorizer(analyzer=lambda sentence: sentence, sublinear_tf=True)
    expected = learner.fit_transform(corpus.train.sentences).toarray()
    for word, column in learner.vocabulary_.items():
        np.testing.assert_allclose(found[:, vocabulary.encode([word])[0]], expected[:, column], rtol=1e-4, atol=1e-6)


def test_parts_have_unit_length_and_words_of_one_topic_are_alike(features, train, corpus):
    found = features.of_split(train)
    assert found.shape == (len(train), FEATURE_DIM)
    for part in (found[:, :TOPIC_DIM], found[:, TOPIC_DIM:]):
        torch.testing.assert_close(part.norm(dim=1), torch.ones(len(train)))
    topics = np.array(corpus.train.labels["label"])
    alike = (found @ found.T).numpy()
    same = topics[:, None] == topics
    assert alike[same & ~np.eye(len(same), dtype=bool)].mean() > alike[~same].mean() + 0.3


def test_words_are_alike_that_share_sentences(features, vocabulary):
    vectors = torch.nn.functional.normalize(features.vectors, dim=-1)

    def likeness(a, b):
        return float(vectors[vocabulary.encode([a])[0]] @ vectors[vocabulary.encode([b])[0]])

    sea, kitchen = TOPICS["sea"], TOPICS["kitchen"]
    within = np.mean([likeness(a, b) for a in sea for b in sea if a != b])
    across = np.mean([likeness(a, b) for a in sea for b in kitchen])
    assert within > across + 0.2


def test_positive_information_of_a_small_table():
    from scipy.sparse import csr_matrix

    sentences = csr_matrix(np.array([[1, 1, 0, 0], [2, 1, 0, 0], [0, 0, 1, 1], [0, 1, 0, 1]], float))
    # Ordered pairs: (0, 1) twice, (2, 3) once, (1, 3) once, and the same turned round: 8 in all. Word 0 is in 2,
    # word 1 in 3, word 2 in 1, word 3 in 2.
    found = positive_information(sentences).toarray()
    expected = np.zeros((4, 4))
    expected[0, 1] = expected[1, 0] = np.log(2 * 8 / (2 * 3))
    expected[2, 3] = expected[3, 2] = np.log(1 * 8 / (1 * 2))
    expected[1, 3] = expected[3, 1] = np.log(1 * 8 / (3 * 2))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_singular_vectors_are_numpys_and_0_beyond_the_rank():
    from scipy.sparse import csr_matrix

    matrix = np.random.default_rng(0).random((8, 5))
    vectors, values = singular_vectors(csr_matrix(matrix), 6, seed=0)
    expected = np.linalg.svd(matrix)
    np.testing.assert_allclose(values[:4], expected[1][:4], rtol=1e-4)
    np.testing.assert_allclose(np.abs(vectors[:, :4]), np.abs(expected[2][:4].T), atol=1e-2)
    assert (values[4:] == 0).all() and (vectors[:, 4:] == 0).all()


def test_features_are_0_for_what_is_unknown_and_learnt_twice_alike(features, train, vocabulary):
    again = WordFeatures(len(vocabulary))
    assert (again.of_split(train) == 0).all()
    again.fit(train, seed=3)
    assert all(torch.equal(a, b) for a, b in zip(again.buffers(), features.buffers(), strict=True))
    unknown = EncodedSplit.from_split(type(load_text(["a b"] * 3).train)([["zzz"], ["zzz", "yyy"]]), vocabulary)
    assert (features.of_split(unknown)[:, :TOPIC_DIM] == 0).all()


@pytest.mark.parametrize("texts", [["word"] * 12, ["one two", "three four", "five six"]])
def test_texts_too_small_to_learn_from_are_no_error(texts):
    """All alike, or a single sentence once two are held out."""
    corpus = load_text(texts)
    vocabulary = Vocabulary.build(corpus.train.sentences)
    found = WordFeatures(len(vocabulary))
    train = EncodedSplit.from_split(corpus.train, vocabulary)
    found.fit(train)
    assert bool(found.of_split(train).isfinite().all())
