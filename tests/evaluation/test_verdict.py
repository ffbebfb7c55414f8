import pytest

from svebm_ext.evaluation.verdict import accuracy_sentence, agreement_sentence


@pytest.mark.parametrize(
    ("ours", "plain", "verdict"),
    [
        (0.568, 0.452, "The model is better here."),
        (0.31, 0.45, "The plain way is better here."),
        (0.451, 0.449, "Both are equally good here."),
    ],
)
def test_agreement_says_which_way_is_better(ours, plain, verdict):
    expected = (
        f"28 topics; against your labels AMI {ours:.2f} (TF-IDF + k-means: {plain:.2f}; 0 is chance, 1 is identity)."
    )
    assert agreement_sentence(28, None, ours, plain) == f"{expected} {verdict}"


def test_agreement_with_a_named_label_and_without_a_control():
    assert (
        agreement_sentence(1, "act", 0.5, None) == "1 topic; against label 'act' AMI 0.50 (0 is chance, 1 is identity)."
    )


def outcomes(n, both, ours, plain):
    """Of n texts, how many both classify correctly, only the model, only the plain way."""
    neither = n - both - ours - plain
    right = [True] * both + [True] * ours + [False] * plain + [False] * neither
    plain_right = [True] * both + [False] * ours + [True] * plain + [False] * neither
    return right, plain_right


@pytest.mark.parametrize(
    ("ours", "plain", "shares", "verdict"),
    [
        (60, 20, ("86.0", "82.0"), "The model is better here."),
        (20, 60, ("82.0", "86.0"), "The plain way is better here."),
        (31, 20, ("83.1", "82.0"), "The model is better here, but by no more than chance explains."),
        (20, 31, ("82.0", "83.1"), "The plain way is better here, but by no more than chance explains."),
        (20, 20, ("82.0", "82.0"), "Both are equally good here."),
    ],
)
def test_a_lead_in_accuracy_counts_beyond_chance(ours, plain, shares, verdict):
    """McNemar: (60 - 20)^2 / 80 = 20 and (31 - 20)^2 / 51 = 2.4, beside 3.84."""
    expected = f"Accuracy {shares[0]} % on 1,000 labelled test texts (TF-IDF + logistic regression: {shares[1]} %)."
    assert accuracy_sentence(*outcomes(1000, 800, ours, plain)) == f"{expected} {verdict}"


def test_accuracy_on_few_texts_has_its_interval():
    """Wilson's interval of 54 of 65 by hand: centre (p + z^2/2n) / (1 + z^2/n) = .8123, half its width .0911."""
    right, plain_right = outcomes(65, 50, 4, 3)
    assert accuracy_sentence(right, None) == "Accuracy 83.1 % (72.2 to 90.3, 65 texts)."
    assert accuracy_sentence(right, plain_right) == (
        "Accuracy 83.1 % (72.2 to 90.3, 65 texts; TF-IDF + logistic regression: 81.5 %). "
        "The model is better here, but by no more than chance explains."
    )
