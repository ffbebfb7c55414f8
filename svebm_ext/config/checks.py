"""Ranges and combinations of options, checked before any work is done."""

from __future__ import annotations

import math
from typing import Any

from svebm_ext.config.bounds import check_bounds, shown
from svebm_ext.config.options import Config, has_subwords, is_bag_of_words, is_sequence
from svebm_ext.errors import ConfigError

#: Parameters may start up to this far from 0.
LARGEST_START = 100.0
#: Numbers of all chains together.
LARGEST_BANK = 100_000_000


def validate(config: Config) -> None:
    """Check ranges and combinations before any work is done.

    Raises:
        ConfigError: names the option, the value and what is expected.
    """
    check_bounds(config)
    positive = {
        "model": (
            "latent_dim", "n_variables", "n_classes", "context_turns", "context_hidden", "context_dim", "context_map",
            "document_hidden",
            "points_hidden",
        ),
        "chains": ("n_chains", "n_steps"),
        "objective": ("n_cycles",),
        "training": ("batch_size", "checkpoint_every", "log_every"),
        "evaluation": (
            "importance_samples", "annealed_chains", "annealed_temperatures", "frequency_samples", "response_samples",
            "grammar_samples", "log_z_chains", "log_z_temperatures",
        ),
        "data": ("vocabulary_size",),
    }  # fmt: skip
    for section, names in positive.items():
        for name in names:
            _require(config, section, name, lambda v: v >= 1, "an integer of at least 1")
    _validate_open_sizes(config)
    _require(config, "training", "prior_steps", lambda v: v >= 0, "0, or a number of iterations")
    _require(config, "training", "patience", lambda v: v >= 0, "0, or a number of validations")
    _require(config, "training", "recoveries", lambda v: v >= 0, "0, or a number of times")
    _require(config, "training", "sample_every", lambda v: v >= 0, "0, or a number of iterations")
    _require(config, "model", "prior_scale", lambda v: v >= 0, "a finite number of at least 0")
    _require(config, "training", "max_energy", lambda v: v > 0, "a finite number above 0")
    _require(config, "model", "init_range", lambda v: 0 <= v <= LARGEST_START, f"0, or a number up to {LARGEST_START}")
    _require(config, "data", "seed", lambda v: v >= 0, "a number of at least 0")
    for name in ("max_sentences", "annealed_sentences"):
        _require(config, "evaluation", name, lambda v: v >= 0, "0, or a number of sentences")
    for name in ("word_dropout", "document_dropout", "feature_dropout"):
        _require(config, "model", name, lambda v: 0 <= v < 1, "a probability in [0, 1)")
    for name in ("zero_fraction", "ramp_fraction", "label_ramp", "regroup_at"):
        _require(config, "objective", name, lambda v: 0 <= v <= 1, "a share in [0, 1]")
    for name in (
        "kl_weight",
        "free_bits",
        "mutual_information",
        "label_weight",
        "pseudo_label_weight",
        "bag_of_words",
        "energy_penalty",
        "dispersion",
    ):
        _require(config, "objective", name, lambda v: v >= 0 and math.isfinite(v), "a finite number of at least 0")
    _require(config, "objective", "marginal_momentum", lambda v: 0 <= v < 1, "a number in [0, 1)")
    for name in ("learning_rate", "prior_learning_rate"):
        _require(config, "optimiser", name, lambda v: v > 0 and math.isfinite(v), "a finite number above 0")
    for name in ("clip", "prior_clip", "weight_decay", "prior_weight_decay"):
        _require(config, "optimiser", name, lambda v: v >= 0 and math.isfinite(v), "a finite number of at least 0")
    _require(config, "chains", "step_size", lambda v: 0 < v < 2, "a number in (0, 2): the chain is unstable beyond")
    largest = config.chains.step_size
    _require(
        config, "chains", "final_step_size", lambda v: 0 <= v <= largest, f"0, or a number up to step-size {largest}"
    )
    _require(config, "chains", "restart_fraction", lambda v: 0 <= v <= 1, "a share in [0, 1]")
    open_symbols = config.objective.label_weight > 0 or config.objective.pseudo_labels == "words"
    least = 0 if open_symbols else 1
    _require(config, "model", "n_categories", lambda v: v >= least, f"an integer of at least {least}")
    _require(config, "model", "document_layers", lambda v: v >= 0, "an integer of at least 0")
    _require(config, "training", "labelled_batch_size", lambda v: v >= 0, "an integer of at least 0")
    _require(config, "data", "n_labelled", lambda v: v >= 0, "an integer of at least 0")
    _require(config, "model", "prior_hidden", lambda v: 1 <= len(v) <= 2 and min(v) >= 1, "one or two sizes above 0")
    _require(config, "model", "gumbel_temperature", lambda v: 1e-6 <= v <= 1e6, "a number from 1e-6 to 1e6")
    _require(
        config, "evaluation", "proposal_scale", lambda v: v >= 0 and math.isfinite(v), "0, or a finite factor above 0"
    )
    _require(config, "model", "points_std", lambda v: 1e-6 <= v <= 1e6, "a number from 1e-6 to 1e6")
    if config.seed < 0:
        raise ConfigError(f"seed: {config.seed} is outside 0 .. 2^63 - 1")
    _validate_combinations(config)


