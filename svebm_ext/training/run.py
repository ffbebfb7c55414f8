"""A run from configuration to model folder; what `python -m svebm_ext.train` does, in Python."""

from __future__ import annotations

import contextlib
import copy
import math
import platform
import sys
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from svebm_ext import __version__
from svebm_ext.config import Config, check_bounds, from_dict, is_bag_of_words, validate
from svebm_ext.data.corpora import load_configured
from svebm_ext.data.corpus import Corpus, texts_digest
from svebm_ext.data.coverage import unknown_note, unknown_share
from svebm_ext.data.documents import document_vocabulary
from svebm_ext.data.subwords import Subwords
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.data.writing import load_writing, save_writing
from svebm_ext.errors import ConfigError, ModelFolderError, TrainingDivergedError
from svebm_ext.files import read_json, write_json
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.latents.gaussian import GaussianPosterior
from svebm_ext.models.document import WORD_STD, DocumentDecoder, DocumentEncoder
from svebm_ext.models.latent_variable import LatentVariableModel
from svebm_ext.models.pretrained import CONFIG, expected_tensors
from svebm_ext.models.svebm import SVEBM
from svebm_ext.models.tensor_files import load_parameters
from svebm_ext.prior.mixture_start import START_ITERATIONS, start_at_mixture
from svebm_ext.prior.second_stage import INFORMATION, MAX_SENTENCES, fit_prior
from svebm_ext.terminal import say
from svebm_ext.training.checkpoint import check_networks, load_checkpoint, prefixed, save_checkpoint, section
from svebm_ext.training.encoding import encoded_rows, posterior_of
from svebm_ext.training.feeds import DialogFeed, DocumentFeed, SentenceFeed, training_label
from svebm_ext.training.guides import guide_by_all_labels, guide_symbols, is_guided, learn_features
from svebm_ext.training.lock import only_training
from svebm_ext.training.loop import BEST, LAST, Trainer, resumable
from svebm_ext.training.resuming import check_tokenization, check_unchanged
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.saved_state import Fields
from svebm_ext.training.sizes import fit_to_corpus, told_sizes
from svebm_ext.training.update import learns_energy
from svebm_ext.training.validation import Validator

#: The model after the second stage, of the prior alone.
FITTED = "checkpoints/fitted.safetensors"


def read_run_config(run: Path) -> Config:
    """Configuration of a run folder.

    Raises:
        ModelFolderError: no run folder, or a damaged one.
    """
    if not run.is_dir():
        raise ModelFolderError(f"{run}: no such run folder")
    description = read_json(run / CONFIG)
    if not isinstance(description, dict) or "config" not in description:
        raise ModelFolderError(f"{run / CONFIG}: no usable configuration: expected an object with an entry config")
    try:
        config = from_dict(description["config"])
        check_bounds(config)
    except ConfigError as error:
        raise ModelFolderError(f"{run / CONFIG}: no usable configuration ({error})") from error
    return config


def train(config: Config, out: Path, *, resume: bool = False, runtime: Runtime | None = None) -> tuple[SVEBM, Corpus]:
    """Train a text model and write its folder.

    Args:
        config: of the run.
        out: run folder; must be new or empty unless resuming.
        resume: continue from the folder's last checkpoint.
        runtime: device and processes; started from the configuration when absent.

    Returns:
        The best model by validation bound, and the corpus it was trained on.

    Raises:
        ConfigError, DataError, ModelFolderError: before any training.
        TrainingDivergedError: see `Trainer.run`; the folder then holds the best valid model, if there was one.
        Interrupted: see `Trainer.run`.
        OSError: the folder, a file or the disk; the last good checkpoint is kept.
    """
    validate(config)
    runtime = runtime or Runtime.start(config.training.device, config.training.precision)
    if config.model.kind == "points":
        raise ConfigError(f"model.kind: {config.model.kind} is trained by svebm_ext.training.points")
    check_folder(out, resume)
    with only_training(out, say) if runtime.is_main else contextlib.nullcontext():
        return _train(config, out, resume, runtime)


