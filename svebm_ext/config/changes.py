"""Options that are changed by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from svebm_ext.config.models import AnyModel, lacking, of_kind
from svebm_ext.config.options import Config
from svebm_ext.errors import ConfigError

#: New values of options, by section and name.
Changes: TypeAlias = Mapping[str, Mapping[str, object]]


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
