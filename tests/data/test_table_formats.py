"""Formats of tables: JSON, fastText, Parquet, and what the standard library writes."""

import csv
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from table_files import LABELS, NUMBERS, TEXTS, read, write

from svebm_ext.data.delimited import read_delimited
from svebm_ext.data.formats import recognise_format
from svebm_ext.data.records import read_json_text
from svebm_ext.errors import DataError


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([{"text": t, "label": c} for t, c in zip(TEXTS, LABELS, strict=True)]),
        json.dumps([{"text": t, "label": c} for t, c in zip(TEXTS, LABELS, strict=True)], indent=1),
        json.dumps({"text": TEXTS, "label": LABELS}),
        json.dumps({"text": dict(enumerate(TEXTS)), "label": dict(enumerate(LABELS))}),
        json.dumps({"version": 1, "data": [{"text": t, "label": c} for t, c in zip(TEXTS, LABELS, strict=True)]}),
        "".join(json.dumps({"text": t, "label": c}) + "\n" for t, c in zip(TEXTS, LABELS, strict=True)),
    ],
)
@pytest.mark.parametrize("name", ["a.json", "a.txt"])
def test_json_of_all_shapes(tmp_path, content, name):
    assert read(write(tmp_path, name, content)) == (TEXTS, LABELS, [])


def test_json_arrays_of_texts_and_of_rows(tmp_path):
    assert read(write(tmp_path, "a.json", json.dumps(TEXTS))) == (TEXTS, [""] * 20, [])
    pairs = write(tmp_path, "b.json", json.dumps(list(zip(TEXTS, LABELS, strict=True))))
    assert read(pairs) == (TEXTS, LABELS, ["text from column 1, labels from column 2"])


def test_json_with_other_keys(tmp_path):
    records = [{"utterance": t, "intent": c, "id": i} for i, (t, c) in enumerate(zip(TEXTS, LABELS, strict=True))]
    path = write(tmp_path, "a.jsonl", "".join(json.dumps(record) + "\n" for record in records))
    assert read(path) == (TEXTS, LABELS, ["text from key 'utterance', labels from 'intent'; other keys: 'id'"])
    assert read(path, text_column="intent", label_column="0")[0] == LABELS
    write(tmp_path, "a.jsonl", '{"inner": {"text": "a"}, "n": 3}\n' * 2)
    with pytest.raises(DataError, match=r"a\.jsonl:1: 2 keys, and which one is the text cannot be told: 'inner' for"):
        read(path)
    write(tmp_path, "a.jsonl", '{"utterance": "a", "intent": "x"}\n{"intent": "y"}\n')
    with pytest.raises(DataError, match=r'a\.jsonl:2: no utterance; expected \{"utterance": "\.\.\.", "intent"'):
        read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[{"text": "a"},\n {"text": "b"}\n {"text": "c"}]', r"a:3: not JSON: expected ',' or '\]'"),
        ('[{"text": "a"},\n {"text": }]', r"a:2: not JSON"),
        ('[{"text": "a"}] more', r"a:1: not JSON: text after the end"),
        ('[{"text": "a"},\n"b"]', r"a:2: a value of type str; expected a value of type dict"),
        ("[]", "a: an empty array"),
        ("[1, 2]", r"a:1: a value of type int"),
        ('["a", ["b"]]', r"a:1: a value of type|a:1: a list of 1"),
        ('{"a": {"b": [1]}, "c": 2}', r"a: one JSON object with 'a' \(dict\), 'c' \(int\); expected an array"),
        ("[" * 100_000, r"a:1: not JSON: nested too deeply"),
        ("3", "a: a JSON value of type int"),
    ],
)
def test_json_that_is_no_table(content, message):
    with pytest.raises(DataError, match=message):
        read_json_text("a", content)


def test_escapes_of_json_are_checked(tmp_path):
    for escape, message in (("\\u0007", r"a\.json:2: control character U\+0007"), ("\\ud800", r":2: half of a surr")):
        path = write(tmp_path, "a.json", f'[{{"text": "a"}},\n {{"text": "b{escape}"}}]')
        with pytest.raises(DataError, match=message):
            read(path)


