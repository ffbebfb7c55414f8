"""Words back to text as it is written: capitals and spacing, learnt from the training text."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from ..errors import DataError
from .spelling import CHARACTER, ENDS, GAPS, LETTER, NUMBER, WORD, Pair, Spelling, is_word, kind_of
from .token_lists import lengths_of
from .tokenize import lower

#: Words that are learnt from at most, of texts that are evenly spread.
N_WORDS = 2_000_000
#: Entries of each table at most, the most frequent ones.
MAX_ENTRIES = 100_000
#: Longest word that has an entry.
MAX_LENGTH = 200
#: Times that an exception must have been seen.
MIN_COUNT = 2

#: Stands for any token; no token is empty.
_ANY = ""
_CLOSING, _OPENING = frozenset(",.?!;:%…"), frozenset("#$£€@")

_Key = TypeVar("_Key")


@dataclass(frozen=True)
class Surface:
    """How a corpus writes its words: `to_text` undoes `tokenize` as well as can be.

    Args:
        forms: written form of words within a sentence, where it is not the word itself ("paris": "Paris").
        phrases: written form of the second of two words, where it differs from that ("apple", "pay": "Pay").
        followed: ... and of the first of two ("security", "council": "Security").
        starts: written form of words that begin a sentence, where capitals alone do not tell it.
        spacing: what stands between two kinds of tokens. A kind is a class of words, or a punctuation mark, which is
            followed by "2" at its second, fourth, ... place in a text, since quotation marks open and close by turns.
        exceptions: what stands between two tokens, where their kinds would have something else ("." and "s" of U.S.).
        capital_start: a text begins with a capital.
        capital_after: and so does each sentence within it.
    """

    forms: Mapping[str, str] = field(default_factory=dict)
    phrases: Mapping[Pair, str] = field(default_factory=dict)
    followed: Mapping[Pair, str] = field(default_factory=dict)
    starts: Mapping[str, str] = field(default_factory=dict)
    spacing: Mapping[Pair, str] = field(default_factory=dict)
    exceptions: Mapping[Pair, str] = field(default_factory=dict)
    capital_start: bool = False
    capital_after: bool = False

    @classmethod
    def learn(cls, texts: Sequence[str], sentences: Sequence[Sequence[str]]) -> Surface:
        """What most of the texts do.

        Args:
            texts: as they were written.
            sentences: words of each, as `tokenize` gives them, lower-cased or not.

        Raises:
            DataError: not as many sentences as texts.
        """
        if len(texts) != len(sentences):
            raise DataError(f"{len(texts)} texts for {len(sentences)} sentences; expected as many")
        step = max(1, -(-int(lengths_of(sentences).sum()) // N_WORDS))
        return cls(**_Learning(Spelling(texts[::step], sentences[::step])).tables())

    def to_text(self, tokens: Sequence[str]) -> str:
        """The text of a sentence of tokens."""
        if not tokens:
            return ""
        kinds, beginnings = _kinds(tokens), _beginnings(tokens)
        around = [_ANY, *tokens, _ANY]
        parts = []
        for i, word in enumerate(tokens):
            if i > 0:
                parts.append(self.gap((tokens[i - 1], word), (kinds[i - 1], kinds[i])))
            parts.append(self._written(word, beginnings[i], around[i], around[i + 2]))
        return "".join(parts)

    def gap(self, tokens: Pair, kinds: Pair) -> str:
        """What stands between two tokens of given kinds."""
        own = self.exceptions.get(tokens)
        return _gap_of_kinds(self.spacing, kinds) if own is None else own

    def _written(self, word: str, beginning: str, previous: str, following: str) -> str:
        capital = self.capital_start if beginning == "text" else self.capital_after and beginning == "sentence"
        if not capital:
            form = self.phrases.get((previous, word)) or self.followed.get((word, following))
            return form or self.forms.get(word, word)
        form = self.starts.get(word) or self.forms.get(word)
        return capitalised(word) if form is None else form

    def to_dict(self) -> dict[str, object]:
        """As JSON can hold it."""
        return {
            "capital_start": self.capital_start,
            "capital_after": self.capital_after,
            "forms": dict(self.forms),
            "phrases": [[*pair, form] for pair, form in self.phrases.items()],
            "followed": [[*pair, form] for pair, form in self.followed.items()],
            "starts": dict(self.starts),
            "spacing": [[*pair, gap] for pair, gap in self.spacing.items()],
            "exceptions": [[*pair, gap] for pair, gap in self.exceptions.items()],
        }

    @classmethod
    def from_dict(cls, content: object) -> Surface:
        """What `to_dict` gave.

        Raises:
            DataError: anything else, or a form that is not its word in other case.
        """
        names = {"capital_start", "capital_after", "forms", "phrases", "followed", "starts", "spacing", "exceptions"}
        if not isinstance(content, dict) or set(content) != names:
            raise DataError(f"expected an object with {', '.join(sorted(names))}")
        for name in ("capital_start", "capital_after"):
            if not isinstance(content[name], bool):
                raise DataError(f"{name} must be true or false, not {content[name]!r:.80}")
        return cls(
            forms=_checked_forms("forms", content["forms"]),
            phrases=_checked_pairs("phrases", content["phrases"], lambda pair, form: _is_form(pair[1], form)),
            followed=_checked_pairs("followed", content["followed"], lambda pair, form: _is_form(pair[0], form)),
            starts=_checked_forms("starts", content["starts"]),
            spacing=_checked_pairs("spacing", content["spacing"], lambda pair, gap: gap in GAPS),
            exceptions=_checked_pairs("exceptions", content["exceptions"], lambda pair, gap: gap in GAPS),
            capital_start=content["capital_start"],
            capital_after=content["capital_after"],
        )


class _Learning:
    """What most of the texts do."""

    def __init__(self, spelling: Spelling) -> None:
        self.spelling = spelling
        self.inside, self.start = spelling.forms(inside=True), spelling.forms(inside=False)
        self.kinds, self.pairs = spelling.gaps()

    def tables(self) -> dict:
        """Arguments of `Surface`."""
        spacing = self._spacing()
        forms = _most_frequent(self._forms())
        return {
            "forms": forms,
            "phrases": _most_frequent(self._forms_of_pairs(1, forms)),
            "followed": _most_frequent(self._forms_of_pairs(0, forms)),
            "starts": _most_frequent(self._starts(forms)),
            "spacing": spacing,
            "exceptions": _most_frequent(self._exceptions(spacing)),
            "capital_start": self.spelling.capitals("text") > 0.5,
            "capital_after": self.spelling.capitals("sentence") > 0.5,
        }

    def _forms_of_pairs(self, which: int, forms: Mapping[str, str]) -> dict[Pair, tuple[str, int]]:
        """Forms of one word of a pair, the first or the second, where most of them differ from the word's own form."""
        return {
            pair: (form, count)
            for pair, (form, count) in self.spelling.forms_of_pairs(which, forms).items()
            if count >= MIN_COUNT and _is_form(pair[which], form)
        }

    def _spacing(self) -> dict[Pair, str]:
        """Most frequent gap of each pair of kinds, and beside each kind whatever the other is."""
        counts = Counter(self.kinds)
        for (pair, gap), count in self.kinds.items():
            counts[(pair[0], _ANY), gap] += count
            counts[(_ANY, pair[1]), gap] += count
        return _most_frequent({pair: max(gaps, key=_rank) for pair, gaps in _grouped(counts).items()})

    def _exceptions(self, spacing: Mapping[Pair, str]) -> dict[Pair, tuple[str, int]]:
        """Gaps of pairs of tokens that mostly differ from those of their kinds."""
        seen: Counter[tuple[Pair, str]] = Counter()
        usual: defaultdict[Pair, set[str]] = defaultdict(set)
        for ((pair, kinds), gap), count in self.pairs.items():
            seen[pair, gap] += count
            usual[pair].add(_gap_of_kinds(spacing, kinds))
        exceptions = {}
        for pair, gaps in _grouped(seen).items():
            gap, count = max(gaps, key=_rank)
            # A pair whose kinds alternate, as quotation marks do, has no gap of its own.
            if count >= MIN_COUNT and len(usual[pair]) == 1 and gap not in usual[pair]:
                exceptions[pair] = gap, count
        return exceptions

    def _forms(self) -> dict[str, tuple[str, int]]:
        """Most frequent form of each word within sentences, where it is not the word itself."""
        forms = {}
        inside = _grouped(self.inside)
        for word, counts in inside.items():
            # Of forms that are as frequent, the word itself is taken.
            form, count = max(counts, key=lambda item: (item[1], item[0] == word, item[0]))
            if form != word and _is_form(word, form):
                forms[word] = form, count
        for word, counts in _grouped(self.start).items():
            # Seen at beginnings alone: "BBC" tells its form, "Kerry" may be any word.
            form, count = max(counts, key=_rank)
            if word not in inside and form not in (word, capitalised(word)) and _is_form(word, form):
                forms[word] = form, count
        return forms

    def _starts(self, forms: Mapping[str, str]) -> dict[str, tuple[str, int]]:
        """Most frequent form of each word at beginnings, where it is not what is written there anyway."""
        starts = {}
        for word, counts in _grouped(self.start).items():
            form, count = max(counts, key=_rank)
            if count >= MIN_COUNT and form != forms.get(word, capitalised(word)) and _is_form(word, form):
                starts[word] = form, count
        return starts