def _train(config: Config, out: Path, resume: bool, runtime: Runtime) -> tuple[SVEBM, Corpus]:
    """`train` in a folder that no other training is at work in."""
    if resume:
        before = read_run_config(out)
        check_tokenization(before, config, out)
        if config.model.n_categories == 0:  # the run has chosen it
            config = replace(config, model=replace(config.model, n_categories=before.model.n_categories))
    corpus = load_configured(config.data, load_writing(out, config.data) if resume else None)
    asked, config = config, fit_to_corpus(with_categories(config, corpus), corpus)
    told = told_sizes(asked, config) if not resume else check_unchanged(read_run_config(out), config, out)
    if told is not None and runtime.is_main:
        say(told)
    vocabulary = Vocabulary.load(out / "vocab.json") if resume else build_vocabulary(corpus, config)
    if resume:
        check_networks(resumable(out), expected_tensors(config, len(vocabulary), out))
    feed = make_feed(corpus, vocabulary, config, runtime)
    if runtime.is_main:
        _tell(corpus, feed, vocabulary, config)
    found = None
    if config.model.sentence_features == "words" and not resume:
        found = learn_features(cast(SentenceFeed, feed), vocabulary, config, say if runtime.is_main else _say_nothing)
        config = replace(config, model=replace(config.model, n_categories=found.n_categories))
    torch.manual_seed(config.seed)
    model = SVEBM(config, vocabulary, feed.label_names, corpus.writing)
    model.texts_sha256 = texts_digest(corpus) if config.data.corpus == "lines" else None
    if found is not None:
        found.copy_to(model.networks)
    if isinstance(feed, DocumentFeed):
        start_words(model.networks.encoder, model.networks.decoder, feed, config)
    validator = Validator(
        feed.valid,
        vocabulary,
        seed=config.seed,
        max_words=model.max_words,
        device=runtime.device,
        objective=config.objective,
        to_text=model.to_text,
    )
    trainer = Trainer(config, model.networks, feed, out, runtime, validator)
    if resume:
        trainer.resume()  # before anything is written: a refused resume leaves the folder as it was
    if is_guided(config):
        guide_symbols(model.networks, cast(SentenceFeed, feed))
    if runtime.is_main:
        start_folder(out, model, resume)
        if not trainer.has_ended:
            (out / FITTED).unlink(missing_ok=True)
    runtime.barrier()
    try:
        trainer.run()
    except TrainingDivergedError as error:
        if not (out / BEST).exists():
            raise
        if runtime.is_main:
            save_best(model, feed, config, out)
        raise TrainingDivergedError(f"{error}; the best valid model is in {out}") from None
    if runtime.is_main:
        trainer.check_folder()
        if trainer.best is not None and not (out / BEST).exists():
            say(f"{out / BEST}: is gone; the model is that of the last iteration")
        load_best(trainer.model, out)
        if config.training.prior_steps > 0:
            finish_prior(trainer.model, cast(SentenceFeed, feed), validator, config, out)
        if is_guided(config):
            guide_by_all_labels(trainer.model, cast(SentenceFeed, feed), config, say)
        model.eval()
        trainer.check_folder()
        model.save_pretrained(out)
    return model.eval(), corpus


def make_feed(corpus: Corpus, vocabulary: Vocabulary, config: Config, runtime: Runtime) -> SentenceFeed | DocumentFeed:
    """Training data of a model of texts, as its kind reads them."""
    if is_bag_of_words(config.model):
        return DocumentFeed(corpus, vocabulary, config, runtime)
    return (DialogFeed if config.model.kind == "dialogs" else SentenceFeed)(corpus, vocabulary, config, runtime)


