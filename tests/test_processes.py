"""Commands by several processes: what one would print and write, once; an error in one ends all with one message."""

import json
import os
import subprocess
import sys

import pytest
import torch
from tiny_runs import document_config, tiny_config, write_corpus, write_dialogs, write_documents
from together import free_port, together

from svebm_ext import classify, evaluate, generate
from svebm_ext.training.checkpoint import load_checkpoint
from svebm_ext.training.run import train

pytestmark = pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed")

TINY = [
    "--model.latent-dim", "3", "--model.n-categories", "5", "--model.prior-hidden", "8", "--model.embedding-dim", "8",
    "--model.encoder-hidden", "8", "--model.decoder-hidden", "8", "--chains.n-chains", "20", "--chains.n-steps", "3",
    "--training.batch-size", "8", "--training.sample-every", "0", "--training.device", "cpu",
]  # fmt: skip
EVALUATION = {"annealed_sentences": 40, "annealed_temperatures": 4, "annealed_chains": 2, "frequency_samples": 5000}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    config = tiny_config(write_corpus(folder, 800), evaluation=EVALUATION)
    train(config, folder / "run")
    return folder / "run"


def module(name, *arguments):
    return ["-m", f"svebm_ext.{name}", *map(str, arguments)]


def one_process(command, arguments, capsys):
    capsys.readouterr()
    command.main(list(map(str, arguments)))
    return capsys.readouterr().out


def document(folder):
    """Content of metrics.json, without what tells of the machine."""
    content = json.loads((folder / "metrics.json").read_text())
    return {key: value for key, value in content.items() if key != "about"} | {
        "counts": content["about"]["sample_counts"],
        "warnings": content["about"].get("warnings"),
    }


def test_an_evaluation_is_that_of_one_process(run, capsys):
    """Bit for bit: whatever is measured batch by batch is measured in the same batches."""
    one_process(evaluate, [run], capsys)
    expected, report = document(run), (run / "report.md").read_text()
    (run / "metrics.json").unlink()
    (shown, _), (quiet, said) = together(module("evaluate", run), 2)
    assert document(run) == expected and {"nll", "nll_annealed", "bleu", "wkl", "mi"} <= expected.keys()
    assert len((run / "report.md").read_text().splitlines()) == len(report.splitlines())
    assert "nll" in shown and quiet == "" and said == ""


@pytest.mark.slow
def test_a_language_model_of_samples_is_one_process_s_work(tmp_path, capsys):
    """Each process trains another one, of greedy samples and of ancestral ones; both perplexities are those of one."""
    evaluation = {"language_model": "fast", "frequency_samples": 60}
    config = tiny_config(write_corpus(tmp_path), evaluation=evaluation)
    train(config, tmp_path / "run")
    one_process(evaluate, [tmp_path / "run"], capsys)
    expected = document(tmp_path / "run")
    together(module("evaluate", tmp_path / "run"), 2)
    found = document(tmp_path / "run")
    assert found == expected and {"rppl", "rppl_ancestral"} <= expected.keys()


@pytest.mark.slow
def test_an_evaluation_of_dialogs_and_of_documents(tmp_path, capsys):
    write_dialogs(tmp_path, 60)
    model = {"kind": "dialogs", "context_hidden": 8, "context_dim": 12, "context_map": 4}
    data = {"corpus": "smd", "root": tmp_path, "train": None}
    configs = {
        "dialogs": tiny_config(None, model=model, data=data, evaluation={"response_samples": 3}),
        "documents": document_config(write_documents(tmp_path, 700), data={"n_labelled": 15}),
    }
    for name, config in configs.items():
        out = tmp_path / name
        train(config, out)
        one_process(evaluate, [out], capsys)
        expected = document(out)
        together(module("evaluate", out), 2)
        assert document(out) == expected and len(expected) > 20


@pytest.mark.parametrize(
    "options", [[], ["--temperature", "1.0"], ["--symbol", "3"]], ids=["greedy", "ancestral", "of a symbol"]
)
def test_sentences_are_those_of_one_process(run, capsys, options):
    expected = one_process(generate, [run, "-n", 13, "--seed", 5, *options], capsys)
    (shown, _), (quiet, said) = together(module("generate", run, "-n", 13, "--seed", 5, *options), 2)
    assert shown == expected and len(expected.splitlines()) == 13
    assert quiet == "" and said == ""


