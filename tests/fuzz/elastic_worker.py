"""A training of two processes under torchrun that is killed many times, beside one that is not: bit for bit the same.

    python tests/fuzz/elastic_worker.py FOLDER SEED KILLS

prints, as JSON, how many workers and whole agents were killed, and the seconds that it took.
"""

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from elastic import train_under_fire
from equal_runs import assert_equal
from tiny_runs import write_corpus
from together import together

#: Trains with pauses, so that a kill can fall anywhere between and into iterations, checkpoints and validations.
PROGRAM = """
import sys, time
import torch
from svebm_ext import train
from svebm_ext.commands import run_command
from svebm_ext.training.loop import Trainer
torch.set_num_threads(1)
original = Trainer.iterate
def iterate(self):
    time.sleep(float(PAUSE))
    return original(self)
Trainer.iterate = iterate
run_command(train.main)
"""
OPTIONS = {
    "data.max-tokens": 12, "model.latent-dim": 4, "model.n-categories": 6, "model.prior-hidden": 16,
    "model.embedding-dim": 16, "model.encoder-hidden": 12, "model.decoder-hidden": 16, "chains.n-chains": 41,
    "chains.n-steps": 4, "chains.restart-fraction": 0.1, "training.batch-size": 8, "training.checkpoint-every": 2,
    "training.validate-every": 7, "training.log-every": 1, "training.sample-every": 0, "training.device": "cpu",
    "training.prior-stage": "joint", "training.prior-steps": 0,
}  # fmt: skip


def main(folder, seed, n_kills, longest=25.0):
    """Train twice, and compare."""
    corpus, n_steps = write_corpus(folder), 90 * n_kills
    options = [word for name, value in OPTIONS.items() for word in (f"--{name}", str(value))]
    begin = time.monotonic()

    def arguments(name, pause):
        program = folder / f"{name}.py"
        program.write_text(PROGRAM.replace("PAUSE", str(pause)))
        rest = ["--no-evaluate", "--go-on", "--training.max-steps", str(n_steps), *options]
        return [str(program), "lines", str(corpus), "--out", str(folder / name), *rest]

    together(arguments("whole", 0.0), 2, timeout=600)
    kills = train_under_fire(arguments("killed", 0.1), n_kills, (2,), seed, longest, folder / "killed.log")
    for name in ("whole", "killed"):
        (folder / name / "env.json").unlink()
    assert_equal(folder / "killed", folder / "whole")
    print(json.dumps(kills | {"steps": n_steps, "seconds": round(time.monotonic() - begin)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