def _grouped(counts: Mapping[tuple[_Key, str], int]) -> dict[_Key, list[tuple[str, int]]]:
    """Forms or gaps of each key, with their counts."""
    groups: dict[_Key, list[tuple[str, int]]] = {}
    for (key, form), count in counts.items():
        groups.setdefault(key, []).append((form, count))
    return groups


def _rank(entry: tuple[str, int]) -> tuple[int, str]:
    return entry[1], entry[0]


def capitalised(word: str) -> str:
    """The word with a capital, where it has one that is lower-cased to the word again."""
    title = word[:1].title() + word[1:]
    return title if lower(title) == word else word


def _is_form(word: str, form: str) -> bool:
    return lower(form) == word and len(word) <= MAX_LENGTH and form.split() == [form]


def _most_frequent(entries: dict) -> dict:
    """Values of the most frequent entries, (value, count) each, in alphabetical order of their keys."""
    kept = sorted(entries, key=lambda key: (-entries[key][1], key))[:MAX_ENTRIES]
    return {key: entries[key][0] for key in sorted(kept)}


def _kinds(tokens: Sequence[str]) -> list[str]:
    """Kind of each token; see `Surface.spacing`."""
    seen: Counter[str] = Counter()
    kinds = []
    for token in tokens:
        kind = kind_of(token)
        if not is_word(token):
            seen[token] += 1
            kind = token if seen[token] % 2 else token + "2"
        kinds.append(kind)
    return kinds


