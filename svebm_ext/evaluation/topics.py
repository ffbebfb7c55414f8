"""The symbols of a model as topics or classes that a reader can judge: shares, typical words, texts, sentences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from svebm_ext.config import has_subwords
from svebm_ext.data.corpus import Split
from svebm_ext.data.tokenize import tokenize
from svebm_ext.judges.trigram import TrigramChain
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.measures.words import characterising_words
from svebm_ext.models.of_symbol import words_of_symbol
from svebm_ext.models.svebm import SVEBM

#: Most topics in a report, and most at the end of a training.
IN_REPORT, IN_SUMMARY = 10, 5
#: Typical words of a topic, and texts that are most certain of it.
WORDS, CERTAIN_TEXTS = 5, 3
#: Sentences of a topic: greedy ones, sampled ones, those of a trigram chain.
GREEDY, SAMPLED, TRIGRAMS = 3, 1, 2
SEEDS_BETWEEN_TOPICS = 1000
#: Characters after which a text is cut.
LONGEST = 100
#: Marks that turn the direction of what a terminal shows after them.
_DIRECTION = {*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F}


class Topic(NamedTuple):
    """A symbol: its label where one was learnt, its share of the texts, and what is typical of it."""

    symbol: int
    name: str
    share: float
    words: list[str]
    texts: list[str]

    @property
    def title(self) -> str:
        """One line: number or name, share, typical words."""
        name = printable(self.name) if self.name else f"topic {self.symbol}"
        words = ", ".join(map(printable, self.words)) or "no typical word"
        return f"{name}, {100 * self.share:.1f} % of the texts: {words}"


def find_topics(model: SVEBM, split: Split, answers: Float[Tensor, "B K"]) -> list[Topic]:
    """The symbols that are most probable for some text of a split, largest first.

    Args:
        model: whose symbols they are.
        split: B texts.
        answers: log p(y|x) of each.
    """
    certainty, symbols = answers.max(-1)
    words = characterising_words(_words(model, split), symbols, answers.shape[1])
    counts = symbols.bincount(minlength=answers.shape[1])
    names, topics = model.label_names, []
    for k in counts.argsort(descending=True, stable=True).tolist():
        if not counts[k]:
            break
        rows = (symbols == k).nonzero()[:, 0]
        rows = rows[certainty[rows].argsort(descending=True, stable=True)]
        texts = dict.fromkeys(text_of(model, split, i) for i in rows[: 10 * CERTAIN_TEXTS].tolist())
        typical = [word.word for word in words[k] if any(map(str.isalnum, word.word))]
        topics.append(
            Topic(
                symbol=k,
                name=names[k] if k < len(names) else "",
                share=len(rows) / len(split),
                words=typical[:WORDS],
                texts=list(texts)[:CERTAIN_TEXTS],
            )
        )
    return topics


def topic_lines(topics: Sequence[Topic]) -> list[str]:
    """Each topic in a line, and indented below it the texts that are most certain of it."""
    return [line for topic in topics for line in (topic.title, *(f"    {shortened(text)}" for text in topic.texts))]


@torch.no_grad()
def topic_sentences(
    model: SVEBM, topics: Sequence[Topic], train: Split, symbols: Sequence[int], *, seed: int
) -> list[str]:
    """Sentences that the model writes of each topic, and beside them those of a trigram chain of its training texts.

    Their z are sampled from p(z|y); the greedy sentences take the most probable words, the others sample them.

    Args:
        model: of an energy prior with symbols; of any other, the chains are shown alone.
        topics: which ones.
        train: training texts.
        symbols: the model's symbol of each.
        seed: of z, words and chains.
    """
    lines: list[str] = []
    family = model.networks.latent
    for topic in topics:
        rows: list[tuple[str, list[str]]] = []
        own_seed = seed + SEEDS_BETWEEN_TOPICS * topic.symbol  # the same z- and words would begin all topics alike
        if isinstance(family, EnergyLatent):
            for name, n, greedy in (("most probable", GREEDY, True), ("sampled", SAMPLED, False)):
                made = words_of_symbol(model, topic.symbol, n, seed=own_seed + greedy, greedy=greedy)
                rows += [(f"model, {name} words", words) for words in made]
        own = [sentence for sentence, k in zip(train.sentences, symbols, strict=True) if k == topic.symbol and sentence]
        if own:
            chain = TrigramChain.fit(own)
            rows += [("trigram chain", words) for words in chain.sample(TRIGRAMS, own_seed)]
        lines += [topic.title, *(f"    {name + ':':28s}{shortened(model.written(words))}" for name, words in rows)]
    return lines


def text_of(model: SVEBM, split: Split, row: int) -> str:
    """A text of a split as it was written; where that is not known, as the model writes its words."""
    return split.texts[row] if split.texts is not None else model.written(split.sentences[row])


def shortened(text: str) -> str:
    """A text on one line that a terminal can show, cut after LONGEST characters."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def printable(text: str) -> str:
    """The text with what a terminal would obey escaped: control characters, marks of direction, line separators."""
    return "".join(_escape(c) if _is_obeyed(c) else c for c in text)


def _is_obeyed(character: str) -> bool:
    code = ord(character)
    return code < 32 or 127 <= code < 160 or code in (0x2028, 0x2029) or code in _DIRECTION or 0xD800 <= code < 0xE000


def _escape(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


def _words(model: SVEBM, split: Split) -> list[list[str]]:
    """Words of each text for a reader: those of the model, or, where it reads subwords, those of the texts."""
    if not has_subwords(model.config.data):
        return split.sentences
    return [tokenize(text_of(model, split, i)) for i in range(len(split))]
