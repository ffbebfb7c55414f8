"""CSV (RFC 4180) and label<TAB>text: which delimiter, which quotes, whether the first line names the columns."""

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..errors import DataError
from .encodings import split_lines
from .tables import LABEL_NAMES, TEXT_NAMES, Table, known_name

_DELIMITERS = ",;\t|"
LONGEST_FIELD = 1 << 26
"""Characters of a field at most: after a quote that is never closed the rest of a file is one."""
_SAMPLE = 1000
_ESCAPED_QUOTE = re.compile(r'(?:^|\t)"(?:[^"\t]|"")*""(?:[^"\t]|"")*"(?=\t|$)')
_EXCEL = re.compile(r"sep=([,;|\t])\r?\n")
"""First line by which Excel names the delimiter."""
_IN_NUMBERS = re.compile(r"(?<=\d),(?=\d)")
_NUMERIC = re.compile(r"[-+]?\d[\d.,:/-]*%?")


def find_delimiter(lines: Sequence[str]) -> str | None:
    """Delimiter of a CSV file that is not called so; None where lines are no rows of a table.

    Commas of sentences have a space after them and differ in number from line to line. A table has rows of equal
    length without such spaces, and beyond that names of columns, quotes around fields, or many rows.
    """
    filled = [line for line in lines[:_SAMPLE] if line.strip()]
    for delimiter in _DELIMITERS:
        if 3 * sum(delimiter in line for line in filled) < len(filled):
            continue
        if filled and _names_text_and_label(filled[0].split(delimiter)):
            return delimiter
        quoted = sum(_has_quoted_field(line, delimiter) for line in filled)
        rows = _sample_rows(lines, delimiter)
        if rows is None:
            if len(filled) > 1 and quoted >= 0.8 * len(filled):
                return delimiter  # a table whose quotes are wrong somewhere: the reader says where
            continue
        counts = Counter(map(len, rows))
        if len(rows) < 2 or len(counts) > 1 or max(counts) < 2:
            continue
        n_spaced = sum(cell.startswith(" ") for row in rows for cell in row[1:])
        if has_names(rows) and known_names(rows[0]):
            return delimiter
        n_numbers = sum(delimiter == "," and "," not in _IN_NUMBERS.sub("", line) for line in filled)  # "1,000 people"
        if n_spaced > 0.05 * len(rows) or n_numbers > 0.05 * len(rows):
            continue
        n_spaces = sum(line.strip().count(" ") for line in filled)  # a script without them says nothing by their lack
        if 2 * quoted >= len(rows) or (len(rows) >= 10 and n_spaces >= len(filled)):
            return delimiter
    return None


