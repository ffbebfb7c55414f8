"""Tables 6 and 7: sentences of a chosen sentiment on Yelp reviews, SVEBM-IB beside DGM-VAE + I and a conditional GAN.

A row is a run like any other, and after it `Control`: sentences generated for each sentiment, judged by what is trained
once on real text and kept in OUT: a classifier (judge.safetensors) and a language model (language_model.safetensors).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from svebm_ext.config import Config
from svebm_ext.data.corpora import load_corpus
from svebm_ext.data.corpus import Corpus, Split, label_classes
from svebm_ext.evaluation.control import Samples, Yardstick, measure_control, mixed
from svebm_ext.evaluation.report import source_version
from svebm_ext.experiments import table
from svebm_ext.experiments.rows import Budget, Experiment, Place, Results, Row, Run
from svebm_ext.experiments.table import Measure, report_row
from svebm_ext.models.pretrained import read_json, write_atomically, write_json
from svebm_ext.presets import preset

if TYPE_CHECKING:
    from svebm_ext.evaluation.language_model import LanguageModel
    from svebm_ext.evaluation.sentiment import Judge
    from svebm_ext.models.svebm import SVEBM

LABEL = "sentiment"
#: Sentences of the training split, which the budget `cpu` counts its iterations by, and passes over it.
N_TRAIN, EPOCHS_CPU = 265_801, 2
#: Files of a run, and of OUT.
CONTROL, CODE_GAN = "control.json", "code_gan.safetensors"
JUDGE, LANGUAGE_MODEL, EXAMPLES = "judge.safetensors", "language_model.safetensors", "examples.md"
#: Name of the reference row, and its file in OUT.
REAL_TEXT, REFERENCE = "real-text", "real_text.json"
#: Sentences of each class that examples.md shows.
N_EXAMPLES = 10

#: The paper's Table 6: percent overall, of positive, of negative.
PUBLISHED = ("control", "control_positive", "control_negative")
PAPER = {"dgm-vae-i": (64.7, 95.3, 34.0), "cgan": (76.8, 94.9, 58.6), "svebm-ib": (90.1, 95.1, 85.2)}
#: Words decoded greedily, and sampled.
DECODINGS = {"": True, "_ancestral": False}

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


@dataclass(frozen=True)
class ControlSettings:
    """How sentences of a chosen class are made and measured.

    Attributes:
        n_sentences: generated for each class.
        judge_sentences: training sentences of the judge; 0 takes all.
        language_model_sentences: training sentences of the language model (setting FAST); 0 takes all.
        gan_codes: sentences whose codes the conditional GAN learns; 0 takes all.
        gan_steps: updates of its generator.
        gan_hidden: width of its networks.
        seed: of samples, judge and language model.
    """

    n_sentences: int = 1000
    judge_sentences: int = 0
    language_model_sentences: int = 0
    gan_codes: int = 0
    gan_steps: int = 50_000
    gan_hidden: int = 512
    seed: int = 0


SETTINGS: dict[Budget, ControlSettings] = {
    "smoke": ControlSettings(50, 3000, 1000, 500, 20, 32),
    "cpu": ControlSettings(language_model_sentences=100_000, gan_codes=50_000, gan_steps=10_000),
    "paper": ControlSettings(),
}


def make_row(name: str, budget: Budget) -> Row:
    """A row of Table 6."""
    config = preset("yelp" if name == "svebm-ib" else f"yelp-{name}")
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
    model = config.model
    return replace(
        config,
        model=replace(model, embedding_dim=32, encoder_hidden=32, decoder_hidden=32, prior_hidden=(32, 32)),
        chains=replace(config.chains, n_chains=max(100, training.batch_size), n_steps=5),
        objective=objective,
        training=replace(training, max_steps=10, checkpoint_every=5, validate_every=10, log_every=5, sample_every=0),
        evaluation=replace(
            evaluation, importance_samples=5, max_sentences=50, frequency_samples=100, log_z_chains=64,
            log_z_temperatures=30,
        ),
    )  # fmt: skip


@functools.lru_cache(maxsize=1)
def _corpus(root: Path | None) -> Corpus:
    """Yelp, read once for all rows of a process."""
    return load_corpus("yelp", root)


# What all rows are measured with -------------------------------------------------------------------------------


def make_yardstick(corpus: Corpus, settings: ControlSettings, out: Path, device: str | torch.device) -> Yardstick:
    """Judge and language model, trained where OUT has none of these settings.

    Args:
        corpus: real text: both learn from its training split alone; the judge is tested on its test split.
        settings: how many sentences they learn from.
        out: folder of their files.
        device: of the language model's training.
    """
    judge = _judge(corpus, settings, out / JUDGE)
    shares = ", ".join(f"{name} {share:.1%}" for name, share in judge.accuracy.items())
    print(f"the judge is right for real test sentences: {shares}", flush=True)
    return Yardstick(judge, _language_model(corpus, settings, out / LANGUAGE_MODEL, device), corpus.train)


def _judge(corpus: Corpus, settings: ControlSettings, path: Path) -> Judge:
    from svebm_ext.evaluation.sentiment import Judge, train_judge

    wanted = settings.judge_sentences or len(corpus.train)
    if path.exists():
        judge = Judge.load(path)
        if judge.counts["training sentences"] == wanted:
            return judge
    judge = train_judge(_chosen(corpus.train, wanted, settings.seed), corpus.test, LABEL, seed=settings.seed)
    judge.save(path)
    return judge


def _language_model(corpus: Corpus, settings: ControlSettings, path: Path, device: str | torch.device) -> LanguageModel:
    from svebm_ext.data.vocabulary import Vocabulary
    from svebm_ext.evaluation.language_model import (
        FAST,
        load_language_model,
        save_language_model,
        train_language_model,
    )

    about = {"sentences": settings.language_model_sentences or len(corpus.train), "seed": settings.seed}
    if path.exists():
        model, found = load_language_model(path)
        if found == about:
            return model
    model = train_language_model(
        _chosen(corpus.train, about["sentences"], settings.seed).sentences, mixed(corpus.valid.sentences), FAST,
        vocabulary=Vocabulary.build(corpus.train.sentences), seed=settings.seed, device=device, say=print,
    )  # fmt: skip
    save_language_model(model, path, about)
    return load_language_model(path)[0]


def _chosen(split: Split, wanted: int, seed: int) -> Split:
    """Sentences in random order, all if `wanted` is 0: the files hold one sentiment after the other."""
    rows = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))[: wanted or len(split)].tolist()
    return Split([split.sentences[i] for i in rows], {LABEL: [split.labels[LABEL][i] for i in rows]})


def vectors(run: Run, model: SVEBM, corpus: Corpus, settings: ControlSettings) -> dict[str, Tensor]:
    """z of each class: from p(z|y) (SVEBM-IB), the class's component (DGM-VAE + I), or the conditional GAN.

    Classes have seeds of their own: otherwise the same noise would start the chains of both.
    """
    sample: Callable[[int], Tensor]
    if run.row.name == "cgan":
        gan = _code_gan(run, model, corpus, settings)
        sample = lambda k: gan.sample(settings.n_sentences, label=k, seed=settings.seed + k)  # noqa: E731
    else:
        prior = model.networks.latent
        sample = lambda k: prior.sample_prior(settings.n_sentences, seed=settings.seed + k, symbol=k)  # noqa: E731
    with torch.no_grad():
        return {name: sample(number) for number, name in enumerate(_classes(corpus))}


def _code_gan(run: Run, model: SVEBM, corpus: Corpus, settings: ControlSettings) -> Any:
    """The conditional GAN of a finished autoencoder, trained as far as that has not been done."""
    from svebm_ext.baselines.code_gan import CodeGANSettings, train_code_gan

    chosen = _chosen(corpus.train, settings.gan_codes, settings.seed)
    labels = torch.tensor([_classes(corpus).index(value) for value in chosen.labels[LABEL]])
    options = CodeGANSettings(hidden=settings.gan_hidden, max_steps=settings.gan_steps, seed=run.config.seed)
    codes = model.encode(chosen.sentences)
    return train_code_gan(codes, labels.to(codes.device), options, run.folder / CODE_GAN, print)


def _classes(corpus: Corpus) -> list[str]:
    """Sentiments in the order of the models' symbols."""
    return label_classes([corpus.train], LABEL)


