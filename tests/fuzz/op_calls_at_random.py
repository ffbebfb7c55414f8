"""Calls of every op at random, from a seed: shapes, options and numbers, odd ones included.

A call is right where the native kernels, the reference in float32 and the reference in float64 agree:
 - ordinary numbers: native as near to float64 as rounding allows, of numbers that a long recurrence may amplify;
 - odd ones (no number, infinities, the ends of float32): the same entries finite as in the reference, and the same ones
   no number where no infinity went in, since infinity less infinity depends on the order of summation;
 - otherwise an error of the package that names op and argument, the same on both backends.
"""

import itertools
import math
import random
from dataclasses import dataclass, field
from typing import Any

import torch
from op_calls import Numbers, weights

from svebm_ext.errors import ConfigError
from svebm_ext.ops.gru_decode import GRUWeights, gru_decode, pack_gru
from svebm_ext.ops.gru_sequence import gru_sequence
from svebm_ext.ops.langevin import langevin
from svebm_ext.ops.philox import philox_normal, philox_uniform
from svebm_ext.ops.token_loss import token_loss
from svebm_ext.ops.token_loss.documents import document_loss

ODD = [float("nan"), float("inf"), -float("inf"), 3e38, -3e38, 1e-45, -0.0, 1e20]
LARGE = 1 << 31
#: Relative: about two units of float32's last place.
ROUNDING = 2.0**-22
STRANGE = [
    None, "x", b"x", [1], object(), True, 1.5, -1, LARGE, 1 << 63, 1 << 70, float("nan"), float("inf"), 1e300,
    torch.zeros(2, 2, dtype=torch.bool), torch.zeros(3, dtype=torch.float16), torch.zeros(0),
]  # fmt: skip


@dataclass
class Case:
    """One call: the op's name, its arguments, which of them have gradients, and what was made odd."""

    op: str
    arguments: dict[str, Any]
    leaves: tuple[str, ...] = ()
    odd: list[str] = field(default_factory=list)
    strange: bool = False


