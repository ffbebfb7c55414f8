"""Text of any size, encoded once into files of a folder: bytes of the texts, numbers of their words, distinct words.

| file | what it holds |
|---|---|
| `texts.utf8`, `texts.ends` | the texts, and where each ends (int64, bytes) |
| `tokens.i32`, `tokens.ends` | numbers of their words (int32), and where the list of each text ends (int64) |
| `words.txt` | the distinct words, one a line: word i has number i |
| `about.json` | how many texts there are, sizes of the files, and what there was to say |

Where words were forgotten (`word_numbers`), `renumbered.i32` stands in place of `tokens.i32`. A folder `NAME.partial`
still grows (`growing`). It becomes `NAME` when all of it is there.
"""

from __future__ import annotations

import os
import shutil
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import DataError, ModelFolderError
from ..files import JsonObject, read_json, sync_folder, write_json, write_whole, written_whole
from ..progress import Tally
from .growing import STATE, GrowingFiles
from .mapped_lists import MappedTexts, MappedTokens
from .ragged import Ragged
from .word_numbers import UNKNOWN, WordNumbers

TEXTS, TEXT_ENDS, TOKENS, TOKEN_ENDS = "texts.utf8", "texts.ends", "tokens.i32", "tokens.ends"
RENUMBERED, WORDS, ABOUT = "renumbered.i32", "words.txt", "about.json"
#: Texts and characters of a block, after which the files are a whole that can be gone on from.
BLOCK, BLOCK_CHARACTERS = 1 << 17, 1 << 24

#: Reads words of a text.
Words = Callable[[str], Sequence[str]]


@dataclass(frozen=True)
class Encoded:
    """Texts of a folder.

    Args:
        texts: as they were written, where they were kept.
        sentences: their words, where they were read.
        about: what the source had to say.
    """

    texts: MappedTexts | None
    sentences: MappedTokens | None
    about: JsonObject


class Source:
    """Texts that can be read from a place on.

    Attributes:
        place: after the texts that were given (JSON); given to `texts` it goes on from there.
        share: of all that was read; None where it is not known.
    """

    place: JsonObject
    share: float | None = None

    def texts(self, place: JsonObject | None) -> Iterator[str]:
        """Texts behind a place; None is the beginning."""
        raise NotImplementedError

    def without_word(self) -> None:
        """Told that the text that was given last has no word, and is left out; raises where it must have some."""

    def about(self) -> JsonObject:
        """What is to be noted, when all was read."""
        return {}


def opened(folder: Path) -> Encoded | None:
    """What was encoded into a folder; None where it is not there, or not whole."""
    try:
        about = read_json(folder / ABOUT)
        n, sizes = int(about["n"]), about["sizes"]
        if not all((folder / name).stat().st_size == size for name, size in sizes.items()):
            return None
        texts, sentences = None, None
        if TEXTS in sizes:
            texts = MappedTexts(Ragged(folder / TEXTS, folder / TEXT_ENDS, np.uint8, n), range(n))
        if WORDS in sizes:
            words = (folder / WORDS).read_text("utf-8").split("\n")[:-1]
            numbers = folder / (RENUMBERED if RENUMBERED in sizes else TOKENS)
            sentences = MappedTokens(words, Ragged(numbers, folder / TOKEN_ENDS, np.int32, n), range(n))
        return Encoded(texts, sentences, about["about"])
    except (ModelFolderError, OSError, KeyError, TypeError, ValueError):
        return None


@dataclass(frozen=True)
class Kept:
    """What is kept of texts.

    Args:
        texts: whether they are, as they were written.
        words: reads their words, which are kept; None keeps none.
        n_most: distinct words that are known; see `WordNumbers`.
    """

    texts: bool
    words: Words | None
    n_most: int


def encode(source: Source, folder: Path, kept: Kept, *, what: str, say: Callable[[str], None]) -> Encoded:
    """Encode texts into a folder, or take up what was begun there.

    Args:
        source: of the texts.
        folder: must not hold a whole encoding; no other program may write to it.
        kept: of the texts.
        what: is encoded, for messages.
        say: receives a line.

    Raises:
        DataError: of the source.
        OSError: the disk is full, or cannot be written to.
    """
    partial = folder.with_name(folder.name + ".partial")
    encoding = _Encoding(partial, kept)
    tally, begun, before = Tally(f"lines encoded of {Path(what).name}"[:50]), encoding.n, None
    try:
        if begun:
            say(f"{what}: encoding goes on after {begun:,} lines")
        texts = source.texts(encoding.place)
        while encoding.add_block(texts, source):
            share = source.share
            if share is not None:  # of what was left at the beginning
                before = share * begun / encoding.n if before is None else before
                share = (share - before) / (1.0 - before) if before < 1.0 else None
            tally.update(encoding.n - begun, share)
        written = encoding.finish()
    except DataError:  # the text is at fault, and will be another one when it is mended
        encoding.files.close()
        shutil.rmtree(partial, ignore_errors=True)
        raise
    finally:
        tally.close()
        encoding.files.close()
    write_json(partial / ABOUT, written | {"about": source.about()})
    shutil.rmtree(folder, ignore_errors=True)  # a damaged one
    os.rename(partial, folder)
    sync_folder(folder.parent)
    needless = [STATE, TOKENS] if RENUMBERED in written["sizes"] else [STATE]
    for path in [*folder.glob("known-*"), *(folder / name for name in needless)]:
        path.unlink(missing_ok=True)
    encoded = opened(folder)
    if encoded is None:
        raise DataError(f"{folder}: cannot be read after it was written; is the disk at fault?")
    return encoded