def validate_built(config: Config) -> None:
    """Check that no size of a model that has been built is left open.

    Raises:
        ConfigError: names the option and what is expected.
    """
    for name in ("embedding_dim", "encoder_hidden", "decoder_hidden", "n_categories"):
        _require(config, "model", name, lambda v: v >= 1, "an integer of at least 1, as the model has it")
    for name in ("embedding_dropout", "output_dropout"):
        _require(config, "model", name, lambda v: 0 <= v < 1, "a probability in [0, 1)")
    _require(config, "data", "max_tokens", lambda v: v >= 3, "at least 3: begin mark, one word, end mark")


def _validate_open_sizes(config: Config) -> None:
    """Sizes that may be left to the corpus, where it is text of the user's own (`training.sizes`)."""
    own = config.data.corpus == "lines"
    by_corpus = "; 0 is for text of your own: by the size of the corpus" if not own else ", or 0: by the corpus"
    sizes = [("model", name) for name in ("embedding_dim", "encoder_hidden", "decoder_hidden")]
    for section, name in (*sizes, ("training", "max_steps"), ("training", "validate_every")):
        _require(config, section, name, lambda v: v >= 1 or (own and v == 0), f"an integer of at least 1{by_corpus}")
    expected = f"at least 3: begin mark, one word, end mark{by_corpus}"
    _require(config, "data", "max_tokens", lambda v: v >= 3 or (own and v == 0), expected)
    for name in ("embedding_dropout", "output_dropout"):
        expected = "a probability in [0, 1)" + (", or -1: by the size of the corpus" if own else "")
        _require(config, "model", name, lambda v: 0 <= v < 1 or (own and v == -1), expected)


