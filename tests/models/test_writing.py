"""Text as a model of one's own text reads and writes it: subwords, capitals and spacing, types of texts."""

import json
import shutil

import pytest
import torch
from tiny_runs import OBJECTS, SUBJECTS, VERBS, tiny_config, write_corpus

from svebm_ext import classify, evaluate
from svebm_ext.data.corpora import load_configured
from svebm_ext.data.subwords import Subwords
from svebm_ext.data.surface import Surface
from svebm_ext.errors import ConfigError, DataError, ModelFolderError
from svebm_ext.evaluation.evaluate_model import evaluate_run
from svebm_ext.models.svebm import SVEBM
from svebm_ext.training.run import train


def write_text(folder):
    """Sentences with capitals, two spaces and a mark, so that words alone do not give them back."""
    lines = [f"{s.capitalize()}  {v} {o}, doesn't Kim?" for s in SUBJECTS for v in VERBS for o in OBJECTS]
    path = folder / "own.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def config_of(path, tokenization, **changes):
    return tiny_config(path, data={"tokenization": tokenization, "max_tokens": 80}, **changes)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("writing")
    path = write_text(folder)
    for tokenization in ("words", "bpe", "whitespace"):
        train(config_of(path, tokenization), folder / tokenization)
    return folder


@pytest.fixture(params=["words", "bpe"])
def run(request, runs):
    return runs / request.param


TEXT = "The cat  sees it, doesn't Kim?"


def test_words_are_written_as_the_training_text_writes_them(runs):
    model = SVEBM.from_pretrained(runs / "words")
    assert isinstance(model.writing, Surface)
    ids = model.vocabulary.encode(["the", "cat", "sees", "it", ",", "doesn't", "kim", "?"])
    assert model.to_text(ids) == "The cat sees it, doesn't Kim?"


def test_subwords_give_a_text_back_exactly(runs):
    model = SVEBM.from_pretrained(runs / "bpe")
    assert isinstance(model.writing, Subwords)
    for text in (TEXT, "ÇA va, Žižek?  नमस्ते 👍🏽", " <unk> "):
        (batch,) = model.batches([text])
        assert model.to_text(batch.targets.tolist()[:-1]) == text
    assert len(model.vocabulary) == len(model.writing.tokens) + 4


def test_white_space_tokens_are_joined_by_spaces(runs):
    model = SVEBM.from_pretrained(runs / "whitespace")
    assert model.writing is None and not (runs / "whitespace" / "surface.json").exists()
    assert model.written(["a", "b?"]) == "a b?"


def test_every_method_writes_that_way(run):
    model = SVEBM.from_pretrained(run)
    z = model.encode([TEXT, "Nobody  likes trees"])
    words = model.decode_words(z)
    assert model.decode(z) == [model.written(sentence) for sentence in words]
    assert model.reconstruct([TEXT]) == model.decode(z[:1])
    assert model.interpolate(TEXT, "Nobody  likes trees", n=2) == model.decode(z)
    generated = model.generate(4, seed=3, greedy=False)
    z = model.networks.latent.sample_prior(4, seed=3, symbol=None)
    assert generated == [model.written(sentence) for sentence in model.decode_words(z, seed=3, greedy=False)]
    assert not any("Ġ" in text for text in generated)
    assert len(model.classify([TEXT])) == 1


def test_folder_without_a_surface_joins_by_spaces(runs, tmp_path):
    shutil.copytree(runs / "words", tmp_path / "old")
    (tmp_path / "old" / "surface.json").unlink()
    model = SVEBM.from_pretrained(tmp_path / "old")
    assert model.written(["can", "i", "?"]) == "can i ?"


def test_saved_again_it_is_the_same(run, tmp_path):
    model = SVEBM.from_pretrained(run)
    model.save_pretrained(tmp_path)
    again = SVEBM.from_pretrained(tmp_path)
    assert again.written(model.vocabulary.tokens[4:60]) == model.written(model.vocabulary.tokens[4:60])
    name = "surface.json" if run.name == "words" else "tokenizer.json"
    assert (tmp_path / name).read_bytes() == (run / name).read_bytes()


def test_a_resumed_run_reads_as_it_began(runs, tmp_path, monkeypatch):
    """Also where the text would teach other subwords now, as another version of the package might."""
    config = config_of(runs / "own.txt", "bpe")
    half = config_of(runs / "own.txt", "bpe", training={"max_steps": 8})
    train(half, tmp_path / "run")
    monkeypatch.setattr(Subwords, "learn", lambda *_: pytest.fail("learnt again"))
    resumed, corpus = train(config, tmp_path / "run", resume=True)
    whole = SVEBM.from_pretrained(runs / "bpe")
    assert corpus.writing.tokens == whole.writing.tokens
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[name]), name


def test_evaluation_reads_with_the_subwords_of_the_run(runs, monkeypatch, capsys):
    monkeypatch.setattr(Subwords, "learn", lambda *_: pytest.fail("learnt again"))
    evaluate.main([str(runs / "bpe"), "--json", "--device", "cpu"])
    document = json.loads(capsys.readouterr().out)
    assert document["unknown_share"] == 0
    corpus = load_configured(config_of(runs / "own.txt", "bpe").data, SVEBM.from_pretrained(runs / "bpe").writing)
    n_bytes = sum(len(text.encode()) for text in corpus.test.texts)
    expected = document["nll"] * len(corpus.test) / (n_bytes * 0.6931471805599453)
    assert document["bits_per_byte"] == pytest.approx(expected)
    assert corpus.test.texts[0] in (runs / "bpe" / "report.md").read_text(encoding="utf-8")


