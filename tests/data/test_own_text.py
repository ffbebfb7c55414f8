import csv
import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svebm_ext.data import load_text
from svebm_ext.data.own_text import read_own_file, recognise_format
from svebm_ext.errors import ConfigError, DataError


def write(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


TEN = "".join(f"Sentence number {i}.\n" for i in range(10))


def test_lines_are_split_by_seed(tmp_path):
    path = write(tmp_path / "text.txt", TEN)
    corpus = load_text(path, seed=3)
    assert [len(corpus.train), len(corpus.valid), len(corpus.test)] == [8, 1, 1]
    sentences = corpus.train.sentences + corpus.valid.sentences + corpus.test.sentences
    assert sorted(sentences) == [["sentence", "number", str(i), "."] for i in range(10)]
    assert corpus.train.labels == {}
    assert corpus == load_text(path, seed=3)
    assert len({tuple(load_text(path, seed=s).test.sentences[0]) for s in range(20)}) > 3
    assert "1 sentence of the training file held out to test" in corpus.notes


@given(st.integers(3, 60), st.integers(0, 2**64 - 1), st.booleans(), st.booleans())
def test_every_sentence_lands_in_one_split(tmp_path_factory, n, seed, has_valid, has_test):
    folder = tmp_path_factory.getbasetemp()
    train = write(folder / "train.txt", "".join(f"w{i}\n" for i in range(n)))
    other = write(folder / "other.txt", "other\n")
    corpus = load_text(train, other if has_valid else None, other if has_test else None, seed=seed)
    splits = [corpus.train] + [corpus.valid] * (not has_valid) + [corpus.test] * (not has_test)
    words = sorted(s[0] for split in splits for s in split.sentences)
    assert words == sorted(f"w{i}" for i in range(n))
    for given_file, split in ((has_valid, corpus.valid), (has_test, corpus.test)):
        assert split.sentences == [["other"]] if given_file else len(split) == max(1, round(n / 10))


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text.tsv", "a\tOne\nb\tTwo!\n\tThree\n"),
        ("text.txt", "a\tOne\nb\tTwo!\n\tThree\n"),
        ("text.jsonl", '{"text": "One", "label": "a"}\n{"label": " b ", "text": "Two!"}\n{"text": "Three"}\n'),
        (
            "text.txt",
            '{"text": "One", "label": "a"}\n{"label": "b", "text": "Two!"}\n{"text": "Three", "label": null}\n',
        ),
    ],
)
def test_labelled_formats_are_recognised(tmp_path, name, content, compress):
    path = write(tmp_path / name, compress(content.encode()))
    assert read_own_file(path) == (["One", "Two!", "Three"], ["a", "b", ""], 0)
    corpus = load_text(path, path, path)
    assert corpus.train.sentences == [["one"], ["two", "!"], ["three"]]
    assert corpus.train.labels == {"label": ["a", "b", ""]}
    assert corpus.notes == ("3 of 3 test texts also occur in the training split",)


def test_recognised_formats():
    assert recognise_format("a.txt", ["plain", "text with a\ttab", "more"]) == "lines"
    assert recognise_format("a.txt", ["a\tb", "c\td", "plain"]) == "tsv"
    assert recognise_format("a", ["{not json}", "a"]) == "lines"
    assert recognise_format("a", ["", ' {"text": "a"}']) == "jsonl"
    assert recognise_format("a.JSONL.gz", ["?"]) == "jsonl"
    assert recognise_format("a.ndjson", ["?"]) == "jsonl"
    assert recognise_format("a.tsv.gz", ["?"]) == "tsv"
    assert recognise_format("a", []) == "lines"


def test_format_set_by_hand(tmp_path):
    path = write(tmp_path / "text.txt", "a\tOne\nb\tTwo\n")
    assert read_own_file(path, format="lines")[0] == ["a\tOne", "b\tTwo"]
    with pytest.raises(DataError, match=r"text\.txt:1: not JSON"):
        read_own_file(path, format="jsonl")


def test_tokenization_options(tmp_path):
    path = write(tmp_path / "text.txt", "Hello, World\n")
    assert load_text(path, path, path).train.sentences == [["hello", ",", "world"]]
    kept = load_text(path, path, path, tokenization="whitespace", lowercase=False)
    assert kept.train.sentences == [["Hello,", "World"]]


