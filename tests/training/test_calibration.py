"""How certain answers are: halves of a text against known groups, the temperature against a closed form, and runs."""

import math

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_runs import tiny_config, write_documents

from svebm_ext import SVEBM
from svebm_ext.models.symbols import symbol_probabilities
from svebm_ext.training.guides.calibration import LEAST_LABELLED, LOG_TEMPERATURES, log_temperature
from svebm_ext.training.guides.parts import found_again, halves, matched_share
from svebm_ext.training.run import train


def guided(folder, n=400, **objective):
    """Configuration of a tiny run whose symbols words guide."""
    return tiny_config(
        write_documents(folder, n=n),
        model={"sentence_features": "words", "n_categories": 3},
        objective={"pseudo_labels": "words", "pseudo_label_weight": 1.0, "label_at": "sample", **objective},
        training={"max_steps": 30},
    )


def test_halves_hold_every_sentence_once():
    (first, second), (third, fourth) = halves(11, 2, seed=3)
    assert sorted([*first, *second]) == sorted([*third, *fourth]) == list(range(11))
    assert set(first) != set(third)


def test_names_of_symbols_do_not_matter_and_no_two_share_one():
    symbols = np.array([0, 0, 0, 1, 1, 2])
    assert matched_share(symbols, np.array([2, 2, 2, 0, 0, 1]), 3) == 1.0
    assert matched_share(symbols, np.array([2, 2, 1, 0, 0, 1]), 3) == pytest.approx(5 / 6)
    # All in one symbol: it is the name of the largest alone.
    assert matched_share(symbols, np.zeros(6, int), 3) == pytest.approx(3 / 6)


def test_what_halves_find_is_averaged_over_all_of_them():
    symbols = np.array([0, 1] * 6)
    asked = []

    def find(part, n_symbols, seed):
        asked.append((len(part), n_symbols, seed))
        return 1 - symbols if seed == 7 else np.zeros(12, int)

    assert found_again(symbols, 2, find, list(halves(12, 2, 0)), seed=7) == pytest.approx(0.75)
    assert asked == [(6, 2, 7), (6, 2, 8)] * 2


@pytest.mark.parametrize("share", [0.6, 0.8, 0.95])
def test_the_temperature_of_one_answer_is_in_closed_form(share):
    # softmax((a, 0) / T) has its larger entry at 1 / (1 + exp(-a / T)): T = a / log(share / (1 - share)).
    answer = torch.tensor([[3.0, 0.0]], dtype=torch.float64).log_softmax(1)
    expected = 3.0 / math.log(share / (1.0 - share))
    assert math.exp(log_temperature(answer, share)) == pytest.approx(expected, rel=1e-4)


def test_the_temperature_of_many_answers_and_the_ends_of_its_range():
    answers = 4.0 * torch.randn(500, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for share in (0.4, 0.6, 0.75):
        tempered = answers / math.exp(log_temperature(answers, share))
        assert float(tempered.softmax(1).amax(1).mean()) == pytest.approx(share, abs=1e-4)
    low, high = LOG_TEMPERATURES
    assert log_temperature(answers, 1.0) == pytest.approx(low, abs=1e-3)
    assert log_temperature(answers, 0.1) == pytest.approx(high, abs=1e-3)  # below 1/K no temperature reaches it


def test_a_run_without_labels_is_as_certain_as_halves_of_its_text_agree(tmp_path, capsys):
    config = guided(tmp_path)
    model, corpus = train(config, tmp_path / "run")
    guide = model.networks.guide
    share = float(guide.reliability)
    assert 0.8 < share <= 1.0
    texts = corpus.valid.texts or [" ".join(sentence) for sentence in corpus.valid.sentences]
    told = model.symbol_probabilities(texts)
    learnt = symbol_probabilities(model, texts, calibrated=False)
    temperature = float(guide.log_temperature.exp())
    torch.testing.assert_close(told, (learnt.log() / temperature).softmax(1), atol=1e-5, rtol=1e-4)
    assert torch.equal(told.argmax(1), learnt.argmax(1))
    assert f"temperature {temperature:.2g}" in capsys.readouterr().err


def test_labelled_held_out_texts_say_how_many_answers_are_right(tmp_path):
    n = 12 * LEAST_LABELLED
    config = guided(tmp_path, n=n, label_weight=1.0)
    model, corpus = train(config, tmp_path / "run")
    labels = [model.label_names.index(label) for label in corpus.valid.labels["label"]]
    assert len(labels) >= LEAST_LABELLED
    told = model.symbol_probabilities(corpus.valid.texts or [" ".join(s) for s in corpus.valid.sentences])
    right = float((told.argmax(1) == torch.tensor(labels)).double().mean())
    # The guide is found once more from the held-out labels as well, after the temperature. Certainty is only lowered.
    assert float(told.amax(1).mean()) < right + 0.03


def test_folders_of_earlier_builds_lack_both_numbers_and_answer_as_they_did(tmp_path):
    config = guided(tmp_path)
    model, corpus = train(config, tmp_path / "run")
    weights = tmp_path / "run" / "model.safetensors"
    tensors = load_file(weights)
    for name in ("guide.reliability", "guide.log_temperature"):
        del tensors[name]
    save_file(tensors, weights, {"format": "pt"})
    before = SVEBM.from_pretrained(tmp_path / "run")
    texts = [" ".join(sentence) for sentence in corpus.valid.sentences]
    torch.testing.assert_close(before.symbol_probabilities(texts), symbol_probabilities(model, texts, calibrated=False))
    assert float(before.networks.guide.log_temperature) == 0.0
