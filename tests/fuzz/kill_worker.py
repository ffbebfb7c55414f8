"""Does tiny runs in child processes, kills them at random moments, does them again until they end, and compares.

    python tests/fuzz/kill_worker.py WORK SEED SECONDS

One line of JSON a round: {"kind": ..., "kills": ...}; it ends with status 1 where a round is not what it should be.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import torch  # noqa: E402
from equal_runs import assert_equal  # noqa: E402
from tiny_runs import tiny_config, write_corpus  # noqa: E402

from svebm_ext.data.corpora import load_configured  # noqa: E402
from svebm_ext.evaluation.evaluate_model import evaluate_run  # noqa: E402
from svebm_ext.experiments.rows import Place, Row, finished, run_all  # noqa: E402
from svebm_ext.models.svebm import SVEBM  # noqa: E402
from svebm_ext.training.loop import LAST  # noqa: E402
from svebm_ext.training.run import train  # noqa: E402

#: Seconds after which a child that was not killed has hung.
HANGS = 120


def configurations(corpus):
    return {
        "train": tiny_config(corpus, objective={"regroup_at": 0.4}, training={"max_steps": 40, "checkpoint_every": 2}),
        "second": tiny_config(
            corpus, training={"max_steps": 6, "prior_stage": "second", "prior_steps": 60, "checkpoint_every": 3}
        ),
        "evaluate": tiny_config(corpus, training={"max_steps": 4}),
        "experiments": tiny_config(corpus, training={"max_steps": 20, "checkpoint_every": 2, "validate_every": 5}),
    }


def trained(config, out):
    train(config, out, resume=(out / LAST).exists())


def evaluated(config, out):
    """The model is there already; measures are what is made."""
    if not (out / "model.safetensors").exists():
        trained(config, out)
    model = SVEBM.from_pretrained(out)
    evaluate_run(out, model, load_configured(config.data, model.writing))


def rows(config, out):
    place = Place(out, device="cpu")
    return [place.run(Row(name, config), seed) for name in ("a",) for seed in (0, 1)]


def experimented(config, out):
    failures = run_all(rows(config, out), lambda failed: None)
    assert not failures, failures


WORK = {"train": trained, "second": trained, "evaluate": evaluated, "experiments": experimented}


def child(work, *arguments):
    """Process number of a child that does some work."""
    process = os.fork()
    if process:
        return process
    status = 1
    try:
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
        os.kill(process, signal.SIGKILL)
        os.waitpid(process, 0)
    assert status == 0, f"status {status}"
    return time.monotonic() - begin


def check(kind, config, out, whole):
    if kind != "experiments":
        return assert_equal(out, whole)
    for one, other in zip(rows(config, out), rows(config, whole), strict=True):
        assert finished(one) is not None
        assert_equal(one.folder, other.folder)
    return None


def main(folder, seed, seconds):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = configurations(write_corpus(folder))
    lasts = {}
    for kind, config in kinds.items():
        lasts[kind] = finish(WORK[kind], config, folder / f"{kind}-whole")
    rng, begin = random.Random(seed), time.monotonic()
    number = 0
    while time.monotonic() - begin < seconds or number < len(kinds):  # of each kind one at least
        kind = list(kinds)[number % len(kinds)]
        config, out, kills = kinds[kind], folder / f"{kind}-killed", 0
        while True:
            process = child(WORK[kind], config, out)
            delay = rng.uniform(0, 0.7 * lasts[kind]) if kills < 8 else HANGS
            status = waited(process, delay)
            if status is None:
                assert delay < HANGS, f"{kind}: hangs"
                os.kill(process, signal.SIGKILL)
                status = os.waitpid(process, 0)[1]
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                kills += 1
                continue
            assert status == 0, f"{kind}: status {status} after {kills} kills"
            break
        check(kind, config, out, folder / f"{kind}-whole")
        shutil.rmtree(out)
        number += 1
        print(json.dumps({"kind": kind, "kills": kills}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]))
