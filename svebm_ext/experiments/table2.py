"""Table 2: symbols and reconstruction on the utterances of DailyDialog, SVEBM and SVEBM-IB beside seven other systems.

Beside the models stand codes that need none. A question mark alone agrees better with dialogue acts than symbols did in
any published figure over the whole test set.
"""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from pathlib import Path

from svebm_ext.config import Config
from svebm_ext.data.corpora import load_corpus
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.experiments import table, table1
from svebm_ext.experiments.rows import Budget, Experiment, Place, Results, Row
from svebm_ext.experiments.table import Measure, report_row
from svebm_ext.files import JsonObject, read_json, write_json
from svebm_ext.presets import preset
from svebm_ext.provenance import source_version

#: Passes over the training utterances of the budget `cpu`, and its batch: I(z, y) of a batch of 30 is at most 3.4 nats.
EPOCHS_CPU, BATCH_CPU = 2, 64
#: Utterances of the training split, which the budget `cpu` counts its iterations by.
N_TRAIN = 87_170
#: Training utterances that references of the budget `smoke` are made from, and their clusters.
N_SMOKE, CLUSTERS_SMOKE = 2000, 20
#: As many clusters as SVEBM has symbols and the discrete baselines joint codes.
N_CLUSTERS = 125
#: Codes that need no model, by name of their row; `table2_codes` makes them.
CODES = ("question-mark", "last-punctuation", "first-word", "k-means", "supervised")

MEASURES = (
    Measure("mi", "I(z, y)", 2, published=True),
    Measure("bleu", "BLEU", 2, "higher", published=True),
    Measure("homogeneity.act", "act", 3, "higher", published=True),
    Measure("homogeneity.emotion", "emotion", 3, "higher", published=True),
    Measure("homogeneity_chance.act", "act by chance", 3),
    Measure("homogeneity_chance.emotion", "emotion by chance", 3),
    Measure("adjusted_mutual_information.act", "AMI act", 3, "higher"),
    Measure("adjusted_mutual_information.emotion", "AMI emotion", 3, "higher"),
    Measure("information_beyond_question_mark.act", "act beyond ?", 3, "higher"),
    Measure("information_beyond_question_mark_chance.act", "by chance", 3),
)
FURTHER = (
    Measure("information_beyond_question_mark_share.act", "share beyond ?", 3),
    Measure("information_beyond_question_mark.emotion", "emotion beyond ?", 3),
    Measure("information_beyond_question_mark_chance.emotion", "by chance", 3),
    Measure("v_measure.act", "V act", 3),
    Measure("v_measure.emotion", "V emotion", 3),
    Measure("completeness.act", "completeness act", 3),
    Measure("completeness.emotion", "completeness emotion", 3),
    Measure("homogeneity_per_batch_as_published.act", "act as published", 2),
    Measure("homogeneity_per_batch_as_published.emotion", "emotion as published", 2),
    Measure("symbols_used", "symbols used", 0),
    Measure("marginal_entropy", "H(y)", 2),
    Measure("nll", "NLL", 2),
    Measure("elbo", "ELBO", 2),
    Measure("kl", "KL", 2),
    Measure("reconstruction_nll", "NLL given z", 2),
    Measure("reconstruction_nll_shuffled", "z shuffled", 2),
    Measure("active_units", "active units", 0),
    Measure("log_z_lower", "log Z lower", 2),
    Measure("log_z_upper", "log Z upper", 2),
    Measure("wkl", "wKL", 3),
)

