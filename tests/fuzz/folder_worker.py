"""Damages folders and reads them as the commands do, in a process with limits; one line of JSON a folder.

python tests/fuzz/folder_worker.py WORK SEED COUNT SECONDS
"""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import torch  # noqa: E402
from bases import STEPS, limited, make_bases, run  # noqa: E402
from mutations import mutate  # noqa: E402

from svebm_ext.errors import SvebmError  # noqa: E402
from svebm_ext.experiments.rows import Row, finished  # noqa: E402
from svebm_ext.experiments.rows import Run as RowRun  # noqa: E402
from svebm_ext.exploration.measured import curves_of, measures_of  # noqa: E402
from svebm_ext.models.svebm import SVEBM  # noqa: E402
from svebm_ext.models.tensor_files import read_tensors  # noqa: E402
from svebm_ext.plots import learning_curves  # noqa: E402
from svebm_ext.training.loop import LAST  # noqa: E402
from svebm_ext.training.points import load_points  # noqa: E402
from svebm_ext.training.run import read_run_config  # noqa: E402

#: Seconds of computing, and on the clock, that a folder may take; MiB by which memory may grow.
COMPUTING, WAITING, MEMORY = 5.0, 30.0, 400


class TooLong(BaseException):
    """A folder takes longer than it may."""


def too_long(number, frame):
    raise TooLong("waits" if number == signal.SIGALRM else "computes")


def same_as_file(networks, path):
    tensors, _ = read_tensors(path)
    for name, tensor in networks.state_dict().items():
        assert torch.equal(tensor, tensors[name]), f"{name} is not what the file has"
        assert bool(torch.isfinite(tensor).all()) if tensor.is_floating_point() else True


def load(config, folder):
    """What generate and classify do."""
    if config.model.kind == "points":
        _, networks = load_points(folder)
        return same_as_file(networks, folder / "model.safetensors")
    model = SVEBM.from_pretrained(folder)
    same_as_file(model.networks, folder / "model.safetensors")
    with contextlib.suppress(SvebmError):
        sentences = model.generate(2)
        assert len(sentences) == 2
    with contextlib.suppress(SvebmError):
        model.classify(["the cat sees it", "wave salt boat"])


def resume(config, folder):
    """What train --resume does; the end is finite, and that of the base where the file is as it was."""
    given = limited(read_run_config(folder))
    run(given, folder, resume=True)
    tensors, _ = read_tensors(folder / LAST)
    for name, tensor in tensors.items():
        assert bool(torch.isfinite(tensor).all()) if tensor.is_floating_point() else True, f"{name} is not finite"


def look(config, folder):
    """What explore and experiments do with measures and logs."""
    with contextlib.suppress(SvebmError):
        measures_of(folder, {})
    curves_of(folder, {}, lambda text: None)
    finished(RowRun(Row("a", config), config, folder))
    if (folder / "metrics.jsonl").is_file():
        learning_curves(folder / "metrics.jsonl", folder / "curves.png")


def actions(touched):
    read = {name.split("/")[0] for name in touched}
    if read & {"metrics.json", "metrics.jsonl", "config.json"}:
        yield look
    if read & {"config.json", "vocab.json", "surface.json", "tokenizer.json", "model.safetensors"}:
        yield load
    if read & {"config.json", "vocab.json", "surface.json", "tokenizer.json", "checkpoints", "metrics.jsonl"}:
        yield resume


def attempt(action, config, folder):
    """Outcome of reading a folder: refused, accepted, or what went wrong."""
    signal.setitimer(signal.ITIMER_PROF, COMPUTING)
    signal.setitimer(signal.ITIMER_REAL, WAITING)
    try:
        with open(os.devnull, "w") as null, contextlib.redirect_stderr(null), contextlib.redirect_stdout(null):
            action(config, folder)
    except SvebmError as error:
        if not str(error) or "\n" in str(error).strip() or len(str(error)) > 5000:
            return f"no clear line: {error!r:.500}"
        return "refused"
    except TooLong as error:
        return f"too long: {error}\n{traceback.format_exc()}"
    except Exception:
        return traceback.format_exc()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
    return "accepted"


def main(work, first, count, seconds):
    torch.set_num_threads(1)
    work = Path(work)
    bases = make_bases(work / "bases")
    write_measures(bases)
    for config, folder in bases.values():  # everything is imported, and has taken its memory, before limits hold
        for action in (look, load, resume):
            if (kind := attempt(action, config, copied(folder, work))) != "accepted":
                raise AssertionError(f"{folder} as it is: {action.__name__}: {kind}")
    signal.signal(signal.SIGALRM, too_long)
    signal.signal(signal.SIGPROF, too_long)
    size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (size + (3 << 30), size + (3 << 30)))
    begin = time.monotonic()
    for seed in range(first, first + count):
        if time.monotonic() - begin > seconds:
            break
        name = random.Random(seed).choice(sorted(bases))
        config, base = bases[name]
        folder = copied(base, work)
        done, touched = mutate(seed, folder)
        print(json.dumps({"seed": seed, "base": name, "done": done}), flush=True)
        outcomes = {}
        for action in actions(touched):
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            outcomes[action.__name__] = attempt(action, config, folder)
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
            if grown > MEMORY:
                outcomes[action.__name__] = f"{grown:.0f} MiB more memory, then {outcomes[action.__name__]}"
        print(json.dumps({"seed": seed, "base": name, "done": done, "outcomes": outcomes}), flush=True)
    shutil.rmtree(work / "folder", ignore_errors=True)


def copied(base, work):
    folder = work / "folder"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(base, folder)
    return folder


def write_measures(bases):
    """A metrics.json, as evaluation would leave it."""
    document = {
        "nll": 12.5,
        "homogeneity": {"label": 0.5},
        "mi": None,
        "null_reasons": {"mi": "no symbols"},
        "about": {"seed": 0, "commit": "c", "device": "d", "sample_counts": {"a": 1}, "warnings": ["w"], "summary": []},
    }
    for _, folder in bases.values():
        (folder / "metrics.json").write_text(json.dumps(document))


if __name__ == "__main__":
    assert STEPS > 0
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
