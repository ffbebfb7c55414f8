"""Tables 6 and 7: sentences of a chosen sentiment on Yelp reviews, SVEBM-IB beside DGM-VAE + I and a conditional GAN.

A row is a run like any other, and after it `Control`: sentences generated for each sentiment, judged by what is trained
once on real text and kept in OUT: a classifier (judge.safetensors) and a language model (language_model.safetensors).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from svebm_ext.config import Config, SentenceModel
from svebm_ext.experiments import table
from svebm_ext.experiments.rows import Budget, Experiment, Results, Row
from svebm_ext.experiments.table import Measure, report_row
from svebm_ext.experiments.yelp_control import CONTROL, REFERENCE, SETTINGS, Control, kept, make_reference, yelp
from svebm_ext.files import JsonMapping, JsonObject, write_whole
from svebm_ext.presets import preset

#: Sentences that the budget `cpu` counts its iterations by (60 % of the released training split), and passes over them.
N_TRAIN, EPOCHS_CPU = 265_801, 2
N_RELEASED = 443_259
#: Below the learning curves.
CURVES = "cgan: NLL of the reconstruction by its autoencoder."
#: Name of the reference row, and the file with sentences to read.
REAL_TEXT, EXAMPLES = "real-text", "examples.md"

#: The paper's Table 6: percent overall, of positive, of negative.
PUBLISHED = ("control", "control_positive", "control_negative")
PAPER = {"dgm-vae-i": (64.7, 95.3, 34.0), "cgan": (76.8, 94.9, 58.6), "svebm-ib": (90.1, 95.1, 85.2)}
MEASURES = (
    Measure("control", "control %", 1, "higher", published=True),
    Measure("control_positive", "positive %", 1, "higher", published=True),
    Measure("control_negative", "negative %", 1, "higher", published=True),
    Measure("sample_ppl", "PPL of samples", 1),
    Measure("self_bleu", "self-BLEU", 1),
    Measure("copied", "copied", 3),
)
FURTHER = (
    *(Measure(f"{key}_ancestral", f"{title} ancestral", digits) for key, title, digits in (
        ("control", "control %", 1), ("control_positive", "positive %", 1), ("control_negative", "negative %", 1),
        ("sample_ppl", "PPL", 1), ("self_bleu", "self-BLEU", 1), ("copied", "copied", 3),
    )),
    Measure("distinct_1", "distinct-1", 3),
    Measure("distinct_2", "distinct-2", 3),
    Measure("repeated", "repeated", 3),
    Measure("sample_length", "words", 1),
    Measure("accuracy", "accuracy", 3),
    Measure("nll", "NLL", 2),
    Measure("reconstruction_nll", "NLL given z", 2),
    Measure("reconstruction_nll_shuffled", "z shuffled", 2),
    Measure("bleu", "BLEU", 2),
)  # fmt: skip


def make_row(name: str, budget: Budget) -> Row:
    """A row of Table 6."""
    config = preset(f"yelp-{name}")
    return Row(name, sized(config, budget), dict(zip(PUBLISHED, PAPER[name], strict=True)))


def sized(config: Config, budget: Budget) -> Config:
    """A preset's configuration at a budget.

    cpu: the preset's networks, two passes in bf16; one warm-up of w in place of four cycles, which are for long runs.
    """
    training, objective, evaluation = config.training, config.objective, config.evaluation
    if budget == "paper":
        return config
    if objective.schedule == "cyclical":
        objective = replace(objective, schedule="linear", zero_fraction=0.0, ramp_fraction=0.5)
    if budget == "cpu":
        epoch = -(-N_TRAIN // training.batch_size)
        return replace(
            config,
            chains=replace(config.chains, n_steps=20),
            objective=objective,
            optimiser=replace(config.optimiser, schedule="cosine"),
            training=replace(
                training, max_steps=EPOCHS_CPU * epoch, precision="bf16", checkpoint_every=200,
                validate_every=epoch // 2, sample_every=epoch // 2,
            ),
            evaluation=replace(evaluation, importance_samples=50, sample_precision="fast"),
        )  # fmt: skip
    networks = SentenceModel.of(config.model)
    return replace(
        config,
        model=replace(networks, embedding_dim=32, encoder_hidden=32, decoder_hidden=32, prior_hidden=(32, 32)),
        chains=replace(config.chains, n_chains=max(100, training.batch_size), n_steps=5),
        objective=objective,
        training=replace(training, max_steps=10, checkpoint_every=5, validate_every=10, log_every=5, sample_every=0),
        evaluation=replace(
            evaluation, importance_samples=5, max_sentences=50, frequency_samples=100, log_z_chains=64,
            log_z_temperatures=30,
        ),
    )  # fmt: skip


# Report --------------------------------------------------------------------------------------------------------


def rows_of_report(results: Results) -> list[JsonObject]:
    """Content of report.json: finished rows in the paper's order, then real text where it was measured."""
    settings = SETTINGS[results.budget]
    keys = [measure.key for measure in (*MEASURES, *FURTHER)]
    n_train = len(yelp(results.place.root).train) if results.documents else 0
    rows = []
    for run, document in results.documents:
        control = kept(run.folder / CONTROL, settings)
        rows.append(report_row(run, with_control(document, control, keys), results.budget, keys, n_train))
    real = kept(results.place.out / REFERENCE, settings)
    if real is not None:
        reasons = dict.fromkeys(keys, "real text is not generated") | real["null_reasons"]
        rows.append(table.reference_row(REAL_TEXT, real | {"null_reasons": reasons}, results.budget, keys, {}))
    return rows


