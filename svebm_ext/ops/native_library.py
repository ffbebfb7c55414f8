"""Finding and loading the compiled library `_native`, and saying why where it cannot be used.

The library is looked for beside the package first. Python run in the root of a clone imports the clone's sources, which
have no compiled files, although the package was installed with them: then the copy inside the installed distribution of
the same version is loaded by path.
"""

from __future__ import annotations

import functools
import importlib.machinery
import importlib.metadata
import importlib.util
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

from svebm_ext import __version__
from svebm_ext.errors import BackendUnavailableError
from svebm_ext.files import JsonObject

ABI_VERSION = 9
"""Version of the interface between these Python files and `_native`; csrc/common/version.h has the same number."""

PACKAGE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class NativeLibrary:
    """What was found: the loaded module, or None and the reason; the file; and the record of the build.

    Attributes:
        own_threads: why its kernels have threads of their own; empty where they share torch's.
    """

    module: ModuleType | None
    reason: str
    path: Path | None = None
    build: JsonObject = field(default_factory=dict)
    own_threads: str = ""


def _package_folders() -> list[Path]:
    """Folders that may hold compiled files: this package's, then installed distributions' of the same version."""
    folders = [PACKAGE]
    if not (PACKAGE / "_build.json").is_file():  # no build has written here: these are the sources
        # all of them: building leaves metadata in a clone's root, which is found first there and leads to the sources
        for distribution in importlib.metadata.distributions(name="svebm_ext"):
            installed = Path(str(distribution.locate_file("svebm_ext"))).resolve()
            if distribution.version == __version__ and installed.is_dir() and installed not in folders:
                folders.append(installed)
    return folders


def _find_extension(folder: Path) -> Path | None:
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = folder / f"_native{suffix}"
        if path.is_file():
            return path
    return None


def read_build_record(folder: Path) -> JsonObject:
    """The build's own account (`_build.json`): compilers, architectures, why something was left out; {} without one."""
    try:
        record = json.loads((folder / "_build.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _load_extension(path: Path) -> ModuleType:
    specification = importlib.util.spec_from_file_location("svebm_ext._native", path)
    if specification is None or specification.loader is None:
        raise ImportError(f"{path} is not an extension module of this Python")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@functools.lru_cache(maxsize=1)
def native_library() -> NativeLibrary:
    """Load `_native` once; never raises: `module` is None and `reason` says why where it cannot be used."""
    return _find_library()


def _find_library() -> NativeLibrary:
    from svebm_ext.ops.threads import share_torch_threads  # with torch, for which commands that only look do not wait

    reasons = []
    build: JsonObject = {}
    for folder in _package_folders():
        build = {**read_build_record(folder), "folder": str(folder)}
        path = _find_extension(folder)
        if path is None:
            continue
        try:
            module = _load_extension(path)
        except ImportError as error:
            reasons.append(f"{path} cannot be loaded: {error}")
            continue
        if getattr(module, "abi_version", None) != ABI_VERSION or getattr(module, "version", None) != __version__:
            other = f"{getattr(module, 'version', '?')} (interface {getattr(module, 'abi_version', '?')})"
            reasons.append(f"{path} was built for svebm_ext {other}, this is {__version__} (interface {ABI_VERSION})")
            continue
        return NativeLibrary(module, "", path, build, share_torch_threads(module))
    if not reasons:
        reasons.append(_missing_reason(build))
    return NativeLibrary(None, "; ".join(reasons), None, build)


def _missing_reason(build: JsonObject) -> str:
    native = build.get("native", {})
    if native.get("built"):
        return f"the compiled library that the installation made is no longer in {build['folder']}"
    if native.get("reason"):
        return f"the package was installed without it: {native['reason']}"
    return f"there is no compiled library in {PACKAGE} (sources that were not installed; run `pip install .`)"


def native_module() -> ModuleType:
    """The loaded library, for code that `resolve` has sent to the native backend."""
    library = native_library()
    if library.module is None:
        raise BackendUnavailableError(f"the native library cannot be used: {library.reason}")
    return library.module


@functools.lru_cache(maxsize=1)
def cuda_reason() -> str:
    """Why the CUDA kernels cannot be used in this process; empty where they can."""
    import torch

    library = native_library()
    if library.module is None or library.path is None:
        return library.reason
    cuda_file = library.path.parent / "libsvebm_cuda.so"
    if not cuda_file.is_file():
        cuda = library.build.get("cuda", {})
        return f"the package was installed without CUDA kernels: {cuda.get('reason') or 'libsvebm_cuda.so is missing'}"
    if not torch.cuda.is_available():
        return "torch sees no CUDA device"
    return str(library.module.load_cuda(os.fspath(cuda_file)))


def cuda_device_reason(device_index: int | None) -> str:
    """Why one CUDA device cannot run the kernels (architecture not in the file, driver too old); empty where it can."""
    import torch

    module = native_library().module
    if module is None:
        return native_library().reason
    return str(module.cuda_device_reason(torch.cuda.current_device() if device_index is None else device_index))
