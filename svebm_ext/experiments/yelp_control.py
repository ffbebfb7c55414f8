"""Sentences of a chosen sentiment, generated and measured: what `yelp` does with each finished run.

Judge and language model are trained once on real text and kept in OUT (judge.safetensors, language_model.safetensors);
what is measured of a run is kept in its folder (control.json).
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from svebm_ext.baselines.code_gan import CodeGAN, CodeGANSettings, train_code_gan
from svebm_ext.data.corpora import load_corpus
from svebm_ext.data.corpus import Corpus, Split, label_classes
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.evaluation.control import Samples, Yardstick, measure_control, mixed
from svebm_ext.experiments.rows import Budget, Further, Place, Run
from svebm_ext.files import JsonObject, read_json, write_json
from svebm_ext.judges.language_model import (
    FAST,
    LanguageModel,
    load_language_model,
    save_language_model,
    train_language_model,
)
from svebm_ext.judges.sentiment import Judge, train_judge
from svebm_ext.models.svebm import SVEBM
from svebm_ext.provenance import source_version
from svebm_ext.terminal import say
from svebm_ext.training.runtime import Runtime

LABEL = "sentiment"
#: Files of a run, and of OUT.
CONTROL, CODE_GAN = "control.json", "code_gan.safetensors"
JUDGE, LANGUAGE_MODEL, REFERENCE = "judge.safetensors", "language_model.safetensors", "real_text.json"
#: Sentences of each class that are kept to read.
N_EXAMPLES = 10
#: Suffix of the keys of a decoding, and whether the most probable words are taken, or words are sampled.
DECODINGS = {"": True, "_ancestral": False}


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


@functools.lru_cache(maxsize=1)
def yelp(root: Path | None) -> Corpus:
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
    say(f"the judge is right for real test sentences: {shares}")
    return Yardstick(judge, _language_model(corpus, settings, out / LANGUAGE_MODEL, device), corpus.train)


def _judge(corpus: Corpus, settings: ControlSettings, path: Path) -> Judge:
    wanted = settings.judge_sentences or len(corpus.train)
    if path.exists():
        judge = Judge.load(path)
        if judge.counts["training sentences"] == wanted:
            return judge
    judge = train_judge(_chosen(corpus.train, wanted, settings.seed), corpus.test, LABEL, seed=settings.seed)
    judge.save(path)
    return judge


def _language_model(corpus: Corpus, settings: ControlSettings, path: Path, device: str | torch.device) -> LanguageModel:
    about = {"sentences": settings.language_model_sentences or len(corpus.train), "seed": settings.seed}
    if path.exists():
        model, trained_on = load_language_model(path)
        if trained_on == about:
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


@torch.no_grad()
def vectors(run: Run, model: SVEBM, corpus: Corpus, settings: ControlSettings) -> dict[str, Tensor]:
    """z of each class: from p(z|y) (SVEBM-IB), the class's component (DGM-VAE + I), or the conditional GAN.

    Classes have seeds of their own: otherwise the same noise would start the chains of both.
    """
    n, seed, numbered = settings.n_sentences, settings.seed, list(enumerate(_classes(corpus)))
    if run.row.name == "cgan":
        gan = _code_gan(run, model, corpus, settings)
        return {name: gan.sample(n, label=k, seed=seed + k) for k, name in numbered}
    prior = model.networks.latent
    return {name: prior.sample_prior(n, seed=seed + k, symbol=k) for k, name in numbered}


@torch.enable_grad()
def _code_gan(run: Run, model: SVEBM, corpus: Corpus, settings: ControlSettings) -> CodeGAN:
    """The conditional GAN of a finished autoencoder, trained as far as that has not been done."""
    chosen = _chosen(corpus.train, settings.gan_codes, settings.seed)
    labels = torch.tensor([_classes(corpus).index(value) for value in chosen.labels[LABEL]])
    options = CodeGANSettings(hidden=settings.gan_hidden, max_steps=settings.gan_steps, seed=run.config.seed)
    codes = model.encode(chosen.sentences)
    return train_code_gan(codes, labels.to(codes.device), options, run.folder / CODE_GAN, print)


def _classes(corpus: Corpus) -> list[str]:
    """Sentiments in the order of the models' symbols."""
    return label_classes([corpus.train], LABEL)


# Measures of a row ---------------------------------------------------------------------------------------------


def control_document(samples: Mapping[str, Samples], yardstick: Yardstick, settings: ControlSettings) -> JsonObject:
    """Content of control.json: measures of each decoding, reasons, counts, and sentences to read.

    Args:
        samples: sentences by class, by the suffix that the keys of a decoding have.
        yardstick: to measure with.
        settings: recorded, so that other settings are noticed.
    """
    document: JsonObject = {"settings": asdict(settings), "null_reasons": {}, "examples": {}}
    for suffix, sentences in samples.items():
        measures, reasons = measure_control(sentences, yardstick)
        document |= {key + suffix: value for key, value in measures.items()}
        document["null_reasons"] |= {key + suffix: reason for key, reason in reasons.items()}
        document["examples"][suffix] = {
            name: [" ".join(sentence) for sentence in own[:N_EXAMPLES]] for name, own in sentences.items()
        }
    counts = {f"{name} sentences judged": len(own) for name, own in samples[""].items()}
    document["sample_counts"] = counts | yardstick.counts()
    document["judge_accuracy"] = yardstick.judge.accuracy
    return document


class Control(Further):
    """Further work on a finished run: control.json."""

    def __init__(self, budget: Budget) -> None:
        self.settings = SETTINGS[budget]

    def done(self, run: Run) -> bool:
        """Whether there is a control.json of these settings."""
        return kept(run.folder / CONTROL, self.settings) is not None

    def work(self, run: Run) -> None:
        """Write control.json."""
        corpus = yelp(run.config.data.root)
        device = Runtime.alone(run.config.training.device).device
        yardstick = make_yardstick(corpus, self.settings, run.folder.parent, device)
        model, seed, samples = SVEBM.from_pretrained(run.folder, device), self.settings.seed, {}
        chosen = vectors(run, model, corpus, self.settings)
        for suffix, greedy in DECODINGS.items():
            texts = {name: model.decode(z, greedy=greedy, seed=seed + k) for k, (name, z) in enumerate(chosen.items())}
            samples[suffix] = {name: [text.split() for text in own] for name, own in texts.items()}
        write_json(run.folder / CONTROL, control_document(samples, yardstick, self.settings))


def kept(path: Path, settings: ControlSettings) -> JsonObject | None:
    """What was measured with these settings, where that has been done."""
    if not path.exists():
        return None
    document = read_json(path)
    return document if document.get("settings") == asdict(settings) else None


def make_reference(budget: Budget, place: Place) -> None:
    """Measure real test sentences as samples are measured, and keep that in OUT."""
    settings = SETTINGS[budget]
    if kept(place.out / REFERENCE, settings) is not None:
        return
    corpus = yelp(place.root)
    yardstick = make_yardstick(corpus, settings, place.out, Runtime.alone(place.device).device)
    values = corpus.test.labels[LABEL]
    sentences = {
        name: [s for s, value in zip(corpus.test.sentences, values, strict=True) if value == name]
        for name in _classes(corpus)
    }
    document = control_document({"": sentences}, yardstick, settings)
    about = {"seed": settings.seed, "commit": source_version(), "device": "cpu", "warnings": []}
    write_json(place.out / REFERENCE, document | {"about": about | {"sample_counts": document["sample_counts"]}})
