"""The CUDA kernels of langevin against the reference in float64 on the CPU, and the ways in which torch calls them."""

import itertools
import math

import pytest
import torch

from svebm_ext.errors import BackendUnavailableError
from svebm_ext.ops.backend import NativeFallbackWarning, forget_decisions
from svebm_ext.ops.langevin import langevin

OP = "langevin"
# N and the widths D, hidden, K: one to three layers, tails of 16 and 32 chains, rows that fill no vector, one category
SHAPES = [
    (1, (1, 1)),
    (17, (3, 5)),
    (33, (2, 20, 1)),
    (49, (2, 13, 11, 4)),
    (70, (40, 56, 56, 20)),
    (35, (40, 24, 40, 125)),
]
LARGE = [(4097, (40, 200, 200, 20)), (2000, (2, 200, 200, 16)), (300, (32, 1024, 1024, 10)), (40, (256, 300, 1024))]


def make(device, n_chains, widths, seed=0):
    """States [N, D] and layers of widths D, ..., K whose outputs are of the size of their inputs."""
    generator = torch.Generator().manual_seed(seed)
    layers = []
    for inputs, outputs in itertools.pairwise(widths):
        weight = torch.randn(outputs, inputs, generator=generator) * 1.4 / math.sqrt(inputs)
        layers.append((weight.to(device), (0.2 * torch.randn(outputs, generator=generator)).to(device)))
    return torch.randn(n_chains, widths[0], generator=generator).to(device), layers


def exact(value):
    """A call's argument for the reference: on the CPU, floating-point numbers in float64."""
    if isinstance(value, list | tuple):
        return [tuple(exact(tensor) for tensor in pair) for pair in value]
    if not isinstance(value, torch.Tensor):
        return value
    return value.detach().cpu().double() if value.is_floating_point() else value.detach().cpu()


def both(z, layers, **options):
    """Results of the kernel and of the reference for the same arguments; a bank is copied for each."""
    arguments = {name: exact(value) for name, value in options.items() if name != "precision"}
    expected = langevin(exact(z).clone(), exact(layers), backend="reference", **arguments)
    return langevin(z, layers, backend="native", **options), expected


def assert_equal_results(found, expected, atol):
    """Fields that are there agree: z to `atol`, what is summed over layers or chains to ten times that."""
    torch.testing.assert_close(found.z.cpu().double(), expected.z, rtol=0, atol=atol)
    for name in ("mean_energy", "mean_gradient_norm", "acceptance", "log_weights"):
        value = getattr(expected, name)
        if value is None:
            assert getattr(found, name) is None
        else:
            torch.testing.assert_close(getattr(found, name).cpu().double(), value, rtol=10 * atol, atol=10 * atol)
    assert bool(found.finite)


def relative_error(found, expected):
    return float((found.cpu().double() - expected).norm() / expected.norm())


@pytest.mark.parametrize("activation", ["gelu", "leaky_relu", "silu", "tanh"])
@pytest.mark.parametrize(("n_chains", "widths"), SHAPES)
def test_steps_equal_the_reference(native_device, n_chains, widths, activation):
    z, layers = make(native_device, n_chains, widths)
    assert_equal_results(*both(z, layers, n_steps=1, step_size=0.1, seed=5, activation=activation), 1e-5)


@pytest.mark.parametrize("precision", ["fp32", "fast"])
@pytest.mark.parametrize("metropolis", [False, True])
def test_all_options_equal_the_reference(native_device, metropolis, precision):
    bank, layers = make(native_device, 60, (6, 24, 40, 5))
    rows = torch.randperm(60, generator=torch.Generator().manual_seed(1))[:35].to(native_device)
    before = bank.clone()
    options = {
        "n_steps": 2,
        "step_size": torch.tensor([0.1, 0.2], device=native_device),
        "seed": 0xFEDCBA9876543210,
        "precision": precision,
        "temperature": 0.7,
        "reference_precision": 0.9,
        "temper": torch.tensor([0.3, 0.8], device=native_device),
        "initial_temper": 0.1,
        "metropolis": metropolis,
        "noise_scale": 1.0 if metropolis else 0.8,
        "first_step": (1 << 32) - 2,
        "chain_ids": rows * ((1 << 33) + 7),
        "bank_indices": rows,
        "labels": rows % 5,
        "context_shift": torch.randn(35, 24, generator=torch.Generator().manual_seed(2)).to(native_device),
        "diagnostics": True,
    }
    found, expected = both(bank, layers, **options)
    # in fast mode a close decision may go the other way
    if not (metropolis and precision == "fast"):
        assert_equal_results(found, expected, 1e-5 * 2 if precision == "fp32" else 2e-3)
    assert torch.equal(bank[rows], found.z)
    others = torch.ones(60, dtype=torch.bool, device=native_device)
    others[rows] = False
    assert torch.equal(bank[others], before[others])