def _is_word(kind: str) -> bool:
    return kind in (WORD, LETTER, NUMBER, CHARACTER)


def _beginnings(tokens: Sequence[str]) -> list[str]:
    """For each token "text" where it is the first word, "sentence" where it begins a later sentence, else ""."""
    beginnings, state = [], "text"
    for i, token in enumerate(tokens):
        alphanumeric = token[0].isalnum()
        beginnings.append(state if alphanumeric else "")
        if alphanumeric:
            state = ""
        elif token[0] in ENDS and i > 0 and not state:
            # After a single letter the mark belongs to an abbreviation, as in "U.S. economy".
            state = "" if len(tokens[i - 1]) == 1 and tokens[i - 1].isalpha() else "sentence"
    return beginnings


def _gap_of_kinds(spacing: Mapping[Pair, str], kinds: Pair) -> str:
    """What stands between two kinds: as seen, else as most often on either side, else by their Unicode category."""
    seen = spacing.get(kinds)
    if seen is not None:
        return seen
    first, second = kinds
    after, before = spacing.get((first, _ANY)), spacing.get((_ANY, second))
    if after is None and not _is_word(first):
        after = "" if first[0] in _OPENING or unicodedata.category(first[0]) in ("Ps", "Pi") else " "
    if before is None and not _is_word(second):
        before = "" if second[0] in _CLOSING or unicodedata.category(second[0]) in ("Pe", "Pf") else " "
    if first == second == CHARACTER:
        return ""
    return "" if "" in (after, before) and not (_is_word(first) and _is_word(second)) else " "


def _checked_forms(name: str, content: object) -> dict[str, str]:
    if not isinstance(content, dict) or len(content) > MAX_ENTRIES:
        raise DataError(f"{name} must be an object with at most {MAX_ENTRIES:,} entries")
    for word, form in content.items():
        if not isinstance(form, str) or not _is_form(word, form):
            raise DataError(f"{name}: {form!r:.80} is no written form of {word!r:.80}")
    return content


def _checked_pairs(name: str, content: object, fits: Callable[[Pair, str], bool]) -> dict[Pair, str]:
    if not isinstance(content, list) or len(content) > MAX_ENTRIES:
        raise DataError(f"{name} must be a list of at most {MAX_ENTRIES:,} entries")
    for entry in content:
        if not isinstance(entry, list) or len(entry) != 3 or not all(isinstance(part, str) for part in entry):
            raise DataError(f"{name}: {entry!r:.80}, expected two tokens and what they ask for")
        if not fits((entry[0], entry[1]), entry[2]):
            raise DataError(f"{name}: {entry[2]!r:.80} does not fit {entry[0]!r:.80} and {entry[1]!r:.80}")
    return {(first, second): asked for first, second, asked in content}
