"""Ranges and combinations of options, checked before any work is done. Each component checks its own."""

from __future__ import annotations

from svebm_ext.config.bounds import check_bounds
from svebm_ext.config.families import check_chains, check_family, check_groups, check_stages
from svebm_ext.config.kinds import KindOptions, options_of
from svebm_ext.config.labels import check_labels
from svebm_ext.config.options import Config, has_subwords
from svebm_ext.config.ranges import AS_BUILT, PROBABILITY, TOKENS, check_ranges, require
from svebm_ext.errors import ConfigError


def validate(config: Config) -> None:
    """Check ranges and combinations before any work is done.

    Raises:
        ConfigError: names the option, the value and what is expected.
    """
    check_bounds(config)
    check_ranges(config)
    kind = options_of(config.model)
    check_family(config)
    check_data(config, kind)
    kind.check(config)
    check_schedules(config, kind)
    check_stages(config, kind)
    check_groups(config, kind)
    check_labels(config, kind)
    check_chains(config, kind)


def validate_built(config: Config) -> None:
    """Check that no size of a model that has been built is left open.

    Raises:
        ConfigError: names the option and what is expected.
    """
    for name in ("embedding_dim", "encoder_hidden", "decoder_hidden", "n_categories"):
        require(config, "model", name, AS_BUILT)
    if config.model.pretrained_encoder is not None:
        require(config, "model", "sentence_encoder_dim", AS_BUILT)
    for name in ("embedding_dropout", "output_dropout"):
        require(config, "model", name, PROBABILITY)
    require(config, "data", "max_tokens", TOKENS)


def check_data(config: Config, kind: KindOptions) -> None:
    """Refuse options of data that do not go together (ConfigError)."""
    data, own = config.data, config.data.corpus == "lines"
    for name in ("train", "valid", "test", "labelled", "text_column", "label_column"):
        if not own and getattr(data, name) is not None:
            option = name.replace("_", "-")
            raise ConfigError(
                f"data.{option}: files of your own go with preset lines or documents, not with {data.corpus}"
            )
    if own and data.train is None:
        raise ConfigError("data.train: corpus 'lines' needs a file of your own text (--data.train FILE)")
    if data.tokenization == "bpe" and (not has_subwords(data) or kind.is_bag):
        raise ConfigError(
            "data.tokenization: bpe is for sequences of your own text (preset lines); bags of words and published "
            "corpora have words"
        )
    if has_subwords(data) and data.vocabulary_size < 256:
        raise ConfigError(f"data.vocabulary-size: {data.vocabulary_size} given; bpe needs 256, one for each byte")
    if data.speaker_marks and data.corpus != "smd":
        raise ConfigError(f"data.speaker-marks: corpus {data.corpus} does not say who speaks; smd does")


def check_schedules(config: Config, kind: KindOptions) -> None:
    """Refuse schedules that contradict each other, and runs that have nothing to wait for (ConfigError)."""
    objective, training = config.objective, config.training
    if objective.zero_fraction + objective.ramp_fraction > 1:
        raise ConfigError(
            f"objective.zero-fraction + ramp-fraction: {objective.zero_fraction} + {objective.ramp_fraction} exceeds 1"
        )
    if training.select == "last" and config.optimiser.schedule == "plateau":
        raise ConfigError("training.select: last given; optimiser.schedule plateau goes by the validation bound")
    for hindered, why in (
        (not kind.is_validated, "points are not validated"),
        (training.select == "last", "training.select last takes each validation for the best one"),
        (objective.schedule == "cyclical", "w of objective.schedule cyclical falls again"),
    ):
        if training.patience > 0 and hindered:
            raise ConfigError(f"training.patience: {training.patience} given, but {why}; expected 0")
