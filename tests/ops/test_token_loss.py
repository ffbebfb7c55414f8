"""`token_loss` against torch's cross_entropy in float64: values, gradients, and what a hostile caller does."""

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch._subclasses.fake_tensor import FakeTensorMode
from torch_warnings import NO_LEAF

import svebm_ext.ops.token_loss as op
from svebm_ext.errors import BackendUnavailableError, ConfigError
from svebm_ext.ops.backend import unavailable_reason
from svebm_ext.ops.native_library import native_library
from svebm_ext.ops.token_loss import reference, token_loss

REASON = unavailable_reason("token_loss", "cpu")
needs_native = pytest.mark.skipif(bool(REASON), reason=REASON)
BACKENDS = [pytest.param("native", marks=needs_native), "reference"]
VARIANTS = native_library().module.cpu_variants() if native_library().module else []


def make(n, H, V, bias=True, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()

    targets = torch.randint(0, V, (n,), generator=generator)
    return normal(n, H), normal(V, H), targets, normal(V) if bias else None


def exact(hidden, weight, targets, bias, upstream):
    """Loss and gradients in float64, by torch."""
    leaves = [x.detach().double().requires_grad_() for x in (hidden, weight, bias) if x is not None]
    loss = F.cross_entropy(F.linear(*leaves), targets, reduction="none")
    return loss, torch.autograd.grad(loss, leaves, upstream.double())


def largest(x):
    return float(x.detach().abs().max()) if x.numel() else 0.0


def compare(arguments, upstream, tolerance, **options):
    hidden, weight, targets, bias = arguments
    leaves = [x for x in (hidden, weight, bias) if x is not None]
    loss = token_loss(hidden, weight, targets, bias, **options)
    found = torch.autograd.grad(loss, leaves, upstream)
    expected_loss, expected = exact(*arguments, upstream)
    # what is left of a certain prediction is a difference of near numbers, exact to the rounding of those alone
    size = float(upstream.abs().max()) if upstream.numel() else 0.0
    minuends = (largest(F.linear(hidden, weight, bias)), size * largest(weight), size * largest(hidden), size)
    for value, other, minuend in zip((loss, *found), (expected_loss, *expected), minuends, strict=False):
        assert value.shape == other.shape and value.dtype == hidden.dtype
        scale = largest(other) if other.numel() else 1.0
        torch.testing.assert_close(value.double(), other, rtol=0, atol=tolerance * (scale + 1e-3) + 1e-6 * minuend)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=40)
