"""A command says what is wrong with its command line without waiting for torch, and reads only what it needs."""

import json
import subprocess
import sys

import pytest
from tiny_runs import tiny_config, write_corpus

from svebm_ext import SVEBM
from svebm_ext.__main__ import COMMANDS
from svebm_ext.data.vocabulary import Vocabulary

#: Runs a module as `python -m` does; says in the last line of standard error how it ended and which modules it read.
PROGRAM = """
import json, runpy, sys
module, watched = sys.argv[1], sys.argv[2].split(",")
sys.argv = sys.argv[2:]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    status = 0
except SystemExit as ended:
    status = ended.code
print(json.dumps([status, [name for name in watched if name in sys.modules]]), file=sys.stderr)
"""
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


def run(module, arguments, watched, cwd, given=""):
    """Exit status, standard output, standard error, and which of the watched modules a command has read."""
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM, module, ",".join(watched), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=cwd, input=given, timeout=300)
    *told, last = ended.stderr.splitlines()
    status, loaded = json.loads(last)
    return status, ended.stdout, "\n".join(told), loaded


def test_every_command_has_wrong_command_lines():
    assert set(WRONG) == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_command_line_is_told_without_torch(command, tmp_path):
    unknown = (["--nonsense"], "--nonsense: no such option")
    for arguments, said in [*WRONG[command], unknown]:
        given = [__file__ if argument == "__file__" else argument for argument in arguments]
        status, _, told, loaded = run(f"svebm_ext.{command}", given, SLOW, tmp_path)
        assert (status, loaded) == (2, []), (arguments, told)
        assert said in told and told.startswith("error: "), (arguments, told)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", COMMANDS)
def test_help_and_version_are_told_without_torch(command, tmp_path):
    for option, said in (("--help", "usage: "), ("--version", "svebm_ext ")):
        status, shown, _, loaded = run(f"svebm_ext.{command}", [option], SLOW, tmp_path)
        assert (status, loaded) == (0, []) and said in shown, (option, shown)


def test_the_watch_sees_what_is_read(tmp_path):
    """Else an empty list above would say nothing."""
    status, shown, _, loaded = run("svebm_ext.info", ["--json"], SLOW, tmp_path)
    assert status == 0 and "torch" in json.loads(shown) and loaded == ["torch"]


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


def test_one_answer_reads_only_what_it_needs(model, tmp_path):
    status, shown, told, loaded = run(
        "svebm_ext.classify", [str(model)], ("torch", *NEEDLESS), tmp_path, "word3 word4\n"
    )
    assert (status, loaded) == (0, ["torch"]), told
    assert shown.rstrip("\n").split("\t")[2] == "word3 word4"


def test_one_sentence_reads_only_what_it_needs(model, tmp_path):
    status, shown, told, loaded = run("svebm_ext.generate", [str(model), "-n", "1"], ("torch", *NEEDLESS), tmp_path)
    assert (status, loaded) == (0, ["torch"]), told
    assert len(shown.splitlines()) == 1
