"""Tiny runs for tests: a small corpus of the user's own lines, tiny networks."""

import json
import random
from pathlib import Path

import torch

from svebm_ext.config import (
    ChainConfig,
    Config,
    DataConfig,
    EvaluationConfig,
    ObjectiveConfig,
    OptimiserConfig,
    SentenceModel,
    TrainingConfig,
    with_changes,
)
from svebm_ext.data.corpora import load_configured
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.models.svebm import SVEBM
from svebm_ext.training import loop
from svebm_ext.training.feeds import SentenceFeed
from svebm_ext.training.runtime import Runtime

SUBJECTS = ["the cat", "a dog", "my sister", "the old man", "nobody"]
VERBS = ["sees", "likes", "paints", "forgets"]
OBJECTS = ["the moon", "a red boat", "his own shadow in the water", "trees", "it"]


def write_corpus(folder, n=240, labelled=False):
    """Sentences of three parts, with the verb as their label where asked for."""
    rng = random.Random(0)
    lines = []
    for _ in range(n):
        verb = rng.choice(VERBS)
        text = f"{rng.choice(SUBJECTS)} {verb} {rng.choice(OBJECTS)}"
        lines.append(f"{verb}\t{text}" if labelled else text)
    path = folder / ("corpus.tsv" if labelled else "corpus.txt")
    path.write_text("\n".join(lines) + "\n")
    return path


def write_ptb(root, sizes=(120, 40, 40)):
    """A stand-in with the file names and format of Penn Treebank: a space, words, a space."""
    rng = random.Random(0)
    (root / "ptb").mkdir()
    for name, n in zip(("train", "valid", "test"), sizes, strict=True):
        texts = [f" {rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(OBJECTS)} <unk> \n" for _ in range(n)]
        (root / "ptb" / f"ptb.{name}.txt").write_text("".join(texts))


def write_daily_dialog(root, sizes=(70, 12, 12)):
    """A stand-in with the file names and format of DailyDialog: two utterances a dialog, a question and its answer."""
    rng = random.Random(0)
    for name, n in zip(("train", "validation", "test"), sizes, strict=True):
        folder = root / "daily_dialog" / name
        folder.mkdir(parents=True)
        texts, acts, emotions = [], [], []
        for _ in range(n):
            subject, verb, thing = rng.choice(SUBJECTS), rng.choice(VERBS), rng.choice(OBJECTS)
            happy = rng.random() < 0.3
            answer = f"Great , {subject} {verb} {thing} !" if happy else f"{subject} {verb} {thing} ."
            texts.append(f"Who {verb} {thing} ? __eou__ {answer} __eou__\n")
            acts.append("2 1\n")
            emotions.append(f"0 {4 if happy else 0}\n")
        for kind, lines in (("", texts), ("_act", acts), ("_emotion", emotions)):
            (folder / f"dialogues{kind}.txt").write_text("".join(lines))


def write_dialogs(root, n=30):
    """A stand-in for SMD with the names and layout of its release."""
    rng = random.Random(0)
    (root / "kvret").mkdir()

    def turn(speaker):
        text = f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(OBJECTS)}"
        return {"turn": speaker, "data": {"utterance": text.capitalize() + rng.choice([".", "?"])}}

    for name in ("train", "dev", "test"):
        dialogs = [
            {
                "dialogue": [turn(("driver", "assistant")[i % 2]) for i in range(rng.randint(1, 7))],
                "scenario": {"task": {"intent": rng.choice(["weather", "navigate"])}},
            }
            for _ in range(n)
        ]
        (root / "kvret" / f"kvret_{name}_public.json").write_text(json.dumps(dialogs))


def tiny_config(train, **changes):
    """Configuration of a run that takes about a second; keys are section names, values are option dictionaries."""
    config = Config(
        preset="tiny",
        data=DataConfig(corpus="lines", train=train, max_tokens=12),
        model=SentenceModel(
            latent_dim=4,
            n_categories=6,
            prior_hidden=(16,),
            embedding_dim=16,
            encoder_hidden=12,
            decoder_hidden=16,
        ),
        chains=ChainConfig(n_chains=40, n_steps=4),
        objective=ObjectiveConfig(mutual_information=1.0),
        optimiser=OptimiserConfig(),
        training=TrainingConfig(
            batch_size=8, max_steps=12, checkpoint_every=4, validate_every=6, log_every=1, sample_every=0, device="cpu"
        ),
        evaluation=EvaluationConfig(
            importance_samples=5, frequency_samples=30, grammar_samples=10, log_z_chains=32, log_z_temperatures=10
        ),
    )
    return with_changes(config, changes)


