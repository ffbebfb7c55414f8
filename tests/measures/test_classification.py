import pytest
import torch

from svebm_ext.errors import DataError
from svebm_ext.measures.classification import accuracy, expected_calibration_error, reliability, wilson_interval


def test_accuracy_leaves_out_unlabelled_sentences():
    predicted, labels = torch.tensor([0, 1, 2, 0]), torch.tensor([0, 1, 1, -1])
    assert accuracy(predicted, labels) == pytest.approx(2 / 3)
    with pytest.raises(DataError, match="none of the 4"):
        accuracy(predicted, torch.full((4,), -1))


def test_calibration_error_by_hand():
    """Two bins: confidences .6, .7 (one right of two) and .9, .8, 1 (all right) fall in (.5, .75] and (.75, 1]."""
    confidence = torch.tensor([0.6, 0.7, 0.9, 0.8, 1.0])
    probabilities = torch.stack([confidence, 1 - confidence], dim=1)
    labels = torch.tensor([0, 1, 0, 0, 0])
    expected = 2 / 5 * abs(0.5 - 0.65) + 3 / 5 * abs(1.0 - 0.9)
    assert expected_calibration_error(probabilities, labels, n_bins=4) == pytest.approx(expected, abs=1e-6)


def test_bins_are_closed_on_their_right():
    probabilities = torch.tensor([[0.5, 0.25, 0.25], [0.51, 0.29, 0.2]], dtype=torch.double)
    labels = torch.tensor([0, 1])
    # .5 is the right end of the first of two bins: |1 - .5| and |0 - .51|, not |.5 - .505| of a common bin.
    assert expected_calibration_error(probabilities, labels, n_bins=2) == pytest.approx((0.5 + 0.51) / 2)


def test_labels_drawn_from_the_probabilities_are_calibrated():
    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(40_000, 3, generator=generator).pow(3)
    probabilities = probabilities / probabilities.sum(1, keepdim=True)
    labels = torch.multinomial(probabilities, 1, generator=generator)[:, 0]
    assert expected_calibration_error(probabilities, labels) < 0.01
    sharpened = probabilities.pow(4) / probabilities.pow(4).sum(1, keepdim=True)
    assert expected_calibration_error(sharpened, labels) > 0.1


def test_unlabelled_rows_and_bad_bins():
    probabilities = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    assert expected_calibration_error(probabilities, torch.tensor([0, -1])) == 0
    with pytest.raises(DataError, match="at least one bin"):
        expected_calibration_error(probabilities, torch.tensor([0, 1]), n_bins=0)


def test_reliability_by_hand():
    confidence = torch.tensor([0.6, 0.7, 0.9, 0.8, 1.0], dtype=torch.double)
    probabilities = torch.stack([confidence, 1 - confidence], dim=1)
    found = reliability(probabilities, torch.tensor([0, 1, 0, 0, 0]), n_bins=4)
    assert [b.n for b in found] == [2, 3]
    assert [x for b in found for x in b[1:]] == pytest.approx([0.65, 0.5, 0.9, 1.0])


@pytest.mark.parametrize(
    ("n_right", "n", "expected"),
    [(81, 263, (0.2553, 0.3662)), (15, 148, (0.0624, 0.1605)), (0, 20, (0.0, 0.1611)), (1, 29, (0.0061, 0.1718))],
)
def test_intervals_of_shares_are_those_that_newcombe_1998_prints(n_right, n, expected):
    """Newcombe, Two-Sided Confidence Intervals for the Single Proportion, Statistics in Medicine 17, Table I."""
    assert wilson_interval(n_right, n) == pytest.approx(expected, abs=5e-5)
    low, high = wilson_interval(n - n_right, n)
    assert (1 - high, 1 - low) == pytest.approx(wilson_interval(n_right, n), abs=1e-12)


def test_an_interval_of_no_share_is_refused():
    for n_right, n in ((0, 0), (3, 2), (-1, 2)):
        with pytest.raises(DataError, match="no share"):
            wilson_interval(n_right, n)
