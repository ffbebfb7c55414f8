"""Text of the user's own that does not stay in memory: encoded once, kept by the hash of its content, and mapped.

Splits of such a text are those of the same text in memory. Its texts and lists of tokens are read when they are asked
for, and what a training reads of it is the same, bit by bit.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

from .. import __version__
from ..config import MemoryMap
from ..errors import ConfigError, DataError
from ..files import JsonObject
from ..terminal import say
from .containers import COMPRESSED_ENDINGS, STANDARD_INPUT, PathLike, text_ending
from .examples import Reading, empty_error
from .mapped_lists import MappedTokens
from .shards import files_of, name_of_files
from .subwords import Subwords
from .text_encoding import Encoded, Kept, Source, encode, opened
from .text_streams import TextStream, open_texts
from .tokenize import tokenize
from .word_numbers import WordNumbers
from .writing import OwnTokenization

#: Bytes of files from which on "auto" maps them; compressed ones count so many times. A million lines of 12 words have
#: 70 million. In memory they take 0.6 GB while they are read, and 0.5 GB more for each further million.
LARGE, UNPACKED = 64 << 20, 4
#: Environment variable that names the folder of encoded text where no option does.
CACHE_VARIABLE = "SVEBM_CACHE"
#: Of the files of an encoding; another one is not read.
VERSION = 1


@dataclass(frozen=True)
class Mapping:
    """How text is mapped.

    Args:
        mode: "always", "never", or "auto": where files are large and have no labels.
        cache: folder of encoded text; see `cache_folder`.
        vocabulary_size: words that the vocabulary may have.
    """

    mode: MemoryMap = "auto"
    cache: PathLike | None = None
    vocabulary_size: int = 10_000


@dataclass(frozen=True)
class MappedText:
    """A text that was encoded.

    Args:
        name: of its files together.
        folder: in which it lies.
        encoded: texts, and words unless subwords are still to be learnt.
        n_skipped: lines without a word that were left out.
        notes: what a user should know.
        is_table: whether its files have columns.
    """

    name: str
    folder: Path
    encoded: Encoded
    n_skipped: int
    notes: list[str]
    is_table: bool


def cache_folder(given: PathLike | None = None) -> Path:
    """Folder of encoded text: the given one, that of SVEBM_CACHE, or the user's folder of caches."""
    chosen = given or os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    import pooch

    return Path(pooch.os_cache("svebm_ext")) / "texts"


