"""What the files of a model folder are called, and the first look at one; nothing here waits for torch."""

from __future__ import annotations

import re
from pathlib import Path

from svebm_ext.errors import ModelFolderError

CONFIG, WEIGHTS, VOCABULARY, METRICS, CARD = (
    "config.json", "model.safetensors", "vocab.json", "metrics.json", "MODEL_CARD.md",
)  # fmt: skip
#: What a training holds from its first moment on, with its process and host; and the folder of what it saves.
LOCK, CHECKPOINTS = "train.lock", "checkpoints"
#: user/name, as the Hugging Face Hub has them.
REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")


def names_repository(name: str | Path) -> bool:
    """Whether a text such as "user/name" means a repository: neither it nor its part before the slash is a folder."""
    if not isinstance(name, str) or REPOSITORY.fullmatch(name) is None:
        return False
    return not (Path(name).exists() or Path(name.split("/")[0]).is_dir())


def check_folder(folder: Path) -> None:
    """Refuse what is no folder.

    Raises:
        ModelFolderError: says what is expected.
    """
    if not folder.is_dir():
        raise ModelFolderError(f"{folder}: no such folder; expected a model folder with {CONFIG}, {WEIGHTS}, ...")
    check_saved(folder)


def check_saved(folder: Path) -> None:
    """Refuse the folder of a training that has saved nothing yet.

    Raises:
        ModelFolderError: says how to go on.
    """
    if (folder / LOCK).exists() and not (folder / CONFIG).exists() and not any(folder.glob(f"{CHECKPOINTS}/*")):
        raise ModelFolderError(
            f"{folder}: its training has saved nothing yet; where it was killed, give its command once more"
        )
