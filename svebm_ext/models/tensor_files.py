"""Files of named tensors: safetensors with a checksum, looked at before anything is loaded.

Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from svebm_ext.errors import ModelFolderError
from svebm_ext.files import check_regular, written_whole
from svebm_ext.ops.threads import only_kernels_in_parallel
from svebm_ext.prior.reference import check_spread
from svebm_ext.processes import ShardedRows

if TYPE_CHECKING:
    from safetensors import safe_open

#: Entry of a file's metadata: a hash of everything else in it.
CHECKSUM = "sha256"
#: Names of types in a file.
TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
#: Names that an error lists.
LISTED = 8
#: Numbers that networks of earlier builds lack, those of a group together. They are 0, which changes no answer.
ADDED_TOGETHER = (
    frozenset({"guide.reliability"}),
    frozenset({"guide.log_temperature"}),
    frozenset({"latent.prior.reference.mean", "latent.prior.reference.spread"}),
)
ADDED = frozenset.union(*ADDED_TOGETHER)


class _Uninitialised(TorchFunctionMode):
    """Random first values are left out. For tensors without memory torch would import its compiler to draw none."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Collection[type],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        given = kwargs or {}
        first = args[0] if args else given.get("tensor", given.get("self"))
        draws = getattr(func, "__module__", None) == "torch.nn.init" or func in (Tensor.normal_, Tensor.uniform_)
        return first if draws and isinstance(first, Tensor) else func(*args, **given)


@contextmanager
def uninitialised(device: str) -> Iterator[None]:
    """Networks that are built here get no random values; on "meta" they have shapes and types alone."""
    with torch.device(device), _Uninitialised():
        yield


class Form(NamedTuple):
    """Shape and type of a tensor; the type is None where this package has no such tensors."""

    shape: tuple[int, ...]
    dtype: torch.dtype | None

    def __str__(self) -> str:
        """As errors name it."""
        return f"{self.shape} {self.dtype or 'of another type'}"


def form_of(tensor: Tensor) -> Form:
    """Shape and type."""
    return Form(tuple(tensor.shape), tensor.dtype)


def write_tensors(path: Path, tensors: Mapping[str, Tensor | ShardedRows], metadata: Mapping[str, str]) -> None:
    """Write tensors and texts to one file that appears whole, with a checksum of both.

    The layout is that of safetensors: the length of a header, the header in JSON, the numbers. It is written here
    because a tensor need not be in memory as a whole, and none is copied.

    Args:
        path: file; its folder is there.
        tensors: by name; of sharded ones this is the main process, and the others serve it.
        metadata: texts by name.
    """
    content = dict(metadata)
    content[CHECKSUM] = checksum(tensors, content)
    names = {dtype: name for name, dtype in TYPES.items()}
    header: dict[str, object] = {"__metadata__": content}
    ordered = sorted(tensors, key=lambda name: (-tensors[name].dtype.itemsize, name))  # each begins where it can
    place = 0
    for name in ordered:
        tensor, begin = tensors[name], place
        place += math.prod(tensor.shape) * tensor.dtype.itemsize
        header[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, place]}
    plain = json.dumps(header).encode()
    plain += b" " * (-len(plain) % 8)
    with written_whole(path) as file:
        file.write(struct.pack("<Q", len(plain)) + plain)
        for name in ordered:
            for part in _parts(tensors[name]):
                file.write(part)


def _parts(tensor: Tensor | ShardedRows) -> Iterator[memoryview]:
    """Numbers of a tensor as they stand in a file, some at a time."""
    for part in tensor.parts() if isinstance(tensor, ShardedRows) else (tensor,):
        if part.numel():
            yield part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data


def checksum(tensors: Mapping[str, Tensor | ShardedRows], metadata: Mapping[str, str]) -> str:
    """SHA-256 of names, shapes, types and numbers of tensors, and of all texts but the checksum itself."""
    digest = hashlib.sha256()
    for name in sorted(metadata):
        if name != CHECKSUM:
            digest.update(f"{name}\0{metadata[name]}\0".encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name}\0{tuple(tensor.shape)}\0{tensor.dtype}\0".encode())
        for part in _parts(tensor):
            digest.update(part)
    return digest.hexdigest()


