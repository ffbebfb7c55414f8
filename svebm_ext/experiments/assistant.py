"""Controls of the default run: what its energy, its symbols and w give on the embedded corpus."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

from svebm_ext.config import Changes, Config, with_changes
from svebm_ext.data.corpora import load_configured
from svebm_ext.evaluation.report import METRICS, read_document
from svebm_ext.experiments import table
from svebm_ext.experiments.rows import Budget, Experiment, Further, Results, Row, Run
from svebm_ext.experiments.table import Measure, report_row
from svebm_ext.files import JsonMapping, JsonObject, read_json, write_json
from svebm_ext.presets import preset

LABEL = "domain_act"
MEASURES = (
    Measure("nll", "NLL", 2, "lower"),
    Measure("reconstruction_nll", "NLL given z", 2, "lower"),
    Measure("bleu", "BLEU", 1, "higher"),
    Measure("wkl", "wKL", 3, "lower"),
    Measure("wkl_ancestral", "wKL, sampled words", 3, "lower"),
    Measure(f"adjusted_mutual_information.{LABEL}", "AMI", 3, "higher"),
    Measure(f"homogeneity.{LABEL}", "homogeneity", 3, "higher"),
    Measure(f"homogeneity_chance.{LABEL}", "by chance", 3),
    Measure("symbols_used", "symbols used", 0),
)
#: NLL of the same networks, by what stands in the place of p(z).
PRIORS = (
    Measure("control.nll_standard", "N(0, I)", 2, "lower"),
    Measure("control.nll_gaussian", "Gaussian", 2, "lower"),
    Measure("control.nll_mixture", "mixture", 2, "lower"),
    Measure("control.components", "its Gaussians", 0),
    Measure("nll", "its own prior", 2, "lower"),
)
FURTHER = (
    *PRIORS,
    Measure("elbo", "ELBO", 2, "higher"),
    Measure("kl", "KL", 2),
    Measure("mi", "I(z, y)", 2),
    Measure("grammar_accept", "accepted by the grammar", 3, "higher"),
    Measure("entropy", "entropy", 2),
    Measure("log_z_lower", "log Z lower", 2),
    Measure("log_z_upper", "log Z upper", 2),
)
#: Changes of the default run by row. SVEBM has no mutual information and no guide of its symbols; the VAE no energy.
_WITHOUT_SYMBOLS: Changes = {
    "objective": {"mutual_information": 0.0, "pseudo_label_weight": 0.0, "label_at": "mean"},
}
ROWS: dict[str, Changes] = {
    "vae": {
        **_WITHOUT_SYMBOLS,
        "model": {"latent": "gaussian"},
        "training": {"prior_steps": 0, "prior_stage": "joint"},
    },
    "svebm": _WITHOUT_SYMBOLS,
    "svebm-ib": {},
    "svebm-ib-w-0.5": {"objective": {"kl_weight": 0.5}},
    "svebm-ib-w-0.25": {"objective": {"kl_weight": 0.25}},
}
#: A row that is made from the networks of `vae`.
K_MEANS = "vae-k-means"
CONTROL = "control.json"


@dataclass(frozen=True)
class ControlSettings:
    """How priors are fitted afterwards.

    Attributes:
        components: numbers of Gaussians that the mixture is chosen from.
        sentences: of the training split, evenly spread, that priors and clusters are fitted to.
        seed: of z, EM and k-means.
    """

    components: tuple[int, ...] = (10, 20, 30, 50)
    sentences: int = 20_000
    seed: int = 0


SETTINGS: dict[Budget, ControlSettings] = {"smoke": ControlSettings((2, 3), 500), "cpu": ControlSettings()}


def make_row(name: str, budget: Budget) -> Row:
    """A row: the default run with some options changed, at a budget."""
    config = with_changes(preset("assistant"), ROWS[name])
    return Row(name, _sized(config) if budget == "smoke" else config)


def _sized(config: Config) -> Config:
    """A few iterations of small networks."""
    changes: Changes = {
        "model": {"embedding_dim": 32, "encoder_hidden": 32, "decoder_hidden": 32, "prior_hidden": (32, 32)},
        "chains": {"n_chains": 200, "n_steps": 5},
        "training": {
            "max_steps": 20, "validate_every": 20, "prior_steps": min(config.training.prior_steps, 10),
            "checkpoint_every": 20, "log_every": 5, "sample_every": 0,
        },
        "evaluation": {
            "importance_samples": 5, "max_sentences": 50, "frequency_samples": 200, "grammar_samples": 50,
            "log_z_chains": 64, "log_z_temperatures": 20,
        },
    }  # fmt: skip
    return with_changes(config, changes)


# Controls of a run ----------------------------------------------------------------------------------------------


class Control(Further):
    """Priors fitted to z of a finished run, and k-means of it: control.json."""

    def __init__(self, budget: Budget) -> None:
        self.settings = SETTINGS[budget]

    def done(self, run: Run) -> bool:
        """Whether there is a control.json of these settings."""
        return kept_control(run.folder, self.settings) is not None

    def work(self, run: Run) -> None:
        """Write control.json."""
        from svebm_ext.experiments.assistant_control import control_document
        from svebm_ext.models.svebm import SVEBM

        model = SVEBM.from_pretrained(run.folder)
        scale = float(read_document(run.folder / METRICS)["nll_proposal_scale"])
        document = control_document(model, load_configured(run.config.data), self.settings, scale)
        write_json(run.folder / CONTROL, document)


def kept_control(folder: Path, settings: ControlSettings) -> JsonObject | None:
    """The content of control.json, where it is of these settings."""
    if not (folder / CONTROL).exists():
        return None
    document: JsonObject = read_json(folder / CONTROL)
    return document if document["settings"] == plain(settings) else None


def plain(settings: ControlSettings) -> JsonObject:
    """Settings as control.json has them."""
    return asdict(settings) | {"components": list(settings.components)}


# Report ---------------------------------------------------------------------------------------------------------


def report_rows(results: Results) -> list[JsonObject]:
    """Content of report.json: finished rows, each with its control, and k-means of the VAE's z below the VAE."""
    settings = SETTINGS[results.budget]
    corpus = load_configured(make_row("svebm-ib", results.budget).config.data)
    keys = [measure.key for measure in (*MEASURES, *FURTHER) if not measure.key.startswith("control.")]
    rows, clustered = [], []
    for run, document in results.documents:
        row = report_row(run, document, results.budget, keys, len(corpus.train))
        control = kept_control(run.folder, settings)
        row["control"] = (
            {} if control is None else {k: v for k, v in control.items() if k not in ("k_means", "settings")}
        )
        _explain_missing_symbols(row)
        for measure in PRIORS[:4]:
            if table.value_of(row, measure.key) is None:
                row["null_reasons"][measure.key] = "no prior was fitted to z of it yet"
        rows.append(row)
        if control is not None and run.row.name == "vae":
            clustered.append(_of_clusters(row, control["k_means"]))
    place = max((number + 1 for number, row in enumerate(rows) if row["row"] == "vae"), default=0)
    return [*rows[:place], *clustered, *rows[place:]]