def with_control(document: JsonMapping, control: JsonMapping | None, keys: Sequence[str]) -> JsonObject:
    """metrics.json of a run with the content of its control.json; without one, the reason."""
    merged = dict(document)
    if control is None:
        missing = dict.fromkeys(keys, "no sentences of chosen sentiment generated yet")
        return merged | {"null_reasons": missing | document["null_reasons"]}
    counts = document["about"]["sample_counts"] | control["sample_counts"]
    return (
        merged
        | {key: control[key] for key in keys if key in control}
        | {
            "null_reasons": document["null_reasons"] | control["null_reasons"],
            "about": document["about"] | {"sample_counts": counts},
        }
    )


def notes(results: Results) -> list[str]:
    """What a reader has to know beside the numbers."""
    settings, config = SETTINGS[results.budget], make_row("svebm-ib", results.budget).config
    budgets = {
        "smoke": "Budget smoke: networks of 32 units and 10 iterations, to see that everything runs. The numbers mean "
        "nothing.",
        "cpu": f"Budget cpu: the preset's networks on a shorter schedule ({config.training.max_steps:,} iterations of "
        f"128 sentences, against the paper's 84,000), bf16, one linear warm-up of w, cosine "
        f"learning rate; the conditional GAN with {settings.gan_steps:,} updates on {settings.gan_codes:,} codes.",
        "paper": "Budget paper: the presets as they are.",
    }
    out = results.place.out
    known = [kept(path, settings) for path in (out / REFERENCE, *sorted(out.glob(f"*/{CONTROL}")))]
    accuracy: dict[str, float] = next((document["judge_accuracy"] for document in known if document), {})
    judged = ", ".join(f"{name} {share:.1%}" for name, share in accuracy.items()) or "not trained yet"
    n_train = f"{len(yelp(results.place.root).train):,}" if results.documents else "no"
    return [
        budgets[results.budget],
        f"Read: {n_train} training sentences of the {N_RELEASED:,} that were released.",
        f"Control: percent of {settings.n_sentences:,} sentences for each sentiment that the judge gives the sentiment "
        "they were asked for. The judge is a linear classifier of word n-grams, trained on the training split; on real "
        f"test sentences it is right for: {judged} (the paper's: 98.5 %). Words are the most probable ones; ancestral: "
        "drawn from p(x|z).",
        "SVEBM-IB: z from p(z|y) by 200 Langevin steps from N(0, I). DGM-VAE + I: one mixture of two Gaussians, whose "
        "component is learnt from the same labels with the same weight; z from the component. cgan: Wasserstein GAN "
        "with gradient penalty over the codes of an autoencoder, conditioned on the label, in place of the pre-trained "
        "sentence encoder of Subramanian et al. (2018).",
        "PPL of samples: per token, under a language model trained on real training sentences. It is low for samples "
        "that are fluent, and for dull ones: beside it stand self-BLEU and, below, distinct n-grams and repeated "
        "sentences, of the first 500 sentences of each sentiment. Copied: share that occurs word for word in the "
        "training text.",
        f"{REAL_TEXT}: real test sentences in place of samples.",
        f"Sentences to read (Table 7): [{EXAMPLES}]({EXAMPLES}).",
    ]


def examples(results: Results) -> str:
    """Content of examples.md (Table 7): the first sentences of each row and sentiment, none picked."""
    lines = ["# Table 7: sentences of chosen sentiment", "", "The first ones of each row, none picked.", ""]
    for run, _ in results.documents:
        control = kept(run.folder / CONTROL, SETTINGS[results.budget])
        if control is None:
            continue
        for suffix, title in (("", "most probable words"), ("_ancestral", "sampled words")):
            lines += [f"## {run.label}: {title}", "", "| positive | negative |", "| --- | --- |"]
            columns = [control["examples"][suffix][name] for name in ("positive", "negative")]
            lines += [
                "| " + " | ".join(text.replace("|", "\\|") for text in pair) + " |"
                for pair in zip(*columns, strict=True)
            ]
            lines.append("")
    return "\n".join(lines)


def report(results: Results) -> list[Path]:
    """Write report.json, report.md, examples.md and the pictures."""
    rows = rows_of_report(results)
    written = table.write_report(
        "Table 6: sentiment control on Yelp", rows, MEASURES, FURTHER, notes(results), results, CURVES
    )
    write_whole(results.place.out / EXAMPLES, examples(results))
    return [*written, results.place.out / EXAMPLES]


def show(results: Results) -> None:
    """Print the table."""
    table.print_table(
        f"Table 6, budget {results.budget}: ours, and the paper's beside it", rows_of_report(results), MEASURES
    )


YELP = Experiment(
    title="Tables 6 and 7, Yelp",
    names=tuple(PAPER),
    make_row=make_row,
    report=report,
    show=show,
    references={REAL_TEXT: make_reference},
    further=Control,
)