def read_header(path: Path) -> tuple[dict[str, Form], dict[str, str]]:
    """Shapes and types by name, and the texts of a file, of whose numbers none are read.

    Raises:
        ModelFolderError: missing, no regular file, truncated or not of this format.
    """
    with _opened(path) as file:
        forms = {}
        for name in file.keys():  # noqa: SIM118
            part = file.get_slice(name)
            forms[name] = Form(tuple(part.get_shape()), TYPES.get(part.get_dtype()))
        return forms, file.metadata() or {}


def read_tensors(path: Path, expected: Mapping[str, Form] | None = None) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and texts of a file.

    Args:
        path: of the file.
        expected: what must be in it; compared before anything is loaded.

    Raises:
        ModelFolderError: missing, no regular file, truncated, of another format, not what is expected, or damaged.
    """
    forms, metadata = read_header(path)
    if expected is not None:
        check_forms(forms, expected, str(path))
    unknown = [name for name, form in forms.items() if form.dtype is None]
    if unknown:
        raise ModelFolderError(f"{path}: tensors of a type that no model has: {listed(unknown)}")
    with _opened(path) as file, torch.device("cpu"):  # older readers take the default device of whoever calls
        tensors = {name: file.get_tensor(name) for name in forms}
    if CHECKSUM in metadata and metadata[CHECKSUM] != checksum(tensors, metadata):
        raise ModelFolderError(
            f"{path}: damaged: its content does not fit its checksum. Take another copy; a file that was changed on "
            f"purpose is saved without the entry {CHECKSUM} of its metadata"
        )
    return tensors, metadata


@contextmanager
def _opened(path: Path) -> Iterator[safe_open]:
    """The file as the package safetensors opens it; whatever that raises names the file."""
    from safetensors import safe_open

    check_regular(path)
    try:
        with safe_open(str(path), framework="pt") as file:
            yield file
    except ModelFolderError:
        raise
    except Exception as error:  # of the library, on content that may be anything
        raise ModelFolderError(
            f"{path}: not a readable safetensors file, perhaps truncated ({error!s:.200})"
        ) from error


def check_forms(held: Mapping[str, Form], expected: Mapping[str, Form], where: str) -> None:
    """Compare names, shapes and types.

    Raises:
        ModelFolderError: a tensor is missing, unknown, or of another shape or type.
    """
    earlier = frozenset[str]().union(*(group for group in ADDED_TOGETHER if group.isdisjoint(held)))
    missing, unknown = sorted(set(expected) - set(held) - earlier), sorted(set(held) - set(expected))
    if missing or unknown:
        raise ModelFolderError(f"{where}: missing tensors {listed(missing)}, unknown tensors {listed(unknown)}")
    for name, want in expected.items():
        if held.get(name, want) != want:
            raise ModelFolderError(
                f"{where}: tensor {name!r:.80} is {held[name]}; the configuration with vocabulary asks for {want}"
            )


def check_finite(name: str, tensor: Tensor, where: str) -> None:
    """Refuse a tensor with values that are not finite (ModelFolderError)."""
    if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
        raise ModelFolderError(f"{where}: tensor {name} has values that are not finite, expected numbers")


def load_parameters(module: torch.nn.Module, tensors: Mapping[str, Tensor], where: str) -> None:
    """Copy tensors into a module, all or nothing.

    Raises:
        ModelFolderError: a tensor is missing, unknown, of another shape or type, not finite, or of no covariance.
    """
    own = module.state_dict()
    expected = {name: form_of(tensor) for name, tensor in own.items()}
    check_forms({name: form_of(tensor) for name, tensor in tensors.items()}, expected, where)
    with only_kernels_in_parallel():  # each tensor is done sooner than other threads have gone to sleep again
        for name, tensor in tensors.items():
            check_finite(name, tensor, where)
            if name.endswith("prior.reference.spread"):
                check_spread(name, tensor, where)
        added = {name: torch.zeros_like(own[name]) for name in set(expected) - set(tensors)}
        module.load_state_dict({**tensors, **added})


def listed(names: list[str]) -> str:
    """Names for an error: the first of many."""
    if not names:
        return "none"
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(f"{name!r:.80}" for name in names[:LISTED]) + more
