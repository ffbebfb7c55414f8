"""A corpus of a user's own text: files as people have them, or texts in memory."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import get_args

import numpy as np

from ..config import MemoryMap
from ..errors import ConfigError, DataError, alternatives
from ..terminal import counted
from .containers import STANDARD_INPUT, PathLike
from .corpus import Corpus, Split
from .examples import EmptyLines, Examples, Reading, left_out, read_examples
from .formats import FORMATS, Format, recognise_format
from .mapped_lists import UnreadTexts, n_repeated
from .mapped_text import MappedText, Mapping, map_text, subword_lists
from .splitting import held_out, holdout, one_of_each
from .token_lists import TokenLists, chosen, lengths_of
from .writing import OwnTokenization, Writing, read_words, with_writing

__all__ = ["LABEL", "load_text", "read_own_file", "recognise_format"]

#: Sentences that are held out for either purpose, at most: more of them would cost time, and tell no more.
MOST_HELD_OUT = 10_000
#: Labels of a file of its own (data.labelled) may be held out where there are as many, in all and a class on average.
MANY_LABELS, MANY_LABELS_EACH = 1000, 50

LABEL = "label"
"""Name of the label that a user's file gives."""


def load_text(
    train: object,
    valid: object = None,
    test: object = None,
    *,
    labelled: object = None,
    labels: Sequence[PathLike | None] = (None, None, None),
    format: Format = "auto",
    text_column: str | None = None,
    label_column: str | None = None,
    tokenization: OwnTokenization = "words",
    lowercase: bool = True,
    empty_lines: EmptyLines = "skip",
    seed: int = 0,
    vocabulary_size: int = 10_000,
    writing: Writing | None = None,
    memory_map: MemoryMap = "auto",
    cache: PathLike | None = None,
) -> Corpus:
    """Read text of the user's own.

    Where `valid` or `test` is not given, a tenth of the training sentences, at most MOST_HELD_OUT, takes its place. Of
    labelled sentences as large a share of each class is held out as possible, and never the last one of a class.

    Args:
        train: a path (docs/data.md has the formats; "-" is standard input, a folder is read as documents; see
            `files_of` for several files), or texts in memory: a list of strings, of (text, label) pairs or of
            dictionaries, a pandas or polars DataFrame or Series, a `datasets.Dataset`.
        valid: the same, to validate.
        test: the same, to test.
        labelled: the same, every example with a label, added to the training sentences. All of them stay there where
            they are few (below 1,000, or 50 a class), else at least the first of each class. A text that stands in
            both counts once, with its label, and is not held out.
        labels: for format lines, files that hold the label of each line of train, valid and test.
        format: "auto" recognises the format of each file.
        text_column: name of a column (or key), or its number from 1; by default the one sensible choice.
        label_column: the same; "0" reads no labels.
        tokenization: see `tokenize`; "bpe" learns subwords from the training split.
        lowercase: see `tokenize`.
        empty_lines: "skip" leaves empty lines out and counts them in the notes; "error" refuses a file that has some.
        seed: of the split.
        vocabulary_size: subwords at most.
        writing: what a model has learnt of the same text, in place of learning it again; see `with_writing`.
        memory_map: whether files without labels are encoded into a folder; see `Mapping`.
        cache: that folder.

    Raises:
        DataError: a file that cannot be read as its format; the message names file and line.
        ConfigError: an option out of range, or standard input asked for twice.
    """
    reading = _reading(format, empty_lines, text_column, label_column, has_labelled=labelled is not None)
    data = {"train": train, "valid": valid, "test": test, "labelled": labelled}
    notes: list[str] = []
    words = (tokenization, lowercase)
    name, splits = _splits(data, labels, reading, words, Mapping(memory_map, cache, vocabulary_size), notes)
    notes.extend(differing_in_case(splits.values()))
    kept = _add_labelled(splits, notes)
    corpus = _complete(name, splits, list(dict.fromkeys(notes)), seed, kept)
    return with_writing(corpus, tokenization, vocabulary_size, writing)


def _splits(
    data: dict[str, object],
    labels: Sequence[PathLike | None],
    reading: Reading,
    words: tuple[OwnTokenization, bool],
    mapping: Mapping,
    notes: list[str],
) -> tuple[str, dict[str, Split]]:
    """Name of the training text, and the splits of all that is given; `words` are tokenization and lower case."""
    mapped = _mapped(data, labels, reading, words, mapping)
    read = _read({name: None if name in mapped else given for name, given in data.items()}, labels, reading, notes)
    _refuse_columns_of_lines([*mapped.values(), *read.values()], reading.text_column, reading.label_column)
    splits = {name: _mapped_split(text, notes) for name, text in mapped.items()}
    for name, examples in read.items():
        splits[name] = _split(examples, *words, reading.empty_lines, notes)
    return mapped["train"].name if "train" in mapped else read["train"].name, splits


