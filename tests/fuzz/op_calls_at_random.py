"""Calls of every op at random, from a seed: shapes, options and numbers, odd and strange ones included.

op_comparison.py says when a call is right.
"""

import itertools
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from op_calls import Numbers
from torch import Tensor

ODD = [
    float("nan"), float("inf"), -float("inf"), 3e38, -3e38, 3.4028234e38, 1e20, -1e20, 65504.0, -1e5,
    1e-45, -1e-45, 1e-40, -5e-39, 1.1754944e-38, -0.0,
]  # fmt: skip
#: Numbers that may overflow where they are multiplied or added up.
HUGE = 1e4
#: Numbers below, or products with them, that some kernels take for zero.
TINY = 1e-30
LARGE = 1 << 31
STRANGE = [
    None, "x", b"x", [1], [], (), {}, object(), True, 0, 1, 1.5, -1, LARGE, 1 << 63, 1 << 70, 10**400, 1j,
    float("nan"), float("inf"), 1e300, np.float32(0.5), np.int64(2), np.zeros(2), torch.float32, Tensor, [None],
    [float("nan")], torch.zeros(2, 2, dtype=torch.bool), torch.zeros(3, dtype=torch.float16), torch.zeros(0),
    torch.tensor(1), torch.tensor(0.5), torch.tensor(True), torch.tensor(float("nan")), torch.tensor([2]),
]  # fmt: skip
#: What is done to a tensor that makes it another one, which the op refuses or takes for what it is.
CHANGES: dict[str, Callable[[Tensor], Any]] = {
    "of lists": lambda t: t.tolist(),
    "of numpy": lambda t: t.numpy(),
    "float16": lambda t: t.half(),
    "bfloat16": lambda t: t.bfloat16(),
    "float64": lambda t: t.double(),
    "int32": lambda t: t.nan_to_num(0, 0, 0).clamp(-9, 9).int(),
    "int64": lambda t: t.nan_to_num(0, 0, 0).clamp(-9, 9).long(),
    "uint8": lambda t: t.nan_to_num(0, 0, 0).clamp(0, 9).byte(),
    "bool": lambda t: t.bool(),
    "complex": lambda t: t.to(torch.complex64),
    "sparse": lambda t: t.to_sparse() if t.dim() else t,
    "on meta": lambda t: t.to("meta"),
    "one row more": lambda t: torch.cat((t, t[:1])) if t.dim() and t.shape[0] else t[None],
    "one row less": lambda t: t[:-1] if t.dim() else t[None],
    "one column more": lambda t: torch.cat((t, t[..., :1]), -1) if t.dim() and t.shape[-1] else t[None],
    "one column less": lambda t: t[..., :-1] if t.dim() else t[None],
    "no rows": lambda t: t[:0] if t.dim() else t[None],
    "no columns": lambda t: t[..., :0] if t.dim() else t[None],
    "one dimension more": lambda t: t[None],
    "one dimension behind": lambda t: t[..., None],
    "flat": lambda t: t.reshape(-1),
    "turned": lambda t: t.transpose(0, -1) if t.dim() else t,
    "one number": lambda t: t.reshape(-1)[0] if t.numel() else t,
    "all one row": lambda t: t[:1].expand(t.shape) if t.dim() and t.shape[0] else t,
    "every second": lambda t: torch.stack((t, t), -1)[..., 0],
    "backwards": lambda t: t.flip(0).contiguous().flip(0) if t.dim() else t,
    "with gradient": lambda t: t.clone().requires_grad_() if t.is_floating_point() else t,
    "moved by four bytes": lambda t: (
        torch.cat((t.reshape(-1)[:1], t.reshape(-1)))[1:].view(t.shape) if t.numel() else t
    ),
}
#: What indices and ids may not be.
WRONG_IDS = [-1, -(1 << 63), (1 << 63) - 1, 1 << 56, 1 << 31, 1 << 32, 10**6]


#: What is no argument of an op: how it is called.
INNER = ("pack", "fast")


