"""TextModel keeps scikit-learn's conventions, and its answers are those of the model that it holds."""

import json

import numpy as np
import pytest
import torch
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.validation import check_is_fitted

from svebm_ext import SVEBM, TextModel
from svebm_ext.errors import ConfigError, DataError, ModelFolderError

TINY = {
    "model.latent-dim": 4, "model.embedding_dim": 12, "model.encoder_hidden": 12, "model.decoder_hidden": 12,
    "model.prior_hidden": (16,), "chains.n_chains": 64, "chains.n_steps": 3, "training.batch_size": 16,
    "training.validate_every": 20, "training.prior_steps": 10, "evaluation.log_z_chains": 32,
    "evaluation.log_z_temperatures": 20,
}  # fmt: skip
ANIMALS, FOOD = ("cat", "dog", "horse", "cow", "pig", "hen"), ("bread", "soup", "rice", "cake", "fish", "stew")
TEXTS = [f"the {a} sees the {b} in the field" for a in ANIMALS for b in ANIMALS]
TEXTS += [f"we cook {a} and {b} for dinner" for a in FOOD for b in FOOD]
KINDS = ["animals"] * 36 + ["food"] * 36
NEW = ["the cow sees the cat", "we cook cake for dinner"]


def tiny(**changes):
    return TextModel(**{"n_symbols": 2, "max_iter": 40, "device": "cpu", "options": TINY, **changes})


@pytest.fixture(scope="module")
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def topics(one_thread):
    return tiny().fit(TEXTS)


@pytest.fixture(scope="module")
def classes(one_thread):
    return tiny().fit(TEXTS, KINDS)


def test_symbols_without_labels(topics):
    assert topics.classes_.tolist() == [0, 1] and topics.n_iter_ == 40
    assert topics.labels_.shape == (72,) and topics.labels_.tolist() == topics.predict(TEXTS).tolist()
    assert topics.score(TEXTS, KINDS) == 1.0  # two topics without a word in common
    z, p = topics.transform(NEW), topics.predict_proba(NEW)
    assert z.shape == (2, 4) and z.dtype == np.float32
    np.testing.assert_array_equal(z, topics.model_.encode(NEW).numpy())
    np.testing.assert_allclose(p.sum(-1), 1.0, atol=1e-6)
    np.testing.assert_array_equal(topics.predict(NEW), p.argmax(-1))
    with pytest.raises(NotFittedError):
        tiny().predict(NEW)
    check_is_fitted(topics)


def test_classes_of_labels_in_sorted_order(classes):
    assert classes.classes_.tolist() == ["animals", "food"] and not hasattr(classes, "labels_")
    assert classes.predict(NEW).tolist() == ["animals", "food"] and classes.score(TEXTS, KINDS) > 0.9
    names, p = classes.model_.label_names, classes.model_.symbol_probabilities(NEW).double().numpy()
    for column, name in enumerate(classes.classes_):
        np.testing.assert_array_equal(classes.predict_proba(NEW)[:, column], p[:, names.index(name)])


def test_numbers_are_classes_and_some_texts_have_none(one_thread):
    y = [7 if kind == "animals" else 3 for kind in KINDS]
    y[1:6], y[40:45] = [-1] * 5, [-1] * 5
    model = tiny().fit(np.array(TEXTS), np.array(y))
    assert model.classes_.tolist() == [3, 7] and model.classes_.dtype.kind == "i"
    assert model.predict(NEW).tolist() == [7, 3]
    assert len(model.generate(2, symbol=7)) == 2
    with pytest.raises(ConfigError, match=r"symbol: 5 given, expected one of 3, 7"):
        model.generate(1, symbol=5)


def test_log_likelihood_is_that_of_the_model(topics):
    expected = -topics.model_.nll(NEW, log_z=topics.log_z(), seed=0)
    np.testing.assert_array_equal(topics.score_samples(NEW), expected.numpy())
    assert topics.score(NEW) == pytest.approx(float(expected.mean()))
    assert topics.score_samples(["dinner dinner sees cow cow field"])[0] < topics.score_samples(NEW).min()


