"""Named configurations, each with what it is for. Paper and released settings: docs/math.md, Pang & Wu 2021."""

from __future__ import annotations

from svebm_ext.config import Config
from svebm_ext.errors import ConfigError, alternatives
from svebm_ext.presets import agnews, assistant, daily_dialog, documents, points, ptb, smd, yelp
from svebm_ext.presets.schemes import Preset

PRESETS: dict[str, Preset] = {
    **assistant.PRESETS,
    **documents.PRESETS,
    **ptb.PRESETS,
    **daily_dialog.PRESETS,
    **smd.PRESETS,
    **yelp.PRESETS,
    **agnews.PRESETS,
    **points.PRESETS,
}

#: Names that presets had before they were called after the rows of the tables; they go on working.
FORMER_NAMES = {
    **{
        f"{old}{end}": f"{corpus}-svebm-ib{end}"
        for old, corpus in (("ptb", "ptb"), ("dd", "dailydialog"), ("smd", "smd"), ("yelp", "yelp"))
        for end in ("", "-paper", "-released")
    },
    **{
        name.replace("dailydialog", "dd"): name
        for name in daily_dialog.PRESETS
        if not name.startswith("dailydialog-svebm-ib")
    },
    "ptb-joint": "ptb-svebm-ib-joint",
    "agnews": "agnews-svebm-ib",
    "agnews-gru": "agnews-svebm-ib-gru",
}


def is_preset(name: str) -> bool:
    """Whether a preset has that name, or had it once."""
    return name in PRESETS or name in FORMER_NAMES


def preset(name: str) -> Config:
    """Configuration of a preset, by its name or a former one.

    Raises:
        ConfigError: no preset of that name.
    """
    name = FORMER_NAMES.get(name, name)
    if name not in PRESETS:
        raise ConfigError(f"preset: no preset {name!r}; {alternatives(name, PRESETS, 'there are')}")
    return PRESETS[name][1]
