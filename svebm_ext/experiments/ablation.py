"""What makes SVEBM-IB learn: one setting changed at a time, at a small fixed budget on Penn Treebank.

All rows have the same encoder and decoder (256 units), the same batches, learning rates and one pass over the training
text. Differences of a row to `svebm-ib` say what its setting does at this length of training, for one seed each.
"""

from __future__ import annotations

import functools
from dataclasses import replace
from pathlib import Path

from svebm_ext.config import ChainConfig, Changes, Config, ObjectiveConfig, SentenceModel, with_changes
from svebm_ext.data.corpora import load_corpus
from svebm_ext.experiments import table
from svebm_ext.experiments.rows import Budget, Experiment, Results, Row
from svebm_ext.experiments.table import Measure, report_row
from svebm_ext.files import JsonObject
from svebm_ext.presets import preset

_WITHOUT = {"objective": {"mutual_information": 0.0}}
#: The same networks with N(0, I) as prior: a VAE.
_STANDARD_PRIOR = {"model": {"latent": "gaussian"}}
_FAST_PRIOR = {"optimiser": {"prior_learning_rate": 1e-3}}
#: Few chains, all of them advanced at each iteration.
_WHOLE_BANK = {"n_chains": 256, "per_iteration": 256}

#: What each row changes in `svebm-ib`: options by section.
CHANGES: dict[str, Changes] = {
    "svebm-ib": {},
    "free-bits-1": {"objective": {"free_bits": 1.0}},
    "w-0.5": {"objective": {"kl_weight": 0.5}},
    "w-0.25": {"objective": {"kl_weight": 0.25}},
    "w-0.1": {"objective": {"kl_weight": 0.1}},
    "cyclical": {"objective": {"schedule": "cyclical", "n_cycles": 4, "zero_fraction": 0.25}},
    "lambda-1": {"objective": {"mutual_information": 1.0}},
    "lambda-1-w-0.5": {"objective": {"mutual_information": 1.0, "kl_weight": 0.5}},
    "lambda-1-w-0.25": {"objective": {"mutual_information": 1.0, "kl_weight": 0.25}},
    "mi-off-encoder": {"objective": {"mutual_information_encoder": False}},
    "mi-off-encoder-w-0.5": {"objective": {"mutual_information_encoder": False, "kl_weight": 0.5}},
    "mi-off-encoder-w-0.25": {"objective": {"mutual_information_encoder": False, "kl_weight": 0.25}},
    "mi-off-encoder-w-0.1": {"objective": {"mutual_information_encoder": False, "kl_weight": 0.1}},
    "moving-marginal-0.9": {"objective": {"marginal_momentum": 0.9}},
    "bag-of-words": {"objective": {"bag_of_words": 1.0}},
    "word-dropout-0.3": {"model": {"word_dropout": 0.3}},
    "short-run": {"chains": {"mode": "short_run"}},
    "steps-10": {"chains": {"n_steps": 10}},
    "restarts-0": {"chains": {"restart_fraction": 0.0}},
    "restarts-0.2": {"chains": {"restart_fraction": 0.2}},
    "bank-256": {"chains": _WHOLE_BANK},
    "penalty-0.005": {"objective": {"energy_penalty": 0.005}},
    "penalty-0.02": {"objective": {"energy_penalty": 0.02}},
    "prior-rate-1e-3": _FAST_PRIOR,
    "prior-rate-1e-3-short-run": {**_FAST_PRIOR, "chains": {"mode": "short_run"}},
    "prior-rate-1e-3-lambda-50": {**_FAST_PRIOR, "objective": {"mutual_information": 50.0}},
    "svebm": _WITHOUT,
    "svebm-w-0.5": {"objective": {"mutual_information": 0.0, "kl_weight": 0.5}},
    "svebm-free-bits-1": {"objective": {"mutual_information": 0.0, "free_bits": 1.0}},
    "svebm-short-run": {**_WITHOUT, "chains": {"mode": "short_run"}},
    "svebm-bank-256": {**_WITHOUT, "chains": _WHOLE_BANK},
    "svebm-prior-rate-1e-3-penalty-0.005": {
        **_FAST_PRIOR, "objective": {"mutual_information": 0.0, "energy_penalty": 0.005},
    },
    "vae": {**_WITHOUT, **_STANDARD_PRIOR},
    "vae-w-0.5": {"objective": {"mutual_information": 0.0, "kl_weight": 0.5}, **_STANDARD_PRIOR},
    "vae-w-0.25": {"objective": {"mutual_information": 0.0, "kl_weight": 0.25}, **_STANDARD_PRIOR},
    "vae-w-0.1": {"objective": {"mutual_information": 0.0, "kl_weight": 0.1}, **_STANDARD_PRIOR},
}  # fmt: skip
MEASURES = (
    Measure("nll", "NLL", 2, "lower"),
    Measure("reconstruction_nll", "NLL given z", 2, "lower"),
    Measure("reconstruction_nll_shuffled", "z shuffled", 2),
    Measure("kl", "KL to N(0, I)", 2),
    Measure("log_z_upper", "log Z", 2),
    Measure("mi", "I(z, y)", 2, "higher"),
    Measure("symbols_used", "symbols used", 0),
    Measure("bleu", "BLEU", 2, "higher"),
    Measure("wkl", "wKL", 3, "lower"),
    Measure("wkl_ancestral", "wKL ancestral", 3, "lower"),
)
FURTHER = (
    Measure("elbo", "ELBO", 2),
    Measure("log_z_lower", "log Z lower", 2),
    Measure("chains_r_hat", "R-hat", 2),
    Measure("nll_ess", "NLL samples", 1),
    Measure("active_units", "active units", 0),
)
NOTES = (
    "One seed a row: differences of some tenths of a nat or point are within what another seed gives. NLL: 400 test "
    "sentences, 50 importance samples, the upper end of log Z. wKL: 10,000 samples.",
    "z shuffled: NLL given the z of another sentence of similar length; less NLL given z, it is what z is worth to the "
    "generator.",
)


