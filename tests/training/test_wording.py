"""Symbols by wording: found where sentences differ in how they are put, not in what they are about."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score

from svebm_ext.data import EncodedSplit, Split, Vocabulary
from svebm_ext.models.features import WordFeatures
from svebm_ext.training.guides.bags import bags_of_split
from svebm_ext.training.guides.unlabelled import find_symbols
from svebm_ext.training.guides.wording import agreement, by_wording, halves

ASKED = ["do you {} {} {} ?", "would you {} {} {} ?", "can you {} {} {} ?"]
TOLD = ["i am {} {} {} .", "i was {} {} {} .", "i see {} {} {} ."]
ANY = ["the {} {} {}", "{} of {} and {}", "my {} with {} {}", "a {} for {} in {}", "{} {} {} !"]


@pytest.fixture(scope="module")
def conversation():
    """Bags of 600 questions and answers about 7 things, far more than symbols, and which of both each is."""
    generator = np.random.default_rng(0)
    words = np.array([[f"t{topic}w{i}" for i in range(40)] for topic in range(7)])
    kinds = generator.integers(0, 2, 600)
    forms = [(ASKED, TOLD)[kind][generator.integers(3)] for kind in kinds]
    about = generator.integers(0, 7, 600)
    texts = [form.format(*generator.choice(words[t], 3)) for form, t in zip(forms, about, strict=True)]
    return bags_of([text.split() for text in texts]), kinds


@pytest.fixture(scope="module")
def topics():
    """Bags of 600 sentences of three topics, each put in any way, and their topics."""
    generator = np.random.default_rng(1)
    words = np.array([[f"t{topic}w{i}" for i in range(25)] for topic in range(3)])
    about = generator.integers(0, 3, 600)
    forms = [ANY[generator.integers(len(ANY))] for _ in about]
    texts = [form.format(*generator.choice(words[t], 3)) for form, t in zip(forms, about, strict=True)]
    return bags_of([text.split() for text in texts]), about


def bags_of(sentences):
    vocabulary = Vocabulary.build(sentences)
    split = EncodedSplit.from_split(Split(sentences), vocabulary)
    features = WordFeatures(len(vocabulary))
    features.fit(split)
    return bags_of_split(split, features)


def test_the_guide_gives_each_sentence_its_nearest_centre(conversation):
    bags, _ = conversation
    guide = by_wording(bags, 5, seed=3)
    learner = KMeans(5, n_init=3, max_iter=25, random_state=3).fit(bags.tfidf)
    probabilities = np.exp(guide.log_probabilities(bags))
    assert np.array_equal(probabilities.argmax(1), learner.predict(bags.tfidf))
    assert probabilities.max(1).mean() >= 0.9
    np.testing.assert_allclose(probabilities.sum(1), 1.0, rtol=1e-5)


def test_a_text_without_topics_is_grouped_by_wording(conversation):
    bags, kinds = conversation
    said = []
    guide = find_symbols(bags, 2, seed=0, group_by="auto", say=said.append)
    assert adjusted_mutual_info_score(kinds, guide.log_probabilities(bags).argmax(1)) > 0.9
    assert said[0].endswith("taken: wording (--objective.group-by topics for topics)")
    assert not guide.scores.any() and not guide.weight.any()


def test_a_text_with_topics_is_grouped_by_them(topics):
    bags, about = topics
    said = []
    guide = find_symbols(bags, 3, seed=0, group_by="auto", say=said.append)
    assert adjusted_mutual_info_score(about, guide.log_probabilities(bags).argmax(1)) > 0.9
    assert said[0].endswith("taken: topics")


def test_the_kind_that_is_asked_for_is_taken(topics):
    bags, _ = topics
    said = []
    worded = find_symbols(bags, 3, seed=0, group_by="wording", say=said.append)
    assert worded.tfidf.any() and not worded.scores.any()
    assert not any("halves" in line for line in said)


def test_agreement_is_that_of_two_halves(topics):
    """1 where both halves find the same, near 0 where each of them guesses."""
    bags, _ = topics
    assert [sorted(np.concatenate(pair)) for pair in halves(7, 2, seed=0)] == [list(range(7))] * 2
    assert not np.array_equal(*(pair[0] for pair in halves(7, 2, seed=0)))
    same = agreement(bags, 2, lambda part, start: by_wording(bags, 3, 0), seed=0)
    assert same == pytest.approx(1.0)

    def guessed(part, start):
        guide = by_wording(part, 3, start)
        rows = np.random.default_rng(start).permutation(len(guide.tfidf))
        return type(guide)(guide.scores, 50 * guide.tfidf[rows], guide.weight, 0 * guide.bias)

    assert agreement(bags, 3, guessed, seed=0) < 0.3


def test_few_sentences_are_grouped_by_topics(conversation):
    bags, _ = conversation
    said = []
    find_symbols(bags[:20], 6, seed=0, group_by="auto", say=said.append)
    assert not any("halves" in line for line in said)