def start_words(encoder: DocumentEncoder, decoder: DocumentDecoder, feed: DocumentFeed, config: Config) -> None:
    """Give a generator of bags of words its background, and its table of classes a start where one is asked for.

    The table starts at log p(w|y) - log p(w), naive Bayes with EM on the labels of the run: softmax(background + T_y)
    then is p(w|y). Table rows beyond the classes of the label start at 0. The encoder's first 2K features (as many as
    there are) start at plus and minus log p(w|y) less its mean over classes, scaled to the spread of the others.
    """
    background = feed.train.log_frequencies()
    with torch.no_grad():
        decoder.background.copy_(background)
        if config.model.class_words_start == "naive_bayes" and decoder.class_words is not None:
            found = feed.naive_bayes.log_words.float() - background
            decoder.class_words[: len(found)].copy_(found)
            ratios = found - found.mean(0)
            signed = torch.stack((ratios, -ratios)).flatten(0, 1)[: encoder.feature_dim] * (WORD_STD / ratios.std())
            encoder.words.weight[:, : len(signed)] = signed.T


def with_categories(config: Config, corpus: Corpus) -> Config:
    """The configuration with K symbols where it leaves K to the number of classes."""
    if config.model.n_categories > 0 or config.objective.label_weight == 0:
        return config
    _, classes = training_label(corpus, config)
    return replace(config, model=replace(config.model, n_categories=len(classes)))


def build_vocabulary(corpus: Corpus, config: Config) -> Vocabulary:
    """Vocabulary of the training split, as large as the configuration allows; for bags of words without stop words
    where it asks for that."""
    sentences, size = corpus.train.sentences, config.data.vocabulary_size
    if is_bag_of_words(config.model):
        return document_vocabulary(sentences, size, remove_stop_words=config.data.remove_stop_words)
    if isinstance(corpus.writing, Subwords):
        return Vocabulary(corpus.writing.tokens)
    return Vocabulary.build(sentences, max_size=size)


def _tell(corpus: Corpus, feed: SentenceFeed | DocumentFeed, vocabulary: Vocabulary, config: Config) -> None:
    """Say what is trained on, on standard error."""
    sizes = " / ".join(f"{len(split):,}" for split in (corpus.train, corpus.valid, corpus.test))
    if isinstance(feed, DocumentFeed):
        n_labelled = int((feed.train.labels >= 0).sum())
        lines = [
            f"{corpus.name}: {sizes} documents (train / valid / test), {n_labelled:,} labelled, "
            f"{feed.train.n_words:,} words, {feed.steps_per_epoch:,} iterations an epoch"
        ]
        if feed.train.n_empty:
            lines.append(f"{feed.train.n_empty:,} training documents have no word of the vocabulary")
        say("\n".join([*lines, *corpus.notes]))
        return
    tokens = "subwords" if isinstance(corpus.writing, Subwords) else "words"
    lines = [
        f"{corpus.name}: {sizes} sentences (train / valid / test), {len(vocabulary):,} {tokens}, "
        f"{feed.steps_per_epoch:,} iterations an epoch, {feed.padding():.2%} of positions would be padding"
    ]
    if feed.train.n_truncated:
        lines.append(f"{feed.train.n_truncated:,} training sentences were cut to {feed.train.max_tokens} tokens")
    unknown = unknown_share(corpus.test.sentences, vocabulary)
    if unknown:
        lines.append(unknown_note(unknown, config.data))
    say("\n".join([*lines, *corpus.notes]))


def check_folder(out: Path, resume: bool) -> None:
    """Refuse to write over another run.

    Raises:
        ConfigError: the folder holds a run and `resume` is not asked for.
        ModelFolderError: `resume` is asked for, and there is no checkpoint.
    """
    if resume:
        resumable(out)
    if not resume and (out / LAST).exists():
        raise ConfigError(f"--out: {out} already holds a run; use --resume {out} to continue it, or another folder")
    if not resume and (out / "model.safetensors").exists():
        raise ConfigError(f"--out: {out} already holds a model; choose another folder")
    if out.exists() and not out.is_dir():
        raise ConfigError(f"--out: {out} is not a folder")


