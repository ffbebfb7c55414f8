"""Sentences, each by itself, and documents that are read as one long sentence."""

from __future__ import annotations

from collections.abc import Sequence

from svebm_ext.config import Config, DataConfig
from svebm_ext.data.batching import EncodedSplit
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.data.subwords import Subwords
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.kinds.base import TextKind


class Sentences(TextKind):
    """Sentences: sequences of words, or of subwords."""

    name = "sentences"

    def vocabulary(self, corpus: Corpus, data: DataConfig) -> Vocabulary:
        """The most frequent words of the training split, or the subwords that were learnt from it."""
        if isinstance(corpus.writing, Subwords):
            return Vocabulary(corpus.writing.tokens)
        return Vocabulary.build(corpus.train.sentences, max_size=data.vocabulary_size)

    def encode(
        self,
        split: Split,
        vocabulary: Vocabulary,
        config: Config,
        label: str | None = None,
        classes: Sequence[str] | None = None,
    ) -> EncodedSplit:
        """Ids of each sentence, cut to `data.max_tokens`; arguments and errors as for `TextKind.encode`."""
        return EncodedSplit.from_split(split, vocabulary, config.data.max_tokens, label, classes)


class Sequences(Sentences):
    """Documents as sequences of words."""

    name = "documents-gru"