def test_labels_in_a_file_of_their_own(tmp_path):
    text = write(tmp_path / "text.txt", "one\ntwo\n")
    labels = write(tmp_path / "labels.txt", "a\nb\n")
    corpus = load_text(text, text, text, labels=(labels, None, labels))
    assert corpus.train.labels == corpus.test.labels == {"label": ["a", "b"]}
    assert corpus.valid.labels == {"label": ["", ""]}
    short = write(tmp_path / "short.txt", "a\n")
    with pytest.raises(DataError, match=r"short\.txt:2: 1 label for 2 lines of .*text\.txt"):
        load_text(text, labels=(short, None, None))
    with pytest.raises(DataError, match=r"labels\.txt: a file of labels goes with format lines.*is tsv"):
        read_own_file(write(tmp_path / "t.tsv", "a\tb\n"), labels)


def test_labels_stay_with_their_sentences_through_the_split(tmp_path):
    path = write(tmp_path / "text.tsv", "".join(f"L{i}\tw{i}\n" for i in range(30)))
    corpus = load_text(path, seed=1)
    for split in (corpus.train, corpus.valid, corpus.test):
        assert [s[0].upper().replace("W", "L") for s in split.sentences] == split.labels["label"]


def test_empty_lines(tmp_path):
    path = write(tmp_path / "text.txt", "one\n\ntwo\n \nthree\n")
    with pytest.raises(DataError, match=r"text\.txt:2: empty line; delete it, or leave it out by --data\.empty-lines"):
        load_text(path, empty_lines="error")
    corpus = load_text(path, path, path)
    assert corpus.train.sentences == [["one"], ["two"], ["three"]]
    assert corpus.notes[0] == f"{path}: 2 empty lines left out"
    labels = write(tmp_path / "labels.txt", "a\nx\nb\ny\nc\n")
    assert read_own_file(path, labels) == (["one", "two", "three"], ["a", "b", "c"], 2)
    for content in ("", "\n\n"):
        with pytest.raises(DataError, match="the file is empty"):
            load_text(write(tmp_path / "empty.txt", content), empty_lines="skip")
    for name, content in (("a.tsv", "label\t \n"), ("a.jsonl", json.dumps({"text": "  "}))):
        with pytest.raises(DataError, match=r":1: no text in this row; delete it"):
            load_text(write(tmp_path / name, content), empty_lines="error")
        with pytest.raises(DataError, match="no text in 1 line"):
            load_text(write(tmp_path / name, content))


def test_no_more_are_held_out_than_tell_something(tmp_path, monkeypatch):
    monkeypatch.setattr("svebm_ext.data.own_text.MOST_HELD_OUT", 7)
    corpus = load_text(write(tmp_path / "a.txt", "".join(f"w{i}\n" for i in range(100))))
    assert (len(corpus.train), len(corpus.valid), len(corpus.test)) == (86, 7, 7)


def test_rows_without_a_text_are_left_out_with_their_label(tmp_path):
    """An empty cell is common in the tables that people have; the row's label goes with it, and others keep theirs."""
    rows = [["id", "comment", "stars"], *([str(i), "" if i in (3, 7) else f"text {i}", str(i % 2)] for i in range(12))]
    path = tmp_path / "a.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    corpus = load_text(path, path, path, text_column="comment", label_column="stars")
    assert corpus.notes[0] == f"{path}: 2 rows without a text left out"
    kept = [i for i in range(12) if i not in (3, 7)]
    assert corpus.train.texts == [f"text {i}" for i in kept]
    assert corpus.train.labels["label"] == [str(i % 2) for i in kept]
    with pytest.raises(DataError, match=r"a\.csv:5: no text in this row"):
        load_text(path, text_column="comment", empty_lines="error")
    lines = write(tmp_path / "a.jsonl", '{"text": "one"}\n{"text": null}\n' + '{"text": "two"}\n' * 4)
    assert load_text(lines, lines, lines).notes[0] == f"{lines}: 1 row without a text left out"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "a\tb\nno tab\n", r"a\.tsv:2: 1 column, expected 2: label<TAB>text"),
        ("a.txt", "a\tb\nc\td\nno tab\n", r"a\.txt:3: 1 column"),
        ("a.tsv", "a\tb\tc\n", r"a\.tsv:1: 3 columns"),
        ("a.jsonl", '{"text": "a"}\n{"txt": "b"}\n', r"a\.jsonl:2: no text; expected"),
        ("a.jsonl", '{"text": 3}\n', r"a\.jsonl:1: text of type int"),
        ("a.jsonl", '{"text": "a", "label": [1]}\n', r"a\.jsonl:1: label of type list"),
        ("a.jsonl", '{"text": "a"\n', r"a\.jsonl:1: not JSON"),
        # "na\xefve" alone is Windows-1252, which is read and noted; 0x81 is no character of it.
        ("a.txt", b"one\ntwo\nna\xefve \x81\n", r"a\.txt:3: not UTF-8 \(byte 0xef\).*iconv -f"),
        ("a.txt", "one\ntwo\n", r"a\.txt: 2 sentences; splitting needs at least 3"),
    ],
)
def test_errors_name_file_and_line(tmp_path, name, content, message):
    with pytest.raises(DataError, match=message):
        load_text(write(tmp_path / name, content))


