"""Files appear whole, and what stands in the place of one is never waited for."""

import os
import subprocess
import sys

import pytest

from svebm_ext.errors import ModelFolderError
from svebm_ext.files import HeldFolder, parse_json, read_bounded, read_json, write_whole


def test_content_is_on_the_disk_before_its_name_and_the_name_before_the_call_returns(tmp_path, monkeypatch):
    """fsync of the file, rename, fsync of the folder: a loss of power leaves the old file or the new one."""
    calls = []
    fsync, replace = os.fsync, os.replace

    def note_fsync(descriptor):
        calls.append(("fsync", os.path.basename(os.readlink(f"/proc/self/fd/{descriptor}"))))
        fsync(descriptor)

    def note_replace(source, target):
        assert os.path.getsize(source) == 5
        calls.append(("replace", os.path.basename(target)))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", note_fsync)
    monkeypatch.setattr(os, "replace", note_replace)
    write_whole(tmp_path / "a.json", "caf\u00e9")
    kinds = [kind for kind, _ in calls]
    assert kinds == ["fsync", "replace", "fsync"]
    assert calls[0][1].startswith(".a.json.") and calls[1][1] == "a.json" and calls[2][1] == tmp_path.name
    assert (tmp_path / "a.json").read_bytes() == "caf\u00e9".encode()


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    write_whole(tmp_path / "a", "old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_whole(tmp_path / "a", "new")
    assert os.listdir(tmp_path) == ["a"] and (tmp_path / "a").read_text() == "old"


def test_what_a_killed_process_left_is_removed_and_what_a_running_one_writes_is_not(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in (f".a.{gone.pid}.tmp", f".a.{os.getppid()}.tmp", f".b.{gone.pid}.tmp", ".a.x.tmp"):
        (tmp_path / name).write_text("half")
    write_whole(tmp_path / "a", "new")
    assert sorted(os.listdir(tmp_path)) == sorted(["a", f".a.{os.getppid()}.tmp", f".b.{gone.pid}.tmp", ".a.x.tmp"])


def test_content_beyond_the_limit_is_not_read(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 11)
    assert read_bounded(tmp_path / "a", 11) == b"x" * 11
    with pytest.raises(ModelFolderError, match="larger than 10 bytes"):
        read_bounded(tmp_path / "a", 10)


@pytest.mark.parametrize(
    ("text", "value"),
    [("[1, 2.5, null, true]", [1, 2.5, None, True]), ('{"a": {"b": []}}', {"a": {"b": []}}), ("3", 3)],
)
def test_json_of_usual_values_is_read(text, value):
    assert parse_json(text, "x") == value and parse_json(text.encode(), "x") == value


@pytest.mark.parametrize("depth", [51, 100, 900, 100_000])
def test_depth_is_bounded(depth):
    with pytest.raises(ModelFolderError, match="x: cannot be read"):
        parse_json("[" * depth + "]" * depth, "x")
    assert parse_json("[" * 49 + "]" * 49, "x") is not None


def test_a_file_in_a_folder_that_is_none(tmp_path):
    (tmp_path / "file").write_text("{}")
    with pytest.raises(ModelFolderError, match=r"cannot be read|missing"):
        read_json(tmp_path / "file" / "a.json")
    with pytest.raises(ModelFolderError, match="cannot be read"):
        read_json(tmp_path / ("a" * 300))
    with pytest.raises(ModelFolderError, match="cannot be read"):
        read_json(tmp_path / "a\0b")


def test_a_held_folder_is_known_from_one_that_takes_its_name(tmp_path):
    (tmp_path / "a").mkdir()
    held = HeldFolder(tmp_path / "a")
    assert held.is_there()
    for _ in range(20):  # numbers of deleted folders are used again
        (tmp_path / "a").rmdir()
        assert not held.is_there()
        (tmp_path / "a").mkdir()
        assert not held.is_there()
