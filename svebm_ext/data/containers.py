"""Bytes of a user's file: plain, compressed, in a zip archive, from standard input, or documents of a folder."""

import importlib
import io
import os
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from ..errors import DataError

PathLike = str | os.PathLike[str]
STANDARD_INPUT = "-"
COMPRESSED_ENDINGS = (".gz", ".bz2", ".xz", ".zip")
DEPTH = 3
"""Containers inside each other that are opened: data.csv.gz in a zip archive is two."""

PACKED = {b"\x1f\x8b": "gzip", b"BZh": "bz2", b"\xfd7zXZ\x00": "lzma"}
"""First bytes of compressed files, and Python's module for them, which not every Python was built with."""
_OTHERS = {
    b"\x28\xb5\x2f\xfd": ("zstd-compressed", "unpack it: zstd -d FILE"),
    b"7z\xbc\xaf\x27\x1c": ("a 7z archive", "unpack it"),
    b"Rar!": ("a RAR archive", "unpack it"),
    b"%PDF": ("a PDF document", "save its text as UTF-8"),
    b"{\\rtf": ("an RTF document", "save it as plain text in UTF-8"),
    b"\xd0\xcf\x11\xe0": ("an old Office document", "save it as CSV or plain text in UTF-8"),
    b"SQLite format 3": ("an SQLite database", "export the table as CSV"),
    b"ARROW1": ("an Arrow (Feather) file", "save it as Parquet or CSV"),
}


@dataclass(frozen=True)
class Source:
    """Content of a file, unpacked.

    Args:
        name: what messages call it.
        ending: of its name, lower case, without that of the compression: ".csv" for data.CSV.gz.
        content: its bytes.
    """

    name: str
    ending: str
    content: bytes


def name_of(path: PathLike) -> str:
    """What messages call a file."""
    return "standard input" if str(path) == STANDARD_INPUT else str(path)


def check_there(path: PathLike) -> None:
    """Refuse (DataError) a file that is not there, before anything else is read or computed; "-" always is."""
    if str(path) != STANDARD_INPUT and not os.path.lexists(Path(path).expanduser()):
        raise DataError(f"{name_of(path)}: no such file")


def read_source(path: PathLike) -> Source:
    """A file, unpacked where it is compressed (by content, whatever its name); "-" is standard input.

    Raises:
        DataError: missing, unreadable or damaged, an archive of several files, or a kind of file that holds no plain
            text; the message names the file.
    """
    name = name_of(path)
    content = _read_standard_input() if str(path) == STANDARD_INPUT else _read_file(Path(path).expanduser(), name)
    inner = "" if str(path) == STANDARD_INPUT else Path(path).name
    for _ in range(DEPTH):
        if is_zip(content):
            inner, content = _only_member(name, content)
            continue
        module = next((module for magic, module in PACKED.items() if content.startswith(magic)), None)
        if module is None:
            break
        content = _unpacked(name, module, content)
    refuse_others(name, content)
    return Source(name, text_ending(inner), content)


def text_ending(name: str) -> str:
    """Ending of a file name, lower case, endings of compression taken off."""
    name = name.lower()
    while name.endswith(COMPRESSED_ENDINGS):
        name = name.rpartition(".")[0]
    return Path(name).suffix


def read_folder(folder: Path) -> tuple[list[Source], int]:
    """The `.txt` files of a folder, sorted by name, and the number of its other entries.

    Raises:
        DataError: none is there, or one cannot be read.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from error
    files = [entry for entry in entries if entry.is_file() and text_ending(entry.name) == ".txt"]
    if not files:
        raise DataError(f"{folder}: a folder without .txt files; expected one document in each, or name a file")
    return [read_source(file) for file in files], len(entries) - len(files)


def _read_file(path: Path, name: str) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise DataError(f"{name}: cannot be read: {error}") from error


def _read_standard_input() -> bytes:
    if sys.stdin is None:
        raise DataError("standard input: closed; name a file, or pipe text into the command")
    try:
        buffer = getattr(sys.stdin, "buffer", None)
        return buffer.read() if buffer is not None else sys.stdin.read().encode()
    except (OSError, ValueError) as error:  # ValueError: closed by the program itself
        raise DataError(f"standard input: cannot be read: {error}") from error


def _unpacked(name: str, module: str, content: bytes) -> bytes:
    try:
        unpack = importlib.import_module(module)
    except ImportError as error:
        raise DataError(f"{name}: {module}-compressed, which this Python cannot read ({error}); unpack it") from error
    damage = (OSError, EOFError, ValueError, zlib.error, getattr(unpack, "LZMAError", OSError))
    try:
        return bytes(unpack.decompress(content))
    except damage as error:
        raise DataError(f"{name}: cannot be read: {error}") from error


def is_zip(content: bytes) -> bool:
    """Whether a content is that of a zip archive."""
    return content.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def _only_member(name: str, content: bytes) -> tuple[str, bytes]:
    """Name and content of the one file of a zip archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            member = only_member(name, archive)
            return member, archive.read(member)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError, EOFError, zlib.error) as error:
        raise DataError(f"{name}: cannot be read: {error}") from error


def only_member(name: str, archive: zipfile.ZipFile) -> str:
    """Name of the one file of a zip archive.

    Raises:
        DataError: several files or none, an encrypted one, or the parts of an Office document.
    """
    members = [entry for entry in archive.infolist() if not _is_no_file(entry)]
    names = [entry.filename for entry in members]
    if any(member in names for member in ("xl/workbook.xml", "word/document.xml", "content.xml")):
        raise DataError(f"{name}: an Office document; save it as CSV, or as plain text in UTF-8")
    if len(members) != 1:
        listed = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
        raise DataError(f"{name}: a zip archive of {len(names)} files; expected one: {listed or 'none'}")
    if members[0].flag_bits & 1:
        raise DataError(f"{name}: {names[0]} is encrypted; unpack the archive with its password")
    return names[0]


def _is_no_file(entry: zipfile.ZipInfo) -> bool:
    base = entry.filename.rpartition("/")[2]
    return entry.is_dir() or entry.filename.startswith("__MACOSX/") or base == ".DS_Store"


def refuse_others(name: str, content: bytes) -> None:
    """Refuse (DataError) what is known by its first bytes to be no text."""
    for magic, (what, cure) in _OTHERS.items():
        if content.startswith(magic):
            raise DataError(f"{name}: {what}; {cure}")
    if content[257:262] == b"ustar":
        raise DataError(f"{name}: a tar archive; unpack it, and name the file")
