"""Proof for text of one's own: eight corpora as a user brings them, each by preset `lines` with all its defaults.

Rows are CORPUS-METHOD for symbols without labels (`banking77-svebm-ib`) and CORPUS-LABELS-METHOD for classes from a
number of labels of each class, or from all (`banking77-5-svebm-ib`, `banking77-all-svebm-ib`). SVEBM-IB stands beside
methods that need no network, on the same files; every row is a command in a process of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

from svebm_ext.config import Changes, with_changes
from svebm_ext.errors import DataError
from svebm_ext.experiments.own_text_data import READERS, Files, write_files
from svebm_ext.experiments.own_text_names import COUNTS, split_name
from svebm_ext.experiments.own_text_report import report
from svebm_ext.experiments.rows import Budget, Experiment, Place, Row, Run
from svebm_ext.files import JsonObject
from svebm_ext.presets import preset

#: Methods that find symbols without labels: plain ones, those trained, and what SVEBM-IB is taught by.
UNLABELLED = ("tfidf-kmeans", "nmf", "vae-kmeans", "h-kmeans", "h-em", "guide", "svebm-ib", "svebm-ib-auto")
#: Methods that learn classes from labels.
LABELLED = ("tfidf-lr", "h-lr", "h-lr-nb-em", "guide", "svebm-ib")
#: Lines of the training and of the test file at most, evenly spread; 0: all.
LIMITS: dict[Budget, tuple[int, int]] = {"smoke": (300, 100), "cpu": (50_000, 0), "long": (0, 0), "paper": (0, 0)}
#: Everything that makes a row but where its files are.
READS = ("preset", "seed", "model.", "chains.", "objective.", "optimiser.", "training.", "evaluation.")

#: Changes that make a VAE of preset lines: no symbols, no energy, nothing that words say.
_VAE: Changes = {
    "model": {"latent": "gaussian", "sentence_features": "none", "n_categories": 1},
    "objective": {
        "mutual_information": 0.0, "pseudo_label_weight": 0.0, "pseudo_labels": "naive_bayes", "label_at": "mean",
    },
    "training": {"prior_steps": 0, "prior_stage": "joint"},
}  # fmt: skip
SMOKE: Changes = {
    "model": {"embedding_dim": 16, "encoder_hidden": 16, "decoder_hidden": 16, "latent_dim": 4, "prior_hidden": (16,)},
    "chains": {"n_chains": 128, "n_steps": 3},
    "training": {"max_steps": 6, "validate_every": 3, "sample_every": 0, "prior_steps": 0, "prior_stage": "joint"},
    "evaluation": {
        "importance_samples": 2, "max_sentences": 20, "frequency_samples": 100, "log_z_chains": 32,
        "log_z_temperatures": 10,
    },
}  # fmt: skip


def make_row(name: str, budget: Budget) -> Row:
    """A row, by its name."""
    corpus, method, labels = split_name(name)
    config = preset("lines-labelled" if labels >= 0 else "lines")
    if method == "vae-kmeans":
        config = with_changes(config, _VAE)
    if budget == "smoke":
        config = with_changes(config, SMOKE)
    make = functools.partial(_make, corpus=corpus, method=method, labels=labels)
    return Row(name, config, make=make, reads=READS, files=functools.partial(train_and_test, corpus=corpus))


def train_and_test(out: Path, corpus: str) -> tuple[Path, Path]:
    """The files of a corpus in the folder of the experiment."""
    files = Files.of(out, corpus)
    return files.train, files.test


def _make(run: Run, corpus: str, method: str, labels: int) -> JsonObject:
    # Not above: the process of a plain row imports this package, and then runs a module that this one needs.
    from svebm_ext.experiments.own_text_runs import Cell, make

    return make(run, Cell(corpus, method, labels))


def prepare(names: Sequence[str], budget: Budget, place: Place) -> dict[str, str]:
    """Write the files of the corpora that rows need; returns why by row whose corpus is not in the data root."""
    reasons: dict[str, str] = {}
    for corpus in READERS:
        own = [name for name in names if split_name(name)[0] == corpus]
        if not own:
            continue
        try:
            write_files(corpus, place.root, place.out, LIMITS[budget])
        except DataError as error:
            reasons |= dict.fromkeys(own, f"unavailable: {error}")
    return reasons


def _names(corpus: str) -> tuple[str, ...]:
    labelled = (f"{corpus}-{count}-{method}" for count in COUNTS for method in LABELLED)
    return (*(f"{corpus}-{method}" for method in UNLABELLED), *labelled)


NAMES = tuple(name for corpus in READERS for name in _names(corpus))


def _groups() -> dict[str, tuple[str, ...]]:
    """Names of rows by corpus, by number of labels, by method."""
    keys = {name: split_name(name) for name in NAMES}
    groups = {corpus: _names(corpus) for corpus in READERS}
    groups["unlabelled"] = tuple(name for name, (_, _, labels) in keys.items() if labels < 0)
    for count, number in COUNTS.items():
        groups[count] = tuple(name for name, (_, _, labels) in keys.items() if labels == number)
    for method in dict.fromkeys((*UNLABELLED, *LABELLED)):
        groups[method] = tuple(name for name, (_, own, _) in keys.items() if own == method)
    return groups


OWN_TEXT = Experiment(
    "text of one's own", NAMES, make_row, report, groups=_groups(), prepare=prepare,
    budgets=("smoke", "cpu", "long", "paper"),
)  # fmt: skip