def _reading(
    format: Format, empty_lines: EmptyLines, text_column: str | None, label_column: str | None, *, has_labelled: bool
) -> Reading:
    """How files are read (ConfigError: a format or a way that there is not)."""
    if format not in FORMATS:
        raise ConfigError(f"data.format: {format!r}, {alternatives(format, FORMATS)}")
    if empty_lines not in get_args(EmptyLines):
        raise ConfigError(f"data.empty-lines: {empty_lines!r}, expected error or skip")
    return Reading(format, empty_lines, text_column, label_column, "optional" if has_labelled else "wanted")


def _mapped(
    data: dict[str, object],
    labels: Sequence[PathLike | None],
    reading: Reading,
    words: tuple[OwnTokenization, bool],
    mapping: Mapping,
) -> dict[str, MappedText]:
    """What is mapped of all that is given: files without labels, where no labels stand beside them."""
    has_labels = data["labelled"] is not None or any(path is not None for path in labels)
    if has_labels and mapping.mode == "always":
        raise ConfigError("data.memory-map: always given, but text with labels is read in memory; expected auto")
    mapped: dict[str, MappedText] = {}
    for name in () if has_labels else ("train", "valid", "test"):
        given = data[name]
        if isinstance(given, (str, os.PathLike)):
            text = map_text(given, reading, *words, mapping)
            if text is not None:
                mapped[name] = text
        elif given is not None and mapping.mode == "always":
            raise ConfigError(f"memory_map: always given, but {name} is data in memory; expected the path of a file")
    return mapped


def _mapped_split(text: MappedText, notes: list[str]) -> Split:
    """The texts of a mapped text, with their words where these have been read."""
    if text.n_skipped:
        notes.append(left_out(text.name, text.n_skipped, is_table=text.is_table))
    notes.extend(text.notes)
    texts, sentences = text.encoded.texts, text.encoded.sentences
    assert texts is not None
    return Split(sentences or UnreadTexts(texts, partial(subword_lists, text)), texts=texts)


def _read(
    data: dict[str, object], labels: Sequence[PathLike | None], reading: Reading, notes: list[str]
) -> dict[str, Examples]:
    """Examples of all that is given: train, valid, test, and labelled ones beside them."""
    if sum(isinstance(given, (str, os.PathLike)) and str(given) == STANDARD_INPUT for given in data.values()) > 1:
        raise ConfigError("data.train: standard input (-) can be read only once; give files for the others")
    read: dict[str, Examples] = {}
    for name, label_path in zip(("train", "valid", "test"), labels, strict=True):
        if data[name] is not None:
            read[name] = read_examples(data[name], reading, label_path=label_path, name=name)
    if data["labelled"] is not None:
        strict = Reading(reading.format, reading.empty_lines, reading.text_column, reading.label_column)
        read["labelled"] = _with_labels(read_examples(data["labelled"], strict, name="labelled"), notes)
    return read


def _add_labelled(splits: dict[str, Split], notes: list[str]) -> np.ndarray:
    """Put labelled sentences of a file of their own behind the training ones; those that are never held out."""
    if "labelled" not in splits:
        return np.zeros(0, dtype=np.int64)
    examples = splits["labelled"]
    splits["train"], equal = _without_labelled(splits["train"], examples, notes)
    others = sum(bool(value) for value in splits["train"].labels.get(LABEL, ()))
    if others:
        notes.append(
            f"{others:,} labels of the training file are learnt from beside those of data.labelled; for these alone "
            "give a training file without labels"
        )
    own = _never_held_out(examples.labels[LABEL])
    n_missing = sum(part not in splits for part in ("valid", "test"))
    if len(splits["train"]) - len(equal) < n_missing:  # all of the text is labelled: some of it has to be held out
        own = _first_of_each(examples.labels[LABEL])
    kept = np.concatenate((equal, len(splits["train"]) + own))
    parts = _same_labels(splits["train"], examples)
    values = [value for part in parts for value in part.labels[LABEL]]
    splits["train"] = Split(
        TokenLists.of(chain(splits["train"].sentences, examples.sentences)),
        {LABEL: values},
        texts=[*(splits["train"].texts or ()), *(examples.texts or ())],
    )
    return kept


