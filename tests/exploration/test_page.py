"""The page of made-up content: escaped, well-formed, without a network, its data readable."""

import json
import math
import re
from dataclasses import replace

import pytest
from html_pages import data_of, parsed

from svebm_ext.exploration.content import (
    Example,
    Exploration,
    Interpolation,
    LabelCount,
    LabelField,
    MapView,
    Measure,
    Sentence,
    SplitSize,
    Step,
    Symbol,
)
from svebm_ext.exploration.curves import panels, thin, ticks
from svebm_ext.exploration.page import embedded_json, probability, render
from svebm_ext.measures.words import Word

HOSTILE = "</script><script>alert('x')</script> <unk> & \"quoted\" <!-- \u2028"


def made_up():
    symbol = Symbol(
        number=3, name=HOSTILE, n_sentences=2, share=1.0, certainty=0.75, words=[Word(HOSTILE, 4.2, 2)],
        generator_words=["<b>"], labels={HOSTILE: [LabelCount(HOSTILE, 2)]},
        certain=[Example(HOSTILE, 30.0)], typical=[Example(HOSTILE, 0.0)], generated=[(HOSTILE, 2), ("", 1)],
        topic_words=[HOSTILE, "plain"], texts=[1, 0],
    )  # fmt: skip
    unused = replace(symbol, number=0, name="", n_sentences=0, share=0.0, certain=[], typical=[], labels={}, words=[])
    return Exploration(
        title=HOSTILE,
        about=[("corpus", HOSTILE)],
        measures=[Measure("nll", "3", HOSTILE, HOSTILE)],
        warnings=[HOSTILE],
        sentences=[Sentence(HOSTILE, 3, 0.5, [0], 2, 0.7, 1.5), Sentence("plain", 3, 1.0, [-1], 2)],
        fields=[LabelField(HOSTILE, [HOSTILE])],
        symbols=[symbol, unused],
        views=[MapView("a", HOSTILE, [(0.0, 1.0), (2.0, 3.0)], [(0.5, 0.5)])],
        interpolations=[Interpolation(HOSTILE, "b", [Step(HOSTILE, 3, 0.5), Step("", 0, 1.0)])],
        series={"loss": ([1, 2, 3], [3.0, math.nan, 1.0]), "mi": ([1], [0.5])},
        run="0123",
        sizes=[SplitSize("test", 2, 5)],
        label_next=[1, 0],
    )


def test_page_is_well_formed_and_hostile_texts_stay_texts():
    html = render(made_up())
    checker = parsed(html)
    tags = [tag for tag, _ in checker.tags]
    assert tags.count("script") == 2 and "unk" not in tags and "<script>alert" not in html
    shown = "".join(checker.text)
    assert shown.count("<unk>") >= 12 and "alert('x')" in shown
    assert not any(name.startswith("on") for _, attributes in checker.tags for name in attributes)


def test_a_classifier_has_classes_and_tells_of_how_many_labels_a_share_is():
    content = made_up()
    (seen, unused) = content.symbols
    classes = [
        replace(seen, name="fares", labels={"label": [LabelCount("fares", 3), LabelCount("bills", 1)]}),
        replace(unused, name="bills"),
    ]
    html = render(replace(content, symbols=classes))
    shown = " ".join("".join(parsed(html).text).split())
    assert "1 class The model has learnt these classes from labels" in shown and data_of(html)["learnt"] is True
    assert "75% of 4 labelled texts" in shown and "Label: label, of 4 labelled texts" in shown
    assert "by itself" not in shown
    topics = render(replace(content, symbols=[replace(one, name="") for one in classes]))
    shown = " ".join("".join(parsed(topics).text).split())
    assert "1 topic The model has sorted the texts by itself" in shown and data_of(topics)["learnt"] is False


def test_page_needs_nothing_from_elsewhere():
    html = render(made_up())
    assert not re.search(r"https?:|//[a-z]+\.|@import|url\(", html)
    for tag, attributes in parsed(html).tags:
        assert "src" not in attributes and tag not in ("link", "img", "iframe")
        assert not (set(attributes) & {"href"}) or attributes["href"].startswith("#")
    assert "default-src 'none'" in html


def test_links_and_names_of_the_script_exist():
    html = render(made_up())
    checker = parsed(html)
    targets = {a["href"][1:] for tag, a in checker.tags if tag == "a"}
    assert targets <= set(checker.ids) and "symbol-3" in targets
    script = checker.scripts[-1]
    assert set(re.findall(r'\bat\("([\w-]+)"\)', script)) <= set(checker.ids)


