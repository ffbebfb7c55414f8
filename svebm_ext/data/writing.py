"""How a model reads and writes text of the user's own: what is learnt beside the vocabulary and kept with the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from ..config import DataConfig, has_subwords
from ..errors import DataError, ModelFolderError
from ..files import read_json, write_whole
from .corpus import Corpus, Split
from .mapped_lists import UnreadTexts
from .subwords import Subwords
from .surface import Surface
from .token_lists import TokenLists
from .tokenize import Tokenization, tokenize
from .vocabulary import Vocabulary

OwnTokenization = Tokenization | Literal["bpe"]
Writing = Surface | Subwords
"""Words and how they are written, or subwords."""
SURFACE, TOKENIZER = "surface.json", "tokenizer.json"
FORMAT, VERSION = "svebm_ext.surface", 1


def read_words(texts: Sequence[str], tokenization: OwnTokenization, lowercase: bool) -> Sequence[list[str]]:
    """Words of each text; each text as one word where subwords are still to be learnt.

    Raises:
        ConfigError: an unknown tokenization.
    """
    if tokenization == "bpe":
        return [[text] for text in texts]
    return TokenLists.of(tokenize(text, tokenization, lowercase) for text in texts)


def with_writing(
    corpus: Corpus, tokenization: OwnTokenization, max_size: int = 10_000, writing: Writing | None = None
) -> Corpus:
    """The corpus with what is learnt of its training texts: how words are written, or subwords for its sentences.

    Args:
        corpus: whose splits have their texts.
        tokenization: "words" learns a `Surface`, "bpe" `Subwords`, "whitespace" nothing.
        max_size: subwords at most.
        writing: what was learnt before, of the same training texts; it is taken as it is.

    Raises:
        ConfigError: see `Subwords.learn`.
    """
    train = corpus.train
    if train.texts is None or tokenization == "whitespace":
        return corpus
    if tokenization == "words":
        surface = writing if isinstance(writing, Surface) else Surface.learn(train.texts, train.sentences)
        return replace(corpus, writing=surface)
    subwords = writing if isinstance(writing, Subwords) else Subwords.learn(train.texts, max_size)

    def encoded(split: Split) -> Split:
        if isinstance(split.sentences, UnreadTexts):
            return replace(split, sentences=split.sentences.subwords(subwords))
        return replace(split, sentences=TokenLists.of(subwords.words(text) for text in split.texts or ()))

    return replace(
        corpus, train=encoded(train), valid=encoded(corpus.valid), test=encoded(corpus.test), writing=subwords
    )


def save_writing(writing: Writing | None, folder: Path) -> None:
    """Write `surface.json` or `tokenizer.json` into a model folder, or nothing."""
    if isinstance(writing, Subwords):
        writing.save(folder / TOKENIZER)
    elif writing is not None:
        content = {"format": FORMAT, "version": VERSION, **writing.to_dict()}
        write_whole(folder / SURFACE, json.dumps(content, ensure_ascii=False) + "\n")


def load_writing(folder: Path, data: DataConfig, vocabulary: Vocabulary | None = None) -> Writing | None:
    """What `save_writing` wrote; None for folders without it, whose words are joined by spaces.

    Args:
        folder: of the model.
        data: its configuration, which tells whether it has subwords.
        vocabulary: its words; subwords must be the same.

    Raises:
        ModelFolderError: a file is damaged or belongs to another model, or the tokenizer of subwords is missing.
        ConfigError: the package tokenizers is not installed.
    """
    if has_subwords(data):
        subwords = Subwords.load(folder / TOKENIZER)
        if vocabulary is not None and subwords.tokens != vocabulary.tokens[len(Vocabulary.SPECIAL) :]:
            raise ModelFolderError(f"{folder / TOKENIZER}: its subwords are not those of vocab.json, of another model")
        return subwords
    path = folder / SURFACE
    if not path.exists() and not path.is_symlink():
        return None
    content = read_json(path)
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT:
        raise ModelFolderError(f'{path}: expected a JSON object with "format": "{FORMAT}"')
    version = content.pop("version", None)
    if version != VERSION:
        raise ModelFolderError(f"{path}: version {version!r}; this program reads {VERSION}")
    try:
        return Surface.from_dict(content)
    except DataError as error:
        raise ModelFolderError(f"{path}: {error}") from error