def tiny_training(folder, **changes):
    """What a training of `tiny_config` on the CPU begins with: configuration, runtime, fresh networks, feed."""
    config = tiny_config(write_corpus(folder), **changes)
    corpus, runtime = load_configured(config.data), Runtime(torch.device("cpu"))
    vocabulary = Vocabulary.build(corpus.train.sentences)
    torch.manual_seed(0)
    networks = SVEBM(config, vocabulary).networks
    return config, runtime, networks, SentenceFeed(corpus, vocabulary, config, runtime)


def tiny_model(label_names=(), objective=None, **options):
    """A model of the words of `write_corpus` with five symbols, never trained, whose answers differ from text to text.

    Args:
        label_names: names of the symbols, of a model that learnt from labels.
        objective: options of its objective.
        options: of its networks.
    """
    networks = {"n_categories": 5, "sentence_features": "words"} | options
    config = tiny_config(Path("corpus.txt"), model=networks, objective=objective or {})
    words = sorted({word for part in (SUBJECTS, VERBS, OBJECTS) for text in part for word in text.split()} | {"and"})
    model = SVEBM(config, Vocabulary(words), label_names)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, numbers in sorted(model.networks.state_dict().items()):
            if ".reference." in name:  # p0 stays N(0, I)
                continue
            scale = 1.0 if name.startswith(("guide.", "latent.prior.")) else 0.2
            numbers.copy_(torch.randn(numbers.shape, generator=generator) * scale)
        if model.networks.guide is not None:
            model.networks.guide.power.fill_(0.5)
            model.networks.encoder.words.idf.abs_()
    return model.eval()


class Stop(Exception):
    """A run is left here, as by a kill."""


def stopped(run, at):
    """Do a run, and leave it before iteration `at`."""
    original = loop.Trainer.iterate

    def iterate(self):
        if self.step == at:
            raise Stop
        return original(self)

    loop.Trainer.iterate = iterate
    try:
        run()
    except Stop:
        return
    finally:
        loop.Trainer.iterate = original
    raise AssertionError("the run came to its end")


TOPICS = {
    "sea": ["wave", "salt", "boat", "tide", "shore", "fish", "sail", "storm"],
    "kitchen": ["pan", "bread", "knife", "oven", "sugar", "plate", "soup", "spoon"],
    "music": ["violin", "drum", "chord", "song", "choir", "note", "tune", "harp"],
}
COMMON = ["morning", "people", "again", "little", "house", "long", "early", "street"]


def write_documents(folder, n=240, n_labelled=None, seed=0):
    """Documents of ten words, half of them of their topic; a tsv file, all labelled, or the first n_labelled."""
    rng = random.Random(seed)
    lines = []
    for number in range(n):
        topic = list(TOPICS)[number % len(TOPICS)]
        words = [rng.choice(TOPICS[topic] if rng.random() < 0.5 else COMMON) for _ in range(10)]
        label = topic if n_labelled is None or number < n_labelled else ""
        lines.append(f"{label}\t{' '.join(words)}")
    path = folder / f"documents{seed}-{n}-{n_labelled}.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def document_config(train, **changes):
    """Configuration of a run over documents, bags of words unless asked for, that takes about a second."""
    kind = {"kind": "documents", "n_categories": 3, "prior_hidden": (16,)}
    if changes.get("model", {}).get("encoder") != "gru":
        kind |= {"document_hidden": 16, "document_layers": 1}
    objective = {"label_weight": 5.0, "mutual_information": 1.0, "labelled_bound": False}
    sections = {"model": kind, "objective": objective, "training": {"labelled_batch_size": 4}}
    merged = {name: {**sections.get(name, {}), **changes.get(name, {})} for name in sections | changes}
    return tiny_config(train, **merged)


def write_agnews(root, sizes=(260, 40, 40), n_vectors=12):
    """A stand-in with the file names and fields of AG News, four topics; word vectors of GloVe's format beside it."""
    rng = random.Random(0)
    topics = [*TOPICS.values(), ["goal", "match", "team", "coach", "league", "score", "player", "cup"]]
    (root / "agnews").mkdir()
    for name, n in zip(("train", "dev", "test"), sizes, strict=True):
        lines = []
        for number in range(n):
            topic = topics[number % 4]
            words = [rng.choice(topic if rng.random() < 0.5 else COMMON) for _ in range(12)]
            record = {"label": number % 4 + 1, "headline": " ".join(words[:4]), "text": " ".join(words[4:])}
            lines.append(json.dumps(record))
        (root / "agnews" / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    (root / "glove").mkdir()
    known = [word for topic in topics for word in topic][:n_vectors]
    rows = [f"{word} {' '.join(f'{rng.gauss(0, 0.4):.3f}' for _ in range(6))}" for word in [*known, "elsewhere"]]
    (root / "glove" / "glove.6B.50d.txt").write_text("\n".join(rows) + "\n")
