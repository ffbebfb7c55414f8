"""Checks of an op's arguments that every op makes alike: Python types, ranges of numbers, kinds of tensors.

They run in the public functions, before torch's dispatcher sees an argument: its own messages name a schema, not the
argument that a caller wrote.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NoReturn, SupportsIndex

import torch
from torch import Tensor

from svebm_ext.errors import ConfigError

LARGEST = torch.finfo(torch.float32).max
"""Largest float32: kernels compute with numbers of this type."""

MAX_ID = 1 << 56
"""Ids of chains and rows lie below, so that the streams of the random numbers stay apart."""

FEW = 64
"""Numbers up to which Python's list is looked at sooner than a tensor."""


def shown(value: object) -> str:
    """A value as an error shows it: short, and a tensor or an array by its type and shape."""
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype}, shape {list(value.shape)}"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and hasattr(value, "dtype"):
        return f"a {type(value).__name__} of {value.dtype}, shape {list(shape)}"
    if value is None or isinstance(value, bool):
        return str(value)
    text = _digits(value) if isinstance(value, int) else repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({type(value).__name__})"


class Arguments:
    """Checks of one op's arguments; every error names the op, the argument, its value and what is expected.

    Args:
        op: name of the op.
    """

    def __init__(self, op: str) -> None:
        self.op = op

    def fail(self, name: str, given: object, expected: str) -> NoReturn:
        """Raise a ConfigError that names the argument, what it is and what is expected."""
        raise ConfigError(f"{self.op}: {name} is {given}; expected {expected}")

    def integer(self, name: str, value: object, low: int = -(1 << 63), high: int = (1 << 63) - 1) -> int:
        """A whole number from low to high: an int, or what stands for one (numpy's integers), but no bool."""
        if type(value) is int and low <= value <= high:
            return value
        expected = f"a whole number, {_power(low)} to {_power(high)}"
        if isinstance(value, torch.SymInt):
            return value  # type: ignore[return-value]  # of a graph that is compiled: its value is not known
        if isinstance(value, (bool, Tensor)) or not isinstance(value, SupportsIndex):
            self.fail(name, shown(value), expected)
        try:
            number = int(value) if isinstance(value, int) else operator.index(value)
        except TypeError:
            self.fail(name, shown(value), expected)
        if not low <= number <= high:
            self.fail(name, _digits(number), expected)
        return number

    def number(
        self, name: str, value: object, low: float = -LARGEST, high: float = LARGEST, *, above: bool = False
    ) -> float:
        """A finite number from low to high (above low where asked for): a float, an int, a tensor of one number."""
        if type(value) is float and low <= value <= high and not (above and value == low):
            return value
        expected = f"a number {'above' if above else 'from'} {low:g} to {high:g}"
        if isinstance(value, (torch.SymFloat, torch.SymInt)):
            return value  # type: ignore[return-value]
        if isinstance(value, Tensor):
            if value.dim() != 0 or value.dtype == torch.bool or value.is_complex() or value.is_meta:
                self.fail(name, shown(value), expected)
            value = value.item()
        if (
            isinstance(value, (bool, str, bytes))
            or not hasattr(value, "__float__")
            or bool(getattr(value, "shape", None))
        ):
            self.fail(name, shown(value), expected)
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            self.fail(name, shown(value), expected)
        if not low <= number <= high or (above and number == low):  # false for NaN
            self.fail(name, _digits(value) if isinstance(value, int) else value, expected)
        return number

    def flag(self, name: str, value: object) -> bool:
        """True or False."""
        if not isinstance(value, bool):
            self.fail(name, shown(value), "True or False")
        return value

    def choice(self, name: str, value: object, choices: Sequence[str]) -> str:
        """One of some words."""
        if not isinstance(value, str) or value not in choices:
            given = repr(value) if isinstance(value, str) and len(value) <= 60 else shown(value)
            self.fail(name, given, f"one of {', '.join(choices)}")
        return value

    def backend(self, value: object) -> str | None:
        """A backend's name, or None; `svebm_ext.ops.backend` knows the names."""
        if value is not None and not isinstance(value, str):
            self.fail("backend", shown(value), "auto, native, reference or None")
        return value

    def tensor(self, name: str, value: object, expected: str) -> Tensor:
        """A dense tensor."""
        if not isinstance(value, Tensor):
            self.fail(name, shown(value), f"a tensor, {expected}")
        if value.layout is not torch.strided or value.is_quantized:
            self.fail(name, f"a tensor of layout {value.layout}", f"a dense one, {expected}")
        return value

    def tensors(self, expected: Mapping[str, tuple[object, str]]) -> None:
        """Several of them: name -> (value, what is expected). None passes where the expectation says "or None"."""
        for name, (value, text) in expected.items():
            if value is not None or not text.endswith("or None"):
                self.tensor(name, value, text)

    def with_storage(self, like: tuple[str, Tensor], tensors: dict[str, object]) -> None:
        """Tensors that have storage where another has.

        With one on the device "meta", torch takes a call for one that asks for shapes, and returns memory as it is.
        """
        if like[1].is_meta:
            return
        for name, tensor in tensors.items():
            if isinstance(tensor, Tensor) and tensor.is_meta:
                self.fail(name, f"{shown(tensor)} on meta", f"one on {like[1].device}, where {like[0]} is")

    def seed(self, value: object) -> int | Tensor:
        """A 64-bit key: a whole number, or a tensor whose type the op looks at."""
        if isinstance(value, Tensor):
            return self.tensor("seed", value, "an int64 scalar, or a whole number")
        return self.integer("seed", value, 0, (1 << 64) - 1)

    def ids(self, name: str, values: Tensor) -> None:
        """Ids of chains or rows, 0 to 2^56 - 1; on the CPU only, where reading them waits for nothing."""
        n = values.numel() if values.is_cpu else 0
        if n > 0:
            few = values.tolist() if n <= FEW else [int(bound) for bound in values.aminmax()]
            if min(few) < 0 or max(few) >= MAX_ID:
                self.fail(name, f"from {min(few)} to {max(few)}", "ids from 0 to 2^56 - 1")

    def finite(self, name: str, values: Tensor) -> None:
        """Numbers that are finite in float32; on the CPU only."""
        if values.device.type == "cpu" and not bool((values.abs() <= LARGEST).all()):
            self.fail(name, values.tolist() if values.numel() <= 8 else "not finite throughout", "finite numbers")


