"""The compiled kernel of `langevin` against float64, exact distributions and the reference, however torch calls it."""

import itertools
import math
import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svebm_ext.errors import BackendUnavailableError, ConfigError
from svebm_ext.ops import backend
from svebm_ext.ops.langevin import LANGEVIN, LANGEVIN_BANK, langevin, native
from svebm_ext.ops.langevin.options import LangevinInputs
from svebm_ext.prior.network import ACTIVATIONS

CPU = torch.device("cpu")

pytestmark = pytest.mark.skipif(
    bool(backend.unavailable_reason("langevin", "cpu")), reason=backend.unavailable_reason("langevin", "cpu")
)


def make_layers(*widths, scale=1.4, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return [
        (
            (torch.randn(out, into, generator=generator) * scale / into**0.5).to(dtype),
            (torch.randn(out, generator=generator) * 0.2).to(dtype),
        )
        for into, out in itertools.pairwise(widths)
    ]


def make_states(n_chains, dim, seed=1):
    return torch.randn(n_chains, dim, generator=torch.Generator().manual_seed(seed))


def exact(z, layers, **options):
    """The reference in float64."""
    double = {
        name: value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
        for name, value in options.items()
    }
    return langevin(z.double(), [(weight.double(), bias.double()) for weight, bias in layers], **double)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(40, 200, 20), (32, 200, 125), (100, 200, 4), (2, 200, 8)])
def test_one_step_is_within_1e_5_of_float64(variant, sizes, activation):
    D, H, K = sizes
    z, layers = make_states(70, D), make_layers(D, H, H, K)
    options = {"n_steps": 1, "step_size": 0.125, "seed": 3, "activation": activation}
    found = langevin(z, layers, backend="native", **options).z
    assert (found.double() - exact(z, layers, **options).z).abs().max() < 1e-5


def test_fast_gradients_are_within_bfloat16_rounding(variant):
    z, layers = make_states(64, 40), make_layers(40, 200, 200, 20)
    options = {"n_steps": 1, "step_size": 1.0, "seed": 3, "noise_scale": 0.0, "reference_precision": 0.0}
    gradient = exact(z, layers, **options).z - z.double()
    single = langevin(z, layers, backend="native", **options).z
    fast = langevin(z, layers, backend="native", precision="fast", **options).z
    error = (fast.double() - z.double() - gradient).norm() / gradient.norm()
    if variant == "avx512bf16":
        assert 1e-4 < error < 1.6e-2
    else:
        assert torch.equal(fast, single)


def test_torch_may_allow_rounding():
    z, layers = make_states(64, 40), make_layers(40, 200, 200, 20)
    options = {"n_steps": 3, "step_size": 0.1, "seed": 3, "backend": "native"}
    fast = langevin(z, layers, precision="fast", **options).z
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        assert torch.equal(langevin(z, layers, **options).z, fast)
    finally:
        torch.set_float32_matmul_precision(before)


@st.composite
def calls(draw):
    """Any call within the contract: (z, layers, options)."""
    D, K, N = draw(st.integers(1, 70)), draw(st.integers(1, 40)), draw(st.integers(0, 70))
    hidden = draw(st.lists(st.integers(1, 50), max_size=2))
    seed = draw(st.integers(0, 1000))
    z, layers = make_states(N, D, seed), make_layers(D, *hidden, K, seed=seed)
    if draw(st.booleans()):  # as a user's slices and transposes are
        z = torch.stack([z, z], dim=2)[:, :, 1]
        layers = [(weight.t().contiguous().t(), bias.repeat_interleave(2)[::2]) for weight, bias in layers]
    n_steps = draw(st.integers(1, 3))
    options = {
        "n_steps": n_steps,
        "step_size": draw(st.sampled_from([0.05, torch.linspace(0.1, 0.02, n_steps, dtype=torch.float64)])),
        "seed": draw(st.integers(0, 2**64 - 1)),
        "activation": draw(st.sampled_from(ACTIVATIONS)),
        "negative_slope": draw(st.sampled_from([0.2, 0.01])),
        "temperature": draw(st.sampled_from([1.0, 0.5])),
        "reference_precision": draw(st.sampled_from([1.0, 0.0])),
        "first_step": draw(st.sampled_from([0, 2**32 - n_steps])),
        "diagnostics": draw(st.booleans()),
        "chain_ids": torch.arange(N) + draw(st.sampled_from([0, 2**33, 2**55])),
    }
    if draw(st.booleans()):
        options["labels"] = torch.arange(N) % K
    if draw(st.booleans()):
        options["context_shift"] = make_states(2 * N, layers[0][0].shape[0], seed + 1)[::2]
    if draw(st.booleans()):
        options["temper"], options["initial_temper"] = torch.linspace(0.3, 0.9, n_steps, dtype=torch.float64), 0.2
    if draw(st.booleans()):
        options["noise_scale"] = draw(st.sampled_from([0.0, 0.5]))
    return z, layers, options


