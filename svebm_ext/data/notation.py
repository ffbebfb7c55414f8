"""The notation grammar rules are written in, and its parser.

A rule is a string. Lower-case words are words of the language, UPPER_CASE names are other rules, and

    a | b            one of several alternatives,
    3 a | b          with weights (1 where none is written): here 3/4 and 1/4,
    ( a | b ) c      a group,
    [ a ] b          an optional part, present with probability 1/2,
    [.2 a ] b        or with the probability written first.

Numbers are always weights: words that are numbers are spelt out ("seven").
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from ..errors import DataError

_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?!\w))|(?P<word>[a-z][a-z']*(?![\w']))|(?P<rule>[A-Z][A-Z_]*(?![\w']))"
    r"|(?P<mark>[|()\[\]]))"
)


@dataclass(frozen=True)
class Word:
    """A word of the language."""

    text: str


@dataclass(frozen=True)
class Reference:
    """The name of another rule."""

    rule: str


@dataclass(frozen=True)
class Sequence:
    """Parts one after another; no parts at all is the empty string."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """One of several alternatives, with probabilities that sum to one."""

    alternatives: tuple[tuple[float, Node], ...]


Node = Word | Reference | Sequence | Choice


def parse(rule: str, text: str) -> Node:
    """Parse one rule; `rule` is its name, for messages.

    Raises DataError, naming rule and place, where the text does not follow the notation.
    """
    parser = _Parser(rule, text)
    node = parser.expression()
    if parser.kind != "end":
        raise parser.error("end of the rule or '|'")
    return node


class _Parser:
    """Recursive descent with one token of look-ahead (`kind`, `value`)."""

    def __init__(self, rule: str, text: str) -> None:
        self.rule, self.text = rule, text.rstrip()
        self.start = self.end = 0
        self.kind, self.value = "", ""
        self.advance()

    def error(self, expected: str) -> DataError:
        rest = self.text[self.start :].strip()[:30] or "the end"
        return DataError(f"grammar rule {self.rule}: expected {expected}, found {rest!r} at character {self.start}")

    def advance(self) -> str:
        value, self.start = self.value, self.end
        if self.end == len(self.text):
            self.kind, self.value = "end", ""
            return value
        match = _TOKEN.match(self.text, self.end)
        if match is None or match.lastgroup is None:
            raise self.error("a word, RULE, number or one of | ( ) [ ]")
        self.kind, self.value, self.end = match.lastgroup, match[match.lastgroup], match.end()
        return value

    def number(self, default: float) -> float:
        return float(self.advance()) if self.kind == "number" else default

    def expression(self) -> Node:
        alternatives = [self.alternative()]
        while self.value == "|":
            self.advance()
            alternatives.append(self.alternative())
        total = math.fsum(weight for weight, _ in alternatives)
        if min(weight for weight, _ in alternatives) <= 0:
            raise self.error("weights above 0")
        if len(alternatives) == 1:
            return alternatives[0][1]
        return Choice(tuple((weight / total, node) for weight, node in alternatives))

    def alternative(self) -> tuple[float, Node]:
        weight = self.number(1.0)
        parts: list[Node] = []
        while self.kind in ("word", "rule") or self.value in ("(", "["):
            parts.append(self.part())
        if not parts:
            raise self.error("a word, RULE, '(' or '['")
        return weight, parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def part(self) -> Node:
        kind, value = self.kind, self.advance()
        if kind == "word":
            return Word(value)
        if kind == "rule":
            return Reference(value)
        probability = self.number(0.5) if value == "[" else 1.0
        if not 0 < probability <= 1:
            raise self.error("a probability above 0 and up to 1 after '['")
        node = self.expression()
        if self.value != ("]" if value == "[" else ")"):
            raise self.error(f"the end of the {value!r} opened before")
        self.advance()
        return node if probability == 1 else Choice(((probability, node), (1 - probability, Sequence(()))))


def references(node: Node) -> list[str]:
    """Names of the rules that a node refers to directly."""
    if isinstance(node, Reference):
        return [node.rule]
    if isinstance(node, Word):
        return []
    parts = node.parts if isinstance(node, Sequence) else [option for _, option in node.alternatives]
    return [name for part in parts for name in references(part)]
