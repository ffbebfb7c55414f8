"""Programs in several processes that find each other, as torchrun starts them."""

import os
import socket
import subprocess
import sys

#: Trains by the configuration of a file: in its first argument, into the folder that the second one names.
TRAINING = """
import json, sys, torch
from pathlib import Path
from svebm_ext.config import from_dict
from svebm_ext.kinds import kind_of
from svebm_ext.training.points import train_points
from svebm_ext.training.run import train
from svebm_ext.training.runtime import Runtime
torch.set_num_threads(1)
config = from_dict(json.loads(Path(sys.argv[1]).read_text()))
runtime = Runtime.start("cpu")
resume = "--resume" in sys.argv
if kind_of(config.model).has_words:
    train(config, Path(sys.argv[2]), runtime=runtime, resume=resume)
else:
    train_points(config, Path(sys.argv[2]), runtime=runtime, resume=resume, evaluate=False)
runtime.stop()
threads = [(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
assert not [name for name in threads if "gloo" in name], threads  # one left can abort the process at its end
"""


def free_port():
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def together(arguments, world_size, statuses=None, timeout=180):
    """Run a program in several processes; returns the standard output and error of each.

    Args:
        arguments: of Python.
        world_size: how many.
        statuses: expected exit status of all of them (default 0).
        timeout: in seconds, after which they hang.
    """
    port, processes, results = free_port(), [], []
    for rank in range(world_size):
        environment = os.environ | {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(world_size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
        command = [sys.executable, "-W", "ignore", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        processes.append(subprocess.Popen(command, env=environment, **pipes))
    try:
        for process in processes:
            results.append(process.communicate(timeout=timeout))
            assert process.returncode == (statuses or 0), results[-1]
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    return results
