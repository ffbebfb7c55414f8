"""What a checkpoint says of a run, checked as strictly as parameters are: nothing in a file is trusted."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from svebm_ext.config.bounds import STEPS, shown
from svebm_ext.errors import ModelFolderError
from svebm_ext.models.tensor_files import check_finite

#: Fields of Adam's state of a parameter.
MOMENTS = ("exp_avg", "exp_avg_sq")
ADAM = ("step", *MOMENTS)
#: Names of these tensors: group, number of the parameter, field.
NAME = re.compile(rf"(networks|prior)\.(0|[1-9][0-9]{{0,8}})\.({'|'.join(ADAM)})")


class Fields:
    """Entries of a JSON object, each read as what it has to be.

    Args:
        content: of a file.
        where: file, and place in it, for errors.

    Raises:
        ModelFolderError: no object; of each method, an entry that is missing or something else.
    """

    def __init__(self, content: object, where: str) -> None:
        if not isinstance(content, dict):
            raise ModelFolderError(f"{where}: is {shown(content)}, expected an object")
        self._content, self._where = content, where

    def __contains__(self, name: str) -> bool:
        return name in self._content

    def _refuse(self, name: str, expected: str) -> ModelFolderError:
        held = shown(self._content[name]) if name in self._content else "missing"
        return ModelFolderError(f"{self._where}: {name} is {held}, expected {expected}")

    def integer(self, name: str, most: int = STEPS) -> int:
        """A whole number from 0."""
        value = self._content.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
            raise self._refuse(name, f"a whole number from 0 to {most:,}")
        return value

    def number(self, name: str, least: float = -math.inf, most: float = math.inf) -> float:
        """A finite number."""
        value = self._content.get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not _is_finite(value):
            raise self._refuse(name, "a finite number")
        if not least <= value <= most:
            raise self._refuse(name, f"a number from {least:g} to {most:g}")
        return float(value)

    def optional_number(self, name: str) -> float | None:
        """A finite number or null."""
        return None if name in self and self._content[name] is None else self.number(name)

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        value = self._content.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._refuse(name, "a list of texts")
        return value

    def unchecked(self, name: str) -> object:
        """An entry that is checked elsewhere; None where it is missing."""
        return self._content.get(name)

    def only(self, *names: str) -> None:
        """Refuse entries of other names."""
        unknown = sorted(set(self._content) - set(names))
        if unknown:
            raise ModelFolderError(f"{self._where}: unknown entry {unknown[0]!r:.80}, expected {', '.join(names)}")


def _is_finite(value: int | float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False


@dataclass(frozen=True)
class SavedState:
    """The plain part of a checkpoint.

    Attributes:
        step: finished iterations.
        best: score of the best validated state, None before the first.
        seconds: that the run has taken.
        decay: factor on the step sizes that validation has brought about.
        recoveries: so far.
        waited: validations since the best one, as far as they count; earlier versions had none.
        has_guards: whether there is a state of `Guards`; earlier versions had none.
        guards: that state, still to be checked.
        tensors: how many the file has; None in files of earlier versions.
    """

    step: int
    best: float | None
    seconds: float
    decay: float
    recoveries: int
    waited: int
    has_guards: bool
    guards: object
    tensors: int | None

    @classmethod
    def read(cls, state: object, where: str) -> SavedState:
        """Check and take over what `Trainer.save` wrote.

        Args:
            state: of a checkpoint.
            where: file, for errors.

        Raises:
            ModelFolderError: names the file, the entry and what is expected.
        """
        fields = Fields(state, f"{where}: state")
        fields.only(
            "step",
            "best",
            "seconds",
            "decay",
            "recoveries",
            "waited",
            "guards",
            "data",
            "held_out",
            "tensors",
            "config",
        )
        return cls(
            step=fields.integer("step"),
            best=fields.optional_number("best"),
            seconds=fields.number("seconds", least=0.0),
            decay=fields.number("decay", 0.0, 1.0) if "decay" in fields else 1.0,
            recoveries=fields.integer("recoveries", 1000) if "recoveries" in fields else 0,
            waited=fields.integer("waited") if "waited" in fields else 0,
            has_guards="guards" in fields,
            guards=fields.unchecked("guards"),
            tensors=fields.integer("tensors") if "tensors" in fields else None,
        )


def check_adam(
    held: Mapping[str, Tensor], parameters: Mapping[str, list[torch.nn.Parameter]], where: str
) -> dict[str, dict[int, dict[str, Tensor]]]:
    """States of Adam by group and number of the parameter, each with the parameter's shape and type.

    The fused kernel takes moments as they are, and reads and writes as many numbers as the parameter has: moments of
    another size would be memory that is not theirs.

    Args:
        held: tensors by name, `GROUP.NUMBER.FIELD`. A parameter that never had a gradient has none.
        parameters: of each group that learns; states of a group that learns no longer are left out.
        where: file, for errors.

    Raises:
        ModelFolderError: names the tensor and what is expected.
    """
    states: dict[str, dict[int, dict[str, Tensor]]] = {name: {} for name in parameters}
    for name, tensor in held.items():
        parts = NAME.fullmatch(name)
        if parts is None:
            raise ModelFolderError(f"{where}: unknown tensor optimiser.{name:.80}")
        group, index, field = parts[1], int(parts[2]), parts[3]
        if group not in parameters:
            continue
        if index >= len(parameters[group]):
            raise ModelFolderError(
                f"{where}: unknown tensor optimiser.{name}: {group} has {len(parameters[group])} parameters"
            )
        _check_field(f"optimiser.{name}", field, tensor, parameters[group][index], where)
        states[group].setdefault(index, {})[field] = tensor
    for group, of_group in states.items():
        for number, fields in of_group.items():
            if missing := [field for field in ADAM if field not in fields]:
                raise ModelFolderError(f"{where}: missing tensor optimiser.{group}.{number}.{missing[0]}")
    return states


def _check_field(name: str, field: str, tensor: Tensor, parameter: torch.nn.Parameter, where: str) -> None:
    shape = parameter.shape if field in MOMENTS else torch.Size()
    dtype = parameter.dtype if field in MOMENTS else torch.float32
    if tensor.shape != shape or tensor.dtype != dtype:
        raise ModelFolderError(
            f"{where}: tensor {name} is {tuple(tensor.shape)} {tensor.dtype}, expected {tuple(shape)} {dtype}"
        )
    check_finite(name, tensor, where)
    if field != "exp_avg" and tensor.numel() and bool((tensor < 0).any()):
        raise ModelFolderError(f"{where}: tensor {name} has values below 0, expected none")


def checked_marginal(tensor: Tensor, n_symbols: int, where: str) -> Tensor:
    """The running marginal q(y) of a checkpoint: K probabilities.

    Raises:
        ModelFolderError: anything else.
    """
    if tensor.shape != (n_symbols,) or tensor.dtype != torch.float32:
        raise ModelFolderError(
            f"{where}: tensor marginal is {tuple(tensor.shape)} {tensor.dtype}, expected ({n_symbols},) torch.float32"
        )
    check_finite("marginal", tensor, where)
    if bool((tensor < 0).any()) or not math.isclose(float(tensor.sum()), 1.0, abs_tol=1e-2):
        raise ModelFolderError(f"{where}: tensor marginal is no distribution, expected probabilities that add up to 1")
    return tensor