def texts(path, n):
    sentences = (path.parent / "corpus.txt").read_text().splitlines()
    path.write_text("\n".join(sentences[i % len(sentences)] for i in range(n)) + "\n")
    return path


def test_answers_are_those_of_one_process_in_their_order(run, capsys):
    """Three parts of a file, of which the second is the other process's; printed, and written into a file."""
    file = texts(run.parent / "many.txt", 9000)
    expected = one_process(classify, [run, file, "--json"], capsys)
    (shown, _), (quiet, _) = together(module("classify", run, file, "--json"), 2)
    assert shown == expected and len(expected.splitlines()) == 9000 and quiet == ""
    out = run.parent / "answers.csv"
    (shown, _), (quiet, _) = together(module("classify", run, file, "--out", out), 2)
    assert shown == f"wrote {out}: 9,000 texts\n" and quiet == ""
    written = out.read_bytes()
    one_process(classify, [run, file, "--out", out], capsys)
    assert out.read_bytes() == written


def test_texts_of_several_processes_are_no_pipe(run):
    for _, said in together(module("classify", run), 2, statuses=2):
        assert "standard input given to several processes" in said or said == "" or "has ended" in said


def torchrun(arguments, n=2, timeout=120):
    """Program under torchrun, as users start it: its status, and what reached standard output and error."""
    launcher = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--nproc-per-node", str(n)]
    address = ["--master-addr", "127.0.0.1", "--master-port", str(free_port())]
    done = subprocess.run(
        [*launcher, *address, *arguments], capture_output=True, text=True, timeout=timeout, env=os.environ
    )
    return done.returncode, done.stdout, done.stderr


FAILING = """
import os, sys
from svebm_ext import evaluate
from svebm_ext.commands import run_command
from svebm_ext.errors import DataError
from svebm_ext.evaluation import evaluator

if os.environ["RANK"] == "1":
    def fail(*_, **__):
        raise DataError("a fault of one process")
    evaluator.measure_likelihood = fail
run_command(evaluate.main)
"""


def test_an_error_of_one_process_ends_all_with_one_message(run, tmp_path):
    (tmp_path / "failing.py").write_text(FAILING)
    before = (run / "metrics.json").read_bytes() if (run / "metrics.json").exists() else None
    status, shown, said = torchrun([str(tmp_path / "failing.py"), str(run)])
    messages = [line for line in said.splitlines() if line.startswith(("error:", "interrupted:"))]
    assert status != 0 and messages == ["error: a fault of one process"] and shown == ""
    assert "exitcode  : 2" in said and said.count("Traceback") == 1  # torchrun's own
    assert before == ((run / "metrics.json").read_bytes() if before else None)


FULL_DISK = """
import errno, os, sys
from svebm_ext import train
from svebm_ext.commands import run_command
from svebm_ext.models import tensor_files
from svebm_ext.processes import ShardedRows

original = tensor_files._parts
def parts(tensor):
    for part in original(tensor):
        yield part
        if isinstance(tensor, ShardedRows) and os.path.exists(sys.argv[3] + "/checkpoints/last.safetensors"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "last.safetensors")
tensor_files._parts = parts
run_command(train.main)
"""


def test_a_disk_that_is_full_while_chains_are_written(run, tmp_path):
    """The main process fails while the other hands it its chains; the last good checkpoint stays."""
    (tmp_path / "full.py").write_text(FULL_DISK)
    options = ["--training.prior-stage", "joint", "--training.prior-steps", "0", "--training.max-steps", "12"]
    options += ["--training.checkpoint-every", "4", "--training.validate-every", "0", "--no-evaluate", *TINY]
    out = tmp_path / "run"
    status, _, said = torchrun([str(tmp_path / "full.py"), str(run.parent / "corpus.txt"), "--out", str(out), *options])
    messages = [line for line in said.splitlines() if line.startswith("error:")]
    assert status != 0 and len(messages) == 1 and "No space left on device" in messages[0], said
    assert f"continue with python -m svebm_ext.train --resume {out}" in messages[0]
    assert load_checkpoint(out / "checkpoints/last.safetensors")[1]["step"] == 4


def test_an_error_of_all_processes_is_told_once(run):
    unknown_symbol, no_run = module("generate", run, "--symbol", "77"), module("evaluate", run.parent / "none")
    for arguments in (unknown_symbol, no_run):
        status, shown, said = torchrun(arguments)
        messages = [line for line in said.splitlines() if line.startswith("error:")]
        assert status != 0 and len(messages) == 1 and shown == "", said