def _made(cache: Path, mapping: Mapping) -> Path:
    """The folder of encoded text, made where it is missing (ConfigError: it cannot be)."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        option = "data.cache" if mapping.cache else CACHE_VARIABLE
        why = "is a file" if cache.is_file() else f"cannot be made ({error.strerror})"
        raise ConfigError(f"{option}: {cache} {why}; expected a folder, or the path of a new one") from error
    return cache


def map_text(
    given: PathLike, reading: Reading, tokenization: OwnTokenization, lowercase: bool, mapping: Mapping
) -> MappedText | None:
    """Encode the files of a user's text, or open what was encoded before; None where they are to be read in memory.

    Args:
        given: see `files_of`; a folder and standard input are read in memory.
        reading: their format, columns and empty lines.
        tokenization: see `tokenize`; of "bpe" the texts alone are kept.
        lowercase: see `tokenize`.
        mapping: whether and where.

    Raises:
        ConfigError: mode "always" for what cannot be mapped: a folder, standard input, or texts with labels; a cache
            that is no folder, nor can be made one.
        DataError: of the files.
        OSError: the folder cannot be written to.
    """
    files = files_of(given)
    refusal = _refusal(files, mapping)
    if refusal is None and (mapping.mode == "always" or _size(files) >= LARGE):
        refusal = _labels(files, reading)
    elif refusal is None:
        return None
    if refusal is not None:
        if mapping.mode == "always":
            raise ConfigError(f"data.memory-map: always given, but {refusal}")
        return None
    source = _Files(files, reading)
    n_most = WordNumbers.n_known(mapping.vocabulary_size)
    about = {
        "files": [[_hash(file), text_ending(file.name)] for file in files],
        "reading": [reading.format, reading.text_column, reading.empty_lines],
        "words": [tokenization, lowercase, n_most] if tokenization != "bpe" else [tokenization],
        "by": _program(),
    }
    folder = _made(cache_folder(mapping.cache), mapping) / _key(about)
    words = None if tokenization == "bpe" else partial(tokenize, tokenization=tokenization, lowercase=lowercase)
    encoded = _encoded(source, folder, Kept(True, words, n_most), name_of_files(files))
    notes = [_renamed(note, encoded.about["names"], files) for note in encoded.about["notes"]]
    return MappedText(
        name_of_files(files), folder, encoded, encoded.about["n_skipped"], notes, encoded.about["is_table"]
    )


def subword_lists(text: MappedText, subwords: Subwords) -> MappedTokens:
    """Subwords of all texts of a mapped text, encoded beside them."""
    assert text.encoded.texts is not None
    folder = text.folder / f"subwords-{_key({'merges': subwords.merges})}"
    kept = Kept(False, subwords.words, max(WordNumbers.n_known(0), len(subwords.tokens)))
    encoded = _encoded(_Texts(text.encoded.texts), folder, kept, text.name)
    assert encoded.sentences is not None
    return encoded.sentences


@functools.cache
def _program() -> list[object]:
    """What else decides the words of a text: the tokeniser, and the Unicode that its two parts know."""
    with contextlib.suppress(DataError):  # in an archive
        return [VERSION, _hash(Path(__file__).with_name("tokenize.py")), unicodedata.unidata_version, version("regex")]
    return [VERSION, __version__, unicodedata.unidata_version, version("regex")]


def _refusal(files: Sequence[Path], mapping: Mapping) -> str | None:
    """Why some files are not mapped, whatever they hold."""
    if mapping.mode == "never":
        return "never"
    if str(files[0]) == STANDARD_INPUT:
        return "standard input can be read only once; expected files"
    if files[0].expanduser().is_dir():
        return f"{files[0]} is a folder of documents, which are read in memory; expected files"
    return None


def _labels(files: Sequence[Path], reading: Reading) -> str | None:
    """Why files are not mapped that have labels."""
    for file in files:
        with open_texts(file, replace(reading, labels="wanted")) as stream:
            if stream.has_labels:
                return (
                    f"{file} has labels, which are read in memory; expected text without labels, or auto, or "
                    "--data.label-column 0"
                )
    return None


def _size(files: Sequence[Path]) -> int:
    """Bytes of files, compressed ones as if they were not."""
    total = 0
    for file in files:
        with contextlib.suppress(OSError):
            is_packed = file.name.lower().endswith(COMPRESSED_ENDINGS)
            total += file.expanduser().stat().st_size * (UNPACKED if is_packed else 1)
    return total


def _hash(file: Path) -> str:
    """SHA-256 of a file (DataError: it cannot be read)."""
    digest = hashlib.sha256()
    try:
        with open(file.expanduser(), "rb") as content:
            while block := content.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise DataError(f"{file}: cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()


def _key(about: object) -> str:
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]


def _renamed(note: str, names: Sequence[str], files: Sequence[Path]) -> str:
    """A note on files that had other names when they were encoded."""
    for name, file in zip(names, files, strict=True):
        note = note.replace(f"{name}:", f"{file}:")
    return note


def _encoded(source: Source, folder: Path, kept: Kept, what: str) -> Encoded:
    """What lies in a folder, encoded first where it does not; one process encodes, and others wait for it."""
    known = opened(folder)
    if known is not None:
        return known
    with _locked(folder.with_name(folder.name + ".lock"), what):
        return opened(folder) or encode(source, folder, kept, what=what, say=say)


@contextlib.contextmanager
def _locked(path: Path, what: str) -> Iterator[None]:
    """One process at a time, where the system has locks of files."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    with open(path, "ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"{what}: another process encodes it; waiting for that")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks
            pass
        yield


