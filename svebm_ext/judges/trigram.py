"""A trigram chain of words: what a generator has to beat before it is worth its training."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import accumulate

import numpy as np

from svebm_ext.errors import DataError

#: Words before the first one, the end of a sentence, and every word that training lacks. No text has these ids.
START, END, UNKNOWN = 0, 1, 2
#: Id of the first word.
FIRST_WORD = 3

Context = tuple[int, ...]


class TrigramChain:
    """p(word | the two words before it), interpolated by Witten and Bell's rule with bigrams, unigrams, uniform.

        p(w|h) = (c(h, w) + T(h) p(w|h')) / (c(h) + T(h))

    c are counts, T(h) is the number of different words after h, h' is h without its earliest word, and the distribution
    below the unigrams is uniform over the vocabulary: the training words, the end, and one unknown word. A sentence has
    at least one word, so that p(end | start) is 0 and the others are divided by what is left.

    Attributes:
        words: of the training sentences, sorted; the chain's ids are 3 + their places.
        longest: tokens of the longest training sentence.

    Source: Witten & Bell, The Zero-Frequency Problem, IEEE Transactions on Information Theory 37(4), 1991, method C;
    interpolated as in Chen & Goodman 1999.
    """

    def __init__(self, words: Sequence[str], counts: dict[Context, Counter[int]], longest: int) -> None:
        self.words, self.longest = list(words), longest
        self._ids = {word: FIRST_WORD + i for i, word in enumerate(self.words)}
        self._counts = counts
        self._totals = {context: sum(following.values()) for context, following in counts.items()}
        self._cumulative: dict[Context, tuple[list[int], list[int]]] = {}

    @classmethod
    def fit(cls, sentences: Sequence[Sequence[str]]) -> TrigramChain:
        """Count the trigrams of tokenised sentences; those without a word are left out.

        Raises:
            DataError: no sentence has a word.
        """
        words = sorted({word for sentence in sentences for word in sentence})
        if not words:
            raise DataError(f"trigrams: none of the {len(sentences)} sentences has a word")
        ids = {word: FIRST_WORD + i for i, word in enumerate(words)}
        counts: defaultdict[Context, Counter[int]] = defaultdict(Counter)
        for sentence in sentences:
            before, last = START, START
            for word in [*(ids[word] for word in sentence), END] if sentence else ():
                for context in ((before, last), (last,), ()):
                    counts[context][word] += 1
                before, last = last, word
        return cls(words, dict(counts), max(map(len, sentences)))

    @property
    def vocabulary_size(self) -> int:
        """Symbols that have a probability: the words, the end, the unknown word."""
        return len(self.words) + 2

    def probability(self, word: str | None, before: Sequence[str] = ()) -> float:
        """p(word | the sentence so far); None is the end, a word that training lacks is the unknown word."""
        context = self._context(before)
        return self._probability(END if word is None else self._ids.get(word, UNKNOWN), context)

    def nll(self, sentences: Sequence[Sequence[str]]) -> float:
        """Mean -log p(sentence) in nats, ends counted; words that training lacks are one unknown word.

        Raises:
            DataError: no sentence, or one without a word.
        """
        if not sentences or not all(sentences):
            raise DataError("trigrams: every sentence needs a word, and there must be at least one")
        total = 0.0
        for sentence in sentences:
            before, last = START, START
            for word in [*(self._ids.get(word, UNKNOWN) for word in sentence), END]:
                total -= math.log(self._probability(word, (before, last)))
                before, last = last, word
        return total / len(sentences)

    def sample(self, n: int, seed: int, greedy: bool = False, max_tokens: int | None = None) -> list[list[str]]:
        """Tokens of n sentences, each of at least one word; the unknown word is never among them.

        Args:
            n: number of sentences.
            seed: of the random numbers.
            greedy: take the most probable word each time. The first word is sampled all the same: there is a single
                sentence otherwise.
            max_tokens: longest sentence, where it is cut; None is the longest of training.
        """
        source, longest = random.Random(seed), max_tokens or self.longest
        sentences = []
        for _ in range(n):
            sentence: list[int] = []
            before, last = START, START
            while len(sentence) < longest:
                chosen = self._most_probable((before, last)) if greedy and sentence else None
                word = self._draw((before, last), source) if chosen is None else chosen
                if word == END:
                    break
                sentence.append(word)
                before, last = last, word
            sentences.append([self.words[word - FIRST_WORD] for word in sentence])
        return sentences

    def _context(self, before: Sequence[str]) -> Context:
        ids = [START, START, *(self._ids.get(word, UNKNOWN) for word in before)]
        return ids[-2], ids[-1]

    def _probability(self, word: int, context: Context) -> float:
        if context == (START, START):
            end = self._interpolated(END, context)
            return 0.0 if word == END else self._interpolated(word, context) / (1.0 - end)
        return self._interpolated(word, context)

    def _interpolated(self, word: int, context: Context) -> float:
        p = 1.0 / self.vocabulary_size
        for history in ((), context[1:], context):
            following = self._counts.get(history)
            if following:
                p = (following[word] + len(following) * p) / (self._totals[history] + len(following))
        return p

    def _most_probable(self, context: Context) -> int:
        """The most probable word or end; of equal ones the first."""
        p = np.full(FIRST_WORD + len(self.words), 1.0 / self.vocabulary_size)
        for history in ((), context[1:], context):
            following = self._counts.get(history)
            if following:
                p *= len(following)
                p[list(following)] += list(following.values())
                p /= self._totals[history] + len(following)
        p[[START, UNKNOWN]] = 0.0
        return int(p.argmax())

    def _draw(self, context: Context, source: random.Random) -> int:
        """A word or the end. The mixture is sampled by its parts; refused symbols are drawn again."""
        while True:
            word = self._draw_any(context, source)
            if word != UNKNOWN and not (word == END and context == (START, START)):
                return word

    def _draw_any(self, context: Context, source: random.Random) -> int:
        for history in (context, context[1:], ()):
            following = self._counts.get(history)
            if not following:
                continue
            total = self._totals[history]
            if source.random() * (total + len(following)) < total:
                if history not in self._cumulative:
                    self._cumulative[history] = list(following), list(accumulate(following.values()))
                ids, cumulative = self._cumulative[history]
                return source.choices(ids, cum_weights=cumulative)[0]
        return source.randrange(END, FIRST_WORD + len(self.words))
