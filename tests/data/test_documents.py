"""Bags of words: counts against a Counter, batches, labelled subsets."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from svebm_ext.data.corpus import Split
from svebm_ext.data.documents import (
    N_SPECIAL,
    DocumentSplit,
    choose_labelled,
    collate_documents,
    content_words,
    document_vocabulary,
    keep_labels,
)
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import DataError

TEXTS = ["a b a c", "zebra", "b b b", "c a", "a"]
SPLIT = Split([text.split() for text in TEXTS], {"topic": ["x", "y", "", "y", "x"]})
VOCABULARY = Vocabulary.build([text.split() for text in TEXTS if text != "zebra"])


def bag(batch, row):
    part = slice(int(batch.offsets[row]), int(batch.offsets[row + 1]))
    words = VOCABULARY.decode((batch.words[part] + N_SPECIAL).tolist())
    return dict(zip(words, batch.counts[part].int().tolist(), strict=True))


def test_counts_are_those_of_a_counter():
    split = DocumentSplit.from_split(SPLIT, VOCABULARY, "topic")
    order = [3, 1, 0, 2, 0]
    batch = collate_documents(split, order)
    for row, index in enumerate(order):
        assert bag(batch, row) == {w: n for w, n in Counter(SPLIT.sentences[index]).items() if w in VOCABULARY}
    assert batch.indices.tolist() == order and batch.labels.tolist() == [1, 1, 0, -1, 0]
    assert split.classes == ("x", "y") and split.n_empty == 1
    assert split.lengths.tolist() == [4, 0, 3, 2, 1] and batch.totals.tolist() == [2, 0, 4, 3, 4]
    assert batch.n_tokens == 13 and batch.rows.tolist() == [0, 0, 2, 2, 2, 3, 4, 4, 4]


def test_repeated_rows_are_neighbours():
    batch = collate_documents(DocumentSplit.from_split(SPLIT, VOCABULARY, "topic"), [0, 1, 2])
    repeated = batch.repeat(2)
    assert [bag(repeated, row) for row in range(6)] == [bag(batch, row // 2) for row in range(6)]
    assert repeated.labels.tolist() == [0, 0, 1, 1, -1, -1]


def test_parts_keep_words_labels_and_vectors():
    vectors = torch.arange(10.0).reshape(5, 2)
    split = DocumentSplit.from_split(replace(SPLIT, vectors=vectors), VOCABULARY, "topic")
    part = split.part(torch.tensor([3, 1, 0]))
    both = split.part_of_both(part, torch.tensor([1, 2, 5, 7]))
    for of, rows in ((part, [3, 1, 0]), (both, [1, 2, 3, 0])):
        expected, found = split.collate(rows), of.collate(range(len(of)))
        assert [bag(found, row) for row in range(len(rows))] == [bag(expected, row) for row in range(len(rows))]
        assert torch.equal(of.labels, split.labels[rows]) and torch.equal(of.vectors, vectors[rows])
        assert (of.n_empty, of.classes, of.n_words) == (1, split.classes, split.n_words)
        assert torch.equal(found.vectors, vectors[rows]) and torch.equal(found.to("cpu").vectors, found.vectors)
        assert torch.equal(found.repeat(2).vectors, vectors[rows].repeat_interleave(2, 0))
    plain = DocumentSplit.from_split(SPLIT, VOCABULARY)
    assert plain.part_of_both(part, torch.tensor([0, 6])).vectors is None
    assert plain.collate([0]).repeat(2).vectors is None


def test_no_documents_and_no_words():
    split = DocumentSplit.from_split(SPLIT, Vocabulary([]))
    assert split.n_empty == 5 and split.n_words == 0
    batch = collate_documents(split, [])
    assert batch.n_documents == 0 and batch.n_tokens == 0 and batch.repeat(3).n_documents == 0


def test_background_sums_to_one_and_follows_the_counts():
    split = DocumentSplit.from_split(SPLIT, VOCABULARY)
    shares = split.log_frequencies().double().exp()
    assert shares.sum() == pytest.approx(1.0, abs=1e-6)
    assert shares.tolist() == pytest.approx([5 / 13, 5 / 13, 3 / 13])  # a and b 4 times, c twice, one added to each


def test_stop_words_are_those_of_scikit_learn():
    from sklearn.feature_extraction.text import CountVectorizer

    sentences = [s.split() for s in ("the cat 's tail , and a 42nd dog !", "it was in x Mars 9")]
    counted = CountVectorizer(stop_words="english", lowercase=False).fit([" ".join(s) for s in sentences])
    assert {w for s in content_words(sentences) for w in s} - {"'s"} == set(counted.vocabulary_)
    vocabulary = document_vocabulary(sentences, 3, remove_stop_words=True)
    assert vocabulary.tokens[N_SPECIAL:] == ("'s", "42nd", "Mars")
    assert "the" in document_vocabulary(sentences, 100, remove_stop_words=False)


def test_labelled_subsets_are_balanced_nested_and_follow_the_seed():
    labels = torch.tensor([0, 1, 2, -1] * 25)
    small, large = choose_labelled(labels, 10, seed=3), choose_labelled(labels, 30, seed=3)
    assert Counter(labels[small].tolist()) == {0: 4, 1: 3, 2: 3}
    assert Counter(labels[large].tolist()) == {0: 10, 1: 10, 2: 10}
    assert set(small.tolist()) <= set(large.tolist())
    assert not torch.equal(small, choose_labelled(labels, 10, seed=4))
    kept = keep_labels(labels, small)
    assert (kept >= 0).sum() == 10 and torch.equal(kept[small], labels[small])


def test_labels_that_do_not_suffice():
    labels = torch.tensor([0, 0, 0, 1, -1])
    with pytest.raises(DataError, match=r"class 'rare' has 1"):
        choose_labelled(labels, 4, 0, ("common", "rare"))
    assert choose_labelled(labels, 2, 0, ("common", "rare")).shape == (2,)  # one example of a class is enough
    with pytest.raises(DataError, match=r"class 'none' has 0"):
        choose_labelled(labels, 3, 0, ("common", "rare", "none"))
    with pytest.raises(DataError, match="1 labelled examples for 2 classes"):
        choose_labelled(labels, 1, 0)
    with pytest.raises(DataError, match="value 'y'"):
        DocumentSplit.from_split(SPLIT, VOCABULARY, "topic", ["x"])
    with pytest.raises(DataError, match="outside 0 to 4"):
        collate_documents(DocumentSplit.from_split(SPLIT, VOCABULARY), [5])


def test_long_documents_count_as_fewer_words():
    split = DocumentSplit.from_split(SPLIT, VOCABULARY, "topic", max_words=2)
    whole = DocumentSplit.from_split(SPLIT, VOCABULARY, "topic")
    assert split.n_longer == 2 and whole.n_longer == 0  # "a b a c", "b b b"
    assert split.lengths.tolist() == [2, 0, 2, 2, 1]
    torch.testing.assert_close(split.collate([0]).counts, whole.collate([0]).counts / 2)
    torch.testing.assert_close(split.collate([2]).counts, torch.tensor([2.0]))
    assert torch.equal(split.words, whole.words)  # every word stays, and counts as one at least where it is looked up
    assert split.bags(len(VOCABULARY))[1].min() == 1.0