def _without_labelled(train: Split, labelled: Split, notes: list[str]) -> tuple[Split, np.ndarray]:
    """The training sentences without those that stand among labelled ones again, as many times as they do.

    A text that stands in both counts once, with its label. Where the training text has it more often, or with another
    label, it stays: the second result are such sentences, which would give away held-out ones.
    """
    label_of = {tuple(s): v for s, v in zip(labelled.sentences, labelled.labels[LABEL], strict=True)}
    left = Counter(map(tuple, labelled.sentences))
    values = train.labels.get(LABEL, [""] * len(train))
    kept: list[int] = []
    equal: list[int] = []
    n_other = 0
    for index, (sentence, value) in enumerate(zip(map(tuple, train.sentences), values, strict=True)):
        if sentence in label_of:
            other = value not in ("", label_of[sentence])
            n_other += other
            if left[sentence] and not other:
                left[sentence] -= 1
                continue
            equal.append(len(kept))
        kept.append(index)
    n_taken = len(train) - len(kept)
    if n_taken:
        verbs = ("is", "counts") if n_taken == 1 else ("are", "count")
        labelled_too = f"{verbs[0]} labelled in data.labelled as well, and {verbs[1]} once"
        notes.append(f"{counted(n_taken, 'text')} of the training file {labelled_too}")
    if n_other:
        notes.append(
            f"{counted(n_other, 'text has', 'texts have')} another label in the training file than in data.labelled; "
            "both are learnt from"
        )
    if not n_taken:
        return train, np.array(equal, dtype=np.int64)
    texts = None if train.texts is None else [train.texts[i] for i in kept]
    labels = {name: [own[i] for i in kept] for name, own in train.labels.items()}
    return Split(chosen(train.sentences, kept), labels, texts=texts), np.array(equal, dtype=np.int64)


def _split(
    examples: Examples, tokenization: OwnTokenization, lowercase: bool, empty_lines: EmptyLines, notes: list[str]
) -> Split:
    """Tokens and labels of examples; what there is to say about them goes to the notes."""
    n_skipped = examples.n_skipped
    sentences, texts, labels = read_words(examples.texts, tokenization, lowercase), examples.texts, examples.labels
    kept = np.flatnonzero(lengths_of(sentences))
    if len(kept) < len(sentences):  # characters, but no word
        first = int(np.argmin(lengths_of(sentences)))
        if empty_lines == "error":
            raise DataError(
                f"{examples.where(first)}: no word in it; delete it, or leave it out by --data.empty-lines skip"
            )
        if not len(kept):
            raise DataError(f"{examples.name}: no word in it")
        n_skipped += len(sentences) - len(kept)
        labels, texts = [labels[i] for i in kept], [texts[i] for i in kept]
        sentences = chosen(sentences, kept)
    if n_skipped:
        notes.append(left_out(examples.name, n_skipped, is_table=examples.is_table))
    notes.extend(examples.notes)
    if any(labels):
        notes.extend(_with_two_labels(sentences, labels, examples, kept))
    return Split(sentences, {LABEL: labels} if any(labels) else {}, texts=texts)


def _with_two_labels(
    sentences: Sequence[list[str]], labels: list[str], examples: Examples, places: np.ndarray
) -> list[str]:
    """A note on texts that one file has with different labels.

    Args:
        sentences: words of N texts.
        labels: of each, "" where it has none.
        examples: the file.
        places: of each text in it.
    """
    first_of: dict[tuple[str, ...], int] = {}
    twice: dict[tuple[str, ...], int] = {}
    for index, (sentence, label) in enumerate(zip(map(tuple, sentences), labels, strict=True)):
        if label and labels[first_of.setdefault(sentence, index)] != label:
            twice.setdefault(sentence, index)
    if not twice:
        return []
    sentence, second = next(iter(twice.items()))
    first = first_of[sentence]
    n = counted(len(twice), "text has", "texts have")
    where = f"{labels[first]!r} at {examples.where(int(places[first]))}, {labels[second]!r} at "
    return [
        f"{examples.name}: {n} different labels, for instance {examples.texts[int(places[first])]!r:.80} ({where}"
        f"{examples.where(int(places[second]))}); each counts as often as it stands there, so mend the wrong ones"
    ]


def _never_held_out(labels: list[str]) -> np.ndarray:
    """Which labelled examples always stay in training: all where labels are few, else the first of each class."""
    first = _first_of_each(labels)
    many = len(labels) >= max(MANY_LABELS, MANY_LABELS_EACH * len(first))
    return first if many else np.arange(len(labels))


def _first_of_each(labels: list[str]) -> np.ndarray:
    """Index of the first example of each class."""
    return np.unique(labels, return_index=True)[1]


