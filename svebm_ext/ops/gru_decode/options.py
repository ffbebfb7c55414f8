"""What every backend of `gru_decode` is given and gives back, and the checks that are done once for all of them."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple, NoReturn

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from svebm_ext.config.bounds import TEMPERATURES
from svebm_ext.ops.arguments import Arguments, are_plain, shown
from svebm_ext.ops.philox import signed_seed

PRECISIONS = ("fp32", "fast")
CHECKS = Arguments("gru_decode")
MOST_TOKENS = (1 << 31) - 1


class GRUWeights(NamedTuple):
    """A GRU language model as decoding needs it, E the word embedding; gates in torch.nn.GRU's order r, z, n.

    Attributes:
        input_gates: W_ih e_v + b_ih of every word v [V, 3H].
        weight: W_hh [3H, H].
        bias: b_hh [3H].
        output: the scores of all words are `output` h + `output_bias` [V, H].
        output_bias: [V] or None.
    """

    input_gates: Float[Tensor, "V three_H"]
    weight: Float[Tensor, "three_H H"]
    bias: Float[Tensor, "three_H"]
    output: Float[Tensor, "V H"]
    output_bias: Float[Tensor, "V"] | None = None


class Decoded(NamedTuple):
    """Sentences.

    Attributes:
        tokens: words [B, T], the end mark included, padded behind it.
        lengths: tokens of each sentence up to and including its end mark [B]; T where it did not end.
        log_probabilities: of each chosen word at temperature 1 among all words that are not excluded [B, T], nats, 0
            behind the end; None unless asked for.
        finite: a scalar, false where a state was not finite or scores cannot be compared (one of them no number, all
            of them minus infinity, or in sampling one of them infinity): the sentence ends there, without probability.
    """

    tokens: Int[Tensor, "B T"]
    lengths: Int[Tensor, "B"]
    log_probabilities: Float[Tensor, "B T"] | None
    finite: Bool[Tensor, ""]


@dataclass(frozen=True)
class Choice:
    """How words are chosen; fields as the arguments of `gru_decode`."""

    max_tokens: int
    begin: int
    end: int
    pad: int
    excluded: list[int]
    greedy: bool
    temperature: float
    top_k: int
    top_p: float
    seed: int | Int[Tensor, ""]
    log_probabilities: bool
    precision: str


_CHOICES = tuple(field.name for field in dataclasses.fields(Choice))


class DecodedOutputs(NamedTuple):
    """What the op returns: `Decoded`, with log probabilities of no numbers where that has None."""

    tokens: Tensor
    lengths: Tensor
    log_probabilities: Tensor
    finite: Tensor


@dataclass
class GruDecodeInputs:
    """Everything that a call is given: the one declaration of the op's inputs. Fields as the arguments of `gru_decode`.

    Attributes:
        input_gates, weight, bias, output, output_bias: the fields of `GRUWeights`.
        seed: Philox key, as a signed number; not used with `seed_tensor`, an int64 scalar on the states' device.
        backend: the call's own choice; empty without one.
    """

    state: Tensor
    gate_bias: Tensor
    input_gates: Tensor
    weight: Tensor
    bias: Tensor
    output: Tensor
    output_bias: Tensor | None
    packed: Tensor | None
    ids: Tensor
    excluded: list[int]
    max_tokens: int
    begin: int
    end: int
    pad: int
    greedy: bool
    temperature: float
    top_k: int
    top_p: float
    seed: int
    seed_tensor: Tensor | None
    log_probabilities: bool
    precision: str
    backend: str

    @property
    def weights(self) -> GRUWeights:
        """The network."""
        return GRUWeights(self.input_gates, self.weight, self.bias, self.output, self.output_bias)

    @functools.cached_property
    def choice(self) -> Choice:
        """How words are chosen."""
        options = {name: getattr(self, name) for name in _CHOICES}
        key = self.seed % (1 << 64) if self.seed_tensor is None else self.seed_tensor
        return Choice(**{**options, "excluded": list(self.excluded), "seed": key})

    def shapes(self) -> DecodedOutputs:
        """Results without numbers."""
        state, B = self.state, self.state.shape[0]
        return DecodedOutputs(
            tokens=state.new_empty((B, self.max_tokens), dtype=torch.int64),
            lengths=state.new_empty((B,), dtype=torch.int64),
            log_probabilities=state.new_empty((B, self.max_tokens) if self.log_probabilities else (0,)),
            finite=state.new_empty((), dtype=torch.bool),
        )


def fail(name: str, value: object, expected: str) -> NoReturn:
    """Raise a ConfigError that names the option, its value and what is expected."""
    CHECKS.fail(name, value, expected)


def check_types(
    state: object, gate_bias: object, weights: object, ids: object, packed: object, seed: object, excluded: object
) -> tuple[int | Tensor, GRUWeights, list[int]]:
    """Check the Python types of what is no plain number; return seed, weights and excluded words."""
    if not are_plain([state, gate_bias, *[tensor for tensor in (ids, packed) if tensor is not None]]):
        _check_states(state, gate_bias, ids, packed)
    if isinstance(excluded, (str, bytes)) or not isinstance(excluded, Iterable):
        fail("excluded", shown(excluded), "a list of words' numbers")
    if isinstance(excluded, Tensor):
        if excluded.dim() != 1 or CHECKS.tensor("excluded", excluded, "words' numbers").is_floating_point():
            fail("excluded", shown(excluded), "a list of words' numbers")
        excluded = excluded.tolist()
    return (
        CHECKS.seed(seed),
        check_weights(weights),
        [CHECKS.integer("excluded", word, 0, MOST_TOKENS) for word in excluded],
    )


def _check_states(state: object, gate_bias: object, ids: object, packed: object) -> None:
    CHECKS.tensors(
        {
            "state": (state, "[B, H] of float32 or float64"),
            "gate_bias": (gate_bias, "[B, 3H]"),
            "ids": (ids, "[B] of int64, or None"),
            "packed": (packed, "what pack_gru returned, or None"),
        }
    )


def check_storage(
    state: Tensor, gate_bias: Tensor, weights: GRUWeights, ids: Tensor | None, seed: int | Tensor
) -> None:
    """Check that the tensors of a call have storage where the states have."""
    others = [gate_bias, *weights, ids, seed]
    if any([isinstance(other, Tensor) and other.is_meta for other in others]):
        of_weights = {f"weights.{name}": tensor for name, tensor in weights._asdict().items()}
        CHECKS.with_storage(("state", state), {"gate_bias": gate_bias, **of_weights, "ids": ids, "seed": seed})


def checked_words(
    max_tokens: object, begin: object, end: object, pad: object, excluded: list[int]
) -> dict[str, object]:
    """Words that stand for something, and the length of sentences, as the op takes them; types and ranges checked."""
    return {
        "excluded": excluded,
        "max_tokens": CHECKS.integer("max_tokens", max_tokens, 1, MOST_TOKENS),
        "begin": CHECKS.integer("begin", begin, 0, MOST_TOKENS),
        "end": CHECKS.integer("end", end, 0, MOST_TOKENS),
        "pad": CHECKS.integer("pad", pad, -MOST_TOKENS, MOST_TOKENS),
    }


def checked_choice(
    greedy: object, temperature: object, top_k: object, top_p: object, seed: int | Tensor, log_probabilities: object,
    precision: object, backend: object,
) -> dict[str, object]:  # fmt: skip
    """How a word is chosen, and how that is computed, as the op takes it; types and ranges checked."""
    return {
        "greedy": CHECKS.flag("greedy", greedy),
        "temperature": CHECKS.number("temperature", temperature, *TEMPERATURES),
        "top_k": CHECKS.integer("top_k", top_k, 0),
        "top_p": CHECKS.number("top_p", top_p, 0.0, 1.0, above=True),
        "seed": 0 if isinstance(seed, Tensor) else signed_seed(seed),
        "seed_tensor": seed if isinstance(seed, Tensor) else None,
        "log_probabilities": CHECKS.flag("log_probabilities", log_probabilities),
        "precision": CHECKS.choice("precision", precision, PRECISIONS),
        "backend": CHECKS.backend(backend) or "",
    }


def check_weights(weights: object) -> GRUWeights:
    """Check the Python types of weights."""
    if not isinstance(weights, tuple) or len(weights) not in (4, 5):
        fail("weights", shown(weights), f"GRUWeights({', '.join(GRUWeights._fields)})")
    weights = GRUWeights(*weights)
    if are_plain(weights if weights.output_bias is not None else weights[:4]):
        return weights
    CHECKS.tensors(
        {
            f"weights.{name}": (tensor, "or None" if name == "output_bias" else "of the network")
            for name, tensor in zip(GRUWeights._fields, weights, strict=True)
        }
    )
    return weights


def check(inputs: GruDecodeInputs) -> None:
    """Check shapes, types and options of a call."""
    state, ids = inputs.state, inputs.ids
    if state.dim() != 2 or state.shape[1] < 1:
        fail("state", f"of shape {tuple(state.shape)}", "[B, H] with H >= 1")
    if state.dtype not in (torch.float32, torch.float64):
        fail("state", f"of type {state.dtype}", "float32 or float64")
    B, H = state.shape
    _check_shapes({"gate_bias": (inputs.gate_bias, (B, 3 * H))}, state)
    V = check_shapes(inputs.weights, state)
    if ids.dtype != torch.int64 or ids.shape != (B,) or ids.device != state.device:
        fail("ids", f"{ids.dtype} of shape {tuple(ids.shape)} on {ids.device}", f"int64 [{B}] on {state.device}")
    CHECKS.ids("ids", ids)
    check_choice(inputs.choice, V, state.device)


def check_shapes(weights: GRUWeights, like: Tensor) -> int:
    """Check the weights' shapes beside `like` [*, H], whose type and device they have; return V."""
    H, V = like.shape[-1] if like.dim() == 2 else 0, weights.output.shape[0] if weights.output.dim() == 2 else 0
    if H < 1:
        fail("weights.weight", f"of shape {tuple(like.shape)}", "[3H, H] with H >= 1")
    shapes = {
        "weights.output": (weights.output, (max(V, 1), H)),
        "weights.input_gates": (weights.input_gates, (V, 3 * H)),
        "weights.weight": (weights.weight, (3 * H, H)),
        "weights.bias": (weights.bias, (3 * H,)),
        "weights.output_bias": (weights.output_bias, (V,)),
    }
    _check_shapes(shapes, like)
    return V


