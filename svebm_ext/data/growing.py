"""Files of a folder that grow together, block by block: what a killed program leaves is taken up at the last block."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from ..errors import ModelFolderError
from ..files import JsonObject, read_json, write_json

#: What has been written so far.
STATE = "progress.json"


class GrowingFiles:
    """Files to which bytes are added.

    `commit` makes what was added last, together with a note. Whoever opens the folder again has the files as they were
    at the last commit, and its note.

    Args:
        folder: which is made.
        names: of the files.
    """

    def __init__(self, folder: Path, names: tuple[str, ...]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.note: JsonObject | None = None
        sizes = dict.fromkeys(names, 0)
        try:
            state = read_json(folder / STATE)
            kept = {name: int(size) for name, size in state["sizes"].items()}
            if all((folder / name).stat().st_size >= size for name, size in kept.items()):
                sizes, self.note = kept, state["note"]
        except (ModelFolderError, KeyError, TypeError, ValueError, OSError):
            pass  # none yet, or none that can be used: from the beginning
        self._files: dict[str, IO[bytes]] = {name: (folder / name).open("ab") for name in sizes}
        for name, file in self._files.items():
            file.truncate(sizes[name])
            file.seek(0, os.SEEK_END)

    def add(self, parts: Mapping[str, bytes]) -> None:
        """Add bytes to files by name."""
        for name, content in parts.items():
            self._files[name].write(content)

    def replace(self, name: str, content: bytes) -> str:
        """A new file with a content, in place of the one of a name from the next commit on; returns its name."""
        stem, _, number = name.rpartition("-")
        other = f"{stem}-{int(number) + 1}"
        self._files.pop(name).close()
        self._files[other] = (self.folder / other).open("wb")
        self._files[other].write(content)
        return other

    def commit(self, note: JsonObject) -> None:
        """Keep what was added, with a note (JSON).

        Raises:
            OSError: it cannot be written.
        """
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        sizes = {name: file.tell() for name, file in self._files.items()}
        write_json(self.folder / STATE, {"sizes": sizes, "note": note})
        self.note = json.loads(json.dumps(note))

    def close(self) -> None:
        """Close the files, which stay."""
        for file in self._files.values():
            file.close()
