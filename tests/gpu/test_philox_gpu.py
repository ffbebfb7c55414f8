"""The CUDA kernel of philox against the reference on the CPU, and the ways in which torch calls it."""

import pytest
import torch
from torch_warnings import JIT

from svebm_ext.ops.philox import Stream, philox_normal, philox_uniform

OP = "philox"
SHAPES = [(1, 1, 1), (1, 4, 64), (3, 7, 5), (130, 40, 2), (4096, 40, 3), (2, 3, 70_000), (100_003, 13, 2)]


def draw(function, device, n_chains, dim, n_steps, backend):
    chains = torch.arange(n_chains, device=device) * ((1 << 33) + 7) - 5
    first_step = (1 << 32) - n_steps
    arguments = {"dim": dim, "first_step": first_step, "n_steps": n_steps, "stream": Stream.METROPOLIS}
    return function(0xFEDCBA9876543210, chains, backend=backend, **arguments).cpu()


@pytest.mark.parametrize("shape", SHAPES)
def test_uniforms_equal_the_reference_bit_for_bit(native_device, shape):
    expected = draw(philox_uniform, "cpu", *shape, "reference")
    assert torch.equal(draw(philox_uniform, native_device, *shape, "native"), expected)


@pytest.mark.parametrize("shape", SHAPES)
def test_normals_equal_the_reference_to_rounding(native_device, shape):
    expected = draw(philox_normal, "cpu", *shape, "reference")
    torch.testing.assert_close(draw(philox_normal, native_device, *shape, "native"), expected, rtol=2e-6, atol=2e-6)


def test_the_reference_is_the_same_on_the_gpu(device):
    expected = draw(philox_uniform, "cpu", 50, 9, 4, "reference")
    assert torch.equal(draw(philox_uniform, device, 50, 9, 4, "reference"), expected)


def test_every_element_is_written(native_device):
    """Memory that the allocator hands out again is full of NaN; none of it may be left."""
    for dim in (1, 3, 4, 6, 40):
        torch.full((5, 1000, dim), float("nan"), device=native_device)
        numbers = philox_normal(1, torch.arange(1000, device=native_device), dim=dim, n_steps=5, stream=Stream.INITIAL)
        assert torch.isfinite(numbers).all()


def test_it_runs_on_the_current_stream(native_device):
    chains = torch.arange(1 << 16, device=native_device)
    expected = philox_normal(2, chains, dim=40, stream=Stream.INITIAL)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        torch.cuda._sleep(10_000_000)
        late = chains.clone()  # made on the side stream, after the pause: another stream would read it too early
        found = philox_normal(2, late, dim=40, stream=Stream.INITIAL)
    side.synchronize()
    assert torch.equal(found, expected)


def test_a_captured_graph_reads_its_seed_at_each_replay(native_device):
    chains = torch.arange(1000, device=native_device)
    seed = torch.tensor(1, device=native_device)
    arguments = {"dim": 40, "n_steps": 2, "stream": Stream.LANGEVIN, "backend": "native"}
    philox_normal(seed, chains, **arguments)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = philox_normal(seed, chains, **arguments)
    for value in (1, 12345678901234567):
        seed.fill_(value)
        graph.replay()
        assert torch.equal(captured, philox_normal(value, chains, **arguments))


@JIT
def test_opcheck_and_compile(native_device):
    chains = torch.arange(100, device=native_device)
    torch.library.opcheck(torch.ops.svebm.philox.default, (chains, 7, None, 6, 2, 3, 1, True, "native"))

    def double(chain_ids):
        return torch.ops.svebm.philox(chain_ids, 7, None, 6, 2, 3, 1, True, "native") * 2.0

    assert torch.equal(torch.compile(double, fullgraph=True)(chains), double(chains))


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_the_second_gpu_is_served_while_the_first_is_current(native_device):
    second = torch.device("cuda:1")
    expected = draw(philox_normal, "cpu", 100, 40, 2, "reference")
    torch.testing.assert_close(draw(philox_normal, second, 100, 40, 2, "native"), expected, rtol=2e-6, atol=2e-6)
    assert torch.cuda.current_device() == 0
