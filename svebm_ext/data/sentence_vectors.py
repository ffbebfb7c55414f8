"""Vectors of sentences by a frozen encoder: opened when they are first needed, computed once, kept beside the run."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .. import terminal
from ..errors import ConfigError, DataError
from ..files import write_whole
from .corpus import Split, framed
from .sentence_encoders import OPTION, Encode, EncoderIdentity, FoundEncoder, find_encoder, is_local
from .writing import Writing

#: Folder of a run that keeps them, and folder of a model that may hold a copy of its encoder.
CACHE, OWN_ENCODER = "sentence_vectors", "sentence_encoder"
#: Texts that are encoded at a time; seconds between lines of progress; texts whose vectors are remembered.
BATCH, EVERY, REMEMBERED = 64, 10.0, 20_000


class SentenceVectors:
    """h(x) of texts by one encoder, which is looked for and opened when it is first needed.

    Args:
        name: path or name of the encoder.
        identity: of the encoder that a model was trained with; another one is refused. None: any.
        model_folder: of the model, where a copy of its encoder may lie.
        cache: folder in which vectors of whole splits are kept; None: nowhere.
        device: where the encoder computes.
        say: receives lines about progress.
    """

    def __init__(
        self,
        name: str,
        *,
        identity: EncoderIdentity | None = None,
        model_folder: Path | None = None,
        cache: Path | None = None,
        device: str = "cpu",
        say: Callable[[str], None] = terminal.say,
    ) -> None:
        self.name, self.cache, self.device = name, cache, device
        self._expected, self._model_folder, self._say = identity, model_folder, say
        self._identity: EncoderIdentity | None = None
        self._encode: Encode | None = None
        self._known: dict[str, np.ndarray] = {}

    @classmethod
    def of_folder(cls, name: str, identity: EncoderIdentity | None, folder: Path) -> SentenceVectors:
        """Those of a model folder, which may hold a copy of the encoder, and keeps the vectors."""
        return cls(name, identity=identity, model_folder=folder, cache=folder / CACHE)

    def __getstate__(self) -> dict[str, object]:
        """Of a copy, which opens the encoder again when it needs it: what computes is no part of it."""
        return self.__dict__ | {
            "_expected": self._identity or self._expected, "_identity": None, "_encode": None, "_known": {}
        }  # fmt: skip

    @property
    def identity(self) -> EncoderIdentity:
        """Of the encoder; of one that was not opened yet, what the model records.

        Raises:
            ConfigError: see `open`.
        """
        return self._identity or self._expected or self.open()

    def open(self) -> EncoderIdentity:
        """Find and read the encoder.

        Raises:
            ConfigError: it is not on this disk, cannot be read, or is not the one that the model was trained with.
        """
        if self._identity is not None:
            return self._identity
        encoder, sha256 = self._located()
        if self._expected is not None and sha256 != self._expected.sha256:
            raise ConfigError(
                f"{encoder.folder}: another encoder than the model was trained with: its weights have the SHA-256 "
                f"{sha256[:16]}..., those of {self._expected.name!r} {self._expected.sha256[:16]}...; put that one "
                "back, or train again"
            )
        self._encode, dim = encoder.open(self.device)
        self._identity = EncoderIdentity(encoder.name, encoder.revision, sha256, dim)
        if self._expected is not None and dim != self._expected.dim:
            raise ConfigError(f"{encoder.folder}: gives vectors of {dim} numbers, those of the model have "
                              f"{self._expected.dim}")  # fmt: skip
        return self._identity

    def _located(self) -> tuple[FoundEncoder, str]:
        """The encoder and the hash of its weights: a copy in the model's folder, or the one of its name."""
        if self._model_folder is not None and is_local(str(self._model_folder / OWN_ENCODER)):
            encoder = FoundEncoder(self._model_folder / OWN_ENCODER, self.name)
            return encoder, encoder.sha256()
        try:
            encoder = find_encoder(self.name)
            return encoder, encoder.sha256()
        except ConfigError as error:
            if self._model_folder is None or self._expected is None:
                raise
            needed = self._expected
            revision = f", revision {needed.revision}" if needed.revision else ""
            raise ConfigError(
                f"{self._model_folder}: the model needs its sentence encoder {needed.name!r}{revision} to read texts "
                f"(SHA-256 of its weights {needed.sha256[:16]}...); {error}; or copy the encoder's folder to "
                f"{self._model_folder / OWN_ENCODER}"
            ) from error

    # Vectors --------------------------------------------------------------------------------------------------------

    def with_vectors(self, split: Split, writing: Writing | None, *, keep: bool = False) -> Split:
        """The split with the vectors of its sentences, as they are written.

        Args:
            split: sentences by words.
            writing: how words are written; None joins them by spaces.
            keep: in the cache, and take them from there.

        Raises:
            ConfigError: see `open`.
            DataError: the encoder gives numbers that are not finite.
        """
        if split.vectors is not None:
            return split
        join = " ".join if writing is None else writing.to_text
        return replace(split, vectors=self.of_texts([join(words) for words in split.sentences], keep=keep))

    def of_texts(self, texts: Sequence[str], *, keep: bool = False) -> Float[Tensor, "N E"]:
        """Vectors of texts; `keep` and errors as for `with_vectors`."""
        path = None
        if keep and self.cache is not None and texts:
            path = self.cache / f"{_digest(texts, self.identity.sha256)}.npy"
            kept = _read(path, len(texts), self.identity.dim)
            if kept is not None:
                return kept
        self.open()
        vectors = self._computed(texts)
        if path is not None and _write(path, vectors):
            kept = _read(path, len(texts), self.identity.dim)
            if kept is not None:
                return kept
        return torch.from_numpy(vectors)

    def _computed(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors of texts, each distinct one encoded once, those of like length together."""
        assert self._encode is not None
        known = self._known
        new = sorted((text for text in dict.fromkeys(texts) if text not in known), key=len)
        if len(known) + len(new) > REMEMBERED:
            known = {text: known[text] for text in dict.fromkeys(texts) if text in known}
        begin = told = time.monotonic()
        for first in range(0, len(new), BATCH):
            part = new[first : first + BATCH]
            vectors = np.asarray(self._encode(part), np.float32)
            if vectors.shape != (len(part), self.identity.dim) or not np.isfinite(vectors).all():
                raise DataError(
                    f"{OPTION}: {self.name} gives {vectors.shape} numbers for {len(part)} texts, or some that are not "
                    f"finite; expected {self.identity.dim} finite ones each"
                )
            known.update(zip(part, vectors, strict=True))
            if time.monotonic() - told >= EVERY:
                told = time.monotonic()
                self._say(f"encoded {first + len(part):,} of {len(new):,} texts")
        if told > begin:
            self._say(f"encoded {len(new):,} texts by {self.name} in {time.monotonic() - begin:.0f} s")
        answers = np.empty((len(texts), self.identity.dim), np.float32)
        for row, text in enumerate(texts):
            answers[row] = known[text]
        self._known = known if len(known) <= REMEMBERED else {}
        return answers


def _digest(texts: Sequence[str], encoder: str) -> str:
    """Hash of the texts and of the encoder, in 32 hexadecimal digits."""
    digest = hashlib.sha256(encoder.encode())
    for content in framed(texts):
        digest.update(content)
    return digest.hexdigest()[:32]


def _read(path: Path, n: int, dim: int) -> Float[Tensor, "N E"] | None:
    """Vectors of a file, mapped into memory; None where it is missing, damaged or of another shape."""
    if not path.is_file():
        return None
    try:
        # "c": what is written to the array stays in memory, so that torch takes it
        vectors = np.load(path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    usable = isinstance(vectors, np.ndarray) and vectors.dtype == np.float32 and vectors.shape == (n, dim)
    return torch.from_numpy(vectors) if usable else None


def _write(path: Path, vectors: np.ndarray) -> bool:
    """Keep vectors in a file; a folder that cannot be written to costs only time later."""
    content = io.BytesIO()
    np.save(content, vectors, allow_pickle=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.getvalue())
    except OSError:
        return False
    return True
