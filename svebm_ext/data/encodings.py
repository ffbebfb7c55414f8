"""Bytes to text: which encoding, which characters are none of a text, where lines end."""

import codecs
import re
import shlex
import unicodedata
from pathlib import PurePath

from ..errors import DataError
from .containers import STANDARD_INPUT, name_of

MARK = "\ufeff"
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le", "UTF-32"),
    (codecs.BOM_UTF32_BE, "utf-32-be", "UTF-32"),
    (codecs.BOM_UTF16_LE, "utf-16-le", "UTF-16"),
    (codecs.BOM_UTF16_BE, "utf-16-be", "UTF-16"),
)
_WIDE = (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le", 2), ("utf-16-be", 2))

# Tab, line feed, carriage return, and white space that some programs write into lines: vertical tab, form feed, NEL.
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")

# What Windows-1252 adds to letters; between two letters only apostrophes, dashes and the like make sense.
_PUNCTUATION = set(
    "\u20ac\u2026\u2018\u2019\u201a\u201c\u201d\u201e\u2020\u2039\u203a\u2013\u2014\u2022\u2122\xa0\xa1\xa3\xa7\xa9\xab\xad\xae\xb0\xb1\xb2\xb3\xb4\xb7\xbb\xbc"
    "\xbd\xbe\xbf\xd7"
)
_IN_WORDS = set("\u2018\u2019\u2013\u2014\xa0\xad\xb4\xb7")
_PROPOSED = {"windows-1251": "[а-яё]", "koi8-r": "[а-яё]", "shift_jis": "[ぁ-ヿ]", "euc-jp": "[ぁ-ヿ]"}
_HIGH = re.compile(r"[^\x00-\x7f]")
#: Characters that tell an encoding from chance.
_TELLING = 5
#: A filter by which lines that are not UTF-8 are read as Windows-1252.
LINES_OF_WINDOWS = (
    'perl -MEncode -ne \'print encode("UTF-8", eval { decode("UTF-8", $_, Encode::FB_CROAK | Encode::LEAVE_SRC) } // '
    'decode("cp1252", $_))\''
)
#: What unpacks a file, by its ending.
_UNPACKING = {".gz": "gzip -dc", ".bz2": "bzip2 -dc", ".xz": "xz -dc", ".zip": "unzip -p"}


def filtering(command: str, name: str) -> str:
    """A command of a shell that sends a file through a filter into a new one, as it can be run.

    Args:
        command: the filter, such as "iconv -c -f utf-8 -t utf-8".
        name: of the file as messages have it; what came from standard input has to go through the filter before.
    """
    if name == name_of(STANDARD_INPUT):
        return f"put {command} | before this command"
    unpack = next((unpack for ending, unpack in _UNPACKING.items() if name.lower().endswith(ending)), None)
    file, new = shlex.quote(name), "newer.txt" if PurePath(name).name == "new.txt" else "new.txt"
    return f"{command} {file} > {new}" if unpack is None else f"{unpack} {file} | {command} > {new}"


def decode(content: bytes, name: str) -> tuple[str, list[str]]:
    """Text of a file, and notes on what was assumed.

    Valid UTF-8 is UTF-8. UTF-16 and UTF-32 are known by their mark, or by where their zero bytes stand. Windows-1252
    (which contains the letters of Latin-1) is assumed where bytes above 0x7f make letters in words that are ASCII
    otherwise.

    Raises:
        DataError: another encoding, or characters that no text has; the message names file and line, and the command
            that converts.
    """
    notes: list[str] = []
    text = _wide_text(content, name, notes)
    if text is None:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError as error:
            text = windows_text(content, error, name, notes)
    text = _without_marks(text, name, notes)
    check_characters(text, name)
    return text, notes


def split_lines(text: str) -> list[str]:
    """Lines without their ends: LF, CR LF, or CR in a text without LF.

    U+2028, form feed and the like end no line: the n-th line is the one that other programs number so.
    """
    if "\r" in text and "\n" not in text:
        text = text.replace("\r", "\n")
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.rstrip("\r") for line in lines] if "\r" in text else lines


def control_character(text: str) -> int | None:
    """Place of the first character that `check_characters` refuses."""
    match = _CONTROL.search(text)
    return None if match is None else match.start()


def check_characters(text: str, name: str, where: str | None = None, line: int = 1) -> None:
    """Refuse control characters and halves of surrogate pairs.

    Args:
        text: any text.
        name: of its file.
        where: it stands, as messages name it, for text that is part of a file; by default it is the whole one.
        line: of the file in which the text begins, where it is not part of a line.

    Raises:
        DataError: names file, line and column.
    """
    match = _CONTROL.search(text)
    if match is None:
        return
    start, character, cure = match.start(), match[0], ""
    if where is None:
        end = "\n" if "\n" in text else "\r"
        where = f"{name}:{text.count(end, 0, start) + line}"
        start -= text.rfind(end, 0, start) + 1
        cure = ", for instance: " + filtering(r"perl -CSD -pe 's/[^\P{Cc}\t\r\n]//g'", name)
    what = "half of a surrogate pair" if "\ud800" <= character <= "\udfff" else "control character"
    raise DataError(
        f"{where}: {what} U+{ord(character):04X} in column {start + 1}, which is not text. Take it out{cure}"
    )


def wide_encoding(content: bytes) -> tuple[str, int, str] | None:
    """Encoding of a file in UTF-16 or UTF-32, the length of its mark, and what a note says; None where it is neither.

    Args:
        content: of the file, or its beginning.
    """
    for mark, encoding, title in _MARKS:
        if content.startswith(mark) and not (encoding == "utf-32-le" and len(content) % 4):
            return encoding, len(mark), f"read as {title}"
    if b"\0" not in content:
        return None
    for encoding, width in _WIDE:
        if len(content) % width == 0 and _zeros_fit(content[:65536], encoding, width):
            try:
                text = content.decode(encoding)
            except UnicodeDecodeError:
                continue
            if _is_plausible(text[:20000]):
                return encoding, 0, f"read as {encoding.upper()}, known by its zero bytes"
    return None