def read_delimited(name: str, text: str, delimiter: str | None, asked: Sequence[str | None] = ()) -> Table:
    """Columns of a CSV or TSV text.

    Args:
        name: of the file.
        text: its content.
        delimiter: None: of a file known to be CSV, found by its first rows.
        asked: names of columns that are asked for; a first row with one of them names the columns.

    Raises:
        DataError: quotes that do not pair, or a row of another length; the message names file and line.
    """
    layout = layout_of(text, delimiter)
    return table_of(name, list(rows_of(name, [(1, text)], layout)), layout.delimiter, asked)[0]


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are rows.

    Args:
        delimiter: between fields.
        is_quoted: whether quotes are syntax.
        is_spaced: whether a space may stand between a delimiter and a quote.
        n_before: lines before the rows: 1 where Excel names the delimiter.
    """

    delimiter: str
    is_quoted: bool = True
    is_spaced: bool = False
    n_before: int = 0


def layout_of(text: str, delimiter: str | None) -> Layout:
    """Layout of a CSV or TSV file, by its text or the beginning of it; `delimiter` as of `read_delimited`."""
    first = _EXCEL.match(text)
    text = text[first.end() :] if first else text
    lines = split_lines(text)
    delimiter = (first[1] if first else None) or delimiter or _best_delimiter(lines)
    spaced = any(f'{delimiter} "' in line for line in text[:100_000].split("\n")[:100])
    return Layout(delimiter, delimiter != "\t" or _is_quoted_tsv(lines), spaced, 1 if first else 0)


def rows_of(name: str, blocks: Iterable[tuple[int, str]], layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """Rows, each with the line where it begins; [] for one without anything.

    Args:
        name: of the file.
        blocks: its text, in parts of whole lines, each with the number of its first line.
        layout: of the rows.

    Raises:
        DataError: quotes that do not pair; the message names file and line.
    """
    if layout.is_quoted:
        yield from _quoted_rows(name, (text for _, text in blocks), layout)
        return
    for first, text in blocks:
        for line, one in enumerate(split_lines(text), first):
            if line > layout.n_before:
                yield line, one.split("\t") if one.strip() else []


class Header(NamedTuple):
    """Names of the columns, where the first row has them, how many columns there are, and a line with as many."""

    names: list[str] | None
    width: int
    first: int = 0


def table_of(
    name: str, numbered: Sequence[tuple[int, list[str]]], delimiter: str, asked: Sequence[str | None] = ()
) -> tuple[Table, Header]:
    """Table of rows with their lines, and its header; arguments and errors as those of `read_delimited`."""
    numbered = list(numbered)
    while numbered and not numbered[-1][1]:  # lines after the last row are none
        numbered.pop()
    empty = [start for start, row in numbered if not row]
    starts, rows = [start for start, row in numbered if row], [row for _, row in numbered if row]
    names = None
    if rows and has_names(rows, [column for column in asked if column]):
        names, rows, starts = [cell.strip() for cell in rows[0]], rows[1:], starts[1:]
    counts = Counter(map(len, rows))
    usual = max(counts, key=lambda length: (counts[length], length)) if counts else 0
    width = len(names) if names is not None else max(usual, 2 if delimiter == "\t" else 1)
    first = next((start for start, row in zip(starts, rows, strict=True) if len(row) == width), 0)
    header = Header(names, width, first)
    for start, row in zip(starts, rows, strict=True):
        if len(row) != header.width:
            raise wrong_length(name, start, row, header, delimiter)
    if not rows:
        raise DataError(f"{name}: no rows below the names of columns {', '.join(names or ())}")
    columns = list(zip(*rows, strict=True))
    if names is None:
        by_format = delimiter == "\t" and len(columns) == 2
        return Table(name, list(columns), None, starts, usual=by_format, empty=empty), header
    kept = [i for i, column in enumerate(columns) if names[i] or any(map(str.strip, column))]
    return Table(name, [columns[i] for i in kept], [names[i] for i in kept], starts, empty=empty), header


def has_names(rows: Sequence[list[str]], asked: Sequence[str] = ()) -> bool:
    """Whether the first row names the columns: by well-known names, or because it looks unlike all others."""
    first, body = rows[0], rows[1 : 1 + 5 * _SAMPLE]
    cells = [cell.strip() for cell in first]
    if any(cell.casefold() == column.strip().casefold() for cell in cells for column in asked if cell):
        return True
    filled = [cell for cell in cells if cell]
    if not filled or len(set(filled)) < len(filled) or any(_NUMERIC.fullmatch(cell) for cell in filled):
        return False
    if any(len(cell) > 40 or len(cell.split()) > 4 for cell in filled):
        return False
    body = [row for row in body if len(row) == len(cells)]
    if any(cell and any(row[i].strip() == cell for row in body) for i, cell in enumerate(cells)):
        return False  # a class, or a text, that occurs again
    if known_names(cells):
        return True
    return len(body) >= 10 and len(cells) > 1 and _looks_unlike(cells, body)


def known_names(cells: Sequence[str]) -> bool:
    """Whether cells are well-known names of columns: "text", or names of a text beside a label or in a wide table."""
    tiers = [known_name(cell, TEXT_NAMES) for cell in cells]
    if 0 in tiers or (len(cells) > 2 and any(tier is not None for tier in tiers)):
        return True
    if len(cells) == 1:
        return tiers[0] is not None
    return _names_text_and_label(cells)


def _names_text_and_label(cells: Sequence[str]) -> bool:
    cells = [cell.strip().strip('"') for cell in cells]
    texts = sum(known_name(cell, TEXT_NAMES) is not None for cell in cells)
    return texts > 0 and any(known_name(cell, LABEL_NAMES) is not None for cell in cells)


def _looks_unlike(cells: list[str], body: list[list[str]]) -> bool:
    """Whether one or two words stand above a column of sentences, and a single name above numbers or classes."""
    words = [sum(len(row[i].split()) for row in body) / len(body) for i in range(len(cells))]
    longest = max(range(len(cells)), key=words.__getitem__)
    n_words = len(cells[longest].split())
    n_as_short = sum(len(row[longest].split()) <= n_words for row in body)
    if words[longest] < 3 or n_words > 2 or n_as_short > 0.05 * len(body):
        return False
    for i, cell in enumerate(cells):
        counts = Counter(row[i].strip() for row in body)
        numbers = all(_NUMERIC.fullmatch(value) for value in counts if value)
        classes = min(counts.values()) >= 2 and 2 <= len(counts) <= len(body) / 4
        if i != longest and cell and (numbers or classes):
            return True
    return False


def _best_delimiter(lines: Sequence[str]) -> str:
    """Delimiter of a file that is CSV: one with which nearly all rows have one length of at least two.

    Of several it is the one that makes well-known names of columns of the first row, then the one with the fewest
    spaces after it.
    """
    best, chosen = (-1.0, False, 0.0, 0), ","
    for delimiter in _DELIMITERS:
        rows = _sample_rows(lines, delimiter) or []
        if not rows:
            continue
        length, n = max(Counter(map(len, rows)).items(), key=lambda item: (item[1], item[0]))
        spaced = sum(cell.startswith(" ") for row in rows for cell in row[1:]) / len(rows)
        score = (round(n / len(rows), 1), _names_text_and_label(rows[0]), -spaced, length)
        if length > 1 and score > best and (score[0] >= 0.8 or delimiter == ","):
            best, chosen = score, delimiter
    return chosen


def _sample_rows(lines: Sequence[str], delimiter: str) -> list[list[str]] | None:
    """First rows of a table; None where quotes do not pair."""
    reader = csv.reader((line + "\n" for line in lines[:_SAMPLE]), delimiter=delimiter, strict=True)
    rows: list[list[str]] = []
    try:
        rows.extend(row for row in reader if row)
    except csv.Error:
        # The sample may end within quotes. Quotes that are wrong before that are no CSV.
        return rows if len(lines) > _SAMPLE and reader.line_num >= _SAMPLE else None
    return rows


def _has_quoted_field(line: str, delimiter: str) -> bool:
    """Whether quotes stand right beside a delimiter, as around fields; a sentence has a space there."""
    before, after = line.find(f'{delimiter}"'), line.find(f'"{delimiter}')
    return (before >= 0 and not line[before + 2 : before + 3].isspace()) or (
        after >= 0 and not line[after + 2 : after + 3].isspace() and line.startswith('"')
    )


def _is_quoted_tsv(lines: Sequence[str]) -> bool:
    """Whether quotes of a tab-separated file are syntax: some are doubled, or hold tabs and line breaks."""
    if not any(line.startswith('"') or '\t"' in line for line in lines):
        return False
    if any(_ESCAPED_QUOTE.search(line) for line in lines):
        return True
    lengths = {line.count("\t") for line in lines if line.strip()}
    if len(lengths) == 1:
        return False
    rows = _sample_rows(lines, "\t")
    return rows is not None and len(set(map(len, rows))) == 1 and len(rows[0]) > 1


def _quoted_rows(name: str, texts: Iterable[str], layout: Layout) -> Iterator[tuple[int, list[str]]]:
    """Rows of RFC 4180, and the line where each begins."""
    lines = itertools.chain.from_iterable(io.StringIO(text, newline="") for text in texts)
    limit = csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(
        itertools.islice(lines, layout.n_before, None),
        delimiter=layout.delimiter,
        strict=True,
        skipinitialspace=layout.is_spaced,
    )
    start = 1 + layout.n_before
    try:
        for row in reader:
            yield start, row if len(row) > 1 or any(map(str.strip, row)) else []
            start = reader.line_num + 1 + layout.n_before
    except csv.Error as error:
        raise DataError(
            f"{name}:{start}: not CSV: {error}. A quote inside a field is written twice; if these are whole lines, "
            "set --data.format lines"
        ) from None
    finally:
        csv.field_size_limit(limit)


def wrong_length(name: str, line: int, row: list[str], header: Header, delimiter: str) -> DataError:
    """What there is to say of a row with more or fewer columns than the others."""
    shown = "<TAB>" if delimiter == "\t" else delimiter
    n_columns = f"{len(row)} column{'' if len(row) == 1 else 's'}"
    if header.names is not None:
        layout = f": {shown.join(header.names)}"
    elif delimiter == "\t" and header.width == 2:  # as the format is defined
        layout = ": label<TAB>text"
    else:
        layout = f" as in line {header.first}" if header.first else ""
    return DataError(
        f"{name}:{line}: {n_columns}, expected {header.width}{layout} (quote a field that holds {shown}; for "
        "whole lines set --data.format lines)"
    )
