"""Memory of a bank of persistent chains, a process: held by one, and by several that share it.

    python bench/chain_memory.py --chains 1000000 --processes 4 > bench/results/chain-memory.json

Each process makes its part of the bank, moves 512 chains three times, writes a checkpoint of the whole with the others
and reads it back. Anonymous memory is counted, less what the process had before: what pages of the file are mapped
meanwhile is the file's.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from svebm_ext.models.tensor_files import read_tensors, write_tensors
from svebm_ext.prior.chain_bank import ChainBank
from svebm_ext.prior.network import EnergyMLP
from svebm_ext.training.runtime import Runtime

LATENT_DIM, N_MOVED, N_ITERATIONS = 40, 512, 3


def anonymous_bytes() -> int:
    """Resident memory of this process that no file is behind."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))


def measure(n_chains: int, folder: Path) -> None:
    """One process's share of the work; prints its memory."""
    torch.set_num_threads(1)
    runtime = Runtime.start("cpu")
    torch.manual_seed(0)
    layers = EnergyMLP(LATENT_DIM, 20, (200, 200)).layers()

    def new(n: int) -> ChainBank:
        return ChainBank(n, LATENT_DIM, seed=0, n_steps=2, step_size=0.1, processes=runtime)

    small = new(N_MOVED)
    small.advance(layers, 0, N_MOVED)  # libraries and buffers are not the bank's
    before = anonymous_bytes()
    bank = new(n_chains)
    for step in range(N_ITERATIONS):
        bank.advance(layers, step, N_MOVED)
    held = anonymous_bytes() - before
    state = bank.state_dict()
    path = folder / f"bank{runtime.world_size}.safetensors"
    if runtime.is_main:
        write_tensors(path, state, {"format": "bank"})
    if runtime.world_size > 1:
        state["states"].end() if runtime.is_main else state["states"].serve()
    del state
    saved = anonymous_bytes() - before
    runtime.barrier()
    bank.load_state_dict(read_tensors(path)[0])
    loaded = anonymous_bytes() - before
    measured = {"rank": runtime.rank, "held": held, "after_saving": saved, "after_loading": loaded}
    print(json.dumps(measured | {"states": bank.states.numel() * bank.states.element_size()}), flush=True)
    runtime.stop()


def together(n_processes: int, n_chains: int, folder: Path) -> list[dict[str, int]]:
    """What each of so many processes has measured."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(n_processes)}
    command = [sys.executable, "-W", "ignore", __file__, "--chains", str(n_chains), "--folder", str(folder)]
    processes = [
        subprocess.Popen(command, env=os.environ | address | {"RANK": str(rank)}, stdout=subprocess.PIPE, text=True)
        for rank in range(n_processes)
    ]
    return [json.loads(process.communicate()[0]) for process in processes]


def main() -> None:
    """Measure one process and several."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--chains", type=int, default=1_000_000)
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.folder is not None:
        measure(options.chains, options.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        sizes = sorted({1, options.processes})
        results = {str(n): together(n, options.chains, Path(folder)) for n in sizes}
    about = {"chains": options.chains, "latent_dim": LATENT_DIM, "moved_an_iteration": N_MOVED}
    print(json.dumps({"about": about | {"torch": torch.__version__}, "bytes_by_processes": results}, indent=2))


if __name__ == "__main__":
    main()