def test_three_sentences_are_enough(tmp_path):
    corpus = load_text(write(tmp_path / "a.txt", "a\nb\nc\n"))
    assert [len(corpus.train), len(corpus.valid), len(corpus.test)] == [1, 1, 1]


def test_whole_number_labels(tmp_path):
    path = write(tmp_path / "a.jsonl", '{"text": "a", "label": 0}\n{"text": "b", "label": true}\n')
    assert read_own_file(path)[1] == ["0", "True"]


def test_unknown_options(tmp_path):
    path = write(tmp_path / "a.txt", "a\n")
    load = getattr(load_text, "__wrapped__", load_text)
    for option in ("format", "empty_lines"):
        with pytest.raises((ConfigError, TypeError)):
            load(path, **{option: "other"})
    with pytest.raises(DataError, match="no such file"):
        load_text(tmp_path / "gone.txt")
    with pytest.raises(DataError, match="seed must be"):
        load_text(write(tmp_path / "b.txt", TEN), seed=-1)


LABELLED = "sea\tSalt and waves.\nsky\tA cloud.\nsea\tA boat.\nland\tHills.\nsky\tBlue.\n"


def test_labelled_examples_join_unlabelled_text(tmp_path):
    """Every class keeps its first example whatever the seed; nothing is lost or doubled."""
    train = write(tmp_path / "text.txt", TEN)
    labelled = write(tmp_path / "labelled.tsv", LABELLED)
    for seed in range(30):
        corpus = load_text(train, labelled=labelled, seed=seed)
        splits = (corpus.train, corpus.valid, corpus.test)
        assert [len(s) for s in splits] == [11, 2, 2]
        pairs = [(v, tuple(s)) for split in splits for s, v in zip(split.sentences, split.labels["label"], strict=True)]
        assert len(set(pairs)) == 15 and sum(value == "" for value, _ in pairs) == 10
        known = dict(zip(map(tuple, corpus.train.sentences), corpus.train.labels["label"], strict=True))
        assert known[("salt", "and", "waves", ".")] == "sea" and known[("hills", ".")] == "land"
        assert known[("a", "cloud", ".")] == "sky"
    assert any("one example only of land" in note for note in corpus.notes)


def test_labelled_examples_with_given_splits_all_stay(tmp_path):
    train, other = write(tmp_path / "text.txt", TEN), write(tmp_path / "other.tsv", "sea\tWater.\n")
    corpus = load_text(train, other, other, labelled=write(tmp_path / "labelled.tsv", LABELLED))
    assert len(corpus.train) == 15 and corpus.train.labels["label"].count("sea") == 2


def splits_of(corpus):
    return {name: list(map(tuple, getattr(corpus, name).sentences)) for name in ("train", "valid", "test")}


@pytest.mark.parametrize("seed", range(5))
def test_a_labelled_text_counts_once_and_is_never_held_out(tmp_path, seed):
    """All labelled texts stand in the text as well, one of them three times; case and spacing do not matter."""
    again = "a BOAT.\nHills.\nA  boat.\nSalt and waves.\nA boat.\nA cloud.\nBlue.\n"
    train = write(tmp_path / "text.txt", TEN + again)
    corpus = load_text(train, labelled=write(tmp_path / "labelled.tsv", LABELLED), seed=seed)
    splits = splits_of(corpus)
    everything = [text for texts in splits.values() for text in texts]
    labelled = {tuple(line.split("\t")[1].lower().replace(".", " .").split()) for line in LABELLED.splitlines()}
    assert {text: everything.count(text) for text in labelled} == {
        text: 3 if text == ("a", "boat", ".") else 1 for text in labelled
    }
    assert not labelled & {*splits["valid"], *splits["test"]} and len(everything) == 17
    values = dict(zip(splits["train"], corpus.train.labels["label"], strict=True))
    assert values[("hills", ".")] == "land" and corpus.train.labels["label"].count("") == 17 - 5 - 4
    assert "5 texts of the training file are labelled in data.labelled as well, and count once" in corpus.notes
    assert [len(texts) for texts in (corpus.train.texts, corpus.valid.texts, corpus.test.texts)] == [13, 2, 2]