# Measures of a row ---------------------------------------------------------------------------------------------


def control_document(samples: Mapping[str, Samples], yardstick: Yardstick, settings: ControlSettings) -> dict[str, Any]:
    """Content of control.json: measures of each decoding, reasons, counts, and sentences to read.

    Args:
        samples: sentences by class, by the suffix that the keys of a decoding have.
        yardstick: to measure with.
        settings: recorded, so that other settings are noticed.
    """
    document: dict[str, Any] = {"settings": asdict(settings), "null_reasons": {}, "examples": {}}
    for suffix, sentences in samples.items():
        found, reasons = measure_control(sentences, yardstick)
        document |= {key + suffix: value for key, value in found.items()}
        document["null_reasons"] |= {key + suffix: reason for key, reason in reasons.items()}
        document["examples"][suffix] = {
            name: [" ".join(sentence) for sentence in own[:N_EXAMPLES]] for name, own in sentences.items()
        }
    counts = {f"{name} sentences judged": len(own) for name, own in samples[""].items()}
    document["sample_counts"] = counts | yardstick.counts()
    document["judge_accuracy"] = yardstick.judge.accuracy
    return document


class Control:
    """Further work on a finished run: control.json."""

    def __init__(self, budget: Budget) -> None:
        self.settings = SETTINGS[budget]

    def done(self, run: Run) -> bool:
        """Whether there is a control.json of these settings."""
        return _kept(run.folder / CONTROL, self.settings) is not None

    def work(self, run: Run) -> None:
        """Write control.json."""
        from svebm_ext.models.svebm import SVEBM
        from svebm_ext.training.runtime import Runtime

        corpus = _corpus(run.config.data.root)
        device = Runtime.start(run.config.training.device).device
        yardstick = make_yardstick(corpus, self.settings, run.folder.parent, device)
        model, seed, samples = SVEBM.from_pretrained(run.folder, device), self.settings.seed, {}
        chosen = vectors(run, model, corpus, self.settings)
        for suffix, greedy in DECODINGS.items():
            texts = {name: model.decode(z, greedy=greedy, seed=seed + k) for k, (name, z) in enumerate(chosen.items())}
            samples[suffix] = {name: [text.split() for text in own] for name, own in texts.items()}
        write_json(run.folder / CONTROL, control_document(samples, yardstick, self.settings))