class Generator:
    """Cases from a seed: case i of seed s is always the same."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def case(self, number: int) -> Case:
        """Case `number`: an op in turn, then chance."""
        self.random = random.Random(self.seed * 1_000_003 + number)
        self.numbers = Numbers(self.random.getrandbits(40))
        makers = [self.philox, self.token_loss, self.document_loss, self.gru_sequence, self.gru_decode, self.langevin]
        case = makers[number % len(makers)]()
        chance = self.random.random()
        if chance < 0.35:
            self.make_odd(case)
        elif chance < 0.45:
            argument = self.random.choice(list(case.arguments))
            value = self.random.choice(STRANGE)
            if argument in ("dim", "n_steps", "max_tokens") and value is LARGE:
                value = 1 << 33  # what is larger than memory only is no argument out of range
            case.arguments[argument], case.strange = value, True
            case.odd.append(f"{argument} strange")
        return case

    def size(self, largest: int, smallest: int = 1) -> int:
        """A size, small ones and those around vectors' widths more often."""
        if self.random.random() < 0.3:
            near = self.random.choice([1, 2, 4, 8, 12, 16, 32, 64]) + self.random.choice([-1, 0, 1])
            return max(smallest, min(largest, near))
        return self.random.randint(smallest, max(smallest, int(largest ** self.random.random())))

    def normal(self, *shape: int) -> torch.Tensor:
        """Numbers of a scale that is usual, or not quite; contiguous, or not."""
        scale = self.random.choice([1.0, 1.0, 1.0, 0.1, 3.0, 0.0])
        if len(shape) == 2 and self.random.random() < 0.2:
            return self.numbers.normal(*shape[::-1], scale=scale).t()
        if len(shape) == 2 and self.random.random() < 0.2:
            return self.numbers.normal(shape[0], shape[1] + 3, scale=scale)[:, 1 : 1 + shape[1]]
        return self.numbers.normal(*shape, scale=scale)

    def maybe(self, value: Any) -> Any:
        """The value, or None."""
        return value if self.random.random() < 0.5 else None

    def make_odd(self, case: Case) -> None:
        """Put odd numbers into one to three places of tensors."""
        tensors = {k: t for k, t in case.arguments.items() if isinstance(t, torch.Tensor) and t.is_floating_point()}
        tensors = {k: t for k, t in tensors.items() if t.numel() > 0 and k not in ("temper", "step_size")}
        for _ in range(self.random.randint(1, 3) if tensors else 0):
            name = self.random.choice(list(tensors))
            tensor, value = tensors[name].clone(), self.random.choice(ODD)
            tensor[tuple(self.random.randrange(n) for n in tensor.shape)] = value
            case.arguments[name] = tensors[name] = tensor
            case.odd.append(f"{name} {value}")

    def philox(self) -> Case:
        """Random numbers."""
        ids = torch.tensor([self.random.getrandbits(56) for _ in range(self.size(40, 0))], dtype=torch.int64)
        arguments = {
            "seed": self.random.getrandbits(64), "chain_ids": ids, "dim": self.size(40), "n_steps": self.size(8, 0),
            "first_step": self.random.getrandbits(31), "stream": self.random.randrange(256),
        }  # fmt: skip
        return Case(self.random.choice(["philox_normal", "philox_uniform"]), arguments)

    def token_loss(self) -> Case:
        """Cross-entropy of tokens."""
        n, H, V = self.size(70, 0), self.size(70), self.size(200)
        arguments = {
            "hidden": self.normal(n, H), "weight": self.normal(V, H), "targets": self.numbers.below(V, n),
            "bias": self.maybe(self.normal(V)), "token_weight": self.random.choice([1.0, 0.25, -1.0]),
        }  # fmt: skip
        return Case("token_loss", arguments, ("hidden", "weight", "bias"))

    def document_loss(self) -> Case:
        """Bags of words."""
        B, H, V = self.size(12, 0), self.size(40), self.size(100)
        lengths = [self.random.choice([0, 1, 1, 2, 5]) for _ in range(B)]
        offsets = torch.tensor([0, *itertools.accumulate(lengths)], dtype=torch.int64)
        n = int(offsets[-1])
        arguments = {
            "hidden": self.normal(B, H), "weight": self.normal(V, H), "bias": self.normal(V),
            "words": self.numbers.below(V, n), "counts": self.numbers.below(4, n).float(), "offsets": offsets,
        }  # fmt: skip
        return Case("document_loss", arguments, ("hidden", "weight", "bias"))

    def gru_sequence(self) -> Case:
        """A recurrent layer."""
        fan_in, H, directions = self.size(40), self.size(40), self.random.choice([1, 2])
        sizes = sorted((self.size(40) for _ in range(self.size(6, 0))), reverse=True)
        B = sizes[0] if sizes else 0
        arguments = {
            "inputs": self.normal(sum(sizes), fan_in), "batch_sizes": torch.tensor(sizes, dtype=torch.int64),
            "initial": self.maybe(self.numbers.normal(directions, B, H)),
        }  # fmt: skip
        shapes = {"w_ih": (3 * H, fan_in), "w_hh": (3 * H, H), "b_ih": (3 * H,), "b_hh": (3 * H,)}
        for d in range(directions):
            arguments |= {f"{name}_{d}": self.normal(*shape) for name, shape in shapes.items()}
        return Case("gru_sequence", arguments, ("inputs", "initial", *(k for k in arguments if k[:2] in ("w_", "b_"))))

    def gru_decode(self) -> Case:
        """Sentences."""
        B, H, V = self.size(20, 0), self.size(40), self.size(100)
        excluded = sorted({self.random.randrange(V) for _ in range(self.random.choice([0, 0, 1, 2]))})
        greedy = self.random.random() < 0.4
        arguments = {
            "state": self.normal(B, H), "gate_bias": self.normal(B, 3 * H), "input_gates": self.normal(V, 3 * H),
            "weight": self.normal(3 * H, H), "bias": self.normal(3 * H), "output": self.normal(V, H),
            "output_bias": self.maybe(self.normal(V)), "max_tokens": self.size(8), "begin": self.random.randrange(V),
            "end": self.random.randrange(V), "pad": self.random.choice([0, -1, 7]),
            "excluded": excluded if len(excluded) < V else [], "greedy": greedy, "log_probabilities": True,
            "seed": self.random.getrandbits(64), "ids": self.maybe(self.numbers.below(1 << 50, B)),
        }  # fmt: skip
        if not greedy:
            arguments |= {
                "temperature": self.random.choice([1.0, 0.7, 2.0]), "top_k": self.random.choice([0, 1, 3, V, 10**6]),
                "top_p": self.random.choice([1.0, 1.0, 0.9, 0.1]),
            }  # fmt: skip
        return Case("gru_decode", arguments)

    def langevin(self) -> Case:
        """Chains on the energy network."""
        n_layers = self.random.choice([1, 2, 3])
        widths = [self.size(20), *(self.size(40) for _ in range(n_layers))]
        N, S = self.size(40, 0), self.size(5)
        bank = self.random.random() < 0.2
        rows = N + 3 if bank else N
        arguments: dict[str, Any] = {
            "z": self.normal(rows, widths[0]), "n_steps": S, "step_size": self.random.choice([0.01, 0.1]),
            "seed": self.random.getrandbits(64), "first_step": self.random.getrandbits(31),
            "activation": self.random.choice(["gelu", "leaky_relu", "silu", "tanh"]),
            "negative_slope": self.random.choice([0.2, 0.0, -1.0]),
            "labels": self.maybe(self.numbers.below(widths[-1], N)),
            "bias": self.maybe(self.normal(N, widths[1])), "temperature": self.random.choice([1.0, 0.5, 2.0]),
            "reference_precision": self.random.choice([1.0, 0.0, 0.5]),
            "noise_scale": self.random.choice([1.0, 0.0, 0.3]), "diagnostics": self.random.random() < 0.5,
            "temper": self.maybe(self.numbers.normal(S).abs()), "chain_ids": self.maybe(self.numbers.below(1 << 50, N)),
        }  # fmt: skip
        if bank:
            arguments["bank_indices"] = torch.randperm(rows, generator=self.numbers.generator)[:N]
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
            scale = 1 / math.sqrt(fan_in)
            arguments |= {
                f"weight_{layer}": self.normal(fan_out, fan_in) * scale,
                f"bias_{layer}": self.normal(fan_out),
            }
        return Case("langevin", arguments)


