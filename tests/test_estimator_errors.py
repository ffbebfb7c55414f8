"""Errors of TextModel name what its caller has written: its parameters, and places in X and y."""

import numpy as np
import pytest

from svebm_ext import TextModel
from svebm_ext.errors import ConfigError, DataError, ModelFolderError

WORDS = ("cat", "dog", "horse", "cow", "pig", "hen")
TEXTS = [f"the {a} sees the {b}" for a in WORDS for b in WORDS]
FOUR = ["a", "b", "c", "d"] * 9
#: Names of options, files and switches of commands, which the caller has never seen.
FOREIGN = ("training.", "model.n", "model.s", "jsonl", "--seed", "--data", "/tmp")


def said(error, *data, **parameters):
    with pytest.raises(error) as raised:
        TextModel(device="cpu").set_params(**parameters).fit(*data)
    assert not [name for name in FOREIGN if name in str(raised.value)], raised.value
    return str(raised.value)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"max_iter": -1}, "max_iter: -1 given, expected None or a whole number of at least 1"),
        ({"max_iter": 2.5}, "max_iter: 2.5 given, expected None or a whole number of at least 1"),
        ({"max_iter": 10**12}, f"max_iter: {10**12} given, expected at most 1,000,000,000"),
        ({"n_symbols": True}, "n_symbols: True given, expected 'auto' or a whole number of at least 1"),
        ({"n_symbols": 3, "n_groups": 4}, "n_groups: 4 groups of 3 symbols (n_symbols) given"),
        ({"random_state": None}, "random_state: None given, expected a whole number of at least 0"),
        ({"random_state": -4}, "random_state: -4 given"),
        ({"sentence_encoder": ""}, "sentence_encoder: nothing given"),
        ({"device": "gpu"}, "device: "),
    ],
)
def test_parameters_have_the_names_that_they_were_given_by(parameters, message):
    assert said(ConfigError, TEXTS, **{"max_iter": 2} | parameters).startswith(message)


def test_more_symbols_than_texts():
    assert said(DataError, TEXTS, n_symbols=500).startswith("n_symbols: 500 symbols for 28 training sentences; ")


def test_options_keep_the_names_that_they_were_given_by():
    with pytest.raises(ConfigError, match=r"^training\.max-steps: -1 given"):
        TextModel(2, options={"training.max_steps": -1}).fit(TEXTS)


def test_places_are_those_of_the_lists():
    assert said(DataError, ["a b", "c"]) == "X: 2 sentences; splitting needs at least 3"
    labels = [None, *FOUR[1:]]
    texts = [*TEXTS[:3], "x\x00y", *TEXTS[4:]]
    assert said(DataError, texts, labels, max_iter=2).startswith("X: text 3: ")
    assert said(DataError, texts, max_iter=2).startswith("X: text 3: ")


def test_what_labels_decide_is_not_asked_for():
    message = "n_symbols: 2 given, but y has 4 classes, each of which is a symbol; expected 'auto' or 4"
    assert said(ConfigError, TEXTS, FOUR, n_symbols=2) == message
    assert said(ConfigError, TEXTS, FOUR, n_groups=2).startswith("n_groups: 2 given, but y has classes")


@pytest.mark.parametrize("number", [0.5, np.inf])
def test_numbers_that_are_no_classes_are_refused_in_fit(number):
    labels = np.array([0.0, 1.0, number, 1.0] * 9)
    assert said(DataError, TEXTS, labels) == f"y: label 2 is {number!r}, expected a class: a text or a whole number"


def test_a_folder_that_is_a_file(tmp_path):
    from svebm_ext.models.svebm import SVEBM

    (tmp_path / "file").write_text("mine")
    model = TextModel(2, max_iter=2, device="cpu").fit(TEXTS)
    for save in (model.save, SVEBM.save_pretrained.__get__(model.model_)):
        with pytest.raises(ModelFolderError, match=r"file: is a file, expected a folder"):
            save(tmp_path / "file")
        with pytest.raises(ModelFolderError, match=r"file: is a file, expected a folder"):
            save(tmp_path / "file" / "model")
    assert (tmp_path / "file").read_text() == "mine"