def _explain_missing_symbols(row: JsonObject) -> None:
    """Where a family has no symbols, each of their measures is missing for the reason that I(z, y) is."""
    if "mi" in row["null_reasons"]:
        for measure in MEASURES[5:]:
            row["null_reasons"][measure.key] = row["null_reasons"]["mi"]


def _of_clusters(row: JsonMapping, k_means: JsonMapping) -> JsonObject:
    """The VAE's row, its symbols clusters of its z."""
    changed = {key: k_means[key] for key in ("adjusted_mutual_information", "homogeneity", "homogeneity_chance")}
    return {**row, **changed, "row": K_MEANS, "symbols_used": k_means["symbols_used"]}


def notes(budget: Budget) -> list[str]:
    """What a reader has to know beside the numbers."""
    return [
        "Budget smoke: small networks and 20 iterations, to see that everything runs. The numbers mean nothing."
        if budget == "smoke"
        else "Every row is the default run, `python -m svebm_ext.train`, with some options changed. svebm-ib is the "
        "default run itself, with w = 1. svebm has neither I(z, y) nor guided symbols. vae has no energy either.",
        "NLL is in nats a sentence, by importance sampling. Under further measures it is given once more for the same "
        "networks and the same samples with another p(z): N(0, I), one Gaussian, or a mixture of Gaussians with full "
        "covariances, fitted to z of the training sentences afterwards. The number of its Gaussians is chosen on "
        "validation data. An energy is worth what it is ahead of the mixture.",
        f"{K_MEANS}: the networks of vae, whose symbols are 24 clusters of mu(x) by k-means. AMI and homogeneity are "
        "of domain and act together; by chance: homogeneity of the same symbols, permuted.",
    ]


def report(results: Results) -> list[Path]:
    """Write report.json, report.md and the learning curves."""
    return table.write_report(
        "The default corpus and its controls", report_rows(results), MEASURES, FURTHER, notes(results.budget), results
    )


def show(results: Results) -> None:
    """Print the table."""
    table.print_table(f"Default corpus, budget {results.budget}", report_rows(results), MEASURES)


ASSISTANT = Experiment(
    title="The default corpus and its controls",
    names=tuple(ROWS),
    make_row=make_row,
    report=report,
    show=show,
    further=Control,
    budgets=("smoke", "cpu"),
)
