"""Checkpoints: one safetensors file with plain JSON in its header, so that one rename makes a whole state appear."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from torch import Tensor

from svebm_ext import __version__
from svebm_ext.errors import ModelFolderError
from svebm_ext.files import JsonObject, folder_is_gone, parse_json, sync_folder
from svebm_ext.models.tensor_files import Form, check_forms, listed, read_header, read_tensors, write_tensors
from svebm_ext.processes import ShardedRows

T = TypeVar("T")
FORMAT = "svebm_ext checkpoint 1"


def save_checkpoint(path: Path, tensors: Mapping[str, Tensor | ShardedRows], state: JsonObject) -> None:
    """Write tensors and plain state to one file, atomically and durably.

    Args:
        path: file, in a folder of the run's; that is made, the run's own folder is not.
        tensors: by name; see `write_tensors`.
        state: JSON-ready.

    Raises:
        ModelFolderError: the run's folder has gone.
    """
    header = {"format": FORMAT, "version": __version__, "state": json.dumps(state, allow_nan=False)}
    try:
        if not path.parent.is_dir():
            path.parent.mkdir(exist_ok=True)
            sync_folder(path.parent.parent)
        write_tensors(path, tensors, header)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise folder_is_gone(path.parent.parent) from error


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], JsonObject]:
    """Tensors and plain state of a checkpoint.

    Raises:
        ModelFolderError: missing, damaged, or no checkpoint of this package.
    """
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise ModelFolderError(f"{path}: not a checkpoint of this package (format {header.get('format')!r:.80})")
    if "state" not in header:
        raise ModelFolderError(f"{path}: its header holds no state")
    state = parse_json(header["state"], f"{path}: the state in its header")
    if not isinstance(state, dict):
        raise ModelFolderError(f"{path}: its state is {state!r:.80}, expected an object")
    return tensors, state


def section(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose name begins with `prefix.`, without it."""
    return {name[len(prefix) + 1 :]: value for name, value in tensors.items() if name.startswith(prefix + ".")}


def check_networks(path: Path, expected: Mapping[str, Form]) -> None:
    """Compare the networks of a checkpoint with those of a configuration, before they are built.

    Args:
        path: of the checkpoint; nothing is done where there is none.
        expected: shapes and types of the networks' tensors.

    Raises:
        ModelFolderError: they are others, or the file is damaged.
    """
    if path.exists() or path.is_symlink():
        forms, _ = read_header(path)
        held = {name.removeprefix("model."): form for name, form in forms.items() if name.startswith("model.")}
        check_forms(held, expected, str(path))


def check_sections(tensors: dict[str, Tensor], names: tuple[str, ...], path: Path) -> None:
    """Refuse tensors whose name begins otherwise (ModelFolderError)."""
    unknown = sorted(name for name in tensors if name.split(".")[0] not in names)
    if unknown:
        raise ModelFolderError(f"{path}: unknown tensors {listed(unknown)}, expected those of {', '.join(names)}")


def prefixed(tensors: Mapping[str, T], prefix: str) -> dict[str, T]:
    """Tensors with `prefix.` before each name."""
    return {f"{prefix}.{name}": value for name, value in tensors.items()}
