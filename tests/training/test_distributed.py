"""Two processes that share each batch learn what one process learns, within rounding."""

import json
import os
import socket
import subprocess
import sys

import pytest
import torch
from tiny_runs import tiny_config, write_corpus

from svebm_ext.config import to_dict
from svebm_ext.training.checkpoint import load_checkpoint

PROGRAM = """
import json, sys, torch
from pathlib import Path
from svebm_ext.config import from_dict
from svebm_ext.training.run import train
from svebm_ext.training.runtime import Runtime
torch.set_num_threads(1)
config = from_dict(json.loads(Path(sys.argv[1]).read_text()))
runtime = Runtime.start("cpu")
train(config, Path(sys.argv[2]), runtime=runtime)
runtime.stop()
threads = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
assert not [name for name in threads if "gloo" in name], threads  # one left can abort the process at its end
"""


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed")
def test_a_parameter_without_a_gradient_anywhere_stays_without(tmp_path):
    """With one on some process it is the sum; zeros everywhere would let Adam's moments move the parameter."""
    program = """
import sys, torch
from svebm_ext.training.runtime import Runtime
runtime = Runtime.start("cpu")
a, b, c, frozen = (torch.nn.Parameter(torch.zeros(n)) for n in (2, 3, 1, 4))
frozen.requires_grad_(False)
a.grad = torch.tensor([1.0, 2.0]) * (runtime.rank + 1)
if runtime.rank == 1:
    c.grad = torch.tensor([5.0])
runtime.reduce_gradients([a, b, c, frozen])
assert a.grad.tolist() == [3.0, 6.0] and c.grad.tolist() == [5.0], (a.grad, c.grad)
assert b.grad is None and frozen.grad is None
runtime.reduce_gradients([frozen])
runtime.stop()
"""
    together(["-c", program], 2)


def run(config_file, out, world_size):
    together(["-c", PROGRAM, str(config_file), str(out)], world_size)


def together(arguments, world_size):
    """Run a program in several processes that find each other, as torchrun starts them."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    processes = []
    for rank in range(world_size):
        environment = os.environ | {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(world_size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        command = [sys.executable, "-W", "ignore", *arguments]
        processes.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    try:
        for process in processes:
            _, error = process.communicate(timeout=180)
            assert process.returncode == 0, error
    finally:
        for process in processes:
            process.kill()
            process.communicate()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed")
@pytest.mark.parametrize(
    "changes",
    [
        {"model": {"embedding_dropout": 0.3, "output_dropout": 0.3}, "chains": {"per_iteration": 25}},
        {"objective": {"update": "alternating", "mutual_information": 2.0, "label_weight": 1.0}},
        {"objective": {"mutual_information": 2.0, "regroup_at": 1.0 / 24}},  # at iteration 1 of 12
        {  # without the prior in the first half of each cycle; its momentum of the cycle before stays
            "objective": {
                "schedule": "cyclical",
                "n_cycles": 3,
                "mutual_information": 2.0,
                "mutual_information_always": False,
            },
            "optimiser": {"prior_learning_rate": 0.05, "prior_clip": 0.0},
        },
        {"objective": {"schedule": "linear", "zero_fraction": 0.0, "ramp_fraction": 0.3, "bag_of_words": 1.0}},
        {"chains": {"metropolis": True}},
    ],
    ids=["dropout", "alternating-labels", "regrouping", "cyclical", "bag-of-words", "metropolis"],
)
def test_two_processes_equal_one(tmp_path, changes):
    labelled = changes.get("objective", {}).get("label_weight", 0) > 0
    config = tiny_config(write_corpus(tmp_path, labelled=labelled), **changes)
    config_file = tmp_path / "config.json"
    config_file.write_text(json.dumps(to_dict(config)))
    run(config_file, tmp_path / "one", 1)
    run(config_file, tmp_path / "two", 2)
    one, _ = load_checkpoint(tmp_path / "one/checkpoints/last.safetensors")
    two, _ = load_checkpoint(tmp_path / "two/checkpoints/last.safetensors")
    assert one.keys() == two.keys()
    for name, tensor in one.items():
        torch.testing.assert_close(two[name], tensor, rtol=2e-3, atol=2e-4, msg=lambda m, name=name: f"{name}: {m}")
    logs = [
        [json.loads(line) for line in (tmp_path / name / "metrics.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    for first, second in zip(*logs, strict=True):
        for key in ("loss", "nll", "kl", "mi", "energy_negative"):
            if key in first:
                assert second[key] == pytest.approx(first[key], rel=1e-4, abs=1e-4), (first["step"], key)
