"""Subwords: any text comes back, the same text gives the same subwords, and files are read with care."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svebm_ext.data import Vocabulary, load_text
from svebm_ext.data.subwords import N_BYTES, SMALLEST, SPLIT, Subwords
from svebm_ext.errors import ConfigError, DataError, ModelFolderError

TEXTS = ["Can I get a card?", "a card, a card", "क्या आज बारिश होगी", "วันนี้ฝนจะตกไหม", "the card is  HERE"] * 3


@pytest.fixture(scope="module")
def subwords():
    return Subwords.learn(TEXTS)


SUBWORDS = Subwords.learn(TEXTS)


@given(st.text())
def test_any_text_comes_back_as_it_was(text):
    tokens = SUBWORDS.words(text)
    assert SUBWORDS.to_text(tokens) == text
    assert set(tokens) <= set(SUBWORDS.tokens)
    assert Vocabulary.UNKNOWN not in Vocabulary(SUBWORDS.tokens).encode(tokens)


def test_frequent_words_are_one_token(subwords):
    assert subwords.words("a card") == ["a", "Ġcard"]
    assert len(subwords.words("card zebra")) > 3


@pytest.mark.parametrize("word", ["बारिश", "วันนี้", "الطَّقْسُ", "می\u200cخواهم", "❤️", "👩\u200d👧"])
def test_marks_and_joiners_do_not_end_a_subword(word):
    found = Subwords.learn([f"{word} {word}"] * 5)
    assert len(found.words(f" {word}")) == 1
    assert len(found.words(f"{word} {word}!")) == 3


def test_text_cannot_forge_special_tokens():
    texts = ["<unk> <pad> <bos> <eos>"] * 50
    found = Subwords.learn(texts, 2000)
    assert not set(found.words(texts[0])) & set(Vocabulary.SPECIAL)
    Vocabulary(found.tokens)
    assert found.to_text(["<unk>", "Ġa"]) == "<unk> a"


def test_broken_characters_are_replaced(subwords):
    first = subwords.words("ก")[0][:1]
    assert subwords.to_text([first]) == "\ufffd"


def test_half_characters_are_refused(subwords):
    with pytest.raises(DataError, match="surrogate"):
        subwords.words("a\ud800")


def test_as_many_subwords_as_the_text_can_teach():
    assert len(Subwords.learn(["abc"]).tokens) == N_BYTES
    words = [f"{i:04d}" for i in range(0, 4000, 3)] * 2
    n_bytes = 4 * len(words)
    assert len(Subwords.learn(words, 10_000).tokens) == SMALLEST > n_bytes // 50
    assert len(Subwords.learn(words, 300).tokens) == 300
    with pytest.raises(ConfigError, match="255 given; bpe needs 256"):
        Subwords.learn(words, 255)


def test_the_same_text_gives_the_same_subwords_in_every_process(subwords):
    program = f"from svebm_ext.data.subwords import Subwords; print(ascii(Subwords.learn({TEXTS!r}).merges))"
    for seed in ("1", "2"):
        environment = {"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path), "PYTHONIOENCODING": "utf-8"}
        found = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == ascii(subwords.merges)


def test_file_round_trip_also_for_the_package_itself(subwords, tmp_path):
    import tokenizers

    subwords.save(tmp_path / "tokenizer.json")
    again = Subwords.load(tmp_path / "tokenizer.json")
    assert again.tokens == subwords.tokens and again.merges == subwords.merges
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    for text in [*TEXTS, " what? "]:
        assert theirs.encode(text).tokens == again.words(text)


def tokenizer(**model):
    words = {"type": "Split", "pattern": {"Regex": SPLIT}, "behavior": "Isolated", "invert": False}
    splitter = {"type": "Sequence", "pretokenizers": [words, {"type": "ByteLevel", "add_prefix_space": False}]}
    return {"pre_tokenizer": splitter, "model": {"type": "BPE", "vocab": {}, "merges": []} | model}


def test_merges_of_older_versions_are_read(tmp_path):
    (tmp_path / "tokenizer.json").write_text(json.dumps(tokenizer(merges=["a b", "ab c"])))
    assert Subwords.load(tmp_path / "tokenizer.json").words("abc ab") == ["abc", "Ġ", "ab"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[]", "not a tokenizer of byte-pair encoding"),
        (json.dumps(tokenizer(type="Unigram")), "not a tokenizer of byte-pair"),
        (json.dumps(tokenizer() | {"pre_tokenizer": {"type": "ByteLevel"}}), "splits text into words in another way"),
        (
            json.dumps(tokenizer() | {"pre_tokenizer": {"pretokenizers": [1, 2]}}),
            "splits text into words in another way",
        ),
        (json.dumps(tokenizer(merges=["a"])), "no pair of subwords"),
        (json.dumps(tokenizer(merges=[["a", 1]])), "no pair of subwords"),
        (json.dumps(tokenizer(merges=[["ab", "c"]])), "not both are subwords before"),
        (json.dumps(tokenizer(merges=[["a" * 2**i] * 2 for i in range(8)])), "expected at most 100"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "tokenizer.json"
    path.write_text(content)
    with pytest.raises(ModelFolderError, match=f"tokenizer.json: .*{message}"):
        Subwords.load(path)


def test_files_that_are_missing_or_too_large(tmp_path, monkeypatch):
    with pytest.raises(ModelFolderError, match=r"none\.json: missing"):
        Subwords.load(tmp_path / "none.json")
    with pytest.raises(ModelFolderError, match="not a regular file"):
        Subwords.load(tmp_path)
    monkeypatch.setattr("svebm_ext.files.MAX_BYTES", 10)
    (tmp_path / "large.json").write_text("[1, 2, 3, 4, 5]")
    with pytest.raises(ModelFolderError, match="larger than 10 bytes"):
        Subwords.load(tmp_path / "large.json")


def test_without_the_package_the_message_tells_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "tokenizers", None)
    with pytest.raises(ConfigError, match=r'pip install "svebm_ext\[subwords\]"'):
        Subwords.learn(TEXTS)


def test_text_of_ones_own_is_read_as_subwords_of_its_training_split(tmp_path):
    lines = [f"The card {i} is  HERE, कार्ड {i}?" for i in range(40)]
    (tmp_path / "a.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    corpus = load_text(tmp_path / "a.txt", tokenization="bpe", seed=1)
    assert isinstance(corpus.writing, Subwords)
    splits = (corpus.train, corpus.valid, corpus.test)
    assert [len(split) for split in splits] == [32, 4, 4]
    for split in splits:
        assert [corpus.writing.to_text(words) for words in split.sentences] == split.texts
    assert sorted(text for split in splits for text in split.texts) == sorted(lines)
    assert corpus.writing.merges == Subwords.learn(corpus.train.texts).merges
    given_ = load_text(tmp_path / "a.txt", tokenization="bpe", seed=1, writing=SUBWORDS)
    assert given_.writing is SUBWORDS and given_.test.sentences == [SUBWORDS.words(t) for t in corpus.test.texts]