@pytest.mark.parametrize("precision", ["fp32", "fast"])
def test_sums_equal_the_reference(native_device, precision):
    """The marginal's energies, log weights and acceptance, with a tail of one chain."""
    z, layers = make(native_device, 33, (40, 56, 56, 20))
    options = {"n_steps": 2, "seed": 3, "precision": precision, "diagnostics": True}
    schedule = {"temper": torch.tensor([0.2, 0.9], device=native_device)}
    atol = 2e-5 if precision == "fp32" else 2e-3
    assert_equal_results(*both(z, layers, step_size=0.1, **schedule, **options), atol)
    if precision == "fp32":
        assert_equal_results(*both(z, layers, step_size=0.02, metropolis=True, **options), atol)


@pytest.mark.parametrize(("n_chains", "widths"), LARGE)
@pytest.mark.parametrize("activation", ["gelu", "silu"])
def test_large_shapes_agree_with_the_reference(native_device, n_chains, widths, activation):
    z, layers = make(native_device, n_chains, widths)
    assert_equal_results(*both(z, layers, n_steps=1, step_size=0.1, seed=5, activation=activation), 1e-5)


@pytest.mark.parametrize("activation", ["gelu", "leaky_relu", "silu", "tanh"])
@pytest.mark.parametrize(("n_chains", "widths"), [*SHAPES[3:], LARGE[0], LARGE[1]])
def test_the_fast_gradient_is_within_rounding(native_device, n_chains, widths, activation):
    """One step of size 1 without noise and reference: z' - z is the gradient."""
    z, layers = make(native_device, n_chains, widths)
    options = {"n_steps": 1, "step_size": 1.0, "seed": 0, "noise_scale": 0.0, "reference_precision": 0.0}
    found, expected = both(z, layers, activation=activation, precision="fast", **options)
    # rounding puts a few units on the other side of LeakyReLU's kink
    assert relative_error(found.z - z, expected.z - exact(z)) < (2e-2 if activation == "leaky_relu" else 3e-3)
    found, expected = both(z, layers, activation=activation, precision="fp32", **options)
    assert relative_error(found.z - z, expected.z - exact(z)) < 1e-5


@pytest.mark.parametrize("precision", ["fp32", "fast"])
def test_sixty_steps_are_twenty_and_forty(native_device, precision):
    z, layers = make(native_device, 100, (40, 56, 56, 20))
    options = {"step_size": 0.1, "seed": 3, "precision": precision, "backend": "native"}
    whole = langevin(z, layers, n_steps=60, **options)
    half = langevin(z, layers, n_steps=20, **options)
    rest = langevin(half.z, layers, n_steps=40, first_step=20, **options)
    assert torch.equal(rest.z, whole.z)
    assert torch.equal(langevin(z, layers, n_steps=60, **options).z, whole.z)


@pytest.mark.parametrize("precision", ["fp32", "fast"])
def test_a_gaussian_target_has_its_known_moments(native_device, precision):
    """With G = w z the chain is linear: variance 2 / (p (2 - s p)), mean w / p."""
    weight = torch.tensor([[0.5, -1.0, 0.0, 2.0]], device=native_device)
    layers = [(weight, torch.zeros(1, device=native_device))]
    z = torch.zeros(1 << 16, 4, device=native_device)
    step_size, p = 0.5, 1.25
    options = {"n_steps": 100, "step_size": step_size, "seed": 9, "precision": precision, "backend": "native"}
    samples = langevin(z, layers, reference_precision=p, **options).z.double()
    torch.testing.assert_close(samples.mean(dim=0), weight[0].double() / p, rtol=0, atol=0.02)
    expected = torch.full((4,), 2.0 / (p * (2.0 - step_size * p)), dtype=torch.float64, device=native_device)
    torch.testing.assert_close(samples.var(dim=0), expected, rtol=0.02, atol=0)
    covariance = torch.cov(samples.T)
    assert (covariance - torch.diag(covariance.diag())).abs().max() < 0.02


