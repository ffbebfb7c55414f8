"""`gru_sequence` against torch.nn.GRU in float64, values and gradients."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils.rnn import pack_padded_sequence
from torch_warnings import NO_LEAF

import svebm_ext.ops.gru_sequence as op
from svebm_ext.errors import BackendUnavailableError, ConfigError
from svebm_ext.models.encoders import run_recurrent
from svebm_ext.ops.backend import unavailable_reason, use_backend
from svebm_ext.ops.gru_sequence import cuda, gru_sequence
from svebm_ext.ops.gru_sequence.options import GruSequenceBackwardInputs, GruSequenceInputs
from svebm_ext.ops.gru_sequence.reference import packed_gru
from svebm_ext.ops.native_library import native_library

REASON = unavailable_reason("gru_sequence", "cpu")
needs_native = pytest.mark.skipif(bool(REASON), reason=REASON)
VARIANTS = native_library().module.cpu_variants() if native_library().module else []


def example(lengths, inputs=5, H=4, bidirectional=False):
    torch.manual_seed(len(lengths))
    network = nn.GRU(inputs, H, bidirectional=bidirectional).double()
    padded = torch.randn(max(lengths), len(lengths), inputs, dtype=torch.float64)
    packed = pack_padded_sequence(padded, torch.tensor(lengths))
    initial = torch.randn(len(lengths), H, dtype=torch.float64)
    return network, packed, initial


@pytest.mark.parametrize("lengths", [[1], [3], [7, 4, 4, 1], [2, 2, 2]])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_equals_torch_gru_and_its_gradients(lengths, bidirectional):
    network, packed, initial = example(lengths, bidirectional=bidirectional)
    results = []
    for ours in (True, False):
        data = packed.data.clone().requires_grad_()
        h0 = initial.clone().requires_grad_()
        if ours:
            hidden, final = run_recurrent(network, data, packed.batch_sizes, (h0,))
        else:
            start = torch.stack([h0] * (2 if bidirectional else 1))
            output, state = network(packed._replace(data=data), start)
            hidden, final = output.data, tuple(state)
        loss = (hidden * torch.linspace(-1, 1, hidden.numel()).view_as(hidden)).sum() + sum(
            f.sin().sum() for f in final
        )
        gradients = torch.autograd.grad(loss, [data, h0, *network.parameters()])
        results.append((hidden, *final, *gradients))
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
def test_gradient_against_finite_differences(reverse):
    sizes = torch.tensor([3, 2, 2, 1])
    torch.manual_seed(0)
    arguments = [torch.randn(*s, dtype=torch.float64, requires_grad=True) for s in ((8, 6), (3, 2), (6, 2), (6,))]

    def run(gates, initial, weight, bias):
        return packed_gru(gates, sizes, initial, weight, bias, reverse=reverse)

    assert torch.autograd.gradcheck(run, arguments)


def parameters_of(network):
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    suffixes = ("", "_reverse") if network.bidirectional else ("",)
    return [getattr(network, f"{name}_l0{suffix}") for suffix in suffixes for name in names]


def results(run, data, initial, parameters):
    """States, final states, and gradients of a loss that weighs every number differently."""
    states, final = run(data, initial)
    weights = torch.linspace(-1, 1, states.numel(), dtype=states.dtype).view_as(states)
    loss = (states * weights).sum() + final.sin().sum()
    return states, final, *torch.autograd.grad(loss, [data, initial, *parameters])


def compare_with_torch(lengths, inputs, H, bidirectional, tolerance, autocast=False):
    exact, packed, initial = example(lengths, inputs, H, bidirectional)
    network = nn.GRU(inputs, H, bidirectional=bidirectional)
    network.load_state_dict({name: value.float() for name, value in exact.state_dict().items()})
    start = torch.stack([initial] * (2 if bidirectional else 1))

    def ours(data, h):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
            return gru_sequence(data, packed.batch_sizes, h, parameters_of(network), backend="native")

    def theirs(data, h):
        output, final = exact(packed._replace(data=data), h)
        return output.data, final

    mine = results(ours, *(x.float().requires_grad_() for x in (packed.data, start)), parameters_of(network))
    expected = results(theirs, *(x.clone().requires_grad_() for x in (packed.data, start)), parameters_of(exact))
    for found, value in zip(mine, expected, strict=True):
        assert found.dtype == torch.float32
        scale = float(value.detach().abs().max())
        torch.testing.assert_close(found.double(), value, rtol=0, atol=tolerance * scale)


@needs_native
@pytest.mark.parametrize("lengths", [[1], [3], [7, 4, 4, 1], [2] * 33, [9] * 16 + [5] * 20 + [1] * 8])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("H", [1, 4, 13, 32])
def test_native_equals_torch_gru_and_its_gradients(lengths, bidirectional, H):
    compare_with_torch(lengths, 5, H, bidirectional, 1e-5)


@needs_native
def test_native_in_every_instruction_set(variant):
    compare_with_torch([11] * 20 + [6] * 21, 40, 50, True, 1e-5)


@needs_native
def test_native_rounds_operands_under_autocast():
    compare_with_torch([11] * 20 + [6] * 21, 40, 50, True, 3e-2, autocast=True)
    if "avx512bf16" in VARIANTS:
        with pytest.raises(AssertionError):
            compare_with_torch([11] * 20 + [6] * 21, 40, 50, True, 1e-5, autocast=True)


@needs_native
def test_bits_do_not_depend_on_threads():
    torch.manual_seed(3)
    network, sizes = nn.GRU(6, 20, bidirectional=True), torch.tensor([50, 40, 7])
    data, start = torch.randn(97, 6), torch.zeros(2, 50, 20)
    found = []
    for n_threads in (1, 2, 5):
        torch.set_num_threads(n_threads)
        leaves = [x.clone().requires_grad_() for x in (data, start)]
        parameters = parameters_of(network)
        found.append(results(lambda x, h, p=parameters: gru_sequence(x, sizes, h, p), *leaves, parameters))
    torch.set_num_threads(1)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other, strict=True))


@needs_native
@pytest.mark.parametrize("used", ["states", "final"])
def test_no_initial_state_and_a_result_that_nobody_uses(used):
    torch.manual_seed(4)
    network, sizes = nn.GRU(3, 5), torch.tensor([4, 2, 1])
    gradients = []
    for backend in ("native", "reference"):
        data = torch.randn(7, 3, generator=torch.Generator().manual_seed(1)).requires_grad_()
        states, final = gru_sequence(data, sizes, None, parameters_of(network), backend=backend)
        loss = (states if used == "states" else final).square().sum()
        gradients.append(torch.autograd.grad(loss, [data, *network.parameters()]))
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"inputs": torch.zeros(7, 4)}, r"parameters\[0\] is .*expected torch.float32 of shape \[15, 4\]"),
        ({"batch_sizes": torch.tensor([4, 2])}, r"batch_sizes is \[4, 2\]; expected .* add up to 7"),
        ({"batch_sizes": torch.tensor([2, 4, 1])}, "batch_sizes is"),
        ({"batch_sizes": torch.tensor([4, 3, 0])}, "batch_sizes is"),
        ({"batch_sizes": torch.tensor([4, 2, 1], dtype=torch.int32)}, "batch_sizes is torch.int32"),
        ({"initial": torch.zeros(1, 3, 5)}, r"initial is .*expected torch.float32 of shape \[1, 4, 5\]"),
        ({"initial": torch.zeros(1, 4, 5, dtype=torch.float64)}, "initial is torch.float64"),
        ({"parameters": []}, "parameters is a list of 0"),
    ],
)
def test_wrong_arguments_are_named(change, message):
    network = nn.GRU(3, 5)
    arguments = {"inputs": torch.zeros(7, 3), "batch_sizes": torch.tensor([4, 2, 1]), "initial": None}
    with pytest.raises(ConfigError, match=f"gru_sequence: {message}"):
        gru_sequence(**{**arguments, "parameters": parameters_of(network), **change})


def test_float64_has_no_native_kernel():
    network, packed, initial = example([2, 1])
    with pytest.raises(BackendUnavailableError, match="gru_sequence"), use_backend("native"):
        gru_sequence(packed.data, packed.batch_sizes, initial[None], parameters_of(network))


@NO_LEAF
@needs_native
@pytest.mark.parametrize("bidirectional", [False, True])
def test_opcheck(bidirectional):
    network, sizes = nn.GRU(3, 5, bidirectional=bidirectional), torch.tensor([4, 2, 1])
    start = torch.randn(2 if bidirectional else 1, 4, 5, requires_grad=True)
    arguments = (torch.randn(7, 3, requires_grad=True), sizes, start, parameters_of(network), False)
    torch.library.opcheck(torch.ops.svebm.gru_sequence.default, arguments)


@needs_native
@pytest.mark.slow
def test_compiled_without_graph_breaks():
    """In a process without run-time checks of annotations, which torch.compile cannot look into."""
    code = """
