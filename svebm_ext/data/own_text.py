"""A user's own text: one sentence per line, label<TAB>text, or JSON lines."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import ConfigError, DataError
from .corpus import Corpus, Split
from .splitting import holdout, holdout_order
from .text_files import PathLike, parse_json_object, read_lines
from .tokenize import is_blank
from .writing import OwnTokenization, Writing, read_words, with_writing

Format = Literal["auto", "lines", "tsv", "jsonl"]
EmptyLines = Literal["error", "skip"]
LABEL = "label"
"""Name of the label that a user's file gives."""


def load_text(
    train: PathLike,
    valid: PathLike | None = None,
    test: PathLike | None = None,
    *,
    labelled: PathLike | None = None,
    labels: Sequence[PathLike | None] = (None, None, None),
    format: Format = "auto",
    tokenization: OwnTokenization = "words",
    lowercase: bool = True,
    empty_lines: EmptyLines = "error",
    seed: int = 0,
    vocabulary_size: int = 10_000,
    writing: Writing | None = None,
) -> Corpus:
    """Read text of the user's own.

    Where `valid` or `test` is not given, a tenth of the training file's sentences, chosen by `seed`, takes its place.

    Args:
        train, valid, test: files, plain or gzipped. `lines`: one sentence a line; `tsv`: label<TAB>text; `jsonl`:
            {"text": ..., "label": ...} in each line, the label optional.
        labelled: file whose every line has a label, added to the training sentences; the first sentence of each class
            in it is never held out.
        labels: for `lines`, files that hold the label of each line of train, valid and test.
        format: "auto" recognises the format of each file.
        tokenization, lowercase: see `tokenize`; "bpe" learns subwords from the training split.
        empty_lines: "error" refuses a file with empty lines; "skip" leaves them out and counts them in the notes.
        seed: of the split.
        vocabulary_size: subwords at most.
        writing: what a model has learnt of the same text, in place of learning it again; see `with_writing`.

    Raises:
        DataError: a file that cannot be read as its format; the message names file and line.
    """
    if format not in ("auto", "lines", "tsv", "jsonl"):
        raise ConfigError(f"data.format: {format!r}, expected auto, lines, tsv or jsonl")
    if empty_lines not in ("error", "skip"):
        raise ConfigError(f"data.empty-lines: {empty_lines!r}, expected error or skip")
    notes: list[str] = []
    splits: list[Split | None] = []
    for path, label_path in zip((train, valid, test), labels, strict=True):
        if path is None:
            splits.append(None)
            continue
        texts, values, n_skipped = read_own_file(path, label_path, format=format, empty_lines=empty_lines)
        if n_skipped:
            notes.append(f"{path}: {n_skipped} empty lines left out")
        sentences = read_words(texts, tokenization, lowercase)
        splits.append(Split(sentences, {LABEL: values} if any(values) else {}, texts=texts))
    kept = np.zeros(0, dtype=np.int64)
    if labelled is not None and splits[0] is not None:
        examples = _labelled_split(labelled, format, tokenization, lowercase, notes)
        kept = len(splits[0]) + np.unique(examples.labels[LABEL], return_index=True)[1]
        parts = _same_labels(splits[0], examples)
        values = [value for part in parts for value in part.labels[LABEL]]
        splits[0] = Split(
            splits[0].sentences + examples.sentences,
            {LABEL: values},
            texts=(splits[0].texts or []) + (examples.texts or []),
        )
    return with_writing(_complete(train, splits, notes, seed, kept), tokenization, vocabulary_size, writing)


def _labelled_split(
    path: PathLike, format: Format, tokenization: OwnTokenization, lowercase: bool, notes: list[str]
) -> Split:
    """The sentences of a file of labelled examples; classes with a single one are noted."""
    texts, values, _ = read_own_file(path, format=format)
    n_without = values.count("")
    if n_without:
        raise DataError(f"{path}: {n_without} of {len(values)} lines have no label; data.labelled needs one in each")
    counts = Counter(values)
    if len(counts) < 2:
        raise DataError(f"{path}: all {len(values)} lines have the label {values[0]!r}; expected at least two classes")
    single = sorted(name for name, count in counts.items() if count == 1)
    if single:
        notes.append(f"{path}: one example only of {', '.join(single)}; it is learnt from, nothing is held out of it")
    return Split(read_words(texts, tokenization, lowercase), {LABEL: values}, texts=texts)