def assert_equal_to_exact(found, expected, tolerance):
    for name, value in expected._asdict().items():
        other = getattr(found, name)
        assert (value is None) == (other is None), name
        if value is not None and value.is_floating_point():
            assert other.dtype == torch.float32 and other.shape == value.shape
            torch.testing.assert_close(other.double(), value, rtol=tolerance, atol=tolerance, equal_nan=True, msg=name)
    assert bool(found.finite) == bool(expected.finite)


@settings(max_examples=150)
@given(calls())
def test_any_call_equals_float64(call):
    z, layers, options = call
    before = z.clone()
    found = langevin(z, layers, backend=None if z.shape[0] == 0 else "native", **options)
    assert_equal_to_exact(found, exact(z, layers, **options), 3e-5)
    assert torch.equal(z, before) and not found.z.requires_grad


@settings(max_examples=60)
@given(calls(), st.integers(0, 100))
def test_metropolis_equals_float64_but_for_moves_decided_by_rounding(call, seed):
    z, layers, options = call
    options = {name: value for name, value in options.items() if name != "noise_scale"}
    options |= {"metropolis": True, "seed": seed, "n_steps": 1, "first_step": 0, "diagnostics": True}
    options["step_size"] = 0.3
    if "temper" in options:
        options["temper"] = options["temper"][:1]
    found = langevin(z, layers, **options)
    expected = exact(z, layers, **options)
    differs = ((found.z.double() - expected.z).abs() > 3e-5).any(dim=1)
    assert int(differs.sum()) <= 1  # log u within 1e-5 of the ratio: about one move in ten thousand
    if z.shape[0] and not differs.any():
        assert float(found.acceptance) == pytest.approx(float(expected.acceptance), abs=1e-6)
        torch.testing.assert_close(found.mean_energy.double(), expected.mean_energy, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("precision", ["fp32", "fast"])
@pytest.mark.parametrize("metropolis", [False, True])
def test_bits_depend_on_neither_threads_nor_slices_nor_calls(variant, precision, metropolis):
    z, layers = make_states(150, 11), make_layers(11, 33, 18, 6)
    ids = torch.randperm(150)
    options = {"step_size": 0.1, "seed": 4, "precision": precision, "metropolis": metropolis, "backend": "native"}
    threads = torch.get_num_threads()
    try:
        results = []
        for n_threads in (1, 2, 5):
            torch.set_num_threads(n_threads)
            results.append(langevin(z, layers, n_steps=6, chain_ids=ids, diagnostics=True, **options))
    finally:
        torch.set_num_threads(threads)
    for result in results[1:]:
        assert torch.equal(result.z, results[0].z)
        assert torch.equal(result.mean_energy, results[0].mean_energy)
    for part in (slice(0, 1), slice(3, 40), slice(90, 150)):
        sliced = langevin(z[part], layers, n_steps=6, chain_ids=ids[part], **options).z
        assert torch.equal(sliced, results[0].z[part])
    half = langevin(z, layers, n_steps=2, chain_ids=ids, **options).z
    assert torch.equal(langevin(half, layers, n_steps=4, first_step=2, chain_ids=ids, **options).z, results[0].z)


def test_the_largest_networks(variant):
    z, layers = make_states(5, 256), make_layers(256, 301, 77, 1024)
    options = {"n_steps": 1, "step_size": 0.1, "seed": 3, "diagnostics": True}
    assert_equal_to_exact(langevin(z, layers, backend="native", **options), exact(z, layers, **options), 1e-5)


@pytest.mark.parametrize("strided", [False, True])
def test_a_bank_is_moved_in_place(strided):
    layers = make_layers(5, 7, 3)
    bank = make_states(20, 10)[:, ::2] if strided else make_states(20, 5)
    before, rows = bank.clone(), torch.tensor([19, 0, 7])
    options = {"n_steps": 3, "step_size": 0.1, "seed": 1, "backend": "native"}
    result = langevin(bank, layers, bank_indices=rows, **options)
    assert torch.equal(result.z, langevin(before[rows], layers, chain_ids=rows, **options).z)
    assert torch.equal(bank[rows], result.z)
    others = [row for row in range(20) if row not in (19, 0, 7)]
    assert torch.equal(bank[others], before[others])


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", ["weight", "bias", "state", "context"])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_not_finite_is_not_finite_in_the_reference_either(bad, place, activation):
    z, layers, context = make_states(20, 3), make_layers(3, 6, 5, 4), torch.zeros(20, 6)
    target = {"weight": layers[1][0], "bias": layers[2][1], "state": z, "context": context}[place]
    target.view(-1)[2] = bad
    options = {"n_steps": 2, "step_size": 0.1, "seed": 1, "activation": activation, "context_shift": context}
    found = langevin(z, layers, backend="native", **options)
    expected = langevin(z, layers, backend="reference", **options)
    assert torch.equal(found.z.isfinite(), expected.z.isfinite())
    assert bool(found.finite) == bool(expected.finite)
    good = expected.z.isfinite()
    torch.testing.assert_close(found.z[good], expected.z[good], rtol=1e-5, atol=1e-5)


def test_huge_numbers_overflow_no_sooner_than_in_the_reference():
    z = torch.tensor([[1e30, -1e30], [1e18, 1e-40], [-88.5, 88.5], [0.0, -0.0]])
    layers = make_layers(2, 3, 2)
    for activation in ACTIVATIONS:
        options = {"n_steps": 1, "step_size": 0.1, "seed": 1, "activation": activation, "diagnostics": True}
        found = langevin(z, layers, backend="native", **options)
        expected = langevin(z, layers, backend="reference", **options)
        torch.testing.assert_close(found.z, expected.z, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("size", [1e5, 1e20, 1e31, 1e34, 1e36, 3e38])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_a_saturated_unit_has_the_derivative_of_a_saturated_unit(variant, activation, size, sign):
    """However far from zero: its density must not be so small only that a huge number times it is an ordinary one."""
    z, layers = make_states(40, 3), make_layers(3, 6, 4)
    layers[0][1][2] = sign * size
    labels = torch.arange(40) % 4
    options = {"n_steps": 1, "step_size": 0.125, "seed": 3, "activation": activation, "labels": labels}
    found = langevin(z, layers, backend="native", **options).z
    assert (found.double() - exact(z, layers, **options).z).abs().max() < 1e-5


def test_float64_is_left_to_the_reference_without_a_warning():
    z, layers = make_states(4, 3).double(), make_layers(3, 4, dtype=torch.float64)
    options = {"n_steps": 1, "step_size": 0.1, "seed": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert langevin(z, layers, **options).z.dtype == torch.float64
    with pytest.raises(BackendUnavailableError, match=r"langevin.*float32.*float64"):
        langevin(z, layers, backend="native", **options)


WRONG = {
    "seed": {"seed": torch.tensor(1, dtype=torch.int32)},
    "seed is -1": {"seed": -1},
    "seed is 18446744073709551616": {"seed": 1 << 64},
    "step_size": {"step_size": torch.tensor([0.1, -0.1])},
    "z is of type": {"z": torch.zeros(4, 3, dtype=torch.bfloat16)},
    "z is of shape": {"z": torch.zeros(4, 0)},
    r"layers\[0\]": {"layers": [(torch.zeros(0, 3), torch.zeros(0))]},
    r"layers\[1\]": {"layers": [(torch.zeros(2, 3), torch.zeros(2)), (torch.zeros(2, 3), torch.zeros(2))]},
    r"layers\[0\] ": {"layers": [(torch.zeros(2, 3), torch.zeros(2, device="meta"))]},
    r"layers\[0\]  ": {"layers": [(torch.zeros(2, 3, dtype=torch.float64), torch.zeros(2))]},
    "labels": {"labels": torch.tensor([0, 0, -1, 0])},
    "context_shift": {"context_shift": torch.zeros(3, 2)},
    "chain_ids": {"chain_ids": torch.zeros(4, dtype=torch.int32)},
    "n_steps": {"n_steps": -1},
    "first_step": {"first_step": (1 << 32) - 1},
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_are_named_before_anything_is_computed(name):
    arguments = {"z": torch.zeros(4, 3), "layers": make_layers(3, 2), "n_steps": 2, "step_size": 0.1, "seed": 0}
    with pytest.raises(ConfigError, match=f"langevin: {name.strip()}.*expected"):
        langevin(**(arguments | WRONG[name]), backend="native")


def test_shapes_that_annotations_refuse_in_these_tests_are_named_to_users():
    """Users have no run-time check of annotations, so the op's own checks answer."""
    code = """
import torch
from svebm_ext import langevin
from svebm_ext.errors import ConfigError
good = dict(z=torch.zeros(4, 3), layers=[(torch.zeros(2, 3), torch.zeros(2))], n_steps=2, step_size=0.1, seed=0)
wrong = {
    "z": torch.zeros(4, 3, 1),
    "seed": torch.tensor([1, 2]),
    "step_size": torch.ones(3),
    "temper": torch.ones(2, 1),
    "labels": torch.zeros(4),
    "context_shift": torch.zeros(2),
    "chain_ids": torch.tensor(1),
    "bank_indices": torch.zeros(1, 1, dtype=torch.int64),
}
for name, value in wrong.items():
    try:
        langevin(**(good | {name: value}), backend="native")
    except ConfigError as error:
        assert f"langevin: {name} is" in str(error) and "expected" in str(error), error
    else:
        raise SystemExit(f"{name} was accepted")
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr + result.stdout


def test_a_seed_behind_a_tensor():
    z, layers = make_states(9, 3), make_layers(3, 5, 4)
    for seed in (0, 7, (1 << 64) - 3):
        signed = torch.tensor(seed if seed < 1 << 63 else seed - (1 << 64))
        for chosen in ("native", "reference"):
            options = {"n_steps": 2, "step_size": 0.1, "backend": chosen}
            direct = langevin(z, layers, seed=seed, **options).z
            assert torch.equal(langevin(z, layers, seed=signed, **options).z, direct)


def op_inputs(z, layers, **changes):
    weights, biases = [weight for weight, _ in layers], [bias for _, bias in layers]
    given = {"n_steps": 3, "step_size": 0.1, "seed": 7, "diagnostics": True, "backend": "native"}
    return vars(LangevinInputs(z, torch.arange(z.shape[0]), weights=weights, biases=biases, **{**given, **changes}))


def test_opcheck():
    z, layers = make_states(20, 3), make_layers(3, 5, 4)
    op, op_of_bank = torch.ops.svebm.langevin.default, torch.ops.svebm.langevin_bank.default
    torch.library.opcheck(op, LANGEVIN.arguments(**op_inputs(z, layers)))
    adjusted = op_inputs(z, layers, metropolis=True, temper=torch.linspace(0.1, 1, 3), diagnostics=False)
    torch.library.opcheck(op, LANGEVIN.arguments(**adjusted))
    rows = torch.tensor([3, 1, 8])
    of_bank = op_inputs(z, layers) | {"chain_ids": rows, "bank_indices": rows}
    torch.library.opcheck(op_of_bank, LANGEVIN_BANK.arguments(**of_bank))


@pytest.mark.slow
def test_compiled_without_graph_breaks():
    """In a process without run-time checks of annotations, which torch.compile cannot look into."""
    code = """
import torch
from svebm_ext import langevin
layers = [(torch.randn(5, 3), torch.randn(5)), (torch.randn(4, 5), torch.randn(4))]
rows = torch.tensor([3, 1])

def move(z, bank):
    options = {"n_steps": 3, "step_size": 0.1, "seed": 1, "backend": "native"}
    moved = langevin(z, layers, metropolis=True, temper=torch.linspace(0.1, 1, 3), **options)
    inside = langevin(bank, layers, bank_indices=rows, diagnostics=True, **options)
    return moved.z * 2.0, moved.log_weights, inside.mean_energy, bank + 0.0

z, bank = torch.randn(6, 3), torch.randn(9, 3)
other = bank.clone()
expected = move(z, bank)
for found, value in zip(torch.compile(move, fullgraph=True)(z, other), expected, strict=True):
    torch.testing.assert_close(found, value)
assert torch.equal(bank, other) and not torch.equal(bank[1], bank[3])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


# ---- distributions


@pytest.mark.parametrize("precision", ["fp32", "fast"])
def test_the_gaussian_has_its_exact_stationary_variance(precision):
    # the unadjusted chain on N(0, I): z' = (1 - s) z + sqrt(2 s) e has variance 1 / (1 - s / 2)
    layers = [(torch.zeros(2, 6), torch.ones(2))]
    options = {"step_size": 0.5, "seed": 5, "precision": precision, "backend": "native"}
    z = langevin(torch.zeros(20_000, 6), layers, n_steps=40, **options).z
    moments = []
    for step in range(40, 140, 10):
        z = langevin(z, layers, n_steps=10, first_step=step, **options).z
        moments.append(float(z.double().square().mean()))
    # 120,000 numbers at ten times that are all but independent: standard error .13 %
    assert np.mean(moments) == pytest.approx(1 / (1 - 0.25), rel=0.006)


@pytest.mark.parametrize("precision", ["fp32", "fast"])
@pytest.mark.parametrize("label", [None, 1])
def test_the_plane_is_filled_as_the_density_says(precision, label):
    """Metropolis-adjusted chains on a sharp energy in D = 2, against quadrature on a grid."""
    layers = make_layers(2, 16, 3, scale=1.8, seed=3)
    centres = -4 + (torch.arange(160, dtype=torch.float64) + 0.5) * 0.05
    grid = torch.cartesian_prod(centres, centres)
    logits = torch.nn.functional.gelu(grid @ layers[0][0].double().t() + layers[0][1].double())
    logits = logits @ layers[1][0].double().t() + layers[1][1].double()
    energy = logits.logsumexp(1) if label is None else logits[:, label]
    density = (energy - 0.5 * grid.square().sum(1)).exp().reshape(16, 10, 16, 10).sum((1, 3)).numpy()
    density /= density.sum()
    n = 20_000
    labels = None if label is None else torch.full((n,), label)
    options = {"step_size": 0.15, "seed": 6, "precision": precision, "metropolis": True, "backend": "native"}
    z = langevin(make_states(n, 2), layers, n_steps=250, labels=labels, **options).z.numpy()
    counts, _, _ = np.histogram2d(z[:, 0], z[:, 1], bins=16, range=[[-4, 4], [-4, 4]])
    assert counts.sum() > 0.99 * n
    distance = 0.5 * np.abs(counts / n - density).sum()
    sampling_error = np.sqrt(density * (1 - density) / (2 * np.pi * n)).sum()
    assert distance < 1.35 * sampling_error


@pytest.mark.parametrize("precision", ["fp32", "fast"])
def test_long_runs_have_the_moments_of_the_reference(precision):
    layers = make_layers(8, 60, 60, 5, scale=2.5, seed=2)
    moments = {}
    for chosen, seed in (("native", 1), ("reference", 2)):
        options = {"step_size": 0.1, "seed": seed, "backend": chosen, "precision": precision}
        z = langevin(make_states(3000, 8, seed), layers, n_steps=200, diagnostics=True, **options)
        squares = torch.cat([z.z, z.z.square()], dim=1).double()
        moments[chosen] = (squares.mean(0), squares.var(0) / 3000, z.mean_energy[-100:].mean())
    difference = moments["native"][0] - moments["reference"][0]
    error = (moments["native"][1] + moments["reference"][1]).sqrt()
    assert (difference / error).abs().max() < 4.2  # sixteen moments
    assert float(moments["native"][2]) == pytest.approx(float(moments["reference"][2]), rel=0.02)


@pytest.mark.parametrize("options", [{}, {"metropolis": True}, {"diagnostics": True}, {"bank": True}, {"steps": True}])
def test_a_long_run_goes_in_parts_of_the_same_bits(options, monkeypatch):
    """Between them an interrupt is heard."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(40, 6, generator=generator)
    layers = [
        (torch.randn(9, 6, generator=generator), torch.randn(9, generator=generator)),
        (torch.randn(4, 9, generator=generator), torch.randn(4, generator=generator)),
    ]
    given = {name: value for name, value in options.items() if name not in ("bank", "steps")}
    step_size = torch.linspace(0.02, 0.05, 11) if "steps" in options else 0.03
    chosen = torch.arange(39, 4, -1) if "bank" in options else None
    results = []
    for operations in (1e30, 4.0 * 40 * 90 * 3):  # 90 weights: parts of three steps
        monkeypatch.setattr(native, "PART_OPERATIONS", operations)
        bank = z.clone()
        found = langevin(
            bank, layers, n_steps=11, step_size=step_size, seed=3, bank_indices=chosen, backend="native", **given
        )
        results.append([bank, *(value for value in found if value is not None)])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert len(results[0]) == len(results[1])