def test_another_label_in_the_training_file_is_told_and_kept(tmp_path):
    train = write(
        tmp_path / "text.tsv", "".join(f"wood\tTree {i}.\n" for i in range(8)) + "sky\tHills.\nsea\tA boat.\n"
    )
    corpus = load_text(train, labelled=write(tmp_path / "labelled.tsv", LABELLED))
    found = sorted(
        v for s, v in zip(corpus.train.sentences, corpus.train.labels["label"], strict=True) if s == ["hills", "."]
    )
    assert found == ["land", "sky"]
    assert "1 text of the training file is labelled in data.labelled as well, and counts once" in corpus.notes
    assert any(
        note.startswith("1 text has another label in the training file than in data.labelled") for note in corpus.notes
    )


def test_where_all_of_the_text_is_labelled_some_of_it_is_held_out(tmp_path):
    lines = [f"{'sea' if i % 2 else 'sky'}\tSentence number {i}.\n" for i in range(20)]
    labelled = write(tmp_path / "labelled.tsv", "".join(lines))
    text = write(tmp_path / "text.txt", "".join(line.split("\t")[1] for line in lines))
    corpus = load_text(text, labelled=labelled)
    splits = splits_of(corpus)
    assert [len(texts) for texts in splits.values()] == [16, 2, 2]
    assert len({text for texts in splits.values() for text in texts}) == 20
    assert all(getattr(corpus, name).labels["label"].count("") == 0 for name in splits)


def test_labels_of_two_places_are_told(tmp_path):
    train = write(tmp_path / "text.tsv", "".join(f"wood\tTree {i}.\n" for i in range(6)))
    corpus = load_text(train, labelled=write(tmp_path / "labelled.tsv", LABELLED))
    told = "6 labels of the training file are learnt from beside those of data.labelled"
    assert any(note.startswith(told) for note in corpus.notes)
    alone = load_text(write(tmp_path / "text.txt", TEN), labelled=tmp_path / "labelled.tsv")
    assert not any("beside those" in note for note in alone.notes)


@pytest.mark.parametrize("name", ["train", "labelled"])
def test_one_text_with_two_labels_in_one_file_is_told(tmp_path, name):
    """Whatever its capitals; it stays with both of them."""
    texts = [f"{'a' if i % 2 else 'b'}\tone of {i} texts" for i in range(40)]
    own = write(tmp_path / "own.tsv", "\n".join([*texts, "a\tTwice said.", "b\ttwice said.", "b\tTwice said."]) + "\n")
    plain = write(tmp_path / "plain.txt", "\n".join(f"plain {i} lines" for i in range(20)) + "\n")
    corpus = load_text(own) if name == "train" else load_text(plain, labelled=own)
    (note,) = (note for note in corpus.notes if "different labels" in note)
    assert note == (
        f"{own}: 1 text has different labels, for instance 'Twice said.' ('a' at {own}:41, 'b' at {own}:42); "
        "each counts as often as it stands there, so mend the wrong ones"
    )
    parts = (corpus.train, corpus.valid, corpus.test)
    everywhere = [pair for part in parts for pair in zip(part.sentences, part.labels["label"], strict=True)]
    assert sorted(label for sentence, label in everywhere if "twice" in sentence) == ["a", "b", "b"]
    consistent = write(tmp_path / "fine.tsv", "\n".join([*texts, "a\tTwice said.", "a\ttwice said."]) + "\n")
    assert not [note for note in load_text(consistent).notes if "different labels" in note]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("sea\tWaves.\n\tClouds.\n", r"labelled\.tsv: 1 of 2 lines have no label"),
        ("sea\tWaves.\nsea\tBoats.\n", r"all 2 lines have the label 'sea'; expected at least two classes"),
        ("Waves.\n", r"labelled\.tsv:1: 1 column"),
    ],
)
def test_labelled_files_without_what_they_are_for(tmp_path, content, message):
    train, labelled = write(tmp_path / "text.txt", TEN), write(tmp_path / "labelled.tsv", content)
    with pytest.raises(DataError, match=message):
        load_text(train, labelled=labelled)


