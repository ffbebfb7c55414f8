"""Topics as a reader sees them: a line each with share and typical words, and texts below it."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from svebm_ext.errors import ModelFolderError
from svebm_ext.evaluation.report import METRICS, read_document
from svebm_ext.terminal import printable, say

#: Characters after which a text is cut: in a report, and in a terminal of 80 columns, where it is indented.
LONGEST, IN_TERMINAL = 100, 71
#: Topics at the end of a training.
SHOWN = 5
#: Groups of topics there, and topics of each.
SHOWN_GROUPS, OF_GROUP = 12, 4


class Topic(NamedTuple):
    """A symbol: its label where one was learnt, its share of the texts, and what is typical of it.

    Of symbols in two levels `address` is what it is called ("3.2"), and a group is a topic as well, with its `symbols`.
    """

    symbol: int
    name: str
    share: float
    words: list[str]
    texts: list[str]
    address: str = ""
    symbols: tuple[int, ...] | None = None

    @property
    def title(self) -> str:
        """One line: number or name, share, typical words."""
        what = "topic" if self.symbols is None else "group"
        name = printable(self.name) if self.name else f"{what} {printable(self.address) or self.symbol}"
        words = ", ".join(map(printable, self.words)) or "no typical word"
        return f"{name}, {100 * self.share:.1f} % of the texts: {words}"

    @property
    def short(self) -> str:
        """The same below its group; where no word is typical of it, the text that is most certain of it."""
        told = ", ".join(map(printable, self.words)) or "; ".join(f'"{shortened(text)}"' for text in self.texts[:1])
        return f"{self.name or self.address or self.symbol}, {100 * self.share:.1f} %: {told}"

    def entry(self) -> dict[str, Any]:
        """What metrics.json has of it."""
        own: dict[str, Any] = {"symbol" if self.symbols is None else "group": self.symbol}
        own |= {"label": self.name or None, "share": self.share, "words": self.words, "texts": self.texts}
        if self.symbols is not None:
            own["symbols"] = list(self.symbols)
        return own | ({"address": self.address} if self.address else {})

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Topic:
        """The topic of an entry of metrics.json."""
        symbols = tuple(entry["symbols"]) if "symbols" in entry else None
        number = entry["symbol"] if symbols is None else entry["group"]
        told = entry["label"] or "", entry["share"], entry["words"], entry["texts"]
        return cls(number, *told, entry.get("address", ""), symbols)


def topic_lines(topics: Iterable[Topic], *, n_texts: int | None = None, longest: int = LONGEST) -> list[str]:
    """Each topic in a line, and indented below it the texts that are most certain of it.

    Args:
        topics: which ones.
        n_texts: of each at most; None: all that it has.
        longest: characters after which a text is cut.
    """
    return [
        line
        for topic in topics
        for line in (topic.title, *(f"    {shortened(text, longest)}" for text in topic.texts[:n_texts]))
    ]


def shown_topics(document: Mapping[str, Any]) -> list[str]:
    """What the terminal shows of the topics in a metrics.json, below what the summary says of them.

    Where labels were compared with, a topic has one text; where classes were learnt, their accuracy says it all.
    """
    about = document["about"]
    topics = [Topic.of(entry) for entry in about.get("topics", [])]
    if not topics or document.get("accuracy") is not None:
        return []
    groups = [Topic.of(entry) for entry in about.get("groups", [])[:SHOWN_GROUPS]]
    if groups:
        lead = f"Groups of topics in {about['topics_of']}, and the largest topics of each: share, typical words"
        return [lead, *(f"    {line}" for line in group_lines(groups, topics, longest=IN_TERMINAL))]
    topics = topics[:SHOWN]
    compared = document.get("adjusted_mutual_information") is not None
    texts = "the text that is" if compared else "the texts that are"
    lead = f"The largest in {about['topics_of']}: share, typical words, {texts} most certain of it"
    lines = topic_lines(topics, n_texts=1 if compared else None, longest=IN_TERMINAL)
    return [lead, *(f"    {line}" for line in lines)]


def group_lines(groups: Iterable[Topic], topics: Iterable[Topic], *, longest: int = LONGEST) -> list[str]:
    """Each group in a line, and indented below it its largest topics.

    Args:
        groups: which ones.
        topics: all of them, the largest first.
        longest: characters after which a line of a topic is cut.
    """
    known = list(topics)
    lines = []
    for group in groups:
        own = [topic for topic in known if topic.symbol in (group.symbols or ())]
        lines += [group.title, *(f"    {shortened(topic.short, longest)}" for topic in own[:OF_GROUP])]
        if len(own) > OF_GROUP:
            lines.append(f"    and {len(own) - OF_GROUP} more")
    return lines


def words_of_symbols(document: Mapping[str, Any]) -> dict[int, list[str]]:
    """Typical words of each symbol by its number, as far as a metrics.json has them."""
    return {entry["symbol"]: entry["words"] for entry in document["about"].get("topics", [])}


def words_beside(run: Path, *, asked: bool) -> dict[int, list[str]]:
    """Typical words of each symbol, as the evaluation of the run has found them; none where it was not evaluated.

    Where they are asked for and missing, a note says why.
    """
    if not (run / METRICS).exists():
        if asked:
            cure = f"python -m svebm_ext.evaluate {shlex.quote(str(run))}"
            say(f"note: without words of the symbols: {run} was not evaluated; {cure} tells them")
        return {}
    try:
        return words_of_symbols(read_document(run / METRICS))
    except (ModelFolderError, OSError) as error:
        say(f"note: without words of the symbols: {error}")
        return {}


def shortened(text: str, longest: int = LONGEST) -> str:
    """A text on one line that a terminal can show, cut after so many characters."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= longest else line[: longest - 1] + "…"
