"""The page: one HTML file with everything in it, that a browser opens from disk without a network."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from string import Template

from svebm_ext.exploration.content import SPLITS, Example, Exploration, Interpolation, LabelCount, Step, Symbol
from svebm_ext.exploration.curves import panels
from svebm_ext.files import JsonObject

#: Words that a symbol's line shows before it is opened.
HEAD_WORDS = 8
#: Style sheets, and parts of the script in order: what is shared, decisions, what is drawn, keys and controls.
STYLES = ("page.css", "workbench.css")
SCRIPTS = (
    "state.js", "signs.js", "decisions.js", "exchange.js", "topics.js", "texts.js", "marks.js", "map.js", "pointing.js",
    "keys.js", "page.js",
)  # fmt: skip


def render(content: Exploration) -> str:
    """HTML of the page.

    Texts are escaped wherever they stand; data for the script are JSON without the characters that could end it.
    """
    template = Template(_resource("page.html"))
    return template.substitute(
        title=escape(content.title),
        style="".join(map(_resource, STYLES)),
        lead=escape(_lead(content)),
        heading=_heading(content),
        topics_note=_topics_note(content),
        script="".join(map(_resource, SCRIPTS)),
        data=embedded_json(payload(content)),
        about="".join(f"<div><dt>{escape(key)}</dt><dd>{escape(value)}</dd></div>" for key, value in content.about),
        measures=_measures(content),
        symbols=_symbols(content),
        symbols_style=_symbols_style(content),
        map_note=_map_note(content),
        interpolations=_interpolations(content),
        curves="".join(panels(content.series)) or _reason(content, "curves", "metrics.jsonl has none of the curves"),
    )


def payload(content: Exploration) -> JsonObject:
    """What the script works with: sentences, labels, symbols by rank, projections, and which texts to label next."""
    return {
        "run": content.run,
        "learnt": content.has_learnt_classes,
        "splits": list(SPLITS),
        "sizes": [list(size) for size in content.sizes],
        "symbols": [
            {
                "number": s.number,
                "id": s.called,
                "group": s.group,
                "name": s.name,
                "n": s.n_sentences,
                "words": list(s.topic_words),
                "texts": list(s.texts),
            }
            for s in content.symbols
        ],
        "groups": [one._asdict() for one in content.groups],
        "groupsKept": content.groups_kept,
        "fields": [one._asdict() for one in content.fields],
        "sentences": [list(sentence if content.groups else sentence[:-1]) for sentence in content.sentences],
        "next": list(content.label_next),
        "views": [view._asdict() for view in content.views],
    }


def embedded_json(value: object) -> str:
    """JSON for a script element: no `<`, `>` or `&`, so that no text in it can end the element or open a comment."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def probability(log_odds: float) -> str:
    """p(y|z) from its log odds; near 1, where all look alike, as its distance from 1."""
    if log_odds > 36.0:
        return "1"
    rest = 1.0 / (1.0 + math.exp(log_odds))
    return f"1 − {rest:.0e}".replace("e-0", "e-") if rest < 5e-4 else f"{1.0 - rest:.3f}"


