"""Sentences of a chosen sentiment, generated and measured: what `yelp` does with each finished run.

Judge and language model are trained once on real text and kept in OUT (judge.safetensors, language_model.safetensors);
what is measured of a run is kept in its folder (control.json).
"""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass
from pathlib import Path

from svebm_ext.data.corpora import load_corpus
from svebm_ext.data.corpus import Corpus
from svebm_ext.experiments.rows import Budget, Further, Place, Run
from svebm_ext.files import JsonObject, read_json, write_json
from svebm_ext.provenance import source_version

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


class Control(Further):
    """Further work on a finished run: control.json."""

    def __init__(self, budget: Budget) -> None:
        self.settings = SETTINGS[budget]

    def done(self, run: Run) -> bool:
        """Whether there is a control.json of these settings."""
        return kept(run.folder / CONTROL, self.settings) is not None

    def work(self, run: Run) -> None:
        """Write control.json."""
        from svebm_ext.experiments.yelp_measured import control_document, make_yardstick, vectors
        from svebm_ext.models.svebm import SVEBM
        from svebm_ext.training.runtime import Runtime

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
    from svebm_ext.experiments.yelp_measured import classes, control_document, make_yardstick
    from svebm_ext.training.runtime import Runtime

    corpus = yelp(place.root)
    yardstick = make_yardstick(corpus, settings, place.out, Runtime.alone(place.device).device)
    values = corpus.test.labels[LABEL]
    sentences = {
        name: [s for s, value in zip(corpus.test.sentences, values, strict=True) if value == name]
        for name in classes(corpus)
    }
    document = control_document({"": sentences}, yardstick, settings)
    about = {"seed": settings.seed, "commit": source_version(), "device": "cpu", "warnings": []}
    write_json(place.out / REFERENCE, document | {"about": about | {"sample_counts": document["sample_counts"]}})
