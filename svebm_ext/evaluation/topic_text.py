"""Topics as a reader sees them: a line each with share and typical words, and texts below it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from svebm_ext.terminal import printable

#: Characters after which a text is cut: in a report, and in a terminal of 80 columns, where it is indented.
LONGEST, IN_TERMINAL = 100, 71
#: Topics at the end of a training.
SHOWN = 5


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

    def entry(self) -> dict[str, Any]:
        """What metrics.json has of it."""
        own = {"symbol": self.symbol, "label": self.name or None, "share": self.share}
        return own | {"words": self.words, "texts": self.texts}

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Topic:
        """The topic of an entry of metrics.json."""
        return cls(entry["symbol"], entry["label"] or "", entry["share"], entry["words"], entry["texts"])


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
    topics = [Topic.of(entry) for entry in about.get("topics", [])[:SHOWN]]
    if not topics or document.get("accuracy") is not None:
        return []
    compared = document.get("adjusted_mutual_information") is not None
    texts = "the text that is" if compared else "the texts that are"
    lead = f"The largest in {about['topics_of']}: share, typical words, {texts} most certain of it"
    lines = topic_lines(topics, n_texts=1 if compared else None, longest=IN_TERMINAL)
    return [lead, *(f"    {line}" for line in lines)]


def words_of_symbols(document: Mapping[str, Any]) -> dict[int, list[str]]:
    """Typical words of each symbol by its number, as far as a metrics.json has them."""
    return {entry["symbol"]: entry["words"] for entry in document["about"].get("topics", [])}


def shortened(text: str, longest: int = LONGEST) -> str:
    """A text on one line that a terminal can show, cut after so many characters."""
    line = printable(" ".join(text.split()))
    return line if len(line) <= longest else line[: longest - 1] + "…"
