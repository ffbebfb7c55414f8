"""Loss of tokens with both gradients: the native kernel beside the reference in chunks, and torch's linear map and
cross_entropy, which hold all logits. Share of the processor's multiply-add rate; memory as in bench_train_step.py."""

import statistics
import sys

import pytest
import torch
import torch.nn.functional as F
from interleaved import report_times
from memory import bytes_in_a_process, print_growth
from shapes import SMOKE, TOKEN_LOSS
from training_steps import alternating_times

from svebm_ext.ops.backend import unavailable_reason
from svebm_ext.ops.native_library import native_module
from svebm_ext.ops.token_loss import token_loss

IMPLEMENTATIONS = ("reference", "torch cross_entropy", "native", "native, bf16")
_times: dict[str, dict[str, list[float]]] = {}


def make_call(name: str, implementation: str):
    """A function that computes loss and gradients once."""
    shape = TOKEN_LOSS[name]
    torch.manual_seed(0)
    hidden = torch.randn(shape.n_tokens, shape.hidden, requires_grad=True)
    weight = (0.05 * torch.randn(shape.vocabulary_size, shape.hidden)).requires_grad_()
    targets = torch.randint(0, shape.vocabulary_size, (shape.n_tokens,))

    def call() -> None:
        if implementation == "torch cross_entropy":
            loss = F.cross_entropy(hidden @ weight.t(), targets, reduction="sum")
        else:
            backend = "reference" if implementation == "reference" else "native"
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=implementation.endswith("bf16")):
                loss = token_loss(hidden, weight, targets, backend=backend).sum()
        torch.autograd.grad(loss, [hidden, weight])

    return call


def selected() -> list[str]:
    """Implementations that this installation has."""
    missing = unavailable_reason("token_loss", "cpu")
    return [name for name in IMPLEMENTATIONS if not (missing and name.startswith("native"))]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", list(TOKEN_LOSS))
def bench_token_loss(benchmark, name, implementation):
    if implementation not in selected():
        pytest.skip(unavailable_reason("token_loss", "cpu"))
    if name not in _times:
        _times[name] = alternating_times({key: make_call(name, key) for key in selected()}, 1 if SMOKE else 9)
    shape, times = TOKEN_LOSS[name], _times[name][implementation]
    benchmark.group = f"token_loss, cpu, {name}: {shape.n_tokens} x {shape.hidden} x {shape.vocabulary_size}"
    flop = 6 * shape.n_tokens * shape.hidden * shape.vocabulary_size
    benchmark.extra_info["flop"] = flop
    benchmark.extra_info["flop_per_second"] = flop / statistics.median(times)
    if not unavailable_reason("token_loss", "cpu"):
        rate = native_module().multiply_add_rate(torch.get_num_threads(), 0.2, implementation.endswith("bf16"))
        if rate > 0.0:
            benchmark.extra_info["share_of_ceilings"] = {"multiply_add": flop / min(times) / rate}
    report_times(benchmark, times)


@pytest.mark.parametrize("name", list(TOKEN_LOSS))
def bench_peak_memory(benchmark, name):
    """The time that pytest-benchmark prints here is that of starting the processes."""
    benchmark.group = "token_loss, peak memory"

    found = benchmark.pedantic(lambda: {key: bytes_in_a_process(__file__, name, key) for key in selected()}, rounds=1)
    benchmark.extra_info["bytes"] = found
    print(f"\n{name}: " + ", ".join(f"{key} {value / 1e6:.0f} MB" for key, value in found.items()))


if __name__ == "__main__":
    print_growth(make_call(sys.argv[1], sys.argv[2]))
