"""All measures of agreement at once, as an evaluation and the references of a table take them."""

import math

import pytest
import sklearn.metrics
import torch

from svebm_ext.data.corpus import Split
from svebm_ext.errors import DataError
from svebm_ext.measures.agreement import AGREEMENT, BEYOND, agreement_with_labels, question_marks
from svebm_ext.measures.documentation import METRIC_DOCUMENTATION

ACTS = ["question", "question", "inform", "directive", "inform", "directive"]
SENTENCES = [["who", "?"], ["why", "?", "tell", "me"], ["me"], ["go", "!"], ["you"], ["stop"]]


def test_question_marks():
    assert question_marks(SENTENCES) == ["question mark"] * 2 + ["none"] * 4
    assert question_marks([["what?"], []]) == ["none", "none"]  # a token of its own, as readers make it


def test_all_keys_for_all_labels():
    split = Split(SENTENCES, {"act": ACTS, "mood": ["good", "bad"] * 3, "empty": [""] * 6})
    symbols = torch.tensor([0, 0, 1, 2, 1, 2])
    found = agreement_with_labels(symbols, split)
    assert set(found) == set(AGREEMENT) | set(BEYOND) <= set(METRIC_DOCUMENTATION)
    assert all(set(scores) == {"act", "mood"} for scores in found.values())
    assert found["homogeneity"]["act"] == pytest.approx(1)
    expected = sklearn.metrics.adjusted_mutual_info_score(["good", "bad"] * 3, symbols)
    assert found["adjusted_mutual_information"]["mood"] == pytest.approx(expected)
    # Beyond the question mark, the symbols tell directives from statements: four of six sentences, one bit each.
    assert found["information_beyond_question_mark"]["act"] == pytest.approx(4 / 6 * math.log(2))
    assert found["information_beyond_question_mark_share"]["act"] == pytest.approx(1)


def test_a_question_mark_detector_tells_nothing_beyond_question_marks():
    split = Split(SENTENCES * 50, {"act": ACTS * 50})
    found = agreement_with_labels(torch.tensor([0, 0, 1, 1, 1, 1] * 50), split)
    assert found["homogeneity"]["act"] > 0.5
    for key in BEYOND:
        assert found[key]["act"] == pytest.approx(0, abs=1e-12)


def test_without_questions_there_is_nothing_beyond():
    split = Split([["a"], ["b"]], {"act": ["x", "y"]})
    assert set(agreement_with_labels(torch.tensor([0, 1]), split)) == set(AGREEMENT)
    split = Split([["a", "?"], ["b"]], {"act": ["x", "y"]})
    assert set(agreement_with_labels(torch.tensor([0, 1]), split, questions=False)) == set(AGREEMENT)
    with pytest.raises(DataError, match="one label per symbol"):
        agreement_with_labels(torch.tensor([0]), split)
