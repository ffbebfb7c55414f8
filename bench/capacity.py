"""A capacity plan: what a step sends, what a text takes, and what limits a number of devices and of texts.

    python bench/capacity.py > bench/results/capacity.md

Counted from the presets' networks and the package's own data structures, measured here (gloo between processes of this
machine), or taken from a report of a device (the rates of a training step in bench/results). Links between machines
are assumptions, and are called so.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
import tracemalloc
from dataclasses import dataclass

import numpy as np
import torch
import torch.distributed as dist
from workers import told_by_first

from svebm_ext.config import Config
from svebm_ext.data.batching import BatchOrder, EncodedSplit
from svebm_ext.data.corpora import load_configured
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.models.networks import networks_of
from svebm_ext.models.tensor_files import uninitialised
from svebm_ext.presets import preset
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.sizes import WIDE

#: Words of PTB's vocabulary, and the most that a text of the user's own gets (`data.vocabulary_size`).
WORDS = 10_000
#: Tokens of a training step of preset ptb, and tokens a second, by sentences a device, fp32: bench/results/gpu-h200.md,
#: second visit.
H200 = {32: (702, 66_525), 128: (2_808, 127_832), 1024: (22_466, 505_493)}
#: Links that are assumed, in bytes a second and direction.
LINKS = {"10 Gbit/s": 1.25e9, "100 Gbit/s": 12.5e9, "400 Gbit/s": 50e9}
DEVICES, SENTENCES = (1, 8, 64, 1024), (10**6, 10**8, 10**10)
ROUNDS = 7
#: Memory of a process that texts may take, for the last table: 256 GB of a machine with 8 devices, half of it.
SHARE_OF_MEMORY = 16e9


@dataclass(frozen=True)
class Model:
    """A preset's networks: numbers that each of the two optimisers moves, and its tensors."""

    name: str
    networks: int
    prior: int
    n_tensors: int
    latent_dim: int
    batch: int

    @property
    def message(self) -> int:
        """Bytes of the gradients of a step: float32, and one number a tensor that tells whether it has one."""
        return 4 * (self.networks + self.prior + self.n_tensors)


def model_of(name: str, config: Config, n_words: int) -> Model:
    """Count a preset's parameters; nothing is initialised."""
    with uninitialised("meta"):
        networks = networks_of(config, n_words)
    prior = {id(p) for p in networks.prior_parameters()}
    trained = [p for p in networks.parameters() if p.requires_grad]
    n_prior = sum(p.numel() for p in trained if id(p) in prior)
    n_networks = sum(p.numel() for p in trained) - n_prior
    batch = config.training.batch_size
    return Model(name, n_networks, n_prior, len(trained), config.model.latent_dim, batch)


