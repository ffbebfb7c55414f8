"""Corpora of separate sentences: Penn Treebank, Yelp, CLINC150, SNIPS."""

from pathlib import Path

from ...errors import DataError
from ..corpus import Corpus, Split
from ..splitting import holdout
from ..text_files import find_file, read_filled_lines
from ..tokenize import tokenize


def read_ptb(root: Path) -> Corpus:
    """Penn Treebank in Mikolov's preprocessing: ptb.{train,valid,test}.txt, tokenised, rare words already "<unk>".

    Raises:
        DataError: a missing file, an empty line, a file that is not UTF-8.
    """

    def split(name: str) -> Split:
        path = find_file(root, f"ptb/ptb.{name}.txt", f"ptb.{name}.txt")
        return Split([line.split() for line in read_filled_lines(path)])

    return Corpus("ptb", split("train"), split("valid"), split("test"))


def read_yelp(root: Path) -> Corpus:
    """Yelp reviews of Li et al. (2018): sentiment.{train,dev,test}.{0,1}, tokenised; label "sentiment".

    Raises:
        DataError: a missing file, an empty line, a file that is not UTF-8.
    """

    def split(name: str) -> Split:
        sentences: list[list[str]] = []
        labels: list[str] = []
        for number, sentiment in enumerate(("negative", "positive")):
            path = find_file(root, f"yelp/sentiment.{name}.{number}", f"sentiment.{name}.{number}")
            lines = read_filled_lines(path)
            sentences += [line.split() for line in lines]
            labels += [sentiment] * len(lines)
        return Split(sentences, {"sentiment": labels})

    return Corpus("yelp", split("train"), split("dev"), split("test"))


def read_clinc150(root: Path, lowercase: bool = True) -> Corpus:
    """CLINC150 (Larson et al. 2019), in-scope part: clinc150.tsv, split, domain, intent, text in each line.

    Raises:
        DataError: a missing file, wrong columns, an unknown split.
    """
    path = find_file(root, "clinc150/clinc150.tsv", "clinc150.tsv")
    splits = _read_columns(path, ("domain", "intent"), ("train", "val", "test"), lowercase)
    return Corpus("clinc150", splits["train"], splits["val"], splits["test"])


def read_snips(root: Path, lowercase: bool = True, seed: int = 0) -> Corpus:
    """SNIPS (Coucke et al. 2018): snips.tsv, split, intent, text in each line.

    The release has no third split: its 700 validation sentences are the test split here, and 700 training sentences
    chosen by `seed` are the validation split.

    Raises:
        DataError: a missing file, wrong columns, an unknown split.
    """
    path = find_file(root, "snips/snips.tsv", "snips.tsv")
    splits = _read_columns(path, ("intent",), ("train", "valid"), lowercase)
    if min(map(len, splits.values())) == 0:
        raise DataError(f"{path}: expected sentences of both splits, train and valid")
    rest, valid = holdout(splits["train"], min(700, len(splits["train"]) // 2), seed)
    note = f"the released validation split is the test split; {len(valid)} training sentences are held out to validate"
    return Corpus("snips", rest, valid, splits["valid"], notes=(note,))


def _read_columns(path: Path, labels: tuple[str, ...], names: tuple[str, ...], lowercase: bool) -> dict[str, Split]:
    """Splits of a file whose lines hold split, labels and text, tab-separated."""
    sentences: dict[str, list[list[str]]] = {name: [] for name in names}
    splits = {name: Split(sentences[name], {label: [] for label in labels}) for name in names}
    expected = 2 + len(labels)
    for number, line in enumerate(read_filled_lines(path), 1):
        columns = line.split("\t")
        if len(columns) != expected:
            layout = "<TAB>".join(("split", *labels, "text"))
            raise DataError(f"{path}:{number}: {len(columns)} columns, expected {expected}: {layout}")
        if columns[0] not in splits:
            raise DataError(f"{path}:{number}: unknown split {columns[0]!r}, expected one of {', '.join(names)}")
        tokens = tokenize(columns[-1], lowercase=lowercase)
        if not tokens:
            raise DataError(f"{path}:{number}: no text")
        sentences[columns[0]].append(tokens)
        for label, value in zip(labels, columns[1:], strict=False):
            splits[columns[0]].labels[label].append(value)
    return splits
