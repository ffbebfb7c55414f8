"""Model folders: a folder in, a folder out. Nothing is ever unpickled."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from svebm_ext import __version__
from svebm_ext.config import Config, from_dict, to_dict, validate, validate_built
from svebm_ext.data.sentence_encoders import EncoderIdentity
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.data.writing import Writing, load_writing, save_writing
from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.files import JsonObject, read_json, write_json, write_whole
from svebm_ext.models.folder import CARD, CONFIG, METRICS, VOCABULARY, WEIGHTS, check_folder
from svebm_ext.models.networks import networks_of
from svebm_ext.models.tensor_files import Form, form_of, read_tensors, uninitialised, write_tensors
from svebm_ext.prior.groups import SymbolGroups

#: Entry of config.json: a hash of the texts of one's own that the model was trained on.
TEXTS = "texts_sha256"
#: Entry of config.json: the group of each symbol, where they are in two levels.
GROUPS = "groups"
#: Entry of config.json: name, revision, hash and size of the frozen encoder that the model needs to read texts.
ENCODER = "sentence_encoder"


@dataclass(frozen=True)
class FolderContent:
    """What a model folder holds.

    Attributes:
        config: checked, no size left open.
        vocabulary: words of the model.
        label_names: names of the symbols, where the model learnt from labels.
        writing: how words are written, or subwords.
        texts_sha256: hash of the texts of one's own that the model was trained on.
        tensors: of the networks, by name.
        encoder: the frozen encoder that it was trained with, where it has one.
        groups: of the symbols, where they are in two levels.
    """

    config: Config
    vocabulary: Vocabulary
    label_names: list[str]
    writing: Writing | None
    texts_sha256: str | None
    tensors: dict[str, Tensor]
    encoder: EncoderIdentity | None = None
    groups: SymbolGroups | None = None

    def description(self) -> JsonObject:
        """What config.json holds: the configuration and the names of the symbols."""
        content: JsonObject = {"format": 1, "config": to_dict(self.config), "label_names": self.label_names}
        if self.texts_sha256 is not None:
            content[TEXTS] = self.texts_sha256
        if self.encoder is not None:
            content[ENCODER] = self.encoder.to_dict()
        if self.groups is not None:
            content[GROUPS] = list(self.groups.of)
        return content


def write_folder(folder: Path, content: FolderContent, card: str, metrics: JsonObject | None = None) -> None:
    """Write a model folder; every file atomically, the weights last.

    Args:
        folder: made where it is missing.
        content: of the model.
        card: MODEL_CARD.md.
        metrics: content of metrics.json, which is left as it is without them.

    Raises:
        ModelFolderError: the place, or a part of the path to it, is a file.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        file = next((part for part in (folder, *folder.parents) if part.exists() and not part.is_dir()), folder)
        raise ModelFolderError(f"{file}: is a file, expected a folder; choose another place") from error
    write_json(folder / CONFIG, content.description())
    content.vocabulary.save(folder / VOCABULARY)
    save_writing(content.writing, folder)
    if metrics is not None:
        write_json(folder / METRICS, metrics)
    write_whole(folder / CARD, card)
    write_tensors(folder / WEIGHTS, content.tensors, {"format": "pt", "svebm_ext": __version__})


def read_folder(folder: Path) -> FolderContent:
    """Content of a model folder.

    A configuration is compared with what is in the file of the weights before anything is built as large as it asks.

    Raises:
        ModelFolderError: missing or damaged file, wrong shapes, unknown keys, vocabulary of another size.
    """
    check_folder(folder)
    config, description = read_description(folder)
    names = label_names(description, config, folder)
    vocabulary = Vocabulary.load(folder / VOCABULARY)
    expected = expected_tensors(config, len(vocabulary), folder)
    tensors, _ = read_tensors(folder / WEIGHTS, expected)
    writing = load_writing(folder, config.data, vocabulary)
    encoder = encoder_of(description, config, folder)
    groups = read_groups(description, config, folder)
    return FolderContent(config, vocabulary, names, writing, description.get(TEXTS), tensors, encoder, groups)


