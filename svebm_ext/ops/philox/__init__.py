"""Counter-based random numbers: the same on every backend, and independent of tiling, threads, slicing and devices.

Philox4x32-10 with key = (seed low, seed high) and counter = (chain id low, chain id high xor stream << 24, step,
dimension // 4); one counter gives the numbers of four neighbouring dimensions. Chain id and step are global and
absolute, so steps 0..59 in one call equal 0..19 followed by 20..59. Never add a step to a seed: that is what step and
stream are for.
"""

from __future__ import annotations

import enum

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.ops.arguments import Arguments
from svebm_ext.ops.backend import planned_or_none
from svebm_ext.ops.philox import native, reference
from svebm_ext.ops.philox.options import PhiloxInputs
from svebm_ext.ops.schema import Op

__all__ = ["Stream", "philox_normal", "philox_uniform", "signed_seed"]

CHECKS = Arguments("philox")
STEPS = 1 << 32
MOST_NUMBERS = (1 << 31) - 1


class Stream(enum.IntEnum):
    """Purpose of a random number, an 8-bit tag in the counter: different streams never share numbers."""

    INITIAL = 0
    LANGEVIN = 1
    METROPOLIS = 2
    TOKEN = 3
    POSTERIOR = 4
    DROPOUT = 5
    SELECTION = 6
    WORD = 7
    EVALUATION = 8
    CATEGORY = 9
    FEATURES = 10


def philox_normal(
    seed: int | Int[Tensor, ""],
    chain_ids: Int[Tensor, "N"],
    *,
    dim: int,
    first_step: int = 0,
    n_steps: int = 1,
    stream: Stream,
    backend: str | None = None,
) -> Float[Tensor, "S N dim"]:
    """Standard normal numbers by Box-Muller from Philox words, float32.

    Args:
        seed: key, 0 <= seed < 2^64; or an int64 scalar on the chains' device with the same 64 bits, which a captured
            CUDA graph reads anew at each replay.
        chain_ids: int64 [N], global index of each chain (or row), below 2^56 so that streams stay apart.
        dim: numbers per chain and step.
        first_step: absolute index of the first step; steps lie below 2^32.
        n_steps: number of steps S.
        stream: what the numbers are for.
        backend: "auto", "native" or "reference"; None leaves it to `use_backend` and SVEBM_BACKEND.

    Returns:
        [S, N, dim] on the device of chain_ids.

    Raises:
        ConfigError: an argument out of range.

    Source: Salmon et al. 2011 (Random123), Box & Muller 1958.
    """
    return _call(seed, chain_ids, dim, first_step, n_steps, stream, True, backend)


def philox_uniform(
    seed: int | Int[Tensor, ""],
    chain_ids: Int[Tensor, "N"],
    *,
    dim: int,
    first_step: int = 0,
    n_steps: int = 1,
    stream: Stream,
    backend: str | None = None,
) -> Float[Tensor, "S N dim"]:
    """Uniform numbers u = ((x >> 9) + 0.5) 2^-23, strictly inside (0, 1); arguments and errors as `philox_normal`."""
    return _call(seed, chain_ids, dim, first_step, n_steps, stream, False, backend)


def _call(
    seed: int | Tensor,
    chain_ids: Tensor,
    dim: int,
    first_step: int,
    n_steps: int,
    stream: int,
    normal: bool,
    backend: str | None,
) -> Tensor:
    seed = CHECKS.seed(seed)
    CHECKS.tensor("chain_ids", chain_ids, "torch.int64 of 1 dimension")
    CHECKS.with_storage(("chain_ids", chain_ids), {"seed": seed})
    dim = CHECKS.integer("dim", dim, 1, MOST_NUMBERS)
    n_steps = CHECKS.integer("n_steps", n_steps, 0, STEPS)
    first_step = CHECKS.integer("first_step", first_step, 0, STEPS)
    stream = CHECKS.integer("stream", stream, 0, 255)
    backend = CHECKS.backend(backend)
    return PHILOX(
        chain_ids=chain_ids,
        seed=0 if isinstance(seed, Tensor) else signed_seed(seed),
        seed_tensor=seed if isinstance(seed, Tensor) else None,
        dim=dim,
        first_step=first_step,
        n_steps=n_steps,
        stream=stream,
        normal=normal,
        backend=backend or "",
    )


def signed_seed(seed: int) -> int:
    """The same 64 bits as a signed integer, the only kind that an op's schema has."""
    return seed if seed < 1 << 63 else seed - (1 << 64)


def _check(inputs: PhiloxInputs) -> None:
    chain_ids, seed, first_step, n_steps = inputs.chain_ids, inputs.seed_tensor, inputs.first_step, inputs.n_steps
    if chain_ids.dtype != torch.int64 or chain_ids.dim() != 1:
        CHECKS.fail("chain_ids", f"{chain_ids.dtype} of {chain_ids.dim()} dimensions", "torch.int64 of 1 dimension")
    if seed is not None and (seed.dtype != torch.int64 or seed.dim() != 0 or seed.device != chain_ids.device):
        given = f"{seed.dtype} of {seed.dim()} dimensions on {seed.device}"
        CHECKS.fail("seed", given, f"an integer or a torch.int64 scalar on {chain_ids.device}")
    if inputs.dim < 1 or n_steps < 0:
        CHECKS.fail("dim or n_steps", f"{inputs.dim} or {n_steps}", "dim >= 1 and n_steps >= 0")
    if first_step < 0 or first_step + n_steps > STEPS:
        CHECKS.fail("steps", f"{first_step} .. {first_step + n_steps}", "steps in the range 0 .. 2^32")
    if not 0 <= inputs.stream < 256:
        CHECKS.fail("stream", inputs.stream, "0 .. 255")
    CHECKS.ids("chain_ids", chain_ids)


def _compute(inputs: PhiloxInputs) -> Tensor:
    _check(inputs)
    # the backend is resolved here, not in the public function, so that a compiled graph follows it too
    device, requested = inputs.chain_ids.device, inputs.backend or None
    planned = planned_or_none("philox", device, requested, lambda: native.plan(inputs))
    if planned is not None:
        return planned.run()
    key = inputs.seed if inputs.seed_tensor is None else inputs.seed_tensor
    steps = (inputs.dim, inputs.first_step, inputs.n_steps)
    return reference.philox(inputs.chain_ids, key, *steps, inputs.stream, inputs.normal)


PHILOX = Op("philox", PhiloxInputs, Tensor, compute=_compute, shapes=PhiloxInputs.shapes)