def test_strange_texts_are_novel_whatever_their_length(topics):
    known, strange = topics.novelty(TEXTS), topics.novelty(["parliament votes again", "parliament dinner field we cow"])
    assert strange.min() > np.quantile(known, 0.95)
    several = topics.novelty(text for text in TEXTS[:3])
    np.testing.assert_allclose(several, known[:3], atol=1e-4)


def test_what_symbols_say(topics):
    animals, food = topics.predict(NEW)
    assert {"sees", "field"} <= set(topics.top_words(animals)) and {"cook", "dinner"} <= set(topics.top_words(food))
    assert topics.top_words(food, 1)[0] in {"cook", "dinner", "we", "and", "for"}
    shown = topics.examples(food, 3)
    assert len(shown) == 3 and all(text in TEXTS[36:] for text in shown)
    p = topics.predict_proba(TEXTS)[:, food]
    assert p[TEXTS.index(shown[0])] == p.max()
    assert topics.generate(2, symbol=int(food), seed=3) == topics.model_.generate(2, symbol=int(food), seed=3)


def test_saved_and_loaded_answers_are_the_same(topics, classes, tmp_path):
    for name, model in (("topics", topics), ("classes", classes)):
        model.save(tmp_path / name)
        again = TextModel.load(tmp_path / name)
        assert again.get_params() == model.get_params() | {"options": json.loads(json.dumps(TINY))}
        np.testing.assert_array_equal(again.classes_, model.classes_)
        np.testing.assert_allclose(again.predict_proba(NEW), model.predict_proba(NEW), rtol=1e-6)
        with pytest.raises(ConfigError, match="does not keep the texts"):
            again.examples(again.classes_[0])
    assert SVEBM.from_pretrained(tmp_path / "topics").classify(NEW)[0].symbol == topics.predict(NEW)[0]
    (tmp_path / "topics/estimator.json").unlink()
    assert TextModel.load(tmp_path / "topics").predict(NEW).tolist() == topics.predict(NEW).tolist()
    for damage in ('{"classes": ["a"]}', '{"parameters": {"nothing": 1}}', "[1]", '{"log_z": "x"}'):
        (tmp_path / "classes/estimator.json").write_text(damage)
        with pytest.raises(ModelFolderError, match=r"estimator\.json"):
            TextModel.load(tmp_path / "classes")


def test_clones_searches_and_pipelines(one_thread):
    base = tiny(max_iter=4)
    assert clone(base).get_params() == base.get_params() and is_classifier(base)
    assert base.set_params(n_symbols=3).n_symbols == 3
    assert cross_val_score(tiny(max_iter=4), TEXTS, KINDS, cv=2).shape == (2,)
    search = GridSearchCV(tiny(max_iter=4), {"random_state": [0, 1]}, cv=2).fit(TEXTS, KINDS)
    assert search.best_params_["random_state"] in (0, 1)
    scaled = make_pipeline(tiny(max_iter=4), StandardScaler()).fit_transform(TEXTS)
    assert scaled.shape == (72, 4) and np.abs(scaled.mean(0)).max() < 1e-5


def test_the_same_seed_learns_the_same(topics):
    np.testing.assert_array_equal(tiny().fit_transform(TEXTS), topics.transform(TEXTS))


def test_a_run_folder_can_be_kept(tmp_path, one_thread):
    tiny(max_iter=4, folder=tmp_path / "run").fit(TEXTS)
    assert (tmp_path / "run/model.safetensors").exists() and (tmp_path / "run/metrics.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([],), DataError, "X: no texts given"),
        (({"text": ["a b"]},), DataError, "X: dict given, expected a list of texts; of a table give the column"),
        ((np.array([["a b"], ["c d"]]),), DataError, "X: ndarray given"),
        ((TEXTS, np.array([KINDS])), DataError, "y: ndarray given, expected a list of labels"),
        (("one text",), DataError, "X: str given, expected a list of texts"),
        ((["a b", 3],), DataError, "X: text 1 is int, expected a string"),
        ((["a b", " "],), DataError, "X: text 1 is empty"),
        ((TEXTS, KINDS[:-1]), DataError, "y: 71 labels for 72 texts"),
        ((TEXTS, ["a"] * 72), DataError, "y: all labels are 'a', expected two classes or more"),
        ((TEXTS, [1, "1"] * 36), DataError, "two classes of one name"),
    ],
)
def test_wrong_texts_and_labels_are_named(arguments, error, message):
    with pytest.raises(error, match=message):
        tiny().fit(*arguments)


