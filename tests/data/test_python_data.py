"""Texts in memory: lists, data frames, data sets."""

import sys
from pathlib import Path

import pytest

from svebm_ext.data import load_text
from svebm_ext.data.examples import Reading, read_examples
from svebm_ext.errors import DataError

TEXTS = [f"sentence number {i}" for i in range(10)]
LABELS = ["even" if i % 2 == 0 else "odd" for i in range(10)]


def read(data, **options):
    found = read_examples(data, Reading(**options), name="train")
    return found.texts, found.labels


def test_lists_of_texts_pairs_and_dictionaries():
    assert read(TEXTS) == (TEXTS, [""] * 10)
    assert read(iter(TEXTS)) == (TEXTS, [""] * 10)
    pairs = list(zip(TEXTS, LABELS, strict=True))
    assert read(pairs) == (TEXTS, LABELS)
    assert read([list(pair) for pair in pairs]) == (TEXTS, LABELS)
    records = [{"id": i, "intent": label, "utterance": text} for i, (text, label) in enumerate(pairs)]
    found = read_examples(records)
    assert (found.texts, found.labels) == (TEXTS, LABELS)
    assert found.notes == ["texts: text from key 'utterance', labels from 'intent'; other keys: 'id'"]
    assert read({"text": TEXTS, "label": LABELS}) == (TEXTS, LABELS)


def test_labels_are_strings_whole_numbers_or_none():
    assert read(
        [("a", 1), ("b", None), ("c", True), ("d", " x  y "), ("e", 2.0), ("f", float("nan")), ("g", "None")]
    ) == (
        list("abcdefg"),
        ["1", "", "True", "x y", "2", "", "None"],
    )
    with pytest.raises(DataError, match=r"train: row 1 \(counted from 0\): label of type float"):
        read([("a", 1), ("b", 0.5)])


def test_a_corpus_of_a_list():
    corpus = load_text(list(zip(TEXTS, LABELS, strict=True)), test=["one text"])
    assert (len(corpus.train), len(corpus.valid), corpus.test.sentences) == (9, 1, [["one", "text"]])
    assert corpus.test.labels == {"label": [""]}
    labelled = load_text(TEXTS, labelled=[("see a boat", "sea"), ("the sky", "sky")])
    assert sorted(labelled.train.labels["label"])[-2:] == ["sea", "sky"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (["a", None], r"train: row 1 \(counted from 0\): text of type NoneType"),
        (["a", float("nan")], r"row 1 .*: text of type float \(nan\)"),
        (["a", b"b"], r"row 1 .*: text of type bytes \(b'b', decode it first\); expected a string"),
        (b"bytes", "train: bytes given; expected a path, a list"),
        (5, "train: int given; expected a path"),
        ([], "train: no texts in it"),
        ([("a", "b"), ("c",)], r"row 1 .*: 1 values; expected \(text, label\)"),
        ([("a", "b"), "c"], r"row 1 .*: str \('c'\); expected a \(text, label\) pair"),
        ([{"text": "a"}, {"txt": "b"}], r"row 1 .*: no text; expected a string"),
        (["a", "b\x07"], r"train: row 1 \(counted from 0\): control character U\+0007"),
        (["a", "\ud800"], r"train: row 1 \(counted from 0\): half of a surrogate pair U\+D800"),
        (["a", " "], r"train: row 1 \(counted from 0\): no text in this row"),
        ({"text": ["a"], "label": []}, "columns of 0 and 1 values"),
        ({"text": "a"}, "one dictionary of values"),
    ],
)
def test_what_is_no_text_is_refused_with_its_row(data, message):
    with pytest.raises(DataError, match=message):
        read(data, empty_lines="error")


def test_what_stands_for_no_text_is_left_out():
    found = read_examples([("a", "x"), (None, "y"), ("c", "z"), (" ", "x")], Reading(), name="train")
    assert (found.texts, found.labels, found.n_skipped) == (["a", "c"], ["x", "z"], 2)


def test_a_string_is_a_path_and_a_list_of_one_string_a_text(tmp_path):
    with pytest.raises(DataError, match="hello there: no such file"):
        load_text("hello there")
    (tmp_path / "a.txt").write_text("one\n")
    assert read(str(tmp_path / "a.txt")) == read(Path(tmp_path / "a.txt")) == read(["one"])


def test_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": range(10), "label": pandas.Categorical(LABELS), "text": TEXTS}, index=range(5, 15))
    found = read_examples(frame)
    assert (found.texts, found.labels) == (TEXTS, LABELS)
    assert found.notes == ["texts: text from column 'text' (3), labels from 'label' (2); other columns: 'id' (1)"]
    assert read(frame["text"]) == (TEXTS, [""] * 10)
    assert read(frame.rename(columns={"text": "label"}), text_column="3", label_column="2") == (TEXTS, LABELS)
    frame["label"] = pandas.array([1, None] * 5, dtype="Int64")
    assert read(frame)[1] == ["1", ""] * 5
    frame["label"] = [1.0, None] * 5  # what pandas makes of whole numbers of which some are missing
    assert read(frame)[1] == ["1", ""] * 5
    frame.loc[7, "text"] = None
    assert read(frame)[0] == [text for i, text in enumerate(TEXTS) if i != 2]
    with pytest.raises(DataError, match=r"train: row 2 \(counted from 0\): text of type "):
        read(frame, empty_lines="error")


def test_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"label": LABELS, "text": TEXTS})
    assert read(frame) == (TEXTS, LABELS)
    assert read(frame["text"]) == (TEXTS, [""] * 10)
    with pytest.raises(DataError, match=r"row 1 .*: text of type NoneType"):
        read(polars.DataFrame({"text": ["a", None]}), empty_lines="error")


@pytest.mark.filterwarnings("ignore")  # of the library
def test_datasets():
    datasets = pytest.importorskip("datasets")
    pairs = {"text": TEXTS, "label": [i % 2 for i in range(10)]}
    data = datasets.Dataset.from_dict(pairs)
    assert read(data) == (TEXTS, ["0", "1"] * 5)
    features = {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["even", "odd"])}
    named = datasets.Dataset.from_dict(pairs, features=datasets.Features(features))
    assert read(named) == (TEXTS, LABELS)
    with pytest.raises(DataError, match=r"several splits \(train\); give one of them"):
        read(datasets.DatasetDict({"train": named}))


def test_pyarrow():
    pyarrow = pytest.importorskip("pyarrow")
    assert read(pyarrow.table({"text": TEXTS, "label": LABELS})) == (TEXTS, LABELS)


def test_their_libraries_are_not_imported():
    import subprocess

    program = (
        "import sys; from svebm_ext.data import load_text; load_text([('a b', 'x'), ('c d', 'y')] * 9);"
        "print([n for n in ('pandas', 'polars', 'datasets', 'pyarrow') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
