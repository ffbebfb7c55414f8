"""Threads of kernels and of torch."""

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
