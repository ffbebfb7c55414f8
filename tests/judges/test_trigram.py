import math
from collections import Counter

import pytest

from svebm_ext.errors import DataError
from svebm_ext.judges.trigram import TrigramChain

SENTENCES = [["turn", "on", "light"], ["turn", "off", "light"], ["stop"], ["play", "on"], ["turn", "on", "music"]]
SYMBOLS = [*sorted({word for sentence in SENTENCES for word in sentence}), None, "never seen"]


@pytest.mark.parametrize("before", [[], ["turn"], ["turn", "on"], ["light", "light"], ["no", "such"], ["on", "stop"]])
def test_probabilities_sum_to_1_over_the_vocabulary(before):
    chain = TrigramChain.fit(SENTENCES)
    assert chain.vocabulary_size == len(SYMBOLS)
    assert sum(chain.probability(word, before) for word in SYMBOLS) == pytest.approx(1.0, abs=1e-12)
    assert (chain.probability(None, before) == 0.0) == (before == [])


def test_nll_of_a_language_of_one_sentence_in_closed_form():
    """Four times "a": vocabulary {a, end, unknown}, p(a) = p(end) = (4 + 2/3) / 10, then 4 counts of one word each."""
    chain = TrigramChain.fit([["a"]] * 4)
    unigram = (4 + 2 / 3) / 10
    after = (4 + (4 + unigram) / 5) / 5  # p(end | start, a) = p(a | start, start) before the end is refused there
    end = (0 + (0 + unigram) / 5) / 5
    first = after / (1 - end)
    assert chain.nll([["a"]]) == pytest.approx(-math.log(first) - math.log(after), abs=1e-12)
    unknown = (0 + 2 / 3) / 10 / 25 / (1 - end)
    assert chain.probability("b") == pytest.approx(unknown, abs=1e-12)
    # After an unknown word neither pair nor word has a count: what is left is the unigram.
    assert chain.nll([["b"]]) == pytest.approx(-math.log(unknown) - math.log(unigram), abs=1e-12)
    assert chain.nll([["a"], ["b"]]) == pytest.approx((chain.nll([["a"]]) + chain.nll([["b"]])) / 2)


def test_samples_have_the_probabilities_of_the_chain():
    chain = TrigramChain.fit(SENTENCES)
    n = 20_000
    samples = chain.sample(n, seed=3)
    assert min(map(len, samples)) == 1 and max(map(len, samples)) == 3  # cut at the longest of training
    first = Counter(sentence[0] for sentence in samples)
    known = 1 - chain.probability("never seen")
    for word in SYMBOLS[:-2]:
        p = chain.probability(word) / known
        assert first[word] / n == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / n)), word
    turned = [sentence[1] if len(sentence) > 1 else None for sentence in samples if sentence[0] == "turn"]
    known = 1 - chain.probability("never seen", ["turn"])
    for word in ("on", "off", None):
        p = chain.probability(word, ["turn"]) / known
        assert turned.count(word) / len(turned) == pytest.approx(p, abs=4 * math.sqrt(p * (1 - p) / len(turned)))


def test_seeds_and_greedy_samples():
    chain = TrigramChain.fit(SENTENCES)
    assert chain.sample(20, seed=1) == chain.sample(20, seed=1) != chain.sample(20, seed=2)
    greedy = chain.sample(200, seed=1, greedy=True)
    assert {tuple(sentence[1:2]) for sentence in greedy if sentence[0] == "turn"} == {("on",)}
    assert all(sentence[1:] == [] for sentence in greedy if sentence[0] == "stop")
    assert {len(sentence) for sentence in chain.sample(50, seed=1, max_tokens=1)} == {1}


def test_texts_like_those_of_training_are_more_probable():
    chain = TrigramChain.fit(SENTENCES * 10)
    assert chain.nll([["turn", "off", "light"]]) < chain.nll([["light", "off", "turn"]])


def test_sentences_without_a_word():
    with pytest.raises(DataError, match="none of the 2 sentences"):
        TrigramChain.fit([[], []])
    chain = TrigramChain.fit([[], ["a"]])
    assert chain.probability("a") == TrigramChain.fit([["a"]]).probability("a")
    with pytest.raises(DataError, match="needs a word"):
        chain.nll([[]])
    with pytest.raises(DataError, match="needs a word"):
        chain.nll([])
