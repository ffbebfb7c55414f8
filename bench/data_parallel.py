"""How processes should share a training step: gradients in one message, DistributedDataParallel, or shards (FSDP2).

    python bench/data_parallel.py > bench/results/data-parallel.md

Networks of the size of preset ptb (15 million numbers) and of the default run (0.9 million) without a prior, on
sentences of random words. Each process computes on one thread and the two talk by gloo. A step is the pass, the
backward pass, the message and Adam. The ways take turns, and the figure is the median of their steps.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from shapes import TrainingShape
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from training_steps import make_batch, model_config
from workers import told_by_first

from svebm_ext.data.batching import SentenceBatch
from svebm_ext.models.networks import build_networks
from svebm_ext.randomness import Draw
from svebm_ext.training.runtime import Runtime

#: Sizes by name: words, width, D.
SIZES = {
    "default": TrainingShape(256, vocabulary_size=419, hidden=192, latent_dim=32),
    "ptb": TrainingShape(256, vocabulary_size=10_000, hidden=512, latent_dim=40),
}
COLUMNS, ROUNDS, ACCUMULATED = (("default", 32), ("default", 256), ("ptb", 32)), 9, 4


class Loss(nn.Module):
    """The bound of a batch, as a module that can be wrapped."""

    def __init__(self, shape: TrainingShape) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.networks = build_networks(model_config(shape).model, shape.vocabulary_size)

    def forward(self, batch: SentenceBatch) -> Tensor:
        """Mean of reconstruction and divergence, a scalar."""
        passed = self.networks(batch, Draw(0, 0))
        return (passed.nll.sum() + passed.posterior.terms(passed.z)["kl"].sum()) / batch.n_sentences


def ways(shape: TrainingShape, runtime: Runtime) -> dict[str, Callable[[], object]]:
    """Steps by name; each has networks and Adam of its own."""
    batch = make_batch(shape)

    def step_of(model: nn.Module, finish: Callable[[nn.Module], object], n_passes: int = 1) -> Callable[[], object]:
        optimiser = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)

        def step() -> None:
            for _ in range(n_passes - 1):
                with model.no_sync():
                    model(batch).backward()
            model(batch).backward()
            finish(model)
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

        return step

    def one_message(model: nn.Module) -> object:
        return runtime.reduce_gradients(model.parameters())

    def nothing(_: nn.Module) -> object:
        return None

    def wrapped(megabytes: float) -> DistributedDataParallel:
        return DistributedDataParallel(Loss(shape), bucket_cap_mb=megabytes, gradient_as_bucket_view=True)

    steps = {
        "no message, for comparison": step_of(Loss(shape), nothing),
        "one message after the backward pass (this package)": step_of(Loss(shape), one_message),
        "DDP, buckets of 25 MB": step_of(wrapped(25.0), nothing),
        "DDP, buckets of 2 MB": step_of(wrapped(2.0), nothing),
        f"DDP, a message after {ACCUMULATED} batches": step_of(wrapped(25.0), nothing, ACCUMULATED),
    }
    try:
        from torch.distributed.fsdp import fully_shard
    except ImportError:  # torch before 2.6
        return steps
    from torch.distributed.device_mesh import init_device_mesh

    model = Loss(shape)
    fully_shard(model, mesh=init_device_mesh("cpu", (runtime.world_size,)))
    return steps | {"FSDP2, parameters in shards": step_of(model, nothing)}


def measure(name: str, batch_size: int) -> None:
    """Of one process among several: milliseconds a batch by each way; the first prints them."""
    torch.set_num_threads(1)
    runtime = Runtime.start("cpu")
    steps = ways(replace(SIZES[name], batch_size=batch_size), runtime)
    seconds: dict[str, list[float]] = {way: [] for way in steps}
    failed: dict[str, str] = {}
    for _ in range(ROUNDS + 1):
        for way, step in steps.items():
            if way in failed:
                continue
            runtime.barrier()
            begin = time.perf_counter()
            try:
                step()
            except (RuntimeError, NotImplementedError, AssertionError) as error:
                failed[way] = str(error).splitlines()[0][:120]
            seconds[way].append(time.perf_counter() - begin)
    if runtime.is_main:
        told = {way: 1e3 * statistics.median(all_[1:]) for way, all_ in seconds.items() if way not in failed}
        print(json.dumps({"ms": told, "failed": failed}))
    runtime.stop()


def main() -> None:
    """Print the table."""
    results = {column: told_by_first(2, __file__, *column) for column in COLUMNS}
    print("# Ways to share a training step between two processes\n")
    print(f"`python bench/data_parallel.py`, torch {torch.__version__}, two CPU cores, one thread a process, gloo.")
    print("Milliseconds a step, median; of accumulated batches, milliseconds a batch.\n")
    print("| way | " + " | ".join(f"{name}, {size} sentences each" for name, size in COLUMNS) + " |")
    print("|---|" + "---:|" * len(COLUMNS))
    for way in results[COLUMNS[0]]["ms"] | results[COLUMNS[0]]["failed"]:
        cells = []
        for column in COLUMNS:
            milliseconds = results[column]["ms"].get(way)
            share = ACCUMULATED if "after" in way and way.startswith("DDP") else 1
            cells.append("–" if milliseconds is None else f"{milliseconds / share:.1f}")
        print(f"| {way} | " + " | ".join(cells) + " |")
    for way, why in {way: why for result in results.values() for way, why in result["failed"].items()}.items():
        print(f"\n{way} did not run: {why}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure(sys.argv[1], int(sys.argv[2]))
    else:
        main()
