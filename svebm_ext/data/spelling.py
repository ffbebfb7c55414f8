"""How texts write their tokens, counted over flat arrays: forms of words, and what stands between tokens."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from .token_lists import Numbers
from .tokenize import is_unspaced, normalise, tokenize, without_entities

#: What may stand between two tokens: nothing, a space, the two no-break spaces, the ideographic space.
GAPS = ("", " ", "\u00a0", "\u202f", "\u3000")
#: Tokens after which a sentence begins.
ENDS = frozenset(".!?…")
#: Kinds of tokens that are words; any other token is a kind of its own.
WORD, LETTER, NUMBER, CHARACTER = "w", "l", "n", "c"

Pair: TypeAlias = tuple[str, str]
_Mask: TypeAlias = NDArray[np.bool_]
_Ids: TypeAlias = NDArray[np.integer]


def is_word(token: str) -> bool:
    """Whether a token begins with a letter or a digit, or stands in angle brackets, as in "<unk>"."""
    return token[0].isdigit() or token[0].isalpha() or (len(token) > 2 and token[0] == "<" and token[-1] == ">")


def kind_of(token: str) -> str:
    """Class of a word, or the token itself, which is punctuation."""
    if token[0].isdigit():
        return NUMBER
    if is_unspaced(token):
        return CHARACTER
    return token if not is_word(token) else WORD if len(token) > 1 else LETTER


class Spelling:
    """All tokens of some texts, one after the other.

    A pair's counts would take some hundred bytes as Python objects. There are as many pairs as words, so that
    everything is counted by numbers, and only what is left of it becomes Python objects.
    """

    def __init__(self, texts: Sequence[str], sentences: Sequence[Sequence[str]]) -> None:
        numbers, gaps = Numbers(), {gap: number for number, gap in enumerate(GAPS)}
        words, forms, before, lengths = array("i"), array("i"), array("b"), array("i")
        for text, sentence in zip(texts, sentences, strict=True):
            text = normalise(without_entities(text))
            written = tokenize(text, lowercase=False)
            if len(written) != len(sentence):  # lower-casing has changed the words: rare, and it tells nothing
                continue
            words.extend(map(numbers.__getitem__, sentence))
            forms.extend(map(numbers.__getitem__, written))
            before.extend(gaps.get(gap, gaps[" "]) for gap in _gaps(text, written))
            lengths.append(len(written))
        self._tokens = list(numbers)
        self._words, self._forms = np.frombuffer(words, dtype=np.int32), np.frombuffer(forms, dtype=np.int32)
        self._gaps = np.frombuffer(before, dtype=np.int8)
        self._texts = np.repeat(np.arange(len(lengths), dtype=np.int32), np.frombuffer(lengths, dtype=np.int32))
        self._is_first = np.diff(self._texts, prepend=-1) > 0
        self._begins_text, self._begins_sentence = self._beginnings()

    def _of_tokens(self, values: Iterator[bool]) -> _Mask:
        """A property of the distinct tokens, for each token of the texts."""
        return np.fromiter(values, dtype=np.bool_, count=len(self._tokens))[self._words]

    def _beginnings(self) -> tuple[_Mask, _Mask]:
        """Whether a token is the first word of its text, and whether it begins a later sentence."""
        is_word = self._alphanumeric = self._of_tokens(token[0].isalnum() for token in self._tokens)
        ends = self._of_tokens(token[0] in ENDS for token in self._tokens) & ~is_word & ~self._is_first
        # After a single letter the mark belongs to an abbreviation, as in "U.S. economy".
        single = self._of_tokens(len(token) == 1 and token.isalpha() for token in self._tokens)
        ends[1:] &= ~single[:-1]
        n_ends, where = np.cumsum(ends), np.flatnonzero(is_word)
        later = np.diff(self._texts[where], prepend=-1) == 0
        begins_text, begins_sentence = np.zeros_like(is_word), np.zeros_like(is_word)
        begins_text[where] = ~later
        begins_sentence[where] = later & (np.diff(n_ends[where], prepend=0) > 0)
        return begins_text, begins_sentence

    def forms(self, *, inside: bool) -> Counter[tuple[str, str]]:
        """How often each word has each form, within sentences or where it begins one."""
        begins = self._begins_text | self._begins_sentence
        chosen = self._alphanumeric & ~begins if inside else begins
        pairs = _counted(self._words[chosen], self._forms[chosen])
        return Counter({(self._tokens[word], self._tokens[form]): count for (word, form), count in pairs})

    def capitals(self, where: str) -> float:
        """Share of the beginnings of texts ("text"), or of later sentences ("sentence"), that have a capital."""
        begins = self._begins_text if where == "text" else self._begins_sentence
        words, forms = self._words[begins], self._forms[begins]
        firsts = np.array([token[0] for token in self._tokens], dtype=np.str_)
        capital = (words != forms) & (firsts[words] != firsts[forms])
        return float(capital.sum()) / max(1, len(words))

    def forms_of_pairs(self, which: int, usual: Mapping[str, str]) -> dict[Pair, tuple[str, int]]:
        """Forms of one of two words in a row, where most of them differ from the word's usual form.

        Args:
            which: of the two words, 0 or 1, has the form; it stands within a sentence.
            usual: form of the words that are not written as they are.

        Returns:
            Form and its count of each pair of words.
        """
        here = self._alphanumeric & ~self._begins_text & ~self._begins_sentence
        pairs = (
            ~self._is_first[1:] & self._alphanumeric[1:] & self._alphanumeric[:-1] & (here[1:] if which else here[:-1])
        )
        at = np.flatnonzero(pairs)
        n, forms = len(self._tokens), self._forms[at + which]
        numbers = {token: number for number, token in enumerate(self._tokens)}
        expected = np.array([numbers.get(usual.get(token, token), -1) for token in self._tokens], dtype=np.int64)
        deviates = forms != expected[self._words[at + which]]
        keys = self._words[at].astype(np.int64) * n + self._words[at + 1]
        candidates, slots = np.unique(keys[deviates], return_inverse=True)
        totals = np.bincount(np.searchsorted(candidates, keys[np.isin(keys, candidates)]), minlength=len(candidates))
        mostly = {}
        for (slot, form), count in _counted(slots, forms[deviates]):
            if 2 * count > totals[slot]:
                first, second = divmod(int(candidates[slot]), n)
                mostly[self._tokens[first], self._tokens[second]] = self._tokens[form], count
        return mostly

    def _repeated(self, is_word: _Mask) -> _Mask:
        """Whether a punctuation mark stands at the second, fourth, ... of its places in its text."""
        marks = np.flatnonzero(~is_word[self._words])
        order = marks[np.lexsort((marks, self._words[marks], self._texts[marks]))]
        begins = (np.diff(self._words[order], prepend=-1) != 0) | (np.diff(self._texts[order], prepend=-1) != 0)
        place = np.arange(len(order))
        place -= np.maximum.accumulate(np.where(begins, place, 0))
        repeated = np.zeros(len(self._words), dtype=np.bool_)
        repeated[order] = place % 2 == 1
        return repeated

    def gaps(self) -> tuple[Counter[tuple[Pair, str]], Counter[tuple[tuple[Pair, Pair], str]]]:
        """What stands between two tokens.

        A kind is a class of words, or a punctuation mark, followed by "2" at its second, fourth, ... place in a text.

        Returns:
            How often each gap stands between two kinds, and between two tokens of kinds that are not both words with
            spaces between them.
        """
        names = [WORD, LETTER, NUMBER, CHARACTER, *self._tokens]
        words = np.array([is_word(token) for token in self._tokens], dtype=np.bool_)
        kind = np.array(
            [names.index(kind_of(token)) if is_word(token) else 4 + i for i, token in enumerate(self._tokens)],
            dtype=np.int32,
        )
        own_kinds = 2 * kind[self._words] + self._repeated(words)
        at = np.flatnonzero(~self._is_first[1:])
        between = self._gaps[at + 1]

        def kind_name(code: int) -> str:
            return names[code // 2] + ("2" if code % 2 else "")

        of_kinds: Counter[tuple[Pair, str]] = Counter()
        for (first, second, gap), count in _counted(own_kinds[at], own_kinds[at + 1], between):
            of_kinds[(kind_name(first), kind_name(second)), GAPS[gap]] += count
        of_tokens: Counter[tuple[tuple[Pair, Pair], str]] = Counter()
        spaced = words & (kind != names.index(CHARACTER))
        at = at[~(spaced[self._words[at]] & spaced[self._words[at + 1]])]
        columns = (self._words[at], self._words[at + 1], own_kinds[at], own_kinds[at + 1], self._gaps[at + 1])
        for (first, second, first_kind, second_kind, gap), count in _counted(*columns):
            tokens = self._tokens[first], self._tokens[second]
            of_tokens[(tokens, (kind_name(first_kind), kind_name(second_kind))), GAPS[gap]] += count
        return of_kinds, of_tokens


def _counted(*columns: _Ids) -> Iterator[tuple[tuple[int, ...], int]]:
    """The distinct rows of some columns, with their counts."""
    order = np.lexsort(columns)
    rows = np.stack([column[order] for column in columns])
    begins = np.flatnonzero(np.r_[True, (rows[:, 1:] != rows[:, :-1]).any(0)]) if len(order) else order
    counts = np.diff(begins, append=len(order))
    yield from zip(map(tuple, rows[:, begins].T.tolist()), counts.tolist(), strict=True)


def _gaps(text: str, written: Sequence[str]) -> Iterator[str]:
    """What stands before each token of a text, nothing before the first one."""
    end = 0
    for number, token in enumerate(written):
        start = text.find(token, end)
        yield text[end:start] if number else ""
        end = start + len(token)