def test_too_few_sentences_beside_those_that_stay(tmp_path):
    labelled = write(tmp_path / "labelled.tsv", "sea\tWaves.\nsky\tClouds.\n")
    one = write(tmp_path / "one.txt", "One.\n")
    with pytest.raises(DataError, match="3 sentences; splitting needs at least 4"):
        load_text(one, labelled=labelled)
    corpus = load_text(write(tmp_path / "two.txt", "One.\nTwo.\n"), labelled=labelled)
    assert [len(corpus.train), len(corpus.valid), len(corpus.test)] == [2, 1, 1]


def test_what_was_assumed_is_in_the_notes(tmp_path):
    path = write(tmp_path / "a.txt", "one\ntwo\nnaïve\n".encode("latin-1"))
    corpus = load_text(path, path, path)
    assert corpus.train.sentences == [["one"], ["two"], ["naïve"]]
    assert corpus.notes[0].startswith(f"{path}: not UTF-8; read as Windows-1252 (line 3, for instance 'naïve')")
    assert len(corpus.notes) == 2  # told once, though three splits are of that file


def test_labels_have_one_form(tmp_path):
    content = "Cafe\u0301  au lait \tone\nCaf\u00e9 au\xa0lait\ttwo\n tea\tthree\nTea\tfour\ntea\tfive\nNone\tsix\n"
    corpus = load_text(write(tmp_path / "a.tsv", content), *[write(tmp_path / "b.tsv", "tea\tx\n")] * 2)
    assert corpus.train.labels["label"] == ["Café au lait"] * 2 + ["tea", "Tea", "tea", "None"]
    assert "classes that differ in capitals only, and are learnt apart: 'Tea' (1), 'tea' (4)" in corpus.notes


@pytest.mark.parametrize("place", range(0, 100, 9))
def test_a_rare_class_stays_in_training(tmp_path, place):
    lines = [f"ham\tsentence number {i} here" for i in range(100)]
    lines.insert(place, "fraud\tsend money now")
    path = write(tmp_path / "rare.tsv", "\n".join(lines))
    for seed in range(5):
        corpus = load_text(path, seed=seed)
        assert corpus.train.labels["label"].count("fraud") == 1
        assert [len(corpus.train), len(corpus.valid), len(corpus.test)] == [81, 10, 10]


def test_classes_are_held_out_in_proportion(tmp_path):
    sizes = {"a": 200, "b": 100, "c": 50, "d": 20, "e": 4}
    lines = [f"{name}\t{name} number {i}" for name, size in sizes.items() for i in range(size)]
    path = write(tmp_path / "a.tsv", "\n".join(lines))
    rare = 0
    for seed in range(30):
        corpus = load_text(path, seed=seed)
        assert [len(corpus.train), len(corpus.valid), len(corpus.test)] == [300, 37, 37]
        for split in (corpus.valid, corpus.test):
            counts = {name: split.labels["label"].count(name) for name in sizes}
            assert all(abs(counts[name] - size * 37 / 374) < 2 for name, size in sizes.items()), counts
        rare += corpus.test.labels["label"].count("e")
        assert corpus.train.labels["label"].count("e") >= 1
    assert 3 <= rare <= 22  # 4 * 37 / 374 of each test split on average: 12
    assert load_text(path, seed=7) == load_text(path, seed=7)


def test_more_classes_than_can_stay_are_noted(tmp_path):
    path = write(tmp_path / "a.tsv", "".join(f"L{i}\tw{i}\n" for i in range(30)))
    assert "30 classes in 30 texts: some are not in the training split" in load_text(path).notes


def test_sentences_without_a_word_are_empty(tmp_path, monkeypatch):
    path = write(tmp_path / "a.txt", "one\n--\nthree\n")
    words = lambda texts, *_: [[w for w in text.split() if w != "--"] for text in texts]  # noqa: E731
    monkeypatch.setattr("svebm_ext.data.own_text.read_words", words)
    with pytest.raises(
        DataError, match=r"a\.txt:2: no word in it; delete it, or leave it out by --data\.empty-lines skip"
    ):
        load_text(path, empty_lines="error")
    corpus = load_text(path, path, path)
    assert corpus.train.sentences == [["one"], ["three"]]
    assert corpus.notes[0] == f"{path}: 1 empty line left out"


def test_a_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "mine.txt", TEN)
    assert len(load_text("~/mine.txt").train) == 8


def test_a_line_without_a_visible_character_is_empty(tmp_path):
    path = write(tmp_path / "a.txt", "one\n\u200b\ntwo\nthree\nfour\n")
    with pytest.raises(DataError, match=r"a\.txt:2: empty line"):
        load_text(path, empty_lines="error")
    assert len(load_text(path).train) == 2
