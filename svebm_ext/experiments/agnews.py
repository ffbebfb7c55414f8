"""Table 8: topics of AG News from few labels, SVEBM and SVEBM-IB beside other semi-supervised classifiers.

Rows are systems with a number of labels, `svebm-ib-200`; the group `svebm-ib` is that system with all numbers, the
group `200` all systems with that number. Each seed has labels of its own, as many of each class.
"""

from __future__ import annotations

import functools
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from svebm_ext import plots, terminal
from svebm_ext.config import Changes, Config, options_of, with_changes
from svebm_ext.data.text_files import find_optional_file
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.experiments.rows import Budget, Experiment, Place, Results, Row, Run
from svebm_ext.experiments.table import CURVES, PICTURE, REPORT, REPORT_JSON
from svebm_ext.files import JsonMapping, JsonObject, write_json, write_whole
from svebm_ext.presets import preset

#: Labels in all.
COUNTS = (200, 500, 2500, 10_000)
#: The paper's Table 8, test accuracy in per cent by number of labels; None for systems that it does not have.
PAPER: dict[str, tuple[float, float, float, float] | None] = {
    "nb-em": None,
    "self-training-lr": None,
    "supervised": (68.8, 77.3, 84.4, 87.5),
    "self-training": (77.3, 81.3, 84.8, 87.7),
    "glove-id": (70.4, 78.0, 84.1, 87.1),
    "glove-od": (68.8, 78.8, 85.3, 88.0),
    "vampire": (82.9, 84.5, 85.8, 87.7),
    "hard-em": (83.9, 84.6, 85.1, 86.9),
    "catvae": (84.6, 85.7, 86.3, 87.5),
    "svebm": (84.5, 84.7, 86.0, 88.1),
    "svebm-ib": (86.4, 87.4, 87.9, 88.6),
    "svebm-ib-gru": None,
    "svebm-ib-guided": None,
    "svebm-ib-words": None,
    "encoder-lr-nb": None,
    "encoder-guide": None,
    "svebm-ib-encoder": None,
}
#: Systems that no iterations are trained of.
REFERENCES = ("nb-em", "self-training-lr", "encoder-lr-nb", "encoder-guide")
#: Systems that are models of this package; the others are those of `agnews_baselines` and `agnews_encoder`.
MODELS = ("svebm", "svebm-ib", "svebm-ib-gru", "svebm-ib-guided", "svebm-ib-words", "svebm-ib-encoder")
#: The frozen encoder of the rows that have one, which is looked for on this disk.
ENCODER = "all-MiniLM-L6-v2"
#: Options, or sections, that the others read.
READS = ("preset", "seed", "data.", "model.", "optimiser.", "training.", "objective.label_weight")
#: For people.
TITLES = {
    "nb-em": "naive Bayes + EM (reference)",
    "self-training-lr": "self-training logistic regression (reference)",
    "supervised": "Supervised",
    "self-training": "Self-training",
    "glove-id": "GloVe-ID",
    "glove-od": "GloVe-OD",
    "vampire": "VAMPIRE",
    "hard-em": "Hard EM",
    "catvae": "CatVAE",
    "svebm": "SVEBM",
    "svebm-ib": "SVEBM-IB",
    "svebm-ib-gru": "SVEBM-IB of sequences (GRU)",
    "svebm-ib-guided": "SVEBM-IB, guided by both references",
    "svebm-ib-words": "SVEBM-IB, guided by words",
    "encoder-lr-nb": "MiniLM: logistic regression times naive Bayes + EM (reference)",
    "encoder-guide": "MiniLM: the guide of the next row (reference)",
    "svebm-ib-encoder": "SVEBM-IB, guided by words and MiniLM",
}
#: Iterations of the released code: 201 epochs of 48,459 documents in batches of 200.
RELEASED_STEPS = 201 * 243
#: Options of the classifiers on averages of word vectors.
_AVERAGE: Changes = {
    "model": {"document_hidden": 100, "document_dropout": 0.3, "word_dropout": 0.3},
    "training": {"max_steps": 500, "validate_every": 50},
}
#: SVEBM-IB with a guide.
_GUIDED: dict[str, dict[str, object]] = {
    "model": {"class_words_start": "naive_bayes", "word_dropout": 0.3},
    "objective": {
        "mutual_information": 10.0, "energy_penalty": 0.0, "pseudo_label_weight": 20.0, "pseudo_labels": "ensemble",
    },
    "optimiser": {"learning_rate": 2e-3, "schedule": "cosine"},
}  # fmt: skip
_BY_WORDS: dict[str, dict[str, object]] = {
    **_GUIDED,
    "model": {**_GUIDED["model"], "sentence_features": "words"},
    "objective": {**_GUIDED["objective"], "pseudo_labels": "words"},
}
_BY_ENCODER: Changes = {**_BY_WORDS, "model": {**_BY_WORDS["model"], "sentence_encoder": ENCODER}}
#: What each system changes in preset agnews: options by section.
CHANGES: dict[str, Changes] = {
    "nb-em": {},
    "self-training-lr": {},
    "supervised": _AVERAGE,
    "self-training": {**_AVERAGE, "training": {"max_steps": 300, "validate_every": 50}},
    "glove-id": _AVERAGE,
    "glove-od": _AVERAGE,
    "vampire": {
        "model": {**_AVERAGE["model"], "latent_dim": 50},
        "training": {"max_steps": 1000, "validate_every": 50},
    },
    "hard-em": {"model": {"word_dropout": 0.3}, "training": {"batch_size": 100}},
    "catvae": {"model": {"word_dropout": 0.3}, "training": {"batch_size": 100}},
    "svebm": {"objective": {"mutual_information": 0.0}},
    "svebm-ib": {},
    "svebm-ib-guided": _GUIDED,
    "svebm-ib-words": _BY_WORDS,
    "encoder-lr-nb": _BY_ENCODER,
    "encoder-guide": _BY_ENCODER,
    "svebm-ib-encoder": _BY_ENCODER,
}


