"""Random numbers against the published test vectors, an integer implementation in plain Python, and the known laws."""

import math
import subprocess
import sys

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from svebm_ext.errors import ConfigError
from svebm_ext.ops.backend import unavailable_reason, use_backend
from svebm_ext.ops.native_library import native_module
from svebm_ext.ops.philox import Stream, philox_normal, philox_uniform, reference

NO_NATIVE = unavailable_reason("philox", "cpu")
needs_native = pytest.mark.skipif(bool(NO_NATIVE), reason=NO_NATIVE or "available")
BACKENDS = ["reference", pytest.param("native", marks=needs_native)]


def philox_by_hand(counter: list[int], key: list[int]) -> list[int]:
    """Philox4x32-10 written out for one counter with Python's integers."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(10):
        first, second = 0xD2511F53 * c0, 0xCD9E8D57 * c2
        c0, c1, c2, c3 = (
            (second >> 32) ^ c1 ^ k0,
            second & 0xFFFFFFFF,
            (first >> 32) ^ c3 ^ k1,
            first & 0xFFFFFFFF,
        )
        k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return [c0, c1, c2, c3]


def expected_uniform(seed: int, chain: int, dim: int, step: int, stream: int) -> list[float]:
    numbers = []
    chain &= (1 << 64) - 1
    for block in range(math.ceil(dim / 4)):
        counter = [chain & 0xFFFFFFFF, (chain >> 32) ^ (stream << 24), step, block]
        words = philox_by_hand(counter, [seed & 0xFFFFFFFF, seed >> 32])
        numbers += [((word >> 9) + 0.5) / 2**23 for word in words]
    return numbers[:dim]


def expected_normal(seed: int, chain: int, dim: int, step: int, stream: int) -> list[float]:
    """Box-Muller in float64 on the contract's uniforms."""
    uniform = expected_uniform(seed, chain, 4 * math.ceil(dim / 4), step, stream)
    numbers = []
    for u0, u1 in zip(uniform[0::2], uniform[1::2], strict=True):
        radius = math.sqrt(-2.0 * math.log(u0))
        numbers += [radius * math.cos(2 * math.pi * u1), radius * math.sin(2 * math.pi * u1)]
    return numbers[:dim]


