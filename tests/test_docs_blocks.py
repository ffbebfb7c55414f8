"""Blocks of code in README, CONTRIBUTING and docs/: Python is run, commands are parsed.

Python blocks of a page run in order, in one namespace, in a folder of their own. Presets are small ones there. Lines
`# ...` below a print are compared with what is printed; `...` in them stands for anything. A block that cannot run here
has a comment above it, `<!-- not run: REASON -->`, which no reader of the page sees.
"""

import importlib.util
import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from doc_pages import PAGES, README, ROOT, text_of
from test_docs import COMMANDS, documented_commands, parse_quietly
from tiny_runs import tiny_config, write_corpus

from svebm_ext import presets, train

#: Blocks that cannot run here: page, what the block begins with, reason.
NOT_RUN = [
    ("data.md", "from svebm_ext.data.download import", "fetches files from the network"),
    ("encoders.md", "from svebm_ext import TextModel", "needs an encoder on the disk"),
    ("metrics.md", "from svebm_ext.data import Vocabulary", "needs the Penn Treebank"),
]
#: Programs of shell lines that are checked by what runs them: a step of .ci/run, or a test.
RUN_BY = (".ci/run", "tests/test_site.py")
IN_CI = {"cmake", "ctest", "mkdocs", "ruff", "mypy", "lint-imports", "git", "clang-format", "xargs"}
#: Shell lines that nothing here can check: they need tools that no extra has, or an environment of their own.
BY_HAND = {
    "python -m build": "the tool `build` makes a source distribution and a wheel",
    "auditwheel show dist/svebm_ext-*-linux_x86_64.whl": "auditwheel",
    "auditwheel repair dist/svebm_ext-*-linux_x86_64.whl": "auditwheel",
    "cibuildwheel --platform linux": "containers",
    "python -m venv .venv": "an environment",
    ". .venv/bin/activate": "an environment",
}
PROGRAMS = {*IN_CI, "python", "pip", "pytest", "torchrun", "svebm", "auditwheel", "cibuildwheel", "cat", "printf", "."}


def blocks_of(text):
    """(reason not to run it or None, code) of each Python block, in order."""
    pattern = r"(?:<!-- not run: ([^>]+?) -->\n+)?```(?:python|py)\n(.*?)```"
    return [(reason or None, code) for reason, code in re.findall(pattern, text, re.DOTALL)]


def shown_outputs(code):
    """Lines that stand as comments below a print."""
    found, after_print = [], False
    for line in code.splitlines():
        if line.startswith("# ") and after_print:
            found.append(line[2:])
            continue
        after_print = line.startswith("print(")
    return found


def agrees(shown, printed):
    return re.fullmatch(".*".join(map(re.escape, shown.split("..."))), printed) is not None


@pytest.fixture
def small(tmp_path, monkeypatch):
    """A folder with the files that pages name, presets of a small size, and one thread."""
    corpus = write_corpus(tmp_path)
    (tmp_path / "mine.txt").write_text(corpus.read_text())
    text, own = presets.PRESETS["lines"]
    short = replace(own.training, max_steps=20, validate_every=20, prior_steps=10, device="cpu", sample_every=0)
    tiny = replace(own, training=short, evaluation=tiny_config(None).evaluation)
    monkeypatch.setitem(presets.PRESETS, "lines", (text, tiny))
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield tmp_path
    torch.set_num_threads(threads)


def small_sizes(code):
    """The code with trainings as short as they can be."""
    return re.sub(r"\b(max_iter|max_steps)=\d+", r"\1=20", code)


@pytest.mark.parametrize("page", [page for page in PAGES if page != README], ids=lambda page: page.name)
def test_python_blocks_run_in_order(page, small, capsys):
    """README has a test of its own, with a trained model: `test_readme.test_python_in_the_readme_runs`."""
    blocks = blocks_of(text_of(page))
    names = {"__name__": "__main__"}
    for reason, code in blocks:
        if reason is not None:
            continue
        capsys.readouterr()
        exec(compile(small_sizes(code), page.name, "exec"), names)
        printed, shown = capsys.readouterr().out.splitlines(), shown_outputs(code)
        assert len(shown) in (0, len(printed)), (shown, printed)
        assert [(a, b) for a, b in zip(shown, printed, strict=False) if not agrees(a, b)] == []


def test_few_blocks_are_not_run_and_each_has_its_reason():
    found = [
        (page.name, code.splitlines()[0], reason)
        for page in PAGES
        for reason, code in blocks_of(text_of(page))
        if reason is not None
    ]
    assert len(found) == len(NOT_RUN) <= 3
    for (page, first, reason), expected in zip(found, NOT_RUN, strict=True):
        assert (page, reason) == (expected[0], expected[2]) and first.startswith(expected[1])


def test_every_fenced_block_is_of_a_language_that_is_checked():
    """`python` is run, `console` is run with its output (README), `yaml` is read as a file of options (presets).

    `mermaid` and others would be checked by nobody.
    """
    for page in PAGES:
        languages = re.findall(r"^ *```(\w*)$", text_of(page), re.MULTILINE)
        assert set(languages[::2]) <= {"python", "console", "yaml"}, page.name
        assert len(languages) % 2 == 0 and set(languages[1::2]) <= {""}, page.name
        assert "console" not in languages or page == README, page.name
        assert "yaml" not in languages or page.name == "presets.md", page.name


