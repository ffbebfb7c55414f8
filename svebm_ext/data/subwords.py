"""Subwords by byte-level byte-pair encoding, learnt from the training text: any text comes back as it was written."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from ..errors import ConfigError, DataError, ModelFolderError
from ..files import read_json, write_whole

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: Subwords that every tokenizer has: one for each byte.
N_BYTES = 256
#: Bytes of training text for each subword, so that none is too rare to be learnt from.
BYTES_PER_SUBWORD = 50
#: ... but at least as many subwords as this.
SMALLEST = 512
#: Bytes of a subword at most, and merges at most.
MAX_LENGTH, MAX_MERGES = 100, 1_000_000
#: Limits of merges: no subword has letters, digits, other characters of two words. As for GPT-2 (Radford et al. 2019),
#: but marks and joiners belong to their letters, without which Hindi or Thai has no subword longer than a letter.
SPLIT = (
    "'(?:[sdmt]|ll|ve|re)"
    r"| ?[\p{L}\p{M}][\p{L}\p{M}"
    "\u200c\u200d]*"
    r"| ?\p{N}+| ?[^\s\p{L}\p{M}\p{N}][^\s\p{L}\p{N}]*|\s+(?!\S)|\s+"
)
#: Bytes that are learnt from at most.
MAX_TRAINING_BYTES = 200_000_000


class Subwords:
    """Text to subwords and back: `to_text(words(text)) == text` for any text.

    A subword stands for some bytes, each written as a printable character ("Ġ" is a space): no subword holds white
    space, and none can be mistaken for a special token of the vocabulary.

    Args:
        merges: pairs of subwords that become one, in the order in which they are applied.

    Raises:
        DataError: a merge of subwords that do not exist.
        ConfigError: the package tokenizers is not installed.

    Source: Sennrich et al. 2016; Radford et al. 2019 (bytes).
    """

    def __init__(self, merges: Sequence[tuple[str, str]]) -> None:
        package = _package()
        ids = {byte: i for i, byte in enumerate(_alphabet())}
        if len(merges) > MAX_MERGES:
            raise DataError(f"{len(merges):,} merges, expected at most {MAX_MERGES:,}")
        for first, second in merges:
            if len(first) + len(second) > MAX_LENGTH:
                raise DataError(f"a subword of {len(first) + len(second)} bytes, expected at most {MAX_LENGTH}")
            if first not in ids or second not in ids:
                raise DataError(f"{first!r:.80} and {second!r:.80} are merged, but not both are subwords before that")
            ids.setdefault(first + second, len(ids))  # two merges may make the same subword
        self.merges = tuple((first, second) for first, second in merges)
        #: All subwords: those of single bytes, then those that merges make.
        self.tokens = tuple(ids)
        self._tokenizer = _byte_level(package.models.BPE(vocab=ids, merges=list(self.merges)))

    @classmethod
    def learn(cls, texts: Sequence[str], max_size: int = 10_000) -> Subwords:
        """Subwords of a training text: fewer than `max_size` where it is small.

        Args:
            texts: of the training split.
            max_size: subwords at most.

        Raises:
            ConfigError: fewer subwords asked for than there are bytes, or the package tokenizers is not installed.
        """
        package = _package()
        if max_size < N_BYTES:
            raise ConfigError(f"data.vocabulary-size: {max_size} given; bpe needs {N_BYTES}, one for each byte")
        n_bytes = sum(len(_utf8(text)) for text in texts)
        step = -(-n_bytes // MAX_TRAINING_BYTES) or 1
        tokenizer = _byte_level(package.models.BPE())
        trainer = package.trainers.BpeTrainer(
            vocab_size=min(max_size, max(SMALLEST, n_bytes // BYTES_PER_SUBWORD)),
            min_frequency=2,
            max_token_length=MAX_LENGTH,
            initial_alphabet=list(_alphabet()),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts[::step], trainer)
        return cls(_merges(json.loads(tokenizer.to_str())))

    def words(self, text: str) -> list[str]:
        """Subwords of a text.

        Raises:
            DataError: text that is not valid Unicode.
        """
        _utf8(text)
        return self._tokenizer.encode(text, add_special_tokens=False).tokens

    def to_text(self, tokens: Iterable[str]) -> str:
        """The text that subwords spell; `<unk>` and other special tokens stand in it as they are.

        Bytes that are not UTF-8, which a model may write, become U+FFFD.
        """
        return self._tokenizer.decoder.decode(list(tokens))

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tokenizer as the JSON that the package tokenizers reads."""
        write_whole(Path(path), self._tokenizer.to_str(pretty=True) + "\n")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Subwords:
        """Read what `save` wrote. The file's subwords are used, and nothing else in it.

        Raises:
            ModelFolderError: the file is missing, too large, not JSON, or another kind of tokenizer.
            ConfigError: the package tokenizers is not installed.
        """
        content = read_json(Path(path))
        try:
            return cls(_merges(content))
        except DataError as error:
            raise ModelFolderError(f"{path}: {error}") from error


def _byte_level(model: object) -> Tokenizer:
    """A tokenizer of bytes without normalisation, with words as the limits of merges."""
    package = _package()
    tokenizer = package.Tokenizer(model)
    splitters = package.pre_tokenizers
    words = splitters.Split(package.Regex(SPLIT), "isolated")
    tokenizer.pre_tokenizer = splitters.Sequence([words, splitters.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = package.decoders.ByteLevel()
    return tokenizer


def _alphabet() -> list[str]:
    """The characters that stand for bytes."""
    return sorted(_package().pre_tokenizers.ByteLevel.alphabet())


def _merges(content: object) -> list[tuple[str, str]]:
    """Merges of a byte-level tokenizer in the package's JSON, as pairs or, in older versions, with a space between.

    Raises:
        DataError: not a tokenizer as `Subwords` writes it.
    """
    content = content if isinstance(content, dict) else {}
    model = content.get("model")
    if not isinstance(model, dict) or model.get("type") != "BPE" or not isinstance(model.get("merges"), list):
        raise DataError("not a tokenizer of byte-pair encoding")
    splitter = content.get("pre_tokenizer")
    parts = splitter.get("pretokenizers") if isinstance(splitter, dict) else None
    words = parts[0] if isinstance(parts, list) and len(parts) == 2 else None
    if not isinstance(words, dict) or words.get("pattern") != {"Regex": SPLIT}:
        raise DataError("not a tokenizer of this program: it splits text into words in another way")
    merges = [tuple(merge.split(" ")) if isinstance(merge, str) else merge for merge in model["merges"]]
    pairs = []
    for merge in merges:
        if not isinstance(merge, list | tuple) or len(merge) != 2 or not all(isinstance(part, str) for part in merge):
            raise DataError(f"{merge!r:.80} is no pair of subwords")
        pairs.append((merge[0], merge[1]))
    return pairs


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise DataError(f"{text!r:.80} holds half of a surrogate pair, which is not valid Unicode") from None


def _package() -> ModuleType:
    try:
        import tokenizers
    except ImportError as error:
        raise ConfigError(
            'data.tokenization: bpe needs the package tokenizers: pip install "svebm_ext[subwords]"'
        ) from error
    return tokenizers
