"""Named configurations, each with what it is for. Paper and released settings: docs/math.md, Pang & Wu 2021."""

from __future__ import annotations

from svebm_ext.config import Config
from svebm_ext.errors import ConfigError
from svebm_ext.presets import agnews, assistant, daily_dialog, points, ptb, smd, yelp
from svebm_ext.presets.schemes import Preset

PRESETS: dict[str, Preset] = {
    **assistant.PRESETS,
    **ptb.PRESETS,
    **daily_dialog.PRESETS,
    **smd.PRESETS,
    **yelp.PRESETS,
    **agnews.PRESETS,
    **points.PRESETS,
}


def preset(name: str) -> Config:
    """Configuration of a preset.

    Raises:
        ConfigError: no preset of that name.
    """
    if name not in PRESETS:
        raise ConfigError(f"preset: no preset {name!r}; there are {', '.join(PRESETS)}")
    return PRESETS[name][1]