def _digits(number: int) -> str:
    """A whole number; one of very many digits, which Python may refuse to write, by its size."""
    bits = number.bit_length()
    return str(number) if bits <= 128 else f"{'-' if number < 0 else ''}2^{bits - 1} or more"


def _power(number: int) -> str:
    """A bound as a reader knows it: 2^63 - 1 in place of 19 digits."""
    for sign, part in (("", number), ("-", -number)):
        if part >= 1 << 20 and part & (part - 1) == 0:
            return f"{sign}2^{part.bit_length() - 1}"
        if part >= 1 << 20 and part & (part + 1) == 0:
            return f"{sign}2^{part.bit_length()} - 1"
    return str(number)


def autocasts(device: torch.device) -> bool:
    """Whether autocast is on for a device; torch asks this of no device without storage."""
    return device.type != "meta" and torch.is_autocast_enabled(device.type)


def bf16_operands(device: torch.device) -> bool:
    """Whether products may round their operands to bfloat16: under autocast to it, or where torch's own may."""
    autocast = autocasts(device) and torch.get_autocast_dtype(device.type) == torch.bfloat16
    if autocast or torch.compiler.is_compiling():  # which cannot ask for the setting
        return autocast
    return torch.get_float32_matmul_precision() == "medium"


def full_precision(device: torch.device) -> contextlib.AbstractContextManager[object]:
    """A block in which operations compute in the types of their tensors: autocast is off."""
    return contextlib.nullcontext() if device.type == "meta" else torch.autocast(device.type, enabled=False)


def derivatives_of_derivatives(*tensors: Tensor | None) -> bool:
    """Whether a backward pass is itself recorded (create_graph), so that what it returns must have a derivative."""
    return torch.is_grad_enabled() and any(tensor is not None and tensor.requires_grad for tensor in tensors)


def gradients_with_derivatives(
    function: Callable[..., tuple[Tensor, ...]], operands: Sequence[Tensor | None], upstream: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Gradients of a function of some operands, None where none is asked for, that have derivatives themselves.

    Args:
        function: of the operands, in operations that autograd knows.
        operands: what it is called with.
        upstream: gradient of each result, None where it has none.
    """
    # aliases: of what one operand is made is no business of another's, and autograd need not go there
    own = [None if x is None else x.view_as(x) if x.requires_grad else x.detach() for x in operands]
    pairs = [(r, g) for r, g in zip(function(*own), upstream, strict=True) if g is not None and r.requires_grad]
    wanted = [x for x in own if x is not None and x.requires_grad]
    if not pairs or not wanted:
        return [None] * len(own)
    results, gradients = [r for r, _ in pairs], [g for _, g in pairs]
    derivatives = iter(torch.autograd.grad(results, wanted, gradients, create_graph=True, allow_unused=True))
    return [next(derivatives) if x is not None and x.requires_grad else None for x in own]


_length_of_mode_stack = getattr(torch._C, "_len_torch_dispatch_stack", None)
_profiler_enabled = getattr(torch.autograd, "_profiler_enabled", None)
_tracing_state = getattr(torch._C, "_get_tracing_state", None)
_transforms_active = getattr(torch._C, "_are_functorch_transforms_active", None)


def are_plain(values: Iterable[object]) -> bool:
    """Whether every value is a dense tensor of torch's own class whose numbers are those that its memory holds.

    One look at all arguments of a call. Where it is false, `Arguments.tensor` says which one is refused, if any is.
    Types of numbers, those of quantized tensors among them, are looked at by each op.
    """
    if torch.compiler.is_compiling():  # a graph cannot ask
        return False
    for value in values:
        if not (type(value) is Tensor or type(value) is torch.nn.Parameter):
            return False
        if value.is_meta or value.layout is not torch.strided or value.is_neg():
            return False
    return True


def watched() -> bool:
    """Whether torch's dispatcher must see every call, whatever its tensors are.

    It must where a graph is recorded, a mode, a transform or a profiler is active; and where a version of torch cannot
    be asked.
    """
    if torch.compiler.is_compiling() or not (_length_of_mode_stack and _profiler_enabled and _tracing_state):
        return True
    return bool(_length_of_mode_stack()) or _profiler_enabled() or _tracing_state() is not None or is_transformed()


def plain(tensor: Tensor) -> Tensor:
    """The tensor, without the history of its gradient where it has one."""
    return tensor.detach() if tensor.requires_grad else tensor


def is_transformed() -> bool:
    """Whether a transform of torch.func, or forward-mode differentiation, is active: hand-written gradients have none.

    Both have no public question; where a version of torch lacks these, nothing is taken to be active.
    """
    if torch.compiler.is_compiling():  # a graph that is compiled cannot ask; the ops are registered for it
        return False
    level = getattr(torch.autograd.forward_ad, "_current_level", -1)
    return level >= 0 or bool(_transforms_active is not None and _transforms_active())