def test_the_file_of_options_is_read(small):
    (written,) = re.findall(r"^```yaml\n(.*?)^```", text_of(ROOT / "docs" / "presets.md"), re.DOTALL | re.MULTILINE)
    (small / "run.yaml").write_text(written)
    config, options = train.parse_arguments(["--config", "run.yaml"])
    assert (config.preset, config.model.n_categories, config.training.max_steps) == ("lines", 12, 2000)
    assert config.data.train == small / "mine.txt" and options.out == Path("runs/mine")


def test_comparison_of_outputs_notices_differences():
    code = "print(1)\n# 1\n# two ...\nx = 1\n# a comment\nprint(2)\n"
    assert shown_outputs(code) == ["1", "two ..."]
    assert agrees("two ...", "two and three") and agrees("a ... c", "a b c") and agrees("1.5", "1.5")
    assert not agrees("1.5", "1x5") and not agrees("a ... c", "a b d") and not agrees("1", "12")


# Commands -------------------------------------------------------------------------------------------------------------


def shell_lines(text):
    """Commands of the indented blocks of a page, one for each part of a line that && joins."""
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for line in re.findall(r"^    (\S.*)$", text, re.MULTILINE):
        words = line.split()
        first = next((word for word in words if not re.fullmatch(r"[A-Z_]+=\S*", word)), "")
        if first in PROGRAMS:
            yield from (part.strip() for part in line.split("&&"))


def module_of(command):
    """(module, arguments) of a command that runs one with python -m or torchrun, else None."""
    found = re.search(r"(?:python|torchrun)\b.* -m ([\w.]+)(.*)$", command)
    return found and (found[1], shlex.split(re.split(r"[|<>]", found[2])[0]))


def check(command):
    """Raise where a command could not work as it stands."""
    command = re.sub(r"^(?:[A-Z_]+=\S* )+", "", command)
    command = command.rpartition("| ")[2] if command.startswith(("cat ", "printf ")) else command
    if command in BY_HAND:
        return
    program, *arguments = shlex.split(command)
    module = module_of(command)
    if module and module[0].startswith("svebm_ext."):
        check_module(*module)
    elif program == "svebm":
        check_module(f"svebm_ext.{arguments[0]}", arguments[1:])
    elif program == "python" and arguments[0].endswith(".py"):
        assert (ROOT / arguments[0]).is_file(), command
    elif program == "pip":
        check_pip(arguments, command)
    elif program == "pytest":
        markers = re.findall(r'^  "(\w+): ', text_of(ROOT / "pyproject.toml"), re.MULTILINE)
        for word in [word for word in arguments if not word.startswith("-") and not word.isdigit()]:
            assert (ROOT / word).exists() or set(word.split()) <= {"not", "and", *markers}, command
    else:
        assert program in IN_CI and any(program in text_of(ROOT / file) for file in RUN_BY), command


def check_module(module, arguments):
    assert importlib.util.find_spec(module) is not None, module
    name = module.removeprefix("svebm_ext.")
    if name == "train":
        train.parse_arguments(arguments)
    elif name in COMMANDS:
        parse_quietly(COMMANDS[name].Arguments, arguments[1:], name)
    else:
        assert name in ("info", "experiments.index") and not [a for a in arguments if a.startswith("-")], module


def check_pip(arguments, command):
    action, *rest = [argument for argument in arguments if argument != "-e"]
    assert action in ("install", "wheel"), command
    extras = set(re.findall(r"^(\w+) = \[", text_of(ROOT / "pyproject.toml"), re.MULTILINE))
    for named in re.findall(r"\[([\w,]+)\]", " ".join(rest)):
        assert set(named.split(",")) <= extras, command
    assert any(re.match(r"\.(\[|$)|svebm_ext\b", word) for word in rest) or "dist/" in command, command


@pytest.mark.parametrize("page", [*PAGES, ROOT / "csrc" / "README.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_every_shell_line_is_one_that_works(page, monkeypatch):
    monkeypatch.setattr("svebm_ext.train.read_run_config", lambda run: presets.PRESETS["assistant"][1])
    for command in shell_lines(text_of(page)):
        check(command)


def test_shell_lines_are_found_and_mistakes_in_them_noticed():
    lines = [line for page in PAGES for line in shell_lines(text_of(page))]
    assert len(lines) > 60 and {line for line in lines if line in BY_HAND} == set(BY_HAND)
    known = [command for page in PAGES for command, _ in documented_commands(text_of(page))]
    assert len(known) <= len(lines)
    for wrong in (
        "python -m svebm_ext.trian", "python examples/gone.py", 'pip install ".[gone]"', "pytest tests/gone",
        "torchrun --nproc-per-node 2 -m svebm_ext.gone", "python -m svebm_ext.train --seed x", "rm -rf x",
    ):  # fmt: skip
        with pytest.raises((AssertionError, ValueError)):
            check(wrong)


def test_modules_that_any_text_starts_exist():
    for page in PAGES:
        for module in set(re.findall(r"python -m (svebm_ext(?:\.\w+)*)", text_of(page))):
            assert importlib.util.find_spec(module) is not None, (page.name, module)
