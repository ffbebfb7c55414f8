"""A small language with a known entropy, and settings of language models that learn it within seconds."""

import dataclasses
import math
from itertools import pairwise

import numpy as np
import torch

from svebm_ext.data import Vocabulary
from svebm_ext.judges.language_model import FAST

CPU = torch.device("cpu")
NO_DROPOUT = {
    "input_dropout": 0.0, "hidden_dropout": 0.0, "output_dropout": 0.0, "embedding_dropout": 0.0, "weight_drop": 0.0,
}  # fmt: skip
DROPOUT = {
    "input_dropout": 0.3, "hidden_dropout": 0.4, "output_dropout": 0.5, "embedding_dropout": 0.2, "weight_drop": 0.4,
}  # fmt: skip
PLAIN = dataclasses.replace(
    FAST, **NO_DROPOUT, embedding_dim=5, hidden=7, n_layers=3, batch_size=4, bptt=8, precision="fp32", input_gain=2.0
)
#: Learns a language of a dozen words within a second.
SMALL = dataclasses.replace(
    FAST, embedding_dim=24, hidden=24, batch_size=16, bptt=12, epochs=5, learning_rate=2e-2, precision="fp32"
)
WORDS = [f"w{i}" for i in range(12)]
VOCABULARY = Vocabulary(WORDS)


def settings(**changes):
    return dataclasses.replace(PLAIN, **changes)


def random_words(T, B, V=11, seed=0):
    return torch.randint(0, V, (T, B), generator=torch.Generator().manual_seed(seed))


def chain_sentences(n, seed=0):
    """Sentences of a Markov chain: a word is followed by the next of a circle, by another, or by the end."""
    generator, sentences = np.random.default_rng(seed), []
    for _ in range(n):
        word, sentence = int(generator.integers(12)), []
        while not sentence or generator.random() > 0.125:
            sentence.append(WORDS[word])
            word = (word + 1) % 12 if generator.random() < 0.7 else int(generator.integers(12))
        sentences.append(sentence)
    return sentences


def true_perplexity(sentences):
    """exp of the mean -log p of words and end marks under the chain itself."""
    total, n = 0.0, 0
    for sentence in sentences:
        n += len(sentence) + 1
        total -= math.log(1 / 12) + math.log(0.125)
        for a, b in pairwise(sentence):
            follows = VOCABULARY.encode([b])[0] - 4 == (VOCABULARY.encode([a])[0] - 4 + 1) % 12
            total -= math.log(0.875 * ((0.7 if follows else 0.0) + 0.3 / 12))
    return math.exp(total / n)
