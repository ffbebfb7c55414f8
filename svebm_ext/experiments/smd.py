"""Tables 3 to 5: responses in Stanford multi-domain dialogs, SVEBM-IB beside two baselines; its actions and choices."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from pathlib import Path

from svebm_ext.config import Config, DialogModel
from svebm_ext.data.corpora import load_corpus
from svebm_ext.evaluation.report import ACTIONS, RESPONSES
from svebm_ext.experiments import table
from svebm_ext.experiments.rows import Budget, Experiment, Results, Row
from svebm_ext.experiments.table import Measure, report_row
from svebm_ext.files import JsonObject, write_whole
from svebm_ext.presets import preset

#: Passes over the training dialogs of the budget `cpu`.
EPOCHS_CPU = 20
#: Turns of SMD's training split, which the budget `cpu` counts its iterations by.
N_TRAIN = 12_713

MEASURES = (
    Measure("response_bleu", "BLEU", 2, "higher", published=True),
    Measure("response_average", "average", 2, "higher", published=True),
    Measure("response_extrema", "extrema", 2, "higher", published=True),
    Measure("response_greedy", "greedy", 2, "higher", published=True),
    Measure("response_bleu_without_speakers", "BLEU without speakers", 2, "higher"),
    Measure("consensus_bleu", "BLEU, consensus", 2, "higher"),
    Measure("bleu", "BLEU, reconstruction", 2, "higher"),
    Measure("mi", "I(z, y)", 2),
)
FURTHER = (
    Measure("consensus_bleu_without_speakers", "consensus: BLEU without speakers", 2),
    Measure("consensus_average", "consensus: average", 2),
    Measure("consensus_extrema", "consensus: extrema", 2),
    Measure("consensus_greedy", "consensus: greedy", 2),
    Measure("bleu_without_speakers", "reconstruction: BLEU without speakers", 2),
    Measure("reconstruction_average", "reconstruction: average", 2),
    Measure("reconstruction_extrema", "reconstruction: extrema", 2),
    Measure("reconstruction_greedy", "reconstruction: greedy", 2),
    Measure("reconstruction_nll", "NLL given z", 2),
    Measure("reconstruction_nll_shuffled", "z shuffled", 2),
    Measure("kl", "KL", 2),
    Measure("active_units", "active units", 0),
    Measure("symbols_used", "symbols used", 0),
    Measure("homogeneity.domain", "domain", 3),
    Measure("homogeneity_chance.domain", "domain, chance", 3),
    Measure("homogeneity.speaker", "speaker", 3),
    Measure("homogeneity_chance.speaker", "speaker, chance", 3),
)
#: Measures of the overview of all results.
INDEXED = (*MEASURES[:4], MEASURES[5])
#: The paper's Table 3: figures of PUBLISHED by row.
PUBLISHED = tuple(measure.key for measure in MEASURES if measure.published)
PAPER = {
    "di-vae": (7.06, 76.17, 43.98, 60.92),
    "dgm-vae-i": (10.16, 78.93, 48.14, 64.87),
    "svebm-ib": (12.01, 80.88, 51.35, 67.12),
}
#: Pages of the row svebm-ib that are kept beside the report, by their name there.
PAGES = {"table4.md": ACTIONS, "table5.md": RESPONSES}


def make_row(name: str, budget: Budget) -> Row:
    """A row of Table 3.

    Raises:
        ConfigError: its preset is missing.
    """
    config = preset(f"smd-{name}")
    return Row(name, sized(config, budget), dict(zip(PUBLISHED, PAPER[name], strict=True)))


def sized(config: Config, budget: Budget) -> Config:
    """A preset's configuration at a budget.

    cpu: the preset's networks on a shorter schedule, in bf16. The baselines' sigmoid weight needs thousands of
    iterations to leave 0, so that a linear warm-up over half of the run takes its place; cycles are two.
    """
    training, objective = config.training, config.objective
    if budget == "paper":
        return config
    if objective.schedule == "sigmoid":
        objective = replace(objective, schedule="linear", zero_fraction=0.0, ramp_fraction=0.5)
    objective = replace(objective, n_cycles=2)
    if budget == "cpu":
        epoch = math.ceil(N_TRAIN / training.batch_size)
        return replace(
            config,
            objective=objective,
            training=replace(
                training, max_steps=EPOCHS_CPU * epoch, precision="bf16", checkpoint_every=epoch, validate_every=epoch,
                sample_every=epoch,
            ),
        )  # fmt: skip
    return replace(
        config,
        model=replace(
            DialogModel.of(config.model), embedding_dim=32, encoder_hidden=32, decoder_hidden=32,
            prior_hidden=(32, 32), context_hidden=16, context_dim=32, context_map=16,
        ),
        chains=replace(config.chains, n_steps=5),
        objective=objective,
        training=replace(training, max_steps=20, checkpoint_every=10, validate_every=10, log_every=5, sample_every=0),
        evaluation=replace(config.evaluation, response_samples=4),
    )  # fmt: skip


@functools.lru_cache(maxsize=1)
def _n_train(root: Path | None) -> int:
    return len(load_corpus("smd", root).train)


def rows_of_report(results: Results) -> list[JsonObject]:
    """Content of report.json: finished rows in the paper's order."""
    keys = [measure.key for measure in (*MEASURES, *FURTHER)]
    n_train = _n_train(results.place.root)
    return [report_row(run, document, results.budget, keys, n_train) for run, document in results.documents]


