"""Options that are changed by their names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from svebm_ext.config.options import Config

#: New values of options, by section and name.
Changes: TypeAlias = Mapping[str, Mapping[str, object]]


def with_changes(config: Config, changes: Changes) -> Config:
    """The configuration with other values of some options."""
    for section, options in changes.items():
        config = replace(config, **{section: replace(getattr(config, section), **options)})
    return config
