"""A run of a text model from configuration to folder; what `python -m svebm_ext.train` does, in Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from svebm_ext.config import Config, FeatureModel
from svebm_ext.data.corpora import load_configured
from svebm_ext.data.corpus import Corpus, texts_digest
from svebm_ext.data.sentence_vectors import CACHE, SentenceVectors
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.data.writing import load_writing, save_writing
from svebm_ext.errors import ConfigError
from svebm_ext.files import JsonObject, read_json
from svebm_ext.kinds import kind_of
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.models.folder import CONFIG, VOCABULARY
from svebm_ext.models.grouping import check_number, find_groups
from svebm_ext.models.pretrained import expected_tensors, read_encoder, read_groups
from svebm_ext.models.svebm import SVEBM
from svebm_ext.prior.groups import SymbolGroups
from svebm_ext.terminal import say
from svebm_ext.training.callbacks import Callback
from svebm_ext.training.checkpoint import check_networks
from svebm_ext.training.continuing import check_networks_of, take_over, with_note
from svebm_ext.training.feeds import FEEDS, SentenceFeed, TextFeed, training_label
from svebm_ext.training.folder import FITTED, read_run_config, resumable
from svebm_ext.training.guides import (
    LearntFeatures,
    guide_by_all_labels,
    guide_symbols,
    is_guided,
    learn_features,
)
from svebm_ext.training.guides.calibration import calibrate
from svebm_ext.training.loop import Trainer
from svebm_ext.training.prior_alone import finish_prior, hold_symbols
from svebm_ext.training.resuming import check_tokenization, check_unchanged
from svebm_ext.training.running import Run, load_best
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.sizes import fit_to_corpus, told_sizes
from svebm_ext.training.terms import learns_energy
from svebm_ext.training.validation import Validator

__all__ = ["FITTED", "TextRun", "build_vocabulary", "make_feed", "read_run_config", "train", "with_categories"]


def train(
    config: Config,
    out: Path,
    *,
    resume: bool = False,
    runtime: Runtime | None = None,
    start: Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> tuple[SVEBM, Corpus]:
    """Train a text model and write its folder.

    Args:
        config: of the run.
        out: run folder; must be new or empty unless resuming.
        resume: continue from the folder's last checkpoint.
        runtime: device and processes; started from the configuration when absent.
        start: folder of a run whose words, encoder and generator this one begins with; prior and classes are new. The
            configuration is one of `svebm_ext.training.continuing.with_networks_of`.
        callbacks: are told what the run logs (`svebm_ext.training.callbacks`).

    Returns:
        The best model by validation bound, and the corpus it was trained on.

    Raises:
        ConfigError, DataError, ModelFolderError: before any training.
        TrainingDivergedError, Interrupted, OSError: see `Run.train`.
    """
    run = TextRun(config, out, resume=resume, runtime=runtime, callbacks=callbacks)
    if start is not None and not resume:
        check_networks_of(config, read_run_config(start), start)
        run.start, run.start_folder = SVEBM.from_pretrained(start), start
    run.train()
    return run.model.eval(), run.corpus


class TextRun(Run):
    """A run of a model of texts; arguments and errors are those of `Run`."""

    corpus: Corpus
    model: SVEBM
    feed: TextFeed
    validator: Validator
    #: Model whose words and networks the run begins with, and its folder.
    start: SVEBM | None = None
    start_folder: Path = Path()
    vectors: SentenceVectors | None = None

    def check(self) -> None:
        """Refuse points (ConfigError)."""
        kind_of(self.config.model).of_texts()

    def prepare(self) -> Trainer:
        """Corpus, vocabulary, sizes that follow them, batches, and fresh networks."""
        self.corpus = self._read()
        if self.resume:
            vocabulary = Vocabulary.load(self.out / VOCABULARY)
        else:
            vocabulary = build_vocabulary(self.corpus, self.config) if self.start is None else self.start.vocabulary
        if self.resume:
            check_networks(resumable(self.out), expected_tensors(self.config, len(vocabulary), self.out))
        self.feed = make_feed(self.corpus, vocabulary, self.config, self.runtime)
        self._say(self.feed.described(self.corpus, vocabulary, self.config))
        features = None if self.resume else self._learn_features(vocabulary)
        torch.manual_seed(self.config.seed)
        self.model = SVEBM(self.config, vocabulary, self.feed.label_names, self.corpus.writing)
        self.model.texts_sha256 = texts_digest(self.corpus) if self.config.data.corpus == "lines" else None
        if self.start is not None:
            n_taken = take_over(self.model.networks, self.start)
            self._say(f"begins with {n_taken:,} numbers of {self.start_folder}: words, encoder and generator")
        self.model.vectors = self.vectors
        self._set_groups()
        if features is not None:
            features.copy_to(self.model.networks)
        self.feed.start(self.model.networks, self.config)
        self.validator = self.feed.validator(
            self.feed.valid,
            vocabulary,
            seed=self.config.seed,
            max_words=self.model.max_words,
            device=self.runtime.device,
            objective=self.config.objective,
            to_text=self.model.to_text,
            processes=self.runtime,
        )
        return Trainer(
            self.config, self.model.networks, self.feed, self.out, self.runtime, self.validator, self.callbacks
        )

    def _read(self) -> Corpus:
        """The corpus; sizes of the configuration that follow it are filled in, and told."""
        self._open_encoder()
        config, out = self.config, self.out
        if self.resume:
            before = read_run_config(out)
            check_tokenization(before, config, out)
            if config.model.n_categories == 0:  # the run has chosen it
                config = replace(config, model=replace(config.model, n_categories=before.model.n_categories))
        writing = load_writing(out, config.data) if self.resume else None
        corpus = load_configured(config.data, writing if self.start is None else self.start.writing)
        if self.start is not None:
            corpus = with_note(corpus, self.start_folder)
        self.config = fit_to_corpus(with_categories(config, corpus), corpus)
        if self.resume:
            told = check_unchanged(read_run_config(out), self.config, out)
        else:
            told = told_sizes(config, self.config)
        if told is not None:
            self._say(told)
        return self._with_vectors(corpus)

    def _open_encoder(self) -> None:
        """Find the frozen encoder, where the model has one, before there is any other work."""
        asked = self.config.model.pretrained_encoder
        if asked is None:
            return
        model = self.config.model
        assert isinstance(model, FeatureModel)  # no other kind has an encoder
        before = read_encoder(self.out) if self.resume else None
        device = str(self.runtime.device)
        cache = self.config.data.cache or self.out / CACHE
        self.vectors = SentenceVectors(asked, identity=before, cache=cache, device=device, say=self._say)
        encoder = self.vectors.open()
        if model.sentence_encoder_dim not in (0, encoder.dim):
            raise ConfigError(
                f"--model.sentence-encoder-dim: {model.sentence_encoder_dim} given, but vectors of {encoder.name} have "
                f"{encoder.dim} numbers; leave it"
            )
        model = replace(model, sentence_encoder=encoder.name, sentence_encoder_dim=encoder.dim)
        self.config = replace(self.config, model=model)
        self._say(f"sentence encoder {encoder.name}: {encoder.dim} numbers, held fixed")

    def _with_vectors(self, corpus: Corpus) -> Corpus:
        """The corpus with vectors of what is learnt from; of several processes the first computes them."""
        vectors = self.vectors
        if vectors is None:
            return corpus
        if not self.runtime.is_main:
            self.runtime.barrier()
        train, valid = (vectors.with_vectors(part, corpus.writing, keep=True) for part in (corpus.train, corpus.valid))
        if self.runtime.is_main:
            self.runtime.barrier()
        return replace(corpus, train=train, valid=valid)

    def _learn_features(self, vocabulary: Vocabulary) -> LearntFeatures | None:
        """Features and guide that the words of the text give, where the model has them; K is chosen with them."""
        if not self.config.model.has_word_features:
            return None
        known = None if self.start is None else self.start.networks.word_features
        learnt = learn_features(self.feed, vocabulary, self.config, self._say, known)
        self.config = replace(self.config, model=replace(self.config.model, n_categories=learnt.n_categories))
        return learnt

    def _set_groups(self) -> None:
        """Groups of the symbols that a run begins with: those of its folder, or even ones that it is to learn."""
        check_number(self.config.model.n_groups, max(1, self.config.model.n_categories))
        description = read_json(self.out / CONFIG) if self.resume else {}
        groups = read_groups(description, self.config, self.out)
        if groups is None and self.config.objective.group_information > 0:
            groups = SymbolGroups.even(self.config.model.n_categories, self.config.model.n_groups)
        if groups is not None:
            self.model.groups = groups

    def begin(self, trainer: Trainer) -> None:
        """Guesses of the symbols, where words guide them."""
        if is_guided(self.config):
            guide_symbols(self.model.networks, self.feed)

    def description(self) -> JsonObject:
        """What config.json holds: that of the model."""
        return self.model.description()

    def write_start(self, trainer: Trainer) -> None:
        """Write configuration, vocabulary, how words are written, and environment."""
        super().write_start(trainer)
        self.model.vocabulary.save(self.out / VOCABULARY)
        save_writing(self.model.writing, self.out)
        if not trainer.has_ended:
            (self.out / FITTED).unlink(missing_ok=True)

    def finish(self, trainer: Trainer) -> None:
        """The prior alone, how certain answers are, and the guide by all labels, where the configuration asks."""
        if self.config.training.prior_steps > 0:
            feed = SentenceFeed.of(self.feed)
            finish_prior(trainer.model, feed, self.validator, self.config, self.out, self.runtime)
        if is_guided(self.config) and self.runtime.is_main:
            calibrate(trainer.model, self.feed, self.config, say)
            guide_by_all_labels(trainer.model, self.feed, self.config, say)

    def save_best(self, trainer: Trainer) -> None:
        """Write the model folder of a run that cannot go on, its symbols held where the energy was still to come."""
        networks = self.model.networks
        load_best(networks, self.out)
        if is_guided(self.config) and not learns_energy(networks.latent, self.config):
            hold_symbols(networks, SentenceFeed.of(self.feed), self.config.seed)
        self.save()

    def save(self) -> None:
        """Write the model folder; of symbols in two levels with their groups."""
        self.model.eval()
        has_symbols = self.model.kind.options.has_groups and isinstance(self.model.networks.latent, EnergyLatent)
        if has_symbols and self.config.model.n_groups != 1 and self.model.groups is None:
            self.model.groups = find_groups(self.model, self.corpus.train, self.config.model.n_groups)
        if self.model.groups is not None:
            self._say(f"groups of symbols: {self.model.groups.n_groups} of {self.config.model.n_categories} symbols")
        self.model.save_pretrained(self.out)

    def _say(self, text: str) -> None:
        """Tell something once, however many processes there are."""
        if self.runtime.is_main:
            say(text)


def make_feed(corpus: Corpus, vocabulary: Vocabulary, config: Config, runtime: Runtime) -> TextFeed:
    """Training data of a model of texts, as its kind reads them."""
    return FEEDS[kind_of(config.model).of_texts().name](corpus, vocabulary, config, runtime)


def with_categories(config: Config, corpus: Corpus) -> Config:
    """The configuration with K symbols where it leaves K to the number of classes."""
    if config.model.n_categories > 0 or config.objective.label_weight == 0:
        return config
    _, classes = training_label(corpus, config)
    return replace(config, model=replace(config.model, n_categories=len(classes)))


def build_vocabulary(corpus: Corpus, config: Config) -> Vocabulary:
    """Vocabulary of the training split, as the kind of the model makes it."""
    return kind_of(config.model).of_texts().vocabulary(corpus, config.data)
