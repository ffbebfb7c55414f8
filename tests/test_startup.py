"""A command says what is wrong with its command line without waiting for torch, and reads only what it needs."""

import json
import re
import subprocess
import sys
from typing import NamedTuple

import pytest
from tiny_runs import tiny_config, write_corpus

from svebm_ext import SVEBM
from svebm_ext.__main__ import COMMANDS
from svebm_ext.data.vocabulary import Vocabulary

#: Runs a module as `python -m` does; says in the last line of standard error how it ended, which modules it read, and
#: how often Python looked for garbage: among the youngest objects, and among all.
PROGRAM = """
import gc, json, runpy, sys
module, watched = sys.argv[1], sys.argv[2].split(",")
sys.argv = sys.argv[2:]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    status = 0
except SystemExit as ended:
    status = ended.code
looks = [gc.get_stats()[generation]["collections"] for generation in (0, 2)]
print(json.dumps([status, [name for name in watched if name in sys.modules], looks]), file=sys.stderr)
"""
#: Looks among the youngest objects at most until there is an answer; reading torch alone makes more than 300.
MOST_LOOKS = 150
#: What takes longer to read than all else that a wrong command line needs.
SLOW = ("torch", "sklearn", "scipy", "pandas", "matplotlib", "sacrebleu")
#: Command lines that nothing can be done with: what stands on them, and a part of what is said.
WRONG = {
    "train": [
        (["nonsense"], "preset: no preset 'nonsense'"),
        (["assistant", "--training.max-steps", "-3"], "training.max-steps: -3 given"),
        (["assistant", "--training.max-steps", "few"], "expected a whole number"),
        (["lines"], "data.train: corpus 'lines' needs a file"),
        (["gone.txt"], "gone.txt: no such file"),
        (["--resume", "gone"], "gone: no such run folder"),
        (["lines", "--data.train", "__file__", "--from", "gone"], "gone: no such run folder"),
    ],
    "evaluate": [([], "RUN: missing"), (["gone"], "gone: no such run folder")],
    "generate": [
        ([], "RUN: missing"),
        (["gone"], "gone: no such folder"),
        (["gone", "--temperature", "-1"], "--temperature: -1.0 given, expected a number from 1e-20 to 1e+20"),
        (["gone", "--top-p", "0"], "--top-p: 0.0 given, expected a number above 0 to 1"),
        (["gone", "-n", "0"], "n: 0 given"),
        (["gone", "--symbols", "names.json"], "symbols: names of symbols given, but none is asked for"),
    ],
    "classify": [
        ([], "RUN: missing"),
        (["gone"], "gone: no such folder"),
        (["gone", "gone.txt"], "gone.txt: no such file"),
        (["gone", "--out", "answers.doc"], "out: answers.doc given"),
    ],
    "group": [([], "RUN: missing"), (["gone"], "gone: no such run folder")],
    "explore": [([], "RUN: missing"), (["gone"], "gone: no such run folder")],
    "experiments": [
        ([], "EXPERIMENT: None given"),
        (["table9"], "EXPERIMENT: 'table9' given"),
        (["assistant", "--budget", "much"], "--budget: 'much' given"),
        (["table1-ptb", "--rows", "nobody"], "--rows: table1-ptb has no row 'nobody'"),
    ],
    "info": [(["gone"], "gone: no such run folder"), (["--jason"], "--jason: no such option")],
}


class Ended(NamedTuple):
    """How a command has ended, what it printed, which of the watched modules it read, and looks for garbage."""

    status: int
    out: str
    told: str
    loaded: list[str]
    looks: list[int]


def run(module, arguments, watched, cwd, given=""):
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, module, ",".join(watched), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=cwd, input=given, timeout=300)
    *told, last = ended.stderr.splitlines()
    status, loaded, looks = json.loads(last)
    return Ended(status, ended.stdout, "\n".join(told), loaded, looks)


def test_every_command_has_wrong_command_lines():
    assert set(WRONG) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_command_line_is_told_without_torch(command, tmp_path):
    unknown = (["--nonsense"], "--nonsense: no such option")
    for arguments, said in [*WRONG[command], unknown]:
        given = [__file__ if argument == "__file__" else argument for argument in arguments]
        ended = run(f"svebm_ext.{command}", given, SLOW, tmp_path)
        assert (ended.status, ended.loaded, ended.out) == (2, [], ""), (arguments, ended)
        assert ended.told.startswith("error: ") and said in ended.told, (arguments, ended)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_version_are_told_without_torch(command, tmp_path):
    for option, said in (("--help", "usage: "), ("--version", "svebm_ext ")):
        ended = run(f"svebm_ext.{command}", [option], SLOW, tmp_path)
        assert (ended.status, ended.loaded) == (0, []) and said in ended.out, (option, ended)


def test_the_watch_sees_what_is_read(tmp_path):
    """Else empty lists and small numbers elsewhere would say nothing."""
    ended = run("svebm_ext.info", ["--json"], SLOW, tmp_path)
    assert ended.status == 0 and "torch" in json.loads(ended.out) and ended.loaded == ["torch"]
    assert ended.looks[0] > MOST_LOOKS and ended.looks[1] > 0


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("startup")
    config = tiny_config(write_corpus(folder))
    SVEBM(config, Vocabulary([f"word{i}" for i in range(20)])).save_pretrained(folder / "model")
    return folder / "model"


#: What neither an answer nor a sentence needs: other libraries, the compiler of torch, what only trains or measures.
NEEDLESS = (
    "sklearn", "scipy", "pandas", "matplotlib", "sacrebleu", "pooch", "tensorboard", "torch._dynamo", "sympy",
    "svebm_ext.training.loop", "svebm_ext.training.run", "svebm_ext.plots", "svebm_ext.data.own_text",
)  # fmt: skip


@pytest.mark.parametrize(
    ("command", "options", "given", "said"),
    [("classify", [], "word3 word4\n", r"[0-5]\t[01]\.\d{4}\tword3 word4"), ("generate", ["-n", "1"], "", ".*")],
)
def test_one_answer_reads_only_what_it_needs(command, options, given, said, model, tmp_path):
    ended = run(f"svebm_ext.{command}", [str(model), *options], ("torch", *NEEDLESS), tmp_path, given)
    assert (ended.status, ended.loaded) == (0, ["torch"]), ended
    assert re.fullmatch(said + "\n", ended.out)
    assert ended.looks[0] < MOST_LOOKS and ended.looks[1] == 0
