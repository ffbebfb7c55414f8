"""One training a folder at a time; a killed one keeps no other out."""

import json
import os
import signal
import socket
import subprocess
import sys

import pytest
from tiny_runs import tiny_config, write_corpus

from svebm_ext.errors import ConfigError
from svebm_ext.training import lock
from svebm_ext.training.lock import LOCK, only_training, running_training
from svebm_ext.training.run import train

HOLDER = """
import sys, time
from pathlib import Path
from svebm_ext.training.lock import only_training
with only_training(Path(sys.argv[1]), print):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that trains in tmp_path/out."""
    command = [sys.executable, "-W", "ignore", "-c", HOLDER, str(tmp_path / "out")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.parametrize("system_locks", [True, False])
def test_a_second_training_is_refused_by_name_and_changes_nothing(tmp_path, holder, monkeypatch, system_locks):
    if not system_locks:
        monkeypatch.setattr(lock, "fcntl", None)
    out = tmp_path / "out"
    before = (out / LOCK).read_bytes()
    with pytest.raises(ConfigError, match=f"^--out: process {holder.pid} is training in {out}; wait for it"):
        train(tiny_config(write_corpus(tmp_path)), out)
    assert os.listdir(out) == [LOCK] and (out / LOCK).read_bytes() == before
    assert running_training(out) == {"pid": holder.pid, "host": socket.gethostname()}


@pytest.mark.parametrize("system_locks", [True, False])
def test_the_lock_of_a_killed_training_is_taken_over_with_a_note(tmp_path, holder, monkeypatch, system_locks):
    if not system_locks:
        monkeypatch.setattr(lock, "fcntl", None)
    out, said = tmp_path / "out", []
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert running_training(out) is None
    with only_training(out, said.append):
        assert json.loads((out / LOCK).read_text())["pid"] == os.getpid()
    assert said[0] == f"{out}: process {holder.pid}, which trained it, has ended without a word; taking over"
    assert os.listdir(out) == []


def test_one_process_cannot_train_twice_in_a_folder_either(tmp_path):
    with only_training(tmp_path / "out", print):
        with (
            pytest.raises(ConfigError, match=f"process {os.getpid()} is training in"),
            only_training(tmp_path / "out", print),
        ):
            pytest.fail("two at once")
        assert (tmp_path / "out" / LOCK).exists()
    assert not (tmp_path / "out").exists()  # nothing was written


def test_a_lock_of_another_host_stays(tmp_path):
    (tmp_path / LOCK).write_text(json.dumps({"pid": 1, "host": "elsewhere"}))
    with (
        pytest.raises(ConfigError, match=r"process 1 on elsewhere .* if that process has ended, delete .*train\.lock"),
        only_training(tmp_path, print),
    ):
        pytest.fail("taken over")
    assert (tmp_path / LOCK).exists()


def test_a_damaged_lock_keeps_nobody_out(tmp_path):
    for content in (b"", b"\xff", b"[]", b'{"pid": "x", "host": 3}', b"[" * 5000):
        (tmp_path / LOCK).write_bytes(content)
        with only_training(tmp_path, print):
            pass
        assert not (tmp_path / LOCK).exists()


def test_of_many_that_start_at_once_one_trains(tmp_path):
    """Each holds the lock for a moment and writes its number twice; numbers of two never mix."""
    program = """
import sys, time
from pathlib import Path
from svebm_ext.errors import ConfigError
from svebm_ext.training.lock import only_training
out, log, mine = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
for _ in range(40):
    try:
        with only_training(out, lambda text: None):
            for _ in range(2):
                with log.open("a") as file:
                    file.write(mine + " ")
                time.sleep(0.002)
    except ConfigError:
        time.sleep(0.001)
"""
    log = tmp_path / "log"
    commands = [
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "out"), str(log), str(number)]
        for number in range(3)
    ]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for command in commands]
    for process in processes:
        error = process.communicate(timeout=120)[1]
        assert process.returncode == 0, error
    written = log.read_text().split()
    assert len(written) > 2 and written[0::2] == written[1::2]
