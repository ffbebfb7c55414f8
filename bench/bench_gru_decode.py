"""Decoding: whole sentences in one call beside the loops that a user of plain PyTorch writes."""

import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import onednn
import pytest
import torch
from ceilings import ceilings
from interleaved import measure, report_times, synchronised_time
from memory import bytes_in_a_process, print_growth
from report import is_rounded
from shapes import DECODE, DECODE_CUDA, SHORT, SMOKE, DecodeShape
from torch import Tensor, nn

from svebm_ext.ops.backend import unavailable_reason
from svebm_ext.ops.gru_decode import GRUWeights, gru_decode, pack_gru

SECONDS = 3.0 if SHORT else 12.0
BEGIN, END = 1, 2
GRAPH = "tuned torch, CUDA graph"


@dataclass(frozen=True)
class Model:
    """A decoder with z at every input, and what can be prepared of it."""

    shape: DecodeShape
    embedding: Tensor
    cell: nn.GRUCell
    output: nn.Linear
    weights: GRUWeights
    z: Tensor
    state: Tensor

    @staticmethod
    @torch.no_grad()
    def draw(shape: DecodeShape, device: torch.device) -> "Model":
        torch.manual_seed(0)
        embedding = 0.1 * torch.randn(shape.vocabulary, shape.embedding, device=device)
        cell = nn.GRUCell(shape.embedding + shape.latent_dim, shape.hidden).requires_grad_(False).to(device)
        output = nn.Linear(shape.hidden, shape.vocabulary).requires_grad_(False).to(device)
        output.bias[END] = -100.0  # all sentences are of full length
        table = embedding @ cell.weight_ih[:, : shape.embedding].t() + cell.bias_ih
        weights = GRUWeights(table, cell.weight_hh, cell.bias_hh, output.weight, output.bias)
        z, state = torch.randn(shape.n_rows, shape.latent_dim), 0.1 * torch.randn(shape.n_rows, shape.hidden)
        return Model(shape, embedding, cell, output, weights, z.to(device), state.to(device))

    def gate_bias(self) -> Tensor:
        return self.z @ self.cell.weight_ih[:, self.shape.embedding :].t()


@torch.no_grad()
def plain(model: Model, greedy: bool) -> Tensor:
    """GRUCell, Linear, and argmax or softmax and multinomial."""
    state, words = model.state, []
    word = torch.full((model.shape.n_rows,), BEGIN, device=state.device)
    for _ in range(model.shape.max_tokens):
        state = model.cell(torch.cat([model.embedding[word], model.z], 1), state)
        scores = model.output(state)
        word = scores.argmax(1) if greedy else torch.softmax(scores, 1).multinomial(1)[:, 0]
        words.append(word)
    return torch.stack(words, 1)


Product = Callable[[Tensor], Tensor]


@torch.no_grad()
def tuned(model: Model, greedy: bool, products: tuple[Product, Product] | None = None) -> Tensor:
    """The input gates of all words in a table, z in a bias, addmm, and the inverse of the distribution function.

    Args:
        products: of a state with the recurrent weights and with those of the words, biases added; default: addmm.
    """
    state, gate_bias, words = model.state, model.gate_bias(), []
    weights = model.weights
    transposed, output = weights.weight.t(), weights.output.t()
    recurrent, scored = products or (
        lambda state: torch.addmm(weights.bias, state, transposed),
        lambda state: torch.addmm(weights.output_bias, state, output),
    )
    word = torch.full((model.shape.n_rows,), BEGIN, device=state.device)
    for _ in range(model.shape.max_tokens):
        input_r, input_u, input_n = (weights.input_gates[word] + gate_bias).chunk(3, 1)
        hidden_r, hidden_u, hidden_n = recurrent(state).chunk(3, 1)
        candidate = torch.tanh(torch.addcmul(input_n, torch.sigmoid(input_r + hidden_r), hidden_n))
        state = torch.lerp(candidate, state, torch.sigmoid(input_u + hidden_u))
        scores = scored(state)
        if greedy:
            word = scores.argmax(1)
        else:
            cumulative = torch.softmax(scores, 1).cumsum(1)
            uniform = torch.rand(len(word), 1, device=state.device) * cumulative[:, -1:]
            word = torch.searchsorted(cumulative, uniform)[:, 0].clamp_(max=scores.shape[1] - 1)
        words.append(word)
    return torch.stack(words, 1)


def packed(model: Model, greedy: bool, dtype: torch.dtype):
    """`tuned` whose products are oneDNN's with packed weights; states and gates stay in fp32."""

    def product(weight: Tensor, bias: Tensor) -> Product:
        linear = onednn.packed_linear(weight, bias, model.shape.n_rows, dtype)
        return lambda state: linear(state.to(dtype)).float()

    weights = model.weights
    products = (product(weights.weight, weights.bias), product(weights.output, weights.output_bias))
    return lambda: tuned(model, greedy, products)


