import pytest
import torch
from tiny_runs import tiny_config, write_corpus

from svebm_ext.data.corpora import load_configured
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.evaluation.evaluate_sentences import SentenceEvaluator
from svebm_ext.evaluation.report import ReportContext, metrics_document, render_report
from svebm_ext.evaluation.summary import summary_lines
from svebm_ext.evaluation.verdict import (
    accuracy_sentence,
    agreement_sentence,
    crossing_remark,
    symbol_warnings,
    weak_classes_sentence,
)
from svebm_ext.models.svebm import SVEBM
from svebm_ext.prior.annealing import estimate_log_z
from svebm_ext.prior.network import EnergyMLP


@pytest.mark.parametrize(
    ("ours", "plain", "error", "told", "verdict"),
    [
        (0.568, [0.452], 0.01, "0.45", "The model is better here."),
        (0.31, [0.45], 0.01, "0.45", "The plain way is better here."),
        (0.31, [0.30], 0.01, "0.30", "Neither is clearly better here."),
        (0.31, [0.24, 0.25, 0.26], 0.02, "0.25, 0.24 to 0.26 by its start", "The model is better here."),
        (0.31, [0.24, 0.25, 0.26], 0.03, "0.25, 0.24 to 0.26 by its start", "Neither is clearly better here."),
        (0.2, [0.14, 0.22, 0.29], 0.0, "0.22, 0.14 to 0.29 by its start", "Neither is clearly better here."),
    ],
)
def test_agreement_says_which_way_is_better_where_that_is_clear(ours, plain, error, told, verdict):
    expected = f"28 topics; against your labels AMI {ours:.2f} (TF-IDF + k-means: {told}; 0 is chance, 1 is identity)."
    assert agreement_sentence(28, None, ours, plain, error=error) == f"{expected} {verdict}"


def test_agreement_says_on_how_many_texts_topics_were_counted():
    assert agreement_sentence(28, None, 0.5, [], 2000).startswith("28 topics in 2,000 test texts; against your labels")


def test_agreement_with_a_named_label_and_without_a_control():
    assert (
        agreement_sentence(1, "act", 0.5, []) == "1 topic; against label 'act' AMI 0.50 (0 is chance, 1 is identity)."
    )


def test_ends_of_log_z_that_cross_are_explained_beside_them():
    assert crossing_remark(-1.2, -1.1, 0.01) is None and crossing_remark(0.0, 0.0, 0.0) is None
    agree = crossing_remark(-1.775, -1.784, 0.008)
    assert agree is not None and "0.009 nats above the upper one, within their Monte Carlo error (0.008 nats)" in agree
    apart = crossing_remark(-1.0, -1.3, 0.01)
    assert apart is not None and "more than their Monte Carlo error (0.01 nats) explains: take more chains" in apart
    told = {"title": "x", "configuration": {}, "seed": 0, "device": "cpu", "commit": "c"}
    context = ReportContext(**told, remarks={"log_z_upper": agree})
    document = metrics_document({"log_z_lower": -1.775, "log_z_upper": -1.784, "mi": 1.0}, context)
    lines = summary_lines(document)
    at = next(i for i, line in enumerate(lines) if "log_z_upper" in line and "-1.784" in line)
    assert lines[at + 1].startswith("    log_z_upper: The lower end is 0.009 nats above") and len(lines[at + 1]) < 80
    (row,) = (line for line in render_report(document, context).splitlines() if line.startswith("| log_z_upper"))
    assert agree in row


def test_ends_of_a_flat_energy_cross_within_their_error():
    """Chains have no modes to miss: an end above the other is chance."""
    torch.manual_seed(0)
    energy = EnergyMLP(2, 3, (8,))
    crossed = 0
    for seed in range(8):
        found = estimate_log_z(energy, 2, n_chains=200, n_temperatures=20, seed=seed)
        remark = crossing_remark(found.lower, found.upper, found.standard_error)
        crossed += remark is not None
        assert remark is None or "they agree" in remark
    assert 0 < crossed < 8


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


def test_symbols_that_tell_texts_apart_have_no_warning():
    assert symbol_warnings([0, 1, 2, 0], 6, 1.0, {}) == []
    assert symbol_warnings([0, 0, 1, 1], 4, 0.1, {}) == []  # just half, just enough
    assert symbol_warnings([0] * 50, 1, 0.0, {}) == []  # no choice of symbols
    assert symbol_warnings([], 5, 0.0, {}) == []


def test_symbols_that_do_not_tell_texts_apart_have_warnings():
    largest, unused, information = symbol_warnings([0] * 51 + [1] * 49, 8, 0.05, {})
    assert largest == "one symbol has 51% of the test texts"
    assert unused == "2 of 8 symbols are in use on the test texts"
    assert information.startswith("I(z, y) is 0.05 nats")
    assert symbol_warnings([0, 1, 2], 100, 1.0, {}) == []  # three texts cannot use more than three


def test_a_symbol_may_be_as_large_as_a_class():
    symbols = [0] * 8 + [1] * 2
    assert len(symbol_warnings(symbols, 2, 0.5, {"act": ["a", "b"] * 5})) == 1
    # Texts without a label say nothing about its classes.
    assert symbol_warnings(symbols, 2, 0.5, {"act": ["a", "a", "b"] + [""] * 7, "topic": ["a", "b"] * 5}) == []


def test_the_evaluation_warns_of_symbols(tmp_path):
    config = tiny_config(write_corpus(tmp_path))
    corpus = load_configured(config.data)
    evaluator = SentenceEvaluator(SVEBM(config, Vocabulary.build(corpus.train.sentences)), corpus)
    evaluator._log_categories = torch.full((len(corpus.test), 1, 6), -torch.inf)
    evaluator._log_categories[:, 0, 3] = 0.0
    before = list(evaluator.evaluation.warnings)
    evaluator.symbols()
    assert [text.partition(" ")[0] for text in evaluator.evaluation.warnings[len(before) :]] == ["one", "1", "I(z,"]


def test_classes_that_are_worse_than_the_others_are_named():
    truth = [0] * 60 + [1] * 40 + [2] * 20 + [3] * 4
    answers = [0] * 57 + [1] * 3 + [1] * 38 + [0] * 2 + [0] * 9 + [1] * 5 + [2] * 6 + [3] * 2 + [0] * 2
    # 103 of 124 right, 83.1 %; Wilson's interval of 6 of 20 ends at 51.9 %, that of 2 of 4 at 85.0 %.
    names = ["bus", "train", "late arrivals", "lost"]
    told = "Weakest class: 'late arrivals' (6 of 20 right, 9 taken for 'bus')."
    assert weak_classes_sentence(answers, truth, names) == told
    assert weak_classes_sentence([0] * 90 + [1] * 10, [0] * 90 + [1] * 10, names) is None
    assert weak_classes_sentence([], [], names) is None
    unlearnt = weak_classes_sentence([0] * 90 + [1] * 10, [0] * 90 + [4] * 10, names)  # told of by a warning
    assert unlearnt is None
    many = weak_classes_sentence([0] * 400 + [0] * 80, [0] * 400 + [k for k in range(1, 5) for _ in range(20)], "abcde")
    parts = ", ".join(f"{name!r} (0 of 20 right, 20 taken for 'a')" for name in "bcd")
    assert many == f"Weakest classes: {parts}."
