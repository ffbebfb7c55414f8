"""Spelling counts over flat arrays what one would count word by word."""

import random
from collections import Counter, defaultdict

import pytest

from svebm_ext.data.spelling import GAPS, Spelling
from svebm_ext.data.surface import _beginnings, _kinds
from svebm_ext.data.tokenize import normalise, tokenize

WORDS = [
    "paris", "Paris", "I", "i", "a", "A", "U", "S", "s", "iPhone", "iphone", "Apple", "apple", "pay", "Pay", "3.5",
    "½", "naïve", "東京", "<unk>", "don't", "élan", "Élan",
]  # fmt: skip
MARKS = [".", "!", "?", "…", "...", ",", '"', "'", "(", ")", "-", "--", "€", "%", ":"]


def texts(seed, n=400):
    rng = random.Random(seed)
    made = []
    for _ in range(n):
        parts = [rng.choice(WORDS if rng.random() < 0.7 else MARKS) for _ in range(rng.randint(1, 12))]
        made.append("".join(part + rng.choice(["", " ", " ", "\u00a0", "  "]) for part in parts))
    return made


def word_by_word(lines, sentences):
    """Forms inside sentences and at beginnings, capitals, and gaps, by the words of each text alone."""
    inside, start, capitals, kinds, tokens = Counter(), Counter(), Counter(), Counter(), Counter()
    pairs = defaultdict(Counter), defaultdict(Counter)
    for line, words in zip(lines, sentences, strict=True):
        text = normalise(line)
        forms = tokenize(text, lowercase=False)
        if len(forms) != len(words):
            continue
        begins, own = _beginnings(words), _kinds(words)
        for i, (word, form) in enumerate(zip(words, forms, strict=True)):
            if begins[i]:
                start[word, form] += 1
                capitals[begins[i], form[0] != word[0]] += 1
            elif word[0].isalnum():
                inside[word, form] += 1
                if i > 0 and words[i - 1][0].isalnum():
                    pairs[1][words[i - 1], word][form] += 1
                if i + 1 < len(words) and words[i + 1][0].isalnum():
                    pairs[0][word, words[i + 1]][form] += 1
        end = text.find(forms[0]) + len(forms[0]) if forms else 0
        for i, form in enumerate(forms[1:]):
            gap = text[end : text.find(form, end)]
            end = text.find(form, end) + len(form)
            gap = gap if gap in GAPS else " "
            kinds[(own[i], own[i + 1]), gap] += 1
            if not {own[i], own[i + 1]} <= {"w", "l", "n"}:
                tokens[((words[i], words[i + 1]), (own[i], own[i + 1])), gap] += 1
    return inside, start, capitals, pairs, kinds, tokens


@pytest.mark.parametrize("lowercase", [True, False])
@pytest.mark.parametrize("seed", range(4))
def test_counts_as_word_by_word(seed, lowercase):
    lines = texts(seed)
    sentences = [tokenize(line, lowercase=lowercase) for line in lines]
    spelling = Spelling(lines, sentences)
    inside, start, capitals, pairs, kinds, tokens = word_by_word(lines, sentences)
    assert spelling.forms(inside=True) == inside and spelling.forms(inside=False) == start
    for where in ("text", "sentence"):
        assert spelling.capitals(where) == capitals[where, True] / (capitals[where, True] + capitals[where, False])
    assert spelling.gaps() == (kinds, tokens)
    usual = {"paris": "Paris", "apple": "Apple", "s": "S"}
    for which in (0, 1):
        most = {pair: max(counts.items(), key=lambda item: item[1]) for pair, counts in pairs[which].items()}
        expected = {
            pair: (form, count)
            for pair, (form, count) in most.items()
            if 2 * count > pairs[which][pair].total() and form != usual.get(pair[which], pair[which])
        }
        assert spelling.forms_of_pairs(which, usual) == expected
    assert len(tokens) > 100 and len(kinds) > 50 and (not lowercase or len(spelling.forms_of_pairs(1, {})) > 20)


def test_no_texts_have_no_counts():
    spelling = Spelling([], [])
    assert spelling.forms(inside=True) == Counter() and spelling.gaps() == (Counter(), Counter())
    assert spelling.capitals("text") == 0 and spelling.forms_of_pairs(1, {}) == {}
