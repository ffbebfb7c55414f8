"""How rows of `own-text` are made: a command for each, in a process of its own, and its answers measured alike.

A row whose command fails is a row that says so: what a user would have met is a result.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from svebm_ext.config import Config, to_dict
from svebm_ext.errors import Interrupted
from svebm_ext.evaluation.report import METRICS
from svebm_ext.experiments.measured import THREADS, Measured, last_line, run_measured
from svebm_ext.experiments.own_text_data import Files, Texts, choose_labelled, one_line, read_files, write_lines
from svebm_ext.experiments.own_text_generation import GENERATED, measure_generation
from svebm_ext.experiments.own_text_plain import Array, Task, h_em, k_means, tfidf_k_means
from svebm_ext.experiments.rows import Run
from svebm_ext.files import JsonObject, read_json, write_json, write_whole
from svebm_ext.measures.latent import cluster_agreement
from svebm_ext.models.folder import CONFIG
from svebm_ext.models.svebm import SVEBM
from svebm_ext.presets import preset
from svebm_ext.provenance import source_version
from svebm_ext.training.folder import LAST

#: Folder of the model in that of a run; its command's output; answers of a plain method; runs of the command so far.
MODEL, LOG, ANSWERS, ATTEMPTS = "model", "log.txt", "answers.json", "attempts.json"
#: Rows that train a model of this package.
TRAINED = ("vae-kmeans", "svebm-ib", "svebm-ib-auto")
#: Exit statuses of a command that was interrupted: by itself, or by signals 2 and 15.
STOPPED = (130, -2, -15)


@dataclass(frozen=True)
class Cell:
    """Which row: its corpus, its method, and its labels of each class (0: all; -1: none)."""

    corpus: str
    method: str
    labels: int


def make(run: Run, cell: Cell) -> JsonObject:
    """Make a row, and write config.json and metrics.json; returns the content of the latter.

    Args:
        run: of the row.
        cell: which one it is.

    Raises:
        Interrupted: its command was; it goes on from its last checkpoint when it is asked for again.
    """
    files = Files.of(run.folder.parent, cell.corpus)
    run.folder.mkdir(parents=True, exist_ok=True)
    train, test = read_files(files)
    trained = cell.method in TRAINED
    command = _training_command(run, cell, files, train) if trained else _plain_command(run, cell, files)
    write_json(run.folder / CONFIG, {"config": to_dict(run.config), "command": command[1:]})
    measured = _run(run.folder, command, trained)
    document: JsonObject = {
        "ended": measured.status == 0,
        "reason": None if measured.status == 0 else last_line(run.folder / LOG),
        "seconds": measured.seconds,
        "peak_mib": measured.peak_mib,
        "test_texts": len(test.words),
        "training_texts": len(train.words),
        "classes": len(train.classes),
    }
    if measured.status == 0:
        document |= _of_model(run, cell, train, test) if trained else _of_answers(run.folder, cell, test)
    document["about"] = {"seed": run.config.seed, "commit": source_version(), "device": f"cpu, {THREADS} threads"}
    write_json(run.folder / METRICS, document)
    return document


# Commands -------------------------------------------------------------------------------------------------------


def _plain_command(run: Run, cell: Cell, files: Files) -> list[str]:
    options = {"train": files.train, "test": files.test, "out": run.folder / ANSWERS, "labels": cell.labels,
               "seed": run.config.seed}  # fmt: skip
    command = [sys.executable, "-m", "svebm_ext.experiments.own_text_plain", cell.method]
    return command + [f"--{name}={value}" for name, value in options.items()]


def _training_command(run: Run, cell: Cell, files: Files, train: Texts) -> list[str]:
    """The command that a user gives."""
    command, folder = [sys.executable, "-m", "svebm_ext.train"], run.folder / MODEL
    if (folder / LAST).exists():
        return [*command, "--resume", str(folder)]
    given: dict[str, object] = {"data.train": files.train, "data.test": files.test}
    given |= {"seed": run.config.seed, "out": folder}
    if cell.labels > 0:
        chosen = set(choose_labelled(train.labels, cell.labels, run.config.seed))
        lines = list(zip(train.labels, train.written, strict=True))
        unlabelled, labelled = run.folder / "unlabelled.txt", run.folder / "labelled.tsv"
        given |= {"data.train": unlabelled, "data.labelled": labelled}
        write_lines(labelled, [line for row, line in enumerate(lines) if row in chosen])
        rest = [one_line(text) for row, (_, text) in enumerate(lines) if row not in chosen]
        write_whole(unlabelled, "\n".join(rest) + "\n")
    elif cell.labels < 0 and cell.method == "svebm-ib":
        given["model.n-categories"] = len(train.classes)
    given |= changed_options(run.config)
    words = ([f"--{name}", *map(str, value if isinstance(value, list) else [value])] for name, value in given.items())
    return [*command, run.config.preset, *(word for option in words for word in option)]


def changed_options(config: Config) -> dict[str, object]:
    """Options, beside the files and the seed, in which a configuration differs from its preset."""
    here, base = to_dict(config), to_dict(preset(config.preset))
    return {
        f"{section}.{name}".replace("_", "-"): value
        for section, options in here.items()
        if isinstance(options, Mapping) and section != "data"
        for name, value in options.items()
        if value != base[section][name]
    }


def _run(folder: Path, command: Sequence[str], trained: bool) -> Measured:
    """Run a command; seconds and peak are those of all its runs where it was interrupted before."""
    before = read_json(folder / ATTEMPTS) if trained and (folder / ATTEMPTS).exists() else []
    begin = time.monotonic()
    try:
        measured = run_measured(command, folder / LOG)
    except BaseException:
        if trained:
            write_json(folder / ATTEMPTS, [*before, {"seconds": time.monotonic() - begin, "peak_mib": None}])
        raise
    everything = [*before, {"seconds": measured.seconds, "peak_mib": measured.peak_mib}]
    if trained:
        write_json(folder / ATTEMPTS, everything)
    if measured.status in STOPPED:
        raise Interrupted(f"{folder}: its command was interrupted")
    peaks = [attempt["peak_mib"] for attempt in everything if attempt["peak_mib"] is not None]
    seconds = sum(attempt["seconds"] for attempt in everything)
    return Measured(measured.status, seconds, max(peaks, default=None))


# Measures -------------------------------------------------------------------------------------------------------


def agreement(codes: Sequence[int] | Array, labels: Sequence[str]) -> JsonObject:
    """How symbols of texts agree with their labels, and how many symbols there are; the same for every row."""
    from sklearn.metrics import adjusted_rand_score

    scores = cluster_agreement(torch.as_tensor(codes), labels)
    return {
        "adjusted_mutual_information": scores.adjusted_mutual_information,
        "homogeneity": scores.homogeneity,
        "homogeneity_chance": scores.chance_homogeneity,
        "adjusted_rand_index": float(adjusted_rand_score(labels, np.asarray(codes))),
        "symbols_used": len(set(map(int, codes))),
    }


def share_right(predicted: Sequence[str | None], labels: Sequence[str]) -> float:
    """Share of texts whose class is right."""
    return float(np.mean([own == true for own, true in zip(predicted, labels, strict=True)]))


def _of_answers(folder: Path, cell: Cell, test: Texts) -> JsonObject:
    content = read_json(folder / ANSWERS)
    answers = content["answers"]
    if cell.labels >= 0:
        return {"accuracy": share_right(answers, test.labels), "words": content["words"]}
    return agreement(answers, test.labels) | {"words": content["words"]}


def _of_model(run: Run, cell: Cell, train: Texts, test: Texts) -> JsonObject:
    """Measures of a trained model; what they take is not counted, except for k-means of a VAE's z."""
    model = SVEBM.from_pretrained(run.folder / MODEL)
    perplexity = read_json(run.folder / MODEL / METRICS)["ppl"]
    measures: JsonObject = {"nll_per_token": None if perplexity is None else math.log(perplexity)}
    if cell.method == "vae-kmeans":
        codes = k_means(
            model.encode(train.words).numpy(), model.encode(test.words).numpy(), len(train.classes), run.config.seed
        )
        return measures | agreement(codes, test.labels)
    answers = model.classify(test.words)
    if cell.labels >= 0:
        measures["accuracy"] = share_right([answer.label for answer in answers], test.labels)
        if cell.labels in GENERATED:
            measures["generation"] = measure_generation(model, train, test, run.config.seed)
        return measures
    measures |= agreement([answer.symbol for answer in answers], test.labels)
    if cell.method == "svebm-ib-auto":
        n_symbols = model.config.model.n_categories
        files = Files.of(run.folder.parent, cell.corpus)
        task = Task(files, train, test, n_symbols, 0, run.config.seed)
        measures["n_symbols"] = n_symbols
        measures["plain"] = {
            name: agreement(method(task)[0], test.labels)
            for name, method in (("tfidf-kmeans", tfidf_k_means), ("h-em", h_em))
        }
    return measures
