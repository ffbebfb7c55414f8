"""What holds for all ops alike: torch's defaults change nothing, and what is no number stays so on every backend."""

import ast
import contextlib
from pathlib import Path

import jaxtyping
import pytest
import torch
from op_calls import CALLS

import svebm_ext.ops
from svebm_ext.errors import BackendUnavailableError, ConfigError
from svebm_ext.ops.backend import unavailable_reason

REASON = unavailable_reason("philox", "cpu")
needs_native = pytest.mark.skipif(bool(REASON), reason=REASON)
BACKENDS = [pytest.param("native", marks=needs_native), "reference"]
FLOATING = [
    name for name, call in CALLS.items() if any(t.is_floating_point() for t in call.tensors(0, torch.float32).values())
]
CONSTRUCTORS = {
    "empty", "zeros", "ones", "full", "tensor", "arange", "rand", "randn", "randint", "randperm", "linspace",
    "logspace", "eye", "as_tensor", "asarray", "scalar_tensor", "sparse_coo_tensor", "empty_strided", "normal",
}  # fmt: skip
"""Functions of torch whose result has the default type or the default device unless told otherwise."""


def run(name, backend, seed=0, dtype=torch.float32):
    call = CALLS[name]
    return call.run(call.tensors(seed, dtype), backend)


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name].dtype == value.dtype and found[name].device == value.device, name
        assert torch.equal(found[name], value), name


# ---- types and devices of memory


def constructed_without_type_or_device(source):
    """Lines of a source that call a constructor of torch without a type or without a device."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        of_torch = isinstance(node.func.value, ast.Name) and node.func.value.id == "torch"
        given = {keyword.arg for keyword in node.keywords}
        if of_torch and node.func.attr in CONSTRUCTORS and not {"dtype", "device"} <= given:
            yield node.lineno


def test_every_buffer_of_an_op_has_its_type_and_its_device():
    found = []
    for folder in svebm_ext.ops.__path__:
        for path in sorted(Path(folder).rglob("*.py")):
            lines = constructed_without_type_or_device(path.read_text(encoding="utf-8"))
            found += [f"{path.name}:{line}" for line in lines]
    assert not found


@pytest.mark.parametrize(
    ("line", "n"),
    [
        ("torch.empty(3)", 1),
        ("torch.zeros(3, dtype=torch.int64)", 1),
        ("torch.full((2,), 1, device='cpu')", 1),
        ("torch.arange(3, dtype=torch.int64, device='cpu')", 0),
        ("x.new_empty(3)", 0),
    ],
)
def test_the_search_for_such_buffers_finds_them(line, n):
    assert len(list(constructed_without_type_or_device(line))) == n


@contextlib.contextmanager
def default_dtype(dtype):
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextlib.contextmanager
def default_device(device):
    torch.set_default_device(device)
    try:
        yield
    finally:
        torch.set_default_device(None)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_the_default_type_changes_no_number(name, backend, dtype):
    expected = run(name, backend)
    with default_dtype(dtype):
        found = run(name, backend)
    assert_same(found, expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CALLS)
def test_the_default_device_changes_no_number(name, backend):
    expected = run(name, backend)
    with default_device("meta"):
        found = run(name, backend)
    assert_same(found, expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CALLS)
def test_inference_mode_changes_no_number(name, backend):
    call = CALLS[name]
    with torch.no_grad():
        expected = call.compute(call.tensors(0, torch.float32), backend)
    with torch.inference_mode():
        found = call.compute(call.tensors(0, torch.float32), backend)
    assert_same(found, expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", FLOATING)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_rounds_products_at_most(name, backend, dtype):
    """Losses and layers may round operands; chains and sentences are computed as without."""
    expected = run(name, backend)
    with torch.autocast("cpu", dtype=dtype):
        found = run(name, backend)
    if name.startswith(("langevin", "gru_decode")):
        assert_same(found, expected)
        return
    for key, value in expected.items():
        assert found[key].isfinite().all()
        torch.testing.assert_close(found[key].float(), value, rtol=0, atol=0.1 * float(value.detach().abs().max()))


@pytest.mark.parametrize("name", FLOATING)
def test_float64_is_computed_in_float64(name):
    """It comes near the float32 kernels, and nearer to itself in another order of summation than those can be."""
    expected, found = run(name, "auto"), run(name, "auto", dtype=torch.float64)
    for key, value in expected.items():
        if value.is_floating_point():
            assert found[key].dtype == torch.float64, key
            scale = 1e-3 + float(value.detach().abs().max())
            torch.testing.assert_close(found[key].float(), value, rtol=0, atol=2e-4 * scale)
        else:
            assert torch.equal(found[key], value), key


@pytest.fixture
def no_annotations():
    """The package as its users have it, whose annotations check nothing."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize("backend", ["auto", *BACKENDS])