class _Texts(Source):
    """Texts that were encoded already."""

    def __init__(self, known: Sequence[str]) -> None:
        self.known = known
        self.place = {"n": 0}

    def texts(self, place: JsonObject | None) -> Iterator[str]:
        """See `Source.texts`."""
        first = 0 if place is None else int(place["n"])
        for number, text in enumerate(self.known[first:], first + 1):
            self.place = {"n": number}
            self.share = number / len(self.known)
            yield text


class _Files(Source):
    """Texts of files; those without a word are left out and counted, or refused.

    Args:
        files: one after the other.
        reading: how.
    """

    def __init__(self, files: Sequence[Path], reading: Reading) -> None:
        self.files, self.reading = files, replace(reading, labels="wanted")
        self._sizes = [file.expanduser().stat().st_size for file in files]
        self._where: Callable[[], str] = lambda: ""
        # file, rows of it, empty ones of the files before, without a word in all, notes, whether some have columns
        self._file = self._row = self._n_empty = self._n_wordless = 0
        self._notes: list[str] = []
        self._is_table = False

    @property
    def place(self) -> JsonObject:  # type: ignore[override]
        """See `Source`."""
        return {"file": self._file, "row": self._row, "n_empty": self._n_empty, "n_wordless": self._n_wordless,
                "notes": self._notes, "is_table": self._is_table}  # fmt: skip

    def texts(self, place: JsonObject | None) -> Iterator[str]:
        """See `Source.texts`.

        Raises:
            DataError: of the files; an empty line where these are refused.
        """
        if place is not None:
            self._file, self._row, self._n_empty = int(place["file"]), int(place["row"]), int(place["n_empty"])
            self._n_wordless, self._notes = int(place["n_wordless"]), list(place["notes"])
            self._is_table = bool(place["is_table"])
        while self._file < len(self.files):
            with open_texts(self.files[self._file], self.reading) as stream:
                yield from self._of_stream(stream)
            self._n_empty += stream.n_empty
            self._notes = list(dict.fromkeys([*self._notes, *stream.notes, *stream.later_notes()]))
            self._is_table |= stream.is_table
            self._file, self._row = self._file + 1, 0

    def _of_stream(self, stream: TextStream) -> Iterator[str]:
        """Texts of a file behind the row that was given last."""
        is_strict, before, line = self.reading.empty_lines == "error", 0, 0
        n_done, n_rows = self._row, 0
        for row in stream:
            if is_strict and stream.n_empty > before:
                raise _empty(stream, _empty_line(stream, row.line, line, is_text=bool(row.text)))
            line = row.line
            if not row.text:
                continue
            n_rows += 1
            if n_rows <= n_done:
                continue
            self._row, self._where = n_rows, partial(stream.where, line)
            if n_rows % 1024 == 0:
                self._set_share(stream)
            yield row.text
        if is_strict and stream.n_empty > before:
            raise _empty(stream, line + 1)

    def _set_share(self, stream: TextStream) -> None:
        own = stream.source.share() if stream.source is not None else None
        total = sum(self._sizes)
        if own is not None and total:
            self.share = (sum(self._sizes[: self._file]) + own * self._sizes[self._file]) / total

    def without_word(self) -> None:
        """See `Source.without_word` (DataError)."""
        if self.reading.empty_lines == "error":
            raise DataError(f"{self._where()}: no word in it; delete it, or leave it out by --data.empty-lines skip")
        self._n_wordless += 1

    def about(self) -> JsonObject:
        """What is to be noted."""
        return {"n_skipped": self._n_empty + self._n_wordless, "notes": self._notes, "is_table": self._is_table,
                "names": [str(file) for file in self.files]}  # fmt: skip


def _empty_line(stream: TextStream, line: int, before: int, *, is_text: bool) -> int:
    """Line of the first empty row, when the row of a line has been read and that before it was full."""
    if not is_text and line - before <= 1:
        return line
    return before + 1 if stream.form in ("lines", "jsonl") else line - 1 if is_text else line


def _empty(stream: TextStream, line: int) -> DataError:
    return empty_error(stream.where(line), is_table=stream.is_table)
