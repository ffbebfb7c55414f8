"""The page at work in a browser: topics, names, merges, list, marks by keys, ten thousand texts."""

import random
import shutil
from pathlib import Path

import pytest
from browser import needs_browser, opened
from workbench import HOSTILE, TEXTS, TITLES, listed, made_up, name, order_by, saved, titles

from svebm_ext.data.own_text import read_own_file
from svebm_ext.exploration.content import Sentence
from svebm_ext.exploration.page import render

pytestmark = [needs_browser, pytest.mark.slow]


def test_first_screen_has_topics_with_sizes_names_and_texts(page):
    assert page.inner_text("#topic-count") == "3 topics"
    assert titles(page) == list(TITLES.values())
    sizes = [size.inner_text() for size in page.query_selector_all(".size")]
    counts = ["3 texts · 38 %", "3 texts · 38 %", "2 texts · 25 %"]
    assert sizes == [f"{count} · symbol {number}" for count, number in zip(counts, TITLES, strict=True)]
    first = page.query_selector_all("#topic-list .topic")[0]
    assert [li.inner_text() for li in first.query_selector_all("li")] == TEXTS[:3]
    assert page.title() == "texts" and page.query_selector("#topic-list img") is None  # hostile texts stay texts
    assert not page.is_visible("#run .about") and not page.is_visible("#symbol-list")  # folded
    page.click("nav a[href='#symbols']")
    assert page.is_visible("#symbol-list")


def test_equal_names_are_one_topic_and_undo_takes_it_back(page):
    name(page, TITLES[3], "card lost")
    assert page.inner_text("#topic-count") == "3 topics" and titles(page)[0] == "card lost"
    name(page, TITLES[7], "  card   lost ")
    assert page.inner_text("#topic-count") == "2 topics" and "5 texts · 63 %" in page.inner_text("#topic-list")
    assert "Merged" in page.inner_text("#told")
    page.click(".parts button >> nth=1")  # taken out again
    assert page.inner_text("#topic-count") == "3 topics" and TITLES[7] in titles(page)
    page.click("#undo")
    assert page.inner_text("#topic-count") == "2 topics"
    for _ in range(2):
        page.click("#undo")
    assert titles(page) == list(TITLES.values()) and page.is_disabled("#undo")


def test_ticked_topics_are_merged_and_the_name_can_be_typed_at_once(page):
    assert page.is_disabled("#merge")
    for place in (1, 2):
        page.check(f"#topic-list .topic >> nth={place} >> input[type=checkbox]")
    page.click("#merge")
    page.keyboard.type("trains")
    page.keyboard.press("Enter")
    assert page.inner_text("#topic-count") == "2 topics" and sorted(titles(page)) == sorted([TITLES[3], "trains"])


def test_hidden_topics_leave_cards_list_and_classes(page):
    page.click("#topic-list .topic >> nth=0 >> text=Hide")
    assert page.inner_text("#topic-count") == "2 topics, 1 hidden" and titles(page) == [TITLES[0], TITLES[7]]
    assert sorted(listed(page)) == sorted(TEXTS[3:])
    assert TITLES[3] not in page.inner_text("#classes")
    page.select_option("#filter", "h")
    assert listed(page) == TEXTS[:3]
    page.click("#hidden-topics summary")
    page.click("#hidden-list >> text=Show again")
    assert page.inner_text("#topic-count") == "3 topics"


def test_orders_splits_marks_and_search(page):
    assert listed(page) == TEXTS  # most certain first
    order_by(page, "uncertain")
    assert listed(page) == TEXTS[::-1]
    order_by(page, "next")
    assert listed(page) == [TEXTS[i] for i in (6, 1, 4)]
    order_by(page, "novel")
    assert listed(page) == [TEXTS[i] for i in sorted(range(8), key=lambda i: -((i * 3) % 8))]
    order_by(page, "file")
    for split in range(3):
        page.select_option("#split", str(split))
        assert listed(page) == TEXTS[split::3]
    page.select_option("#split", "")
    page.select_option("#filter", "l0:1")
    assert listed(page) == TEXTS[1::2]
    page.select_option("#filter", "")
    page.fill("#query", "  TRAIN ")
    assert listed(page) == ["train to York", "train at noon", "late train"]
    assert [mark.inner_text() for mark in page.query_selector_all("mark")] == ["train"] * 3
    assert page.inner_text("#count").startswith("3 of 8 texts, 0 marked")
    page.fill("#query", "<b>")
    assert listed(page) == [HOSTILE]