def test_a_second_fit_leaves_nothing_of_the_first(one_thread, topics):
    model = tiny(max_iter=40).fit(TEXTS, ["z" if kind == "animals" else "a" for kind in KINDS])
    model.fit(TEXTS)
    assert model.classes_.tolist() == [0, 1]
    np.testing.assert_array_equal(model.predict_proba(NEW), topics.predict_proba(NEW))
    model.fit(TEXTS, KINDS)
    assert model.classes_.tolist() == ["animals", "food"] and not hasattr(model, "labels_")


def test_a_data_frame_is_no_list_of_texts_and_its_column_is(one_thread):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"text": TEXTS, "kind": KINDS})
    with pytest.raises(DataError, match="X: DataFrame given"):
        tiny().fit(frame)
    with pytest.raises(DataError, match="y: DataFrame given"):
        tiny().fit(TEXTS, frame[["kind"]])
    assert tiny(max_iter=2).fit(frame["text"], frame["kind"]).classes_.tolist() == ["animals", "food"]


def test_the_training_is_silent_unless_asked_and_messages_name_no_file_of_ours(capfd, one_thread):
    tiny(max_iter=2).fit(TEXTS)
    assert capfd.readouterr() == ("", "")
    tiny(max_iter=2, verbose=True).fit(TEXTS)
    assert "iterations an epoch" in capfd.readouterr().err
    with pytest.raises(DataError) as error:
        tiny().fit(["a b", "c"])
    assert str(error.value).startswith("X: 2 sentences; ")


def test_options_of_generate_are_checked(topics):
    with pytest.raises(ConfigError, match="no option 'label'; give a class of classes_ as symbol"):
        topics.generate(1, label=0)
    with pytest.raises(ConfigError, match=r"no option 'temprature'; expected n, symbol, .*temperature.*label_names"):
        topics.generate(1, temprature=0.5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_symbols": "many"}, "n_symbols: 'many' given, expected 'auto' or a whole number"),
        ({"n_symbols": 0}, "n_symbols: 0 given"),
        ({"options": {"training.steps": 3}}, r"options: no option 'training\.steps'"),
        ({"options": {"seed": 3}}, "options: no option 'seed'"),
        ({"max_iter": -3}, r"max_iter: -3 given"),
        ({"device": "quantum"}, "quantum"),
    ],
)
def test_wrong_parameters_are_named(changes, message):
    with pytest.raises(ConfigError, match=message):
        tiny(**changes).fit(TEXTS)


def test_a_generator_is_read_in_chunks(topics, monkeypatch):
    """The answers of a list, whatever the chunks, and the place of a text that is none."""
    from svebm_ext.models import reading

    texts = [*NEW, *NEW[:3]]
    expected = [
        topics.predict(texts),
        topics.predict_proba(texts),
        topics.transform(texts),
        topics.score_samples(texts),
    ]
    monkeypatch.setattr(reading.chunks_of, "__defaults__", (2, 0))
    methods = (topics.predict, topics.predict_proba, topics.transform, topics.score_samples)
    for method, one in zip(methods, expected, strict=True):
        np.testing.assert_allclose(method(text for text in texts), one, rtol=1e-5, atol=1e-5)
        with pytest.raises(DataError, match="X: text 3 is float, expected a string"):
            method([*texts[:3], float("nan")])
        with pytest.raises(DataError, match="X: no texts given"):
            method(iter([]))
