"""Corpora by name: the published ones, the embedded one, and what a configuration asks for."""

import os
from collections.abc import Callable
from pathlib import Path

from ..config import FORMER_CORPORA, DataConfig
from ..errors import ConfigError, DataError, alternatives
from .corpus import Corpus
from .own_text import load_text
from .readers.dialogs import read_daily_dialog, read_smd
from .readers.news import read_agnews
from .readers.sentences import read_clinc150, read_ptb, read_snips, read_yelp
from .writing import Writing

ROOT_VARIABLE = "SVEBM_DATA_ROOT"
"""Environment variable that names the data root where no option does."""

_Reader = Callable[[Path, bool | None, int], Corpus]
_READERS: dict[str, _Reader] = {
    "ptb": lambda root, lowercase, seed: read_ptb(root),
    "daily-dialog": lambda root, lowercase, seed: read_daily_dialog(root, lowercase is not False),
    "smd": lambda root, lowercase, seed: read_smd(root, lowercase is True),
    "yelp": lambda root, lowercase, seed: read_yelp(root),
    "agnews": lambda root, lowercase, seed: read_agnews(root, lowercase is not False, seed),
    "clinc150": lambda root, lowercase, seed: read_clinc150(root, lowercase is not False),
    "snips": lambda root, lowercase, seed: read_snips(root, lowercase is not False, seed),
}
PUBLISHED = tuple(_READERS)
"""Corpora that are read from a data root."""


def load_corpus(
    name: str, root: str | os.PathLike[str] | None = None, *, lowercase: bool | None = None, seed: int = 0
) -> Corpus:
    """A corpus by name: "assistant" (embedded), or one of `PUBLISHED` in its release layout, plain or .gz.

    Args:
        name: which corpus.
        root: folder that holds the corpora (root/ptb/ptb.train.txt and so on) or the files of this one; by default
            the environment variable SVEBM_DATA_ROOT.
        lowercase: None is the corpus's custom (SMD keeps upper case); PTB and Yelp are published in lower case.
        seed: of the embedded corpus, and of splits that a release lacks.

    Raises:
        DataError: an unknown name, no root, missing or damaged files; the message names file and line.
    """
    name = FORMER_CORPORA.get(name, name)
    if name == "assistant":
        from .assistant import load_assistant

        return load_assistant(seed)
    if name not in _READERS:
        raise DataError(f"no corpus named {name!r}; {alternatives(name, ('assistant', *PUBLISHED))}")
    root = root if root is not None else os.environ.get(ROOT_VARIABLE)
    if not root:
        from .download import instructions

        raise DataError(
            f"corpus {name!r} needs a data root: --data.root DIR or {ROOT_VARIABLE}=DIR. {instructions(name)}"
        )
    return _READERS[name](Path(root), lowercase, seed)


def load_configured(config: DataConfig, writing: Writing | None = None) -> Corpus:
    """The corpus that a configuration's data section asks for.

    Args:
        config: the data section.
        writing: of a model that was trained on it, so that text of the user's own is read as the model reads it.

    Raises:
        DataError: as `load_corpus` and `load_text`.
        ConfigError: corpus "lines" without data.train, or a corpus that is no text.
    """
    if config.corpus in ("gaussians8", "pinwheel"):
        raise ConfigError(f"data.corpus: {config.corpus} is points of the plane, expected a corpus of sentences")
    if config.corpus != "lines":
        root = None if config.root is None else config.root.expanduser()
        corpus = load_corpus(config.corpus, root, seed=config.seed)
        if config.speaker_marks:
            from .dialogs import mark_speakers  # which needs torch

            corpus = mark_speakers(corpus)
        return corpus
    if config.train is None:
        raise ConfigError("data.train: corpus lines needs a file of your own text")
    return load_text(
        config.train,
        config.valid,
        config.test,
        labelled=config.labelled,
        format=config.format,
        text_column=config.text_column,
        label_column=config.label_column,
        tokenization=config.tokenization,
        lowercase=config.lowercase,
        empty_lines=config.empty_lines,
        seed=config.seed,
        vocabulary_size=config.vocabulary_size,
        writing=writing,
        memory_map=config.memory_map,
        cache=config.cache,
    )
