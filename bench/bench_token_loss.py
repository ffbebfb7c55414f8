"""Loss of tokens with both gradients: the native kernel and the reference in chunks beside torch's linear map and
cross_entropy, which hold all logits. Times, and peak memory beyond the operands."""

import statistics
import sys
import time

import onednn
import pytest
import torch
import torch.nn.functional as F
from ceilings import ceilings
from interleaved import measure, report_times, synchronised_time
from memory import bytes_in_a_process, bytes_on_gpu, print_growth
from shapes import SHORT, SMOKE, TOKEN_LOSS, TOKEN_LOSS_CUDA

from svebm_ext.ops.backend import unavailable_reason
from svebm_ext.ops.token_loss import token_loss

SECONDS = 2.0 if SHORT else 8.0
BF16 = ", bf16"
#: Under autocast torch's own products are oneDNN's.
ONEDNN = "cross_entropy, oneDNN"
IMPLEMENTATIONS = [
    *(name + suffix for name in ("native", "reference", "torch cross_entropy") for suffix in ("", BF16)),
    ONEDNN,
]

_measured: dict[tuple[str, str], dict[str, list[float]]] = {}
_ceilings: dict[str, dict[bool, dict[str, float]]] = {}


class OneDnnLoss(torch.autograd.Function):
    """Sum of the losses, all logits held, by oneDNN's products: weights are packed in each call, as they change."""

    @staticmethod
    def forward(ctx, hidden, weight, targets):
        """The loss, and its gradient by the logits for the pass backward."""
        logits = onednn.packed_linear(weight, None, len(hidden))(hidden)
        log_p = F.log_softmax(logits, dim=1)
        rows = torch.arange(len(targets))
        loss = -log_p[rows, targets].sum()
        by_logits = log_p.exp_()
        by_logits[rows, targets] -= 1.0
        ctx.save_for_backward(hidden, weight, by_logits)
        return loss

    @staticmethod
    def backward(ctx, by_loss):
        """Gradients of hidden states and weights."""
        hidden, weight, by_logits = ctx.saved_tensors
        by_logits = by_logits * by_loss
        by_hidden = onednn.packed_linear(weight.t(), None, len(hidden))(by_logits)
        by_weight = onednn.packed_linear(hidden.t(), None, len(weight))(by_logits.t().contiguous())
        return by_hidden, by_weight, None


def make_call(name: str, implementation: str, device: torch.device):
    """A function that computes loss and gradients once."""
    shape = TOKEN_LOSS_CUDA[name]
    torch.manual_seed(0)
    hidden = torch.randn(shape.n_tokens, shape.hidden).to(device).requires_grad_()
    weight = (0.05 * torch.randn(shape.vocabulary_size, shape.hidden)).to(device).requires_grad_()
    targets = torch.randint(0, shape.vocabulary_size, (shape.n_tokens,)).to(device)
    backend = implementation.removesuffix(BF16)

    def call() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=implementation.endswith(BF16)):
            if backend == ONEDNN:
                loss = OneDnnLoss.apply(hidden, weight, targets)
            elif backend == "torch cross_entropy":
                loss = F.cross_entropy(F.linear(hidden, weight), targets, reduction="sum")
            else:
                loss = token_loss(hidden, weight, targets, backend=backend).sum()
        torch.autograd.grad(loss, [hidden, weight])

    return call


def selected(device: torch.device) -> list[str]:
    """Implementations that this installation has for the device."""
    missing = unavailable_reason("token_loss", device.type)
    left_out = [ONEDNN] if onednn.missing(device) else []
    return [name for name in IMPLEMENTATIONS if name not in left_out and not (missing and name.startswith("native"))]


def measure_group(name: str, device: torch.device) -> dict[str, list[float]]:
    calls = {key: make_call(name, key, device) for key in selected(device)}
    for call in calls.values():
        call()
    clock = synchronised_time if device.type == "cuda" else time.perf_counter
    return measure(calls, clock, SECONDS, *((1, 1) if SMOKE else ()))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", list(TOKEN_LOSS_CUDA))
def bench_token_loss(benchmark, name, implementation, device):
    if device.type == "cpu" and name not in TOKEN_LOSS:
        pytest.skip("a size for GPUs")
    if implementation not in selected(device):
        pytest.skip(onednn.missing(device) or unavailable_reason("token_loss", device.type))
    if (device.type, name) not in _measured:
        _measured[device.type, name] = measure_group(name, device)
    if device.type not in _ceilings:
        _ceilings[device.type] = {reduced: ceilings(device, reduced) for reduced in (False, True)}
    shape, times = TOKEN_LOSS_CUDA[name], _measured[device.type, name][implementation]
    benchmark.group = f"token_loss, {device.type}, {name}: {shape.n_tokens} x {shape.hidden} x {shape.vocabulary_size}"
    flop = 6 * shape.n_tokens * shape.hidden * shape.vocabulary_size
    flop_rate, rates = flop / statistics.median(times), _ceilings[device.type][implementation.endswith(BF16)]
    benchmark.extra_info["flop"] = flop
    benchmark.extra_info["flop_per_second"] = flop_rate
    benchmark.extra_info["ceilings"] = rates
    benchmark.extra_info["share_of_ceilings"] = {ceiling: flop_rate / rate for ceiling, rate in rates.items()}
    report_times(benchmark, times)


@pytest.mark.parametrize("name", list(TOKEN_LOSS_CUDA))
def bench_peak_memory(benchmark, name, device):
    """The time that pytest-benchmark prints here is that of starting the processes."""
    if device.type == "cpu" and name not in TOKEN_LOSS:
        pytest.skip("a size for GPUs")
    benchmark.group = f"token_loss, {device.type}, peak memory"

    def peak(implementation: str) -> int:
        if device.type == "cpu":
            return bytes_in_a_process(__file__, name, implementation)
        call = make_call(name, implementation, device)
        return bytes_on_gpu(lambda: (call(), call()))

    found = benchmark.pedantic(lambda: {key: peak(key) for key in selected(device)}, rounds=1)
    benchmark.extra_info["bytes"] = found
    print(f"\n{name}: " + ", ".join(f"{key} {value / 1e6:.0f} MB" for key, value in found.items()))


if __name__ == "__main__":
    print_growth(make_call(sys.argv[1], sys.argv[2], torch.device("cpu")))
