"""Which commit of the sources runs: of a clone what git says, of an installed package what its build recorded."""

from __future__ import annotations

import functools
import subprocess
import time
from pathlib import Path

import svebm_ext
from svebm_ext.ops.native_library import read_build_record

#: Times that git is asked, and seconds between them: while another command changes the repository it may fail.
ATTEMPTS, PAUSE = 5, 0.2


def commit_of_clone() -> str:
    """Commit, in full, of the clone that this package is part of; empty for an installed package, and without git."""
    package = _package()
    # An installed package may lie inside some other repository, whose commit says nothing about it.
    if not (package.parent / ".git").exists() or not _git(package, "ls-files", "__init__.py"):
        return ""
    return _git(package, "rev-parse", "HEAD")


def source_version() -> str:
    """Commit of the sources that run, `+changes` where files differ from it, and the package's version.

    Of an installed package the commit that it was built from, where the build knew it. A process is asked once: files
    that change while it runs are not those that it has read.
    """
    return _version_of(_package())


@functools.cache
def _version_of(package: Path) -> str:
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


def _git(package: Path, *arguments: str) -> str:
    """What git says about the package; empty where it says nothing."""
    # Without this `git status` locks the index, and one that is killed leaves the lock behind.
    command = ["git", "--no-optional-locks", "-C", str(package), *arguments]
    attempts = ATTEMPTS if (package.parent / ".git").exists() else 1
    for attempt in range(attempts):
        time.sleep(PAUSE if attempt else 0.0)
        try:
            result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
        except subprocess.TimeoutExpired:
            continue
        except OSError:  # there is no git
            return ""
        if result.returncode == 0:
            return result.stdout.strip()
    return ""
