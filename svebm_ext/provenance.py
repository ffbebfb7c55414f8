"""Which commit of the sources runs: of a clone what git says, of an installed package what its build recorded."""

from __future__ import annotations

import subprocess
from pathlib import Path

import svebm_ext
from svebm_ext.ops.native_library import read_build_record


def commit_of_clone() -> str:
    """Commit, in full, of the clone that this package is part of; empty for an installed package, and without git."""
    package = _package()
    # An installed package may lie inside some other repository, whose commit says nothing about it.
    top = _git(package, "rev-parse", "--show-toplevel")
    tracked = _git(package, "ls-files", "__init__.py")
    if not (top and tracked and Path(top).resolve() == package.parent):
        return ""
    return _git(package, "rev-parse", "HEAD")


def source_version() -> str:
    """Commit of the sources that run, `+changes` where files differ from it, and the package's version.

    Of an installed package the commit that it was built from, where the build knew it.
    """
    package = _package()
    version = f"svebm_ext {svebm_ext.__version__}"
    commit = commit_of_clone()[:12]
    if commit:
        commit += "+changes" if _git(package, "status", "--porcelain", "--untracked-files=no") else ""
    elif not (package.parent / ".git").exists():  # with one it is a clone, but there is no git
        built, *changed = str(read_build_record(package).get("commit", "")).split("+")
        commit = "+".join([built[:12], *changed])
    return f"{commit} ({version})" if commit else version


def _package() -> Path:
    return Path(svebm_ext.__file__).resolve().parent


def _git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *arguments]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip() if result.returncode == 0 else ""