def _validate_combinations(config: Config) -> None:
    model, objective = config.model, config.objective
    if is_sequence(model) and model.tied and model.embedding_dim != model.decoder_hidden:
        raise ConfigError(
            f"model.tied: needs embedding-dim ({model.embedding_dim}) equal to decoder-hidden "
            f"({model.decoder_hidden}); use --model.no-tied or equal sizes"
        )
    if objective.zero_fraction + objective.ramp_fraction > 1:
        raise ConfigError(
            f"objective.zero-fraction + ramp-fraction: {objective.zero_fraction} + {objective.ramp_fraction} exceeds 1"
        )
    if model.latent != "energy":
        one_mixture = model.latent == "mixture" and model.n_variables == 1
        for name in ("mutual_information", "label_weight", "energy_penalty"):
            if getattr(objective, name) > 0 and not (one_mixture and name == "label_weight"):
                raise ConfigError(f"objective.{name}: the {model.latent} latent family has no symbols; it must be 0")
    if model.latent == "mixture" and model.latent_dim % model.n_variables:
        raise ConfigError(
            f"model.latent-dim: {model.latent_dim} is no multiple of the {model.n_variables} mixtures "
            "(model.n-variables)"
        )
    if model.kind == "points" and model.latent not in ("energy", "gaussian", "deterministic"):
        raise ConfigError(
            f"model.latent: {model.latent!r} is for sentences; points take energy, gaussian, deterministic"
        )
    proposal_scale = config.evaluation.proposal_scale
    if proposal_scale not in (0, 1) and model.latent in ("categorical", "deterministic", "none"):
        raise ConfigError(
            f"evaluation.proposal-scale: {proposal_scale} given; the {model.latent} latent family has no Gaussian "
            "vector that could be widened; expected 0 or 1"
        )
    if config.chains.per_iteration < 0:
        raise ConfigError(f"chains.per-iteration: {config.chains.per_iteration} given, expected at least 0")
    if config.training.select == "last" and config.optimiser.schedule == "plateau":
        raise ConfigError("training.select: last given; optimiser.schedule plateau goes by the validation bound")
    _validate_patience(config)
    _validate_prior_stages(config)
    _validate_labels(config)
    batch = config.training.batch_size + (config.training.labelled_batch_size if objective.labelled_bound else 0)
    picked = config.chains.per_iteration or batch
    _validate_dialogs(config)
    if config.chains.restart_from == "posterior" and (config.chains.mode == "short_run" or model.kind == "dialogs"):
        what = "short-run chains have" if config.chains.mode == "short_run" else "a dialog's own chain has"
        raise ConfigError(f"chains.restart-from: posterior given; {what} no part in it, expected reference")
    if config.chains.n_chains * model.latent_dim > LARGEST_BANK:
        raise ConfigError(
            f"chains.n-chains: {config.chains.n_chains:,} chains of {model.latent_dim:,} numbers (model.latent-dim) "
            f"given, expected at most {LARGEST_BANK:,} numbers"
        )
    own_bank = config.chains.mode == "persistent" and model.kind != "dialogs"
    if own_bank and config.chains.n_chains < picked:
        raise ConfigError(
            f"chains.n-chains: {config.chains.n_chains} chains are fewer than the {picked} that are picked from them "
            "without replacement at each iteration (chains.per-iteration, or the batch)"
        )
    if (model.kind == "points") != (config.data.corpus in ("gaussians8", "pinwheel")):
        raise ConfigError(f"model.kind: {model.kind!r} does not fit data.corpus {config.data.corpus!r}")
    for name in ("train", "valid", "test", "labelled", "text_column", "label_column"):
        if config.data.corpus != "lines" and getattr(config.data, name) is not None:
            option = name.replace("_", "-")
            raise ConfigError(f"data.{option}: files of your own go with preset lines, not with {config.data.corpus}")
    if config.data.corpus == "lines" and config.data.train is None:
        raise ConfigError("data.train: corpus 'lines' needs a file of your own text (--data.train FILE)")
    if config.data.tokenization == "bpe" and (not has_subwords(config.data) or is_bag_of_words(model)):
        raise ConfigError(
            "data.tokenization: bpe is for sequences of your own text (preset lines); bags of words and published "
            "corpora have words"
        )
    if has_subwords(config.data) and config.data.vocabulary_size < 256:
        raise ConfigError(
            f"data.vocabulary-size: {config.data.vocabulary_size} given; bpe needs 256, one for each byte"
        )


def _validate_dialogs(config: Config) -> None:
    """Combinations that concern dialogs."""
    model, corpus = config.model, config.data.corpus
    if config.data.speaker_marks and corpus != "smd":
        raise ConfigError(f"data.speaker-marks: corpus {corpus} does not say who speaks; smd does")
    if model.kind != "dialogs":
        return
    if corpus not in ("smd", "daily_dialog"):
        raise ConfigError(f"model.kind: dialogs given for corpus {corpus}, expected one of dialogs: smd, daily_dialog")
    if model.latent == "none":
        raise ConfigError("model.latent: 'none' given; a response needs a latent variable")
    if config.chains.per_iteration:
        raise ConfigError("chains.per-iteration: chains of dialogs belong to the batch's examples; set it to 0")
    if config.objective.label_weight > 0:
        raise ConfigError("objective.label-weight: dialogs are learnt without labels; set it to 0")


def _validate_patience(config: Config) -> None:
    """Runs that have nothing to wait for."""
    patience = config.training.patience
    for hindered, why in (
        (config.model.kind == "points", "points are not validated"),
        (config.training.select == "last", "training.select last takes each validation for the best one"),
        (config.objective.schedule == "cyclical", "w of objective.schedule cyclical falls again"),
    ):
        if patience > 0 and hindered:
            raise ConfigError(f"training.patience: {patience} given, but {why}; expected 0")


def _validate_prior_stages(config: Config) -> None:
    """What happens to the prior once in a run, or after it."""
    model, objective = config.model, config.objective
    if config.training.prior_steps > 0 and not (model.kind == "sentences" and model.latent == "energy"):
        raise ConfigError("training.prior-steps: needs sentences and an energy-based prior (model.kind, model.latent)")
    guided = objective.pseudo_label_weight > 0 and objective.pseudo_labels == "words"
    if config.training.prior_steps > 0 and objective.label_weight > 0 and not guided:
        raise ConfigError(
            "training.prior-steps: the prior alone would forget labels (objective.label-weight); set it to 0"
        )
    if config.training.prior_stage == "second" and config.training.prior_steps == 0:
        raise ConfigError("training.prior-stage: second given, but no iterations for it; set training.prior-steps")
    if config.training.prior_stage == "second" and objective.regroup_at > 0:
        raise ConfigError(
            "objective.regroup-at: no symbols before the second stage (training.prior-stage); set it to 0"
        )
    if objective.regroup_at > 0 and not (model.kind in ("sentences", "dialogs") and model.latent == "energy"):
        raise ConfigError(
            "objective.regroup-at: needs sentences or dialogs, and symbols (model.kind, model.latent energy)"
        )
    if objective.regroup_at > 0 and objective.label_weight > 0:
        raise ConfigError("objective.regroup-at: symbols are classes where labels are learnt; set it to 0")