def _refuse_columns_of_lines(
    given: Sequence[Examples | MappedText], text_column: str | None, label_column: str | None
) -> None:
    for option, column in (("text-column", text_column), ("label-column", label_column)):
        if column is not None and not any(examples.is_table for examples in given):
            raise DataError(f"{given[0].name}: has no columns, but data.{option} {column!r} is asked for")


def _with_labels(examples: Examples, notes: list[str]) -> Examples:
    """Labelled examples, all of them with a label of at least two; classes with a single one are noted."""
    name, values = examples.name, examples.labels
    n_without = values.count("")
    if n_without:
        raise DataError(
            f"{name}: {n_without} of {counted(len(values), 'line')} have no label; data.labelled needs one in each"
        )
    counts = Counter(values)
    if len(counts) < 2:
        raise DataError(f"{name}: all {len(values)} lines have the label {values[0]!r}; expected at least two classes")
    single = sorted(value for value, count in counts.items() if count == 1)
    if single:
        notes.append(f"{name}: one example only of {', '.join(single)}; it is learnt from, nothing is held out of it")
    return examples


def read_own_file(
    path: PathLike, label_path: PathLike | None = None, *, format: Format = "auto", empty_lines: EmptyLines = "skip"
) -> tuple[list[str], list[str], int]:
    """Texts, labels ("" where there is none) and the number of empty lines left out, of one file.

    Raises:
        DataError: a file that cannot be read as its format; the message names file and line.
    """
    examples = read_examples(path, Reading(format, empty_lines), label_path=label_path)
    return examples.texts, examples.labels, examples.n_skipped


def differing_in_case(splits: Iterable[Split]) -> list[str]:
    """A note on classes whose names differ in capitals only."""
    counts = Counter(value for split in splits for value in split.labels.get(LABEL, ()) if value)
    groups: dict[str, list[str]] = {}
    for value in sorted(counts):
        groups.setdefault(value.casefold(), []).append(value)
    alike = [", ".join(f"{v!r} ({counts[v]:,})" for v in group) for group in groups.values() if len(group) > 1]
    return [f"classes that differ in capitals only, and are learnt apart: {'; '.join(alike[:10])}"] if alike else []


def _complete(name: str, splits: dict[str, Split], notes: list[str], seed: int, kept: np.ndarray) -> Corpus:
    """The corpus of train, valid and test, missing ones split off the training sentences but those `kept`."""
    train = splits["train"]
    missing = [part for part in ("test", "valid") if part not in splits]
    if len(train) - len(kept) < len(missing) + (len(kept) == 0):
        needed = len(missing) + (len(kept) or 1)
        raise DataError(f"{name}: {counted(len(train), 'sentence')}; splitting needs at least {needed}")
    if missing:
        kept = _with_every_class(train, kept, len(missing), seed, notes)
    n_held_out = min(MOST_HELD_OUT, max(1, round(len(train) / 10)))
    held: dict[str, Split] = {}
    for number, part in enumerate(missing, 1):
        n_others = len(missing) - number  # to be held out after this one
        n = min(n_held_out, len(train) - max(1, len(kept)) - n_others)
        left = np.cumsum(~held_out(len(train), n, seed, kept, train.labels.get(LABEL))) - 1 if len(kept) else kept
        train, held[part] = holdout(train, n, seed, kept, train.labels.get(LABEL))
        kept = left[kept]  # where they stand now
        purpose = "test" if part == "test" else "validate"
        notes.append(f"{counted(len(held[part]), 'sentence')} of the training file held out to {purpose}")
    valid, test = (splits[part] if part in splits else held[part] for part in ("valid", "test"))
    n_both = n_repeated(train.sentences, test.sentences)
    if n_both:
        notes.append(f"{n_both} of {len(test)} test texts also occur in the training split")
    train, valid, test = _same_labels(train, valid, test)
    return Corpus("lines", train, valid, test, notes=tuple(notes))


def _with_every_class(train: Split, kept: np.ndarray, n_needed: int, seed: int, notes: list[str]) -> np.ndarray:
    """`kept`, and an example of every class that has none there, where enough others are left to hold out."""
    labels = train.labels.get(LABEL)
    if labels is None:
        return kept
    every = one_of_each(labels, seed, kept)
    if len(train) - len(every) >= n_needed:
        return every
    notes.append(f"{len(set(labels))} classes in {len(train)} texts: some are not in the training split")
    return kept


def _same_labels(*splits: Split) -> list[Split]:
    """Splits that all have a label where any has one: unlabelled sentences get ""."""
    if not any(LABEL in split.labels for split in splits):
        return list(splits)
    return [replace(s, labels={LABEL: s.labels.get(LABEL, [""] * len(s))}) for s in splits]
