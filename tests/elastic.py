"""Trainings under torchrun whose workers are killed, and the number of processes changes."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from together import free_port


def torchrun(n_processes, arguments, *, max_restarts=0, log=None, nodes=None):
    """An agent, started as users start it, in a group of processes of its own.

    Args:
        n_processes: workers of it.
        arguments: of Python: `-m MODULE ...`, or a file.
        max_restarts: how often it starts its workers again.
        log: file for all that is said.
        nodes: options of an agent that is one of several; alone it finds a port.
    """
    address = ["--master-addr", "127.0.0.1", "--master-port", str(free_port())] if nodes is None else nodes
    launcher = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--nproc-per-node", str(n_processes)]
    restarts = ["--max-restarts", str(max_restarts), "--monitor-interval", "0.2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    command = [*launcher, *restarts, *address, *arguments]
    with open(os.devnull if log is None else log, "ab") as out:
        return subprocess.Popen(command, env=environment, stdout=out, stderr=out, start_new_session=True)


def workers(agent):
    """Process numbers of an agent's workers."""
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:  # it has just ended
            continue
        if int(fields[1]) == agent.pid and fields[0] != "Z":
            found.append(int(status.parent.name))
    return found


def kill_all(agent):
    """End an agent with its workers, as a machine that fails does; workers have groups of their own."""
    for pid in (*workers(agent), agent.pid):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    agent.wait()


def train_under_fire(arguments, n_kills, sizes, seed, longest, log=None):
    """Train to the end while a worker is killed now and then, or all with the agent, which another number follows.

    Args:
        arguments: of Python; the same command each time.
        n_kills: at random moments, every fourth of a whole agent.
        sizes: numbers of processes, one agent after the other.
        seed: of the moments.
        longest: seconds between kills at most; a worker needs some to start.
        log: file for all that is said.

    Returns:
        Kills of workers, and of agents.
    """
    choice, done, size = random.Random(seed), {"workers": 0, "agents": 0}, 0
    agent = torchrun(sizes[0], arguments, max_restarts=n_kills + 1, log=log)
    try:
        while sum(done.values()) < n_kills:
            end = time.monotonic() + choice.uniform(0.0, longest)
            while time.monotonic() < end and agent.poll() is None:
                time.sleep(0.05)
            if agent.poll() is not None:
                assert agent.returncode == 0, log and Path(log).read_text()[-4000:]
                return done
            alive = workers(agent)
            if choice.random() < 0.25:
                kill_all(agent)
                size, done["agents"] = size + 1, done["agents"] + 1
                agent = torchrun(sizes[size % len(sizes)], arguments, max_restarts=n_kills + 1, log=log)
            elif alive:
                os.kill(choice.choice(alive), signal.SIGKILL)
                done["workers"] += 1
        assert agent.wait(600) == 0, log and Path(log).read_text()[-4000:]
    finally:
        if agent.poll() is None:
            kill_all(agent)
    return done
