"""Text of a file as it is read, in blocks of whole lines: what its beginning is holds for all of it."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import DataError
from .byte_streams import ByteStream
from .encodings import (
    LINES_OF_WINDOWS,
    MARK,
    check_characters,
    control_character,
    damaged,
    filtering,
    wide_encoding,
    windows_text,
)

#: Bytes of the widest character, of which a beginning has whole ones.
_WIDEST = 4


class Block(NamedTuple):
    """Whole lines, and the number of the first one."""

    line: int
    text: str


class TextBlocks:
    """Blocks of text of a file whose beginning has been read.

    Lines end with LF or CR LF, or with CR in a file whose beginning has no LF; these become LF. The encoding is that of
    the beginning. Where it has ASCII alone, the first other bytes decide, UTF-8 or Windows-1252.

    Args:
        stream: the file, after its beginning.
        head: its beginning, with at least one end of a line.
        notes: receives what was assumed.

    Attributes:
        first: the block of the beginning.
        n_marks: byte-order marks inside the text, left out.
        late_notes: what was assumed after the beginning.

    Raises:
        DataError: as `svebm_ext.data.encodings.decode`.
    """

    def __init__(self, stream: ByteStream, head: bytes, notes: list[str]) -> None:
        self._stream, self._notes, self.name = stream, notes, stream.name
        self.n_marks, self._line, self._read = 0, 1, len(head)
        self._rest, self._kept = b"", ""
        self._is_utf8 = False
        wide = wide_encoding(head[: len(head) // _WIDEST * _WIDEST])
        self._wide: codecs.IncrementalDecoder | None = None
        self._encoding = "utf-8" if wide is None else wide[0]
        self._end = "\n"
        if wide is not None:
            notes.append(f"{self.name}: {wide[2]}")
            self._wide = codecs.getincrementaldecoder(self._encoding)()
            head = head[wide[1] :]
        elif b"\n" not in head and b"\r" in head:
            self._end = "\r"
        try:
            text = self._decoded(head)
        except _Undecodable as broken:
            raise broken.error from None
        if self._wide is not None and "\n" not in text and "\r" in text:
            self._end = "\r"
        self.first = self._block(text)
        self.late_notes = self._notes = []

    def __iter__(self) -> Iterator[Block]:
        """All blocks, that of the beginning first.

        Raises:
            DataError: bytes that are not of the encoding, or control characters, after the block of the lines before.
        """
        yield self.first
        while content := self._stream.read():
            self._read += len(content)
            yield from self._of(content)
        yield from self._of(b"", is_last=True)

    def _of(self, content: bytes, *, is_last: bool = False) -> Iterator[Block]:
        """The lines that some bytes end; before an error, those before it."""
        try:
            text = self._decoded(content, is_last=is_last)
        except _Undecodable as broken:
            if broken.before:
                yield from self._checked(broken.before)
            raise broken.error from None
        yield from self._checked(text)

    def _checked(self, text: str) -> Iterator[Block]:
        """A block of a text; where it has control characters, of the lines before them, and then an error."""
        place = control_character(text)
        if place is not None:
            before = text[: text.rfind(self._end, 0, place) + 1]
            if before:
                yield self._block(before)
            text = text[len(before) :]
        if text:
            yield self._block(text)

    def _block(self, text: str) -> Block:
        check_characters(text, self.name, line=self._line)
        if self._line == 1:
            text = text.lstrip(MARK)
        if MARK in text:
            self.n_marks += text.count(MARK)
            text = text.replace(MARK, "")
        if self._end == "\r":
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        block = Block(self._line, text)
        self._line += text.count("\n")
        return block

    def _decoded(self, content: bytes, *, is_last: bool = False) -> str:
        """Whole lines of the text so far, at the end all of it."""
        if self._wide is not None:
            try:
                text = self._kept + self._wide.decode(content, final=is_last)
            except UnicodeDecodeError as error:
                raise damaged(self.name, self._encoding, self._read - len(content) + error.start) from None
            cut = len(text) if is_last else text.rfind(self._end) + 1
            text, self._kept = text[:cut], text[cut:]
            return text
        content = self._rest + content
        cut = len(content) if is_last else content.rfind(self._end.encode()) + 1
        content, self._rest = content[:cut], content[cut:]
        if self._encoding == "utf-8" and not self._is_utf8 and not content.isascii():
            try:
                content.decode("utf-8")
                self._is_utf8 = True
            except UnicodeDecodeError as error:
                try:
                    windows_text(content, error, self.name, self._notes, self._line)
                except DataError as reason:
                    raise self._undecodable(error, "utf-8", reason) from None
                self._encoding = "cp1252"
        try:
            return content.decode(self._encoding)
        except UnicodeDecodeError as error:
            raise self._undecodable(error, self._encoding) from None

    def _undecodable(self, error: UnicodeDecodeError, encoding: str, reason: DataError | None = None) -> _Undecodable:
        """Bytes that are not of the encoding of the lines before them, in a block of lines."""
        before = error.object[: error.object.rfind(self._end.encode(), 0, error.start) + 1].decode(encoding)
        if reason is None:
            line, byte = self._line + before.count(self._end), f"byte 0x{error.object[error.start]:02x}"
            if encoding == "utf-8":
                wrong, cure = "UTF-8", f"read such lines as Windows-1252: {filtering(LINES_OF_WINDOWS, self.name)}"
            else:
                command = filtering(f"iconv -c -f {encoding} -t utf-8", self.name)
                wrong, cure = "Windows-1252", f"drop what is broken: {command}"
            reason = DataError(
                f"{self.name}:{line}: not {wrong} ({byte}), although the lines before it are; write that line again, "
                f"or {cure}"
            )
        return _Undecodable(before, reason)


class _Undecodable(Exception):  # noqa: N818
    """Bytes that cannot be decoded: the lines before them, and what there is to say."""

    def __init__(self, before: str, error: DataError) -> None:
        super().__init__(str(error))
        self.before, self.error = before, error