def _wide_text(content: bytes, name: str, notes: list[str]) -> str | None:
    """Text of a file in UTF-16 or UTF-32; None where it is neither."""
    wide = wide_encoding(content)
    if wide is None:
        return None
    encoding, begin, note = wide
    try:
        text = content[begin:].decode(encoding)
    except UnicodeDecodeError as error:
        raise damaged(name, encoding, error.start + begin) from None
    notes.append(f"{name}: {note}")
    return text


def damaged(name: str, encoding: str, position: int) -> DataError:
    """What there is to say of a file in UTF-16 or UTF-32 that is not so to its end."""
    return DataError(f"{name}: begins as {encoding[:6].upper()}, but is damaged at byte {position}")


def _zeros_fit(sample: bytes, encoding: str, width: int) -> bool:
    """Whether zero bytes stand where the encoding's high bytes are."""
    counts = [sample[place::width].count(0) for place in range(width)]
    if encoding.endswith("be"):
        counts.reverse()
    units = max(1, len(sample) // width)
    if width == 4:
        return counts[3] == units and counts[2] >= 0.9 * units and counts[0] <= 0.05 * units
    return counts[1] >= 0.01 * units and counts[0] <= 0.05 * counts[1]


def _is_plausible(text: str) -> bool:
    """Whether a decoded text has spaces and line ends, and no characters that texts do not have."""
    n_spaces = sum(map(text.count, " \n\r"))
    strange = _CONTROL.search(text) or any(unicodedata.category(c) in ("Cn", "Co", "Cs") for c in set(text))
    return not strange and n_spaces >= 0.01 * len(text)


def windows_text(content: bytes, error: UnicodeDecodeError, name: str, notes: list[str], first: int = 1) -> str:
    """Text that is not UTF-8, if it can be Windows-1252; `first` is the line in which it begins.

    Raises:
        DataError: it cannot; the message names file and line.
    """
    line = content.count(b"\n", 0, error.start) + first
    wrong = f"{name}:{line}: not UTF-8 (byte 0x{content[error.start]:02x})"
    replaced = content.decode("utf-8", errors="replace")
    n_replaced = replaced.count("\ufffd")
    if len(_HIGH.findall(replaced)) - n_replaced > n_replaced:
        n_lines = sum("\ufffd" in part for part in replaced.split("\n"))
        others = f", and so are {n_lines - 1:,} further lines" if n_lines > 1 else ""
        raise DataError(f"{wrong}{others}, although the rest of the file is; write them again, or read such lines as "
                        f"Windows-1252: {filtering(LINES_OF_WINDOWS, name)}")  # fmt: skip
    try:
        text = content.decode("cp1252")
    except UnicodeDecodeError:
        text = ""
    if not text or not _is_windows(text):
        guess = _guess(content)
        known = f"may be {guess}" if guess else "cannot be recognised"
        convert = filtering(f"iconv -f {guess or 'ENCODING'} -t utf-8", name)
        raise DataError(f"{wrong}, and its encoding {known}; convert it: {convert} (iconv -l lists encodings)")
    example = next(word for word in re.findall(r"\S+", text) if _HIGH.search(word))
    notes.append(
        f"{name}: not UTF-8; read as Windows-1252 (line {line}, for instance {example[:40]!r}). If that is wrong, "
        f"convert it: {filtering('iconv -f ENCODING -t utf-8', name)}"
    )
    return text


def _guess(content: bytes) -> str | None:
    """Name of an encoding that is likely enough to be proposed: of Cyrillic, or of Japanese."""
    for encoding, pattern in _PROPOSED.items():
        text = content.decode(encoding, errors="replace")
        n_high = len(_HIGH.findall(text))
        if (
            n_high >= _TELLING
            and len(re.findall(pattern, text)) > 0.6 * n_high
            and text.count("\ufffd") <= 0.01 * n_high
        ):
            return encoding
    return None


def _is_windows(text: str) -> bool:
    """Whether characters above 0x7f are letters in words that are ASCII otherwise, or the usual punctuation."""
    matches = list(_HIGH.finditer(text))[:20000]
    sample = text[: matches[-1].end()]
    n_letters = sum(map(str.isalpha, sample))
    n_high_letters = n_fitting = 0
    for match in matches:
        character, before = match[0], text[max(0, match.start() - 1) : match.start()]
        after = text[match.end() : match.end() + 1]
        if character.isalpha() and character not in "\xaa\xba":
            n_high_letters += 1
            wrong_case = character.isupper() and before.isalpha() and before.islower()  # "cafŽ": Mac Roman
            neighbour = (before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha())
            n_fitting += not wrong_case and (neighbour or not (before.isalpha() or after.isalpha()))
        else:
            inside = before.isalpha() and after.isalpha()
            n_fitting += character in (_IN_WORDS if inside else _PUNCTUATION)
    return n_fitting >= 0.9 * len(matches) and n_high_letters <= 0.25 * max(1, n_letters)


def _without_marks(text: str, name: str, notes: list[str]) -> str:
    """Text without byte-order marks; files that were joined have them inside as well."""
    inside = text.lstrip(MARK)
    n_inside = inside.count(MARK)
    if n_inside:
        notes.append(f"{name}: {n_inside} byte-order marks inside the text left out")
        inside = inside.replace(MARK, "")
    return inside