def graphed(model: Model, greedy: bool):
    """`tuned` captured in a CUDA graph: what launches cost is gone."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        tuned(model, greedy)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        words = tuned(model, greedy)

    def call() -> Tensor:
        graph.replay()
        return words

    return call


def ours(model: Model, greedy: bool, backend: str, precision: str = "fp32"):
    packed = pack_gru(model.weights, precision=precision) if backend == "native" else None

    def call() -> Tensor:
        return gru_decode(
            model.state,
            model.gate_bias(),
            model.weights,
            max_tokens=model.shape.max_tokens,
            begin=BEGIN,
            end=END,
            greedy=greedy,
            precision=precision,
            packed=packed,
            backend=backend,
        ).tokens

    return call


ROUNDED = "oneDNN, packed, bf16"
IMPLEMENTATIONS = {
    "native": lambda model, greedy: ours(model, greedy, "native"),
    "native fast": lambda model, greedy: ours(model, greedy, "native", "fast"),
    "reference": lambda model, greedy: ours(model, greedy, "reference"),
    "GRUCell + Linear": lambda model, greedy: lambda: plain(model, greedy),
    "tuned torch": lambda model, greedy: lambda: tuned(model, greedy),
    "oneDNN, packed": lambda model, greedy: packed(model, greedy, torch.float32),
    ROUNDED: lambda model, greedy: packed(model, greedy, torch.bfloat16),
    GRAPH: graphed,
}

_measured: dict[tuple, dict[str, list[float]]] = {}
_ceilings: dict[tuple, dict[bool, dict[str, float]]] = {}


@pytest.mark.parametrize("implementation", list(IMPLEMENTATIONS))
@pytest.mark.parametrize("choice", ["greedy", "sampling"])
@pytest.mark.parametrize("name", list(DECODE_CUDA))
def bench_gru_decode(benchmark, name, choice, implementation, device):
    if device.type == "cpu" and name not in DECODE:
        pytest.skip("a size for GPUs")
    if implementation in unwanted(device):
        pytest.skip("for other devices")
    reason = unavailable_reason("gru_decode", device.type)
    if reason and implementation.startswith("native"):
        pytest.skip(reason)
    shape, group = DECODE_CUDA[name], (device.type, name, choice)
    if group not in _measured:
        _measured[group] = measure_group(shape, device, choice == "greedy", bool(reason))
        _ceilings[group] = {reduced: ceilings(device, reduced) for reduced in (False, True)}
    times = _measured[group][implementation]
    benchmark.group = f"gru_decode, {device.type}, {name} {choice}: {shape.max_tokens} words"
    seconds = statistics.median(times)
    rates = _ceilings[group][is_rounded(implementation)]
    benchmark.extra_info["flop_per_second"] = shape.n_flop / seconds
    benchmark.extra_info["tokens_per_second"] = shape.n_rows * shape.max_tokens / seconds
    benchmark.extra_info["ceilings"] = rates
    benchmark.extra_info["share_of_ceilings"] = {key: shape.n_flop / seconds / rate for key, rate in rates.items()}
    report_times(benchmark, times)


def unwanted(device: torch.device) -> list[str]:
    """Implementations that are for other devices."""
    if device.type == "cpu" and not onednn.missing(device):
        return [GRAPH, *([ROUNDED] if onednn.missing(device, torch.bfloat16) else [])]
    return [name for name in IMPLEMENTATIONS if name.startswith("oneDNN") or (name == GRAPH and device.type == "cpu")]


def measure_group(shape: DecodeShape, device: torch.device, greedy: bool, no_native: bool) -> dict[str, list[float]]:
    """Times of each implementation, after all have been seen to choose the same words where they choose the best."""
    model = Model.draw(shape, device)
    left_out = {*unwanted(device), *(name for name in IMPLEMENTATIONS if no_native and name.startswith("native"))}
    names = [name for name in IMPLEMENTATIONS if name not in left_out]
    calls = {name: IMPLEMENTATIONS[name](model, greedy) for name in names}
    expected = plain(model, True)
    for name, call in calls.items():
        words = call()
        assert words.shape == expected.shape and int(words.min()) >= 0 and int(words.max()) < shape.vocabulary
        if greedy:  # a near-tie may send a sentence another way, more often with rounded weights
            same = (words == expected).all(1).double().mean()
            assert same >= (0.0 if is_rounded(name) else 0.9), (name, float(same))
    clock = synchronised_time if device.type == "cuda" else time.perf_counter
    return measure(calls, clock, SECONDS, *((1, 1) if SMOKE else ()))


MEMORY = ["native", "native fast", "GRUCell + Linear", "tuned torch"]


def bench_peak_memory(benchmark):
    """Beyond the model, with its table of input gates and packed weights; the time printed is that of the processes."""
    if reason := unavailable_reason("gru_decode", "cpu"):
        pytest.skip(reason)
    name = list(DECODE)[-1]
    benchmark.group = "gru_decode sampling, peak memory"
    benchmark.extra_info["size"] = name
    found = benchmark.pedantic(lambda: {key: bytes_in_a_process(__file__, name, key) for key in MEMORY}, rounds=1)
    benchmark.extra_info["bytes"] = found


if __name__ == "__main__":
    model = Model.draw(DECODE[sys.argv[1]], torch.device("cpu"))
    print_growth(IMPLEMENTATIONS[sys.argv[2]](model, False))
