"""Diversity of samples against sacrebleu and counts by hand."""

import random

import pytest

from svebm_ext.errors import DataError
from svebm_ext.measures.diversity import copied, distinct, repeated, self_bleu


def sentences_at_random(n, seed=0):
    rng = random.Random(seed)
    return [[rng.choice("abcde") for _ in range(rng.randint(1, 9))] for _ in range(n)]


@pytest.mark.parametrize("n", [2, 3, 40])
def test_self_bleu_equals_the_mean_of_sacrebleu_sentence_scores(n):
    from sacrebleu.metrics import BLEU

    sentences = sentences_at_random(n, seed=n)
    metric = BLEU(tokenize="none", force=True, effective_order=True, smooth_method="floor", smooth_value=0.1)
    texts = [" ".join(sentence) for sentence in sentences]
    scores = [metric.sentence_score(text, texts[:i] + texts[i + 1 :]).score for i, text in enumerate(texts)]
    assert self_bleu(sentences) == pytest.approx(sum(scores) / n, rel=1e-9)


def test_self_bleu_has_its_ends():
    assert self_bleu([["a", "b", "c", "d", "e"]] * 3) == pytest.approx(100.0)
    assert self_bleu([list("abcdef"), list("ghijkl")]) == 0.0
    assert self_bleu([[], ["a"]]) == 0.0
    with pytest.raises(DataError, match="at least 2"):
        self_bleu([["a"]])


def test_shares_are_those_counted_by_hand():
    sentences = [["a", "b", "a"], ["a", "b"], ["c"], ["a", "b"]]
    assert distinct(sentences, 1) == 3 / 8  # a, b, c among eight words
    assert distinct(sentences, 2) == 2 / 4  # ab three times, ba once
    assert copied(sentences, {("a", "b"), ("c", "c")}) == 0.5
    assert repeated(sentences) == 0.25
    for call in (
        lambda: distinct(sentences, 4),
        lambda: distinct(sentences, 0),
        lambda: copied([], set()),
        lambda: repeated([]),
    ):
        with pytest.raises(DataError):
            call()
