"""The AWD-LSTM language model, and reverse perplexity: how well samples teach it to predict real text."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import DataError
from svebm_ext.judges.language_model.saved import load_language_model, save_language_model
from svebm_ext.judges.language_model.settings import FAST, PAPER, LanguageModelSettings
from svebm_ext.judges.language_model.train import LanguageModel, perplexity, train_language_model

__all__ = [
    "FAST",
    "PAPER",
    "LanguageModel",
    "LanguageModelSettings",
    "ReversePerplexity",
    "load_language_model",
    "perplexity",
    "reverse_perplexity",
    "save_language_model",
    "train_language_model",
]


@dataclass(frozen=True)
class ReversePerplexity:
    """Reverse perplexity and what it was measured on.

    Attributes:
        perplexity: of the real test set, a token, end marks counted.
        perplexity_as_published: the same, but its words that no training sample has count as the unknown word, as they
            do where the vocabulary is that of the samples. It forgives what samples lack: for comparison only.
        valid_perplexity: of the held-out samples under the same weights.
        n_train, n_valid: samples that the model was trained on and chosen by.
        n_empty: those among both that have no word.
        n_tokens: words and end marks of the test set.
        epochs: passes over the samples.
        seconds: of training and scoring.
    """

    perplexity: float
    perplexity_as_published: float
    valid_perplexity: float
    n_train: int
    n_valid: int
    n_empty: int
    n_tokens: int
    epochs: int
    seconds: float


def reverse_perplexity(
    samples: Sequence[Sequence[str]],
    test: Sequence[Sequence[str]],
    settings: LanguageModelSettings = FAST,
    *,
    vocabulary: Vocabulary,
    n_valid: int = 3000,
    seed: int = 0,
    device: str | torch.device = "cpu",
    say: Callable[[str], None] | None = None,
) -> ReversePerplexity:
    """Perplexity of real text under an AWD-LSTM that was trained on samples of a model (rPPL).

    Low where samples are as fluent and as diverse as real text: what they lack, the language model does not learn. It
    depends on the language model; real training text in place of samples gives the least that a setting can reach.

    The softmax is over `vocabulary`, whatever words the samples have, so every word of the test set has a probability:
    one that no sample has gets what training leaves to words that are never targets, which the measure punishes as it
    should, but by an amount that depends on the settings and grows with the length of training. The program that the
    measure was published with (ARAE, `lang/preprocess_lm.py`) takes the vocabulary from the samples instead.

    Args:
        samples: tokens of each sample; the last `n_valid` are kept for validation. One without a word is an end mark.
        test: tokens of each real sentence.
        settings: of the language model.
        vocabulary: that of the real training text.
        n_valid: samples to choose the weights by.
        seed: of the training.
        device: where to compute.
        say: receives a line after every epoch.

    Raises:
        DataError: n_valid is below 1, there are not more samples than n_valid, no sample has a word, the test set is
            empty, or one of its sentences is.

    Source: Zhao et al., Adversarially Regularized Autoencoders, ICML 2018; language model: `network.AWDLSTM`.
    """
    begin = time.monotonic()
    _check(samples, test, n_valid)
    train, valid = samples[:-n_valid], samples[-n_valid:]
    model = train_language_model(train, valid, settings, vocabulary=vocabulary, seed=seed, device=device, say=say)
    sampled = {word for sample in train for word in sample}
    unknown = Vocabulary.SPECIAL[Vocabulary.UNKNOWN]
    known = [[word if word in sampled else unknown for word in sentence] for sentence in test]
    return ReversePerplexity(
        perplexity=perplexity(model, test),
        perplexity_as_published=perplexity(model, known),
        valid_perplexity=min(p for p in model.valid_perplexities if p == p),
        n_train=len(train),
        n_valid=len(valid),
        n_empty=sum(len(sample) == 0 for sample in samples),
        n_tokens=sum(map(len, test)) + len(test),
        epochs=settings.epochs,
        seconds=time.monotonic() - begin,
    )


def _check(samples: Sequence[Sequence[str]], test: Sequence[Sequence[str]], n_valid: int) -> None:
    if n_valid < 1:
        raise DataError(f"reverse perplexity: n_valid is {n_valid}; expected at least 1 sample to validate by")
    if len(samples) <= n_valid:
        raise DataError(f"reverse perplexity: {len(samples)} samples; expected more than the {n_valid} held out")
    if not any(len(sample) for sample in samples[:-n_valid]):
        raise DataError("reverse perplexity: no sample to train on has a word; expected sentences")
    if len(test) == 0:
        raise DataError("reverse perplexity: the test set has no sentence; expected real text")
    for index, sentence in enumerate(test):
        if len(sentence) == 0:
            raise DataError(f"reverse perplexity: sentence {index} of the test set has no word; expected real text")
