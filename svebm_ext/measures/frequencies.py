"""How far the word frequencies of generated text are from those of the training text."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from svebm_ext.data.token_lists import counts_of
from svebm_ext.errors import DataError


@dataclass(frozen=True)
class WordDivergence:
    """Divergence of word frequencies in nats, and what it was counted on."""

    divergence: float
    n_words: int
    n_skipped: int


def word_frequency_divergence(samples: Iterable[Sequence[str]], training: Iterable[Sequence[str]]) -> WordDivergence:
    """Word-level KL divergence (wKL): KL(unigram frequencies of samples || those of the training set), in nats.

    sum_w p(w) log( p(w) / q(w) ). A sample word that the training set lacks would make it infinite: such words are
    left out before the frequencies of the samples are formed, and counted in `n_skipped`. 0 means equal frequencies; a
    finite sample of the training distribution itself scores above 0 by about (number of word types - 1) / (2 words).

    Args:
        samples: tokens of each generated sentence.
        training: tokens of each training sentence.

    Returns:
        The divergence, the words of the samples that entered it, and the words that were skipped.

    Raises:
        DataError: if the training set has no words, or none of the sample words occurs in it.

    Source: the measure of word frequencies in Table 1 of the paper.
    """
    sample_counts = Counter(word for sentence in samples for word in sentence)
    training_counts = counts_of(training)
    if not training_counts:
        raise DataError("word frequencies: the training set has no words")
    known = {word: count for word, count in sample_counts.items() if word in training_counts}
    n_words, n_training = sum(known.values()), sum(training_counts.values())
    n_skipped = sum(sample_counts.values()) - n_words
    if not known:
        raise DataError(f"word frequencies: none of the {n_skipped} sample words occurs in the training set")
    divergence = sum(
        count / n_words * math.log(count * n_training / (n_words * training_counts[word]))
        for word, count in known.items()
    )
    return WordDivergence(divergence=divergence, n_words=n_words, n_skipped=n_skipped)
