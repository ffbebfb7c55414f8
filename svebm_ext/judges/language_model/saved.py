"""A trained language model as one file: weights, settings and words; nothing in it is ever unpickled."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import ModelFolderError
from svebm_ext.files import JsonObject, parse_json
from svebm_ext.judges.language_model.network import AWDLSTM
from svebm_ext.judges.language_model.settings import LanguageModelSettings
from svebm_ext.judges.language_model.train import LanguageModel
from svebm_ext.models.tensor_files import (
    check_forms,
    form_of,
    load_parameters,
    read_tensors,
    uninitialised,
    write_tensors,
)

FORMAT = "svebm_ext language model 1"


def save_language_model(model: LanguageModel, path: Path, about: JsonObject | None = None) -> None:
    """Write a language model to one file that appears whole.

    Args:
        model: trained.
        path: file; its folder is made.
        about: JSON-ready, returned by `load_language_model`.
    """
    state = {
        "settings": asdict(model.network.settings),
        "words": model.vocabulary.tokens[len(Vocabulary.SPECIAL) :],
        "valid_perplexities": model.valid_perplexities,
        "averaged_from": model.averaged_from,
        "about": about or {},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tensors(path, model.network.state_dict(), {"format": FORMAT, "state": json.dumps(state)})


def load_language_model(path: Path) -> tuple[LanguageModel, JsonObject]:
    """Language model of a file, on the CPU, and what was saved about it.

    Raises:
        ModelFolderError: missing, damaged, or no language model.
    """
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise ModelFolderError(f"{path}: not a language model of this package (format {header.get('format')!r:.80})")
    state = parse_json(header.get("state", ""), f"{path}: the state in its header")
    try:
        vocabulary = Vocabulary(state["words"])
        settings = LanguageModelSettings(**state["settings"])
        perplexities, averaged_from = [float(p) for p in state["valid_perplexities"]], state["averaged_from"]
        about = dict(state["about"])
        with uninitialised("meta"):  # sizes are compared before their memory is taken
            network = AWDLSTM(len(vocabulary), settings)
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ModelFolderError(f"{path}: no usable state of a language model ({error!s:.200})") from error
    expected = {name: form_of(tensor) for name, tensor in network.state_dict().items()}
    check_forms({name: form_of(tensor) for name, tensor in tensors.items()}, expected, str(path))
    with uninitialised("cpu"):
        network = AWDLSTM(len(vocabulary), settings)
    load_parameters(network, tensors, str(path))
    return LanguageModel(network.eval(), vocabulary, perplexities, averaged_from), about
