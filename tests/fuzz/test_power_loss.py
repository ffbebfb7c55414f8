"""Loss of power, simulated: what was not synchronised is cut, or its name is the old one. The resumed run is equal.

A run is done once, and everything that it does to its folder noted. A disk after a loss of power has, of names that
were changed since their folder was last synchronised, a part of the changes, and of lines that were appended since
their file was, a part of the bytes. Files that appear by a rename must have been synchronised before it.
"""

import builtins
import os
import random
import shutil
import time
from pathlib import Path

import pytest
from equal_runs import assert_equal
from tiny_runs import tiny_config, write_corpus

from svebm_ext.training.loggers import MetricsFile
from svebm_ext.training.loop import LAST
from svebm_ext.training.run import train

CASES = {
    "joint": {"training": {"checkpoint_every": 3, "validate_every": 4}},
    "second": {"training": {"checkpoint_every": 5, "prior_stage": "second", "prior_steps": 3}},
}


class Recorder:
    """Everything that happens to a folder, in order: (what, name, content)."""

    def __init__(self, out, patch):
        self.out, self.events, self.synchronised = str(out), [], set()
        self._unlink, self._mkdir, self._write = Path.unlink, Path.mkdir, MetricsFile.write
        self._replace, self._fsync = os.replace, os.fsync
        patch.setattr(os, "replace", self.replace)
        patch.setattr(os, "fsync", self.fsync)
        patch.setattr(Path, "unlink", lambda path, *a, **o: self.unlink(path, *a, **o))
        patch.setattr(Path, "mkdir", lambda path, *a, **o: self.mkdir(path, *a, **o))
        patch.setattr(MetricsFile, "write", lambda file, record: self.append(file, record))

    def note(self, what, path, content=None):
        if str(path).startswith(self.out):
            self.events.append((what, os.path.relpath(path, self.out), content))

    def fsync(self, descriptor):
        self._fsync(descriptor)
        path = os.readlink(f"/proc/self/fd/{descriptor}")
        self.synchronised.add(path)
        self.note("sync", path)

    def replace(self, source, target):
        assert str(source) in self.synchronised, f"{source} is renamed before it is on the disk"
        with builtins.open(source, "rb") as file:
            content = file.read()
        self._replace(source, target)
        self.note("name", target, content)

    def unlink(self, path, *arguments, **options):
        there = path.exists()
        self._unlink(path, *arguments, **options)
        if there:
            self.note("unlink", path)

    def mkdir(self, path, *arguments, **options):
        there = path.exists()
        self._mkdir(path, *arguments, **options)
        if not there:
            self.note("mkdir", path)

    def append(self, file, record):
        self._write(file, record)
        self.note("append", file.path, file.path.read_bytes())


def folder_of(name):
    return os.path.dirname(name) or "."


def disk_after(events, rng):
    """Files (None: a folder) of a disk whose power went after some of the events."""
    disk, safe_length = {}, {}
    last_sync = {name: i for i, (what, name, _) in enumerate(events) if what == "sync"}
    lost = {}
    for folder in {folder_of(name) for what, name, _ in events}:
        pending = [
            i for i, (what, name, _) in enumerate(events)
            if what in ("name", "unlink", "mkdir") and folder_of(name) == folder and i > last_sync.get(folder, -1)
        ]  # fmt: skip
        kept = rng.randint(0, len(pending))  # a journal keeps their order
        lost |= dict.fromkeys(pending[kept:])
    for i, (what, name, content) in enumerate(events):
        if i in lost:
            continue
        if what == "mkdir":
            disk[name] = None
        elif what == "name":
            disk[name], safe_length[name] = content, len(content)
        elif what == "unlink":
            disk.pop(name, None)
        elif what == "append" and name in disk:
            disk[name] = content
        elif what == "sync" and disk.get(name) is not None:
            safe_length[name] = len(disk[name])
    for name, content in disk.items():
        if content is not None and len(content) > safe_length[name]:
            cut = rng.randint(safe_length[name], len(content))
            disk[name] = content[:cut] + b"\0" * (rng.choice((0, len(content) - cut)))
    return disk


def written(disk, out):
    out.mkdir()
    for name, content in sorted(disk.items()):
        if content is None:
            (out / name).mkdir(exist_ok=True, parents=True)
        elif (out / name).parent.is_dir():  # else its folder has not outlasted it
            (out / name).write_bytes(content)


@pytest.mark.timeout(0)
@pytest.mark.parametrize("case", CASES)
def test_a_run_goes_on_after_a_loss_of_power_as_if_there_had_been_none(tmp_path, case, fuzz_seconds, fuzz_seed):
    config = tiny_config(write_corpus(tmp_path), **CASES[case])
    with pytest.MonkeyPatch.context() as patch:
        recorder = Recorder(tmp_path / "whole", patch)
        train(config, tmp_path / "whole")
    events = recorder.events
    assert {"sync", "name", "append", "mkdir", "unlink"} >= {what for what, *_ in events} and len(events) > 40
    begin, n_done, resumed, seed = time.monotonic(), 0, 0, fuzz_seed
    while time.monotonic() - begin < fuzz_seconds(3) or n_done < 4:
        rng = random.Random(seed)
        out = tmp_path / "run"
        written(disk_after(events[: rng.randrange(1, len(events) + 1)], rng), out)
        again = (out / LAST).exists()
        train(config, out, resume=again)
        assert_equal(out, tmp_path / "whole")
        shutil.rmtree(out)
        seed, n_done, resumed = seed + 1, n_done + 1, resumed + again
    print(f"{n_done} losses of power, {resumed} resumed")
    assert resumed > 0
