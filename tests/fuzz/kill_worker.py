"""Does tiny runs in child processes, kills them at random moments, does them again until they end, and compares.

    python tests/fuzz/kill_worker.py WORK SEED SECONDS

One line of JSON a round: {"kind": ..., "kills": ...}; it ends with status 1 where a round is not what it should be.
Of two processes that share a training, one is killed and the other ended, as torchrun does, or both are killed at once.
"""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import torch  # noqa: E402
from equal_runs import assert_equal  # noqa: E402
from tiny_runs import tiny_config, write_corpus  # noqa: E402

from svebm_ext import explore  # noqa: E402
from svebm_ext.data.corpora import load_configured  # noqa: E402
from svebm_ext.evaluation.evaluate_model import evaluate_run  # noqa: E402
from svebm_ext.experiments.rows import Place, Row, finished, run_all  # noqa: E402
from svebm_ext.models.svebm import SVEBM  # noqa: E402
from svebm_ext.training.loop import LAST  # noqa: E402
from svebm_ext.training.run import train  # noqa: E402
from svebm_ext.training.runtime import Runtime  # noqa: E402

#: Seconds after which a child that was not killed has hung.
HANGS = 120
#: Seeds of an experiment.
SEEDS = (0, 1)
#: When a page was made.
TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC")
#: Kills of a round: of a short run, and of a long one.
FEW, MANY = 3, 8


def configurations(corpus):
    often = {"checkpoint_every": 2, "validate_every": 5}
    return {
        "train": tiny_config(corpus, objective={"regroup_at": 0.4}, training={"max_steps": 24, **often}),
        "second": tiny_config(
            corpus, training={"max_steps": 4, "prior_stage": "second", "prior_steps": 24, "checkpoint_every": 3}
        ),
        "together": tiny_config(corpus, objective={"regroup_at": 0.4}, training={"max_steps": 14, **often}),
        "evaluate": tiny_config(corpus, training={"max_steps": 4}),
        "explore": tiny_config(corpus, training={"max_steps": 4}),
        "experiments": tiny_config(corpus, training={"max_steps": 10, **often}),
    }


def trained(config, out):
    train(config, out, resume=(out / LAST).exists())


def evaluated(config, out):
    """The model is there already; measures are what is made."""
    if not (out / "model.safetensors").exists():
        trained(config, out)
    model = SVEBM.from_pretrained(out)
    evaluate_run(out, model, load_configured(config.data, model.writing))


def explored(config, out):
    """The model is there already; the page is what is made."""
    if not (out / "model.safetensors").exists():
        trained(config, out)
    explore.main([str(out), "--max-sentences", "40", "--samples", "1", "--interpolations", "1"])


def trained_together(config, out):
    """Two processes; where one is ended by a signal, the other is ended, and this one with them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1]), "WORLD_SIZE": "2"}
    resume = (out / LAST).exists()

    def share(rank):
        os.environ |= {**address, "RANK": str(rank), "LOCAL_RANK": str(rank)}
        runtime = Runtime.start("cpu")
        train(config, out, resume=resume, runtime=runtime)
        runtime.stop()

    left = {child(share, rank, group=os.getpgrp()) for rank in (0, 1)}
    while left:
        process, status = os.waitpid(-1, 0)
        left.discard(process)
        if os.WIFSIGNALED(status):
            os.killpg(os.getpgrp(), signal.SIGKILL)
        assert status == 0, f"status {status}"


def rows(config, out):
    place = Place(out, device="cpu")
    return [place.run(Row(name, config), seed) for name in ("a",) for seed in SEEDS]


def experimented(config, out):
    failures = run_all(rows(config, out), lambda failed: None)
    assert not failures, failures


WORK = {
    "train": trained, "second": trained, "together": trained_together, "evaluate": evaluated, "explore": explored,
    "experiments": experimented,
}  # fmt: skip


def child(work, *arguments, group=0):
    """Process number of a child that does some work, in a group of processes of its own or in another's."""
    process = os.fork()
    if process:
        with contextlib.suppress(OSError):  # it has done so itself, and may be gone
            os.setpgid(process, group)
        return process
    status = 1
    try:
        os.setpgid(0, group)
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        torch.set_num_threads(1)
        work(*arguments)
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def waited(process, seconds):
    """Exit status of a child; None where it is still at work."""
    end = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return status
        if time.monotonic() >= end:
            return None
        time.sleep(0.002)


