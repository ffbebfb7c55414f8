"""Model folders: a folder in, a folder out. Nothing is ever unpickled."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from svebm_ext import __version__
from svebm_ext.config import from_dict, validate
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.data.writing import load_writing, save_writing
from svebm_ext.errors import ConfigError, ModelFolderError

if TYPE_CHECKING:
    from svebm_ext.models.svebm import SVEBM

CONFIG, WEIGHTS, VOCABULARY, METRICS, CARD = (
    "config.json", "model.safetensors", "vocab.json", "metrics.json", "MODEL_CARD.md",
)  # fmt: skip


def write_atomically(path: Path, content: bytes | str) -> None:
    """Write a file so that a reader sees the old content or the new, never a part, also after a crash."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with open(temporary, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically; not-a-number and infinities are not written (ValueError)."""
    write_atomically(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        ModelFolderError: missing, not UTF-8, or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelFolderError(f"{path}: missing; a model folder has {CONFIG}, {WEIGHTS} and {VOCABULARY}") from error
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ModelFolderError(f"{path}: not readable as JSON ({error})") from error


def save_folder(folder: Path, model: SVEBM, metrics: dict[str, Any] | None = None) -> None:
    """Write a model folder; every file atomically, the weights last."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / CONFIG, model.description())
    model.vocabulary.save(folder / VOCABULARY)
    save_writing(model.writing, folder)
    if metrics is not None:
        write_json(folder / METRICS, metrics)
    write_atomically(folder / CARD, model_card(model, metrics))
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.networks.state_dict().items()}
    write_atomically(folder / WEIGHTS, save(tensors, metadata={"format": "pt", "svebm_ext": __version__}))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors file.

    Raises:
        ModelFolderError: missing, truncated or not of this format.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
    except FileNotFoundError as error:
        raise ModelFolderError(f"{path}: missing") from error
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelFolderError(f"{path}: not a readable safetensors file, perhaps truncated ({error})") from error


def load_parameters(module: torch.nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Copy tensors into a module, all or nothing.

    Raises:
        ModelFolderError: a tensor is missing, unknown, or of another shape or type.
    """
    expected = module.state_dict()
    missing, unknown = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(expected))
    if missing or unknown:
        raise ModelFolderError(f"{where}: missing tensors {missing or 'none'}, unknown tensors {unknown or 'none'}")
    for name, tensor in tensors.items():
        want = expected[name]
        if tensor.shape != want.shape or tensor.dtype != want.dtype:
            raise ModelFolderError(
                f"{where}: tensor {name} is {tuple(tensor.shape)} {tensor.dtype}, the configuration and vocabulary "
                f"ask for {tuple(want.shape)} {want.dtype}"
            )
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise ModelFolderError(f"{where}: tensor {name} has values that are not finite")
    module.load_state_dict(tensors)


def load_folder(folder: Path, cls: type[SVEBM]) -> SVEBM:
    """Model of a folder; see `SVEBM.from_pretrained`."""
    if not folder.is_dir():
        raise ModelFolderError(f"{folder}: no such folder; expected a model folder with {CONFIG}, {WEIGHTS}, ...")
    description = read_json(folder / CONFIG)
    if not isinstance(description, dict) or description.get("format") != 1:
        raise ModelFolderError(f"{folder / CONFIG}: expected an object with format 1")
    names = description.get("label_names", [])
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelFolderError(f"{folder / CONFIG}: label_names must be a list of strings")
    try:
        config = from_dict(description.get("config", {}))
        validate(config)
    except ConfigError as error:
        raise ModelFolderError(f"{folder / CONFIG}: {error}") from error
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    tensors, _ = read_tensors(folder / WEIGHTS)
    _check_size_before_building(config, tensors, len(vocabulary), folder)
    model = cls(config, vocabulary, names, load_writing(folder, config.data, vocabulary))
    model.networks.float()  # what torch's default type is does not matter to what a folder holds
    load_parameters(model.networks, tensors, str(folder / WEIGHTS))
    return model.eval()


def _check_size_before_building(config: Any, tensors: dict[str, Tensor], n_words: int, folder: Path) -> None:
    """A hostile configuration must not make us allocate: compare with the file's own embedding first."""
    embedding = tensors.get("decoder.embedding.weight")
    if embedding is not None and tuple(embedding.shape) != (n_words, config.model.embedding_dim):
        raise ModelFolderError(
            f"{folder}: the embedding of {WEIGHTS} is {tuple(embedding.shape)}, but {VOCABULARY} has {n_words} words "
            f"and {CONFIG} an embedding size of {config.model.embedding_dim}"
        )
    with torch.device("meta"):
        from svebm_ext.models.latent_variable import build_networks

        expected = build_networks(
            config.model, n_words, config.chains.step_size, bag_of_words=config.objective.bag_of_words > 0
        ).state_dict()
    for name, want in expected.items():
        if name in tensors and tensors[name].shape != want.shape:
            raise ModelFolderError(
                f"{folder / WEIGHTS}: tensor {name} is {tuple(tensors[name].shape)}, "
                f"{CONFIG} asks for {tuple(want.shape)}"
            )


def model_card(model: SVEBM, metrics: dict[str, Any] | None) -> str:
    """MODEL_CARD.md: what the model is, what it was trained on, what was measured."""
    config = model.config
    lines = [
        f"# {config.preset}",
        "",
        f"Latent family `{config.model.latent}`, D = {config.model.latent_dim}, "
        f"K = {config.model.n_categories if config.model.latent == 'energy' else 'none'}, "
        f"{len(model.vocabulary)} words, {sum(p.numel() for p in model.parameters()):,} parameters.",
        f"Trained on `{config.data.corpus}` for {config.training.max_steps:,} iterations of "
        f"{config.training.batch_size}, seed {config.seed}, with svebm_ext {__version__}.",
        "",
        "```python",
        "from svebm_ext import SVEBM",
        'model = SVEBM.from_pretrained("this folder")',
        "model.generate(5)",
        "```",
        "",
    ]
    if metrics:
        lines += ["| measure | value |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in metrics.items() if not isinstance(value, (dict, list))]
    return "\n".join(lines) + "\n"