def _validate_labels(config: Config) -> None:
    """Combinations that concern labels and bags of words."""
    model, objective = config.model, config.objective
    if model.class_words and (not is_bag_of_words(model) or model.latent != "energy"):
        raise ConfigError(
            "model.class-words: needs bags of words (model.encoder bow) and the energy latent family; turn it off for "
            "others (preset agnews-gru has the settings of a sequence model)"
        )
    if model.class_words_start != "zero" and not (model.class_words and objective.label_weight > 0):
        raise ConfigError(
            f"model.class-words-start: {model.class_words_start} needs a table of classes (model.class-words) and "
            "labels to learn from (objective.label-weight)"
        )
    _validate_guide(config)
    if is_bag_of_words(model) and objective.bag_of_words > 0:
        raise ConfigError("objective.bag-of-words: where documents are bags of words it is the likelihood; set it to 0")
    if is_bag_of_words(model) and model.latent == "none":
        raise ConfigError("model.latent: 'none' given; a bag of words needs a latent variable")
    for section, name in (("training", "labelled_batch_size"), ("data", "n_labelled"), ("data", "labelled")):
        if getattr(getattr(config, section), name) and objective.label_weight == 0:
            option = f"{section}.{name.replace('_', '-')}"
            raise ConfigError(f"{option}: needs labels to learn from (objective.label-weight)")
    if model.latent == "mixture" and config.training.labelled_batch_size > 0 and not objective.labelled_bound:
        raise ConfigError("objective.labelled-bound: a mixture learns labels from sentences of the bound; leave it on")
    if objective.label_at == "sample":
        if model.latent != "energy" or max(objective.label_weight, objective.pseudo_label_weight) == 0:
            raise ConfigError(
                "objective.label-at: sample needs the energy latent family, and objective.label-weight or "
                "pseudo-label-weight"
            )
        if config.training.labelled_batch_size > 0 and not objective.labelled_bound:
            raise ConfigError(
                "objective.label-at: sample needs labelled examples in the bound; leave labelled-bound on"
            )
    if config.training.select == "accuracy" and objective.label_weight == 0:
        raise ConfigError("training.select: accuracy needs labels to learn from (objective.label-weight)")


def _validate_guide(config: Config) -> None:
    """What may guide classes or symbols, and where."""
    model, objective = config.model, config.objective
    by_words = objective.pseudo_labels == "words"
    if model.sentence_features != "none" and not (model.kind == "sentences" and model.latent != "none"):
        raise ConfigError(
            f"model.sentence-features: {model.sentence_features} given for {model.kind} with the latent family "
            f"{model.latent}; expected none, or sentences with a latent variable"
        )
    if objective.group_by != "auto" and not (by_words and objective.pseudo_label_weight > 0):
        raise ConfigError(
            f"objective.group-by: {objective.group_by} given, but words find no symbols here (objective.pseudo-labels "
            "words, objective.pseudo-label-weight above 0); expected auto"
        )
    if objective.group_by != "auto" and objective.label_weight > 0:
        raise ConfigError(
            f"objective.group-by: {objective.group_by} given, but symbols are the classes of the labels "
            "(objective.label-weight above 0); expected auto"
        )
    if objective.pseudo_label_weight == 0:
        return
    if by_words and not (model.sentence_features == "words" and model.latent == "energy"):
        raise ConfigError(
            "objective.pseudo-labels: words needs sentences, the energy latent family and model.sentence-features words"
        )
    if not by_words and not (is_bag_of_words(model) and objective.label_weight > 0):
        raise ConfigError(
            f"objective.pseudo-label-weight: pseudo-labels {objective.pseudo_labels} need bags of words and labels to "
            "learn from (objective.label-weight); sentences take words"
        )


def _require(config: Config, section: str, name: str, accepts: Any, expected: str) -> None:
    value = getattr(getattr(config, section), name)
    if not accepts(value):
        raise ConfigError(f"{section}.{name.replace('_', '-')}: {shown(value)} given, expected {expected}")