#: The paper's Table 2: figures of PUBLISHED by row.
PUBLISHED = tuple(measure.key for measure in MEASURES if measure.published)
PAPER: dict[str, tuple[float, float, float, float]] = {
    "di-vae": (1.20, 3.05, 0.18, 0.09),
    "semi-vae": (0.03, 4.06, 0.02, 0.08),
    "semi-vae-i": (1.21, 3.69, 0.21, 0.14),
    "gm-vae": (0.00, 2.03, 0.08, 0.02),
    "gm-vae-i": (1.41, 2.96, 0.19, 0.09),
    "dgm-vae": (0.53, 7.63, 0.11, 0.09),
    "dgm-vae-i": (1.32, 7.39, 0.23, 0.16),
    "svebm": (0.01, 11.16, 0.03, 0.01),
    "svebm-ib": (2.42, 10.04, 0.59, 0.56),
}
#: Below the learning curves.
CURVES = "di-vae, rows with I, dgm-vae: bound without the terms that their objective leaves out."
REFERENCES = "references.json"
NOTES = (
    "act, emotion: homogeneity of symbol and label, 1 - H(label | symbol) / H(label), over the whole test set; by "
    "chance: the same of permuted symbols, mean of 20 permutations. AMI: adjusted mutual information, 0 by chance "
    "however many symbols there are. A sentence's symbol is the most probable one at the posterior's centre; of three "
    "discrete variables, the triple. I(z, y): nats, over the whole test set; of three variables, the sum. BLEU: greedy "
    "reconstructions from the posterior's centre.",
    "† The paper's homogeneity of the SVEBM rows is a mean over batches of 30, in which codes that have nothing to do "
    "with the labels score above .5 if many are in use. It compares with no other number here; act and emotion as "
    "published, below, are such means.",
    "act beyond ?: I(symbol; act | whether the utterance has a question mark), nats; by chance: of symbols permuted "
    "among the utterances that have one, and among those that have none. A model that has found question marks and "
    "nothing else is at chance here.",
    "svebm-ib: halfway through the run its symbols become clusters of mu(x), found by k-means without labels; learning "
    "goes on from them.",
    "Rows that are no model: question-mark, whether there is one; last-punctuation, the last of . ? !; first-word, "
    "the eight most frequent first words and others, times last mark, times class of length; k-means, 125 clusters "
    "on TF-IDF of words and pairs and a truncated SVD; supervised, predictions of a logistic regression on TF-IDF, one "
    "for each label, that was shown the training labels: what the words of a single utterance tell.",
)


def make_row(name: str, budget: Budget) -> Row:
    """A row of Table 2."""
    config = preset(f"dailydialog-{name}")
    incomparable = ("homogeneity.act", "homogeneity.emotion") if name.startswith("svebm") else ()
    return Row(name, sized(config, budget), dict(zip(PUBLISHED, PAPER[name], strict=True)), incomparable)


def sized(config: Config, budget: Budget) -> Config:
    """A preset's configuration at a budget; those of Table 1, with larger batches and fewer samples in `cpu`."""
    if budget == "paper":
        return config
    config = table1.sized(config, budget)
    if budget == "smoke":
        return config
    epoch = math.ceil(N_TRAIN / BATCH_CPU)
    return replace(
        config,
        optimiser=replace(config.optimiser, learning_rate=2e-3),
        training=replace(
            config.training, batch_size=BATCH_CPU, max_steps=EPOCHS_CPU * epoch, validate_every=math.ceil(epoch / 4),
            sample_every=epoch,
        ),
        evaluation=replace(config.evaluation, frequency_samples=4000, language_model="none"),
    )  # fmt: skip


@functools.lru_cache(maxsize=1)
def _corpus(root: Path | None) -> Corpus:
    """DailyDialog, read once for all reports of a process."""
    return load_corpus("daily-dialog", root)


# References ----------------------------------------------------------------------------------------------------


def reference_document(name: str, corpus: Corpus, budget: Budget) -> JsonObject:
    """Measures of a row of CODES on the test utterances: a document as metrics.json.

    Args:
        name: of the row.
        corpus: whose training split fits what has to be fitted.
        budget: `smoke` takes few training utterances, and few clusters.
    """
    train, n_clusters = corpus.train, N_CLUSTERS
    if budget == "smoke":
        rows = slice(N_SMOKE)
        train = Split(train.sentences[rows], {label: values[rows] for label, values in train.labels.items()})
        n_clusters = min(CLUSTERS_SMOKE, len(train))
    nothing = "a code of sentences, not a model"
    from svebm_ext.experiments.table2_codes import AGREEMENTS

    return {
        **AGREEMENTS[name](train, corpus.test, n_clusters),
        "null_reasons": {"mi": nothing, "bleu": nothing},
        "about": {
            "seed": 0,
            "commit": source_version(),
            "device": "cpu",
            "sample_counts": {"test sentences": len(corpus.test)},
            "warnings": [],
        },
    }


