"""Which format a user's file has, and its table or texts."""

import re
from collections.abc import Sequence
from typing import Literal

from ..errors import DataError
from .containers import PathLike, name_of, text_ending
from .delimited import find_delimiter
from .text_files import parse_json_object

Format = Literal["auto", "lines", "tsv", "csv", "jsonl", "json", "fasttext", "parquet"]
Recognised = Literal["lines", "tsv", "csv", "jsonl", "json", "fasttext"]
FORMATS = ("auto", "lines", "tsv", "csv", "jsonl", "json", "fasttext", "parquet")
FASTTEXT = "__label__"
ENDINGS: dict[str, Recognised] = {".tsv": "tsv", ".tab": "tsv", ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
"""Endings that tell a format."""
KNOWN_ENDINGS = (*ENDINGS, ".txt", ".text", ".json", ".parquet")
_SAMPLE = 1000
# Marks that corpora of sentences hold, and that are no markup: <unk>, <s> ... </s>.
_TAGGED = re.compile(r"\s*<(?!/?(?:unk|s|bos|eos|pad)>)(?:/?[A-Za-z][\w:-]*(?:\s[^<>]*)?/?|!--.*)>.*")
_RULE = re.compile(r"\s*\|?\s*:?-{3,}:?\s*(?:\|\s*:?-{3,}:?\s*)+\|?\s*")
_FASTTEXT = re.compile(rf"(?:^|\s){FASTTEXT}\S")
# What is made of lines and is no text: name, what the first line begins with, what more than a share of lines are.
_OTHERS = (
    ("YAML", re.compile(r"\s*-\s+[A-Za-z_][\w-]*:(?:\s|$)"), re.compile(r"\s+[A-Za-z_][\w-]*:(?:\s|$)"), 0.25),
    ("SVMlight's numbers", re.compile(r""), re.compile(r"\s*[-+]?\d+(?:\.\d+)?(?:\s+\d+:[-+.\deE]+)+\s*"), 0.5),
    ("subtitles", re.compile(r""), re.compile(r"(?:\d+:)?\d\d:\d\d[,.]\d{3}\s+-->\s.*"), 0.2),
)
# A word and its tags in each line: names (B-PER, O), parts of speech (NN), or the ten columns of CoNLL-U.
_WORD_WITH_TAGS = re.compile(
    r"(?:\S+[ \t]+)+(?:O|[BILUES]-\S+)\s*|\S+[ \t]+[A-Z]{1,5}\$?(?:[ \t]+\S+)*\s*"
    r"|\d+(?:[-.]\d+)?\t(?:[^\t]*\t){8}[^\t]*"
)
_DOCUMENT = re.compile(r"\s*<(?:\?xml\b|!doctype\b|html\b)", re.IGNORECASE)


def recognise_format(path: PathLike, lines: Sequence[str], name: str | None = None) -> Recognised:
    """Format of a text file: by its ending (.tsv, .csv, .jsonl, .ndjson, .json), else by its first 1,000 lines.

    fastText where more than half of the lines have a word that begins with __label__; JSON where they are objects or an
    array; tsv where more than half hold a tab, so that one line without it is an error and no sentence; csv where all
    lines are rows of equal length, with names of columns, quotes or no space after any delimiter; one sentence a line
    otherwise.

    Args:
        path: its ending counts.
        lines: of the file.
        name: what messages call it (default: the path).

    Raises:
        DataError: markup (XML, HTML, a Markdown table), YAML, subtitles or SVMlight, which are none of these.
    """
    ending = text_ending(str(path))
    if ending in ENDINGS:
        return ENDINGS[ending]
    filled = [line for line in lines[:_SAMPLE] if line.strip()]
    if not filled:
        return "lines"
    if ending == ".json":
        return (
            "json" if filled[0].lstrip().startswith("[") or not _is_object(filled[0]) or len(filled) == 1 else "jsonl"
        )
    if 2 * sum(bool(_FASTTEXT.search(line)) for line in filled) > len(filled):
        return "fasttext"
    structured = _recognise_json(lines, filled)
    if structured is not None:
        return structured
    if _DOCUMENT.match(filled[0]) or (
        len(filled) > 1 and 2 * sum(bool(_TAGGED.fullmatch(line)) for line in filled) > len(filled)
    ):
        raise DataError(
            f"{name or name_of(path)}: markup (XML or HTML) in place of text: {filled[0].strip()[:60]!r}. Take its "
            "text out, or, for lines as they stand, set --data.format lines"
        )
    if len(filled) > 1 and _RULE.fullmatch(filled[1]):
        raise DataError(
            f"{name or name_of(path)}: a Markdown table; save it as CSV, or, for lines as they stand, set "
            "--data.format lines"
        )
    if _is_vertical(lines):
        raise DataError(
            f"{name or name_of(path)}: a word with its tags in each line (CoNLL) in place of text: "
            f"{filled[0].strip()[:60]!r}. Write each sentence in one line; for lines as they stand, set --data.format "
            "lines"
        )
    for what, beginning, pattern, share in _OTHERS:
        if beginning.match(filled[0]) and sum(bool(pattern.match(line)) for line in filled) > share * len(filled):
            raise DataError(
                f"{name or name_of(path)}: {what} in place of text: {filled[0].strip()[:60]!r}. Write its texts one a "
                "line, or as CSV or JSON lines; for lines as they stand, set --data.format lines"
            )
    if 2 * sum("\t" in line for line in filled) > len(filled):
        return "tsv"
    return "csv" if find_delimiter(lines) else "lines"


def _is_vertical(lines: Sequence[str]) -> bool:
    """Whether lines are words with their tags, as many columns in each, and empty lines part sentences."""
    sample = [line for line in lines[:_SAMPLE] if not line.startswith(("#", "-DOCSTART-"))]
    filled = [line for line in sample if line.strip()]
    if len(filled) < 3 or not any(not line.strip() for line in sample[1:-1]):
        return False
    columns = {len(line.split("\t") if "\t" in line else line.split()) for line in filled}
    return len(columns) == 1 and columns != {1} and all(_WORD_WITH_TAGS.fullmatch(line) for line in filled)


def _recognise_json(lines: Sequence[str], filled: list[str]) -> Literal["jsonl", "json"] | None:
    first = filled[0].lstrip()
    if first.startswith("{"):
        if _is_object(first) or sum(bool(re.match(r"""\s*\{\s*["']\w""", line)) for line in filled) > len(filled) / 2:
            return "jsonl"
        following = filled[1].lstrip() if first.strip() == "{" and len(filled) > 1 else first[1:].lstrip()
        return "json" if re.match(r'"[^"]*"\s*:', following) else None
    if first.startswith("["):
        inside = (first[1:].lstrip() or (filled[1].lstrip() if len(filled) > 1 else ""))[:1]
        last = next(line for line in reversed(lines) if line.strip()).rstrip()
        if inside == "{" or (inside and inside in '["' and last.endswith("]")):
            return "json"
    return None


def _is_object(line: str) -> bool:
    try:
        parse_json_object("", 0, line)
    except DataError:
        return False
    return True


def read_fasttext(name: str, lines: Sequence[str], first: int = 1) -> tuple[list[str], list[str]]:
    """Texts and labels ("" where there is none) of lines of fastText: __label__x and the text.

    Args:
        name: of the file.
        lines: of it.
        first: number of the first one.

    Raises:
        DataError: a line with several labels; the message names file and line.
    """
    texts, labels = [], []
    for number, line in enumerate(lines, first):
        words = line.split()
        marked = [word for word in words if word.startswith(FASTTEXT)]
        if len(marked) > 1:
            raise DataError(f"{name}:{number}: {len(marked)} labels ({' '.join(marked[:3])}), expected one a line")
        texts.append(" ".join(word for word in words if not word.startswith(FASTTEXT)) if marked else line)
        labels.append(marked[0].removeprefix(FASTTEXT) if marked else "")
    return texts, labels