def test_everything_by_keys(page):
    page.keyboard.press("?")
    assert page.is_visible("#help")
    page.keyboard.press("Escape")
    assert not page.is_visible("#help")
    page.keyboard.press("r")
    assert "No text is chosen" in page.inner_text("#told")
    for key in ("j", "j", "k", "r", "w", "3"):  # first text; right, wrong, belongs to the third topic; each goes on
        page.keyboard.press(key)
    assert [row.inner_text().split("\n")[1].split(" ")[:2] for row in page.query_selector_all(".row")[:3]] == [
        ["✓", "right"], ["✗", "wrong"], ["→", "late"],
    ]  # fmt: skip
    assert page.get_attribute("#list", "aria-activedescendant") == "row-3"
    assert page.query_selector("#row-3").get_attribute("aria-selected") == "true"
    page.focus("#list")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("0")
    assert page.query_selector_all(".row")[2].query_selector("[class^=mark-]") is None
    page.keyboard.press("u")
    assert page.query_selector_all(".row")[2].query_selector(".mark-class") is not None
    page.keyboard.press("/")
    page.keyboard.type("jr1?")  # letters in the search are no commands
    assert page.input_value("#query") == "jr1?" and listed(page) == []
    page.fill("#query", "")
    page.keyboard.press("Escape")
    page.keyboard.press("End")
    assert "tea" in page.inner_text("#selected")
    page.select_option("#marked", "none")
    assert len(listed(page)) == 5
    page.select_option("#marked", "right")
    assert listed(page) == [TEXTS[0]]


def test_a_model_without_symbols_has_texts_and_classes(browser, tmp_path):
    rows = [Sentence(text, -1, 0.0, [], 0, 0.0, float(i)) for i, text in enumerate(TEXTS)]
    file = tmp_path / "explore.html"
    file.write_text(render(made_up(sentences=rows, symbols=[], fields=[], label_next=[])), encoding="utf-8")
    with opened(browser, file) as page:
        assert page.inner_text("#topic-count") == "No topics" and len(listed(page)) == 8
        page.fill("#new-class", "one")
        page.keyboard.press("Enter")
        page.click("#list", position={"x": 60, "y": 5})
        page.keyboard.press("1")
        page.keyboard.press("r")
        assert "no topics to be right about" in page.inner_text("#told")
        assert read_own_file(saved(page, "#save-labels", tmp_path))[:2] == ([TEXTS[7]], ["one"])


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 800, 1400])
def test_nothing_is_wider_than_the_window(browser, file, width, scheme):
    with opened(browser, file, viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_ten_thousand_texts_stay_fluid(browser, tmp_path):
    """Rows in sight alone exist, and a search is answered within 100 ms: best of five, since others work here too."""
    rng = random.Random(0)
    words = [f"word{i}" for i in range(300)]
    texts = [" ".join(rng.choices(words, k=12)) for _ in range(10_000)]
    file = tmp_path / "explore.html"
    file.write_text(render(made_up(texts, [rng.choice((0, 3, 7)) for _ in texts])), encoding="utf-8")
    with opened(browser, file, viewport={"width": 1280, "height": 900}) as page:
        page.wait_for_timeout(500)
        page.evaluate("document.getElementById('texts').scrollIntoView()")
        order_by(page, "file")
        assert page.evaluate("document.getElementById('list').scrollHeight") == 62 * 10_000
        times = page.evaluate("""async () => {
            const times = {};
            for (const query of ["w", "word1", "word12", "none", "d7", "9 w", ""].flatMap((q) => Array(5).fill(q))) {
                document.getElementById("query").value = query;
                const start = performance.now();
                document.getElementById("query").dispatchEvent(new Event("input"));
                await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
                times[query] = Math.min(times[query] || Infinity, performance.now() - start);
            }
            return times;
        }""")
        assert len(times) == 7 and max(times.values()) < 100, times
        frames = page.evaluate("""async () => {
            const times = [];
            for (let i = 0; i < 50; i += 1) {
                document.getElementById("list").scrollTop += 9999;
                const start = performance.now();
                await new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
                times.push(performance.now() - start);
            }
            return times.sort((a, b) => a - b);
        }""")
        assert frames[25] < 100, frames
        assert len(page.query_selector_all(".row")) < 40
        first = page.evaluate("Math.floor(document.getElementById('list').scrollTop / 62)")
        rows = {int(row.get_attribute("id")[4:]): row.inner_text() for row in page.query_selector_all(".row")}
        assert rows[first + 2].startswith(texts[first + 2])
        page.focus("#list")
        page.keyboard.press("End")
        page.keyboard.press("End")
        assert page.inner_text("#selected").startswith(texts[-1])


def test_the_page_is_one_file_that_asks_for_nothing(browser, file, tmp_path):
    asked = []
    alone = tmp_path / "elsewhere" / "page.html"
    alone.parent.mkdir()
    shutil.copy(file, alone)
    context = browser.new_context()
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(alone.as_uri())
    page.wait_for_timeout(200)
    assert asked == [Path(alone).as_uri()]
    context.close()
