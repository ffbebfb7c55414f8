"""Files of any size by rows: the same texts, lines, notes and errors as from a file that is read whole."""

import bz2
import codecs
import gzip
import io
import json
import lzma
import sys
import zipfile

import pytest

from svebm_ext.data import text_streams
from svebm_ext.data.examples import Reading, read_examples
from svebm_ext.data.text_streams import open_texts
from svebm_ext.errors import DataError

READING = Reading("auto", "skip", labels="unused")
LINES = [f"line number {i} of all lines {'with some' if i % 2 else 'and more'} words" for i in range(200)]


@pytest.fixture(params=[1 << 20, 1500])
def beginning(request, monkeypatch):
    """Bytes of a beginning: all of a file, or a part."""
    monkeypatch.setattr(text_streams, "BEGINNING", request.param)
    return request.param


def read(path, reading=READING):
    with open_texts(path, reading) as stream:
        rows = list(stream)
        return rows, [*stream.notes, *stream.later_notes()], stream


def zipped(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("mine.tsv", content)
    return buffer.getvalue()


PLAIN = "".join(f"{line}\n" for line in LINES)
CONTENTS = {
    "plain": PLAIN.encode(),
    "no end": PLAIN.rstrip("\n").encode(),
    "returns": PLAIN.replace("\n", "\r\n").encode(),
    "old returns": PLAIN.replace("\n", "\r").encode(),
    "mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "two marks": b"\xef\xbb\xbf" + PLAIN.encode() + b"\xef\xbb\xbf" + PLAIN.encode(),
    "utf-16": PLAIN.replace("all", "\u00e4ll \U0001f600").encode("utf-16"),
    "utf-16 without a mark": PLAIN.encode("utf-16-le"),
    "utf-32": codecs.BOM_UTF32_BE + PLAIN.encode("utf-32-be"),
    "utf-8": PLAIN.replace("all", "\u00e4ll \u2028 \x85").encode(),
    "windows": PLAIN.replace("all", "caf\u00e9s").encode("cp1252"),
    "windows late": (PLAIN + PLAIN.replace("all", "caf\u00e9s")).encode("cp1252"),
    "empty lines": ("\n \n" + PLAIN.replace("\n", "\n\n")).encode(),
    "return inside": (PLAIN + "one\rtwo\n" + PLAIN).encode(),
    "fasttext": "".join(f"__label__a {line}\n" for line in LINES).encode(),
    "tsv": "".join(f"a\t{line}\n" for line in LINES).encode(),
    "tsv with quotes": "".join(f'a\t"{line}\n""and""\tmore"\n' for line in LINES).encode(),
    "tsv with empty lines": ("label\ttext\n" + "\n".join(f"a\t{line}\n" for line in LINES) + "\n\n").encode(),
    "csv": ("id,text\n" + "".join(f'{i},"{line} ""x""\nand, more"\n' for i, line in enumerate(LINES))).encode(),
    "csv of Excel": ("sep=;\nid;text\n" + "".join(f"{i};{line}\n" for i, line in enumerate(LINES))).encode(),
    "csv with an empty column": (",id,text\n" + "".join(f",{i},{line}\n" for i, line in enumerate(LINES))).encode(),
    "csv with returns": ("id,text\r\n" + "".join(f'{i},"{line}\r\nx"\r\n' for i, line in enumerate(LINES))).encode(),
    "jsonl": "".join(json.dumps({"text": line, "n": [i]}) + "\n" for i, line in enumerate(LINES)).encode(),
    "jsonl with empty lines": "".join(json.dumps({"text": line}) + "\n\n" for line in LINES).encode(),
    "one object": json.dumps({"text": LINES[0]}).encode(),
    "an array": json.dumps([{"text": line, "n": i} for i, line in enumerate(LINES)]).encode(),
    "an array in lines": ("[\n" + ",\n".join(map(json.dumps, LINES)) + "\n]\n").encode(),
    "an array of rows": json.dumps([["a", line] for line in LINES]).encode(),
    "columns": json.dumps({"text": LINES, "n": list(range(200))}).encode(),
    "gzip": gzip.compress(PLAIN.encode()),
    "gzip twice": gzip.compress(gzip.compress(PLAIN.encode())),
    "two members": gzip.compress(PLAIN.encode()) + gzip.compress(PLAIN.encode()),
    "bz2": bz2.compress(PLAIN.encode()),
    "xz": lzma.compress(PLAIN.encode()),
    "zip": zipped("".join(f"a\t{line}\n" for line in LINES)),
    "zip in gzip": gzip.compress(zipped("".join(f"a\t{line}\n" for line in LINES))),
}


@pytest.mark.parametrize("name", CONTENTS)
@pytest.mark.parametrize("from_input", [False, True])
def test_rows_are_those_of_the_whole_file(tmp_path, beginning, monkeypatch, name, from_input):
    path = tmp_path / ("mine.csv" if "csv" in name else "mine")
    path.write_bytes(CONTENTS[name])
    given = path
    if from_input:
        given = "-"
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(CONTENTS[name])))
    expected = read_examples(path, READING)
    rows, notes, stream = read(given)
    filled = [row for row in rows if row.text]
    assert [row.text for row in filled] == expected.texts
    assert [row.line for row in filled] == list(expected.rows)
    assert stream.n_empty == expected.n_skipped and stream.is_table == expected.is_table
    if not from_input:
        assert sorted(note.split(" (line")[0] for note in notes) == sorted(n.split(" (line")[0] for n in expected.notes)
    for row in filled:
        values = row.fields.values() if isinstance(row.fields, dict) else row.fields
        assert row.text in values and (isinstance(row.fields, dict) or len(row.fields) == len(stream.columns))


