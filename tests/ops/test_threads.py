"""Threads of kernels and of torch."""

import os
import subprocess
import sys

import pytest
import torch

from svebm_ext.ops.threads import kernel_threads, only_kernels_in_parallel


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
