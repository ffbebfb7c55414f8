import math
from collections import Counter

import pytest

from svebm_ext.errors import DataError
from svebm_ext.measures.bleu import corpus_bleu


def bleu_by_definition(hypotheses, references):
    """BLEU-4 from its published definition, in a few lines, for corpora with matches of every order."""
    log_precision = 0.0
    for n in (1, 2, 3, 4):
        right = total = 0
        for hypothesis, reference in zip(hypotheses, references, strict=True):
            grams = [Counter(zip(*(row[i:] for i in range(n)), strict=False)) for row in (hypothesis, reference)]
            right += sum((grams[0] & grams[1]).values())
            total += sum(grams[0].values())
        log_precision += math.log(right / total) / 4
    n_hypothesis, n_reference = sum(map(len, hypotheses)), sum(map(len, references))
    return 100 * math.exp(log_precision + min(0.0, 1 - n_reference / n_hypothesis))


def test_identity_scores_100():
    sentences = [s.split() for s in ("the market fell sharply on monday .", "<unk> said N % of shares were sold")]
    assert corpus_bleu(sentences, sentences).score == pytest.approx(100)


def test_worked_example():
    """7 tokens against 7 with the last wrong: precisions 6/7, 5/6, 4/5, 3/4, no brevity penalty."""
    score = corpus_bleu([["a", "b", "c", "d", "e", "f", "x"]], [["a", "b", "c", "d", "e", "f", "g"]]).score
    assert score == pytest.approx(100 * (6 / 7 * 5 / 6 * 4 / 5 * 3 / 4) ** 0.25)


def test_brevity_penalty_and_counts_over_the_corpus():
    hypotheses = [s.split() for s in ("a b c d e", "the the the cat sat on")]
    references = [s.split() for s in ("a b c d e f g", "the cat sat on the mat today")]
    assert corpus_bleu(hypotheses, references).score == pytest.approx(bleu_by_definition(hypotheses, references))
    assert corpus_bleu(hypotheses, references).score < 100


def test_tokens_are_taken_as_they_are():
    """A tokeniser would split these; as single tokens they match nothing of the reference's pieces."""
    assert corpus_bleu([["don't", "e.g.,", "(x)", "A"]], [["don", "'t", "e.g.", ","]]).score < 20
    assert corpus_bleu([["Yes"] * 4], [["yes"] * 4]).score < 20


def test_signature_names_tokenisation_and_version():
    signature = corpus_bleu([["a"]], [["a"]]).signature
    assert "tok:none" in signature and "version:" in signature


def test_an_empty_hypothesis_is_allowed_and_wrong_numbers_are_not():
    assert 0 <= corpus_bleu([[], ["a", "b", "c", "d"]], [["x"], ["a", "b", "c", "d"]]).score < 100
    with pytest.raises(DataError, match="2 and 1"):
        corpus_bleu([["a"], ["b"]], [["a"]])
    with pytest.raises(DataError, match="at least one"):
        corpus_bleu([], [])
