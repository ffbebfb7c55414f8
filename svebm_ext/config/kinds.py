"""The kinds of examples, and what each takes of the options; `svebm_ext.kinds` says what a kind does with data."""

from __future__ import annotations

from svebm_ext.config.models import BagModel, FeatureModel, ModelConfig, RecurrentModel, SentenceModel
from svebm_ext.config.options import Config
from svebm_ext.errors import ConfigError

#: Corpora of points that are generated.
GENERATED = ("gaussians8", "pinwheel")
#: Corpora of dialogs.
OF_DIALOGS = ("smd", "daily-dialog")


class KindOptions:
    """What a kind of example takes of the options. A kind owns its checks.

    Attributes:
        name: by which the parts of a kind are found; a kind of documents has one for each encoder.
        is_bag: an example is a bag of words.
        has_second_stage: the prior may learn on alone (`training.prior_steps`).
        can_regroup: the symbols may be made anew in a run (`objective.regroup_at`).
        picks_chains: persistent chains are picked from a bank; else each example has its own.
        is_validated: a run measures itself on a validation split.
        is_generated: an example is a point of a density that is known; it has no words, and there is no corpus.
        has_groups: symbols may be in two levels (`model.n_groups`).
    """

    name: str
    is_bag = False
    has_second_stage = False
    can_regroup = False
    picks_chains = True
    is_validated = True
    is_generated = False
    has_groups = False

    def check(self, config: Config) -> None:
        """Refuse options that this kind does not take.

        Raises:
            ConfigError: names the option, the value and what is expected.
        """
        model = config.model
        if (config.data.corpus in GENERATED) != self.is_generated:
            raise ConfigError(f"model.kind: {model.kind!r} does not fit data.corpus {config.data.corpus!r}")


class RecurrentOptions(KindOptions):
    """Words in their order, for recurrent networks."""

    def check(self, config: Config) -> None:
        """Refuse options that recurrent networks do not take; see `KindOptions.check`."""
        super().check(config)
        model = RecurrentModel.of(config.model)
        if model.tied and model.embedding_dim != model.decoder_hidden:
            raise ConfigError(
                f"model.tied: needs embedding-dim ({model.embedding_dim}) equal to decoder-hidden "
                f"({model.decoder_hidden}); use --model.no-tied or equal sizes"
            )


class SentenceOptions(RecurrentOptions):
    """Sentences, each by itself."""

    name = "sentences"
    has_second_stage = can_regroup = has_groups = True

    def check(self, config: Config) -> None:
        """Refuse options that sentences do not take; see `KindOptions.check`."""
        super().check(config)
        model = SentenceModel.of(config.model)
        if model.has_word_features and model.latent == "none":
            raise ConfigError(
                f"model.sentence-features: {model.sentence_features} given for {model.kind} with the latent family "
                f"{model.latent}; expected none, or sentences with a latent variable"
            )
        _check_sentence_encoder(model)


def _check_sentence_encoder(model: FeatureModel) -> None:
    """Refuse a frozen encoder where nothing reads its vectors (ConfigError); a run asks whether it is there."""
    if model.sentence_encoder is None and model.sentence_encoder_dim > 0:
        raise ConfigError(
            f"model.sentence-encoder-dim: {model.sentence_encoder_dim} given without an encoder "
            "(model.sentence-encoder); expected 0"
        )
    if model.sentence_encoder is not None and not model.has_word_features:
        raise ConfigError(
            f"model.sentence-encoder: {model.sentence_encoder} given, but its vectors stand beside those of words; set "
            "model.sentence-features words"
        )
    if model.sentence_encoder == "":
        raise ConfigError("model.sentence-encoder: nothing given, expected a folder or a name")


class SequenceOptions(RecurrentOptions):
    """Documents as sequences of words, with the networks of sentences."""

    name = "documents-gru"
    has_groups = True


class DialogOptions(RecurrentOptions):
    """Turns of dialogs, given the turns before them."""

    name = "dialogs"
    can_regroup = True
    picks_chains = False

    def check(self, config: Config) -> None:
        """Refuse options that dialogs do not take; see `KindOptions.check`."""
        super().check(config)
        corpus = config.data.corpus
        if corpus not in OF_DIALOGS:
            known = ", ".join(OF_DIALOGS)
            raise ConfigError(f"model.kind: dialogs given for corpus {corpus}, expected one of dialogs: {known}")
        if config.model.latent == "none":
            raise ConfigError("model.latent: 'none' given; a response needs a latent variable")
        if config.chains.per_iteration:
            raise ConfigError("chains.per-iteration: chains of dialogs belong to the batch's examples; set it to 0")
        if config.objective.label_weight > 0:
            raise ConfigError("objective.label-weight: dialogs are learnt without labels; set it to 0")


class BagOptions(KindOptions):
    """Documents as bags of words."""

    name = "documents-bow"
    is_bag = has_groups = True

    def check(self, config: Config) -> None:
        """Refuse options that bags of words do not take; see `KindOptions.check`."""
        super().check(config)
        if config.objective.bag_of_words > 0:
            raise ConfigError(
                "objective.bag-of-words: where documents are bags of words it is the likelihood; set it to 0"
            )
        model = BagModel.of(config.model)
        if model.latent == "none":
            raise ConfigError("model.latent: 'none' given; a bag of words needs a latent variable")
        _check_sentence_encoder(model)
        if model.class_words and model.latent != "energy":
            raise ConfigError("model.class-words: needs the energy latent family; turn it off for others")
        if model.class_words_start != "zero" and not (model.class_words and config.objective.label_weight > 0):
            raise ConfigError(
                f"model.class-words-start: {model.class_words_start} needs a table of classes (model.class-words) and "
                "labels to learn from (objective.label-weight)"
            )


class PointOptions(KindOptions):
    """Points of the plane."""

    name = "points"
    is_generated = True
    is_validated = False

    def check(self, config: Config) -> None:
        """Refuse options that points do not take; see `KindOptions.check`."""
        super().check(config)
        model = config.model
        if model.latent not in ("energy", "gaussian", "mixture", "deterministic"):
            raise ConfigError(
                f"model.latent: {model.latent!r} is for sentences; points take energy, gaussian, mixture, deterministic"
            )


OPTIONS: dict[str, KindOptions] = {
    options.name: options
    for options in (SentenceOptions(), DialogOptions(), BagOptions(), SequenceOptions(), PointOptions())
}


def options_of(model: ModelConfig) -> KindOptions:
    """What the kind of a model takes."""
    return OPTIONS[model.name]
