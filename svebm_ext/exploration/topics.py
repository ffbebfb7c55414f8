"""Symbols as topics of a pile of texts: words that name them, and texts that stand for them."""

from __future__ import annotations

import re

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.data.documents import content_words, english_stop_words
from svebm_ext.data.function_words import function_words_of
from svebm_ext.exploration.encoded import Encoded
from svebm_ext.measures.words import characterising_words

#: Words that may name a topic (the page shows three), and those that are looked through for them.
NAMING, LOOKED_AT = 8, 200
#: Texts of a topic that the page may show (three, or more where topics are merged).
TEXTS = 6

#: English contractions: a word before "'m" and the like, or "n't" behind any.
_CONTRACTION = re.compile(r"(?P<negated>.*n['’]t)|(?P<word>.*)['’](?:m|s|re|ve|ll|d)", re.IGNORECASE)


def says_something(word: str) -> bool:
    """Whether a content word may name a topic: it has a letter, and is no contraction such as "i'm", "don't"."""
    contraction = _CONTRACTION.fullmatch(word)
    if contraction is None:
        return any(map(str.isalpha, word))
    return contraction["negated"] is None and next(content_words([[contraction["word"]]])) != []


def topic_words(encoded: Encoded, symbol: Int[Tensor, "B"], n_symbols: int) -> list[list[str]]:
    """Words that are characteristic of the texts of each symbol (or group) and say something by themselves.

    Left out are stop words (scikit-learn's English list, `function_words` of other languages), their contractions,
    single characters, numbers, punctuation.
    """
    typical = characterising_words(encoded.to_name, symbol, n_symbols, LOOKED_AT)
    kept = content_words([word.word for word in words] for words in typical)
    function = function_words_of(encoded.to_name, english_stop_words())
    return [[w for w in words if says_something(w) and w.lower() not in function][:NAMING] for words in kept]


def certain_texts(
    encoded: Encoded, symbol: Int[Tensor, "B"], probability: Float[Tensor, "B"], n_symbols: int
) -> list[list[int]]:
    """Rows of the texts whose answer is most certain of each symbol (or group), each text once.

    Shorter ones come first among equals. What is 1 to six digits counts as equal: a reader gets more of a short text.

    Args:
        encoded: B texts.
        symbol: of each, 0 .. n_symbols - 1.
        probability: of that.
        n_symbols: K, or K1 of groups.
    """
    rows = torch.tensor(encoded.first, dtype=torch.long)
    texts = []
    for k in range(n_symbols):
        own = rows[symbol[rows] == k].tolist()
        own.sort(key=lambda row: (-round(float(probability[row]), 6), len(encoded.texts[row])))
        texts.append(own[:TEXTS])
    return texts
