"""Files of a model folder that belong to its words, read within bounds."""

import json
from pathlib import Path
from typing import Any

from ..errors import ModelFolderError

#: Bytes of such a file at most; a vocabulary of 100,000 words has 2 million.
MAX_BYTES = 64_000_000


def read_small_json(path: Path) -> Any:
    """A JSON file of a model folder.

    Raises:
        ModelFolderError: the file is missing, no regular file, larger than MAX_BYTES, or not JSON in UTF-8.
    """
    if not path.exists():
        raise ModelFolderError(f"{path}: missing; copy all files of the model folder together")
    if not path.is_file():
        raise ModelFolderError(f"{path}: not a regular file")
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ModelFolderError(f"{path}: larger than {MAX_BYTES:,} bytes, which no file of its kind is")
        return json.loads(content.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFolderError(f"{path}: cannot be read as JSON in UTF-8: {error}") from error
