"""Sizes that follow the corpus, where a preset leaves them open: networks, dropout, longest sentence, iterations.

An option that is given wins. The rule is in docs/data.md; it was chosen on corpora of 300 to 270,000 texts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from svebm_ext.config import Config, RecurrentModel, has_subwords
from svebm_ext.data.corpus import Corpus
from svebm_ext.data.token_lists import lengths_of

Recurrent = TypeVar("Recurrent", bound=RecurrentModel)
#: Words of the longest sentence that is not cut: all but this share of sentences fit, within these bounds.
UNCUT_SHARE, SHORTEST, LONGEST = 0.99, 12, 102
#: Training words that give networks their full width; and the widths.
WIDE_WORDS, NARROW, WIDE = 60_000, 128, 192
#: Words that are read in a run, as a number of passes over the text, and at most and at least altogether.
PASSES, MOST_WORDS, LEAST_WORDS = 40, 2_400_000, 600_000
#: Fewest and most iterations.
LEAST_STEPS, MOST_STEPS = 600, 4000
#: Words with which dropout is at its largest and at its smallest, and what it is then.
DROPOUT_WORDS, DROPOUTS = (20_000, 500_000), (0.4, 0.1)


def fit_to_corpus(config: Config, corpus: Corpus) -> Config:
    """The configuration with the sizes that it leaves open (0; dropout below 0) chosen for the corpus."""
    model, data, training = config.model, config.data, config.training
    lengths = np.sort(lengths_of(corpus.train.sentences))
    n_words = int(lengths.sum())
    if data.max_tokens == 0:
        longest = int(lengths[min(len(lengths) - 1, int(UNCUT_SHARE * len(lengths)))]) + 2
        data = replace(data, max_tokens=min(max(longest, SHORTEST), LONGEST))
    if isinstance(model, RecurrentModel):
        model = _fit_networks(model, n_words)
    if training.max_steps == 0:
        kept = int(np.minimum(lengths, data.max_tokens - 2).sum()) + len(lengths)
        mean = kept / len(lengths)
        words = min(max(PASSES * kept, LEAST_WORDS), MOST_WORDS)
        steps = min(max(int(words / (mean * training.batch_size)), LEAST_STEPS), MOST_STEPS)
        training = replace(training, max_steps=steps)
    if training.validate_every == 0:
        training = replace(training, validate_every=max(1, training.max_steps // 8))
    return replace(config, model=model, data=data, training=training)


def _fit_networks(model: Recurrent, n_words: int) -> Recurrent:
    """Recurrent networks with their widths and dropout chosen for so many training words."""
    width = model.embedding_dim or model.decoder_hidden or (WIDE if n_words >= WIDE_WORDS else NARROW)
    dropout = _dropout(n_words)
    return replace(
        model,
        embedding_dim=model.embedding_dim or width,
        decoder_hidden=model.decoder_hidden or width,
        encoder_hidden=model.encoder_hidden or 2 * width // 3,
        embedding_dropout=dropout if model.embedding_dropout < 0 else model.embedding_dropout,
        output_dropout=dropout if model.output_dropout < 0 else model.output_dropout,
    )


def told_sizes(asked: Config, chosen: Config) -> str | None:
    """One line about the sizes that were left open; None where all were given."""
    parts = []
    if asked.data.max_tokens == 0 and isinstance(chosen.model, RecurrentModel):  # bags of words are not cut
        unit = "subwords" if has_subwords(chosen.data) else "words"
        parts.append(f"sentences of at most {chosen.data.max_tokens - 2} {unit}")
    before, now = asked.model, chosen.model
    if isinstance(before, RecurrentModel) and isinstance(now, RecurrentModel):
        if 0 in (before.embedding_dim, before.decoder_hidden, before.encoder_hidden):
            parts.append(f"networks {now.decoder_hidden} wide (encoder {now.encoder_hidden})")
        if min(before.embedding_dropout, before.output_dropout) < 0:
            parts.append(f"dropout {now.output_dropout:g}")
    if asked.training.max_steps == 0:
        parts.append(f"{chosen.training.max_steps:,} iterations of {chosen.training.batch_size} texts")
    return f"sizes by the corpus: {', '.join(parts)}" if parts else None


def _dropout(n_words: int) -> float:
    """Dropout of a corpus with this many words, falling with the logarithm of their number, to two digits."""
    import math

    low, high = map(math.log, DROPOUT_WORDS)
    share = min(max((math.log(max(1, n_words)) - low) / (high - low), 0.0), 1.0)
    return round(DROPOUTS[0] + share * (DROPOUTS[1] - DROPOUTS[0]), 2)