def finish(work, *arguments):
    """Do work in a child without killing it; returns how long that took."""
    begin = time.monotonic()
    process = child(work, *arguments)
    status = waited(process, HANGS)
    if status is None:
        kill(process)
    assert status == 0, f"status {status}"
    return time.monotonic() - begin


def kill(process, rng=None):
    """End a child and all that it has started: at once, or one of these first; returns its status."""
    started = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    with contextlib.suppress(ProcessLookupError):
        if started and rng is not None and rng.random() < 0.7:
            os.kill(int(rng.choice(started)), signal.SIGKILL)
        else:
            os.killpg(process, signal.SIGKILL)
    status, end = waited(process, HANGS), time.monotonic() + HANGS
    assert status is not None, "hangs"
    while any(is_alive(number) for number in started):  # until then they have the lock of their run
        assert time.monotonic() < end, "hangs"
        time.sleep(0.002)
    return status


def is_alive(number):
    """Whether a process is there, and not only its status for who asks for it."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def check(kind, config, out, whole):
    if kind == "explore":
        pages = [(folder / "explore.html").read_text().replace(folder.name, "") for folder in (out, whole)]
        assert TIME.sub("", pages[0]) == TIME.sub("", pages[1])
    if kind != "experiments":
        return assert_equal(out, whole)
    for one, other in zip(rows(config, out), rows(config, whole), strict=True):
        assert finished(one) is not None
        assert_equal(one.folder, other.folder)
    return None


def begin_with(kind, out, whole):
    """What is there before a round: of a command that looks at a model, the model."""
    if kind in ("evaluate", "explore"):
        made = {"evaluate": ("metrics.json", "report.md", "plots"), "explore": ("explore.html",)}[kind]
        shutil.copytree(whole, out, ignore=shutil.ignore_patterns(*made))


def a_round(kind, config, folder, rng, most, usual):
    """Kills until the work is done; returns how many."""
    out, whole, kills = folder / f"{kind}-killed", folder / f"{kind}-whole", 0
    begin_with(kind, out, whole)
    while True:
        process = child(WORK[kind], config, out)
        delay = rng.uniform(0, 0.7 * usual) if kills < most else HANGS
        status = waited(process, delay)
        if status is None:
            assert delay < HANGS, f"{kind}: hangs"
            status = kill(process, rng)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            kills += 1
            continue
        assert status == 0, f"{kind}: status {status} after {kills} kills"
        break
    check(kind, config, out, whole)
    shutil.rmtree(out)
    return kills


def main(folder, seed, seconds):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kinds, short = configurations(write_corpus(folder)), seconds < 60
    if short:
        del kinds["evaluate"]  # a row of an experiment is evaluated as well
    torch.set_num_threads(1)
    with open(os.devnull, "w") as null, contextlib.redirect_stdout(null), contextlib.redirect_stderr(null):
        for work in (evaluated, explored):  # here, so that children need not import what these need
            work(kinds["together"], folder / "first")
    usual = {}
    for kind, config in kinds.items():
        usual[kind] = finish(WORK[kind], config, folder / f"{kind}-whole")
    rng, begin, number = random.Random(seed), time.monotonic(), 0
    while time.monotonic() - begin < seconds or number < len(kinds):  # of each kind one at least
        kind = list(kinds)[number % len(kinds)]
        kills = a_round(kind, kinds[kind], folder, rng, FEW if short else MANY, usual[kind])
        number += 1
        print(json.dumps({"kind": kind, "kills": kills, "usual": round(usual[kind], 1)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