def notes(budget: Budget) -> list[str]:
    """What a reader has to know beside the numbers."""
    training = make_row("svebm-ib", budget).config.training
    budgets = {
        "smoke": "Budget smoke: networks of 32 units and 20 iterations, to see that everything runs. The numbers mean "
        "nothing.",
        "cpu": f"Budget cpu: the presets' networks on a shorter schedule ({training.max_steps:,} iterations, "
        f"{EPOCHS_CPU} epochs, against the released 42,400 and 100), bf16.",
        "paper": "Budget paper: the presets as they are.",
    }
    return [
        budgets[budget],
        "Every turn of the test dialogs, of either speaker, is a response to the up to five turns before it. The four "
        "measures that stand beside the paper's are of responses decoded greedily at one sample of the prior given the "
        "context: its program computes those of word vectors on them alone, and BLEU on them and on reconstructions, "
        "without saying which of the two Table 3 prints. BLEU counts the mark of the speaker, the first word of every "
        "turn, as the program does; without speakers it is left out of both sides. "
        "The consensus is, of greedy responses at several samples of the prior given the context, "
        "the one that shares most words and pairs of words with the others. A reconstruction is decoded at the "
        "posterior's centre, which has seen the response.",
        "Word vectors: GloVe, 6 billion words, 50 numbers; the vectors behind the paper's figures are not published "
        "with its program, and other vectors give other levels. Tokens are this package's, in their own case.",
        "The baselines get the context through encoder and decoder alone: their prior does not depend on it.",
        "NLL given z is of responses at their own z, z shuffled at the z of another response of similar length: the "
        "difference is what z is worth to the generator beside the context.",
        "Domain and speaker: homogeneity of the symbols against these labels, and that of the same symbols permuted.",
        "Actions that svebm-ib finds are in table4.md, its responses under different symbols in table5.md.",
    ]


def report(results: Results) -> list[Path]:
    """Write report.json, report.md, the pictures, and the pages of Tables 4 and 5."""
    title = "Table 3: Stanford multi-domain dialogs"
    paths = table.write_report(title, rows_of_report(results), MEASURES, FURTHER, notes(results.budget), results)
    run = next((run for run, _ in results.documents if run.row.name == "svebm-ib"), None)
    for name, page in PAGES.items():
        if run is not None and (run.folder / page).exists():
            write_whole(results.place.out / name, (run.folder / page).read_text(encoding="utf-8"))
            paths.append(results.place.out / name)
    return paths


def show(results: Results) -> None:
    """Print the table."""
    title = f"Table 3, budget {results.budget}: ours, and the paper's beside it"
    table.print_table(title, rows_of_report(results), MEASURES)


TABLE3 = Experiment(
    title="Tables 3-5, Stanford multi-domain dialogs",
    names=tuple(PAPER),
    make_row=make_row,
    report=report,
    show=show,
)
