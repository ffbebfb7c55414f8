"""Programs in several processes of this machine that find each other, as torchrun starts them."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any


def told_by_first(n_processes: int, file: str, *arguments: object) -> Any:
    """What the first of some processes prints last, in JSON; each has one thread.

    Args:
        n_processes: how many.
        file: the program.
        arguments: of all of them.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1])}
    address |= {"WORLD_SIZE": str(n_processes), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", file, *map(str, arguments)]
    processes = [
        subprocess.Popen(command, env=os.environ | address | {"RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
        for rank in range(n_processes)
    ]
    first, *_ = [process.communicate()[0] for process in processes]
    return json.loads(first.splitlines()[-1])
