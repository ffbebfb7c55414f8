"""Several files in one option: with commas, by a pattern, or in a list."""

import gzip
import os
from pathlib import Path

import pytest

from svebm_ext.config import DataConfig, with_absolute_paths
from svebm_ext.data import load_text
from svebm_ext.data.examples import read_examples
from svebm_ext.data.shards import files_of
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.train import parse_arguments


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Three files of ten lines, one of them compressed, and the folder as the present one."""
    for number, name in enumerate(("part-10.txt", "part-2.txt", "part-3.txt.gz")):
        content = "".join(f"line {number} {i}\n" for i in range(10)).encode()
        (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(given):
    return [file.name for file in files_of(given)]


def test_a_pattern_is_sorted_by_name(parts):
    assert names("part-*") == ["part-10.txt", "part-2.txt", "part-3.txt.gz"]
    assert read_examples("part-*").texts == [f"line {n} {i}" for n in range(3) for i in range(10)]


def test_files_with_commas_keep_their_order(parts):
    assert names("part-2.txt,part-10.txt") == ["part-2.txt", "part-10.txt"]
    assert read_examples("part-2.txt,part-10.txt").texts[:2] == ["line 1 0", "line 1 1"]


def test_a_list_names_files_from_its_own_folder(parts):
    (parts / "lists").mkdir()
    (parts / "lists" / "shards.txt").write_text(f"../part-2.txt\n\n{parts / 'part-10.txt'}\n../*.gz\n")
    assert names("@lists/shards.txt") == ["part-2.txt", "part-10.txt", "part-3.txt.gz"]


@pytest.mark.parametrize("name", ["a,b.txt", "@x.txt", "what*.txt", "[1].txt"])
def test_a_file_that_has_the_name_itself_is_that_file(name, parts):
    (parts / name).write_text("own\n")
    assert names(name) == [name]
    assert read_examples(name).texts == ["own"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("shard-*.txt", r"shard-\*\.txt: no file matches; expected a pattern"),
        ("part-2.txt,part-2.txt", r"part-2\.txt: is given twice; expected each file once"),
        ("part-*,./part-2.txt", r"part-2\.txt: is given twice|is the same file"),
        ("part-2.txt,same.txt", r"same\.txt: is the same file as part-2\.txt"),
        ("part-2.txt,missing.txt", r"missing\.txt: no such file"),
        ("part-2.txt,folder", r"folder: a folder among several files"),
        ("part-2.txt,-", r"standard input \(-\) among several files"),
        ("@missing-list.txt", r"missing-list\.txt: no such file"),
        ("@empty.txt", r"empty\.txt: the file is empty"),
        ("@nested.txt", r"nested\.txt:1: '@part-2\.txt' in a list of files"),
    ],
)
def test_what_is_wrong_is_named(given, message, parts):
    os.link(parts / "part-2.txt", parts / "same.txt")
    (parts / "folder").mkdir()
    (parts / "empty.txt").write_text("\n")
    (parts / "nested.txt").write_text("@part-2.txt\n")
    with pytest.raises(DataError, match=message):
        files_of(given)
    with pytest.raises(DataError, match=message):
        load_text(given)


def test_an_error_names_file_and_line(parts):
    (parts / "part-2.txt").write_text("one\n\nthree\n")
    for mode in ("never", "always"):
        with pytest.raises(DataError, match=r"^part-2\.txt:2: empty line"):
            load_text("part-*", memory_map=mode, cache=parts / "cache", empty_lines="error")
    corpus = load_text("part-*")
    assert "part-10.txt and 2 more files: 1 empty line left out" in corpus.notes
    (parts / "part-2.txt").write_text("one\n\u00ad\nthree\n")  # a soft hyphen: characters, but no word
    with pytest.raises(DataError, match=r"^part-2\.txt:2: (no word in it|empty line)"):
        load_text("part-*", empty_lines="error")


def test_paths_hold_from_every_folder(parts, monkeypatch):
    (parts / "shards.txt").write_text("part-2.txt\n")
    (parts / "odd [1]").mkdir()
    (parts / "odd [1]" / "x-1.txt").write_text("x\n")
    monkeypatch.chdir(parts / "odd [1]")
    data = DataConfig(train=Path("x-*.txt,../part-2.txt"), valid=Path("@../shards.txt"), test=Path("x-1.txt"))
    held = with_absolute_paths(data)
    monkeypatch.chdir("/")
    assert names(held.train) == ["x-1.txt", "part-2.txt"]
    assert names(held.valid) == ["part-2.txt"]
    assert held.test == parts / "odd [1]" / "x-1.txt"
    assert with_absolute_paths(held) == held


def test_the_command_line_takes_several_files(parts):
    config, _ = parse_arguments(["lines", "part-2.txt", "part-10.txt"])
    assert names(config.data.train) == ["part-2.txt", "part-10.txt"]
    config, _ = parse_arguments(["part-*", "--data.test", "part-2.txt"])
    assert config.preset == "lines"
    assert len(files_of(config.data.train)) == 3
    with pytest.raises(ConfigError, match="'whatever': expected a preset, files and options"):
        parse_arguments(["lines", "part-2.txt", "whatever"])