def _check_shapes(shapes: dict[str, tuple[Tensor | None, tuple[int, ...]]], state: Tensor) -> None:
    for name, (tensor, shape) in shapes.items():
        if tensor is None:
            continue
        if tensor.shape != shape:
            fail(name, f"of shape {tuple(tensor.shape)}", f"{shape} beside states {tuple(state.shape)}")
        if tensor.dtype != state.dtype or tensor.device != state.device:
            fail(name, f"{tensor.dtype} on {tensor.device}", f"that of the states, {state.dtype} on {state.device}")


def check_packed(packed: Tensor, n_bytes: int | None = None, alignment: int = 1) -> None:
    """Check a buffer that a kernel will read by its address alone: type, place, layout, size and alignment.

    Args:
        packed: the buffer.
        n_bytes: size of what `pack_gru` gives for the weights of the call; None where no kernel will read it.
        alignment: of its address, in bytes.
    """
    if packed.dtype != torch.uint8 or packed.device.type != "cpu" or packed.layout != torch.strided:
        fail("packed", f"{packed.dtype} on {packed.device}", "torch.uint8 on the CPU, as pack_gru gives")
    if packed.dim() != 1 or not packed.is_contiguous():
        fail("packed", f"of shape {tuple(packed.shape)}", "one row of bytes without gaps, as pack_gru gives")
    if n_bytes is not None and packed.numel() != n_bytes:
        fail("packed", f"{packed.numel():,} bytes", f"{n_bytes:,}: pack_gru of these weights at this precision")
    if n_bytes is not None and packed.data_ptr() % alignment:
        fail("packed", f"at an address {packed.data_ptr() % alignment} beyond a multiple of {alignment}",
             f"one that is aligned to {alignment} bytes, as pack_gru gives")  # fmt: skip


