"""The symbols of a model as topics or classes that a reader can judge: shares, typical words, texts, sentences."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.config import has_subwords
from svebm_ext.data.corpus import Split
from svebm_ext.data.documents import content_words, english_stop_words
from svebm_ext.data.function_words import function_words_of
from svebm_ext.data.tokenize import tokenize
from svebm_ext.evaluation.topic_text import Topic, shortened, topic_lines
from svebm_ext.judges.trigram import TrigramChain
from svebm_ext.latents.energy import EnergyLatent
from svebm_ext.measures.words import characterising_words
from svebm_ext.models.of_symbol import words_of_symbol
from svebm_ext.models.svebm import SVEBM
from svebm_ext.prior.groups import log_groups_of

__all__ = ["Topic", "find_topic_groups", "find_topics", "shortened", "topic_lines", "topic_sentences"]

#: Most topics in a report.
IN_REPORT = 10
#: Typical words of a topic, words that are looked through for them, and texts that are most certain of it.
WORDS, LOOKED_AT, CERTAIN_TEXTS = 5, 40, 3
#: Sentences of a topic: greedy ones, sampled ones, those of a trigram chain.
GREEDY, SAMPLED, TRIGRAMS = 3, 1, 2
SEEDS_BETWEEN_TOPICS = 1000


def find_topics(
    model: SVEBM,
    split: Split,
    answers: Float[Tensor, "B K"],
    others: tuple[Split, Float[Tensor, "N K"]] | None = None,
) -> list[Topic]:
    """The symbols that are most probable for some text of a split, largest first.

    Args:
        model: whose symbols they are.
        split: B texts.
        answers: log p(y|x) of each.
        others: N more texts and their answers, which the typical words are told by as well.
    """
    certainty, symbols = answers.max(-1)
    groups = model.groups
    more = None if others is None else (others[0], others[1].argmax(-1))
    topics = _topics(model, split, certainty, symbols, answers.shape[1], more)
    names = model.label_names
    return [
        topic._replace(
            name=names[topic.symbol] if topic.symbol < len(names) else "",
            address="" if groups is None else groups.address(topic.symbol),
        )
        for topic in topics
    ]


def find_topic_groups(
    model: SVEBM,
    split: Split,
    answers: Float[Tensor, "B K"],
    others: tuple[Split, Float[Tensor, "N K"]] | None = None,
) -> list[Topic]:
    """The groups of these symbols as topics, largest first; none where symbols are in one level. A text's group is that
    of its symbol; arguments as of `find_topics`."""
    groups = model.groups
    if groups is None:
        return []
    group_of = torch.tensor(groups.of)
    of = group_of[answers.argmax(-1)]
    certainty = log_groups_of(answers, groups)[torch.arange(len(of)), of]
    more = None if others is None else (others[0], group_of[others[1].argmax(-1)])
    topics = _topics(model, split, certainty, of, groups.n_groups, more)
    return [topic._replace(symbols=groups.members[topic.symbol]) for topic in topics]


def _topics(
    model: SVEBM,
    split: Split,
    certainty: Float[Tensor, "B"],
    symbols: Int[Tensor, "B"],
    n_symbols: int,
    others: tuple[Split, Int[Tensor, "N"]] | None = None,
) -> list[Topic]:
    """Topics of the symbols (or groups) of texts, largest first, without names.

    Args:
        certainty: log probability of each text's symbol.
        symbols: of each text, 0 .. n_symbols - 1.
        others: more texts, and the symbol of each.
    """
    sentences, known = list(_words(model, split)), symbols
    if others is not None:
        sentences, known = [*sentences, *_words(model, others[0])], torch.cat((symbols, others[1]))
    words = _typical(model, sentences, known, n_symbols)
    counts = symbols.bincount(minlength=n_symbols)
    topics = []
    for k in counts.argsort(descending=True, stable=True).tolist():
        if not counts[k]:
            break
        rows = (symbols == k).nonzero()[:, 0]
        rows = rows[certainty[rows].argsort(descending=True, stable=True)]
        texts = dict.fromkeys(text_of(model, split, i) for i in rows[: 10 * CERTAIN_TEXTS].tolist())
        topics.append(
            Topic(
                symbol=k,
                name="",
                share=len(rows) / len(split),
                words=words[k][:WORDS],
                texts=list(texts)[:CERTAIN_TEXTS],
            )
        )
    return topics


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
        rows: list[tuple[str, str]] = []
        own_seed = seed + SEEDS_BETWEEN_TOPICS * topic.symbol  # the same z- and words would begin all topics alike
        if isinstance(family, EnergyLatent):
            for name, n, greedy in (("most probable", GREEDY, True), ("sampled", SAMPLED, False)):
                made = words_of_symbol(model, topic.symbol, n, seed=own_seed + greedy, greedy=greedy)
                rows += [(f"model, {name} words", model.to_read(words)) for words in made]
        own = [sentence for sentence, k in zip(train.sentences, symbols, strict=True) if k == topic.symbol and sentence]
        if own:
            chain = TrigramChain.fit(own)
            rows += [("trigram chain", model.written(words)) for words in chain.sample(TRIGRAMS, own_seed)]
        lines += [topic.title, *(f"    {name + ':':28s}{shortened(text)}" for name, text in rows)]
    return lines


def _typical(
    model: SVEBM, sentences: Sequence[Sequence[str]], symbols: Int[Tensor, "B"], n_symbols: int
) -> list[list[str]]:
    """Words that are typical of each symbol: those that say what a text is about come before function words.

    Where symbols are of how texts are worded, both count alike.
    """
    typical = characterising_words(sentences, symbols, n_symbols, LOOKED_AT)
    words = [[one.word for one in each if any(map(str.isalnum, one.word))] for each in typical]
    guide = model.networks.guide
    if guide is not None and guide.is_of_wording:
        return words
    function = function_words_of(sentences, english_stop_words())
    content = [[w for w in each if w.lower() not in function] for each in content_words(words)]
    return [[*own, *(w for w in each if w not in set(own))] for own, each in zip(content, words, strict=True)]


def text_of(model: SVEBM, split: Split, row: int) -> str:
    """A text of a split as it was written; where that is not known, as the model writes its words."""
    return split.texts[row] if split.texts is not None else model.written(split.sentences[row])


def _words(model: SVEBM, split: Split) -> Sequence[list[str]]:
    """Words of each text for a reader: those of the model, or, where it reads subwords, those of the texts."""
    if not has_subwords(model.config.data):
        return split.sentences
    return [tokenize(text_of(model, split, i)) for i in range(len(split))]
