"""Models with a frozen encoder of sentences: trained, resumed, saved, loaded, used, with and without the encoder."""

import copy
import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_encoders import DIM, counting, vector_of, write_encoder, write_network
from tiny_runs import COMMON, TOPICS, document_config, stopped, tiny_config, write_documents

from svebm_ext import TextModel, classify, evaluate, explore, generate
from svebm_ext import train as train_command
from svebm_ext.commands import run_command
from svebm_ext.config import validate
from svebm_ext.data import EncodedSplit, Split, Vocabulary
from svebm_ext.errors import ConfigError, DataError, ModelFolderError
from svebm_ext.evaluation.evaluate_model import evaluate_run
from svebm_ext.measures.agreement import agreement_with_labels
from svebm_ext.models.features import ENCODER_LENGTH, FEATURE_DIM, WordFeatures
from svebm_ext.models.svebm import SVEBM
from svebm_ext.training.guides.bags import bags_of_split
from svebm_ext.training.run import train

GUIDED = {"pseudo_labels": "words", "pseudo_label_weight": 1.0, "label_at": "sample"}
TEXTS = ["wave salt boat morning", "pan bread people again"]


def config_of(folder, encoder, **changes):
    model = {"sentence_features": "words", "n_categories": 3, "sentence_encoder": str(encoder)}
    merged = {"model": model | changes.pop("model", {}), "objective": GUIDED | changes.pop("objective", {})}
    return tiny_config(write_documents(folder, n=120), **merged, **changes)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of a model with an encoder: its folder, that of the encoder, its configuration, what the encoder saw."""
    folder = tmp_path_factory.mktemp("encoder")
    with pytest.MonkeyPatch.context() as patch:
        counter = counting(patch)
        encoder = write_encoder(folder / "encoder")
        config = config_of(folder, encoder)
        model, corpus = train(config, folder / "run")
        expected = model.symbol_probabilities(TEXTS)
    return folder / "run", encoder, config, counter, corpus, expected


@pytest.fixture
def own(trained, tmp_path, monkeypatch):
    """A copy of the run that a test may change, a copy of its encoder, and a fresh counter."""
    import shutil

    run, encoder, *_ = trained
    shutil.copytree(run, tmp_path / "run")
    shutil.copytree(encoder, tmp_path / "encoder")
    content = json.loads((tmp_path / "run" / "config.json").read_text())
    content["config"]["model"]["sentence_encoder"] = str(tmp_path / "encoder")
    (tmp_path / "run" / "config.json").write_text(json.dumps(content))
    return tmp_path / "run", tmp_path / "encoder", counting(monkeypatch)


# Features -----------------------------------------------------------------------------------------------------------


def test_vectors_are_the_last_part_of_the_features_centred_and_of_one_length():
    sentences = [["a", "b"], ["b", "c"], ["c", "a", "b"]]
    vectors = torch.tensor([[3.0, 4.0], [1.0, 0.0], [0.0, 2.0]])
    vocabulary = Vocabulary.build(sentences)
    split = EncodedSplit.from_split(Split(sentences, vectors=vectors), vocabulary)
    features = WordFeatures(len(vocabulary), 2)
    features.fit(split)
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    centred = unit - unit.mean(0)
    expected = ENCODER_LENGTH * centred / centred.norm(dim=1, keepdim=True)
    torch.testing.assert_close(features.of_split(split)[:, FEATURE_DIM:], expected)
    plain = WordFeatures(len(vocabulary))
    plain.fit(split)
    torch.testing.assert_close(features.of_split(split)[:, :FEATURE_DIM], plain.of_split(split), rtol=0, atol=0)
    assert "centre" not in plain.state_dict() and plain.dim == FEATURE_DIM
    assert bags_of_split(split, features).has_vectors and not bags_of_split(split, plain).has_vectors
    with pytest.raises(DataError, match="without its vectors"):
        features(EncodedSplit.from_split(Split(sentences), vocabulary).collate([0]))


def test_vectors_go_with_their_sentences():
    sentences = [["a"], ["a", "b", "c"], ["b", "c"], ["c"]]
    vectors = torch.arange(8.0).reshape(4, 2)
    split = EncodedSplit.from_split(Split(sentences, vectors=vectors), Vocabulary.build(sentences))
    batch = split.collate([3, 1, 2])
    torch.testing.assert_close(batch.vectors, vectors[batch.indices])
    torch.testing.assert_close(batch.repeat(2).vectors, vectors[batch.indices].repeat_interleave(2, 0))
    torch.testing.assert_close(batch.to("cpu").vectors, batch.vectors)
    torch.testing.assert_close(split.part(torch.tensor([2, 0])).vectors, vectors[[2, 0]])
    torch.testing.assert_close(split.followed_by(split).vectors, torch.cat((vectors, vectors)))
    plain = EncodedSplit.from_split(Split(sentences), Vocabulary.build(sentences))
    assert plain.collate([0]).to("cpu").repeat(2).vectors is None and plain.part(torch.tensor([1])).vectors is None


def test_bags_of_words_read_with_an_encoder(tmp_path, monkeypatch):
    counter = counting(monkeypatch)
    encoder = write_encoder(tmp_path / "encoder")
    config = document_config(
        write_documents(tmp_path, n=240),
        data={"n_labelled": 12},
        model={"sentence_features": "words", "sentence_encoder": str(encoder)},
        objective=GUIDED | {"label_at": "mean"},
        training={"max_steps": 30, "validate_every": 30, "batch_size": 20, "labelled_batch_size": 6},
    )
    model, corpus = train(config, tmp_path / "run")
    assert model.config.model.sentence_encoder_dim == DIM and counter.n_opened == 1
    texts = corpus.test.sentences
    expected = model.symbol_probabilities(texts)
    assert torch.equal(expected, SVEBM.from_pretrained(tmp_path / "run").symbol_probabilities(texts))
    said = [model.label_names[int(row)] for row in expected.argmax(1)]
    right = sum(a == b for a, b in zip(said, corpus.test.labels["label"], strict=True)) / len(said)
    accuracy = evaluate_run(tmp_path / "run", model, corpus)["accuracy"]
    assert accuracy == pytest.approx(right) and accuracy >= 0.9
    counter.encode = lambda texts: np.stack([-vector_of(text) for text in texts])
    assert not torch.allclose(SVEBM.from_pretrained(tmp_path / "run").symbol_probabilities(texts), expected)


def test_bags_of_words_find_symbols_without_labels(tmp_path):
    config = document_config(
        write_documents(tmp_path, n=240),
        model={"sentence_features": "words", "n_categories": 3},
        objective=GUIDED | {"label_weight": 0.0, "labelled_bound": True},
        training={"max_steps": 30, "validate_every": 30, "batch_size": 20, "labelled_batch_size": 0, "select": "bound"},
        data={"n_labelled": 0},
    )
    model, corpus = train(config, tmp_path / "run")
    symbols = model.symbol_probabilities(corpus.test.sentences).argmax(1)
    assert agreement_with_labels(symbols, corpus.test)["adjusted_mutual_information"]["label"] >= 0.9
    with pytest.raises(ConfigError, match="a bag of words has no order"):
        validate(replace(config, objective=replace(config.objective, group_by="wording")))


# Runs ---------------------------------------------------------------------------------------------------------------


def test_a_run_records_its_encoder_and_keeps_the_vectors(trained):
    run, encoder, _, counter, corpus, _ = trained
    description = json.loads((run / "config.json").read_text())
    model = description["config"]["model"]
    assert (model["sentence_encoder"], model["sentence_encoder_dim"]) == (str(encoder), DIM)
    recorded = description["sentence_encoder"]
    assert recorded["name"] == str(encoder) and recorded["dim"] == DIM and len(recorded["sha256"]) == 64
    kept = [np.load(path, allow_pickle=False) for path in (run / "sentence_vectors").glob("*.npy")]
    assert sorted(map(len, kept)) == sorted([len(corpus.train), len(corpus.valid)])
    learnt = len({" ".join(words) for part in (corpus.train, corpus.valid) for words in part.sentences})
    assert len(counter.texts) == learnt + len(TEXTS) and counter.n_opened == 1


def test_the_vectors_are_used(own):
    run, _, counter = own
    model = SVEBM.from_pretrained(run)
    before, mean = model.symbol_probabilities(TEXTS), model.encode(TEXTS)
    other = SVEBM.from_pretrained(run)
    counter.encode = lambda texts: np.stack([-vector_of(text) for text in texts])
    assert not torch.allclose(other.encode(TEXTS), mean) and not torch.allclose(
        other.symbol_probabilities(TEXTS), before
    )


@pytest.mark.filterwarnings("ignore:You are using `torch.load`:FutureWarning")  # of torch 2.4, by pickle
def test_a_loaded_model_answers_alike_whoever_asks(trained, own):
    run, _, counter = own
    model = SVEBM.from_pretrained(run)
    assert counter.n_opened == 0
    torch.testing.assert_close(model.symbol_probabilities(TEXTS), trained[-1])
    torch.testing.assert_close(model.symbol_probabilities([text.split() for text in TEXTS]), trained[-1])
    torch.testing.assert_close(model.symbol_probabilities(TEXTS[1:]), trained[-1][1:])
    for same in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        torch.testing.assert_close(same.symbol_probabilities(TEXTS), trained[-1])
    model.save_pretrained(run.parent / "saved")
    torch.testing.assert_close(SVEBM.from_pretrained(run.parent / "saved").symbol_probabilities(TEXTS), trained[-1])
    model.double()
    torch.testing.assert_close(model.symbol_probabilities(TEXTS).float(), trained[-1], rtol=1e-3, atol=1e-4)


def test_commands_take_such_a_model(own, capsys):
    run, _, counter = own
    (run.parent / "new.txt").write_text("\n".join(TEXTS))
    for main, arguments in (
        (classify.main, [str(run), "--file", str(run.parent / "new.txt")]),
        (generate.main, [str(run), "-n", "2", "--symbol", "1"]),
        (evaluate.main, [str(run)]),
        (explore.main, [str(run)]),
    ):
        with pytest.raises(SystemExit) as ended:
            run_command(main, arguments)
        assert not ended.value.code, capsys.readouterr().err
    assert len(list((run / "sentence_vectors").glob("*.npy"))) == 3  # the test split has come
    assert counter.n_opened == 4


def test_without_the_encoder_a_model_generates_and_says_what_it_needs_to_read(own, capsys):
    run, encoder, counter = own
    with_it = SVEBM.from_pretrained(run).generate(3, seed=1)
    encoder.rename(encoder.with_name("elsewhere"))
    model = SVEBM.from_pretrained(run)
    assert model.generate(3, seed=1) == with_it and counter.n_opened == 0
    assert len(model.generate(3, symbol=1)) == 3 and "are not read back: " in capsys.readouterr().err
    for needed in (
        lambda: model.classify(TEXTS),
        lambda: model.encode(TEXTS),
        lambda: model.generate(3, symbol=1, read_back=True),
    ):
        with pytest.raises(ConfigError, match=f"{run}: the model needs its sentence encoder .*{encoder}"):
            needed()
    encoder.with_name("elsewhere").rename(run / "sentence_encoder")
    assert len(model.classify(TEXTS)) == 2


def test_another_encoder_is_refused(own):
    run, encoder, _ = own
    write_encoder(encoder, b"others")
    with pytest.raises(ConfigError, match=f"{encoder}: another encoder than the model was trained with"):
        SVEBM.from_pretrained(run).classify(TEXTS)


@pytest.mark.parametrize("change", ["missing", "damaged", "dim"])
def test_a_damaged_record_of_the_encoder_is_refused(own, change):
    run, _, _ = own
    content = json.loads((run / "config.json").read_text())
    if change == "missing":
        del content["sentence_encoder"]
    elif change == "damaged":
        content["sentence_encoder"]["sha256"] = "0"
    else:
        content["sentence_encoder"]["dim"] = DIM + 1
    (run / "config.json").write_text(json.dumps(content))
    with pytest.raises(ModelFolderError, match=r"config\.json: sentence_encoder"):
        SVEBM.from_pretrained(run)


def test_a_stopped_run_goes_on_with_its_encoder_alone(tmp_path, monkeypatch):
    counter = counting(monkeypatch)
    encoder = write_encoder(tmp_path / "encoder")
    config = config_of(tmp_path, encoder)
    whole, _ = train(config, tmp_path / "whole")
    stopped(lambda: train(config, tmp_path / "run"), 8)
    n = len(counter.texts)
    write_encoder(encoder, b"others")
    with pytest.raises(ConfigError, match="another encoder than the model was trained with"):
        train(config, tmp_path / "run", resume=True)
    encoder = write_encoder(tmp_path / "moved")
    moved = replace(config, model=replace(config.model, sentence_encoder=str(encoder)))
    resumed, _ = train(moved, tmp_path / "run", resume=True)
    assert len(counter.texts) == n  # kept beside the run
    for name, tensor in whole.networks.state_dict().items():
        torch.testing.assert_close(resumed.networks.state_dict()[name], tensor, rtol=0, atol=0, msg=name)
    with pytest.raises(ModelFolderError, match=r"model\.sentence-encoder"):
        train(replace(config, model=replace(config.model, sentence_encoder=None)), tmp_path / "run", resume=True)


def test_labels_are_learnt_with_an_encoder(tmp_path, monkeypatch):
    counting(monkeypatch)
    config = config_of(
        tmp_path, write_encoder(tmp_path / "encoder"), data={"n_labelled": 24}, objective={"label_weight": 1.0}
    )
    model, corpus = train(config, tmp_path / "run")
    predicted = [one.label for one in model.classify([" ".join(words) for words in corpus.test.sentences])]
    assert np.mean([a == b for a, b in zip(predicted, corpus.test.labels["label"], strict=True)]) > 0.7


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"sentence_features": "none"}, "model.sentence-encoder: .*set model.sentence-features words"),
        ({"sentence_encoder": ""}, "model.sentence-encoder: nothing given"),
        ({"sentence_encoder": None, "sentence_encoder_dim": 3}, "model.sentence-encoder-dim: 3 given without"),
        ({"sentence_encoder_dim": -1}, "model.sentence-encoder-dim: -1 given"),
    ],
)
def test_options_that_do_not_go_together_are_refused(tmp_path, model, message):
    objective = {"pseudo_label_weight": 0.0, "label_at": "mean"} if "sentence_features" in model else {}
    with pytest.raises(ConfigError, match=message):
        validate(config_of(tmp_path, "encoder", model=model, objective=objective))


def test_a_wrong_size_or_place_ends_before_there_is_a_folder(tmp_path, monkeypatch):
    counting(monkeypatch)
    encoder = write_encoder(tmp_path / "encoder")
    with pytest.raises(ConfigError, match=f"sentence-encoder-dim: 9 given, but vectors of {encoder} have {DIM}"):
        train(config_of(tmp_path, encoder, model={"sentence_encoder_dim": 9}), tmp_path / "run")
    with pytest.raises(ConfigError, match="no such folder"):
        train(config_of(tmp_path, tmp_path / "missing"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_command_line_and_the_estimator_take_the_option(tmp_path, monkeypatch):
    counting(monkeypatch)
    encoder = write_encoder(tmp_path / "encoder")
    config, _ = train_command.parse_arguments(["lines", "x.txt", "--model.sentence-encoder", "all-MiniLM-L6-v2"])
    assert config.model.sentence_encoder == "all-MiniLM-L6-v2" and config.model.sentence_encoder_dim == 0
    sizes = {f"model.{name}": 8 for name in ("embedding_dim", "encoder_hidden", "decoder_hidden", "latent_dim")}
    options = sizes | {"training.prior_steps": 4, "training.batch_size": 16, "chains.n_chains": 20}
    texts = [f"{a} {b} {c}" for words in TOPICS.values() for a in words[:4] for b in words[4:] for c in COMMON[:2]]
    learner = TextModel(3, max_iter=8, device="cpu", sentence_encoder=encoder, options=options)
    topics = learner.fit_predict(texts)
    assert learner.model_.config.model.sentence_encoder == str(encoder)
    learner.save(tmp_path / "saved")
    again = TextModel.load(tmp_path / "saved")
    assert again.sentence_encoder == str(encoder) and (again.predict(texts) == topics).all()


def test_a_real_encoder_from_training_to_answers(tmp_path):
    pytest.importorskip("sentence_transformers")
    folder, _ = write_network(tmp_path / "network")
    model, _ = train(config_of(tmp_path, folder), tmp_path / "run")
    loaded = SVEBM.from_pretrained(tmp_path / "run")
    torch.testing.assert_close(loaded.symbol_probabilities(TEXTS), model.symbol_probabilities(TEXTS))
    assert loaded.config.model.sentence_encoder_dim == 8
