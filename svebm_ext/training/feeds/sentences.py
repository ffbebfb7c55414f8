"""Feeds of sentences, and of turns of dialogs."""

from __future__ import annotations

from svebm_ext.config import Config
from svebm_ext.data.batching import EncodedSplit, padding_fraction
from svebm_ext.data.corpus import Corpus
from svebm_ext.data.coverage import unknown_note, unknown_share
from svebm_ext.data.dialogs import DialogSplit
from svebm_ext.data.subwords import Subwords
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import DataError
from svebm_ext.terminal import counted
from svebm_ext.training.feeds.base import Feed, TextFeed

#: Share of the training texts that are cut from which on they are long.
MANY_CUT = 0.1


def all_the_same(split: EncodedSplit) -> bool:
    """Whether all sentences have the same tokens in the same order."""
    first = split.targets[: int(split.offsets[1])]
    return bool((split.lengths == len(first)).all()) and bool((split.targets.view(-1, len(first)) == first).all())


class SentenceFeed(TextFeed):
    """Sentences of a corpus in length-sorted batches; arguments and errors are those of `TextFeed`.

    Raises:
        DataError: all sentences are the same.
    """

    train: EncodedSplit
    valid: EncodedSplit

    @classmethod
    def of(cls, feed: Feed) -> SentenceFeed:
        """A feed that is known to be one of sentences."""
        assert isinstance(feed, cls)
        return feed

    def check_examples(self) -> None:
        """Refuse texts that are all the same (DataError)."""
        if len(self.train) > 1 and all_the_same(self.train):
            raise DataError(
                f"data.train: all {len(self.train):,} training texts have the same words; expected texts that differ"
            )

    def padding(self) -> float:
        """Share of positions of the first epoch's batches that would be padding if batches were padded; none are."""
        lengths = self.train.lengths
        return padding_fraction(lengths[self._order.batch(step)[0]] for step in range(self.steps_per_epoch))

    def described(self, corpus: Corpus, vocabulary: Vocabulary, config: Config) -> str:
        """Sizes of the corpus, what was cut, what is unknown."""
        sizes = " / ".join(f"{len(split):,}" for split in (corpus.train, corpus.valid, corpus.test))
        tokens = "subwords" if isinstance(corpus.writing, Subwords) else "words"
        lines = [
            f"{corpus.name}: {sizes} sentences (train / valid / test), {len(vocabulary):,} {tokens}, "
            f"{self.steps_per_epoch:,} iterations an epoch, {self.padding():.2%} of positions would be padding"
        ]
        if self.train.n_truncated:
            n, longest = self.train.n_truncated, self.train.max_tokens - 2  # marks of begin and end are no words
            verb = "was" if n == 1 else "were"
            lines.append(f"{counted(n, 'training sentence')} {verb} cut to {counted(longest, tokens[:-1])}")
            if config.data.corpus == "lines" and n > MANY_CUT * len(self.train):
                whole = config.preset.replace("lines", "documents", 1)
                lines[-1] += f"; preset {whole} takes long texts whole, as the words that they have"
        unknown = unknown_share(corpus.test.sentences, vocabulary)
        if unknown:
            lines.append(unknown_note(unknown, config.data))
        return "\n".join([*lines, *corpus.notes])


class DialogFeed(SentenceFeed):
    """Turns of dialogs, each with the turns before it, in batches sorted by the length of the response.

    Arguments are those of `TextFeed`.

    Raises:
        DataError: the corpus has no dialogs.
    """

    train: DialogSplit
    valid: DialogSplit

    @property
    def n_chained(self) -> int:  # type: ignore[override]
        """Every training turn has a chain of its own."""
        return len(self.train)