def make_reference(name: str, budget: Budget, place: Place) -> None:
    """Work out a row of CODES, and keep it in OUT."""
    kept = _kept_references(budget, place)
    if name not in kept:
        kept[name] = reference_document(name, _corpus(place.root), budget)
        write_json(place.out / REFERENCES, {"smoke": budget == "smoke", **kept})


def _kept_references(budget: Budget, place: Place) -> JsonObject:
    """Documents by name; those of `smoke`, which are made from less, do not serve other budgets."""
    path = place.out / REFERENCES
    kept = read_json(path) if path.exists() else {}
    smoke = kept.pop("smoke", None)
    return kept if smoke == (budget == "smoke") else {}


# Report --------------------------------------------------------------------------------------------------------


def rows_of_report(results: Results) -> list[JsonObject]:
    """Content of report.json: finished rows in the paper's order, then codes that need no model."""
    keys = [measure.key for measure in (*MEASURES, *FURTHER)]
    n_train = len(_corpus(results.place.root).train)
    rows = [report_row(run, document, results.budget, keys, n_train) for run, document in results.documents]
    kept = _kept_references(results.budget, results.place)
    figures = dict.fromkeys(PUBLISHED)
    return rows + [
        table.reference_row(name, kept[name], results.budget, keys, figures) for name in CODES if name in kept
    ]


def notes(budget: Budget, verbatim: float) -> list[str]:
    """What a reader has to know beside the numbers.

    Args:
        budget: of the rows.
        verbatim: share of the test utterances that occur in training.
    """
    config = make_row("svebm-ib", budget).config
    training, evaluation = config.training, config.evaluation
    sentences = f"{evaluation.max_sentences:,}" if evaluation.max_sentences else "all"
    budgets = {
        "smoke": "Budget smoke: networks of 64 units and 20 iterations, to see that everything runs. The numbers mean "
        "nothing.",
        "cpu": f"Budget cpu: the presets' networks on a shorter schedule ({training.max_steps:,} iterations of "
        f"{training.batch_size} utterances, {EPOCHS_CPU} epochs, against the paper's 87,150 of 30), bf16, weight w "
        "rising linearly over the first half of the run in place of the baselines' sigmoid, cosine learning rate from "
        "2e-3. Rows compare with each other; with the paper's they compare only as far as so short a training does.",
        "paper": "Budget paper: the presets as they are.",
    }
    return [
        budgets[budget],
        *NOTES,
        f"The model that is measured is that of the lowest validation bound (a validation every "
        f"{training.validate_every:,} iterations). The bound holds neither I(z, y) nor any label.",
        f"NLL: {evaluation.importance_samples} importance samples, {sentences} test sentences, the upper end of log Z. "
        f"{100 * verbatim:.0f} % of the test utterances occur word for word in the training split.",
        "In the pictures a point is the mean of the seeds, a bar their range. A diamond is the paper's figure, a cross "
        "one of another quantity.",
    ]


def report(results: Results) -> list[Path]:
    """Write report.json, report.md and the pictures."""
    from svebm_ext.measures import surface

    corpus = _corpus(results.place.root)
    texts = notes(results.budget, surface.verbatim_share(corpus.train.sentences, corpus.test.sentences))
    return table.write_report(
        "Table 2: DailyDialog", rows_of_report(results), MEASURES, FURTHER, texts, results, CURVES
    )


def show(results: Results) -> None:
    """Print the table."""
    table.print_table(
        f"Table 2, budget {results.budget}: ours, and the paper's beside it", rows_of_report(results), MEASURES
    )


TABLE2 = Experiment(
    title="Table 2, DailyDialog",
    names=tuple(PAPER),
    make_row=make_row,
    report=report,
    show=show,
    references={name: functools.partial(make_reference, name) for name in CODES},
)