import torch
import svebm_ext.ops.gru_sequence as op
from svebm_ext.ops.gru_sequence import cuda, gru_sequence
network, sizes = torch.nn.GRU(3, 5), torch.tensor([4, 2, 1])
parameters = [network.weight_ih_l0, network.weight_hh_l0, network.bias_ih_l0, network.bias_hh_l0]
data, start = torch.randn(7, 3, requires_grad=True), torch.randn(1, 4, 5, requires_grad=True)
def loss(x, h):
    states, final = gru_sequence(x * 2.0, sizes, h, parameters)
    return states.square().sum() + final.sum()
expected = torch.autograd.grad(loss(data, start), [data, start, *parameters])
found = torch.autograd.grad(torch.compile(loss, fullgraph=True)(data, start), [data, start, *parameters])
for a, b in zip(found, expected, strict=True):
    torch.testing.assert_close(a, b)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def kernel_in_torch(kernel, inputs, arrays):
    """What csrc/gru_sequence/cuda/gru_sequence.cu writes, by the definition and autograd, in the arrays' type."""
    H, batch_sizes = inputs.hidden, inputs.batch_sizes
    for d in range(inputs.n_directions):
        _, w_hh, _, b_hh = inputs.layer(d)
        gates, before, q = (arrays[name][d] for name in ("gates", "before", "recurrent"))
        starts = [0, *batch_sizes.cumsum(0).tolist()]
        steps = list(range(len(batch_sizes)))
        state = torch.zeros(int(batch_sizes[0]), H, dtype=gates.dtype)
        if inputs.initial is not None:
            state = inputs.initial[d].clone()
        part_of = {t: slice(starts[t], starts[t + 1]) for t in steps}
        columns = slice(d * H, (d + 1) * H)
        if kernel == "gru_sequence":
            for t in steps[::-1] if d else steps:
                part, size = part_of[t], int(batch_sizes[t])
                h = state[:size].clone()
                product = h @ w_hh.t() + b_hh
                r, z = torch.sigmoid(gates[part, : 2 * H] + product[:, : 2 * H]).chunk(2, 1)
                n = torch.tanh(gates[part, 2 * H :] + r * product[:, 2 * H :])
                state[:size] = (1 - z) * n + z * h
                gates[part], before[part], q[part] = torch.cat((r, z, n), 1), h, product[:, 2 * H :]
                arrays["states"][part, columns] = state[:size]
            arrays["final_states"][d] = state
            continue
        gradient = torch.zeros_like(state) if arrays["grad_final"] is None else arrays["grad_final"][d].clone()
        for t in steps if d else steps[::-1]:
            part, size = part_of[t], int(batch_sizes[t])
            r, z, n = gates[part].chunk(3, 1)
            g = gradient[:size] + (0 if arrays["grad_states"] is None else arrays["grad_states"][part, columns])
            of_n = g * (1 - z) * (1 - n * n)
            of_z, of_r = g * (before[part] - n) * z * (1 - z), of_n * q[part] * r * (1 - r)
            arrays["grad_gates"][d, part] = torch.cat((of_r, of_z, of_n), 1)
            arrays["grad_hidden"][d, part] = torch.cat((of_r, of_z, of_n * r), 1)
            gradient[:size] = g * z + arrays["grad_hidden"][d, part] @ w_hh
        arrays["grad_initial"][d] = gradient


