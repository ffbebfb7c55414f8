"""Text of any size: CPU seconds and memory of reading and encoding it, and a training step in memory and mapped.

    python bench/large_text.py             # 10^6 lines of 12 words, in memory and mapped, then training steps
    python bench/large_text.py 10000000    # 10^7 lines, mapped alone; add --in-memory for both

Each way reads in a process of its own. VmHWM is the largest resident memory of that process, torch included. Steps are
taken in turn, one mapped and one in memory, so that both meet the same machine. A second reading of a mapped text has
no encoding to do. Files are made in a temporary folder (TMPDIR), which needs 250 bytes a line, and deleted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

WORDS, DISTINCT, AT_ONCE, STEPS = 12, 50_000, 10_000, 200


def write_lines(path: Path, n: int) -> None:
    """Lines of 12 words, frequent and rare ones as in Zipf's law."""
    rng = random.Random(0)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(DISTINCT)]
    shares = list(itertools.accumulate(1 / (rank + 2) for rank in range(DISTINCT)))
    with open(path, "w") as file:
        for first in range(0, n, AT_ONCE):
            chosen = rng.choices(words, cum_weights=shares, k=WORDS * min(AT_ONCE, n - first))
            for i in range(0, len(chosen), WORDS):
                file.write(" ".join(chosen[i : i + WORDS]).capitalize() + ".\n")


def status(name: str) -> float:
    """A number of this process's /proc/self/status in MB."""
    found = re.search(rf"^{name}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024 / 1e6


def read(path: Path, mode: str, cache: Path) -> None:
    """Read and encode a text as preset `lines` does, and print what it took."""
    from svebm_ext.data import EncodedSplit, Vocabulary, load_text

    before = time.process_time()
    corpus = load_text(path, memory_map=mode, cache=cache)
    train = EncodedSplit.from_split(corpus.train, Vocabulary.build(corpus.train.sentences))
    took = time.process_time() - before
    print(json.dumps({"seconds": took, "peak": status("VmHWM"), "n": len(train), "data": train.fingerprint()}))


def measured(path: Path, mode: str, cache: Path) -> dict:
    """What `read` prints in a process of its own."""
    command = [sys.executable, __file__, "--read", mode, "--path", str(path), "--cache", str(cache)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()[-1])


def compare_steps(path: Path, folder: Path) -> None:
    """CPU seconds of a training step of preset `lines` in memory and mapped, and whether the weights are equal."""
    import torch

    from svebm_ext.presets import preset
    from svebm_ext.training.run import TextRun

    torch.set_num_threads(1)
    config = preset("lines")
    config = replace(config, model=replace(config.model, n_categories=20))
    trainers, seconds = {}, {"never": [], "always": []}
    for mode in seconds:
        data = replace(config.data, train=path, memory_map=mode, cache=folder / "cache")
        run = TextRun(replace(config, data=data), folder / f"run-{mode}")
        trainers[mode] = run.prepare()
        run.begin(trainers[mode])
    for step in range(STEPS):
        for mode in sorted(trainers, reverse=step % 2 == 1):
            before = time.process_time()
            trainers[mode].iterate()
            seconds[mode].append(time.process_time() - before)
    ratios = [mapped / held for mapped, held in zip(seconds["always"], seconds["never"], strict=True)]
    held, mapped = (1000 * statistics.median(seconds[mode]) for mode in ("never", "always"))
    states = [trainer.model.state_dict() for trainer in trainers.values()]
    equal = all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    print(f"{STEPS} training steps, median: {held:.1f} ms of CPU in memory, {mapped:.1f} ms mapped, "
          f"median ratio {statistics.median(ratios):.3f}; weights {'equal' if equal else 'DIFFERENT'}")  # fmt: skip


def main() -> None:
    """Make a text, and print a line for each way to read it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("n", nargs="?", type=int, default=1_000_000, help="lines")
    parser.add_argument("--in-memory", action="store_true", help="read more than 10^6 lines in memory as well")
    parser.add_argument("--read", help=argparse.SUPPRESS)
    parser.add_argument("--path", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--cache", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read is not None:
        read(options.path, options.read, options.cache)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "lines.txt"
        write_lines(path, options.n)
        both = options.in_memory or options.n <= 1_000_000
        ways = {"mapped": "always", "mapped, encoded before": "always"} | ({"in memory": "never"} if both else {})
        for way, mode in ways.items():
            took = measured(path, mode, folder / "cache")
            print(f"{options.n:,} lines of {WORDS} words, {way}: {took['seconds']:.1f} s of CPU, "
                  f"VmHWM {took['peak']:.0f} MB, data {took['data']}", flush=True)  # fmt: skip
        if both:
            compare_steps(path, folder)


if __name__ == "__main__":
    main()
