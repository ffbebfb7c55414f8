"""Which commit runs: of a clone, of an installed package, and where nobody knows."""

import json
import os
import shutil
import subprocess
import sys

import pytest

import svebm_ext
from svebm_ext import provenance
from svebm_ext.provenance import commit_of_clone, source_version


def copied_package(folder, monkeypatch):
    package = folder / "svebm_ext"
    package.mkdir(parents=True)
    shutil.copy(svebm_ext.__file__, package / "__init__.py")
    monkeypatch.setattr(svebm_ext, "__file__", str(package / "__init__.py"))
    return package


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_source_version_is_the_commit_of_a_checkout(tmp_path, monkeypatch):
    package = copied_package(tmp_path, monkeypatch)
    (tmp_path / "other").write_text("as it is")
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    head = git(tmp_path, "rev-parse", "--short=12", "HEAD").strip()
    assert source_version() == f"{head} (svebm_ext {svebm_ext.__version__})"
    assert commit_of_clone() == git(tmp_path, "rev-parse", "HEAD").strip()
    (package / "__init__.py").write_text("changed")
    assert source_version().startswith(f"{head} "), "the process has read the files before they were changed"
    provenance._version_of.cache_clear()
    index = (tmp_path / ".git" / "index").read_bytes()
    os.utime(tmp_path / "other", (1, 1))
    assert source_version().startswith(f"{head}+changes")
    assert (tmp_path / ".git" / "index").read_bytes() == index, "asking takes no lock and writes nothing"


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_git_is_asked_again_where_it_fails_for_a_moment(tmp_path, monkeypatch):
    copied_package(tmp_path, monkeypatch)
    git(tmp_path, "init")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "first")
    busy, tools = tmp_path / "busy", tmp_path / "tools"
    busy.touch()
    tools.mkdir()
    (tools / "git").write_text(
        f"#!{sys.executable}\nimport os, sys\nif os.path.exists({str(busy)!r}):\n    os.remove({str(busy)!r})\n"
        f"    sys.exit(128)\nos.execv({shutil.which('git')!r}, sys.argv)\n"
    )
    (tools / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(provenance, "PAUSE", 0.0)
    assert commit_of_clone() == git(tmp_path, "rev-parse", "HEAD").strip()
    assert not busy.exists()


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_source_version_ignores_a_repository_the_package_was_merely_installed_in(tmp_path, monkeypatch):
    git(tmp_path, "init")
    (tmp_path / "file").write_text("text")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "somebody else's")
    copied_package(tmp_path / ".venv", monkeypatch)
    assert commit_of_clone() == ""
    assert source_version() == f"svebm_ext {svebm_ext.__version__}"


def test_source_version_without_git(tmp_path, monkeypatch):
    package = copied_package(tmp_path, monkeypatch)
    (tmp_path / ".git").mkdir()
    (package / "_build.json").write_text('{"commit": "of some earlier build"}')
    monkeypatch.setenv("PATH", "/nonexistent")
    assert source_version() == f"svebm_ext {svebm_ext.__version__}"


@pytest.mark.parametrize(
    ("built", "found"),
    [("c" * 40, "c" * 12 + " "), ("c" * 40 + "+changes", "c" * 12 + "+changes "), ("", "")],
)
def test_source_version_of_an_installed_package_is_the_commit_it_was_built_from(tmp_path, monkeypatch, built, found):
    package = copied_package(tmp_path, monkeypatch)
    (package / "_build.json").write_text(json.dumps({"commit": built}))
    version = f"svebm_ext {svebm_ext.__version__}"
    assert source_version() == (f"{found}({version})" if found else version)
