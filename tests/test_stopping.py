"""Signals: a run saves itself and says how to go on; anything else ends with a line; a second one ends at once."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from test_commands import TINY
from tiny_runs import write_corpus

from svebm_ext import stopping
from svebm_ext.training.checkpoint import load_checkpoint
from svebm_ext.training.loop import LAST

COMMAND = [sys.executable, "-W", "ignore", "-m", "svebm_ext.train"]
#: Line of the log, by what the run is at then; and what it says when it is stopped there.
PHASES = {
    "before": ("sizes by the corpus", "nothing to continue from yet in {out}; give the command again"),
    "training": ("iteration 5: validation", "state saved; continue with python -m svebm_ext.train --resume {out}"),
    "prior": ("prior alone: starts", "state saved; continue with python -m svebm_ext.train --resume {out}"),
    "evaluating": (
        "evaluated normaliser",
        "the model in {out} is complete; measure it with python -m svebm_ext.evaluate {out}",
    ),
}


@pytest.fixture(autouse=True)
def ordinary_signals():
    """Tests may themselves have been started with nohup, and what is ignored is so in the commands that they start."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def start(folder, *options, before=()):
    write_corpus(folder)
    out = folder / "out"
    own = dict(zip(TINY[::2], TINY[1::2], strict=True))
    tiny = [word for name, value in own.items() if name not in options for word in (name, value)]
    command = [*before, *COMMAND, "lines", str(folder / "corpus.txt"), "--out", str(out), *tiny, *options]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True), out


def wait_for(process, text):
    for line in process.stderr:
        if text in line:
            return
    pytest.fail(f"{text!r} was never said")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "number"),
    [*((phase, signal.SIGTERM) for phase in PHASES), ("training", signal.SIGINT), ("evaluating", signal.SIGHUP)],
)
def test_a_run_that_is_told_to_stop_says_how_to_go_on(tmp_path, phase, number):
    text, expected = PHASES[phase]
    options = ["--training.max-steps", "100000" if phase == "training" else "10"]  # the phase alone takes long
    options += ["--training.prior-steps", "3000" if phase == "prior" else "5"]
    options += ["--evaluation.frequency-samples", "60000" if phase == "evaluating" else "20"]
    process, out = start(tmp_path, *options)
    with process:
        wait_for(process, text)
        process.send_signal(number)
        said = process.stderr.read().splitlines()
        assert process.wait(timeout=60) == 130
    assert said[-1] == f"interrupted: {expected.format(out=out)}"
    assert not any("Traceback" in line for line in said)
    if phase == "before":
        assert not out.exists()
        return
    assert load_checkpoint(out / LAST)[1]["step"] >= 5
    assert (out / "model.safetensors").exists() == (phase == "evaluating")
    assert not list(out.rglob("*.tmp")) and not (out / "train.lock").exists()


def test_who_starts_with_nohup_outlives_the_terminal(tmp_path):
    options = ["--training.max-steps", "60", "--training.prior-steps", "5", "--no-evaluate"]
    process, out = start(tmp_path, *options, before=["nohup"])
    with process:
        wait_for(process, "iteration 5: validation")
        process.send_signal(signal.SIGHUP)
        process.stderr.read()
        assert process.wait(timeout=60) == 0
    assert (out / "model.safetensors").exists()


STUCK = """
import sys, time, torch
from svebm_ext.commands import run_command
from svebm_ext.stopping import stops_noted

def computes(arguments):
    print("ready", flush=True)
    begin = time.monotonic()
    while time.monotonic() - begin < 40:
        torch.mm(torch.ones(6000, 6000), torch.ones(6000, 6000))  # one call of many seconds

def saves(arguments):
    with stops_noted() as noted:
        computes(arguments)

def unwinds(arguments):
    print("ready", flush=True)
    try:
        time.sleep(40)
    finally:
        time.sleep(40)

torch.set_num_threads(1)
run_command({"computes": computes, "saves": saves, "unwinds": unwinds}[sys.argv[1]], [])
"""


@pytest.mark.parametrize(
    ("what", "n_signals", "longest"), [("computes", 1, stopping.GRACE + 2), ("saves", 2, 2), ("unwinds", 2, 2)]
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_nobody_waits_for_a_long_computation(what, n_signals, longest, number):
    """One signal where there is nothing to save; a second one ends at once, whatever goes on."""
    command = [sys.executable, "-W", "ignore", "-c", STUCK, what]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        time.sleep(0.5)
        begin = time.monotonic()
        for _ in range(n_signals):
            process.send_signal(number)
            time.sleep(0.5)
        status = process.wait(timeout=30)
        assert time.monotonic() - begin < longest + 2
        assert status in (128 + number, -number)
        assert "Traceback" not in process.stderr.read()


def test_signals_are_noted_and_handlers_put_back():
    before = [signal.getsignal(number) for number in stopping.SIGNALS]
    with stopping.stops_noted() as noted:
        os.kill(os.getpid(), signal.SIGHUP)
        os.kill(os.getpid(), signal.SIGHUP)  # a closed terminal sends several
        assert noted == [signal.SIGHUP]
    with pytest.raises(stopping.Stopped) as stopped, stopping.stops_raised():
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(1)
    assert stopping.status_of(stopped.value) == 143 and stopping.status_of(KeyboardInterrupt()) == 130
    with stopping.stops_noted(shared=True) as noted:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):  # the terminal, and torchrun passing it on
            os.kill(os.getpid(), number)
        assert noted == [signal.SIGINT]
    assert [signal.getsignal(number) for number in stopping.SIGNALS] == before


def test_other_threads_leave_signals_alone():
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with stopping.stops_noted() as noted, stopping.stops_raised():
            seen.append((signal.getsignal(signal.SIGINT), list(noted)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(before, [])]