def in_type(value: Any, dtype: torch.dtype) -> Any:
    """A floating tensor in another type; anything else as it is."""
    return value.to(dtype) if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def run(case: Case, backend: str, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Results and gradients of a case; ConfigError where it is refused."""
    given = {k: v if case.strange else in_type(v, dtype) for k, v in case.arguments.items()}
    given = {k: v.clone() if k == "z" and isinstance(v, torch.Tensor) else v for k, v in given.items()}
    usable = [k for k in case.leaves if isinstance(given.get(k), torch.Tensor) and given[k].is_floating_point()]
    leaves = {k: given[k].detach().clone().requires_grad_() for k in usable}
    results = compute(case.op, {**given, **leaves}, backend)
    if not leaves:
        return results
    total = sum((value * weights(value)).sum() for value in results.values())
    if not isinstance(total, torch.Tensor) or not total.requires_grad:
        return results
    found = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
    gradients = {f"grad_{k}": g for k, g in zip(leaves, found, strict=True) if g is not None}
    return {**{k: v.detach() for k, v in results.items()}, **gradients}


def compute(op: str, given: dict[str, Any], backend: str) -> dict[str, torch.Tensor]:
    """Results of an op by name."""
    simple = {"philox_normal": philox_normal, "philox_uniform": philox_uniform, "token_loss": token_loss}
    if op in simple or op == "document_loss":
        return {"result": {**simple, "document_loss": document_loss}[op](**given, backend=backend)}
    if op == "gru_sequence":
        parameters = [v for k, v in given.items() if k[:2] in ("w_", "b_")]
        found = gru_sequence(given["inputs"], given["batch_sizes"], given["initial"], parameters, backend=backend)
        return dict(zip(("states", "final"), found, strict=True))
    if op == "gru_decode":
        model = GRUWeights(*(given[name] for name in GRUWeights._fields))
        options = {k: v for k, v in given.items() if k not in GRUWeights._fields}
        packed = pack_gru(model, backend=backend) if given["greedy"] is True and backend == "native" else None
        decoded = gru_decode(
            options.pop("state"), options.pop("gate_bias"), model, packed=packed, backend=backend, **options
        )
        return {k: v for k, v in decoded._asdict().items() if v is not None}
    names = [k for k in given if k.startswith("weight_")]
    layers = [(given[name], given[name.replace("weight", "bias")]) for name in names]
    options = {k: v for k, v in given.items() if not k.startswith(("weight_", "bias_"))}
    z = options.pop("z")
    moved = langevin(z, layers, backend=backend, **options)
    results = {k: v for k, v in moved._asdict().items() if v is not None}
    return {**results, "bank": z} if options.get("bank_indices") is not None else results


def outcome(case: Case, backend: str, dtype: torch.dtype = torch.float32) -> tuple[str, Any]:
    """("refused", message) or ("done", results); anything else that is raised is a finding."""
    try:
        return "done", run(case, backend, dtype)
    except ConfigError as error:
        return "refused", str(error)


def kinds(value: torch.Tensor) -> torch.Tensor:
    """0 finite, 1 infinity, 2 minus infinity, 3 no number."""
    kind = torch.zeros(value.shape, dtype=torch.int8)
    kind[value == math.inf], kind[value == -math.inf], kind[value.isnan()] = 1, 2, 3
    return kind


def complaint(case: Case) -> str:
    """What is wrong about a case; empty where nothing is."""
    native, reference = outcome(case, "native"), outcome(case, "reference")
    if native[0] != reference[0]:
        return f"native {native}, reference {reference}"
    if native[0] == "refused":
        return "" if "expected" in native[1] and ": " in native[1] else f"unclear: {native[1]}"
    if case.strange:
        return ""
    if any(text.split()[1] in ("3e+38", "-3e+38", "1e+20") for text in case.odd):
        return ""  # what overflows depends on the order of summation: that nothing crashes is all that is asked
    return compare(case, native[1], reference[1])


def compare(case: Case, native: dict[str, torch.Tensor], reference: dict[str, torch.Tensor]) -> str:
    """Where results of both backends differ by more than rounding."""
    if native.keys() != reference.keys():
        return f"results {sorted(native)} and {sorted(reference)}"
    ordinary = not any(text.split()[1] in ("nan", "inf", "-inf") for text in case.odd)
    exact = run(case, "reference", torch.float64) if ordinary and case.op != "gru_decode" else {}
    nearby = run(perturbed(case), "reference", torch.float64) if exact else {}
    same_kinds = not any(text.split()[1] in ("inf", "-inf") for text in case.odd)
    for name, value in native.items():
        other = reference[name]
        if value.shape != other.shape or value.dtype != other.dtype:
            return f"{name}: {value.dtype} {list(value.shape)}, reference {other.dtype} {list(other.shape)}"
        if not value.is_floating_point():
            if not torch.equal(value, other) and not near_tie(case, native, reference):
                return f"{name}: {value.tolist()}, reference {other.tolist()}"
            continue
        alike = (
            torch.equal(kinds(value), kinds(other)) if same_kinds else torch.equal(value.isfinite(), other.isfinite())
        )
        if not alike and not near_tie(case, native, reference):
            return f"{name}: kinds {kinds(value).tolist()}, reference {kinds(other).tolist()}"
        if name in exact and (text := too_far(name, value, other, exact[name], nearby[name])):
            return text
    return ""


def perturbed(case: Case) -> Case:
    """The case with its numbers moved by some units of their last place: how much a result amplifies rounding."""
    generator = torch.Generator().manual_seed(0)

    def moved(value: Any) -> Any:
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            return value
        return value.double() * (1.0 + ROUNDING * torch.randn(value.shape, generator=generator, dtype=torch.float64))

    return Case(case.op, {name: moved(value) for name, value in case.arguments.items()}, case.leaves, case.odd)


def too_far(name: str, value: torch.Tensor, reference: torch.Tensor, exact: torch.Tensor, nearby: torch.Tensor) -> str:
    """Whether native numbers are much farther from float64 than the reference's, than rounding of their scale, and than
    rounding moves the exact ones."""
    exact = exact.double()
    finite = exact.isfinite() & value.isfinite() & reference.isfinite()
    if not bool(finite.any()):
        return ""
    scale = 1e-3 + float(exact[finite].abs().max())
    error = float((value.double() - exact)[finite].abs().max())
    condition = float((nearby.double() - exact)[finite].abs().max())
    allowed = 20 * float((reference.double() - exact)[finite].abs().max()) + 20 * condition + 3e-5 * scale
    return f"{name}: off by {error:.3g}, allowed {allowed:.3g}" if error > allowed else ""


def near_tie(case: Case, native: dict[str, torch.Tensor], reference: dict[str, torch.Tensor]) -> bool:
    """Whether two sentences part where rounding decides: up to there, they and their probabilities are the same.

    In sampling a draw is as near to a boundary as rounding once in about 10^5 words.
    """
    if case.op != "gru_decode":
        return False
    differ = (native["tokens"] != reference["tokens"]).any(dim=1)
    if int(differ.sum()) > max(1, differ.numel() // 8):
        return False
    for row in differ.nonzero()[:, 0].tolist():
        step = int((native["tokens"][row] != reference["tokens"][row]).nonzero()[0, 0])
        ours, other = native["log_probabilities"][row], reference["log_probabilities"][row]
        if not torch.allclose(ours[:step], other[:step], atol=1e-3, equal_nan=True):
            return False
        if bool(case.arguments["greedy"]) and abs(float(ours[step] - other[step])) > 1e-3:
            return False
    return True
