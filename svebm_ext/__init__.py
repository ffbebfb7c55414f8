"""Latent-space energy-based models of text with symbol-vector coupling (SVEBM, Pang & Wu, ICML 2021)."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.2.0"
__all__ = ["SVEBM", "TextModel", "__version__", "langevin", "load_corpus", "load_text", "preset"]

if TYPE_CHECKING:
    from svebm_ext.data import load_corpus, load_text
    from svebm_ext.estimator import TextModel
    from svebm_ext.models.svebm import SVEBM
    from svebm_ext.ops.langevin import langevin
    from svebm_ext.presets import preset

# Imported where first used: `import svebm_ext` costs next to nothing, and one command loads only what it needs.
_HOMES = {
    "SVEBM": "svebm_ext.models.svebm",
    "TextModel": "svebm_ext.estimator",
    "langevin": "svebm_ext.ops.langevin",
    "load_corpus": "svebm_ext.data",
    "load_text": "svebm_ext.data",
    "preset": "svebm_ext.presets",
}


def __getattr__(name: str) -> object:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'svebm_ext' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