def base() -> Config:
    """SVEBM-IB of Table 1 at the small fixed budget."""
    config = preset("ptb-svebm-ib-joint")
    return replace(
        config,
        model=replace(SentenceModel.of(config.model), embedding_dim=256, encoder_hidden=256, decoder_hidden=256),
        chains=ChainConfig(n_chains=1000, n_steps=40),
        # Where the search began; the preset is the row "mi-off-encoder-w-0.5" with smaller steps.
        objective=ObjectiveConfig(mutual_information=5.0, schedule="linear", zero_fraction=0.0, ramp_fraction=0.5),
        optimiser=replace(config.optimiser, learning_rate=2e-3, prior_learning_rate=3e-4, schedule="cosine"),
        training=replace(
            config.training, batch_size=64, max_steps=700, validate_every=350, checkpoint_every=350, sample_every=0,
            precision="bf16",
        ),
        evaluation=replace(
            config.evaluation, importance_samples=50, max_sentences=400, frequency_samples=10_000, log_z_chains=500,
            log_z_temperatures=300, sample_precision="fast",
        ),
    )  # fmt: skip


def make_row(name: str, budget: Budget) -> Row:
    """A row of the ablation; it has one fixed budget, beside `smoke`."""
    config = with_changes(base(), CHANGES[name])
    if budget == "smoke":
        config = replace(
            config,
            model=replace(SentenceModel.of(config.model), embedding_dim=32, encoder_hidden=32, decoder_hidden=32),
            training=replace(config.training, max_steps=4, validate_every=4),
            evaluation=replace(
                config.evaluation, importance_samples=2, max_sentences=50, frequency_samples=100, log_z_chains=32,
                log_z_temperatures=10,
            ),
        )  # fmt: skip
    return Row(name, config)


@functools.lru_cache(maxsize=1)
def _n_train(root: Path | None) -> int:
    return len(load_corpus("ptb", root).train)


def rows_of_report(results: Results) -> list[JsonObject]:
    """Content of report.json."""
    keys = [measure.key for measure in (*MEASURES, *FURTHER)]
    n_train = _n_train(results.place.root)
    return [report_row(run, document, results.budget, keys, n_train) for run, document in results.documents]


def report(results: Results) -> list[Path]:
    """Write report.json, report.md and the learning curves."""
    title = "Ablation of SVEBM-IB on Penn Treebank, 256 units, one pass over the training text"
    return table.write_report(title, rows_of_report(results), MEASURES, FURTHER, NOTES, results)


def show(results: Results) -> None:
    """Print the table."""
    table.print_table("Ablation on Penn Treebank", rows_of_report(results), MEASURES)


ABLATION = Experiment(
    title="what makes SVEBM-IB learn, on Penn Treebank",
    names=tuple(CHANGES),
    make_row=make_row,
    report=report,
    show=show,
    budgets=("smoke", "cpu"),
)
