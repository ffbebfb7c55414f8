"""A trained language model as one file: weights, settings and words; nothing in it is ever unpickled."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import ModelFolderError
from svebm_ext.evaluation.language_model.network import AWDLSTM
from svebm_ext.evaluation.language_model.settings import LanguageModelSettings
from svebm_ext.evaluation.language_model.train import LanguageModel
from svebm_ext.models.pretrained import load_parameters, read_tensors, write_atomically

FORMAT = "svebm_ext language model 1"


def save_language_model(model: LanguageModel, path: Path, about: dict[str, Any] | None = None) -> None:
    """Write a language model to one file that appears whole.

    Args:
        model: trained.
        path: file; its folder is made.
        about: JSON-ready, returned by `load_language_model`.
    """
    from safetensors.torch import save

    state = {
        "settings": asdict(model.network.settings),
        "words": model.vocabulary.tokens[len(Vocabulary.SPECIAL) :],
        "valid_perplexities": model.valid_perplexities,
        "averaged_from": model.averaged_from,
        "about": about or {},
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.network.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save(tensors, {"format": FORMAT, "state": json.dumps(state)}))


def load_language_model(path: Path) -> tuple[LanguageModel, dict[str, Any]]:
    """Language model of a file, on the CPU, and what was saved about it.

    Raises:
        ModelFolderError: missing, damaged, or no language model.
    """
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise ModelFolderError(f"{path}: not a language model of this package (format {header.get('format')!r})")
    state = json.loads(header["state"])
    vocabulary = Vocabulary(state["words"])
    network = AWDLSTM(len(vocabulary), LanguageModelSettings(**state["settings"]))
    load_parameters(network, tensors, str(path))
    model = LanguageModel(network.eval(), vocabulary, state["valid_perplexities"], state["averaged_from"])
    return model, state["about"]
