"""Symbols by wording: found where sentences differ in how they are put, not in what they are about."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_mutual_info_score
from tiny_runs import tiny_config

from svebm_ext.data import EncodedSplit, Split, Vocabulary
from svebm_ext.data.corpora import load_configured
from svebm_ext.models.features import WordFeatures
from svebm_ext.training.feeds import SentenceFeed
from svebm_ext.training.guides import learn_features
from svebm_ext.training.guides.bags import bags_of_split
from svebm_ext.training.guides.parts import halves
from svebm_ext.training.guides.unlabelled import find_symbols
from svebm_ext.training.guides.wording import DIM, agreement, by_wording, is_conversation
from svebm_ext.training.runtime import Runtime

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
    vectors = np.linalg.svd(bags.tfidf.toarray().astype(np.float64), full_matrices=False)[2][:DIM].T
    centres = vectors.T @ guide.tfidf.astype(np.float64)
    centres *= -2.0 * guide.bias / (centres**2).sum(0)  # their scale is the sharpness, which the bias has as well
    squares = (((bags.tfidf @ vectors)[:, :, None] - centres) ** 2).sum(1)
    probabilities = np.exp(guide.log_probabilities(bags))
    nearest = np.sort(squares, 1)
    clear = nearest[:, 1] - nearest[:, 0] > 0.01
    assert clear.mean() > 0.9 and np.array_equal(probabilities.argmax(1)[clear], squares.argmin(1)[clear])
    learner = KMeans(5, n_init=10, random_state=0).fit(bags.tfidf @ vectors)
    assert nearest[:, 0].sum() < 1.02 * learner.inertia_
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


@pytest.mark.parametrize(
    ("asking", "telling", "mark", "expected"),
    [
        (40, 60, "?", True), (26, 74, "?", True), (74, 26, "?", True), (24, 76, "?", False), (90, 10, "?", False),
        (30, 70, "？", True), (30, 70, "؟", True), (30, 70, "!?", True), (30, 70, ";", False), (0, 100, "?", False),
    ],
)  # fmt: skip
def test_a_conversation_has_questions_and_other_sentences(asking, telling, mark, expected):
    sentences = [["who", mark, "who", mark]] * asking + [["nobody", "."]] * telling
    vocabulary = Vocabulary.build(sentences)
    assert is_conversation(EncodedSplit.from_split(Split(sentences), vocabulary), vocabulary) is expected


def test_headlines_are_grouped_by_topics_whatever_halves_agree_on(tmp_path):
    """A frequent word that halves agree on makes no conversation: nothing is asked, and topics are taken."""
    generator = np.random.default_rng(3)
    texts = [
        f"{'to' if generator.random() < 0.3 else 'w' + str(generator.integers(300))} w{n % 50} a" for n in range(300)
    ]
    (tmp_path / "train.txt").write_text("\n".join(texts))
    config = tiny_config(
        tmp_path / "train.txt", model={"sentence_features": "words", "n_categories": 2},
        objective={"pseudo_labels": "words", "pseudo_label_weight": 1.0, "group_by": "auto"},
    )  # fmt: skip
    corpus = load_configured(config.data)
    vocabulary = Vocabulary.build(corpus.train.sentences)
    said = []
    feed = SentenceFeed(corpus, vocabulary, config, Runtime.start("cpu"))
    learnt = learn_features(feed, vocabulary, config, said.append)
    assert len(said) == 1 and "2 of 2 in use" in said[0]
    assert learnt.guide.scores.any() and not learnt.guide.tfidf.any()


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
