"""Documents as bags of words."""

from __future__ import annotations

from collections.abc import Sequence

from svebm_ext.config import BagModel, Config, DataConfig
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.data.documents import DocumentSplit, document_vocabulary
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.kinds.base import TextKind


class BagsOfWords(TextKind):
    """Documents as bags of words: counts without an order."""

    name = "documents-bow"
    is_ordered = False

    def vocabulary(self, corpus: Corpus, data: DataConfig) -> Vocabulary:
        """The most frequent words of the training split, without stop words where the options ask for that."""
        return document_vocabulary(
            corpus.train.sentences, data.vocabulary_size, remove_stop_words=data.remove_stop_words
        )

    def encode(
        self,
        split: Split,
        vocabulary: Vocabulary,
        config: Config,
        label: str | None = None,
        classes: Sequence[str] | None = None,
    ) -> DocumentSplit:
        """Counts of the words of each document; arguments and errors as for `TextKind.encode`."""
        most = BagModel.of(config.model).document_words
        return DocumentSplit.from_split(split, vocabulary, label, classes, most)
