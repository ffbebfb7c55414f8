"""Options that are changed by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, fields, is_dataclass, replace
from typing import TypeAlias

from svebm_ext.config.models import AnyModel, lacking, of_kind
from svebm_ext.config.options import Config
from svebm_ext.errors import ConfigError, nearest

#: New values of options, by section and name.
Changes: TypeAlias = Mapping[str, Mapping[str, object]]
#: Iterations of the prior alone to one of the run before it, at most, in a run whose iterations were asked for.
SECOND_STAGE_SHARE = 2


def with_changes(config: Config, changes: Changes) -> Config:
    """The configuration with other values of some options; another kind comes with the options that it has.

    Raises:
        ConfigError: no such kind, or an option that it lacks.
    """
    for section, options in changes.items():
        if section == "model":
            config = replace(config, model=_of_kind_with(config.model, options))
        config = replace(config, **{section: replace(getattr(config, section), **options)})
    return config


def _of_kind_with(model: AnyModel, options: Mapping[str, object]) -> AnyModel:
    """A model of the kind that options ask for, which has all of them."""
    model = of_kind(model, options.get("kind"), options.get("encoder"))
    for name in options:
        if lacking(type(model), name):
            raise ConfigError(f"model.{name.replace('_', '-')}: {lacking(type(model), name)}")
    return model


def _options_of(part: object) -> tuple[Field[object], ...]:
    """Fields of a part of a configuration; none of a plain value."""
    return fields(part) if is_dataclass(part) else ()


def with_named_options(config: Config, options: Mapping[str, object]) -> Config:
    """The configuration with options by their names on the command line, such as "training.batch_size".

    Raises:
        ConfigError: no such option, or none of the kind of example.
    """
    model = of_kind(config.model, options.get("model.kind"), options.get("model.encoder"))
    config = replace(config, model=model)
    for name, value in options.items():
        section, _, option = str(name).replace("-", "_").partition(".")
        known = {field.name for field in fields(config)}
        held = getattr(config, section) if section in known else None
        if not option or held is None or option not in {field.name for field in _options_of(held)}:
            raise ConfigError(_no_option(name, config))
        config = replace(config, **{section: replace(held, **{option: value})})
    return config


def with_second_stage_within(config: Config) -> Config:
    """The configuration with a second stage in proportion to the iterations that were asked for, where these are few.

    A second stage has `SECOND_STAGE_SHARE` times as many iterations at most; it stays where the text is to decide on
    the iterations. For those who ask for `training.max_steps` and say nothing of `training.prior_steps`.
    """
    training = config.training
    if training.max_steps <= 0:
        return config
    prior_steps = min(training.prior_steps, SECOND_STAGE_SHARE * training.max_steps)
    return replace(config, training=replace(training, prior_steps=prior_steps))


def _no_option(name: str, config: Config) -> str:
    """What there is to say of a name that no option of the configuration has."""
    plain = str(name).replace("-", "_")
    section, _, option = plain.partition(".")
    lacks = lacking(type(config.model), option) if section == "model" else ""
    if lacks:
        return f"options: {name!r}: {lacks}"
    every = [f"{one.name}.{own.name}" for one in fields(config) for own in _options_of(getattr(config, one.name))]
    meant = nearest(plain, every)
    hint = "" if meant is None else f"did you mean {meant!r}? "
    return f"options: no option {name!r}; {hint}names are those of train --help, such as training.batch_size"