@dataclass
class Case:
    """One call: the op's name, its arguments, which of them have gradients, and what was made odd.

    Attributes:
        odd: what was done, in words.
        values: odd numbers that went in.
        strange: name of an argument that is of another type, shape or range than the op expects; empty where none is.
    """

    op: str
    arguments: dict[str, Any]
    leaves: tuple[str, ...] = ()
    odd: list[str] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    strange: str = ""

    @property
    def infinite(self) -> bool:
        """Whether infinity less infinity may occur, whose place depends on the order of summation."""
        return any(abs(value) == math.inf for value in self.values)

    @property
    def extreme(self) -> bool:
        """Whether what decides is beyond float32 on the way.

        A tiny number that some kernels take for zero, times a huge one or where LeakyReLU bends; or a sum that
        overflows to either side, after which a gate is open or closed.
        """
        overflows = self.op == "gru_sequence" and any(1e30 < abs(value) < math.inf for value in self.values)
        return overflows or (self.tiny and (self.huge or self.arguments.get("activation") == "leaky_relu"))

    @property
    def tiny(self) -> bool:
        """Whether there is a number that some kernels take for zero."""
        return any(0.0 < abs(value) < TINY for value in self.values)

    @property
    def huge(self) -> bool:
        """Whether sums may overflow, or lose all that is not huge, in one order and not in another."""
        return any(HUGE <= abs(value) < math.inf for value in self.values)


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
        elif chance < 0.5:
            self.make_strange(case)
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
        """Put odd numbers into one to three arguments: a place of a tensor, a row, all of it, or a plain number."""
        floating = [
            name
            for name, value in case.arguments.items()
            if isinstance(value, float) or (isinstance(value, Tensor) and value.is_floating_point() and value.numel())
        ]
        for _ in range(self.random.randint(1, 3) if floating else 0):
            name, value = self.random.choice(floating), self.random.choice(ODD)
            given = case.arguments[name]
            case.values.append(value)
            if isinstance(given, float):
                case.arguments[name] = value
                case.odd.append(f"{name} is {value}")
                continue
            given = case.arguments[name] = given.clone()
            where = tuple(self.random.randrange(n) for n in given.shape)
            where = where[: self.random.choice([0, 1, 9, 9, 9, 9, 9, 9])]
            given[where] = value
            case.odd.append(f"{name}{list(where)} is {value}")

    def make_strange(self, case: Case) -> None:
        """Give one argument another type, shape or range."""
        name = case.strange = self.random.choice([name for name in case.arguments if name not in INNER])
        given = case.arguments[name]
        value = self.random.choice(STRANGE)
        if isinstance(given, Tensor) and self.random.random() < 0.7:
            whole = not given.is_floating_point() and given.numel() > 0
            if whole and self.random.random() < 0.4:
                value = given.clone()
                value.view(-1)[self.random.randrange(value.numel())] = self.random.choice(WRONG_IDS)
                case.odd.append(f"{name} of wrong numbers")
            else:
                change = self.random.choice(list(CHANGES))
                value = CHANGES[change](given)
                case.odd.append(f"{name} {change}")
        else:
            case.odd.append(f"{name} is {value!r:.40}")
        if name in ("dim", "n_steps", "max_tokens") and isinstance(value, int) and value > 100:
            value = 1 << 33  # what is larger than memory only is no argument out of range
        if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) >= HUGE:
            case.values.append(LARGE)
        case.arguments[name] = value

    def philox(self) -> Case:
        """Random numbers."""
        ids = torch.tensor([self.random.getrandbits(56) for _ in range(self.size(40, 0))], dtype=torch.int64)
        arguments = {
            "seed": self.random.getrandbits(64), "chain_ids": ids, "dim": self.size(40), "n_steps": self.size(8, 0),
            "first_step": self.random.getrandbits(31), "stream": self.random.randrange(256),
        }  # fmt: skip
        if self.random.random() < 0.2:
            arguments["seed"] = torch.tensor(self.random.getrandbits(63), dtype=torch.int64)
        return Case(self.random.choice(["philox_normal", "philox_uniform"]), arguments)

    def token_loss(self) -> Case:
        """Cross-entropy of tokens."""
        n, H, V = self.size(70, 0), self.size(70), self.size(200)
        arguments = {
            "hidden": self.normal(n, H), "weight": self.normal(V, H), "targets": self.numbers.below(V, n),
            "bias": self.maybe(self.normal(V)), "token_weight": self.random.choice([1.0, 0.25, -1.0]),
        }  # fmt: skip
        arguments["fast"] = self.random.random() < 0.1
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
            "document_weight": self.random.choice([1.0, 0.25]), "fast": self.random.random() < 0.1,
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
        arguments["fast"] = self.random.random() < 0.1
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
            "precision": self.random.choice(["fp32"] * 9 + ["fast"]), "pack": self.random.random() < 0.4,
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
            "context_shift": self.maybe(self.normal(N, widths[1])), "temperature": self.random.choice([1.0, 0.5, 2.0]),
            "reference_precision": self.random.choice([1.0, 0.0, 0.5]),
            "noise_scale": self.random.choice([1.0, 0.0, 0.3]), "diagnostics": self.random.random() < 0.5,
            "temper": self.maybe(self.numbers.normal(S).abs()), "chain_ids": self.maybe(self.numbers.below(1 << 50, N)),
            "initial_temper": self.random.choice([0.0, 0.0, 0.5]), "metropolis": self.random.random() < 0.2,
            "precision": self.random.choice(["fp32"] * 9 + ["fast"]),
        }  # fmt: skip
        if arguments["metropolis"]:
            arguments["noise_scale"] = 1.0
        if self.random.random() < 0.2:
            arguments["step_size"] = self.numbers.normal(S).abs() * 0.05 + 0.01
        if self.random.random() < 0.2:
            arguments["seed"] = torch.tensor(self.random.getrandbits(63), dtype=torch.int64)
        if bank:
            arguments["bank_indices"] = torch.randperm(rows, generator=self.numbers.generator)[:N]
        for layer, (fan_in, fan_out) in enumerate(itertools.pairwise(widths)):
            scale = 1 / math.sqrt(fan_in)
            arguments |= {
                f"weight_{layer}": self.normal(fan_out, fan_in) * scale,
                f"bias_{layer}": self.normal(fan_out),
            }
        return Case("langevin", arguments)
