"""How sentences of a chosen sentiment are made and measured: judge, language model, z of each class, the measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from svebm_ext.baselines.code_gan import CodeGAN, CodeGANSettings, train_code_gan
from svebm_ext.data.corpus import Corpus, Split, label_classes
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.evaluation.control import Samples, Yardstick, measure_control, mixed
from svebm_ext.experiments.rows import Run
from svebm_ext.experiments.yelp_control import (
    CODE_GAN,
    JUDGE,
    LABEL,
    LANGUAGE_MODEL,
    N_EXAMPLES,
    ControlSettings,
)
from svebm_ext.files import JsonObject
from svebm_ext.judges.language_model import (
    FAST,
    LanguageModel,
    load_language_model,
    save_language_model,
    train_language_model,
)
from svebm_ext.judges.sentiment import Judge, train_judge
from svebm_ext.models.svebm import SVEBM
from svebm_ext.terminal import say


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
    n, seed, numbered = settings.n_sentences, settings.seed, list(enumerate(classes(corpus)))
    if run.row.name == "cgan":
        gan = _code_gan(run, model, corpus, settings)
        return {name: gan.sample(n, label=k, seed=seed + k) for k, name in numbered}
    prior = model.networks.latent
    return {name: prior.sample_prior(n, seed=seed + k, symbol=k) for k, name in numbered}


@torch.enable_grad()
def _code_gan(run: Run, model: SVEBM, corpus: Corpus, settings: ControlSettings) -> CodeGAN:
    """The conditional GAN of a finished autoencoder, trained as far as that has not been done."""
    chosen = _chosen(corpus.train, settings.gan_codes, settings.seed)
    labels = torch.tensor([classes(corpus).index(value) for value in chosen.labels[LABEL]])
    options = CodeGANSettings(hidden=settings.gan_hidden, max_steps=settings.gan_steps, seed=run.config.seed)
    codes = model.encode(chosen.sentences)
    return train_code_gan(codes, labels.to(codes.device), options, run.folder / CODE_GAN, print)


def classes(corpus: Corpus) -> list[str]:
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