def test_fasttext(tmp_path):
    content = "__label__tech  the router stopped\nno label here\nat the end __label__post\n__label__a-b x\n"
    path = write(tmp_path, "a.txt", content)
    assert recognise_format(path, content.splitlines()) == "fasttext"
    assert recognise_format(path, [*content.splitlines(), "none", "none"]) == "lines"  # half of the lines only
    assert read(path, format="fasttext") == (
        ["the router stopped", "no label here", "at the end", "x"], ["tech", "", "post", "a-b"], [],
    )  # fmt: skip
    assert read(write(tmp_path, "a.txt", "__label__a one\n__label__b two\n"))[:2] == (["one", "two"], ["a", "b"])
    at_the_end = "play some music __label__play\nstop it __label__stop\n"
    assert read(write(tmp_path, "a.txt", at_the_end)) == (["play some music", "stop it"], ["play", "stop"], [])
    spoken = "- ann: hello\n- bob: hi\n- ann: 12:30 then\n"
    assert read(write(tmp_path, "a.txt", spoken))[0] == spoken.splitlines()  # a list of what was said is text
    write(tmp_path, "a.txt", "__label__a __label__b one\n")
    with pytest.raises(DataError, match=r"a\.txt:1: 2 labels \(__label__a __label__b\), expected one a line"):
        read(path)
    write(tmp_path, "a.txt", "__label__a\n")
    with pytest.raises(DataError, match=r"a\.txt: no text in 1 line"):
        read(path)


TEXT = st.text(
    st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\ufeff") | st.sampled_from(',;"\t|\n')
)


@given(
    st.lists(st.tuples(TEXT.filter(str.strip), st.sampled_from(["a", "b c", ""])), min_size=1, max_size=30),
    st.sampled_from(",;\t|"),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_the_standard_library_writes_is_read_back(tmp_path_factory, pairs, delimiter, end):
    path = tmp_path_factory.getbasetemp() / "written.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
        writer.writerows([("text", "label"), *pairs])
    table = read_delimited("a", path.read_bytes().decode(), None)
    assert table.names == ["text", "label"] and list(zip(*table.columns, strict=True)) == pairs


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    path = tmp_path / "a.bin"
    parquet.write_table(pyarrow.table({"text": TEXTS, "views": NUMBERS, "label": LABELS}), path)
    assert read(path) == (
        TEXTS,
        LABELS,
        ["text from column 'text' (1), labels from 'label' (3); other columns: 'views' (2)"],
    )
    parquet.write_table(pyarrow.table({"text": ["a", None]}), path)
    assert read(path)[0] == ["a"]
    with pytest.raises(DataError, match=r"a\.bin: row 2: text of type NoneType"):
        read(path, empty_lines="error")
    path.write_bytes(path.read_bytes()[:-6])
    with pytest.raises(DataError, match=r"a\.bin: not a Parquet file that can be read"):
        read(path)


def test_parquet_without_its_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1....PAR1")
    with pytest.raises(DataError, match=r'needs pyarrow: pip install "svebm_ext\[arrow\]"'):
        read(tmp_path / "a.parquet")
    (tmp_path / "b.parquet").write_text("hello\n")
    with pytest.raises(DataError, match=r"b\.parquet: no Parquet file, although it is called so"):
        read(tmp_path / "b.parquet")


def test_formats_by_ending():
    for name, expected in (("a.csv", "csv"), ("a.CSV.gz", "csv"), ("a.tab", "tsv"), ("a.json", "json")):
        assert recognise_format(name, ["?"]) == expected


def test_texts_inside_other_values_are_told_how_to_be_reached(tmp_path):
    nested = "".join(json.dumps({"id": i, "hotel": {"name": f"hotel number {i}"}}) + "\n" for i in range(5))
    path = write(tmp_path, "a.jsonl", nested)
    with pytest.raises(DataError, match=r"text of type dict .*, give the text inside it a key of its own"):
        read(path, text_column="hotel")