@pytest.mark.parametrize("precision", ["fp32", "fast"])
def test_metropolis_leaves_the_target_invariant(native_device, precision):
    """The same target: accepted and rejected moves together have variance 1 / p exactly."""
    layers = [(torch.zeros(1, 2, device=native_device), torch.zeros(1, device=native_device))]
    z = torch.zeros(1 << 16, 2, device=native_device)
    options = {"n_steps": 100, "step_size": 0.5, "seed": 9, "precision": precision, "backend": "native"}
    result = langevin(z, layers, metropolis=True, reference_precision=1.25, **options)
    expected = torch.full((2,), 0.8, dtype=torch.float64, device=native_device)
    torch.testing.assert_close(result.z.double().var(dim=0), expected, rtol=0.02, atol=0)
    assert 0.5 < float(result.acceptance[-1]) < 0.99


def test_it_runs_on_the_current_stream(native_device):
    z, layers = make(native_device, 4096, (40, 56, 56, 20))
    options = {"n_steps": 2, "step_size": 0.1, "seed": 3, "backend": "native"}
    expected = langevin(z, layers, **options).z
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        torch.cuda._sleep(10_000_000)
        late = z.clone()  # made on the side stream, after the pause: another stream would read it too early
        found = langevin(late, layers, **options).z
    side.synchronize()
    assert torch.equal(found, expected)


@pytest.mark.parametrize("precision", ["fp32", "fast"])
def test_a_captured_graph_reads_its_seed_at_each_replay(native_device, precision):
    z, layers = make(native_device, 100, (40, 56, 56, 20))
    seed = torch.tensor(1, device=native_device)
    options = {"n_steps": 3, "step_size": 0.1, "precision": precision, "backend": "native"}
    langevin(z, layers, seed=seed, **options)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = langevin(z, layers, seed=seed, **options).z
    for value in (1, 12345678901234567):
        seed.fill_(value)
        graph.replay()
        assert torch.equal(captured, langevin(z, layers, seed=value, **options).z)


@pytest.mark.parametrize("precision", ["fp32", "fast"])
def test_numbers_that_are_not_finite_are_reported(native_device, precision):
    z, layers = make(native_device, 40, (6, 24, 5))
    options = {"n_steps": 2, "step_size": 0.1, "seed": 3, "precision": precision, "backend": "native"}
    assert bool(langevin(z, layers, **options).finite)
    z[35, 2] = math.inf
    result = langevin(z, layers, **options)
    assert not bool(result.finite)
    assert torch.isfinite(result.z[:35]).all() and torch.isfinite(result.z[36:]).all()


def test_a_weight_beyond_half_precision_is_reported(native_device):
    z, layers = make(native_device, 40, (6, 24, 5))
    layers[0][0][3, 2] = 1e6
    options = {"n_steps": 1, "step_size": 0.1, "seed": 3, "activation": "tanh", "backend": "native"}
    assert bool(langevin(z, layers, precision="fp32", **options).finite)
    assert not bool(langevin(z, layers, precision="fast", **options).finite)


def test_a_shape_out_of_reach_says_why_and_goes_to_the_reference(native_device):
    z, layers = make(native_device, 5, (2, 20_000, 3))
    options = {"n_steps": 1, "step_size": 0.1, "seed": 3}
    with pytest.raises(BackendUnavailableError, match="2-20000-3 needs more than"):
        langevin(z, layers, backend="native", **options)
    forget_decisions()
    with pytest.warns(NativeFallbackWarning, match="shared memory"):
        found = langevin(z, layers, backend="auto", **options).z
    # twice the same PyTorch operations, which differed in the last bits on an H200
    torch.testing.assert_close(found, langevin(z, layers, backend="reference", **options).z, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_the_second_gpu_is_served_while_the_first_is_current(native_device):
    z, layers = make(torch.device("cuda:1"), 33, (40, 56, 56, 20))
    for precision, atol in (("fp32", 1e-5), ("fast", 2e-3)):
        found, expected = both(z, layers, n_steps=1, step_size=0.1, seed=5, precision=precision)
        assert_equal_results(found, expected, atol)
    assert torch.cuda.current_device() == 0