@pytest.mark.parametrize("absent", ["nothing", "initial", "grad_states", "grad_final"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_what_surrounds_the_cuda_kernels(monkeypatch, bidirectional, absent):
    """Arrays and products around them; the kernels themselves run in tests/emulation and tests/gpu."""
    monkeypatch.setattr(cuda, "_launch", kernel_in_torch)
    network, packed, initial = example([7, 4, 4, 1], bidirectional=bidirectional)
    h0 = torch.stack([initial, initial.sin()][: 1 + bidirectional]).requires_grad_()
    data = packed.data.clone().requires_grad_()
    parameters = parameters_of(network)
    given = torch.zeros_like(h0) if absent == "initial" else h0
    output, final = network(packed._replace(data=data), given)
    of_states, of_final = torch.randn_like(output.data), torch.randn_like(final)
    if absent == "grad_states":
        of_states.zero_()
    if absent == "grad_final":
        of_final.zero_()
    loss = (output.data * of_states).sum() + (final * of_final).sum()
    leaves = [data, *parameters] if absent == "initial" else [data, h0, *parameters]
    expected = torch.autograd.grad(loss, leaves)

    with torch.no_grad():
        call = (data, packed.batch_sizes, None if absent == "initial" else h0, parameters)
        mine, my_final, *saved = cuda.forward(GruSequenceInputs(*call, fast=False))
        upstream = [None if absent == "grad_states" else of_states, None if absent == "grad_final" else of_final]
        gradients = cuda.backward(GruSequenceBackwardInputs(*upstream, *call, *saved, fast=False))
    found = [gradients[0], *([] if absent == "initial" else [gradients[1]]), *gradients[2]]
    for value, other in zip([mine, my_final, *found], [output.data, final, *expected], strict=True):
        torch.testing.assert_close(value, other, rtol=1e-10, atol=1e-12)


def test_which_calls_torch_serves_better_on_a_gpu(monkeypatch):
    with FakeTensorMode():  # has a device and no memory
        inputs, halves = (torch.empty(12, 5, device="cuda", dtype=dtype) for dtype in (torch.float32, torch.float16))
    sizes, choice = torch.tensor([4, 4, 4]), ["native"]
    monkeypatch.setattr(op, "resolve", lambda *_: choice[0])
    monkeypatch.setattr(cuda, "reason", lambda device, batch_sizes, hidden, n: "too large" if hidden > 512 else "")
    assert not op.prefers_torch(inputs, sizes, 512, 2)
    assert op.prefers_torch(inputs, sizes, 516, 2)
    assert op.prefers_torch(inputs, torch.tensor([op.CUDA_ROWS + 1]), 512, 2)
    assert op.prefers_torch(halves, sizes, 512, 2)
    assert not op.prefers_torch(torch.zeros(12, 5), sizes, 516, 2)  # on a CPU, where there is the reference
    assert op.prefers_torch(torch.zeros(12, 5, device="meta"), sizes, 512, 2)
    choice[0] = "reference"
    assert op.prefers_torch(inputs, sizes, 512, 2)


def test_arrays_for_the_cuda_kernels_lie_on_16_bytes():
    memory = torch.arange(41.0)
    whole, view = memory[:40].view(5, 8), memory[1:].view(5, 8)
    assert cuda._for_the_kernel(whole).data_ptr() == memory.data_ptr()
    for odd in (view, whole.t()):
        found = cuda._for_the_kernel(odd)
        assert found.is_contiguous() and found.data_ptr() % 16 == 0 and torch.equal(found, odd)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("lengths", [[9, 7, 7, 3, 1, 1], [40] * 70 + [3] * 5])
def test_products_that_repeat_are_shared_bit_for_bit(lengths, directions):
    """Against `gru_sequence` on the repeated inputs, which is compared with torch above."""
    from svebm_ext.ops.gru_sequence import repeated

    torch.manual_seed(1)
    network = nn.GRU(6, 10, bidirectional=directions == 2)
    parameters = list(network.parameters())
    sizes = pack_padded_sequence(torch.zeros(max(lengths), len(lengths), 1), torch.tensor(lengths)).batch_sizes
    n = int(sizes.sum())
    distinct, which = torch.randn(5, 6), torch.randint(0, 5, (n,))
    with torch.no_grad():
        expected = gru_sequence(distinct[which], sizes, None, parameters)
        results = repeated.gru_sequence_of_repeated(distinct, which, sizes, parameters)
        assert all(torch.equal(mine, theirs) for mine, theirs in zip(results, expected, strict=True))
        with pytest.raises(ConfigError, match="batch_sizes"):
            repeated.gru_sequence_of_repeated(distinct, which, torch.cat((sizes, sizes[-1:])), parameters)
        with use_backend("reference"):
            slow = repeated.gru_sequence_of_repeated(distinct, which, sizes, parameters)
        torch.testing.assert_close(slow, expected, rtol=1e-5, atol=1e-6)
    hidden, _ = repeated.gru_sequence_of_repeated(distinct, which, sizes, parameters)  # with a gradient
    assert hidden.requires_grad and torch.equal(hidden.detach(), expected[0])
    assert not repeated.products_are_shared(distinct)


def test_an_index_outside_the_inputs_is_refused():
    from svebm_ext.ops.gru_sequence.repeated import gru_sequence_of_repeated

    parameters = list(nn.GRU(3, 4).parameters())
    with torch.no_grad(), pytest.raises((IndexError, RuntimeError)):
        gru_sequence_of_repeated(torch.randn(2, 3), torch.tensor([0, 1, 0, 1, 2, 7]), torch.tensor([3, 3]), parameters)
