"""torchrun as it is used on machines that fail: workers start again and go on, and two nodes work together."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from elastic import kill_all, torchrun
from equal_runs import assert_equal
from tiny_runs import write_corpus
from together import free_port

from svebm_ext import train
from svebm_ext.training.loop import LAST

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="workers are looked up in /proc"),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed"),
]

TINY = [
    "--model.latent-dim", "3", "--model.n-categories", "5", "--model.prior-hidden", "8", "--model.embedding-dim", "8",
    "--model.encoder-hidden", "8", "--model.decoder-hidden", "8", "--chains.n-chains", "21", "--chains.n-steps", "3",
    "--training.prior-stage", "joint", "--training.prior-steps", "0", "--training.batch-size", "8",
    "--training.checkpoint-every", "3", "--training.validate-every", "5", "--training.sample-every", "0",
    "--training.device", "cpu", "--training.max-steps", "12", "--no-evaluate",
]  # fmt: skip

#: The first worker with this number that comes to iteration 7 ends there, as by a kill.
KILLED_ONCE = """
import os, signal, sys
from svebm_ext import train
from svebm_ext.commands import run_command
from svebm_ext.training.loop import Trainer
original = Trainer.iterate
def iterate(self):
    if self.step == 7 and os.environ["RANK"] == "{rank}" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self)
Trainer.iterate = iterate
run_command(train.main)
"""


def finished(agent, log):
    try:
        status = agent.wait(240)
    finally:
        kill_all(agent)
    assert status == 0, Path(log).read_text()[-4000:]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two processes that nothing happens to: its corpus, and its folder."""
    folder = tmp_path_factory.mktemp("whole")
    corpus = write_corpus(folder)
    command = ["-m", "svebm_ext.train", str(corpus), "--out", str(folder / "run"), *TINY]
    finished(torchrun(2, command, log=folder / "log"), folder / "log")
    (folder / "run" / "env.json").unlink()
    return corpus, folder / "run"


@pytest.mark.parametrize("rank", [0, 1])
def test_workers_that_start_again_go_on_from_the_last_checkpoint(whole, tmp_path, rank):
    """The same command, without --resume; in the end it is the run that nothing happened to, bit for bit."""
    corpus, expected = whole
    (tmp_path / "program.py").write_text(KILLED_ONCE.format(rank=rank))
    command = [str(tmp_path / "program.py"), str(corpus), "--out", str(tmp_path / "run"), *TINY]
    finished(torchrun(2, command, max_restarts=1, log=tmp_path / "log"), tmp_path / "log")
    assert "exitcode: -9" in (tmp_path / "log").read_text()
    (tmp_path / "run" / "env.json").unlink()
    assert_equal(tmp_path / "run", expected)


def test_a_job_that_is_started_again_goes_on(whole, tmp_path):
    """--go-on takes up what there is: nothing, a state, or a run that has ended."""
    corpus, expected = whole
    command = [str(corpus), "--out", str(tmp_path / "run"), *TINY, "--go-on"]
    steps = command.index("--training.max-steps") + 1
    train.main([*command[:steps], "6", *command[steps + 1 :]])
    assert (tmp_path / "run" / LAST).exists()
    before = (tmp_path / "run" / "config.json").read_text()
    train.main(command)  # as it is configured, whatever else the command says
    assert (tmp_path / "run" / "config.json").read_text() == before
    assert '"max_steps": 6' in before and '"max_steps": 12' in (expected / "config.json").read_text()


def test_two_nodes(whole, tmp_path):
    """Two agents at addresses of their own, 127.0.0.1 and 127.0.0.2, with a process each."""
    corpus, expected = whole
    command = ["-m", "svebm_ext.train", str(corpus), "--out", str(tmp_path / "run"), *TINY]
    port, agents = str(free_port()), []
    for rank, address in enumerate(("127.0.0.1", "127.0.0.2")):
        nodes = ["--nnodes", "2", "--node-rank", str(rank), "--local-addr", address, "--master-addr", "127.0.0.1",
                 "--master-port", port]  # fmt: skip
        agents.append(torchrun(1, command, log=tmp_path / f"log{rank}", nodes=nodes))
    try:
        for rank, agent in enumerate(agents):
            assert agent.wait(240) == 0, (tmp_path / f"log{rank}").read_text()[-4000:]
    finally:
        for agent in agents:
            kill_all(agent)
    (tmp_path / "run" / "env.json").unlink()
    assert_equal(tmp_path / "run", expected)
    assert "iteration 12" in (tmp_path / "log0").read_text() and "iteration 12" not in (tmp_path / "log1").read_text()


def test_a_few_kills_at_random(tmp_path):
    """tests/fuzz/elastic_worker.py: 50 of them are for a person to ask for."""
    worker = Path(__file__).parents[1] / "fuzz" / "elastic_worker.py"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(worker), str(tmp_path), "0", "2"],
        capture_output=True, text=True, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
