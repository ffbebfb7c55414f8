"""The front door: README is short, its numbers have a source, its commands and its Python print what it shows."""

import os
import re
import shlex
import subprocess
import sys

from doc_pages import README, ROOT, between_marks, code_blocks, text_of


def prose(text):
    """Text without code, targets of links and tables made from sources."""
    for name in ("results", "speed"):
        text = text.replace(between_marks(text, name)[0], "")
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    text = re.sub(r"^    .*$|^\[[^]]+\]: .*$", "", text, flags=re.MULTILINE)
    return re.sub(r"`[^`]*`|\]\([^)]*\)", "", text)


def numbers(text):
    """Numbers of a text; that of a name, as in AVX-512, is none."""
    return re.findall(r"(?<![\w.])(?<![A-Za-z]-)\d+(?:,\d{3})*(?:\.\d+)?", text)


#: Numbers of README's prose, and where each comes from.
SOURCES = {
    "2021": lambda: text_of(ROOT / "CITATION.cff"),
    "3.10": lambda: text_of(ROOT / "pyproject.toml"),
    "2.4": lambda: text_of(ROOT / "pyproject.toml"),
    "0": lambda: "p(y, z) has N(z; 0, I)",
}


def test_the_readme_is_short():
    lines = text_of(README).splitlines()
    assert len(lines) <= 130 and max(map(len, lines)) <= 120
    visible = re.sub(r"```.*?```", "", text_of(README), flags=re.DOTALL)
    visible = re.sub(r"^    .*$|^\[[^]]+\]: .*$|`[^`]*`|\]\([^)]*\)", "", visible, flags=re.MULTILINE)
    assert len(numbers(visible)) <= 60


def test_numbers_of_the_readme_have_a_source():
    """Tables are compared with what they are made of above; what is left is in SOURCES."""
    for number in numbers(prose(text_of(README))):
        assert number in SOURCES, number
        assert number in SOURCES[number](), number


def console(text):
    """(command, lines of output) of blocks that show a terminal."""
    found = []
    for block in code_blocks(text, "console"):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def shape(line):
    """A line of output without its numbers, of which another machine has others."""
    return re.sub(r"\d[\d,.]*", "#", " ".join(line.split()))


def follows(shown, printed):
    """Whether printed lines have the shown ones in their order; `...` stands for lines or for the end of one."""
    printed = iter([shape(line) for line in printed])
    for line in shown:
        start = shape(line.removesuffix("..."))
        if start and not any(one.startswith(start) if line.endswith("...") else one == start for one in printed):
            return False
    return True


def test_lines_that_do_not_follow_are_noticed():
    printed = ["a 1.5", "b", "c and more"]
    assert follows(["a 2", "...", "c ..."], printed) and follows(["b"], printed)
    assert not follows(["b", "a 1.5"], printed) and not follows(["c"], printed) and not follows(["d ..."], printed)


def test_output_in_the_readme_is_what_the_commands_print(tmp_path, monkeypatch):
    """The commands run as they stand, except that the training is a short one: words are compared, numbers are not."""
    short = (
        " --training.max-steps 20 --training.validate-every 20 --training.prior-steps 10 --training.sample-every 0"
        " --evaluation.max-sentences 20 --evaluation.importance-samples 2 --evaluation.frequency-samples 100"
        " --evaluation.log-z-chains 32 --evaluation.log-z-temperatures 10"
    )
    commands = console(text_of(README))
    assert len(commands) >= 4
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for command, shown in commands:
        command = command.replace("python ", f"{shlex.quote(sys.executable)} ")
        whole = command + short if "svebm_ext.train" in command else command
        whole += " --words True" if "classify" in command else ""  # as on a terminal
        done = subprocess.run(
            ["bash", "-c", whole], cwd=tmp_path, env=environment, text=True, timeout=300, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if "explore" in command else None,
        )  # fmt: skip
        assert done.returncode == 0
        printed = done.stdout.splitlines()
        if "generate" in command:  # sentences of another model
            assert len(printed) == len(shown) and all(printed)
        elif "classify" in command:  # symbols and their words are those of another model
            rows, expected = ([line.split("\t") for line in lines] for lines in (printed, shown))
            assert [[shape(cell) for cell in row[:3]] for row in rows] == [
                [shape(cell) for cell in row[:3]] for row in expected
            ]
            assert {len(row) for row in expected} == {4} and {len(row) for row in rows} <= {3, 4}
        else:
            assert follows(shown, printed), (command, printed)


def test_python_in_the_readme_runs(tmp_path, monkeypatch, capsys):
    """With a model in the place of the run; shapes and lengths are compared where they are printed."""
    from tiny_runs import tiny_config, write_corpus

    from svebm_ext.training.run import train as train_run

    (block,) = code_blocks(text_of(README))
    train_run(tiny_config(write_corpus(tmp_path)), tmp_path / "runs/assistant-seed0")
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    exec(compile(block.replace("symbol=17", "symbol=1"), "README.md", "exec"), {})
    shown = [line.removeprefix("# ") for line in block.splitlines() if line.startswith("# ")]
    printed = capsys.readouterr().out.splitlines()
    kinds = [re.sub(r"'[^']*'|[\d.]+", "_", line) for line in shown]
    assert all(kind in [re.sub(r"'[^']*'|\"[^\"]*\"|[\d.]+", "_", line) for line in printed] for kind in kinds), printed
