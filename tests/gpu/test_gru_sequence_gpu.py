"""GRU layers over packed batches on a GPU against torch.nn.GRU in float64 on the CPU."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from svebm_ext.errors import BackendUnavailableError
from svebm_ext.models.encoders import run_recurrent
from svebm_ext.ops.backend import NativeFallbackWarning, use_backend
from svebm_ext.ops.gru_sequence import CUDA_ROWS, cuda, gru_sequence

OP = "gru_sequence"
LENGTHS = {
    "one word": [1],
    "one sentence": [5],
    "as a batch of training": [max(2, 40 - i) for i in range(32)],
    "more rows than places": [9] * 16 + [5] * 33 + [1] * 8,
    "equal lengths": [4] * 64,
}


def packed_sizes(lengths):
    return torch.tensor([sum(length > t for length in lengths) for t in range(max(lengths))])


def make(lengths, inputs_dim, H, bidirectional):
    """A network, inputs [n, I], initial states [directions, B, H] and sizes, in float64."""
    torch.manual_seed(len(lengths))
    network = nn.GRU(inputs_dim, H, bidirectional=bidirectional).double()
    inputs = torch.randn(sum(lengths), inputs_dim, dtype=torch.float64)
    initial = torch.randn(1 + bidirectional, len(lengths), H, dtype=torch.float64)
    return network, inputs, initial, packed_sizes(lengths)


def loss_of(states, final):
    """Weighs every number differently."""
    weights = torch.linspace(-1, 1, states.numel(), dtype=states.dtype, device=states.device).view_as(states)
    return (states * weights).sum() + final.sin().sum()


def expected_of(network, inputs, initial, sizes):
    """States, final states, and gradients by inputs, initial states and parameters."""
    leaves = [inputs.clone().requires_grad_(), initial.clone().requires_grad_(), *network.parameters()]
    states, final = network(PackedSequence(leaves[0], sizes), leaves[1])
    return [states.data, final, *torch.autograd.grad(loss_of(states.data, final), leaves)]


def found_by(device, network, inputs, initial, sizes, backend="native", autocast=False):
    leaves = [t.detach().float().to(device).requires_grad_() for t in (inputs, initial, *network.parameters())]
    with torch.autocast("cuda", dtype=torch.bfloat16, enabled=autocast):
        states, final = gru_sequence(leaves[0], sizes, leaves[1], leaves[2:], backend=backend)
    return [states, final, *torch.autograd.grad(loss_of(states, final), leaves)]


def assert_near(results, expected, tolerance):
    """Largest distance in units of the largest number."""
    for result, other in zip(results, expected, strict=True):
        assert result.shape == other.shape and result.dtype == torch.float32
        result, other = result.detach().cpu().double(), other.detach()
        assert float((result - other).abs().max()) <= tolerance * float(other.abs().max())


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("H", [4, 36])
@pytest.mark.parametrize("lengths", list(LENGTHS))
def test_states_and_gradients_equal_the_reference(native_device, lengths, H, bidirectional):
    case = make(LENGTHS[lengths], 20, H, bidirectional)
    assert_near(found_by(native_device, *case), expected_of(*case), 2e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("H", [512, 1024])
@pytest.mark.parametrize("lengths", list(LENGTHS))
def test_sizes_of_training(native_device, lengths, H, bidirectional):
    """Apart from the above, which a checker of races runs as well, a thousand times as slow."""
    case = make(LENGTHS[lengths], 20, H, bidirectional)
    assert_near(found_by(native_device, *case), expected_of(*case), 2e-5)


@pytest.mark.parametrize("n_directions", [1, 2])
def test_the_reference_on_a_gpu(device, n_directions):
    case = make([6, 4, 4, 3, 1], 5, 7, n_directions == 2)
    assert_near(found_by(device, *case, backend="reference"), expected_of(*case), 1e-5)


def test_autocast_leaves_the_products_in_float32(native_device):
    case = make(LENGTHS["as a batch of training"], 24, 64, True)
    assert_near(found_by(native_device, *case, autocast=True), expected_of(*case), 2e-5)


def test_repeats_to_the_bit_on_any_stream(native_device):
    case = make(LENGTHS["as a batch of training"], 24, 512, True)
    results = []
    for stream in (torch.cuda.current_stream(), torch.cuda.Stream(), torch.cuda.Stream()):
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            results.append(found_by(native_device, *case))
        torch.cuda.synchronize()
    for other in results[1:]:
        assert all(torch.equal(x, y) for x, y in zip(results[0], other, strict=True))


def test_absent_states_and_gradients_are_zero(native_device):
    network, inputs, initial, sizes = make([7, 4, 4, 1], 6, 8, True)
    initial.zero_()
    parameters = [p.detach().float().to(native_device).requires_grad_() for p in network.parameters()]
    x = inputs.float().to(native_device).requires_grad_()
    leaves = [inputs.requires_grad_(), *network.parameters()]
    for of_states in (True, False):
        states, final = gru_sequence(x, sizes, None, parameters, backend="native")
        expected = network(PackedSequence(inputs, sizes), initial)
        loss, other = (states, expected[0].data) if of_states else (final, expected[1])
        gradients = torch.autograd.grad(loss.sin().sum(), [x, *parameters])
        assert_near(gradients, torch.autograd.grad(other.sin().sum(), leaves), 2e-5)


def test_initial_states_anywhere_in_memory(native_device):
    network, inputs, initial, sizes = make([5, 5, 2], 6, 8, False)
    memory = torch.zeros(initial.numel() + 1, device=native_device)
    memory[1:] = initial.flatten().float()
    x, parameters = (
        inputs.float().to(native_device),
        [p.detach().float().to(native_device) for p in network.parameters()],
    )
    found = gru_sequence(x, sizes, memory[1:].view(initial.shape), parameters, backend="native")
    states, final = network(PackedSequence(inputs, sizes), initial)
    assert_near(found, [states.data, final], 2e-5)


def test_what_the_kernels_cannot_serve_is_named(native_device):
    case = make([3, 2], 5, 6, False)
    with pytest.raises(BackendUnavailableError, match="multiple of 4"):
        found_by(native_device, *case)
    with pytest.warns(NativeFallbackWarning, match="multiple of 4"):
        results = found_by(native_device, *case, backend="auto")
    assert_near(results, expected_of(*case), 1e-5)


@pytest.mark.parametrize(
    ("n_rows", "backend", "calls"), [(CUDA_ROWS, "auto", 2), (CUDA_ROWS + 1, "auto", 0), (5, "reference", 0)]
)
def test_networks_take_the_kernel_for_small_batches(native_device, monkeypatch, n_rows, backend, calls):
    """Forward and backward; torch's layer otherwise, which gives the same."""
    network, inputs, initial, sizes = make([5] * n_rows, 12, 16, False)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    launch, seen = cuda._launch, []
    monkeypatch.setattr(cuda, "_launch", lambda kernel, *a, **k: (seen.append(kernel), launch(kernel, *a, **k)))
    moved = copy.deepcopy(network).float().to(native_device)
    x, h = (t.float().to(native_device).requires_grad_() for t in (inputs, initial[0]))
    with use_backend(backend):
        states, (final,) = run_recurrent(moved, x, sizes, (h,))
        gradients = torch.autograd.grad(loss_of(states, final), [x, *moved.parameters()])
    assert len(seen) == calls
    expected = expected_of(network, inputs, initial, sizes)
    assert_near([states, final, *gradients], [expected[0], expected[1][0], expected[2], *expected[4:]], 2e-5)
