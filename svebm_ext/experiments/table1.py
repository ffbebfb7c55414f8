"""Table 1: generation and reconstruction on Penn Treebank, SVEBM and SVEBM-IB beside twelve other systems."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from svebm_ext.config import Changes, Config, EvaluationConfig, SentenceModel, with_changes
from svebm_ext.data.corpora import load_corpus
from svebm_ext.data.corpus import Corpus
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.experiments import table
from svebm_ext.experiments.rows import Budget, Experiment, Place, Results, Row
from svebm_ext.experiments.table import Measure, report_row
from svebm_ext.files import JsonObject, read_json, write_json
from svebm_ext.measures.frequencies import word_frequency_divergence
from svebm_ext.presets import PRESETS, preset
from svebm_ext.provenance import source_version

#: Passes over the training text by budget.
EPOCHS: dict[Budget, int] = {"cpu": 3, "long": 12}
#: Sentences of PTB's training split, which these budgets count their iterations by.
N_TRAIN = 42_068
#: Test sentences whose NLL budget paper also estimates by annealing.
N_ANNEALED = 256
#: Validation sentences of the language model that is trained on real text, as many as of those trained on samples.
N_LANGUAGE_MODEL_VALID = 3000

MEASURES = (
    Measure("rppl", "rPPL", 1, "lower", published=True),
    Measure("bleu", "BLEU", 2, "higher", published=True),
    Measure("wkl", "wKL", 3, "lower", published=True),
    Measure("nll", "NLL", 2, "lower", published=True),
    Measure("mi", "I(z, y)", 2),
)
FURTHER = (
    Measure("ppl", "PPL", 1),
    Measure("elbo", "ELBO", 2),
    Measure("kl", "KL", 2),
    Measure("nll_proposal_scale", "q widened by", 1),
    Measure("nll_annealed", "NLL annealed", 2),
    Measure("nll_of_annealed", "NLL of the same", 2),
    Measure("active_units", "active units", 0),
    Measure("reconstruction_nll", "NLL given z", 2),
    Measure("reconstruction_nll_shuffled", "z shuffled", 2),
    Measure("nll_as_published", "NLL as published", 2),
    Measure("log_z_lower", "log Z lower", 2),
    Measure("log_z_upper", "log Z upper", 2),
    Measure("rppl_as_published", "rPPL as published", 1),
    Measure("rppl_small", "rPPL, small model", 1),  # of kept rows whose rPPL is by the published language model
    Measure("rppl_ancestral_small", "rPPL ancestral, small model", 1),
    Measure("rppl_ancestral", "rPPL ancestral", 1),
    Measure("wkl_ancestral", "wKL ancestral", 3),
    Measure("rppl_aggregate", "rPPL of q's z", 1),
    Measure("wkl_aggregate", "wKL of q's z", 3),
)

#: The paper's Table 1: figures of PUBLISHED by row.
PUBLISHED = tuple(measure.key for measure in MEASURES if measure.published)
PAPER: dict[str, tuple[float | None, float | None, float | None, float | None]] = {
    "rnn-lm": (None, None, None, 101.21),
    "ae": (730.81, 10.88, 0.58, None),
    "vae": (686.18, 3.12, 0.50, 100.85),
    "dae": (797.17, 3.93, 0.58, None),
    "dvae": (744.07, 1.56, 0.55, 101.07),
    "di-vae": (310.29, 4.53, 0.24, 108.90),
    "semi-vae": (494.52, 2.71, 0.43, 100.67),
    "semi-vae-i": (260.28, 5.08, 0.20, 107.30),
    "gm-vae": (983.50, 2.34, 0.72, 99.44),
    "gm-vae-i": (287.07, 6.26, 0.25, 103.16),
    "dgm-vae": (257.68, 8.17, 0.19, 104.26),
    "dgm-vae-i": (247.37, 8.67, 0.18, 105.73),
    "svebm": (180.71, 9.54, 0.17, 95.02),
    "svebm-ib": (177.59, 9.47, 0.16, 94.68),
}
#: Iterations of the prior alone in rows with a second stage.
PRIOR_STEPS = 3000


@dataclass(frozen=True)
class Control:
    """A row that the paper does not have: another row with some options changed.

    Attributes:
        base: the row whose preset it starts from.
        weight: final w, where it is another.
        dropout: of embeddings and decoder outputs, where it is another.
        prior_steps: iterations of the second stage, where they are others.
        prior_stage: in which stage the energy is learnt first, where that is another.
        epochs: passes over the training text of budget 30-epochs, where they are others.
    """

    base: str
    weight: float | None = None
    dropout: float | None = None
    prior_steps: int | None = None
    prior_stage: Literal["joint", "second"] | None = None
    epochs: int | None = None

    def applied(self, config: Config) -> Config:
        """A configuration of the base with the changes, its length except."""
        changes: Changes = {
            "objective": {"kl_weight": self.weight},
            "model": {"embedding_dropout": self.dropout, "output_dropout": self.dropout},
            "training": {"prior_steps": self.prior_steps, "prior_stage": self.prior_stage},
        }
        given = {
            section: {name: value for name, value in options.items() if value is not None}
            for section, options in changes.items()
        }
        return with_changes(config, given)


#: Rows with another final weight w (the SVEBM rows have 0.5, the others 1), with a second stage, or more dropout.
CONTROLS = {
    "vae-w-0.5": Control("vae", weight=0.5),
    "dgm-vae-i-w-0.5": Control("dgm-vae-i", weight=0.5),
    "svebm-two-stage": Control("svebm", prior_steps=PRIOR_STEPS, prior_stage="joint"),
    "svebm-ib-two-stage": Control("svebm-ib", prior_steps=PRIOR_STEPS, prior_stage="joint"),
    "svebm-after-vae": Control("svebm", prior_steps=PRIOR_STEPS, prior_stage="second"),
    "svebm-ib-after-vae": Control("svebm-ib", prior_steps=PRIOR_STEPS, prior_stage="second"),
    "svebm-ib-w-0.25": Control("svebm-ib", weight=0.25),
    "svebm-ib-w-0.25-two-stage": Control("svebm-ib", weight=0.25, prior_steps=PRIOR_STEPS, prior_stage="joint"),
    "svebm-ib-dropout-0.5": Control("svebm-ib", dropout=0.5),
    "svebm-ib-w-0.25-dropout-0.5": Control("svebm-ib", weight=0.25, dropout=0.5),
    "svebm-w-1-dropout-0.5": Control("svebm", weight=1.0, dropout=0.5),
    "svebm-w-1-dropout-0.5-24-epochs": Control("svebm", weight=1.0, dropout=0.5, epochs=24),
    "dgm-vae-i-dropout-0.5": Control("dgm-vae-i", dropout=0.5),
    "rnn-lm-dropout-0.5": Control("rnn-lm", dropout=0.5),
}
#: Below the learning curves.
CURVES = (
    "ae, dae: NLL of the reconstruction. di-vae, rows with I, dgm-vae: bound without the terms that their objective "
    "leaves out."
)
#: Name of the reference row, and the paper's wKL of the test text.
REAL_TEXT, PAPER_TEST_WKL = "real-text", 0.14
REFERENCES = "references.json"


def make_row(name: str, budget: Budget) -> Row:
    """A row of Table 1, or a control.

    Raises:
        ConfigError: its preset is missing.
    """
    control = CONTROLS.get(name)
    config = _preset_of(name if control is None else control.base, joint=_is_joint(budget, control))
    if control is not None:
        config = replace(control.applied(config), preset=f"ptb-{name}")
    config = sized(config, budget)
    if control is not None and control.epochs is not None and budget == "30-epochs":
        steps = control.epochs * math.ceil(N_TRAIN / config.training.batch_size)
        config = replace(config, training=replace(config.training, max_steps=steps))
    paper = dict.fromkeys(PUBLISHED) if control is not None else dict(zip(PUBLISHED, PAPER[name], strict=True))
    return Row(name, config, paper, ("nll",) if control is None and name.startswith("svebm") else ())


def _is_joint(budget: Budget, control: Control | None) -> bool:
    """Whether a row starts from the preset of energy and networks learnt together."""
    return budget in EPOCHS or (control is not None and budget != "30-epochs")


def _preset_of(row: str, *, joint: bool) -> Config:
    """Preset of a row; `joint`: where there is one, that of energy and networks learnt together, as in the paper, and
    for as long as the other systems."""
    name = f"ptb-{row}"
    return preset(f"{name}-joint" if joint and f"{name}-joint" in PRESETS else name)


def sized(config: Config, budget: Budget) -> Config:
    """A preset's configuration at a budget.

    30-epochs: as preset ptb-svebm-ib, whose own budget this is.
    cpu, long: the preset's networks on a shorter schedule. The baselines' sigmoid weight needs thousands of iterations
    to leave 0, so that a linear warm-up over half of the run takes its place; the learning rate falls along a cosine.
    """
    training, objective, evaluation = config.training, config.objective, config.evaluation
    if budget == "paper":
        return replace(
            config,
            evaluation=replace(
                evaluation, language_model="paper", aggregate_posterior=True, annealed_sentences=N_ANNEALED
            ),
        )
    if budget == "30-epochs":
        return _thirty_epochs(config)
    if objective.schedule == "sigmoid":
        objective = replace(objective, schedule="linear", zero_fraction=0.0, ramp_fraction=0.5)
    if budget in EPOCHS:
        epoch = math.ceil(N_TRAIN / training.batch_size)
        return replace(
            config,
            objective=objective,
            optimiser=replace(config.optimiser, schedule="cosine"),
            training=replace(
                training, max_steps=EPOCHS[budget] * epoch, precision="bf16", checkpoint_every=200,
                validate_every=epoch, sample_every=epoch,
            ),
            evaluation=replace(
                evaluation, importance_samples=50, max_sentences=500, frequency_samples=40_000, language_model="fast",
                sample_precision="fast",
            ),
        )  # fmt: skip
    model = SentenceModel.of(config.model)
    return replace(
        config,
        model=replace(
            model, embedding_dim=64, encoder_hidden=64, decoder_hidden=64, prior_hidden=(64,) * len(model.prior_hidden)
        ),
        chains=replace(config.chains, n_chains=max(100, training.batch_size), n_steps=5),
        objective=objective,
        training=replace(
            training, max_steps=20, prior_steps=min(training.prior_steps, 20), checkpoint_every=10, validate_every=10,
            log_every=5, sample_every=0,
        ),
        evaluation=replace(
            evaluation, importance_samples=5, max_sentences=100, frequency_samples=500, log_z_chains=64,
            log_z_temperatures=30, language_model="none",
        ),
    )  # fmt: skip


def _thirty_epochs(config: Config) -> Config:
    """Batches, schedules and choice of the model as those of preset ptb-svebm-ib; the row keeps its second stage."""
    ours = preset("ptb-svebm-ib")
    training = replace(
        ours.training, prior_steps=config.training.prior_steps, prior_stage=config.training.prior_stage, sample_every=0
    )
    objective = replace(config.objective, schedule="linear", zero_fraction=0.0, ramp_fraction=0.25)
    evaluation = replace(
        config.evaluation, importance_samples=50, max_sentences=500, frequency_samples=40_000, annealed_sentences=128,
        annealed_temperatures=200, language_model="paper",
    )  # fmt: skip
    return replace(
        config,
        objective=objective,
        optimiser=replace(config.optimiser, schedule="cosine"),
        training=training,
        evaluation=evaluation,
    )


def reference_rows(
    corpus: Corpus, evaluation: EvaluationConfig, *, device: str = "auto", language_model: bool = True
) -> JsonObject:
    """Measures of real text: what a perfect generator would score.

    `wkl` is KL(word frequencies of the test text || of the training text). `rppl` is the perplexity of the test text
    under the language model that samples are judged by, trained on as many real sentences as there would be samples.

    Args:
        corpus: of the rows.
        evaluation: of the rows.
        device: of the language model: auto, cpu, cuda, or cuda:N.
        language_model: train it, where the settings of the evaluation have one.

    Returns:
        A document as metrics.json, with `null_reasons` and `about`.
    """
    divergence = word_frequency_divergence(corpus.test.sentences, corpus.train.sentences)
    document: JsonObject = {"wkl": divergence.divergence, "wkl_skipped": divergence.n_skipped, "rppl": None}
    counts = {"test sentences": len(corpus.test)}
    reason = {key: "real text has no model to measure" for key in ("nll", "mi")}
    reason["bleu"] = "real text is not reconstructed"
    reason["rppl"] = f"the language model is not trained; --rows {REAL_TEXT} does that"
    if evaluation.language_model == "none":
        language_model, reason["rppl"] = False, "evaluation.language-model is none"
    used = "cpu"
    if language_model:
        from svebm_ext.judges import language_model as judge
        from svebm_ext.training.runtime import Runtime

        settings = {"fast": judge.FAST, "paper": judge.PAPER}[evaluation.language_model]
        n_valid = min(N_LANGUAGE_MODEL_VALID, max(1, evaluation.frequency_samples // 10), len(corpus.valid))
        real = [*corpus.train.sentences[: evaluation.frequency_samples], *corpus.valid.sentences[:n_valid]]
        used = str(Runtime.alone(device).device)
        reverse = judge.reverse_perplexity(
            real, corpus.test.sentences, settings, vocabulary=Vocabulary.build(corpus.train.sentences),
            n_valid=n_valid, seed=0, device=used, say=print,
        )  # fmt: skip
        document["rppl"] = reverse.perplexity
        counts["sentences of the language model"] = len(real) - n_valid
        del reason["rppl"]
    document["null_reasons"] = reason
    document["about"] = {
        "seed": 0, "commit": source_version(), "device": used, "sample_counts": counts, "warnings": []
    }  # fmt: skip
    return document


@functools.lru_cache(maxsize=1)
def _corpus(root: Path | None) -> Corpus:
    """Penn Treebank, read once for all reports of a process."""
    return load_corpus("ptb", root)


def make_references(budget: Budget, place: Place) -> None:
    """Work out the reference rows with the language model, and keep them in OUT."""
    evaluation = make_row("svebm-ib", budget).config.evaluation
    kept = _kept_references(evaluation, place.out)
    if kept is not None and kept["rppl"] is not None:
        return
    document = reference_rows(_corpus(place.root), evaluation, device=place.device)
    write_json(place.out / REFERENCES, {"language_model": evaluation.language_model, REAL_TEXT: document})


def _kept_references(evaluation: EvaluationConfig, out: Path) -> JsonObject | None:
    if not (out / REFERENCES).exists():
        return None
    kept = read_json(out / REFERENCES)
    return kept[REAL_TEXT] if kept.get("language_model") == evaluation.language_model else None


def rows_of_report(results: Results) -> list[JsonObject]:
    """Content of report.json: finished rows in the paper's order, then real text."""
    evaluation = make_row("svebm-ib", results.budget).config.evaluation
    real = _kept_references(evaluation, results.place.out)
    corpus = _corpus(results.place.root)
    if real is None:
        real = reference_rows(corpus, evaluation, language_model=False)
    keys = [measure.key for measure in (*MEASURES, *FURTHER)]
    rows = [report_row(run, document, results.budget, keys, len(corpus.train)) for run, document in results.documents]
    figures = dict.fromkeys(PUBLISHED) | {"wkl": PAPER_TEST_WKL}
    return [*rows, table.reference_row(REAL_TEXT, real, results.budget, keys, figures)]


