"""Text files, plain or gzipped, with errors that name file and line."""

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import DataError

PathLike = str | os.PathLike[str]


def find_file(root: PathLike, *names: str) -> Path:
    """The first of `names` that exists under `root`, as it is or with ".gz" appended.

    Raises:
        DataError: none exists, or root is no folder; the message lists what was looked for.
    """
    path = find_optional_file(root, *names)
    if path is None:
        looked_for = ", ".join(f"{name}[.gz]" for name in names)
        raise DataError(f"{root}: none of these files is there: {looked_for}")
    return path


def find_optional_file(root: PathLike, *names: str) -> Path | None:
    """As `find_file`, but None where no such file exists."""
    folder = Path(root)
    if not folder.is_dir():
        raise DataError(f"{root}: no such folder (data.root)")
    for name in names:
        for path in (folder / name, folder / f"{name}.gz"):
            if path.is_file():
                return path
    return None


def read_text(path: PathLike) -> str:
    """The whole file as UTF-8, decompressed where it is gzip (by content, whatever its name).

    Raises:
        DataError: missing, unreadable, damaged gzip, or not UTF-8; the message names file and, for the last, line.
    """
    try:
        content = Path(path).read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        byte = content[error.start]
        raise DataError(f"{path}:{line}: not UTF-8 (byte 0x{byte:02x}); save the file as UTF-8") from None


def read_lines(path: PathLike) -> list[str]:
    """Lines of a text file without their ends, which are LF or CR LF and nothing else.

    Raises:
        DataError: as `read_text`, and where the file holds no text at all.
    """
    # Not str.splitlines: it also breaks at characters such as U+2028, and parallel files would lose their pairing.
    text = read_text(path)
    if not text.strip():
        raise DataError(f"{path}: the file is empty")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def read_filled_lines(path: PathLike) -> list[str]:
    """Lines of a corpus file in which no line may be empty.

    Raises:
        DataError: as `read_lines`, or an empty line; the message names file and line.
    """
    lines = read_lines(path)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise DataError(f"{path}:{number}: empty line")
    return lines


def read_json(path: PathLike) -> object:
    """A file that is one JSON value.

    Raises:
        DataError: as `read_text`, or not JSON; the message names file and line.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{error.lineno}: not JSON: {error.msg}") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON that can be read: {json_reason(error)}") from None


def read_json_lines(path: PathLike) -> Iterator[tuple[int, dict[str, object]]]:
    """Line number and object of each line of a JSON lines file; empty lines are left out.

    Raises:
        DataError: as `read_lines`, or a line that is no JSON object; the message names file and line.
    """
    for number, line in enumerate(read_lines(path), 1):
        if line.strip():
            yield number, parse_json_object(path, number, line)


def parse_json_object(path: PathLike, number: int, line: str) -> dict[str, object]:
    """One line of a JSON lines file.

    Raises:
        DataError: no JSON object, or text that is not valid Unicode; the message names file and line.
    """
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a ValueError
        raise DataError(f"{path}:{number}: not JSON: {json_reason(error)}") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}:{number}: expected a JSON object, not {type(value).__name__}")
    # JSON's \ud800 escapes can spell half a character, which no file could hold again.
    if "\\u" in line and any(isinstance(v, str) and not _is_unicode(v) for v in value.values()):
        raise DataError(f"{path}:{number}: text holds half of a surrogate pair, which is not valid Unicode")
    return value


def json_reason(error: Exception) -> str:
    """Why JSON cannot be read."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).partition(";")[0]


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)
