"""What every kind of example provides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TypeAlias

from svebm_ext.config import Config, DataConfig
from svebm_ext.config.kinds import OPTIONS, KindOptions
from svebm_ext.data.batching import EncodedSplit
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.data.documents import DocumentSplit
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.data.words import words_of
from svebm_ext.data.writing import Writing
from svebm_ext.errors import ConfigError

#: A split of texts as networks read it.
EncodedTexts: TypeAlias = EncodedSplit | DocumentSplit


class Kind(ABC):
    """A kind of example.

    Attributes:
        name: by which the parts of the kind are found; as in `svebm_ext.config.kinds`.
        has_words: an example is a text, so that a model has a vocabulary and measures on a corpus.
    """

    name: str
    has_words = True

    @property
    def options(self) -> KindOptions:
        """The options that the kind takes, and their checks."""
        return OPTIONS[self.name]

    @abstractmethod
    def of_texts(self, what: str = "model.kind") -> TextKind:
        """The kind as one of texts.

        Args:
            what: asks for that, for the message.

        Raises:
            ConfigError: its examples are no texts.
        """


class TextKind(Kind):
    """A kind whose examples are texts.

    Attributes:
        is_ordered: the words of an example stand in an order, so that a model writes texts.
    """

    is_ordered = True

    def of_texts(self, what: str = "model.kind") -> TextKind:
        """The kind itself."""
        return self

    @abstractmethod
    def vocabulary(self, corpus: Corpus, data: DataConfig) -> Vocabulary:
        """Vocabulary of the training split, as large as the options of data allow."""

    @abstractmethod
    def encode(
        self,
        split: Split,
        vocabulary: Vocabulary,
        config: Config,
        label: str | None = None,
        classes: Sequence[str] | None = None,
    ) -> EncodedTexts:
        """A split as the networks read it.

        Args:
            split: texts by words.
            vocabulary: of the model.
            config: longest text, turns of a context.
            label: name of the label to encode; None leaves every example unlabelled.
            classes: its classes in the order of their ids; by default those of this split, sorted.

        Raises:
            DataError: a label, or a class of it, that there is not; or no dialogs where they are asked for.
        """

    def words(self, text: str | Sequence[str], data: DataConfig, writing: Writing | None) -> list[str]:
        """Words of a text that a user gives, as the model reads them; a list of words is taken as it is.

        Raises:
            ConfigError: the model reads subwords, and `writing` has none.
        """
        return words_of(text, data, writing) if isinstance(text, str) else list(text)

    def check_texts(self) -> None:
        """Refuse single texts where the kind does not read them (ConfigError)."""

    def check_responses(self) -> None:
        """Refuse contexts where the kind has none (ConfigError)."""
        raise ConfigError("respond: this model was not trained on dialogs; use generate")