def _resource(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _reason(content: Exploration, section: str, otherwise: str) -> str:
    return f'<p class="absent">None: {escape(content.reasons.get(section, otherwise))}.</p>'


def _lead(content: Exploration) -> str:
    """How many texts there are, and how many of them are shown."""
    shown, total = len(content.sentences), sum(size.total for size in content.sizes)
    splits = ", ".join(f"{size.shown:,} {size.name}" for size in content.sizes)
    if shown < total:
        return f"{shown:,} of {total:,} texts ({splits}), chosen by the seed; --max-sentences shows more."
    return f"{shown:,} texts ({splits})."


def _heading(content: Exploration) -> str:
    """How many topics there are: symbols that some text has."""
    used = [symbol for symbol in content.symbols if symbol.n_sentences > 0]
    one, several = ("class", "classes") if content.has_learnt_classes else ("topic", "topics")
    topics = f"{len(used) or 'No'} {one if len(used) == 1 else several}"
    n_groups = len({symbol.group for symbol in used}) if content.groups else 0
    return f"{n_groups} {'group' if n_groups == 1 else 'groups'} of {topics}" if n_groups else topics


def _topics_note(content: Exploration) -> str:
    if not content.symbols:
        reason = escape(content.reasons.get("symbols", "the model has no symbols"))
        return f"{reason[:1].upper()}{reason[1:]}. Texts can be searched and given classes all the same."
    if content.has_learnt_classes:
        return (
            "The model has learnt these classes from labels, and has put each text into one of them. Mark texts as "
            "right or wrong, and labels.tsv has more labels to learn from. Names that you give here are for this page: "
            "the model answers with its labels. Names and marks stay in this browser until you save them."
        )
    if content.groups:
        return (
            "The model has sorted the texts into topics, and these into groups. Open a group to see its topics, and "
            "close it where one name will do for all of them. Name what you recognise: what has one name becomes one, "
            "and so does what you tick and merge. Names and marks stay in this browser until you save them."
        )
    return (
        "The model has sorted the texts by itself. Name what you recognise; topics of one name become one, "
        "and so do those that you tick and merge. "
        "Names and marks stay in this browser until you save them."
    )


def _measures(content: Exploration) -> str:
    notes = "".join(f"<li>{escape(text)}</li>" for text in content.warnings)
    notes = f'<ul class="notes">{notes}</ul>' if notes else ""
    if not content.measures:
        reason = content.reasons.get("measures", "metrics.json has none of the main ones")
        return f'<p class="absent">No measures: {escape(reason)}.</p>{notes}'
    cards = (
        f'<div class="card"><dt>{escape(m.name)}</dt><dd>{escape(m.value)} <small>{escape(m.unit)}</small></dd></div>'
        for m in content.measures
    )
    meanings = "".join(f"<dt>{escape(m.name)}</dt><dd>{escape(m.meaning)}</dd>" for m in content.measures)
    meanings = f'<details class="meanings"><summary>What the measures mean</summary><dl>{meanings}</dl></details>'
    return f'<dl class="cards">{"".join(cards)}</dl>{meanings}{notes}'


# Symbols --------------------------------------------------------------------------------------------------------


def _symbols_style(content: Exploration) -> str:
    """Classes of the section: which of its columns there are."""
    absent = {
        "without": not content.symbols,
        "unlabelled": not content.fields,
        "unnamed": not any(symbol.name for symbol in content.symbols),
    }
    return " ".join(name for name, holds in absent.items() if holds)


def _symbols(content: Exploration) -> str:
    """A line for each symbol that opens; those that no sentence has are told in the end."""
    if not content.symbols:
        return _reason(content, "symbols", "the model has no symbols")
    largest = max(symbol.share for symbol in content.symbols)
    used = [symbol for symbol in content.symbols if symbol.n_sentences]
    unused = [symbol for symbol in content.symbols if not symbol.n_sentences]
    lines = "".join(_symbol(symbol, rank, largest, content) for rank, symbol in enumerate(used))
    if unused:
        rest = "".join(_symbol(symbol, len(used) + i, largest, content) for i, symbol in enumerate(unused))
        lines += (
            f'<details class="unused"><summary>{len(unused)} symbols that are the most probable one of no sentence'
            f"</summary>{rest}</details>"
        )
    return lines


def _symbol(symbol: Symbol, rank: int, largest: float, content: Exploration) -> str:
    width = 100.0 * symbol.share / largest if largest > 0.0 else 0.0
    name = f" {escape(symbol.name)}" if symbol.name else ""
    words = [w.word for w in symbol.words] or symbol.generator_words
    head = " ".join(f"<span>{escape(word)}</span>" for word in words[:HEAD_WORDS]) or "<i>no words stand out</i>"
    leading = " ".join(
        f'<span title="{escape(field)}">{escape(counts[0].value)} <small>{_share_of(counts)}</small></span>'
        for field, counts in symbol.labels.items()
        if counts
    )
    certainty = f"{symbol.certainty:.2f}" if symbol.n_sentences else "–"
    return (
        f'<details class="symbol" id="symbol-{symbol.number}"><summary>'
        f'<span class="badge" data-rank="{rank}">{escape(symbol.called)}</span><b class="name">{name}</b>'
        f'<span class="share" title="{symbol.n_sentences:,} sentences"><span><i style="width:{width:.1f}%"></i></span>'
        f"<em>{symbol.share:.1%}</em></span>"
        f'<span class="certainty" title="mean p(y | z = mu(x)) of its sentences">{certainty}</span>'
        f'<span class="words">{head}</span><span class="leading">{leading}</span></summary>'
        f'<div class="body">{_body(symbol, content)}</div></details>'
    )


def _body(symbol: Symbol, content: Exploration) -> str:
    parts = []
    if symbol.words:
        items = "".join(
            f'<li>{escape(w.word)} <small title="z-score; sentences of this symbol have it {w.times:,} times">'
            f"{w.score:.1f}</small></li>"
            for w in symbol.words
        )
        parts.append(_block("Words of its sentences", f'<ul class="chips">{items}</ul>', "wide"))
    if symbol.generator_words:
        items = "".join(f"<li>{escape(word)}</li>" for word in symbol.generator_words)
        parts.append(_block("Words of the generator", f'<ul class="chips">{items}</ul>', "wide"))
    parts += [
        _block(f"Label: {field}, of {labelled_texts(counts)}", _bars(counts))
        for field, counts in symbol.labels.items()
        if counts
    ]
    if symbol.n_sentences:
        parts.append(_block("Most certain", _examples(symbol.certain)))
        parts.append(_block("Most typical", _examples(symbol.typical)))
    if "generated" not in content.reasons and symbol.generated:
        items = "".join(
            f"<li>{escape(text) or '<i>nothing</i>'}{f' <small>× {n}</small>' if n > 1 else ''}</li>"
            for text, n in symbol.generated
        )
        parts.append(_block("Generated", f'<ol class="texts">{items}</ol>'))
    button = ""
    if symbol.n_sentences:
        button = (
            f'<button type="button" class="show" data-symbol="{symbol.number}">Show its '
            f"{symbol.n_sentences:,} sentences on the map</button>"
        )
    return f'<div class="blocks">{"".join(parts)}</div>{button}'


def labelled_texts(counts: Sequence[LabelCount]) -> str:
    """How many texts have one of some labels, in words."""
    n = sum(count.n for count in counts)
    return f"{n:,} labelled {'text' if n == 1 else 'texts'}"


def _share_of(counts: Sequence[LabelCount]) -> str:
    """Share of the most frequent label, and of how many texts: the others have none."""
    return f"{counts[0].n / max(1, sum(count.n for count in counts)):.0%} of {labelled_texts(counts)}"


def _block(heading: str, inside: str, style: str = "") -> str:
    return f'<section class="block {style}"><h3>{escape(heading)}</h3>{inside}</section>'


def _bars(counts: Sequence[LabelCount]) -> str:
    total = sum(count.n for count in counts)
    rows = "".join(
        f'<li><span>{escape(value)}</span><i style="width:{100.0 * n / total:.1f}%"></i><em>{n / total:.0%}</em></li>'
        for value, n in counts
    )
    return f'<ul class="bars">{rows}</ul>'


def _examples(examples: Iterable[Example]) -> str:
    items = "".join(f"<li>{escape(text)} <small>{probability(odds)}</small></li>" for text, odds in examples)
    return f'<ol class="texts">{items}</ol>'


# Map and interpolations -----------------------------------------------------------------------------------------


def _map_note(content: Exploration) -> str:
    if "prior" in content.reasons:
        return f"No samples of the prior: {escape(content.reasons['prior'])}."
    return (
        "Grey crosses, where switched on, are samples of the prior; they spread wider than the sentences' means, "
        "since q(z | x) around each mean has a width."
    )


def _interpolations(content: Exploration) -> str:
    if not content.interpolations:
        return _reason(content, "interpolations", "no pairs")
    ranks = {symbol.number: (rank, symbol.called) for rank, symbol in enumerate(content.symbols)}
    return "".join(_walk(walk, ranks) for walk in content.interpolations)


def _walk(walk: Interpolation, ranks: dict[int, tuple[int, str]]) -> str:
    rows = "".join(f"<li>{_step(step, ranks)}</li>" for step in walk.steps)
    return (
        f'<figure class="walk"><p class="end"><small>from</small> {escape(walk.start)}</p>'
        f'<ol>{rows}</ol><p class="end"><small>to</small> {escape(walk.end)}</p></figure>'
    )


def _step(step: Step, ranks: dict[int, tuple[int, str]]) -> str:
    text = escape(step.text) or "<i>nothing</i>"
    if step.symbol < 0:
        return text
    rank, called = ranks.get(step.symbol, (0, str(step.symbol)))
    certain = f"symbol {escape(called)}, p(y | z) = {step.probability:.2f}"
    badge = f'<a class="badge" data-rank="{rank}" href="#symbol-{step.symbol}" title="{certain}">'
    return f"{badge}{escape(called)}</a><span>{text}</span>"