PI = [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ([0] * 4, [0, 0], [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 4, [0xFFFFFFFF] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (PI, [0xA4093822, 0x299F31D0], [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
    ],
)
def test_the_published_vectors(counter, key, words):
    assert philox_by_hand(counter, key) == words
    found = reference.philox_words(key[0] | key[1] << 32, torch.tensor(counter)[:, None])
    assert found[:, 0].tolist() == words


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=25)
@given(
    seed=st.integers(0, 2**64 - 1),
    chains=st.lists(st.integers(0, 2**56 - 1), min_size=1, max_size=3),
    dim=st.integers(1, 11),
    first_step=st.integers(0, 2**32 - 2),
    stream=st.sampled_from(list(Stream)),
)
def test_every_number_follows_the_contract(backend, seed, chains, dim, first_step, stream):
    arguments = {"dim": dim, "first_step": first_step, "n_steps": 2, "stream": stream, "backend": backend}
    uniform = philox_uniform(seed, torch.tensor(chains), **arguments)
    normal = philox_normal(seed, torch.tensor(chains), **arguments)
    assert uniform.dtype == normal.dtype == torch.float32
    for s in range(2):
        for n, chain in enumerate(chains):
            assert uniform[s, n].tolist() == expected_uniform(seed, chain, dim, first_step + s, stream)
            exact = expected_normal(seed, chain, dim, first_step + s, stream)
            np.testing.assert_allclose(normal[s, n].numpy(), exact, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("draw", [philox_normal, philox_uniform])
def test_neither_slices_of_steps_nor_chains_nor_threads_change_a_number(backend, draw):
    chains = torch.tensor([5, 1 << 40, 0, 77, 2, 9, 1000])
    arguments = {"dim": 10, "stream": Stream.LANGEVIN, "backend": backend}
    whole = draw(11, chains, n_steps=60, **arguments)
    steps = [draw(11, chains, n_steps=n, first_step=start, **arguments) for start, n in ((0, 20), (20, 1), (21, 39))]
    assert torch.equal(whole, torch.cat(steps))
    assert torch.equal(whole[:, 2:5], draw(11, chains[2:5], n_steps=60, **arguments))
    assert torch.equal(whole[:, ::2], draw(11, chains[::2], n_steps=60, **arguments))
    assert torch.equal(whole[..., :6], draw(11, chains, n_steps=60, **{**arguments, "dim": 6}))
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            assert torch.equal(whole, draw(11, chains, n_steps=60, **arguments))
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("backend", BACKENDS)
def test_seeds_streams_chains_and_steps_give_different_numbers(backend):
    def draw(seed=1, chain=0, step=0, stream=Stream.INITIAL):
        chains = torch.tensor([chain])
        return philox_normal(seed, chains, dim=8, first_step=step, stream=stream, backend=backend)

    others = [draw(seed=2), draw(seed=1 + (1 << 32)), draw(chain=1), draw(chain=1 << 32), draw(step=1)]
    others += [draw(stream=stream) for stream in list(Stream)[1:]]
    for i, left in enumerate([draw(), *others]):
        for right in others[i:]:
            assert not torch.any(left == right)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_laws(backend):
    """Kolmogorov-Smirnov on 2^20 numbers, and correlations between the numbers of a counter and between neighbours."""
    chains = torch.arange(1 << 15)
    arguments = {"dim": 8, "n_steps": 4, "stream": Stream.EVALUATION, "backend": backend}
    normal = philox_normal(3, chains, **arguments).double().numpy()
    uniform = philox_uniform(3, chains, **arguments).double().numpy()
    assert scipy.stats.kstest(normal.ravel(), "norm").pvalue > 1e-3
    assert scipy.stats.kstest(uniform.ravel(), "uniform").pvalue > 1e-3
    assert scipy.stats.kstest((normal**2).sum(2).ravel(), "chi2", args=(8,)).pvalue > 1e-3
    bound = 5 / math.sqrt(normal[0].size / 8)
    columns = normal.transpose(0, 2, 1).reshape(32, -1)  # (step, dimension) pairs over chains
    correlation = np.corrcoef(columns) - np.eye(32)
    assert np.abs(correlation).max() < bound
    assert abs(np.mean(normal[:, 1:] * normal[:, :-1])) < 5 / math.sqrt(normal.size)


@pytest.mark.parametrize("backend", BACKENDS)
def test_uniforms_never_reach_the_ends(backend):
    """The extreme words give the extreme uniforms, and -log(-log u) stays finite there."""
    extremes = reference.uniform_from_words(torch.tensor([0, 0xFFFFFFFF]))
    assert extremes.tolist() == [2.0**-24, 1 - 2.0**-24]
    assert torch.isfinite(-torch.log(-torch.log(extremes))).all()
    drawn = philox_uniform(0, torch.arange(1 << 16), dim=16, stream=Stream.TOKEN, backend=backend)
    assert drawn.min() > 0 and drawn.max() < 1
    assert torch.equal(drawn * 2**24, (drawn * 2**24).round())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_seed_in_a_tensor_gives_the_same_numbers(backend):
    for seed in (12345678901234567, 2**64 - 2):
        scalar = torch.tensor(seed if seed < 2**63 else seed - 2**64)
        draws = [philox_normal(s, torch.arange(9), dim=5, stream=Stream.WORD, backend=backend) for s in (seed, scalar)]
        assert torch.equal(*draws)
    with pytest.raises(ConfigError, match=r"seed is torch\.float32"):
        torch.ops.svebm.philox(torch.arange(9), 0, torch.tensor(1.0), 5, 0, 1, 0, True, backend)


@needs_native
def test_every_cpu_variant_gives_the_same_integers_and_normals_equal_to_rounding():
    module = native_module()
    before = module.cpu_variant()
    exact = philox_normal(5, torch.arange(300), dim=7, n_steps=3, stream=Stream.INITIAL, backend="reference")
    uniform = philox_uniform(5, torch.arange(300), dim=7, n_steps=3, stream=Stream.INITIAL, backend="reference")
    try:
        for name in module.cpu_variants():
            module.use_cpu_variant(name)
            draws = [
                d(5, torch.arange(300), dim=7, n_steps=3, stream=Stream.INITIAL, backend="native")
                for d in (philox_normal, philox_uniform)
            ]
            torch.testing.assert_close(draws[0], exact, rtol=2e-6, atol=2e-6)
            assert torch.equal(draws[1], uniform)
    finally:
        module.use_cpu_variant(before)
    with pytest.raises(ValueError, match="'mmx'"):
        module.use_cpu_variant("mmx")


def test_no_chains_and_no_steps_give_empty_results():
    assert philox_normal(0, torch.arange(0), dim=3, stream=Stream.INITIAL).shape == (1, 0, 3)
    assert philox_normal(0, torch.arange(2), dim=3, n_steps=0, stream=Stream.INITIAL).shape == (0, 2, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"seed": -1}, "seed is -1"),
        ({"seed": 1 << 64}, "seed is 18446744073709551616"),
        ({"dim": 0}, "dim is 0"),
        ({"first_step": -1}, "first_step is -1"),
        ({"first_step": 1 << 32}, "4294967296"),
        ({"chain_ids": torch.arange(3, dtype=torch.int32)}, "int32"),
    ],
)
def test_arguments_out_of_range_are_named(change, message):
    arguments = {"seed": 0, "chain_ids": torch.arange(3), "dim": 2, "stream": Stream.INITIAL, **change}
    with pytest.raises(ConfigError, match=message):
        philox_normal(arguments.pop("seed"), arguments.pop("chain_ids"), **arguments)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_op_is_registered_as_torch_expects(backend):
    arguments = (torch.arange(5), 7, None, 6, 2, 3, int(Stream.LANGEVIN), True, backend)
    torch.library.opcheck(torch.ops.svebm.philox.default, arguments)


PUBLIC_FUNCTION_COMPILED = """
import torch
from svebm_ext.ops.philox import Stream, philox_normal
def draw(chain_ids, step, seed):
    return philox_normal(seed, chain_ids, dim=6, first_step=step, n_steps=2, stream=Stream.LANGEVIN) * 2
compiled = torch.compile(draw, fullgraph=True, backend="aot_eager")
for step, seed in ((0, 3), (7, 3), (9, 2**63 + 1), (11, torch.tensor(4))):
    assert torch.equal(compiled(torch.arange(5), step, seed), draw(torch.arange(5), step, seed))
"""


@pytest.mark.slow
def test_the_public_function_compiles_into_one_graph():
    """In a process of its own, because the shape checks that tests add are not for compilation."""
    result = subprocess.run([sys.executable, "-c", PUBLIC_FUNCTION_COMPILED], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def test_it_compiles_into_one_graph_that_follows_the_chosen_backend():
    def draw(chain_ids):
        return torch.ops.svebm.philox(chain_ids, 7, None, 6, 2, 3, 1, True, "") * 2.0

    compiled = torch.compile(draw, fullgraph=True, backend="aot_eager")
    with use_backend("reference"):
        assert torch.equal(compiled(torch.arange(5)), draw(torch.arange(5)))
    if not NO_NATIVE:
        with use_backend("native"):
            assert torch.equal(compiled(torch.arange(5)), draw(torch.arange(5)))
