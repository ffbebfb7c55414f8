"""How much of a text a vocabulary knows, and the bytes that it has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..config import DataConfig, has_subwords
from .corpus import Split
from .token_lists import counts_of
from .vocabulary import Vocabulary

#: Share of unknown words from which on subwords are advised.
MANY_UNKNOWN = 0.1
#: ... and from which on a model can say next to nothing of new text.
MOST_UNKNOWN = 0.5


def unknown_share(sentences: Iterable[Sequence[str]], vocabulary: Vocabulary) -> float:
    """Share of the words that the vocabulary lacks, `<unk>` in the text counted; 0 where there is no word."""
    counts = counts_of(sentences)
    unknown = sum(n for n, i in zip(counts.values(), vocabulary.encode(counts), strict=True) if i == vocabulary.UNKNOWN)
    return unknown / max(1, counts.total())


def unknown_note(share: float, data: DataConfig) -> str:
    """A sentence on the share of unknown words of the test text, with advice where the model would learn little."""
    note = f"{share:.1%} of the words of the test text are unknown: too rare in the training text, or not in it"
    if share <= MANY_UNKNOWN or data.corpus != "lines" or has_subwords(data):
        return note
    little = ", so that the model can say next to nothing of new text" if share >= MOST_UNKNOWN else ""
    return f"{note}{little}; subwords know every text: --data.tokenization bpe"


def text_bytes(split: Split, max_words: int) -> list[int]:
    """UTF-8 bytes of each text, its end not counted.

    A text that is not known as it was written is its words with spaces between them. Of a text with more words than
    `max_words` the bytes are counted in proportion to the characters of the words that are left.
    """
    lengths = []
    for i, sentence in enumerate(split.sentences):
        text = " ".join(sentence) if split.texts is None else split.texts[i]
        n_bytes = len(text.encode(errors="surrogatepass"))
        if len(sentence) > max_words:
            n_bytes = round(n_bytes * len("".join(sentence[:max_words])) / len("".join(sentence)))
        lengths.append(n_bytes)
    return lengths
