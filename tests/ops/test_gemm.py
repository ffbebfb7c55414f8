"""The matrix product against float64, for views of all kinds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svebm_ext.errors import BackendUnavailableError, ConfigError
from svebm_ext.ops.backend import unavailable_reason
from svebm_ext.ops.gemm import gemm

REASON = unavailable_reason("gemm", "cpu")
needs_native = pytest.mark.skipif(bool(REASON), reason=REASON)
BACKENDS = [pytest.param("native", marks=needs_native), "reference"]


def matrix(rows, columns, layout, generator):
    """Normal numbers as a caller may have them: in rows, in columns, as a part of more, or the same row again."""
    if layout == "transposed":
        return torch.randn(columns, rows, generator=generator).t()
    if layout == "part":
        return torch.randn(rows, columns + 5, generator=generator)[:, 2 : 2 + columns]
    if layout == "strided":
        return torch.randn(rows, 2 * columns, generator=generator)[:, ::2]
    if layout == "expanded":
        return torch.randn(1, columns, generator=generator).expand(rows, columns)
    return torch.randn(rows, columns, generator=generator)


LAYOUTS = st.sampled_from(["rows", "transposed", "part", "strided", "expanded"])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("m", "k", "n"), [(1, 1, 1), (1, 1, 3), (3, 1, 1), (1, 3, 1)])
@pytest.mark.parametrize("layout", ["strided", "expanded", "transposed"])
def test_strides_of_a_single_row_column_or_number_count_for_nothing(backend, m, k, n, layout):
    generator = torch.Generator().manual_seed(0)
    a, b = matrix(m, k, layout, generator), matrix(k, n, layout, generator)
    out = torch.empty(m, n)
    gemm(a, b, out, backend=backend)
    torch.testing.assert_close(out, (a.double() @ b.double()).float(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=60, deadline=None)
@given(
    m=st.integers(0, 40), n=st.integers(0, 70), k=st.integers(0, 90), of_a=LAYOUTS, of_b=LAYOUTS,
    mode=st.sampled_from(["write", "bias", "add"]), seed=st.integers(0, 1000),
)  # fmt: skip
def test_the_product_is_that_of_float64(backend, m, n, k, of_a, of_b, mode, seed):
    generator = torch.Generator().manual_seed(seed)
    a, b = matrix(m, k, of_a, generator), matrix(k, n, of_b, generator)
    memory = torch.randn(m, n + 3, generator=generator)
    before, out = memory.clone(), memory[:, 1 : 1 + n]
    bias = torch.randn(m, generator=generator) if mode == "bias" else None
    gemm(a, b, out, row_bias=bias, add=mode == "add", backend=backend)
    expected = a.double() @ b.double()
    expected = expected + (before[:, 1 : 1 + n].double() if mode == "add" else 0 if bias is None else bias[:, None])
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=2e-6 * (k + 1))
    beside = [0, *range(n + 1, n + 3)]
    assert torch.equal(memory[:, beside], before[:, beside])


@needs_native
def test_fast_rounds_the_factors_at_most(variant):
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(30, 200, generator=generator), torch.randn(200, 50, generator=generator)
    exact, out, rounded = a.double() @ b.double(), torch.empty(30, 50), torch.empty(30, 50)
    gemm(a, b, out, fast=True, backend="native")
    gemm(a, b, rounded, fast=True, backend="reference")
    expected = rounded.double() if variant == "avx512bf16" else exact
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=1e-4)
    assert 1e-3 < float((rounded.double() - exact).norm() / exact.norm()) < 8e-3  # the reference has rounded


GOOD = {"a": torch.zeros(3, 4), "b": torch.zeros(4, 5), "out": torch.zeros(3, 5)}
WRONG = [
    ("a", {"a": torch.zeros(2, 4)}),
    ("a", {"a": torch.zeros(3, 4, dtype=torch.float64)}),
    ("b", {"b": torch.zeros(3, 5)}),
    ("b", {"b": 3}),
    ("out", {"out": torch.zeros(5, 3).t()}),
    ("out", {"out": torch.zeros(3, 5, dtype=torch.float16)}),
    ("row_bias", {"row_bias": torch.zeros(5)}),
    ("row_bias", {"row_bias": torch.zeros(3), "add": True}),
    ("add", {"add": 1}),
    ("backend", {"backend": 3}),
]


@pytest.fixture
def no_annotations():
    """The package as its users have it, whose annotations check nothing."""
    import jaxtyping

    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.mark.parametrize(("name", "changes"), WRONG)
def test_wrong_arguments_are_named(name, changes, no_annotations):
    with pytest.raises(ConfigError, match=f"gemm: {name} is .*expected"):
        gemm(**{**GOOD, **changes})


@needs_native
def test_float64_is_left_to_the_reference():
    doubles = {name: tensor.double() for name, tensor in GOOD.items()}
    gemm(**doubles)
    with pytest.raises(BackendUnavailableError, match=r"gemm.*float32.*float64"):
        gemm(**doubles, backend="native")
