"""Where bytes come from: compressed files, archives, folders, standard input."""

import bz2
import gzip
import io
import lzma
import sys
import zipfile

import pytest

from svebm_ext.data import load_text
from svebm_ext.data.containers import read_folder, read_source, text_ending
from svebm_ext.data.examples import read_examples
from svebm_ext.errors import ConfigError, DataError

CONTENT = b"label,text\na,one two\nb,three\n"


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_dot_", "."), content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("ending", "pack"),
    [
        (".csv", bytes),
        (".csv.gz", gzip.compress),
        (".csv.bz2", bz2.compress),
        (".csv.xz", lzma.compress),
        (".zip", lambda content: zipped(data_dot_csv=content)),
        (".zip", lambda content: zipped(data_dot_csv_dot_gz=gzip.compress(content))),
        (".dat", lambda content: gzip.compress(gzip.compress(content))),
    ],
)
def test_compressed_files_are_known_by_content(tmp_path, ending, pack):
    path = tmp_path / f"mine{ending}"
    path.write_bytes(pack(CONTENT))
    assert read_source(path).content == CONTENT
    found = read_examples(path)
    assert (found.texts, found.labels) == (["one two", "three"], ["a", "b"])


def test_endings_without_those_of_compression():
    assert [text_ending(n) for n in ("a.CSV.gz", "a.tsv.zip", "a.jsonl", "a", ".gz", "a.b.xz.gz")] == [
        ".csv", ".tsv", ".jsonl", "", "", ".b",
    ]  # fmt: skip


def test_archives_hold_one_file(tmp_path):
    path = tmp_path / "mine.zip"
    path.write_bytes(zipped(a_dot_txt=b"one\n", __MACOSX__a=b"x"))
    with pytest.raises(DataError, match=r"mine\.zip: a zip archive of 2 files; expected one: a\.txt, __MACOSX__a$"):
        read_source(path)
    path.write_bytes(zipped())
    with pytest.raises(DataError, match="a zip archive of 0 files; expected one: none"):
        read_source(path)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:  # what a Mac adds is no file of the user's
        archive.writestr("folder/", b"")
        archive.writestr("folder/a.txt", b"one\n")
        archive.writestr("__MACOSX/folder/._a.txt", b"\0")
    path.write_bytes(buffer.getvalue())
    assert read_source(path).content == b"one\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04 and nothing more", "cannot be read"),
        (bz2.compress(b"hello")[:-4], "cannot be read"),
        (lzma.compress(b"hello")[:-4], "cannot be read"),
        (zipped(xl_dot_xml=b"", **{"xl/workbook_dot_xml": b""}), "an Office document; save it as CSV"),
        (b"%PDF-1.7", "a PDF document"),
        (b"\x28\xb5\x2f\xfdxx", "zstd -d"),
        (b"a.txt".ljust(257, b"\0") + b"ustar", "a tar archive"),
    ],
)
def test_what_cannot_be_unpacked(tmp_path, content, message):
    path = tmp_path / "mine"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_source(path)
    assert str(error.value).startswith(f"{path}: ")


def test_a_folder_is_one_document_a_file(tmp_path):
    folder = tmp_path / "documents"
    (folder / "deeper").mkdir(parents=True)
    for name, text in (("b.txt", "Second.\n"), ("a.TXT", "First,\n\nwith more.\n"), ("c.txt", "Third."), ("d.md", "x")):
        (folder / name).write_text(text)
    assert [source.content for source in read_folder(folder)[0]] == [b"First,\n\nwith more.\n", b"Second.\n", b"Third."]
    corpus = load_text(folder, folder, folder)
    assert corpus.train.sentences == [["first", ",", "with", "more", "."], ["second", "."], ["third", "."]]
    assert corpus.notes[:2] == (
        f"{folder}: 3 documents, one of each .txt file",
        f"{folder}: 2 other files and folders not read",
    )
    (folder / "b.txt").write_text(" \n")
    with pytest.raises(DataError, match=r"documents: file 2 by name: empty line"):
        load_text(folder, empty_lines="error")
    with pytest.raises(DataError, match=r"deeper: a folder without \.txt files"):
        load_text(folder / "deeper")
    with pytest.raises(DataError, match=r"documents: a folder; data\.format csv needs a file"):
        load_text(folder, format="csv")


class Stream:
    def __init__(self, content):
        self.buffer = io.BytesIO(content)


def test_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", Stream(gzip.compress(b"one\ntwo\nthree\n")))
    corpus = load_text("-")
    assert sorted(s[0] for part in (corpus.train, corpus.valid, corpus.test) for s in part.sentences) == [
        "one", "three", "two",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "stdin", Stream(b"one\n\x07\n"))
    with pytest.raises(DataError, match=r"^standard input:2: control character U\+0007"):
        load_text("-")
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(DataError, match=r"^standard input: closed"):
        load_text("-")
    with pytest.raises(ConfigError, match=r"standard input \(-\) can be read only once"):
        load_text("-", "-")
