"""A GRU layer over a packed batch, forward and backward, lengths as in a batch of training.

This package's kernels beside torch's layer over the packed and over the padded batch.
"""

import statistics
import time

import pytest
import torch
from interleaved import measure, report_times, synchronised_time
from shapes import LAYER, LAYER_CUDA, SHORT, SMOKE, LayerShape
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence
from training_steps import sentence_lengths

from svebm_ext.ops.backend import unavailable_reason
from svebm_ext.ops.gru_sequence import gru_sequence

SECONDS = 1.5 if SHORT else 6.0
BF16 = ", bf16"
IMPLEMENTATIONS = [name + suffix for name in ("native", "torch packed", "torch padded") for suffix in ("", BF16)]

_measured: dict[tuple[str, str], dict[str, list[float]]] = {}


def make_call(shape: LayerShape, implementation: str, device: torch.device):
    """A function that computes all states, and the gradients of their sum by inputs and parameters, once."""
    torch.manual_seed(0)
    lengths = sentence_lengths(shape)
    sizes = torch.tensor([int((lengths > t).sum()) for t in range(int(lengths[0]))])
    network = nn.GRU(shape.hidden, shape.hidden, bidirectional=shape.n_directions == 2).to(device)
    inputs = torch.randn(int(lengths.sum()), shape.hidden).to(device).requires_grad_()
    padded = pad_packed_sequence(PackedSequence(inputs, sizes))[0].detach().requires_grad_()
    suffixes = ("", "_reverse")[: shape.n_directions]
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    parameters = [getattr(network, f"{name}_l0{suffix}") for suffix in suffixes for name in names]
    kind = implementation.removesuffix(BF16)
    leaves = [padded if kind == "torch padded" else inputs, *parameters]

    def call() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=implementation.endswith(BF16)):
            if kind == "native":
                states = gru_sequence(inputs, sizes, None, parameters, backend="native")[0]
            elif kind == "torch packed":
                states = network(PackedSequence(inputs, sizes))[0].data
            else:
                states = network(padded)[0]
        torch.autograd.grad(states.float().sum(), leaves)

    return call


def selected(device: torch.device) -> list[str]:
    """Implementations that this installation has for the device; on CUDA the kernel is the same under autocast."""
    missing = unavailable_reason("gru_sequence", device.type)
    left_out = [name for name in IMPLEMENTATIONS if missing and name.startswith("native")]
    if device.type == "cuda":
        left_out.append("native" + BF16)
    return [name for name in IMPLEMENTATIONS if name not in left_out]


def measure_group(name: str, device: torch.device) -> dict[str, list[float]]:
    calls = {key: make_call(LAYER_CUDA[name], key, device) for key in selected(device)}
    for call in calls.values():
        call()
    clock = synchronised_time if device.type == "cuda" else time.perf_counter
    return measure(calls, clock, SECONDS, *((1, 1) if SMOKE else ()))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", list(LAYER_CUDA))
def bench_gru_sequence(benchmark, name, implementation, device):
    if device.type == "cpu" and name not in LAYER:
        pytest.skip("a size for GPUs")
    if implementation not in selected(device):
        pytest.skip(unavailable_reason("gru_sequence", device.type) or "the kernel is the same under autocast")
    if (device.type, name) not in _measured:
        _measured[device.type, name] = measure_group(name, device)
    shape, times = LAYER_CUDA[name], _measured[device.type, name][implementation]
    n_tokens = int(sentence_lengths(shape).sum())
    benchmark.group = f"gru_sequence, {device.type}, {name}: {n_tokens} tokens, H {shape.hidden}"
    # x and h, three gates, and three products each: forward, by the operand, by the weights
    flop = 36 * n_tokens * shape.n_directions * shape.hidden**2
    benchmark.extra_info["flop"] = flop
    benchmark.extra_info["flop_per_second"] = flop / statistics.median(times)
    report_times(benchmark, times)