def _kept(path: Path, settings: ControlSettings) -> dict[str, Any] | None:
    """What was measured with these settings, where that has been done."""
    if not path.exists():
        return None
    document = read_json(path)
    return document if document.get("settings") == asdict(settings) else None


def make_reference(budget: Budget, place: Place) -> None:
    """Measure real test sentences as samples are measured, and keep that in OUT."""
    from svebm_ext.training.runtime import Runtime

    settings = SETTINGS[budget]
    if _kept(place.out / REFERENCE, settings) is not None:
        return
    corpus = _corpus(place.root)
    yardstick = make_yardstick(corpus, settings, place.out, Runtime.start(place.device).device)
    values = corpus.test.labels[LABEL]
    sentences = {
        name: [s for s, value in zip(corpus.test.sentences, values, strict=True) if value == name]
        for name in _classes(corpus)
    }
    document = control_document({"": sentences}, yardstick, settings)
    about = {"seed": settings.seed, "commit": source_version(), "device": "cpu", "warnings": []}
    write_json(place.out / REFERENCE, document | {"about": about | {"sample_counts": document["sample_counts"]}})


# Report --------------------------------------------------------------------------------------------------------


def rows_of_report(results: Results) -> list[dict[str, Any]]:
    """Content of report.json: finished rows in the paper's order, then real text where it was measured."""
    settings = SETTINGS[results.budget]
    keys = [measure.key for measure in (*MEASURES, *FURTHER)]
    n_train = len(_corpus(results.place.root).train) if results.documents else 0
    rows = []
    for run, document in results.documents:
        found = _kept(run.folder / CONTROL, settings)
        rows.append(report_row(run, with_control(document, found, keys), results.budget, keys, n_train))
    real = _kept(results.place.out / REFERENCE, settings)
    if real is not None:
        reasons = dict.fromkeys(keys, "real text is not generated") | real["null_reasons"]
        rows.append(table.reference_row(REAL_TEXT, real | {"null_reasons": reasons}, results.budget, keys, {}))
    return rows


def with_control(document: Mapping[str, Any], control: Mapping[str, Any] | None, keys: Sequence[str]) -> dict[str, Any]:
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
        f"128 sentences, {EPOCHS_CPU} epochs, against the paper's 84,000), bf16, one linear warm-up of w, cosine "
        f"learning rate; the conditional GAN with {settings.gan_steps:,} updates on {settings.gan_codes:,} codes.",
        "paper": "Budget paper: the presets as they are.",
    }
    known = [_kept(path, settings) for path in sorted(results.place.out.glob(f"*/{CONTROL}"))]
    accuracy = next((document["judge_accuracy"] for document in known if document), {})
    judged = ", ".join(f"{name} {share:.1%}" for name, share in accuracy.items()) or "not trained yet"
    return [
        budgets[results.budget],
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
        control = _kept(run.folder / CONTROL, SETTINGS[results.budget])
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
    written = table.write_report("Table 6: sentiment control on Yelp", rows, MEASURES, FURTHER, notes(results), results)
    write_atomically(results.place.out / EXAMPLES, examples(results))
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