def start_folder(out: Path, model: SVEBM, resume: bool) -> None:
    """Write what does not change during the run: configuration, vocabulary, environment."""
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / CONFIG, model.description())
    model.vocabulary.save(out / "vocab.json")
    save_writing(model.writing, out)
    if not resume:
        write_json(out / "env.json", environment())


def load_best(model: LatentVariableModel, out: Path) -> None:
    """Put the best validated parameters into a model, the last ones where none were validated."""
    path = out / BEST if (out / BEST).exists() else out / LAST
    tensors, _ = load_checkpoint(path)
    load_parameters(model, section(tensors, "model"), str(path))


def save_best(model: SVEBM, feed: SentenceFeed | DocumentFeed, config: Config, out: Path) -> None:
    """Write the model folder of a run that cannot go on, of the best state that it had."""
    load_best(model.networks, out)
    if is_guided(config) and not learns_energy(model.networks.latent, config):
        hold_symbols(model.networks, cast(SentenceFeed, feed), config.seed)
    model.eval().save_pretrained(out)


def finish_prior(
    model: LatentVariableModel, feed: SentenceFeed, validator: Validator, config: Config, out: Path
) -> None:
    """Second stage of a run: the prior of the best model learns alone, and is kept if the validation bound is better.

    It is done once and kept in FITTED. Interrupted, it is done from its beginning, with the same result.
    """
    path, n_iterations = out / FITTED, config.training.prior_steps
    if path.exists():
        tensors, state = load_checkpoint(path)
        if Fields(state, f"{path}: state").integer("prior_steps") == n_iterations:
            load_parameters(model, section(tensors, "model"), str(path))
            return
    learnt = copy.deepcopy(model.latent.state_dict())
    guided = is_guided(config)
    # Where f has learnt symbols but no energy yet, p(z) is N(0, I).
    before = validator.measure(model, energy=not guided or learns_energy(model.latent, config))["valid_bound"]
    latent = cast(EnergyLatent, model.latent)
    posterior, targets = positives(model, feed)
    fit_prior(
        latent.prior, posterior, n_iterations, seed=config.seed, step_size=latent.step_size, targets=targets,
        information=INFORMATION * config.objective.mutual_information, say=say,
    )  # fmt: skip
    finite = all(bool(p.isfinite().all()) for p in model.latent.parameters())
    after = validator.measure(model)["valid_bound"] if finite else math.nan
    kept = after < before
    if not kept:
        model.latent.load_state_dict(learnt)
        if guided and not learns_energy(model.latent, config):
            hold_symbols(model, feed, config.seed, n_iterations)
    say(f"prior alone: validation bound {before:.3f} before, {after:.3f} after{'' if kept else ', not kept'}")
    state = {"prior_steps": n_iterations, "valid_bound_before": before, "kept": kept}
    save_checkpoint(path, prefixed(model.state_dict(), "model"), state)


def positives(model: LatentVariableModel, feed: SentenceFeed) -> tuple[GaussianPosterior, Tensor | None]:
    """q(z|x) of the sentences that the prior alone learns from, and the guesses of their symbols, if there are some."""
    posterior = posterior_of(model, feed.train, MAX_SENTENCES)
    if feed.guesses is None:
        return posterior, None
    return posterior, feed.guesses[encoded_rows(feed.train, MAX_SENTENCES)].to(posterior.mean.device)


def hold_symbols(
    model: LatentVariableModel, feed: SentenceFeed, seed: int, n_iterations: int = START_ITERATIONS
) -> None:
    """Move f so that p(z) is N(0, I), where nothing better was learnt, while the symbols agree with the guesses."""
    posterior, targets = positives(model, feed)
    prior = cast(EnergyLatent, model.latent).prior
    start_at_mixture(prior, posterior, cast(Tensor, targets), seed=seed, n_iterations=n_iterations, flat=True)


def _say_nothing(text: str) -> None:
    pass


def environment() -> dict[str, object]:
    """Versions and machine of a run, for env.json."""
    return {
        "svebm_ext": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
    }
