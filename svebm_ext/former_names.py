"""Modules that have moved, by their former names: scripts written for these go on working.

`import svebm_ext` registers the finder, which knows nothing but these names.
"""

from __future__ import annotations

import importlib
import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "svebm_ext.models.energy": "svebm_ext.prior.network",
    "svebm_ext.sampling": "svebm_ext.prior",
    "svebm_ext.sampling.annealed": "svebm_ext.prior.annealing",
    "svebm_ext.sampling.diagnostics": "svebm_ext.prior.diagnostics",
    "svebm_ext.sampling.posterior": "svebm_ext.prior.posterior",
}


class _Moved(MetaPathFinder, Loader):
    """Finds a module by its former name, as a name for the present one."""

    def find_spec(self, fullname: str, path: object = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The module's place, for names in MOVED alone."""
        if fullname not in MOVED:
            return None
        is_package = any(name.startswith(f"{fullname}.") for name in MOVED)
        return ModuleSpec(fullname, self, is_package=is_package)

    def exec_module(self, module: ModuleType) -> None:
        """Let the module answer with what the present one has."""
        present = importlib.import_module(MOVED[module.__name__])
        module.__getattr__ = lambda name: getattr(present, name)  # type: ignore[method-assign]


def keep_former_names() -> None:
    """Register the finder, once."""
    if not any(isinstance(finder, _Moved) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Moved())