def with_widths(config: Config) -> Config:
    """Preset lines at its full width, which a text of 60,000 words and more has (`svebm_ext.training.sizes`)."""
    from svebm_ext.config import with_changes

    sizes = {"embedding_dim": WIDE, "decoder_hidden": WIDE, "encoder_hidden": 2 * WIDE // 3}
    dropouts = {"embedding_dropout": 0.1, "output_dropout": 0.1}
    categories = {} if config.model.n_categories else {"n_categories": 50}
    return with_changes(config, {"model": sizes | dropouts | categories})


def bytes_of_texts() -> dict[str, float]:
    """Bytes that a text takes in each process, measured on the embedded corpus, and bytes of the order of an epoch."""
    corpus = load_configured(preset("assistant").data)
    train = EncodedSplit.from_split(corpus.train, Vocabulary.build(corpus.train.sentences))
    n, n_words = len(train), int(train.lengths.sum())
    tensors = sum(t.numel() * t.element_size() for t in (train.targets, train.offsets, train.labels))
    lengths = torch.randint(5, 30, (1_000_000,), generator=torch.Generator().manual_seed(0))
    tracemalloc.start()
    order = BatchOrder(lengths, 1024, 0)
    order.batch(0)
    held, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {
        "texts measured": n,
        "tokens a text": n_words / n,
        "characters of a text on the disk": sum(len(" ".join(s)) + 1 for s in corpus.train.sentences) / n,
        "encoded text, bytes": tensors / n,
        "order of an epoch, bytes a text held": held / len(lengths),
        "order of an epoch, bytes a text at most": peak / len(lengths),
    }


def measure_messages(sizes: list[int]) -> None:
    """Of one process among several: seconds of an all-reduce of so many bytes, medians; the first prints them."""
    runtime, result = Runtime.start("cpu"), {}
    for size in sizes:
        message, seconds = torch.zeros(size // 4), []
        for _ in range(ROUNDS + 1):
            runtime.barrier()
            begin = time.perf_counter()
            dist.all_reduce(message)
            seconds.append(time.perf_counter() - begin)
        result[size] = statistics.median(seconds[1:])
    if runtime.is_main:
        print(json.dumps(result))
    runtime.stop()


def gloo_seconds(n_processes: int, sizes: list[int]) -> dict[int, float]:
    """The same, of processes of this machine."""
    told = told_by_first(n_processes, __file__, *sizes)
    return {int(size): seconds for size, seconds in told.items()}


def ring_bytes(message: int, n_devices: int) -> float:
    """Bytes that each device sends for a sum over all by a ring: 2 (W - 1) / W of the message."""
    return 2 * (n_devices - 1) / n_devices * message


def table(heading: list[str], rows: list[list[str]]) -> str:
    """In Markdown."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines) + "\n"


def time_text(seconds: float) -> str:
    """With a unit that a person reads."""
    for unit, size in (("years", 365.25 * 86400), ("days", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if seconds >= size:
            return f"{seconds / size:,.1f} {unit}"
    return f"{1000 * seconds:.2f} ms"


def scaling(model: Model) -> str:
    """A step of preset ptb with 1,024 sentences a device: its time, and what of it is the message."""
    n_tokens, rate = H200[1024]
    step, rows = n_tokens / rate, []
    for n in DEVICES:
        cells = [f"{n:,}", f"{1024 * n:,}", time_text(step)]
        for link in LINKS.values():
            message = ring_bytes(model.message, n) / link
            cells.append(f"{time_text(message)}, {step / (step + message):.0%}" if n > 1 else "-")
        rows.append(cells)
    heading = ["devices", "sentences a step", "computing", *(f"{name}: message, efficiency" for name in LINKS)]
    return table(heading, rows)


def small_steps(model: Model) -> str:
    """The same with one global batch: what is left to a device, and whether the message outweighs it."""
    rows = []
    for batch, (n_tokens, rate) in H200.items():
        step = n_tokens / rate
        messages = [time_text(ring_bytes(model.message, 8) / link) for link in LINKS.values()]
        rows.append([str(batch), time_text(step), *messages])
    return table(["sentences a device", "computing", *(f"message by {name}" for name in LINKS)], rows)


def what_limits(model: Model, texts: dict[str, float]) -> str:
    """For each number of texts and devices: an epoch, memory of the texts, and the first of the limits."""
    n_tokens, rate = H200[1024]
    held = texts["encoded text, bytes"] + texts["order of an epoch, bytes a text held"]
    rows = []
    for n_texts in SENTENCES:
        for n in DEVICES:
            step = n_tokens / rate + ring_bytes(model.message, n) / LINKS["100 Gbit/s"] * (n > 1)
            n_steps = n_texts / (1024 * n)
            memory = held * n_texts
            bank = 4 * model.latent_dim * n_texts / n
            limit = "memory of texts" if memory > SHARE_OF_MEMORY else "steps" if n_steps < 1000 else "computing"
            rows.append([
                f"{n_texts:.0e}".replace("e+", "e"), f"{n:,}", f"{n_steps:,.0f}", time_text(n_steps * step),
                f"{memory / 1e9:,.1f}", f"{bank / 1e9:,.2f}", limit,
            ])  # fmt: skip
    return table(
        ["texts", "devices", "steps an epoch", "an epoch", "GB of texts, each process",
         "GB of chains a process, one a text", "what limits"],
        rows,
    )  # fmt: skip


def report() -> str:
    """The plan, in Markdown."""
    default, lines, ptb = preset("assistant"), with_widths(preset("lines")), preset("ptb")
    n_default = len(Vocabulary.build(load_configured(default.data).train.sentences))
    models = [
        model_of(f"default (`assistant`, {n_default:,} words)", default, n_default),
        model_of(f"`lines` at its full width, {WORDS:,} words", lines, WORDS),
        model_of(f"`ptb`, {WORDS:,} words", ptb, WORDS),
    ]
    texts, sizes = bytes_of_texts(), [model.message for model in models]
    measured = {n: gloo_seconds(n, sizes) for n in (2, 4)}
    load = os.getloadavg()[0]
    counted = [
        [m.name, f"{m.networks:,}", f"{m.prior:,}", f"{m.message / 1e6:.2f}", f"{8 * (m.networks + m.prior) / 1e6:.1f}",
         *(f"{measured[n][m.message] * 1000:,.0f} ms" for n in (2, 4))]
        for m in models
    ]  # fmt: skip
    bank = [[f"{n:,}", f"{4 * 40 * n / 1e6:,.1f}", *(f"{4 * 40 * n / w / 1e6:,.2f}" for w in (8, 64))]
            for n in (1000, 10**6, 10**8)]  # fmt: skip
    return "\n".join([
        "# Capacity plan",
        "",
        "Output of `python bench/capacity.py`; docs/scale.md tells what follows. "
        f"torch {torch.__version__}, numpy {np.__version__}, {os.cpu_count()} cores, load average {load:.1f}.",
        "",
        "## What a step sends (counted; gloo measured here, on a busy machine)",
        "",
        table(["model", "numbers of the networks", "numbers of the prior", "message, MB", "Adam's moments, MB",
               "gloo, 2 processes", "gloo, 4 processes"], counted),
        "## What a text takes (measured on the embedded corpus, the order on a million lengths)",
        "",
        table(["what", "each"], [[name, f"{value:,.1f}"] for name, value in texts.items()]),
        "## Persistent chains, D = 40 (counted)",
        "",
        table(["chains", "MB, 1 process", "MB a process, 8", "MB a process, 64"], bank),
        "## A step of `ptb` with 1,024 sentences a device (H200 fp32 measured on one; links assumed)",
        "",
        scaling(models[2]),
        "## Fewer sentences a device, 8 devices (H200 fp32 measured on one; links assumed)",
        "",
        small_steps(models[2]),
        "## What limits (`ptb`, 1,024 sentences a device, 100 Gbit/s assumed)",
        "",
        what_limits(models[2], texts),
    ])  # fmt: skip


if __name__ == "__main__":
    if len(sys.argv) > 1:
        measure_messages([int(size) for size in sys.argv[1:]])
    else:
        print(report(), end="")