def split_name(name: str) -> tuple[str, int]:
    """System and number of labels of a row."""
    system, count = name.rsplit("-", 1)
    return system, int(count)


def make_row(name: str, budget: Budget) -> Row:
    """A row of Table 8."""
    system, count = split_name(name)
    sequences = system == "svebm-ib-gru"
    config = preset("agnews-svebm-ib-gru") if sequences else with_changes(preset("agnews-svebm-ib"), CHANGES[system])
    config = replace(config, preset=f"agnews-{system}", data=replace(config.data, n_labelled=count))
    figures = PAPER[system]
    paper = {"accuracy": None if figures is None else figures[COUNTS.index(count)]}
    row = Row(name, sized(config, budget, system), paper, data_seed=True)
    if system in MODELS:
        return row
    return replace(row, make=functools.partial(_make, system=system), reads=READS)


def _make(run: Run, system: str) -> JsonObject:
    """Train and measure a row of a system that is no model of this package."""
    from svebm_ext.experiments import agnews_baselines, agnews_encoder  # need torch: names of rows do not wait for it

    return agnews_baselines.make(run, {**agnews_baselines.SYSTEMS, **agnews_encoder.SYSTEMS}[system], system)


def sized(config: Config, budget: Budget, system: str) -> Config:
    """A system's configuration at a budget.

    cpu: the preset's. paper: networks and iterations of the released code for systems with a generator of bags of
    words, ten times the iterations for the others. smoke: to see that it runs.
    """
    if budget == "smoke":
        sequences = {"embedding_dim": 16, "encoder_hidden": 16, "decoder_hidden": 16}
        sizes = {"document_hidden": 16} if options_of(config.model).is_bag else sequences
        return with_changes(
            config,
            {
                "data": {"vocabulary_size": 2000},
                "model": {"latent_dim": 4, **sizes},
                "chains": {"n_chains": 100, "n_steps": 3},
                "training": {"batch_size": 30, "labelled_batch_size": 20, "max_steps": 6, "validate_every": 3},
                "evaluation": {
                    "importance_samples": 2, "max_sentences": 20, "frequency_samples": 200, "log_z_chains": 32,
                    "log_z_temperatures": 10,
                },
            },
        )  # fmt: skip
    quick = {"importance_samples": 20, "max_sentences": 200, "log_z_chains": 300, "log_z_temperatures": 200}
    if budget == "cpu":
        return with_changes(config, {"evaluation": quick, "training": {"sample_every": 0, "checkpoint_every": 500}})
    if system not in ("vampire", "hard-em", "catvae", *MODELS) or system == "svebm-ib-gru":
        steps = 10 * config.training.max_steps
        return with_changes(config, {"training": {"max_steps": steps, "validate_every": steps // 20}})
    return with_changes(
        config,
        {
            "model": {
                "latent_dim": 100, "document_hidden": 2000, "document_layers": 3, "document_dropout": 0.5,
                "class_words": False, "class_words_start": "zero",
            },
            "chains": {"n_steps": 100, "step_size": 0.08},
            "objective": {
                "label_weight": 200.0, "mutual_information": 100.0 if config.objective.mutual_information else 0.0,
                "energy_penalty": 0.0,
            },
            "optimiser": {
                "learning_rate": 1e-4, "prior_learning_rate": 1e-5, "weight_decay": 2e-3, "prior_weight_decay": 1e-3,
            },
            "training": {
                "batch_size": 200, "labelled_batch_size": 200, "max_steps": RELEASED_STEPS, "validate_every": 972,
            },
        },
    )  # fmt: skip


def unavailable(name: str, place: Place) -> str | None:
    """GloVe-OD needs published vectors, and rows by an encoder its weights."""
    system = split_name(name)[0]
    if "sentence_encoder" in CHANGES.get(system, {}).get("model", {}):
        from svebm_ext.data.sentence_encoders import find_encoder

        try:
            find_encoder(ENCODER)
        except ConfigError as error:
            return str(error)
    if system != "glove-od":
        return None
    from svebm_ext.experiments.agnews_baselines import vector_root

    root = vector_root(place.root)
    if find_optional_file(root, "glove/glove.6B.50d.txt", "glove.6B.50d.txt") is not None:
        return None
    return f"no glove/glove.6B.50d.txt in {root} (see docs/data.md)"


# The report -----------------------------------------------------------------------------------------------------


def rows_of_report(results: Results) -> list[JsonObject]:
    """Content of report.json: a row a system and number of labels, over its finished seeds.

    `accuracy` is the mean over seeds, in per cent of the test split, `deviation` the standard deviation over them,
    null of one seed.
    """
    groups: dict[str, list[tuple[Run, JsonObject]]] = {}
    for run, document in results.documents:
        groups.setdefault(run.row.name, []).append((run, document))
    rows = []
    for name, runs in groups.items():
        system, count = split_name(name)
        by_seed = {str(run.config.seed): 100.0 * document["accuracy"] for run, document in runs}
        logs = [_log(run.folder) for run, _ in runs]
        best = [100.0 * max(log["valid_accuracy"][1]) for log in logs if "valid_accuracy" in log]
        seconds = [log["seconds"][1][-1] for log in logs if "seconds" in log]
        rows.append(
            {
                "row": system,
                "labels": count,
                "seeds": len(runs),
                "accuracy": statistics.fmean(by_seed.values()),
                "deviation": statistics.stdev(by_seed.values()) if len(by_seed) > 1 else None,
                "commit": _joined(document["about"]["commit"] for _, document in runs),
                "device": _joined(document["about"]["device"] for _, document in runs),
                "paper": runs[0][0].row.paper["accuracy"],
                "by_seed": by_seed,
                "valid_accuracy": statistics.fmean(best) if best else None,
                "calibration_error": statistics.fmean(document["calibration_error"] for _, document in runs),
                "iterations": None if system in REFERENCES else runs[0][0].config.training.max_steps,
                "training_seconds": statistics.fmean(seconds) if seconds else None,
                "budget": results.budget,
            }
        )
    return rows


def _log(folder: Path) -> dict[str, tuple[list[int], list[float]]]:
    try:
        return plots.read_metrics(folder / "metrics.jsonl")
    except DataError:
        return {}


def _joined(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(values))


def notes(budget: Budget) -> list[str]:
    """What a reader has to know beside the numbers."""
    steps = make_row("svebm-ib-200", budget).config.training.max_steps
    sequences = make_row("svebm-ib-gru-200", budget).config
    return [
        "Test accuracy in per cent: mean over training seeds, standard deviation, after a stroke the paper's figure. "
        "Each seed has labels of its own, as many of each class, out of the training documents; the others are "
        "unlabelled.",
        "AG News here has 48,459 training documents, so that at most as many are unlabelled; the paper had 115,000. "
        "Iterations, rounds and models are chosen on the development split, accuracy is that of the test split; the "
        "released program reports its development split.",
        "Naive Bayes + EM and self-training logistic regression are simple references that the paper's table does not "
        "have. The other rows are this package's own on the same words (30,000, stop words out) at budget "
        f"{budget}: {steps:,} iterations of SVEBM-IB. CatVAE and Hard EM are a bag-of-words form of Jin et al. (2020), "
        "M2 of Kingma et al. (2014) with one z for all classes.",
        "SVEBM-IB guided by both references: they are fitted to the same documents and labels; naive Bayes + EM says "
        "where the generator's table of classes and words starts, and the mean of both references' class probabilities "
        "stands in for the labels of unlabelled documents.",
        "SVEBM-IB guided by words: the guide of docs/data.md, a logistic regression of features of words times naive "
        "Bayes + EM, whose answer is multiplied with p(y given z) of the model. Rows with MiniLM read vectors of "
        f"{ENCODER} as well, a frozen encoder that others pretrained on other text, so that they compare with each "
        "other alone.",
        f"SVEBM-IB of sequences reads the first {sequences.data.max_tokens} words of a document in their order, stop "
        f"words in, of a vocabulary of {sequences.data.vocabulary_size:,} ({sequences.training.max_steps:,} iterations "
        f"of {sequences.training.batch_size} documents).",
    ]


def report(results: Results) -> list[Path]:
    """Write report.json, report.md and, at the end, the pictures."""
    rows, out = rows_of_report(results), results.place.out
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / REPORT_JSON, rows)
    pictures: list[Path] = []
    if results.final and rows:
        try:
            pictures = draw(rows, results)
        except ConfigError:  # no matplotlib
            pictures = []
    lines = ["# Table 8: AG News", "", *table_lines(rows), ""]
    lines += [text for note in notes(results.budget) for text in (note, "")]
    lines += [f"![]({path.relative_to(out).as_posix()})\n" for path in pictures]
    lines += [f"**Failed:** {label}: {reason}\n" for label, reason in results.failures.items()]
    lines += [f"**Left out:** {text}\n" for text in results.left_out]
    lines += ["## How the rows were made", "", *_origin_lines(rows)]
    write_whole(out / REPORT, "\n".join(lines).rstrip() + "\n")
    return [out / REPORT, out / REPORT_JSON, *pictures]


def cell(row: JsonMapping | None, figure: float | None) -> str:
    """Mean, deviation, and the paper's figure: `87.9 ± 0.3 / 86.4`."""
    ours = "–"
    if row is not None:
        ours = f"{row['accuracy']:.1f}" + ("" if row["deviation"] is None else f" ± {row['deviation']:.1f}")
    return ours if figure is None else f"{ours} / {figure:.1f}"


def table_cells(rows: Sequence[JsonMapping]) -> list[list[str]]:
    """Cells of the table, its heading first: systems by number of labels."""
    by_place = {(row["row"], row["labels"]): row for row in rows}
    lines = [["system", *(f"{count:,} labels" for count in COUNTS), "seeds"]]
    for system, figures in PAPER.items():
        of_system = [by_place.get((system, count)) for count in COUNTS]
        cells = [cell(row, figures and figures[place]) for place, row in enumerate(of_system)]
        seeds = sorted({row["seeds"] for row in of_system if row is not None})
        lines.append([TITLES[system], *cells, "–".join(map(str, seeds[:1] + seeds[1:][-1:])) or "–"])
    return lines


def table_lines(rows: Sequence[JsonMapping]) -> list[str]:
    """The table in Markdown."""
    heading, *lines = table_cells(rows)
    rule = ["---", *["---:"] * (len(heading) - 1)]
    return [f"| {' | '.join(line)} |" for line in (heading, rule, *lines)]


def _origin_lines(rows: Sequence[JsonMapping]) -> list[str]:
    heading = (
        "| row | labels | by seed | development split | calibration error | iterations | seconds | commit | device |"
    )
    lines = [heading, "|---|" + "---:|" * 6 + "---|---|"]
    for row in rows:
        valid, seconds, steps = row["valid_accuracy"], row["training_seconds"], row["iterations"]
        cells = [
            row["row"], f"{row['labels']:,}", ", ".join(f"{value:.1f}" for value in row["by_seed"].values()),
            "–" if valid is None else f"{valid:.1f}", f"{row['calibration_error']:.3f}",
            "–" if steps is None else f"{steps:,}",
            "–" if seconds is None else f"{seconds:.0f}", row["commit"], row["device"],
        ]  # fmt: skip
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def draw(rows: Sequence[JsonMapping], results: Results) -> list[Path]:
    """Accuracies beside the paper's, and validation accuracy by iteration, a picture for each number of labels."""
    out = results.place.out
    names = [system for system in PAPER if any(row["row"] == system for row in rows)]
    panels = []
    for place, count in enumerate(COUNTS):
        ours = {row["row"]: list(row["by_seed"].values()) for row in rows if row["labels"] == count}
        published = {system: (PAPER[system] or [None] * len(COUNTS))[place] for system in names}
        panels.append(plots.Panel(f"{count:,} labels, test accuracy (%)", ours, published))
    pictures = [plots.beside_published(names, panels, out / PICTURE)]
    for count in COUNTS:
        curves: dict[str, list[tuple[list[int], list[float]]]] = {}
        for run, _ in results.documents:
            system, labels = split_name(run.row.name)
            log = _log(run.folder)
            if labels == count and len(log.get("valid_accuracy", ([],))[0]) > 1:
                curves.setdefault(system, []).append(log["valid_accuracy"])
        if curves:
            picture = out / CURVES.replace(".png", f"_{count}.png")
            what = "accuracy, development split"
            pictures.append(plots.bounds_of_rows(curves, picture, caption=f"{count:,} labels", measure=what))
    return pictures


def show(results: Results) -> None:
    """Print the table."""
    terminal.show("\n".join(table_lines(rows_of_report(results))))


AGNEWS = Experiment(
    title="Table 8, AG News",
    names=tuple(f"{system}-{count}" for system in PAPER for count in COUNTS),
    make_row=make_row,
    report=report,
    show=show,
    groups={system: tuple(f"{system}-{count}" for count in COUNTS) for system in PAPER}
    | {str(count): tuple(f"{system}-{count}" for system in PAPER) for count in COUNTS},
    unavailable=unavailable,
)