class _Encoding:
    """A folder that grows.

    Args:
        folder: that grows.
        kept: of the texts.
    """

    def __init__(self, folder: Path, kept: Kept) -> None:
        self.folder, self.kept = folder, kept
        names = (TEXTS, TEXT_ENDS) if kept.texts else ()
        self.files = GrowingFiles(folder, names if kept.words is None else (*names, TOKENS, TOKEN_ENDS, "known-0"))
        note = self.files.note or {"n": 0, "bytes": 0, "tokens": 0, "known": "known-0", "given": 0, "place": None}
        self.n, self.n_bytes, self.n_tokens = int(note["n"]), int(note["bytes"]), int(note["tokens"])
        self.known_file, self.place = str(note["known"]), note["place"]
        self.known = WordNumbers(kept.n_most)
        if kept.words is not None and self.n:
            self.known = _known(folder, kept.n_most, self.known_file, int(note["given"]))

    def add_block(self, given: Iterator[str], source: Source) -> bool:
        """Add the next block of texts that a source gives, and make it last; False where there are no more."""
        block = _Block()
        parts: dict[str, bytes] = {}
        if self.kept.words is None:
            for text in block.of(given):
                block.add(text)
        else:
            n_known = len(self.known)
            numbers, lengths = self.known.block(block.words_of(given, self.kept.words, source))
            parts[TOKENS], parts[TOKEN_ENDS] = numbers.tobytes(), (self.n_tokens + np.cumsum(lengths)).tobytes()
            self.n_tokens += len(numbers)
            if self.known.forget():
                self.known_file = self.files.replace(self.known_file, _lines(self.known.words()))
            else:
                parts[self.known_file] = _lines(self.known.words(n_known))
        if not block.texts:
            return False
        if self.kept.texts:
            content = [text.encode() for text in block.texts]
            sizes = np.fromiter(map(len, content), dtype=np.int64, count=len(content))
            parts[TEXTS], parts[TEXT_ENDS] = b"".join(content), (self.n_bytes + np.cumsum(sizes)).tobytes()
            self.n_bytes += int(sizes.sum())
        self.n, self.place = self.n + len(block.texts), source.place
        self.files.add(parts)
        self.files.commit(
            {"n": self.n, "bytes": self.n_bytes, "tokens": self.n_tokens, "known": self.known_file,
             "given": self.known.n_given, "place": self.place}
        )  # fmt: skip
        return True

    def finish(self) -> JsonObject:
        """Write the distinct words, and numbers of words that were forgotten anew; returns what is there."""
        sizes = {TEXTS: self.n_bytes, TEXT_ENDS: 8 * self.n} if self.kept.texts else {}
        if self.kept.words is not None:
            words, numbers = [word for _, word in self.known.words()], TOKENS
            if self.known.forgot:
                numbers = RENUMBERED
                words.append(UNKNOWN)
                with written_whole(self.folder / numbers) as file:
                    for given in _each_part(self.folder / TOKENS):
                        file.write(self.known.places(given).tobytes())
            write_whole(self.folder / WORDS, "".join(f"{word}\n" for word in words))
            sizes |= {numbers: 4 * self.n_tokens, TOKEN_ENDS: 8 * self.n}
            sizes[WORDS] = (self.folder / WORDS).stat().st_size
        return {"n": self.n, "sizes": sizes}


class _Block:
    """Texts of a block, so far."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._size = 0

    def add(self, text: str) -> None:
        self.texts.append(text)
        self._size += len(text)

    def of(self, given: Iterator[str]) -> Iterator[str]:
        """Texts until the block is full; each is added to it, or not."""
        while len(self.texts) < BLOCK and self._size < BLOCK_CHARACTERS:
            text = next(given, None)
            if text is None:
                return
            yield text

    def words_of(self, given: Iterator[str], words: Words, source: Source) -> Iterator[Sequence[str]]:
        """Words of the texts, which are added if they have some."""
        for text in self.of(given):
            tokens = words(text)
            if tokens:
                self.add(text)
                yield tokens
            else:
                source.without_word()


def _lines(words: Iterable[tuple[int, str]]) -> bytes:
    return "".join(f"{number} {word}\n" for number, word in words).encode()


def _known(folder: Path, n_most: int, words_file: str, n_given: int) -> WordNumbers:
    """The words that an encoding knew at its last block, counted again."""
    numbers, words = array("i"), []
    for line in (folder / words_file).read_text("utf-8").split("\n")[:-1]:
        number, _, word = line.partition(" ")
        numbers.append(int(number))
        words.append(word)
    known = WordNumbers.of(n_most, words, np.array(numbers, dtype=np.int32), np.zeros(len(words), np.int64), n_given)
    counts = np.zeros(len(words) + 1, dtype=np.int64)
    for given in _each_part(folder / TOKENS):
        counts += np.bincount(known.places(given), minlength=len(counts))
    return WordNumbers.of(n_most, words, np.array(numbers, dtype=np.int32), counts[:-1], n_given)


def _each_part(path: Path) -> Iterator[np.ndarray]:
    """Numbers (int32) of a file, some at a time."""
    with open(path, "rb") as file:
        while content := file.read(1 << 22):
            yield np.frombuffer(content, dtype=np.int32)
