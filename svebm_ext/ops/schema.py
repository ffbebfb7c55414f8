"""One declaration an op: a dataclass of its inputs.

From it come torch's schema, the order of the arguments, the fake kernel, and the dictionary that a binding (python/)
reads by field name.

Inputs are what torch's dispatcher passes on: tensors, lists of them, numbers, words. `Op` registers the function that
computes and the one that only shapes; both take the dataclass, never a list of arguments.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from svebm_ext.ops.arguments import are_plain, watched

Inputs = TypeVar("Inputs")
Results = Tensor | tuple[Tensor | list[Tensor], ...]

_TORCH_TYPES = {
    Tensor: "Tensor",
    list[Tensor]: "Tensor[]",
    list[int]: "int[]",
    int: "int",
    float: "float",
    bool: "bool",
    str: "str",
}
_library = torch.library.Library("svebm", "FRAGMENT")


class Op(Generic[Inputs]):
    """An op of torch's library "svebm", declared by the dataclass of its inputs.

    Args:
        name: of the op, `torch.ops.svebm.<name>`.
        inputs: dataclass whose fields are the arguments, in their order.
        results: Tensor, or a NamedTuple of tensors and lists of tensors.
        compute: of the inputs, the results as a tuple.
        shapes: the same without numbers: what the fake kernel returns for tensors without storage.
        mutated: fields that the op writes to.
        without: fields at the end, with defaults, that this op does not have.
    """

    def __init__(
        self,
        name: str,
        inputs: type[Inputs],
        results: object,
        *,
        compute: Callable[[Inputs], Results],
        shapes: Callable[[Inputs], Results],
        mutated: Sequence[str] = (),
        without: Sequence[str] = (),
    ) -> None:
        self.name = name
        hints = {field: hint for field, hint in typing.get_type_hints(inputs).items() if field not in without}
        self.fields = tuple(hints)
        self._inputs, self._compute, self._differentiable = inputs, compute, False
        self._arrays = [field for field in array_fields(inputs) if field not in without]
        arguments = ", ".join(_argument(field, hint, mutated) for field, hint in hints.items())
        self.schema = f"{name}({arguments}) -> {_results(results)}"
        _library.define(self.schema)
        _library.impl(name, lambda *values: compute(inputs(*values)), "CompositeExplicitAutograd")
        torch.library.register_fake(f"svebm::{name}", lambda *values: shapes(inputs(*values)), lib=_library)
        self.call = getattr(torch.ops.svebm, name).default

    def arguments(self, **values: object) -> list[object]:
        """The op's arguments in their order; every field is given, by its name."""
        return [values[field] for field in self.fields]

    def __call__(self, **values: object) -> Any:
        """Call the op, as `of` does; every field is given, by its name."""
        return self.of(self._inputs(*[values[field] for field in self.fields]))

    def of(self, inputs: Inputs) -> Any:
        """Call the op: at once where torch's dispatcher need not see the call, else through it, as `call` does.

        It must where it watches every call (`watched`), where a gradient is recorded, and for tensors that are not
        plain (`are_plain`). Else the results are the same, and about 20 us sooner.
        """
        if self._needs_dispatcher(inputs):
            return self.call(*[getattr(inputs, field) for field in self.fields])
        return self._compute(inputs)

    def _needs_dispatcher(self, inputs: Inputs) -> bool:
        if watched():
            return True
        tensors: list[Tensor] = []
        for field in self._arrays:
            value = getattr(inputs, field)
            if type(value) is list:
                tensors += value
            elif value is not None:
                tensors.append(value)
        recorded = self._differentiable and torch.is_grad_enabled() and any([x.requires_grad for x in tensors])
        return recorded or not are_plain(tensors)

    def register_autograd(self, backward: Callable[..., object], setup_context: Callable[..., None]) -> None:
        """Register the gradient; arguments as those of `torch.library.register_autograd`."""
        self._differentiable = True
        torch.library.register_autograd(f"svebm::{self.name}", backward, setup_context=setup_context, lib=_library)


def array_fields(inputs: type) -> tuple[str, ...]:
    """Fields of a declaration that hold tensors, lists of them, or None, by their types."""
    hints = typing.get_type_hints(inputs)
    return tuple(field for field, hint in hints.items() if _torch_type(hint).rstrip("?[]") == "Tensor")


def _argument(field: str, hint: object, mutated: Sequence[str]) -> str:
    declared = _torch_type(hint)
    return f"{declared}(a!) {field}" if field in mutated else f"{declared} {field}"


def _torch_type(hint: object) -> str:
    """A type of Python as a schema of torch writes it."""
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        present = [kind for kind in typing.get_args(hint) if kind is not type(None)]
        if len(present) == 1:
            return f"{_torch_type(present[0])}?"
    if hint not in _TORCH_TYPES:
        raise TypeError(f"an op's input of type {hint} has no counterpart in torch's schemas")
    return _TORCH_TYPES[hint]


def _results(results: object) -> str:
    if results is Tensor:
        return "Tensor"
    return f"({', '.join(f'{_torch_type(hint)} {name}' for name, hint in typing.get_type_hints(results).items())})"