def read_own_file(
    path: PathLike, label_path: PathLike | None = None, *, format: Format = "auto", empty_lines: EmptyLines = "error"
) -> tuple[list[str], list[str], int]:
    """Texts, labels ("" where there is none) and the number of empty lines left out, of one file.

    Raises:
        DataError: a file that cannot be read as its format; the message names file and line.
    """
    lines = read_lines(path)
    chosen = recognise_format(path, lines) if format == "auto" else format
    if label_path is not None and chosen != "lines":
        raise DataError(f"{label_path}: a file of labels goes with format lines, but {path} is {chosen}")
    label_lines = read_lines(label_path) if label_path is not None else None
    if label_lines is not None and len(label_lines) != len(lines):
        shorter = min(len(label_lines), len(lines))
        raise DataError(f"{label_path}:{shorter + 1}: {len(label_lines)} labels for {len(lines)} lines of {path}")
    texts, labels, n_skipped = [], [], 0
    for number, line in enumerate(lines, 1):
        text, label = line, label_lines[number - 1].strip() if label_lines is not None else ""
        if line.strip() and chosen == "tsv":
            label, text = _tsv_line(path, number, line)
        elif line.strip() and chosen == "jsonl":
            label, text = _json_line(path, number, line)
        if not is_blank(text):
            texts.append(text)
            labels.append(label)
        elif empty_lines == "skip":
            n_skipped += 1
        else:
            raise DataError(f"{path}:{number}: empty line; delete it, or set data.empty-lines to skip")
    if not texts:
        raise DataError(f"{path}: no text in {len(lines)} lines")
    return texts, labels, n_skipped


def recognise_format(path: PathLike, lines: Sequence[str]) -> Literal["lines", "tsv", "jsonl"]:
    """Format of a file: by its ending (.jsonl, .ndjson, .tsv), else by its lines.

    JSON lines where the first line is an object; label<TAB>text where more than half of the first 1,000 lines hold a
    tab, so that one line without it is an error and no sentence; one sentence per line otherwise.
    """
    ending = Path(str(path).removesuffix(".gz")).suffix.lower()
    if ending in (".jsonl", ".ndjson"):
        return "jsonl"
    if ending == ".tsv":
        return "tsv"
    filled = [line for line in lines[:1000] if line.strip()]
    if filled and filled[0].lstrip().startswith("{") and _is_object(filled[0]):
        return "jsonl"
    return "tsv" if 2 * sum("\t" in line for line in filled) > len(filled) else "lines"


def _is_object(line: str) -> bool:
    try:
        parse_json_object("", 0, line)
    except DataError:
        return False
    return True


def _tsv_line(path: PathLike, number: int, line: str) -> tuple[str, str]:
    columns = line.split("\t")
    if len(columns) != 2:
        raise DataError(f"{path}:{number}: {len(columns)} columns, expected 2: label<TAB>text (or set data.format)")
    return columns[0].strip(), columns[1]


def _json_line(path: PathLike, number: int, line: str) -> tuple[str, str]:
    row = parse_json_object(path, number, line)
    text, label = row.get("text"), row.get("label")
    if not isinstance(text, str):
        found = "no text" if "text" not in row else f"text of type {type(text).__name__}"
        raise DataError(f'{path}:{number}: {found}; expected {{"text": "...", "label": "..."}}')
    if label is not None and not isinstance(label, str | int):
        raise DataError(f"{path}:{number}: label of type {type(label).__name__}; expected a string or a whole number")
    return "" if label is None else str(label).strip(), text


def _complete(
    train_path: PathLike, splits: list[Split | None], notes: list[str], seed: int, kept: np.ndarray
) -> Corpus:
    """The corpus of train, valid and test, missing ones split off the training sentences but those `kept`."""
    train, valid, test = splits
    assert train is not None
    n_missing = (valid is None) + (test is None)
    if len(train) - len(kept) < n_missing + (len(kept) == 0):
        needed = n_missing + (len(kept) or 1)
        raise DataError(f"{train_path}: {len(train)} sentences; splitting needs at least {needed}")
    n_held_out = max(1, round(len(train) / 10))
    if test is None:
        n_test = min(n_held_out, len(train) - len(kept) - n_missing + (len(kept) > 0))
        left = np.sort(holdout_order(len(train), seed, kept)[n_test:])
        train, test = holdout(train, n_test, seed, kept)
        kept = np.searchsorted(left, kept)  # where they stand now
        notes.append(f"{len(test)} sentences of the training file held out to test")
    if valid is None:
        train, valid = holdout(train, min(n_held_out, len(train) - max(1, len(kept))), seed, kept)
        notes.append(f"{len(valid)} sentences of the training file held out to validate")
    known = set(map(tuple, train.sentences))
    n_repeated = sum(tuple(sentence) in known for sentence in test.sentences)
    if n_repeated:
        notes.append(f"{n_repeated} of {len(test)} test sentences also occur in the training split")
    train, valid, test = _same_labels(train, valid, test)
    return Corpus("lines", train, valid, test, notes=tuple(notes))


def _same_labels(*splits: Split) -> list[Split]:
    """Splits that all have a label where any has one: unlabelled sentences get ""."""
    if not any(LABEL in split.labels for split in splits):
        return list(splits)
    return [replace(s, labels={LABEL: s.labels.get(LABEL, [""] * len(s))}) for s in splits]
