import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svebm_ext.data import Vocabulary
from svebm_ext.errors import DataError, ModelFolderError

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(lambda w: w.split() == [w])
sentences = st.lists(st.lists(words, max_size=10), max_size=10)


@given(sentences, st.integers(0, 30), st.integers(1, 3))
def test_build_keeps_the_most_frequent_words(text, max_size, min_count):
    vocabulary = Vocabulary.build(text, max_size=max_size, min_count=min_count)
    counts = Counter(w for s in text for w in s if w not in Vocabulary.SPECIAL)
    kept = vocabulary.tokens[4:]
    assert len(kept) == min(max_size, sum(c >= min_count for c in counts.values()))
    for left_out in set(counts) - set(kept):
        if counts[left_out] >= min_count:
            assert all((-counts[w], w) < (-counts[left_out], left_out) for w in kept)
    assert [(-counts[w], w) for w in kept] == sorted((-counts[w], w) for w in kept)


@given(sentences)
def test_encode_then_decode_returns_the_words(text):
    vocabulary = Vocabulary.build(text, max_size=1000)
    for sentence in text:
        expected = ["<unk>" if w in Vocabulary.SPECIAL else w for w in sentence]
        assert vocabulary.decode(vocabulary.encode(sentence)) == expected


@given(sentences)
def test_save_then_load_is_the_same_vocabulary(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("saved") / "vocab.json"
    vocabulary = Vocabulary.build(text)
    vocabulary.save(path)
    assert Vocabulary.load(path) == vocabulary
    assert [p.name for p in path.parent.iterdir()] == ["vocab.json"]


def test_special_tokens_and_unknown_words():
    vocabulary = Vocabulary.build([["b", "<unk>", "a", "<unk>", "c", "c", "<eos>"]])
    assert vocabulary.tokens == ("<pad>", "<unk>", "<bos>", "<eos>", "c", "a", "b")
    assert (vocabulary.PAD, vocabulary.UNKNOWN, vocabulary.BEGIN, vocabulary.END) == (0, 1, 2, 3)
    # A text cannot forge a sentence boundary.
    assert vocabulary.encode(["c", "<unk>", "never seen", "<eos>", "<bos>", "<pad>"]) == [4, 1, 1, 1, 1, 1]
    with pytest.raises(DataError, match="token id 7"):
        vocabulary.decode([7])
    with pytest.raises(DataError, match="token id -1"):
        vocabulary.decode([-1])


GOOD = {"format": "svebm_ext.vocabulary", "version": 1, "tokens": ["<pad>", "<unk>", "<bos>", "<eos>", "a"]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read as JSON"),
        (b"\xff\xfe", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        (json.dumps(GOOD)[:-10], "cannot be read as JSON"),
        (["a"], "not a vocabulary"),
        (GOOD | {"format": "other"}, "not a vocabulary"),
        (GOOD | {"version": 2}, "version 2"),
        (GOOD | {"tokens": {"a": 1}}, "must be a list"),
        (GOOD | {"more": 1}, "unknown keys"),
        (GOOD | {"tokens": ["a", "b"]}, "first tokens must be"),
        (GOOD | {"tokens": [*GOOD["tokens"], "a"]}, "'a' twice"),
        (GOOD | {"tokens": [*GOOD["tokens"], "<pad>"]}, "'<pad>' twice"),
        (GOOD | {"tokens": [*GOOD["tokens"], 3]}, "must be strings, not int"),
        (GOOD | {"tokens": [*GOOD["tokens"], ""]}, "non-empty"),
        (GOOD | {"tokens": [*GOOD["tokens"], "a b"]}, "white space"),
        (GOOD | {"tokens": [*GOOD["tokens"], "\ud800"]}, "not valid Unicode"),
    ],
)
def test_damaged_file(tmp_path, content, message):
    path = tmp_path / "vocab.json"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelFolderError, match=message) as error:
        Vocabulary.load(path)
    assert str(path) in str(error.value)


def test_missing_file(tmp_path):
    with pytest.raises(ModelFolderError, match=r"vocab\.json: missing"):
        Vocabulary.load(tmp_path / "vocab.json")


def test_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "vocab.json"
    Vocabulary(["old"]).save(path)

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        Vocabulary(["new"]).save(path)
    assert "old" in Vocabulary.load(path)
    assert list(tmp_path.iterdir()) == [path]
