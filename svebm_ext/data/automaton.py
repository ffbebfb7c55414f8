"""Acyclic weighted automata: what a grammar without recursion unfolds into.

A state has arcs (probability, word, next state) and stops (probability, class). Following a *belief*, the distribution
over states given the words so far, instead of a single state makes any such automaton deterministic.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from ..errors import ConfigError
from .notation import Choice, Node, Reference, Word
from .notation import Sequence as Parts

Belief = dict[int, float]
"""State -> probability, summing to one."""


@dataclass
class Automaton:
    """States are numbered; `starts[i]` and `start_probabilities[i]` belong to class i."""

    arcs: list[list[tuple[float, str, int]]] = field(default_factory=list)
    stops: list[list[tuple[float, int]]] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    start_probabilities: list[float] = field(default_factory=list)

    def add_state(self) -> int:
        """Append a state without arcs and return its number."""
        self.arcs.append([])
        self.stops.append([])
        return len(self.arcs) - 1

    def start_belief(self) -> Belief:
        """Distribution over states before the first word."""
        belief: Belief = {}
        for state, probability in zip(self.starts, self.start_probabilities, strict=True):
            belief[state] = belief.get(state, 0.0) + probability
        return belief

    def stop_mass(self, belief: Belief) -> dict[int, float]:
        """Class -> p(sentence ends here, class | words so far), where above 0."""
        masses: dict[int, float] = {}
        for state, mass in belief.items():
            for probability, index in self.stops[state]:
                masses[index] = masses.get(index, 0.0) + mass * probability
        return masses

    def continuations(self, belief: Belief) -> dict[str, tuple[float, Belief]]:
        """Next word -> (p(word | words so far), belief after it)."""
        unscaled: dict[str, Belief] = {}
        for state, mass in belief.items():
            for probability, word, target in self.arcs[state]:
                after = unscaled.setdefault(word, {})
                after[target] = after.get(target, 0.0) + mass * probability
        return {word: _normalised(after) for word, after in unscaled.items()}

    def words(self) -> set[str]:
        """All words on arcs that a walk can take."""
        words: set[str] = set()
        seen, pending = set(self.starts), list(self.starts)
        while pending:
            for _, word, target in self.arcs[pending.pop()]:
                words.add(word)
                if target not in seen:
                    seen.add(target)
                    pending.append(target)
        return words

    def summary(self, max_beliefs: int = 2_000_000) -> LanguageSummary:
        """Exact properties of the language, by recursion over beliefs.

        Chain rule: H(belief) = -p(end) log p(end) + sum over next words w of p(w) (H(belief after w) - log p(w)).

        Raises:
            ConfigError: more than `max_beliefs` different beliefs (the grammar is far too ambiguous).
        """
        known: dict[tuple[tuple[int, float], ...], _Rest] = {}
        exclusive = True

        def visit(belief: Belief) -> _Rest:
            nonlocal exclusive
            key = tuple(sorted((state, round(mass, 12)) for state, mass in belief.items()))
            if key not in known:
                if len(known) >= max_beliefs:
                    raise ConfigError(f"max_beliefs: the grammar has more than {max_beliefs} beliefs; simplify it")
                ends = self.stop_mass(belief)
                exclusive &= len(ends) <= 1
                parts = [_Rest(0.0, 1, 0, 0).after(sum(ends.values()), 0)] if ends else []
                parts += [visit(after).after(mass, 1) for mass, after in self.continuations(belief).values()]
                known[key] = _Rest.joined(parts)
            return known[key]

        rest = visit(self.start_belief())
        return LanguageSummary(rest.entropy, rest.count, exclusive, rest.shortest, rest.longest)


@dataclass(frozen=True)
class LanguageSummary:
    """Exact properties of a language.

    Args:
        entropy: H(x) of the sentences in nats, derivations of the same sentence summed.
        n_sentences: number of distinct sentences.
        classes_exclusive: whether no sentence belongs to two classes.
        min_length: words of the shortest sentence.
        max_length: words of the longest.
    """

    entropy: float
    n_sentences: int
    classes_exclusive: bool
    min_length: int
    max_length: int


@dataclass(frozen=True)
class _Rest:
    """What can still follow a belief: entropy, number, and lengths of the continuations."""

    entropy: float
    count: int
    shortest: int
    longest: int

    def after(self, probability: float, words: int) -> _Rest:
        """Their share in the belief from which they are reached with a probability and by 0 or 1 words."""
        entropy = probability * (self.entropy - math.log(probability))
        return _Rest(entropy, self.count, self.shortest + words, self.longest + words)

    @staticmethod
    def joined(parts: Sequence[_Rest]) -> _Rest:
        return _Rest(
            math.fsum(part.entropy for part in parts),
            sum(part.count for part in parts),
            min(part.shortest for part in parts),
            max(part.longest for part in parts),
        )


class Reader:
    """Reads sentences with an automaton (forward algorithm)."""

    def __init__(self, automaton: Automaton) -> None:
        self.automaton = automaton
        self._start = automaton.start_belief()
        self._targets: list[dict[str, list[tuple[float, int]]]] = []
        for arcs in automaton.arcs:
            by_word: dict[str, list[tuple[float, int]]] = {}
            for probability, word, target in arcs:
                by_word.setdefault(word, []).append((probability, target))
            self._targets.append(by_word)

    def read(self, words: Iterable[str]) -> tuple[float, Belief]:
        """(log p(words as the start of a sentence), belief after them); (-inf, {}) if no sentence starts so.

        The belief is normalised at every word, so a long sentence does not underflow.
        """
        belief, log_probability = self._start, 0.0
        for word in words:
            following: Belief = {}
            for state, mass in belief.items():
                for probability, target in self._targets[state].get(word, ()):
                    following[target] = following.get(target, 0.0) + mass * probability
            if not following:
                return -math.inf, {}
            total, belief = _normalised(following)
            log_probability += math.log(total)
        return log_probability, belief


def unfold(rules: Mapping[str, Node], starts: Sequence[tuple[float, Node]]) -> Automaton:
    """Automaton of parsed, non-recursive rules.

    Every class has its own end state, so a walk through the automaton tells its class.

    Args:
        rules: rule name -> parsed rule.
        starts: (probability, expression) of each class.
    """
    automaton = Automaton()
    known: dict[tuple[int, int], int] = {}

    def build(node: Node, after: int) -> int:
        """State from which `node` is generated, and then what state `after` generates."""
        if isinstance(node, Reference):
            return build(rules[node.rule], after)
        if isinstance(node, Parts):
            for part in reversed(node.parts):
                after = build(part, after)
            return after
        if (id(node), after) not in known:
            state = known[id(node), after] = automaton.add_state()
            if isinstance(node, Word):
                automaton.arcs[state].append((1.0, node.text, after))
            else:
                copy_alternatives(node, state, after)
        return known[id(node), after]

    def copy_alternatives(node: Choice, state: int, after: int) -> None:
        """Give `state` what each alternative's first state can do: a choice costs no empty move."""
        for weight, option in node.alternatives:
            start = build(option, after)
            automaton.arcs[state] += [(weight * p, word, target) for p, word, target in automaton.arcs[start]]
            automaton.stops[state] += [(weight * p, index) for p, index in automaton.stops[start]]

    for index, (probability, node) in enumerate(starts):
        end = automaton.add_state()
        automaton.stops[end].append((1.0, index))
        automaton.starts.append(build(node, end))
        automaton.start_probabilities.append(probability)
    return automaton


def _normalised(masses: Belief) -> tuple[float, Belief]:
    total = sum(masses.values())
    return total, {state: mass / total for state, mass in masses.items()}
