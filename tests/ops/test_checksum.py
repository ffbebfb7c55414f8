"""The checksum of weights: any change of any bits is seen, and nothing else."""

import jaxtyping
import pytest
import torch
from op_calls import Numbers

from svebm_ext.errors import ConfigError
from svebm_ext.ops.backend import unavailable_reason
from svebm_ext.ops.checksum import checksum

REASON = unavailable_reason("checksum", "cpu")
BACKENDS = [pytest.param("native", marks=pytest.mark.skipif(bool(REASON), reason=REASON)), "reference"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.int64])
def test_any_change_is_seen(backend, dtype):
    matrix = Numbers(0).normal(37, 21, scale=100.0).to(dtype)
    seen = {checksum([matrix], backend=backend)}
    changes = [
        lambda x: x[3, 4].add_(1),
        lambda x: x[36, 20].neg_(),
        lambda x: x.neg_(),
        lambda x: x.zero_(),
        lambda x: x.copy_(x.flip(0)),
        lambda x: x.copy_(x.flip(1)),
        lambda x: x.copy_(x[[1, 0, *range(2, 37)]]),
        lambda x: x.copy_(x[:, [*range(19), 20, 19]]),
    ]
    for change in changes:
        changed = matrix.clone()
        change(changed)
        seen.add(checksum([changed], backend=backend))
    assert len(seen) == 1 + len(changes)


@pytest.mark.parametrize("backend", BACKENDS)
def test_changes_that_torch_does_not_count(backend):
    parameter = torch.nn.Parameter(Numbers(1).normal(8, 8))
    before, version = checksum([parameter], backend=backend), parameter._version
    parameter.data.copy_(parameter.data * 0.5)
    assert parameter._version == version
    halved = checksum([parameter], backend=backend)
    assert halved != before
    parameter.data.mul_(2)
    assert checksum([parameter], backend=backend) == before
    with torch.inference_mode():
        inference = Numbers(1).normal(8, 8)
        first = checksum([inference], backend=backend)
        inference[0, 0] += 1
        assert checksum([inference], backend=backend) != first


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_number_and_the_sign_of_zero_are_bits_as_well(backend):
    numbers = torch.tensor([float("nan"), 0.0, 1.0])
    before = checksum([numbers], backend=backend)
    assert checksum([numbers], backend=backend) == before
    numbers[1] = -0.0
    assert checksum([numbers], backend=backend) != before


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_that_is_given_twice_and_layouts(backend):
    matrix = Numbers(2).normal(6, 9)
    assert checksum([matrix, matrix], backend=backend) == checksum([matrix], backend=backend)
    assert checksum([matrix.t()], backend=backend) != checksum([matrix], backend=backend)
    assert checksum([matrix[:, 1:7]], backend=backend) != checksum([matrix[:, 2:8]], backend=backend)
    assert checksum([matrix[:0]], backend=backend) == checksum([matrix[:0]], backend=backend)
    assert checksum([torch.tensor(1.0)], backend=backend) != checksum([torch.tensor(2.0)], backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_any_place_in_memory(backend):
    numbers = Numbers(3).normal(3000)
    for start in range(4):
        part = numbers[start : start + 2500]
        assert checksum([part], backend=backend)[0][-1] == checksum([part.clone()], backend=backend)[0][-1]


def test_what_is_no_tensor(monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # the package's own check is looked at
    with pytest.raises(ConfigError, match=r"checksum: tensors\[1\] is 3 \(int\)"):
        checksum([torch.zeros(2), 3])
