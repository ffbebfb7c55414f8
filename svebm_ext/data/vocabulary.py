"""Words and their ids, built from training data only and saved with the model."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from ..errors import DataError, ModelFolderError
from ..files import read_json, write_whole
from .token_lists import counts_of

FORMAT = "svebm_ext.vocabulary"
VERSION = 1


class Vocabulary:
    """A bijection of tokens and ids 0 .. len - 1; the first four are padding, unknown, begin and end of sentence.

    Args:
        words: distinct words in the order of their ids, the four special tokens left out.

    Raises:
        DataError: a word is no string, is empty, holds white space, is a special token or occurs twice.
    """

    PAD, UNKNOWN, BEGIN, END = 0, 1, 2, 3
    SPECIAL = ("<pad>", "<unk>", "<bos>", "<eos>")

    def __init__(self, words: Sequence[str]) -> None:
        for word in words:
            _check_word(word)
        self.tokens: tuple[str, ...] = (*self.SPECIAL, *words)
        self._ids = {token: i for i, token in enumerate(self.tokens)}
        if len(self._ids) != len(self.tokens):
            seen = Counter(self.tokens)
            raise DataError(
                f"vocabulary holds {next(t for t in seen if seen[t] > 1)!r:.80} twice; words must be distinct"
            )
        # Text that happens to contain "<bos>" must not be able to forge a sentence boundary.
        self._encoding = {**self._ids, **dict.fromkeys(self.SPECIAL, self.UNKNOWN)}

    @classmethod
    def build(cls, sentences: Iterable[Sequence[str]], max_size: int = 10_000, min_count: int = 1) -> "Vocabulary":
        """The `max_size` most frequent words (special tokens not counted), ties in alphabetical order.

        Args:
            sentences: tokens of each training sentence; special tokens among them (PTB's "<unk>") are left out.
            max_size: words at most.
            min_count: words seen less often are left out.

        Raises:
            DataError: max_size is negative, min_count below 1, or a token is not a usable word.
        """
        if max_size < 0 or min_count < 1:
            raise DataError(f"max_size must be >= 0 and min_count >= 1, not {max_size} and {min_count}")
        counts = counts_of(sentences)
        for token in cls.SPECIAL:
            del counts[token]
        frequent = [(word, count) for word, count in counts.items() if count >= min_count]
        frequent.sort(key=lambda pair: (-pair[1], pair[0]))
        return cls([word for word, _ in frequent[:max_size]])

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """Ids of `tokens`; words outside the vocabulary, and special tokens in the text, become UNKNOWN."""
        get = self._encoding.get
        return [get(token, self.UNKNOWN) for token in tokens]

    def knows(self, token: str) -> bool:
        """Whether a token of a text is a word of the vocabulary: special tokens are none."""
        return self._encoding.get(token, self.UNKNOWN) != self.UNKNOWN

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Tokens of `ids`, special ones included.

        Raises:
            DataError: an id outside 0 .. len - 1.
        """
        size = len(self.tokens)
        tokens = []
        for i in ids:
            if not 0 <= i < size:
                raise DataError(f"token id {i} is outside the vocabulary, 0 to {size - 1}")
            tokens.append(self.tokens[i])
        return tokens

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.tokens == other.tokens

    def __hash__(self) -> int:
        return hash(self.tokens)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens)"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the vocabulary as JSON; a reader sees the old file or the whole new one, never a part."""
        content = {"format": FORMAT, "version": VERSION, "tokens": self.tokens}
        write_whole(Path(path), json.dumps(content, ensure_ascii=False, indent=0) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Vocabulary":
        """Read what `save` wrote.

        Raises:
            ModelFolderError: the file is missing, is not JSON, or is not a vocabulary; the message names the file.
        """
        path = Path(path)
        tokens = _tokens(path, read_json(path))
        try:
            return cls(tokens[len(cls.SPECIAL) :])
        except DataError as error:
            raise ModelFolderError(f"{path}: {error}") from error


#: Ids of padding and marks, which are no words: a bag of words has id w + N_SPECIAL as word w.
N_SPECIAL = len(Vocabulary.SPECIAL)


def _tokens(path: Path, content: object) -> list[str]:
    """The token list of a parsed vocabulary file, its layout checked."""
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ModelFolderError(f'{path}: not a vocabulary; expected a JSON object with "format": "{FORMAT}"')
    if content.get("version") != VERSION:
        raise ModelFolderError(
            f"{path}: vocabulary version {content.get('version')!r:.80}; this program reads {VERSION}"
        )
    unknown = sorted(set(content) - {"format", "version", "tokens"})
    if unknown:
        raise ModelFolderError(f"{path}: unknown keys {unknown!r:.80}; expected format, version, tokens")
    tokens = content.get("tokens")
    if not isinstance(tokens, list):
        raise ModelFolderError(f'{path}: "tokens" must be a list of strings, not {type(tokens).__name__}')
    for token in tokens:
        if not isinstance(token, str):
            raise ModelFolderError(f'{path}: "tokens" must be strings, not {type(token).__name__} ({token!r:.80})')
    special = list(Vocabulary.SPECIAL)
    if tokens[: len(special)] != special:
        raise ModelFolderError(f"{path}: the first tokens must be {special}, not {tokens[: len(special)]!r:.80}")
    return tokens


def _check_word(word: object) -> None:
    """Raise DataError unless `word` can stand in a vocabulary and be printed."""
    if not isinstance(word, str):
        raise DataError(f"vocabulary words must be strings, not {type(word).__name__} ({word!r:.80})")
    if not word or word.split() != [word]:
        raise DataError(f"vocabulary words must be non-empty and hold no white space, not {word!r:.80}")
    if not word.isascii() and any("\ud800" <= character <= "\udfff" for character in word):
        raise DataError(f"vocabulary word {word!r:.80} is not valid Unicode text")