@given(st.integers(0, 80), st.integers(1, 40), st.integers(1, 60), st.booleans(), st.integers(0, 99))
def test_any_shape_and_any_upstream_gradient(backend, n, H, V, bias, seed):
    arguments = make(n, H, V, bias, seed)
    upstream = torch.randn(n, generator=torch.Generator().manual_seed(seed))
    compare(arguments, upstream, 1e-5, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("factor", [0.25, 1.0, 0.0, -3.0])
@pytest.mark.parametrize("bias", [True, False])
def test_the_gradient_that_was_expected_and_multiples_of_it(backend, factor, bias):
    compare(make(50, 12, 30, bias), torch.full((50,), factor), 1e-5, backend=backend, token_weight=0.25)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("token_weight", [1e-45, 1e-38, 1e-20, 1e20, 3e38, -1e-40])
def test_an_expected_gradient_at_the_ends_of_float32_costs_no_digits(backend, token_weight):
    for factor in (1.0, -0.5):
        compare(make(50, 12, 30), torch.full((50,), factor), 1e-5, backend=backend, token_weight=token_weight)


@needs_native
def test_every_instruction_set_over_more_than_one_chunk(variant):
    compare(make(450, 37, 61), torch.randn(450), 1e-5, backend="native")


@needs_native
@pytest.mark.parametrize("n_threads", [2, 5])
def test_bits_do_not_depend_on_threads(n_threads):
    results = []
    for count in (1, n_threads):
        torch.set_num_threads(count)
        hidden, weight, targets, bias = make(100, 33, 4000)
        loss = token_loss(hidden, weight, targets, bias, backend="native")
        results.append((loss, *torch.autograd.grad(loss.sum(), [hidden, weight, bias])))
    torch.set_num_threads(1)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.parametrize("bias", [True, False])
def test_gradcheck(bias, monkeypatch):
    monkeypatch.setattr(reference, "CHUNK_NUMBERS", 3 * 7)  # several chunks
    hidden, weight, targets, offset = make(8, 4, 7, bias, dtype=torch.float64)
    leaves = [x for x in (hidden, weight, offset) if x is not None]
    assert torch.autograd.gradcheck(
        lambda *given: token_loss(given[0], given[1], targets, given[2] if bias else None), leaves
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_backward_twice(backend):
    hidden, weight, targets, _ = make(9, 5, 11, bias=False)
    loss = token_loss(hidden, weight, targets, backend=backend).sum()
    first = torch.autograd.grad(loss, [hidden, weight], retain_graph=True)
    second = torch.autograd.grad(loss, [hidden, weight])
    for a, b in zip(first, second, strict=True):
        torch.testing.assert_close(a, b)


@needs_native
def test_operands_are_rounded_under_autocast_only():
    hidden, weight, targets, _ = make(200, 64, 500, bias=False)
    expected, _ = exact(hidden, weight, targets, None, torch.ones(200))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = token_loss(hidden, weight, targets, backend="native")
        other = token_loss(hidden, weight, targets, backend="reference")
    assert rounded.dtype == torch.float32
    plain = token_loss(hidden, weight, targets, backend="native")
    assert (plain - expected).abs().max() < 1e-4
    assert (rounded - expected).abs().max() < 0.3  # logits up to 30 with 8 bits
    assert (other - expected).abs().max() < 0.3
    if "avx512bf16" in VARIANTS:
        assert not torch.equal(rounded, plain)


@pytest.mark.parametrize("backend", BACKENDS)
def test_strides_of_every_kind(backend):
    hidden, weight, targets, bias = (x.detach() for x in make(20, 12, 14))
    expected, _ = exact(hidden[::2, ::3], weight[::2, ::3], targets[::2] // 2, bias[::2], torch.ones(10))
    found = token_loss(hidden[::2, ::3], weight[::2, ::3], targets[::2] // 2, bias[::2], backend=backend)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)
    transposed = token_loss(hidden.t().contiguous().t(), weight[:1].expand(14, 12), targets, backend=backend)
    torch.testing.assert_close(transposed, torch.full((20,), 14.0).log(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_word_and_no_token(backend):
    hidden, weight, targets, bias = make(3, 4, 1)
    assert token_loss(hidden, weight, targets, bias, backend=backend).abs().max() < 1e-6
    hidden, weight, targets, bias = make(0, 4, 5)
    loss = token_loss(hidden, weight, targets, bias, backend=None if backend == "native" else backend)
    assert loss.shape == (0,)
    assert torch.equal(torch.autograd.grad(loss.sum(), [weight])[0], torch.zeros(5, 4))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_with_its_token(backend, bad):
    hidden, weight, targets, _ = (x if x is None else x.detach() for x in make(40, 6, 30, bias=False))
    hidden[7, 2] = bad
    loss = token_loss(hidden, weight, targets, backend=backend)
    assert torch.equal(loss.isfinite(), torch.arange(40) != 7)


@pytest.mark.parametrize("backend", BACKENDS)
def test_large_logits_do_not_overflow(backend):
    weight = torch.tensor([[300.0], [-300.0], [299.0]])
    found = token_loss(torch.tensor([[1.0], [-1.0]]), weight, torch.tensor([0, 0]), backend=backend)
    # log(1 + e^-600 + e^-1), and log(e^-300 + e^300 + e^-299) + 300
    torch.testing.assert_close(found, torch.tensor([0.31326169, 600.0]), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"weight": torch.zeros(0, 4)}, "weight is of shape"),
        ({"weight": torch.zeros(7, 4, dtype=torch.float64)}, "weight is torch.float64"),
        ({"targets": torch.zeros(5, dtype=torch.int32)}, "targets is torch.int32"),
        ({"targets": torch.tensor([0, 1, 2, 3, 7])}, "targets is from 0 to 7; expected words from 0 to 6"),
        ({"targets": torch.tensor([0, 1, 2, 3, -1])}, "targets is from -1 to 3"),
        ({"hidden": torch.zeros(5, 4, dtype=torch.float16)}, "hidden is torch.float16"),
    ],
)
@pytest.mark.parametrize("backend", BACKENDS)
def test_wrong_arguments_are_named(backend, change, message):
    arguments = {"hidden": torch.zeros(5, 4), "weight": torch.zeros(7, 4), "targets": torch.arange(5), "bias": None}
    with pytest.raises(ConfigError, match=f"token_loss: {message}"):
        token_loss(**{**arguments, **change}, backend=backend)


def test_shapes_that_annotations_refuse_in_these_tests_are_named_to_users():
    """Users have no run-time check of annotations, so the op's own checks answer."""
    code = """
import torch
from svebm_ext.errors import ConfigError
from svebm_ext.ops.token_loss import token_loss
good = dict(hidden=torch.zeros(5, 4), weight=torch.zeros(7, 4), targets=torch.arange(5), bias=None)
wrong = {
    "hidden": torch.zeros(5, 4, 1),
    "weight": torch.zeros(7, 3),
    "targets": torch.zeros(4, dtype=torch.int64),
    "bias": torch.zeros(6),
}
for name, value in wrong.items():
    try:
        token_loss(**(good | {name: value}))
    except ConfigError as error:
        assert f"token_loss: {name} is" in str(error) and "expected" in str(error), error
    else:
        raise SystemExit(f"{name} was accepted")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr + result.stdout


def test_float64_has_no_native_kernel():
    hidden, weight, targets, _ = make(4, 3, 5, dtype=torch.float64)
    assert token_loss(hidden, weight, targets).dtype == torch.float64
    with pytest.raises(BackendUnavailableError, match="token_loss"):
        token_loss(hidden, weight, targets, backend="native")


@NO_LEAF
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bias", [True, False])
def test_opcheck(backend, bias):
    hidden, weight, targets, offset = make(6, 4, 9, bias)
    torch.library.opcheck(
        torch.ops.svebm.token_loss.default, (hidden, weight, offset, targets, 1.0, True, False, backend)
    )
    plain = [x if x is None else x.detach() for x in (hidden, weight, offset)]
    torch.library.opcheck(torch.ops.svebm.token_loss.default, (*plain, targets, 1.0, False, False, backend))


@pytest.mark.slow
def test_compiled_without_graph_breaks():
    """In a process without run-time checks of annotations, which torch.compile cannot look into."""
    code = """
import torch
from svebm_ext.ops.token_loss import token_loss
hidden, weight, bias = (torch.randn(*s, requires_grad=True) for s in ((6, 4), (9, 4), (9,)))
targets = torch.arange(6)
def loss(h, w, b):
    return (token_loss(h * 2.0, w, targets, b) * torch.linspace(0, 1, 6)).sum()
expected = torch.autograd.grad(loss(hidden, weight, bias), [hidden, weight, bias])
found = torch.autograd.grad(torch.compile(loss, fullgraph=True)(hidden, weight, bias), [hidden, weight, bias])
for a, b in zip(found, expected, strict=True):
    torch.testing.assert_close(a, b)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("fast", "tolerance"), [(False, 1e-5), (True, 3e-2)])
def test_at_once_for_autograd(fast, tolerance, bias):
    """What a GPU has for few tokens; of autocast it takes what `fast` says and no more."""
    hidden, weight, targets, offsets = make(40, 12, 30, bias)
    upstream = torch.linspace(-1.0, 2.0, 40)
    leaves = [x for x in (hidden, weight, offsets) if x is not None]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = reference.at_once(hidden, weight, targets, offsets, fast=fast)
    expected_loss, expected = exact(hidden, weight, targets, offsets, upstream)
    found = torch.autograd.grad(loss, leaves, upstream)
    for value, other in zip((loss, *found), (expected_loss, *expected), strict=True):
        assert value.dtype == torch.float32
        distance = float((value.double() - other).detach().norm() / other.detach().norm())
        assert distance <= tolerance
        assert not fast or distance > 1e-4  # it does round


def test_a_gpu_takes_few_tokens_at_once():
    with FakeTensorMode():  # has a device and no memory
        weight = torch.empty(10_001, 8, device="cuda")
        few, many = (torch.empty(n, 8, device="cuda") for n in (838, 839))
        assert op._fits_at_once(few, weight, "reference") and not op._fits_at_once(many, weight, "reference")
        assert not op._fits_at_once(few.cpu(), weight.cpu(), "reference")
