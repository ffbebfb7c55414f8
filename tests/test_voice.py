"""Prose can be read once: sentences of at most 35 words, parentheses of at most six, decimals that begin with a digit.

`python tests/test_voice.py` lists what is too long, page by page.
"""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted(("README.md", "CONTRIBUTING.md", *(p.relative_to(ROOT).as_posix() for p in ROOT.glob("docs/**/*.md"))))
LONGEST_SENTENCE = 35
LONGEST_PARENTHESIS = 6

pages = pytest.mark.parametrize("page", PAGES)


def blocks_of(text):
    """Paragraphs, items of lists, headings and cells of tables, without code; `code` in a line becomes one word."""
    text = re.sub(r"^```.*?^```|<!--.*?-->|^:::.*(?:\n    .*)*", "", text, flags=re.DOTALL | re.MULTILINE)
    blocks, current = [], []
    for line in [*text.splitlines(), ""]:
        starts = re.match(r"\s*(?:[-*]|\d+\.|:)\s+|#+ |\|", line)
        if starts or not line.strip() or (line.startswith("    ") and not current):
            blocks.append(" ".join(current))
            current = []
        if line.startswith("|"):
            blocks += re.split(r"(?<!\\)\|", plain(line))
        elif line.strip() and not (line.startswith("    ") and not current and not starts):
            current.append(line.strip().removeprefix("- "))
        if line.startswith("#"):
            blocks.append(" ".join(current))
            current = []
    return [plain(block).strip() for block in blocks if re.search(r"\w", block)]


def plain(text):
    """Text as it is read: code is one word, a link or picture is its text."""
    text = re.sub(r"``.+?``|`[^`]*`", "Code", text)
    return re.sub(r"[*_]{1,2}(\S[^*_]*)[*_]{1,2}", r"\1", re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text))


def sentences_of(block):
    return re.split(r"(?<=[.!?])[\"')*]*\s+(?=[A-Z0-9\"'(ληΣ|])", re.sub(r"\b(e\.g|i\.e|cf|vs|Eq)\.", r"\1", block))


def words_in(text):
    """Words, as a reader counts them: what has a letter or digit, between spaces."""
    return sum(1 for word in text.split() if re.search(r"\w", word))


def faults(text):
    """What breaks the rules, with the words that do."""
    found = []
    for block in blocks_of(text):
        for sentence in sentences_of(block):
            if words_in(sentence) > LONGEST_SENTENCE:
                found.append(f"{words_in(sentence)} words: {sentence}")
            found += [
                f"{words_in(inner)} words in parentheses: ({inner})"
                for inner in re.findall(r"(?<!\w)\(([^()]*)\)", sentence)
                if words_in(inner) > LONGEST_PARENTHESIS
            ]
            found += [f"write 0{number}: {sentence}" for number in re.findall(r"(?<![\w.…])\.\d+", sentence)]
            found += [f"write except: {sentence}" for _ in re.findall(r"\bbut for\b", sentence)]
    return found


@pages
def test_prose_can_be_read_once(page):
    assert faults((ROOT / page).read_text(encoding="utf-8")) == []


def test_pages_are_measured():
    assert {"docs/quickstart.md", "docs/install.md", "docs/reference/index.md"} <= set(PAGES)
    blocks = blocks_of((ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8"))
    assert sum(map(words_in, blocks)) > 500


def test_faults_are_noticed():
    long = "One " + "word " * 35 + "more."
    assert faults(f"{long}\n")[0].startswith("37 words")
    assert faults(f"| short | {long} |\n") and faults(f"- {long}\n") and faults(f"Short. {long} Short.\n")
    assert faults("So is this (a parenthesis that has more than six words in it).\n")
    assert faults("It is .5 here.\n") and faults("All but for one.\n")
    assert not faults(f"    {long}\n") and not faults(f"```\n{long}\n```\n")
    assert not faults("It is 0.5 here (six words are not too many), `.5` and `a (b c d e f g h i j)` are code.\n")
    halves = "word " * 30
    assert not faults(f"A {halves}end. A {halves}end.\n") and not faults(f"A {halves}:\n\n- {halves}\n- {halves}\n")


if __name__ == "__main__":
    for name in PAGES:
        listed = faults((ROOT / name).read_text(encoding="utf-8"))
        print(f"{name}: {len(listed)}", *(f"    {fault}" for fault in listed), sep="\n")
