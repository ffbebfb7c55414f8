"""One declaration an op: a dataclass of its inputs.

From it come torch's schema, the order of the arguments, the fake kernel, and the dictionary that a binding (python/)
reads by field name.

Inputs are what torch's dispatcher passes on: tensors, lists of them, numbers, words. `Op` registers the function that
computes and the one that only shapes; both take the dataclass, never a list of arguments.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

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
_NUMBERS = {int, float, bool, str, type(None)}
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
        """Call the op through torch's dispatcher; `call` does so with the arguments in their order."""
        return self.call(*[values[field] for field in self.fields])

    def of(self, inputs: Inputs) -> Any:
        """Call the op through torch's dispatcher with the fields of its inputs that it has."""
        return self.call(*[getattr(inputs, field) for field in self.fields])

    def register_autograd(self, backward: Callable[..., object], setup_context: Callable[..., None]) -> None:
        """Register the gradient; arguments as those of `torch.library.register_autograd`."""
        torch.library.register_autograd(f"svebm::{self.name}", backward, setup_context=setup_context, lib=_library)


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


def native_fields(values: Mapping[str, object]) -> tuple[dict[str, object], list[Tensor]]:
    """Fields as a binding reads them, tensors by their address; and these tensors, to be kept until the call is over.

    A tensor that is not contiguous is copied, so one that a kernel writes to must be contiguous.
    """
    fields, kept = dict(values), list[Tensor]()
    for name, value in values.items():
        if type(value) in _NUMBERS:
            continue
        if isinstance(value, Tensor):
            tensor = value if value.is_contiguous() else value.contiguous()
            kept.append(tensor)
            fields[name] = tensor.data_ptr()
        elif isinstance(value, list) and value and isinstance(value[0], Tensor):
            tensors = [tensor if tensor.is_contiguous() else tensor.contiguous() for tensor in value]
            kept += tensors
            fields[name] = [tensor.data_ptr() for tensor in tensors]
    return fields, kept