@pytest.mark.parametrize("name", FLOATING)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.complex64, torch.float8_e4m3fn])
def test_a_type_that_no_kernel_computes_in_is_refused_by_name(name, backend, dtype, no_annotations):
    call = CALLS[name]
    tensors = {k: t.to(dtype) if t.is_floating_point() else t for k, t in call.tensors(0, torch.float32).items()}
    if name.startswith("gru_sequence") and dtype in (torch.float16, torch.bfloat16) and backend != "native":
        found, expected = call.compute(tensors, backend), call.compute(call.tensors(0, torch.float32), backend)
        for key, value in expected.items():  # in plain torch, which computes in these
            torch.testing.assert_close(found[key].float(), value, rtol=0, atol=0.05)
        return
    errors = (ConfigError, BackendUnavailableError)
    op = name.split("-")[0].removesuffix("_autograd")
    with pytest.raises(errors, match=rf"^{op}[: ].*{dtype}"):
        call.compute(tensors, backend)


# ---- numbers that are none


def kinds(value):
    """What each entry is: finite, infinite, minus infinite, no number; of whole numbers, the numbers."""
    if not value.is_floating_point():
        return value
    kind = torch.zeros(value.shape, dtype=torch.int8)
    kind[value == torch.inf], kind[value == -torch.inf], kind[value.isnan()] = 1, 2, 3
    return kind


@needs_native
@pytest.mark.parametrize("odd", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("name", FLOATING)
def test_backends_agree_in_what_is_finite_and_in_what_is_not(name, odd, variant):
    call = CALLS[name]
    tensors = call.tensors(0, torch.float32)
    for argument, tensor in tensors.items():
        if not tensor.is_floating_point() or argument in ("temper", "step_size"):  # refused, see test_arguments.py
            continue
        for place in {0, tensor.numel() // 3, tensor.numel() // 2, tensor.numel() - 1}:
            changed = {key: value.clone() for key, value in tensors.items()}
            changed[argument].view(-1)[place] = odd
            found, expected = call.run(changed, "native"), call.run(changed, "reference")
            for key, value in expected.items():
                assert torch.equal(kinds(found[key]), kinds(value)), (argument, place, key)


@needs_native
@pytest.mark.parametrize("name", ["gru_sequence-1", "gru_decode", "token_loss-bias", "langevin-gelu", "document_loss"])
@pytest.mark.parametrize("bits", [0x7FC00000, 0x7F800001, 0x7FFFFFFF, -0x400000, -0x7FFFFF, -1])
def test_a_number_that_is_none_comes_out_whatever_its_bits(name, bits, variant):
    call = CALLS[name]
    for argument, tensor in call.tensors(0, torch.float32).items():
        if tensor.is_floating_point():
            tensors = call.tensors(0, torch.float32)
            tensors[argument].view(-1).view(torch.int32)[-1] = bits
            found, expected = call.run(tensors, "native"), call.run(tensors, "reference")
            assert all(torch.equal(kinds(found[key]), kinds(value)) for key, value in expected.items()), argument
            assert any(value.is_floating_point() and value.isnan().any() for value in found.values()), argument
