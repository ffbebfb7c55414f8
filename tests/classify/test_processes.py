"""`classify` as a process: memory, pipes, interrupts, status."""

import errno
import os
import signal
import subprocess
import sys
import time

import pytest
from classified_files import sentences, write_as

from svebm_ext import classify
from svebm_ext.commands import run_command


def command(run, *arguments):
    return [sys.executable, "-W", "ignore", "-m", "svebm_ext.classify", str(run), *map(str, arguments)]


def long_file(path, n):
    texts = sentences(500)
    with open(path, "w") as file:
        for start in range(0, n, 500):
            file.write("\n".join(texts[: min(500, n - start)]) + "\n")
    return path


WITH_PEAK = """
import sys
from svebm_ext import classify
from svebm_ext.commands import run_command
try:
    run_command(classify.main)
finally:
    with open("/proc/self/status") as file:
        peak = next(line.split()[1] for line in file if line.startswith("VmHWM"))
    print("peak", peak, file=sys.stderr)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the peak of memory is read from /proc")
def test_memory_does_not_grow_with_the_file(run, tmp_path):
    """Of a pipe: the strings of 150,000 lines more would take 15 MB, and their ids, tensors and answers far more."""
    peaks = []
    for n in (50_000, 200_000):
        path = long_file(tmp_path / "mine.txt", n)
        shell = f"cat {path} | {sys.executable} -W ignore -c '{WITH_PEAK}' {run} > {tmp_path / 'out'}"
        done = subprocess.run(["sh", "-c", shell], stderr=subprocess.PIPE, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stderr.split("peak ")[1].split()[0]))
        with open(tmp_path / "out") as answers:
            assert sum(1 for _ in answers) == n
    assert peaks[1] - peaks[0] < 15_000 and peaks[1] < 1_000_000, peaks


def test_a_pipe_is_answered_and_head_may_close_it(run, tmp_path):
    path = long_file(tmp_path / "mine.txt", 60_000)
    shell = f"cat {path} | {' '.join(command(run)).replace('-W ignore', '')} | head -3"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {shell}"], capture_output=True, text=True, timeout=300)
    assert [line.split("\t")[2] for line in done.stdout.splitlines()] == sentences(3)
    assert done.returncode == 141 and "Traceback" not in done.stderr, done


def opened_when_read(path, process, limit):
    """A named pipe to write to, once a process reads from it; a plain `open` would wait for one that has ended."""
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO and time.monotonic() < limit and process.poll() is None
            time.sleep(0.1)
        else:
            os.set_blocking(descriptor, True)
            return open(descriptor, "w")


def test_ctrl_c_leaves_the_file_that_was_there(run, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("old\n")
    path = tmp_path / "endless"
    os.mkfifo(path)
    process = subprocess.Popen(command(run, "--file", path, "--out", out), stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 120
    with opened_when_read(path, process, limit) as pipe:
        pipe.write("\n".join(sentences(500) * 60) + "\n")
        pipe.flush()
        while not list(tmp_path.glob(".out.csv.*.tmp")):
            assert time.monotonic() < limit and process.poll() is None
            time.sleep(0.1)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said == "interrupted\n"
    assert out.read_text() == "old\n" and sorted(p.name for p in tmp_path.iterdir()) == ["endless", "out.csv"]


def test_an_error_in_the_middle_has_status_2(run, tmp_path, capfd, short):
    write_as("tsv", tmp_path / "mine.tsv", sentences(300))
    (tmp_path / "mine.tsv").write_text((tmp_path / "mine.tsv").read_text() + "no tab\n")
    with pytest.raises(SystemExit) as stopped:
        run_command(classify.main, [str(run), str(tmp_path / "mine.tsv")])
    captured = capfd.readouterr()
    assert stopped.value.code == 2 and len(captured.out.splitlines()) == 300
    assert captured.err.splitlines()[-1].startswith(f"error: {tmp_path / 'mine.tsv'}:301: 1 column, expected 2")