def test_all_columns_of_a_row_are_there(tmp_path, beginning):
    (tmp_path / "mine.csv").write_bytes(CONTENTS["csv with an empty column"])
    rows, _, stream = read(tmp_path / "mine.csv")
    assert stream.columns == ["column1", "id", "text"] and rows[7].fields == ["", "7", LINES[7]]
    (tmp_path / "mine.jsonl").write_bytes(CONTENTS["jsonl"])
    rows, _, stream = read(tmp_path / "mine.jsonl")
    assert stream.columns == ["text", "n"] and rows[7].fields == {"text": LINES[7], "n": [7]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\n \n\t\n" * 900, r"mine: (the file is empty|no text in 2,700 lines)"),
        (b"<a>text</a>\n" * 900, "markup"),
        (b"a,text\n" + b"b,text\n" * 600 + b"x\n", "mine:602: 1 column, expected 2"),
        (b'{"text": "a b"}\n' * 600 + b'{"text": "a \\u0007"}\n', r"mine:601: control character U\+0007"),
        (b'{"text": "a b"}\n' * 600 + b"[1]\n", "mine:601: expected a JSON object, not list; if these are whole lines"),
        ("ab\u00e4 c\n".encode() * 600 + b"\xff\xfe\xfd\n", r"mine:601: not UTF-8 \(byte 0xff\), although the "),
        (b"caf\xe9s here\n" * 600 + b"a \x81 b\n", r"mine:(601: not Windows-1252 \(byte 0x81\)|1: not UTF-8)"),
        (gzip.compress(b"a line\n" * 60_000)[:-20], "mine: cannot be read: "),
        (b"%PDF" + b" x\n" * 900, "a PDF document"),
    ],
)
def test_errors_name_the_line(tmp_path, beginning, content, message):
    (tmp_path / "mine").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "mine", Reading("csv" if b"a,text" in content else "auto", "skip", labels="unused"))


def test_rows_before_an_error_are_given(tmp_path, monkeypatch):
    monkeypatch.setattr(text_streams, "BEGINNING", 1500)
    for name, wrong in (
        ("utf-8", b"\xff\xfe\n"), ("plain", b"a \x81 \x8d b\n"), ("windows", b"a \x81 b\n"), ("plain", b"a\x07\n"),
        ("tsv", b"x\n"), ("jsonl", b"{\n"), ("csv", b"x\n"),
    ):  # fmt: skip
        path = tmp_path / ("mine.csv" if name == "csv" else "mine")
        path.write_bytes(CONTENTS[name] + wrong + CONTENTS[name])
        rows = []
        with pytest.raises(DataError), open_texts(path, READING) as stream:
            rows.extend(stream)
        assert len(rows) == 200, name


def test_a_folder_is_a_document_a_file(tmp_path):
    for i in range(3):
        (tmp_path / f"{i}.txt").write_text(f"document {i}\nof two lines\n")
    rows, _, stream = read(tmp_path)
    assert [row.text for row in rows] == [f"document {i}\nof two lines\n" for i in range(3)]
    assert stream.where(2) == f"{tmp_path}: file 2 by name"


def test_parquet_is_read_by_batches(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    from svebm_ext.data import parquet as reader

    monkeypatch.setattr(reader, "ROWS", 30)
    monkeypatch.setattr(text_streams, "BEGINNING", 100)
    table = pyarrow.table({"text": LINES, "n": list(range(200))})
    parquet.write_table(table, tmp_path / "mine.parquet", row_group_size=64)
    for path in (tmp_path / "mine.parquet", tmp_path / "mine.gz"):
        if path.suffix == ".gz":
            path.write_bytes(gzip.compress((tmp_path / "mine.parquet").read_bytes()))
        rows, _, _ = read(path)
        assert [(row.line, row.text, *row.fields) for row in rows] == [
            (i + 1, line, line, i) for i, line in enumerate(LINES)
        ]
    texts = [*LINES, None]
    parquet.write_table(pyarrow.table({"text": texts}), tmp_path / "mine.parquet")
    rows, _, stream = read(tmp_path / "mine.parquet")
    assert [row.text for row in rows] == [*LINES, ""] and stream.n_empty == 1
    (tmp_path / "mine.parquet").write_bytes(b"PAR1" + b"x" * 5000)
    with pytest.raises(DataError, match="not a Parquet file that can be read"):
        read(tmp_path / "mine.parquet")
