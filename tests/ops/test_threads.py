"""Threads of kernels and of torch."""

import os
import subprocess
import sys

import pytest
import torch

from svebm_ext import commands
from svebm_ext.ops import threads
from svebm_ext.ops.native_library import native_library
from svebm_ext.ops.threads import kernel_threads, only_kernels_in_parallel, share_torch_threads


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


def test_kernels_keep_their_threads_where_torch_has_one(three_threads):
    assert kernel_threads() == 3
    with only_kernels_in_parallel():
        assert (torch.get_num_threads(), kernel_threads()) == (1, 3)
        with only_kernels_in_parallel():
            assert (torch.get_num_threads(), kernel_threads()) == (1, 3)
        assert (torch.get_num_threads(), kernel_threads()) == (1, 3)
    assert (torch.get_num_threads(), kernel_threads()) == (3, 3)


def test_threads_come_back_after_an_error(three_threads):
    with pytest.raises(ValueError, match="wrong"), only_kernels_in_parallel():
        raise ValueError("wrong")
    assert (torch.get_num_threads(), kernel_threads()) == (3, 3)


FORKED = """
import os, torch
torch.set_num_threads(2)
from svebm_ext.models.decoders import RecurrentDecoder
decoder = RecurrentDecoder(3000, 8, 128, 128).eval()
z, x = torch.randn(64, 8), torch.randn(1000, 1000)
expected, total = decoder.decode(z, max_tokens=5), float((x @ x).exp().sum())
child = os.fork()
if child == 0:
    again = decoder.decode(z, max_tokens=5) == expected
    float((x @ x).exp().sum())
    os._exit(0 if again else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), torch.get_num_threads())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_decodes_as_its_parent_did():
    """Plain torch hangs there, once its parent has used several threads."""
    found = subprocess.run([sys.executable, "-c", FORKED], capture_output=True, text=True, timeout=120, check=False)
    assert found.stdout.split() == ["0", "2"], found.stderr


LIBRARY = native_library()
needs_kernels = pytest.mark.skipif(LIBRARY.module is None, reason=LIBRARY.reason)
needs_openmp = pytest.mark.skipif(bool(LIBRARY.own_threads), reason=LIBRARY.own_threads)

COUNTED = """
import os, torch
torch.set_num_threads(3)
from svebm_ext.ops.langevin import langevin
from svebm_ext.ops.native_library import native_library
x = torch.randn(1000, 1000)
float((x @ x).exp().sum())
before = len(os.listdir("/proc/self/task"))
layers = [(torch.ones(4, 8), torch.zeros(4)), (torch.ones(3, 4), torch.zeros(3))]
z = langevin(torch.zeros(400, 8), layers, n_steps=5, step_size=0.1, seed=0, backend="native").z
print(len(os.listdir("/proc/self/task")) - before, native_library().module.n_pool_threads(), float(z.double().sum()))
"""


@needs_kernels
@needs_openmp
@pytest.mark.skipif(not os.path.isdir("/proc/self/task"), reason="this system does not list threads in /proc")
def test_kernels_work_on_the_threads_of_torch_or_on_their_own_to_the_same_bits():
    answers = {}
    for choice in ("auto", "own"):
        found = subprocess.run(
            [sys.executable, "-c", COUNTED],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env={**os.environ, "SVEBM_THREADS": choice},
        )
        assert found.returncode == 0, found.stderr
        answers[choice] = found.stdout.split()
    assert answers["auto"][:2] == ["0", "0"]
    assert answers["own"][:2] == ["2", "2"]
    assert answers["auto"][2] == answers["own"][2]


@needs_kernels
@needs_openmp
def test_kernels_use_as_many_threads_as_torch_has_now(three_threads):
    """From fewer to more and back, with torch's own operations between."""
    from svebm_ext.ops.langevin import langevin

    layers = [(torch.ones(4, 8), torch.zeros(4)), (torch.ones(3, 4), torch.zeros(3))]
    x = torch.randn(300, 300)
    expected = None
    for n_threads in (1, 4, 2, 3, 1, 5):
        torch.set_num_threads(n_threads)
        torch.softmax(x @ x, dim=1)
        z = langevin(torch.zeros(400, 8), layers, n_steps=5, step_size=0.1, seed=0, backend="native").z
        expected = z if expected is None else expected
        assert torch.equal(z, expected)


@needs_kernels
def test_without_an_openmp_runtime_kernels_have_threads_of_their_own(monkeypatch, tmp_path):
    monkeypatch.setattr(threads.torch, "__file__", str(tmp_path / "torch" / "__init__.py"))
    assert "no OpenMP runtime that can be shared" in share_torch_threads(LIBRARY.module)


def test_what_the_environment_may_ask_is_checked(monkeypatch, capsys):
    monkeypatch.setenv("SVEBM_THREADS", "owm")
    with pytest.raises(SystemExit) as ended:
        commands.run_command(lambda _: None, [])
    assert ended.value.code == 2
    assert "SVEBM_THREADS: 'owm' given in the environment" in capsys.readouterr().err