def check_choice(choice: Choice, V: int, device: torch.device) -> None:
    """Check how words of a vocabulary of V are to be chosen."""
    CHECKS.integer("max_tokens", choice.max_tokens, 1, MOST_TOKENS)
    CHECKS.integer("pad", choice.pad, -MOST_TOKENS, MOST_TOKENS)
    for name in ("begin", "end"):
        CHECKS.integer(name, getattr(choice, name), 0, V - 1)
    if any(not 0 <= word < V for word in choice.excluded):
        fail("excluded", choice.excluded, f"words, 0 to {V - 1}")
    if len(set(choice.excluded)) >= V:
        fail("excluded", f"all {V} words", "at least one word left")
    CHECKS.flag("greedy", choice.greedy)
    CHECKS.number("temperature", choice.temperature, *TEMPERATURES)
    CHECKS.integer("top_k", choice.top_k, 0)
    CHECKS.number("top_p", choice.top_p, 0.0, 1.0, above=True)
    CHECKS.choice("precision", choice.precision, PRECISIONS)
    seed = CHECKS.seed(choice.seed)
    if isinstance(seed, Tensor) and (seed.dtype != torch.int64 or seed.dim() != 0 or seed.device != device):
        given = f"{seed.dtype} of {seed.dim()} dimensions on {seed.device}"
        fail("seed", given, f"an integer or a torch.int64 scalar on {device}")