def test_data_of_the_script():
    content = made_up()
    data = data_of(render(content))
    assert data["sentences"] == [[HOSTILE, 3, 0.5, [0], 2, 0.7, 1.5], ["plain", 3, 1.0, [-1], 2, 0.0, 0.0]]
    assert data["symbols"] == [
        {"number": 3, "id": "3", "group": -1, "name": HOSTILE, "n": 2, "words": [HOSTILE, "plain"], "texts": [1, 0]},
        {"number": 0, "id": "0", "group": -1, "name": "", "n": 0, "words": [HOSTILE, "plain"], "texts": [1, 0]},
    ]
    assert data["groups"] == []
    assert data["sizes"] == [["test", 2, 5]] and data["next"] == [1, 0] and data["run"] == "0123"
    assert data["fields"] == [{"name": HOSTILE, "values": [HOSTILE]}]
    assert data["views"][0]["points"] == [[0.0, 1.0], [2.0, 3.0]] and data["views"][0]["prior"] == [[0.5, 0.5]]


def test_embedded_json_cannot_end_its_element():
    text = embedded_json({HOSTILE: [HOSTILE, "é"]})
    assert not set("<>&\u2028\u2029") & set(text) and json.loads(text) == {HOSTILE: [HOSTILE, "é"]}
    with pytest.raises(ValueError):
        embedded_json([math.inf])


def test_sections_say_why_they_are_empty():
    empty = Exploration("t", [], [], [], [Sentence("a", -1, 0.0, [])], [], [], [MapView("v", "", [(0.0, 0.0)], [])], [],
                        {}, {"symbols": "no symbols & such", "prior": "none", "curves": "no log"})  # fmt: skip
    html = render(empty)
    shown = "".join(parsed(html).text)
    for reason in ("no symbols & such", "No samples of the prior: none", "no log"):
        assert reason in shown


def test_symbols_without_sentences_are_folded_away():
    checker = parsed(render(made_up()))
    styles = [attributes.get("class") for tag, attributes in checker.tags if tag == "details"]
    assert [style for style in styles if style in ("symbol", "unused")] == ["symbol", "unused", "symbol"]
    assert sum("fold" in (style or "").split() for style in styles) == 4


@pytest.mark.parametrize(
    ("log_odds", "text"),
    [(0.0, "0.500"), (-800.0, "0.000"), (math.log(9.0), "0.900"), (math.log(1e8), "1 − 1e-8"), (math.inf, "1")],
)
def test_probability_of_log_odds(log_odds, text):
    assert probability(log_odds) == text


def test_the_page_states_how_many_texts_it_shows():
    shown = "".join(parsed(render(made_up())).text)
    assert "2 of 5 texts (2 test), chosen by the seed" in shown and "1 classes" not in shown and "1 class" in shown
    whole = replace(made_up(), sizes=[SplitSize("train", 1, 1), SplitSize("test", 1, 1)])
    assert "2 texts (1 train, 1 test)." in "".join(parsed(render(whole)).text)


def test_curves():
    points = thin(range(1000), [float(i) for i in range(1000)])
    assert len(points) == 200 and points[0] == (2.0, 2.0)
    assert thin([1, 2], [math.nan, math.inf]) == []
    found = panels({"loss": ([10, 20], [5.0, 3.0]), "nll": ([10, 20], [2.0, 1.0]), "seconds": ([10, 20], [1.0, 2.0])})
    assert len(found) == 1 and "seconds" not in found[0]
    lines = [attributes["points"] for tag, attributes in parsed(found[0]).tags if tag == "polyline"]
    places = [[tuple(map(float, place.split(","))) for place in line.split()] for line in lines]
    assert len(places) == 2
    for line in places:
        assert line[0][0] < line[1][0] and line[0][1] < line[1][1]  # later is right; smaller is lower, y counts down
    assert places[0][1][1] < places[1][0][1]  # 3 is above 2


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [(0.0, 10.0, [0, 2, 4, 6, 8, 10]), (-1.0, 1.0, [-1.0, -0.5, 0.0, 0.5, 1.0]), (3.0, 3.0, [3.0])],
)
def test_ticks_are_round(low, high, wanted):
    assert ticks(low, high) == pytest.approx(wanted)
