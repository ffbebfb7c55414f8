"""What `rate-distortion` reports: a row a prior and weight, energies beside plain priors, and the pictures."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from svebm_ext import plots
from svebm_ext.data.corpora import load_configured
from svebm_ext.errors import ConfigError
from svebm_ext.experiments import table
from svebm_ext.experiments.rate_distortion_rows import (
    CPU_BATCH,
    CPU_UNITS,
    DGM,
    ENERGY,
    ENERGY_IB,
    FAMILIES,
    GAUSSIAN,
    MIXTURE,
    ROWS,
    SETTINGS,
    VAE,
    WEIGHTS,
    families_of,
    kept_priors,
    make_row,
    row_name,
)
from svebm_ext.experiments.rows import Budget, Results
from svebm_ext.experiments.table import Measure, by_name, report_row, value_of
from svebm_ext.files import JsonMapping, JsonObject, write_json, write_whole
from svebm_ext.markdown import table_row

TITLE = "Rate against distortion: Penn Treebank"
MEASURES = (
    Measure("rate", "rate", 2),
    Measure("reconstruction_nll", "distortion", 2, "lower"),
    Measure("elbo", "ELBO", 2, "higher"),
    Measure("nll", "NLL", 2, "lower"),
    Measure("nll_annealed", "NLL annealed", 2, "lower"),
    Measure("nll_annealed_error", "its s.e.", 2),
    Measure("bleu", "BLEU", 2, "higher"),
    Measure("rppl", "rPPL", 1, "lower"),
    Measure("rppl_ancestral", "rPPL, sampled words", 1, "lower"),
    Measure("wkl", "wKL", 3, "lower"),
)
FURTHER = (
    Measure("wkl_ancestral", "wKL, sampled words", 3, "lower"),
    Measure("nll_of_annealed", "NLL of the annealed", 2),
    Measure("annealed_acceptance", "acceptance", 2),
    Measure("nll_proposal_scale", "q widened by", 1),
    Measure("active_units", "active units", 0),
    Measure("components", "Gaussians", 0),
    Measure("log_z_lower", "log Z lower", 2),
    Measure("log_z_upper", "log Z upper", 2),
    Measure("log_z_error", "its s.e.", 3),
    Measure("prior_seconds", "prior, seconds", 0),
)
#: Measures of the networks, which all priors on their z share; the others are of a prior.
OF_NETWORKS = ("reconstruction_nll", "bleu", "nll_proposal_scale", "active_units")
#: Measures of a prior that an energy which is not kept has not.
OF_PRIOR = ("rate", "elbo", "nll", "nll_annealed", "nll_annealed_error", "nll_of_annealed", "annealed_acceptance",
            "rppl", "rppl_ancestral", "wkl", "wkl_ancestral")  # fmt: skip
REASONS = {
    "components": "the prior is no mixture fitted afterwards",
    **dict.fromkeys(("log_z_lower", "log_z_upper", "log_z_error"), "the prior is normalised"),
}
DISTORTIONS, SAMPLES = "plots/distortion.png", "plots/samples.png"
#: Standard errors by which two priors differ where they are not said to tie.
TOLD_APART = 2.0
BY_SENTENCE = "annealed_by_sentence"
#: Energies, and the plain priors that they are set beside.
ENERGIES, PLAIN = (ENERGY_IB, ENERGY), (VAE, GAUSSIAN, MIXTURE)


# Rows -----------------------------------------------------------------------------------------------------------


def report_rows(results: Results) -> list[JsonObject]:
    """Content of report.json: a row for each prior that is measured, family by family, w from 1 down.

    Beside what other reports have, a row has `family`, `weight`, and the annealed NLL of each sentence.
    """
    settings, keys = SETTINGS[results.budget], [measure.key for measure in (*MEASURES, *FURTHER)]
    rows = []
    for run, document in results.documents:
        corpus, weight = load_configured(run.config.data), ROWS[run.row.name][1]
        kept = kept_priors(run.folder, settings)
        for family in families_of(run):
            if family not in kept:
                continue
            row = report_row(run, _document(document, kept[family]), results.budget, keys, len(corpus.train))
            row |= {"row": row_name(family, weight), "family": family, "weight": float(weight)}
            rows.append(row | {BY_SENTENCE: kept[family][BY_SENTENCE]})
    families = [family for group in FAMILIES.values() for family in group]
    return sorted(rows, key=lambda row: (families.index(row["family"]), -row["weight"]))


def _document(networks: JsonMapping, prior: JsonMapping) -> JsonObject:
    """Measures of a prior in the form of metrics.json."""
    about, reasons = networks["about"], networks["null_reasons"] | REASONS
    if not prior[BY_SENTENCE]:
        reasons |= dict.fromkeys(OF_PRIOR, "the energy is behind N(0, I) on validation data, and is not kept")
    return {
        **{key: networks.get(key) for key in OF_NETWORKS},
        **prior,
        "null_reasons": reasons,
        "about": about | {key: prior[key] for key in ("sample_counts", "warnings")},
    }


# Energies beside plain priors -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """Annealed NLL of an energy less that of another prior on the same z.

    Attributes:
        weight: w of the networks.
        difference: mean over sentences, in nats; below 0 the energy is ahead.
        error: standard error of the mean of the sentences' differences, and of log Z.
    """

    weight: float
    difference: float
    error: float

    @property
    def verdict(self) -> str:
        """`ahead` or `behind` where the energy is by TOLD_APART standard errors, otherwise `level`."""
        if abs(self.difference) <= TOLD_APART * self.error:
            return "level"
        return "ahead" if self.difference < 0 else "behind"

    @property
    def cell(self) -> str:
        """For a table."""
        return f"{self.difference:+.2f} ± {self.error:.2f}"


def compared(rows: Sequence[JsonMapping], energy: str, other: str) -> list[Comparison]:
    """An energy beside another prior at each weight that both are measured at, w from 1 down.

    Differences of several seeds are averaged sentence by sentence, as all are of the same sentences.
    """
    groups = by_name(rows)
    comparisons = []
    for weight in sorted(WEIGHTS, key=float, reverse=True):
        theirs = {row["seed"]: row for row in groups.get(row_name(other, weight), ()) if row[BY_SENTENCE]}
        pairs = [
            (row, theirs[row["seed"]])
            for row in groups.get(row_name(energy, weight), ())
            if row[BY_SENTENCE] and row["seed"] in theirs
        ]
        if not pairs:
            continue
        by_seed = [[a - b for a, b in zip(row[BY_SENTENCE], its[BY_SENTENCE], strict=True)] for row, its in pairs]
        differences = [statistics.fmean(values) for values in zip(*by_seed, strict=True)]
        of_sentences = statistics.stdev(differences) / math.sqrt(len(differences))
        of_log_z = math.hypot(*(value_of(row, "log_z_error") or 0.0 for row, _ in pairs)) / len(pairs)
        comparisons.append(Comparison(float(weight), statistics.fmean(differences), math.hypot(of_sentences, of_log_z)))
    return comparisons


def verdict(comparisons: Sequence[Comparison], energy: str, other: str) -> str:
    """A sentence that says at which weights the energy is ahead of another prior, level with it, or behind."""
    parts = []
    for word in ("ahead", "level", "behind"):
        weights = [f"{one.weight:g}" for one in comparisons if one.verdict == word]
        if weights:
            parts.append(f"{word} at w = {', '.join(weights)}")
    if not parts:
        return f"The energy {energy} and {other} are not both measured yet."
    return f"Beside {other} the energy {energy} is {'; '.join(parts)}."


def comparison_notes(rows: Sequence[JsonMapping]) -> list[str]:
    """The energies beside the plain priors on the same z: a table and a sentence for each of them."""
    columns = [(energy, other) for energy in ENERGIES for other in PLAIN]
    of = {pair: compared(rows, *pair) for pair in columns}
    lines = [table_row(["w", *(f"{energy} less {other}" for energy, other in columns)])]
    lines.append("| --- |" + " ---: |" * len(columns))
    for weight in sorted(WEIGHTS, key=float, reverse=True):
        cells = [next((one.cell for one in of[pair] if one.weight == float(weight)), "–") for pair in columns]
        lines.append(table_row([weight, *cells]))
    told = [verdict(of[energy, other], energy, other) for energy in ENERGIES for other in (MIXTURE, GAUSSIAN)]
    return [
        "Energy less mixture: annealed NLL of an energy minus that of a plain prior on the same z, in nats a sentence. "
        "Below 0 the energy is ahead. After ± stands the standard error of the mean of the paired differences, with "
        "that of log Z.",
        "\n".join(lines),
        f"Two priors are level where they are within {TOLD_APART:g} standard errors. " + " ".join(told),
    ]


# Report ---------------------------------------------------------------------------------------------------------


def notes(budget: Budget) -> list[str]:
    """What a reader has to know beside the numbers."""
    settings, config = SETTINGS[budget], make_row(f"{VAE}-w-1", budget).config
    training = config.training
    budgets = {
        "smoke": "Budget smoke: networks of 64 units and 20 iterations, to see that everything runs. The numbers mean "
        "nothing.",
        "cpu": f"Budget cpu: networks of {CPU_UNITS} units, {training.max_steps:,} iterations in batches of "
        f"{CPU_BATCH} (3 epochs), bf16, w rising linearly over the first half of the run, cosine learning rate.",
        "long": f"Budget long: the paper's networks of 512 units, {training.max_steps:,} iterations in batches of "
        f"{training.batch_size} (12 epochs), bf16, w rising linearly over the first half of the run, cosine rate.",
    }
    sampled = f"{settings.samples:,} samples, language model {settings.language_model}"
    return [
        f"{budgets[budget]} Priors are learnt from z of at most {settings.sentences:,} training sentences, energies in "
        f"{settings.steps:,} iterations. NLL: {settings.importance_samples} importance samples of "
        f"{settings.max_sentences} test sentences. NLL annealed: {settings.annealed_sentences} of these, "
        f"{settings.annealed_chains} chains, {settings.annealed_temperatures} temperatures. rPPL and wKL: {sampled}.",
        f"For each w there are two trainings of networks. On z of the VAE stand five priors. Three are plain: N(0, I) "
        f"({VAE}), a Gaussian ({GAUSSIAN}), and a mixture of Gaussians with full covariances ({MIXTURE}). The number "
        f"of its Gaussians is chosen on validation data. Two are energies, learnt on the frozen z with lambda 0 "
        f"({ENERGY}) or 5 ({ENERGY_IB}) on a Gaussian with the mean and covariance "
        "of z. One that is behind N(0, I) on validation data is not kept, and not measured. "
        f"The rows {DGM} have networks and a prior of their own.",
        "Rate: KL of q(z|x) to the prior, in nats a sentence, with the upper end of log Z. Distortion: NLL given z of "
        "q(z|x). ELBO is minus their sum. All rows are of the same test sentences; distortion and BLEU are of the "
        "networks, the same for five priors. Its s.e.: over sentences, which differ in length; priors compare by "
        "their paired differences, below.",
    ]


def report(results: Results) -> list[Path]:
    """Write report.json, report.md and the pictures."""
    out, rows = results.place.out, report_rows(results)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / table.REPORT_JSON, rows)
    told = [*notes(results.budget), *(comparison_notes(rows) if rows else [])]
    try:
        pictures = [*draw(rows, out), *table.draw(rows, MEASURES, results)]
    except ConfigError as error:
        pictures, told = [], [*told, f"No pictures: {error}."]
    relative = [path.relative_to(out).as_posix() for path in pictures]
    write_whole(out / table.REPORT, table.render(TITLE, rows, MEASURES, FURTHER, told, results, relative))
    return [out / table.REPORT, out / table.REPORT_JSON, *pictures]


def draw(rows: Sequence[JsonMapping], out: Path) -> list[Path]:
    """Distortion and annealed NLL, then samples and reconstructions, each against the rate; none without rows.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    if not rows:
        return []
    titles = {
        "reconstruction_nll": "distortion (nats a sentence)",
        "nll_annealed": "annealed NLL (nats a sentence)",
        "rppl": "rPPL, most probable words",
        "rppl_ancestral": "rPPL, sampled words",
        "bleu": "BLEU of reconstructions",
    }
    pictures = []
    for name, keys in (
        (DISTORTIONS, ("reconstruction_nll", "nll_annealed")),
        (SAMPLES, ("rppl", "rppl_ancestral", "bleu")),
    ):
        panels = [plots.TradeOff(titles[key], lines_of(rows, key), key.startswith("rppl")) for key in keys]
        caption = CAPTION
        if name == DISTORTIONS:
            caption += f" On the right {GAUSSIAN} does."
            panels.append(plots.TradeOff("annealed NLL less that of N(0, I), the same z", leads_of(rows)))
        panels = [panel for panel in panels if panel.lines]
        if panels:
            picture = out / name
            pictures.append(plots.trade_offs(panels, picture, x="rate (nats a sentence)", caption=caption))
    return pictures


