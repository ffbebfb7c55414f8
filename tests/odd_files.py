"""Other things in the place of a file, by what they are."""

import os
import socket
from pathlib import Path

#: Where links lead.
LINKS = {"zero": "/dev/zero", "null": "/dev/null", "terminal": "/dev/tty", "dangling": "nowhere"}


def put(kind: str, path: Path) -> None:
    """Put something else in the place of a file: a folder, FIFO, socket, large file, or a link; "missing": nothing.

    Args:
        kind: which; "loop" is a link to itself, "link" one to a file with the same content, which is right.
        path: of the file that is there.
    """
    content = path.read_bytes()
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path.name)
    elif kind in LINKS:
        path.symlink_to(LINKS[kind])
    elif kind == "link":
        (path.parent / f"{path.name}.real").write_bytes(content)
        path.symlink_to(f"{path.name}.real")
    elif kind == "large":
        with open(path, "wb") as file:
            file.truncate(1 << 40)  # takes no room
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as one:
            here = os.getcwd()
            os.chdir(path.parent)  # names of sockets are short
            try:
                one.bind(path.name)
            finally:
                os.chdir(here)
    elif kind != "missing":
        raise ValueError(f"kind: {kind!r} is none of these")
