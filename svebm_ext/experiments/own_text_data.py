"""Corpora of `own-text` as files: label<TAB>text, one for training and one to test, as a user brings them."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from svebm_ext.data.assistant import load_assistant
from svebm_ext.data.corpora import load_corpus
from svebm_ext.data.own_text import load_text
from svebm_ext.data.readers.dialogs import END_OF_UTTERANCE
from svebm_ext.data.readers.news import TOPICS, clean_news
from svebm_ext.data.splitting import shuffled
from svebm_ext.data.text_files import find_file, read_filled_lines, read_json_lines
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.files import read_json, write_json, write_whole

#: A label and a text.
Line = tuple[str, str]
#: Training and test lines of a corpus below a data root.
Reader = Callable[[Path], tuple[list[Line], list[Line]]]
#: Folder of the files in OUT.
FOLDER = "data"


def _columns(path: Path, label: int, train: str, test: str, n_columns: int) -> tuple[list[Line], list[Line]]:
    """Lines of the training and the test split of a file: split, labels and text in columns."""
    lines: dict[str, list[Line]] = {train: [], test: []}
    for number, line in enumerate(read_filled_lines(path), 1):
        columns = line.split("\t")
        if len(columns) != n_columns:
            raise DataError(f"{path}:{number}: {len(columns)} columns, expected {n_columns}")
        if columns[0] in lines:
            lines[columns[0]].append((columns[label], columns[-1]))
    return lines[train], lines[test]


def _assistant(root: Path) -> tuple[list[Line], list[Line]]:
    corpus = load_assistant()
    return tuple(  # type: ignore[return-value]
        [(label, " ".join(s)) for label, s in zip(split.labels["domain_act"], split.sentences, strict=True)]
        for split in (corpus.train, corpus.test)
    )


def _clinc150(root: Path, label: int) -> tuple[list[Line], list[Line]]:
    return _columns(find_file(root, "clinc150/clinc150.tsv", "clinc150.tsv"), label, "train", "test", 4)


def _snips(root: Path) -> tuple[list[Line], list[Line]]:
    return _columns(find_file(root, "snips/snips.tsv", "snips.tsv"), 1, "train", "valid", 3)


def _banking77(root: Path) -> tuple[list[Line], list[Line]]:
    return _columns(find_file(root, "own_text/banking77.tsv", "banking77.tsv"), 1, "train", "test", 3)


def _agnews(root: Path) -> tuple[list[Line], list[Line]]:
    def lines(name: str) -> list[Line]:
        path = find_file(root, f"agnews/{name}.jsonl", f"{name}.jsonl")
        return [(TOPICS[str(row["label"])], clean_news(str(row["headline"]))) for _, row in read_json_lines(path)]

    return lines("train"), lines("test")


def _daily_dialog(root: Path) -> tuple[list[Line], list[Line]]:
    corpus = load_corpus("daily-dialog", root)  # checks that utterances and labels pair

    def lines(name: str, acts: Sequence[str]) -> list[Line]:
        names = [f"{name}/dialogues.txt", f"{name}/dialogues_{name}.txt"]
        path = find_file(root, *(f"daily_dialog/{n}" for n in names), *names)
        texts = [text for line in read_filled_lines(path) for text in line.split(END_OF_UTTERANCE)[:-1]]
        return list(zip(acts, texts, strict=True))

    return lines("train", corpus.train.labels["act"]), lines("test", corpus.test.labels["act"])


def _yelp(root: Path) -> tuple[list[Line], list[Line]]:
    corpus = load_corpus("yelp", root)
    return tuple(  # type: ignore[return-value]
        [(label, " ".join(s)) for label, s in zip(split.labels["sentiment"], split.sentences, strict=True)]
        for split in (corpus.train, corpus.test)
    )


READERS: dict[str, Reader] = {
    "assistant": _assistant,
    "clinc150": lambda root: _clinc150(root, 2),
    "clinc150-domains": lambda root: _clinc150(root, 1),
    "snips": _snips,
    "banking77": _banking77,
    "agnews": _agnews,
    "daily-dialog": _daily_dialog,
    "yelp": _yelp,
}
#: For people.
TITLES = {
    "assistant": "embedded assistant requests (domain and act)",
    "clinc150": "CLINC150 (intents)",
    "clinc150-domains": "CLINC150 (domains)",
    "snips": "SNIPS (intents)",
    "banking77": "BANKING77 (intents)",
    "agnews": "AG News, headlines (topics)",
    "daily-dialog": "DailyDialog (acts)",
    "yelp": "Yelp sentences (sentiment)",
}
#: What makes figures of a corpus incomparable with published ones.
PARTIAL = {
    "agnews": "AG News has 48,459 of 115,000 training documents where the data root has no more, and headlines only",
    "yelp": "Yelp has 60 % of its training sentences where the data root has no more",
    "clinc150": "CLINC150 is its in-scope part",
}


# Files ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Files:
    """The files of a corpus in OUT."""

    train: Path
    test: Path

    @classmethod
    def of(cls, out: Path, corpus: str) -> Files:
        """The files of a corpus, whether they are there or not."""
        return cls(*(out / FOLDER / f"{corpus}.{split}.tsv" for split in ("train", "test")))


def write_files(corpus: str, root: Path | None, out: Path, limits: tuple[int, int]) -> Files:
    """Write the files of a corpus, where they are not there yet.

    Args:
        corpus: key of READERS.
        root: the data root; the embedded corpus needs none.
        out: folder of the experiment.
        limits: lines of the training and of the test file at most, evenly spread; 0: all.

    Raises:
        DataError: the corpus is not in the data root, or damaged.
        ConfigError: the files are there, of other limits.
    """
    files, about = Files.of(out, corpus), out / FOLDER / f"{corpus}.json"
    wanted = {"limits": list(limits)}
    if about.exists():
        there = read_json(about)
        if there["limits"] != wanted["limits"]:
            raise ConfigError(f"--out: {about.parent} has {corpus} for another budget ({there}); choose another folder")
        return files
    if root is None and corpus != "assistant":
        raise DataError("no data root given (--data.root DIR)")
    parts = READERS[corpus](root or Path())
    about.parent.mkdir(parents=True, exist_ok=True)
    for path, lines, limit in zip((files.train, files.test), parts, limits, strict=True):
        write_lines(path, spread([line for line in lines if line[0] and one_line(line[1])], limit))
    write_json(about, wanted)
    return files


def spread(lines: Sequence[Line], limit: int) -> list[Line]:
    """At most `limit` of the lines, evenly spread over them; 0: all."""
    if limit == 0 or len(lines) <= limit:
        return list(lines)
    return [lines[place * len(lines) // limit] for place in range(limit)]


def write_lines(path: Path, lines: Iterable[Line]) -> None:
    """label<TAB>text, each text in one line."""
    write_whole(path, "".join(f"{label}\t{one_line(text)}\n" for label, text in lines))


def one_line(text: str) -> str:
    """Tabs and line breaks become spaces; control characters, which SNIPS has some of, are refused and taken out."""
    return "".join(character for character in " ".join(text.split()) if unicodedata.category(character) != "Cc")


@dataclass(frozen=True)
class Texts:
    """Texts of a file as they are written, as words of the package, and their labels."""

    written: Sequence[str]
    words: Sequence[list[str]]
    labels: list[str]

    @property
    def classes(self) -> list[str]:
        """Distinct labels, sorted."""
        return sorted(set(self.labels))

    def as_words(self) -> set[tuple[str, ...]]:
        """The distinct texts."""
        return set(map(tuple, self.words))


def read_files(files: Files) -> tuple[Texts, Texts]:
    """All texts of the training and of the test file, none held out, read as preset `lines` reads them."""
    corpus = load_text(files.train, files.test, files.test)
    train, test = (
        Texts(split.texts or [], split.sentences, split.labels["label"]) for split in (corpus.train, corpus.test)
    )
    return train, test


def choose_labelled(labels: Sequence[str], n_of_class: int, seed: int) -> list[int]:
    """Which lines keep their label: `n_of_class` of each class, all of a smaller one; chosen by `seed`, ascending."""
    counts: Counter[str] = Counter()
    chosen = []
    for row in shuffled(len(labels), seed).tolist():
        if counts[labels[row]] < n_of_class:
            counts[labels[row]] += 1
            chosen.append(row)
    return sorted(chosen)