def test_many_unknown_words_are_told(tmp_path, capsys):
    """Long words that hardly come again, as the compounds of Finnish."""
    lines = [f"sadevaroitus{chr(97 + i // 7)}{chr(97 + i % 7)} kiitos" for i in range(60)]
    path = tmp_path / "finnish.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    model, corpus = train(config_of(path, "words"), tmp_path / "run")
    note = "50.0% of the words of the test text are unknown"
    told = capsys.readouterr().err
    assert note in told and f"{len(model.vocabulary)} words," in told
    document = evaluate_run(tmp_path / "run", model, corpus, say=lambda text: None)
    assert document["unknown_share"] == 0.5
    advice = "next to nothing of new text; subwords know every text: --data.tokenization bpe"
    assert any(note in warning and advice in warning for warning in document["about"]["warnings"])


def test_texts_that_are_all_the_same_are_refused(tmp_path):
    path = tmp_path / "same.txt"
    path.write_text("no comment\n" * 50, encoding="utf-8")
    with pytest.raises(DataError, match=r"data\.train: all 40 training texts have the same words"):
        train(config_of(path, "words"), tmp_path / "run")
    assert not list(tmp_path.glob("run*/*.safetensors"))


def test_damaged_files_are_refused(run, tmp_path):
    shutil.copytree(run, tmp_path / "copy")
    name = "surface.json" if run.name == "words" else "tokenizer.json"
    path = tmp_path / "copy" / name
    content = path.read_text(encoding="utf-8")
    for damaged in (content[: len(content) // 2], "[]", "{}"):
        path.write_text(damaged, encoding="utf-8")
        with pytest.raises(ModelFolderError, match=name):
            SVEBM.from_pretrained(tmp_path / "copy")


def test_surface_of_another_version(runs, tmp_path):
    shutil.copytree(runs / "words", tmp_path / "copy")
    path = tmp_path / "copy" / "surface.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | {"version": 2}))
    with pytest.raises(ModelFolderError, match="version 2; this program reads 1"):
        SVEBM.from_pretrained(tmp_path / "copy")


def test_subwords_must_be_there_and_those_of_the_vocabulary(runs, tmp_path):
    shutil.copytree(runs / "bpe", tmp_path / "copy")
    Subwords.learn(["other text, other text, other words"]).save(tmp_path / "copy" / "tokenizer.json")
    with pytest.raises(ModelFolderError, match=r"not those of vocab\.json"):
        SVEBM.from_pretrained(tmp_path / "copy")
    (tmp_path / "copy" / "tokenizer.json").unlink()
    with pytest.raises(ModelFolderError, match=r"tokenizer\.json: missing"):
        SVEBM.from_pretrained(tmp_path / "copy")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": {"kind": "documents"}}, "bpe is for sequences"),
        ({"data": {"corpus": "assistant", "train": None}}, "bpe is for sequences"),
        ({"data": {"vocabulary_size": 200}}, "200 given; bpe needs 256"),
    ],
)
def test_where_subwords_do_not_go(tmp_path, changes, message):
    data = {"tokenization": "bpe"} | changes.get("data", {})
    with pytest.raises(ConfigError, match=message):
        train(tiny_config(write_corpus(tmp_path), **changes | {"data": data}), tmp_path / "run")


# Types of texts -----------------------------------------------------------------------------------------------------


def test_texts_may_be_anything_that_gives_them_in_turn(runs):
    model = SVEBM.from_pretrained(runs / "words")
    texts = [TEXT, "Nobody  likes trees"]
    expected = model.classify(texts)
    assert model.classify(text for text in texts) == expected
    assert model.classify(tuple(texts)) == expected
    torch.testing.assert_close(model.encode(iter(texts)), model.encode(texts))
    torch.testing.assert_close(model.nll(iter(texts), log_z=0.0), model.nll(texts, log_z=0.0))
    assert model.classify(iter(())) == []


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["fine", None], "text 1: NoneType given"),
        ([float("nan"), "fine"], r"text 0: float \(NaN: a missing value\) given"),
        (["fine", b"bytes"], "text 1: bytes given"),
        ([["fine", 3]], "text 0: a word of type int"),
        (b"bytes", "texts: bytes given"),
        ("text", "one string given"),
    ],
)
@pytest.mark.parametrize("method", ["classify", "encode", "symbol_probabilities", "reconstruct"])
def test_what_is_no_text_is_named(runs, method, texts, message):
    model = SVEBM.from_pretrained(runs / "words")
    with pytest.raises(DataError, match=message):
        getattr(model, method)(texts)


def test_texts_without_a_known_word_are_counted(runs, tmp_path, capsys):
    model = SVEBM.from_pretrained(runs / "words")
    assert model.n_without_known_word([TEXT, "zyzzyva quux", "zyzzyva cat"]) == 1
    (tmp_path / "texts.txt").write_text(f"{TEXT}\nzyzzyva quux\nqwerty\n")
    classify.main([str(runs / "words"), "--file", str(tmp_path / "texts.txt")])
    found = capsys.readouterr()
    assert "2 of 3 texts have no word that the model knows" in found.err
    assert len(found.out.splitlines()) == 3