def notes(budget: Budget) -> list[str]:
    """What a reader has to know beside the numbers."""
    config = make_row("svebm-ib", budget).config
    training, evaluation = config.training, config.evaluation
    prior_steps = make_row("svebm-ib-two-stage", budget).config.training.prior_steps
    sentences = f"{evaluation.max_sentences:,}" if evaluation.max_sentences else "all"
    budgets = {
        "smoke": "Budget smoke: networks of 64 units and 20 iterations, to see that everything runs. The numbers mean "
        "nothing.",
        "30-epochs": "Budget 30-epochs: every row on the schedule of preset ptb-svebm-ib, 30 epochs in batches of 60, "
        "bf16, w rising linearly over the first quarter, cosine learning rate, the last model. Presets ptb-svebm-ib "
        "and ptb-svebm learn a VAE first and its energy afterwards. Controls are named after what they change.",
        "paper": "Budget paper: the presets as they are; controls (*-w-*) are rows with another final w.",
    }
    if budget in EPOCHS:
        budgets[budget] = (
            f"Budget {budget}: the paper's networks on a shorter schedule ({training.max_steps:,} iterations, "
            f"{EPOCHS[budget]} epochs, against the paper's 84,120 and 60), bf16, weight w rising linearly over the "
            "first half of the run in place of the baselines' sigmoid (to 1; to 0.5 in the SVEBM rows; in the controls "
            "to what their name says), cosine learning rate. Rows compare with each other; with the paper's they "
            "compare only as far as so short a training does."
        )
    return [
        budgets[budget],
        f"NLL in nats a sentence: {evaluation.importance_samples} importance samples, {sentences} test sentences, the "
        "upper end of log Z; the samples are of the posterior with its standard deviations times the factor under 'q "
        "widened by'. NLL annealed, where measured: of fewer sentences, beside the usual one of the same. rPPL and "
        f"wKL: {evaluation.frequency_samples:,} sentences decoded greedily from prior samples; language model of rPPL: "
        f"{evaluation.language_model}; ancestral: sampled words instead; of q's z, where measured: greedy words at z "
        "of the encoder, the best that a prior could do. BLEU: greedy reconstructions of all test sentences from the "
        "posterior's centre.",
        "† The paper's NLL of the SVEBM rows is not a likelihood and compares with no other number here: the released "
        "estimate normalises with the posterior samples of each sentence and falls below -log p(x) (docs/math.md).",
        f"*-two-stage: afterwards the prior alone learns for {prior_steps:,} iterations, from z of the encoder; "
        "*-after-vae: only then, after a VAE with w = 0.5 (p(z) = N(0, I)). The training time is without them.",
        f"{REAL_TEXT}: wKL of the test text against the training text (the paper prints 0.14), and the perplexity of "
        "the test text under the same language model trained on real sentences. Both are what a perfect generator "
        "would score.",
        "NLL given z is of sentences at their own z, z shuffled at the z of another sentence of similar length: the "
        "difference is what z is worth to the generator. NLL as published repeats the released estimate, to compare "
        "with the paper's figures marked †, and with nothing else.",
        "In the pictures a point is the mean of the seeds, a bar their range. A diamond is the paper's figure.",
    ]


def report(results: Results) -> list[Path]:
    """Write report.json, report.md and the pictures."""
    return table.write_report(
        "Table 1: Penn Treebank", rows_of_report(results), MEASURES, FURTHER, notes(results.budget), results, CURVES
    )


def show(results: Results) -> None:
    """Print the table."""
    table.print_table(
        f"Table 1, budget {results.budget}: ours, and the paper's beside it", rows_of_report(results), MEASURES
    )


TABLE1 = Experiment(
    title="Table 1, Penn Treebank",
    names=(*PAPER, *CONTROLS),
    make_row=make_row,
    report=report,
    show=show,
    references={REAL_TEXT: make_references},
    budgets=("smoke", "cpu", "long", "30-epochs", "paper"),
)
