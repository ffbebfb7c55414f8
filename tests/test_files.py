"""Files appear whole or not at all."""

import os
import resource
import subprocess
import sys

import pytest

from svebm_ext import files


def dead_process():
    """Number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_a_file_is_written_whole_in_utf8_whatever_a_name_holds(tmp_path):
    path = tmp_path / "a.txt"
    files.write_whole(path, "caf\u00e9 \udcff\n")
    assert path.read_text(encoding="utf-8") == "caf\u00e9 \\udcff\n"
    files.write_whole(path, b"\x00")
    assert path.read_bytes() == b"\x00" and os.listdir(tmp_path) == ["a.txt"]


def limited(function, size):
    """Run in a child whose files can have `size` bytes; returns what it raised, as text."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            function()
            text = ""
        except BaseException as error:
            text = f"{type(error).__name__} {error}"
        os.write(writing, text.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        return stream.read()


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    files.write_whole(path, "old")
    raised = limited(lambda: files.write_whole(path, "x" * 10_000), 4096)
    assert "File too large" in raised and str(path) in raised and ".tmp" not in raised
    assert path.read_text() == "old" and os.listdir(tmp_path) == ["a.txt"]


def test_a_line_is_added_whole_or_not_at_all(tmp_path):
    path = tmp_path / "log"
    files.append_line(path, "first")
    raised = limited(lambda: files.append_line(path, "y" * 10_000), 4096)
    assert "File too large" in raised and str(path) in raised
    files.append_line(path, "second")
    assert path.read_text() == "first\nsecond\n"


def test_what_is_no_regular_file_stays_what_it_is(tmp_path):
    (tmp_path / "null").symlink_to(os.devnull)
    files.write_whole(tmp_path / "null", "lost")
    assert (tmp_path / "null").is_symlink() and not (tmp_path / "null").is_file()
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    files.write_whole(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "target").read_text() == "new"


def test_names_may_be_as_long_as_the_system_allows(tmp_path):
    path = tmp_path / ("\u00e9" * 127)
    files.write_whole(path, "x")
    assert path.read_text() == "x"
    with pytest.raises(OSError, match="File name too long") as raised:
        files.write_whole(tmp_path / ("a" * 300), "x")
    assert raised.value.filename == str(tmp_path / ("a" * 300))


def test_leftovers_of_killed_writers_are_removed_and_those_of_living_ones_stay(tmp_path):
    dead, living = dead_process(), os.getppid()
    for name in (f".config.json.{dead}.tmp", f".a.{living}.tmp", f".b.{dead}.tmp", ".c.tmp", "d.5.tmp"):
        (tmp_path / name).write_text("")
    files.write_whole(tmp_path / "config.json", "{}")
    assert not (tmp_path / f".config.json.{dead}.tmp").exists() and (tmp_path / f".b.{dead}.tmp").exists()
    files.remove_stale(tmp_path)
    assert sorted(os.listdir(tmp_path)) == sorted([f".a.{living}.tmp", ".c.tmp", "config.json", "d.5.tmp"])


def test_a_folder_that_was_made_for_nothing_is_taken_away(tmp_path):
    with pytest.raises(KeyError), files.made_folder(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
        raise KeyError
    assert os.listdir(tmp_path) == []
    with files.made_folder(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "file").write_text("")
    assert (tmp_path / "a" / "b" / "file").exists()
    files.check_folder_takes_files(tmp_path / "c" / "d")
    assert os.listdir(tmp_path) == ["a"]
    with pytest.raises(NotADirectoryError):
        files.check_folder_takes_files(tmp_path / "a" / "b" / "file" / "e")


@pytest.mark.skipif(not hasattr(os, "O_TMPFILE"), reason="files without a name are Linux's")
def test_a_process_that_is_killed_while_it_tries_a_folder_leaves_nothing(tmp_path):
    program = """
import os, signal, sys
from pathlib import Path
os.fsync = lambda descriptor: os.kill(os.getpid(), signal.SIGKILL)
from svebm_ext.files import check_folder_takes_files
check_folder_takes_files(Path(sys.argv[1]))
"""
    command = [sys.executable, "-W", "ignore", "-c", program, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, timeout=120, check=False).returncode == -9
    assert os.listdir(tmp_path) == []


def test_a_folder_that_another_process_takes_away_is_made_again(tmp_path):
    """The other one made it for nothing, and removed it between our making and our first file."""
    folder, removed = tmp_path / "a" / "b", []

    def make():
        if len(removed) < 3:
            removed.append(folder.rmdir())
            folder.parent.rmdir()
        (folder / "file").write_text("x")
        return "made"

    with files.made_folder(folder):
        assert files.in_made_folder(folder, make) == "made"
    assert (folder / "file").exists() and len(removed) == 3


def test_a_folder_that_never_lasts_ends_with_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        files.in_made_folder(tmp_path, lambda: (tmp_path / "missing" / "file").write_text(""))


def test_many_that_try_one_folder_at_once_do_not_disturb_each_other(tmp_path):
    program = """
import sys
from pathlib import Path
from svebm_ext.files import check_folder_takes_files
for _ in range(200):
    check_folder_takes_files(Path(sys.argv[1]) / "a" / "b")
"""
    command = [sys.executable, "-W", "ignore", "-c", program, str(tmp_path)]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