CAPTION = f"Along a line w falls; {VAE} and {DGM} show its value."


def lines_of(rows: Sequence[JsonMapping], key: str) -> dict[str, list[plots.Point]]:
    """Points of each family, the mean of its seeds at each w, against its rate."""
    lines: dict[str, list[plots.Point]] = {}
    for seeds in by_name(rows).values():
        pairs = [
            (rate, value)
            for row in seeds
            if (rate := value_of(row, "rate")) is not None and (value := value_of(row, key)) is not None
        ]
        if not pairs:
            continue
        family, weight = seeds[0]["family"], seeds[0]["weight"]
        x, y = (statistics.fmean(column) for column in zip(*pairs, strict=True))
        label = f"{weight:g}" if family in (VAE, DGM) else ""
        lines.setdefault(family, []).append(plots.Point(x, y, label))
    return lines


def leads_of(rows: Sequence[JsonMapping]) -> dict[str, list[plots.Point]]:
    """Annealed NLL of the other priors on z of the VAE less that of N(0, I), against their rates."""
    lines: dict[str, list[plots.Point]] = {}
    groups = by_name(rows)
    for family in FAMILIES[VAE][1:]:
        for one in compared(rows, family, VAE):
            seeds = groups[row_name(family, f"{one.weight:g}")]
            rate = statistics.fmean(row["rate"] for row in seeds)
            label = f"{one.weight:g}" if family == GAUSSIAN else ""
            lines.setdefault(family, []).append(plots.Point(rate, one.difference, label))
    return lines


def show(results: Results) -> None:
    """Print the table."""
    table.print_table(f"{TITLE}, budget {results.budget}", report_rows(results), MEASURES)