def encoder_of(description: JsonObject, config: Config, folder: Path) -> EncoderIdentity | None:
    """The frozen encoder that a folder's model was trained with; None where it has none.

    Raises:
        ModelFolderError: it is missing, damaged, or another one than the configuration has.
    """
    where, model = str(folder / CONFIG), config.model
    if model.pretrained_encoder is None:
        return None
    encoder = EncoderIdentity.from_dict(description.get(ENCODER), where)
    if encoder.dim != model.pretrained_dim:
        raise ModelFolderError(
            f"{where}: {ENCODER} gives vectors of {encoder.dim} numbers, model.sentence-encoder-dim is "
            f"{model.pretrained_dim}"
        )
    return encoder


def read_description(folder: Path) -> tuple[Config, JsonObject]:
    """Checked configuration, and the whole content, of a model folder's config.json.

    Raises:
        ModelFolderError: missing, damaged, of another format, or options out of range; the message names the option.
    """
    path = folder / CONFIG
    description = read_json(path)
    if not isinstance(description, dict) or description.get("format") != 1:
        raise ModelFolderError(f"{path}: expected an object with format 1")
    if not isinstance(description.get(TEXTS), str | None):
        raise ModelFolderError(f"{path}: {TEXTS} is {description[TEXTS]!r:.80}, expected a text")
    try:
        config = from_dict(description.get("config", {}))
        validate(config)
        validate_built(config)
    except ConfigError as error:
        raise ModelFolderError(f"{path}: {error}") from error
    return config, description


def read_encoder(run: Path) -> EncoderIdentity | None:
    """The frozen encoder that a run folder was begun with; None where it has none.

    Raises:
        ModelFolderError: see `encoder_of`.
    """
    description = read_json(run / CONFIG)
    values = description.get(ENCODER) if isinstance(description, dict) else None
    return None if values is None else EncoderIdentity.from_dict(values, str(run / CONFIG))


def label_names(description: JsonObject, config: Config, folder: Path) -> list[str]:
    """Names of the symbols of a folder, checked; none where the model did not learn from labels.

    Raises:
        ModelFolderError: no list of different texts, or more than there are symbols.
    """
    names, where = description.get("label_names", []), folder / CONFIG
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ModelFolderError(f"{where}: label_names must be a list of strings")
    model = config.model
    most = model.n_categories if model.latent == "energy" else max(model.n_classes, model.n_categories)
    if len(names) > most or len(set(names)) < len(names):
        raise ModelFolderError(f"{where}: label_names has {len(names)} names, expected at most {most}, all different")
    return names


def read_groups(description: JsonObject, config: Config, folder: Path) -> SymbolGroups | None:
    """Groups of the symbols of a folder; None where they are in one level.

    Raises:
        ModelFolderError: no list of a group for each symbol, numbered from 0, or a family without symbols.
    """
    given, model = description.get(GROUPS), config.model
    if given is None:
        return None
    n_symbols = model.n_categories if model.latent == "energy" else 0
    where = f"{folder / CONFIG}: {GROUPS}"
    if not isinstance(given, list) or not all(type(group) is int for group in given) or len(given) != n_symbols:
        raise ModelFolderError(f"{where}: expected a whole number for each of {n_symbols} symbols")
    try:
        return SymbolGroups(tuple(given))
    except ConfigError as error:
        raise ModelFolderError(f"{where}: {error}") from None


def expected_tensors(config: Config, n_words: int, folder: Path) -> dict[str, Form]:
    """What the weights of a configuration are, found without taking their memory.

    Raises:
        ModelFolderError: no network can be built from it.
    """
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)  # what a folder holds, whatever torch's default type is
    try:
        with uninitialised("meta"):
            networks = networks_of(config, n_words)
        return {name: form_of(tensor) for name, tensor in networks.state_dict().items()}
    except (ValueError, RuntimeError, OverflowError, TypeError) as error:
        raise ModelFolderError(f"{folder / CONFIG}: no networks can be built from it ({error!s:.200})") from error
    finally:
        torch.set_default_dtype(default)
