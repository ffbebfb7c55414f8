"""What pyproject.toml says of the package agrees with the sources, and is said in one place."""

import ast
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from oldest_versions import lowest, requirements

import svebm_ext

ROOT = Path(__file__).resolve().parent.parent
PROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def constant(path, name):
    """Value that a source gives a name, read as an installation reads it: without importing."""
    module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return next(
        ast.literal_eval(node.value)
        for node in module.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name
    )


def test_the_version_comes_from_one_place():
    version = constant("svebm_ext/__init__.py", "__version__")
    assert version == svebm_ext.__version__
    assert 'dynamic = ["version"]' in PROJECT and 'attr = "svebm_ext.__version__"' in PROJECT
    assert not re.search(r'^version = "', PROJECT, re.MULTILINE)
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(
        rf"^## \[{re.escape(version)}\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert version not in (ROOT / "setup.py").read_text(encoding="utf-8")


def test_every_command_and_the_compiled_library_tell_that_version(capsys):
    """A library of another version is refused, so one that is used tells the same."""
    from svebm_ext import info
    from svebm_ext.commands import show_version
    from svebm_ext.ops.native_library import native_library

    show_version()
    info.main([])
    told = capsys.readouterr().out.splitlines()
    assert told[0] == f"svebm_ext {svebm_ext.__version__}" and told[1].startswith(told[0])
    library = native_library()
    if library.module is None:
        pytest.skip(f"no compiled library: {library.reason}")
    assert library.module.version == library.build["version"] == svebm_ext.__version__


def test_the_newest_section_of_the_changelog_is_of_that_version():
    """What is unreleased belongs to the version that the sources bear."""
    sections = re.findall(r"^## \[([^]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sections[0] == svebm_ext.__version__ and "Unreleased" not in sections


def test_authors_and_url_are_those_of_the_citation():
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r'^authors = \[\{ name = "([^"]+)" \}\]', PROJECT, re.MULTILINE)[1] in citation
    assert re.search(r'^Paper = "([^"]+)"', PROJECT, re.MULTILINE)[1] in citation


def test_every_extra_is_used_by_some_code():
    """An extra promises that something needs it."""
    extras = re.findall(
        r"^(\w+) = \[", PROJECT.partition("[project.optional-dependencies]")[2].partition("\n[")[0], re.M
    )
    modules = {"plots": "matplotlib", "tensorboard": "tensorboard", "subwords": "tokenizers", "arrow": "pyarrow"}
    modules |= {"encoders": "sentence_transformers", "hub": "huggingface_hub"}
    assert set(extras) == {*modules, "test", "docs", "dev"}
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "svebm_ext").rglob("*.py"))
    for extra, module in modules.items():
        assert re.search(rf"^\s*(?:import|from) (?:\w+\.)*{module}\b", sources, re.MULTILINE), extra


def test_wheels_are_configured_for_every_python_from_the_oldest_on():
    oldest = int(re.search(r'^requires-python = ">=3\.(\d+)"', PROJECT, re.MULTILINE)[1])
    built = [int(minor) for minor in re.findall(r"\bcp3(\d+)-\*", PROJECT)]
    assert built == list(range(oldest, oldest + len(built))) and len(built) >= 5
    named = [int(minor) for minor in re.findall(r'"Programming Language :: Python :: 3\.(\d+)"', PROJECT)]
    assert named == list(range(oldest, oldest + len(named)))
    assert f'target-version = "py3{oldest}"' in PROJECT and f'python_version = "3.{oldest}"' in PROJECT


def test_the_oldest_versions_are_those_of_the_docs():
    text = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
    versions = dict(requirement.partition(">=")[::2] for requirement in requirements(PROJECT, extras=()))
    assert f"PyTorch {versions['torch']}" in text and f"NumPy {versions['numpy']}" in text
    assert f"Python {re.search(r'requires-python = .>=([0-9.]+)', PROJECT)[1]}" in text


@pytest.mark.parametrize("requirement", requirements(PROJECT))
def test_every_requirement_has_a_lowest_version(requirement):
    assert re.fullmatch(r"[a-z-]+==\d[\d.]*", lowest(requirement)), requirement


def test_native_files_need_only_libraries_of_the_system():
    """So that auditwheel gives a wheel a manylinux tag, and nothing of torch's or CUDA's is tied to it."""
    files = sorted((Path(svebm_ext.__file__).parent).glob("*.so"))
    if not files or shutil.which("readelf") is None:
        pytest.skip("no compiled library, or no readelf")
    system = r"lib(?:c|m|dl|rt|pthread|stdc\+\+|gcc_s)\.so\.\d+|ld-linux[\w.-]*"
    for file in files:
        said = subprocess.run(["readelf", "-d", str(file)], capture_output=True, text=True, check=True).stdout
        needed = re.findall(r"\(NEEDED\).*\[(.+)\]", said)
        assert needed and [name for name in needed if not re.fullmatch(system, name)] == [], file.name
