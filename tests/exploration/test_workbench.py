"""The page at work in a browser: names, merges, marks by keys, files in and out, search, what is kept."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from browser import chromium, needs_browser, opened

from svebm_ext.data import load_text
from svebm_ext.data.own_text import read_own_file
from svebm_ext.exploration.content import Exploration, LabelField, MapView, Sentence, SplitSize, Symbol
from svebm_ext.exploration.page import render

pytestmark = [needs_browser, pytest.mark.slow]

HOSTILE = "<img src=x onerror=\"document.title='owned'\"> & <b>bold</b>"
TEXTS = [
    "where is my card",
    'a "quoted" card',
    HOSTILE,
    "train to York",
    '"all quoted"',
    "train at noon",
    "late train",
    "tea",
]
SYMBOLS = [3, 3, 3, 0, 0, 0, 7, 7]
TITLES = {3: "card, <b>, lost", 0: "train, york", 7: "late"}


def symbol(number, words, name=""):
    rows = [i for i, own in enumerate(SYMBOLS) if own == number]
    return Symbol(number, name, len(rows), len(rows) / 8, 0.9, [], [], {}, [], [], [], words, rows)


def made_up(texts=TEXTS, own=SYMBOLS, **changes):
    n = len(texts)
    rows = [
        Sentence(
            text, k, round(0.99 - 0.05 * i, 4) if n < 10 else 0.5, [i % 2], i % 3, 0.1 * (i % 8), float((i * 3) % 8)
        )
        for i, (text, k) in enumerate(zip(texts, own, strict=True))
    ]
    points = [(float(i % 97), float((i * 7) % 89)) for i in range(n)]
    symbols = [symbol(3, ["card", "<b>", "lost"]), symbol(0, ["train", "york"]), symbol(7, ["late"])]
    fields = [LabelField("kind", ["x", "y"])]
    sizes = [SplitSize("train", 3, 3), SplitSize("valid", 3, 3), SplitSize("test", 2, 2)]
    content = Exploration(
        "texts", [], [], [], rows, fields, symbols, [MapView("a", "n", points, [])], [], {},
        run="run0", sizes=sizes, label_next=[6, 1, 4],
    )  # fmt: skip
    return replace(content, **changes)


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "explore.html"
    path.write_text(render(made_up()), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, file):
    with opened(browser, file) as page:
        yield page


def titles(page):
    return [place.get_attribute("placeholder") for place in page.query_selector_all("#topic-list .topic-name")]


def listed(page):
    return [row.inner_text() for row in page.query_selector_all(".row-text")]


def name(page, title, new):
    page.fill(f"#topic-list .topic-name[placeholder='{title}']", new)
    page.keyboard.press("Enter")


def saved(page, button, folder):
    with page.expect_download() as download:
        page.click(button)
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def order_by(page, value):
    page.select_option("#order", value)


def test_first_screen_has_topics_with_sizes_names_and_texts(page):
    assert page.inner_text("#topic-count") == "3 topics"
    assert titles(page) == list(TITLES.values())
    sizes = [size.inner_text() for size in page.query_selector_all(".size")]
    assert sizes == ["3 texts · 38 %", "3 texts · 38 %", "2 texts · 25 %"]
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


def test_saved_files_are_what_was_decided_and_are_read_back(page, browser, file, tmp_path):
    name(page, TITLES[3], "card lost")
    name(page, TITLES[0], "card lost")
    page.click("#topic-list .topic >> nth=1 >> text=Hide")
    page.fill("#new-class", "other stuff")
    page.keyboard.press("Enter")
    page.click("#list", position={"x": 60, "y": 5})
    for key in ("r", "2", "w", "r", "2"):
        page.keyboard.press(key)
    labels, symbols = saved(page, "#save-labels", tmp_path), saved(page, "#save-symbols", tmp_path)
    assert json.loads(symbols.read_text()) == {
        "format": 1,
        "symbols": {"3": {"name": "card lost"}, "0": {"name": "card lost"}, "7": {"name": "", "hidden": True}},
    }
    rows = {TEXTS[0]: "card lost", TEXTS[1]: "other stuff", TEXTS[3]: "card lost", TEXTS[4]: "other stuff"}
    texts, read, n_empty = read_own_file(labels)
    assert dict(zip(texts, read, strict=True)) == rows and n_empty == 0
    with opened(browser, file) as other:  # another profile knows nothing of it
        assert other.inner_text("#topic-count") == "3 topics"
        other.set_input_files("#file", [labels, symbols])
        other.wait_for_function("document.getElementById('told').textContent")
        assert "4 labels loaded" in other.inner_text("#told") and "3 symbols loaded" in other.inner_text("#told")
        assert other.inner_text("#topic-count") == "1 topic, 1 hidden"
        assert saved(other, "#save-labels", tmp_path / "again").read_text() == labels.read_text()
        assert json.loads(saved(other, "#save-symbols", tmp_path / "again").read_text()) == json.loads(
            symbols.read_text()
        )


def test_unread_texts_of_named_topics_are_saved_where_they_are_asked_for(page, tmp_path):
    name(page, TITLES[3], "cards")
    page.keyboard.press("j")
    page.keyboard.press("w")  # the most certain one is none
    page.click("#save-labels")
    assert "No text has a class yet" in page.inner_text("#told")
    page.select_option("#certain", "5")
    texts, labels, _ = read_own_file(saved(page, "#save-labels", tmp_path))
    assert dict(zip(texts, labels, strict=True)) == {TEXTS[1]: "cards", HOSTILE: "cards"}
    assert "at least two classes" in page.inner_text("#told")


@pytest.mark.parametrize(
    "texts",
    [
        ["plain", "two words", "three"],
        ['"in quotes"', 'said "so" twice', "x"],
        ["label", "text", "class"],
        ["label\twith tab", "text", "Text"],
        ['"half', 'a""b', "'single'"],
        ["naïve café 😀🔥", "שלום עולם", "日本 語"],
    ],
)
@pytest.mark.parametrize("classes", [("a", "b"), ("label", "text"), ('"x"', "class")])
def test_any_text_and_class_is_read_by_train_as_it_stands(browser, tmp_path, texts, classes):
    """By the package's own reader, with its recognition of tables, quotes and names of columns."""
    file = tmp_path / "explore.html"
    shown = [" ".join(text.split()) for text in texts]
    symbols = [replace(symbol(k, [], own), texts=[k // 3]) for k, own in zip((3, 0), classes, strict=True)]
    file.write_text(render(made_up(shown, [3, 0, 3], symbols=symbols, label_next=[])), encoding="utf-8")
    with opened(browser, file) as page:
        for key in "jrrr":
            page.keyboard.press(key)
        path = saved(page, "#save-labels", tmp_path)
        read, labels, _ = read_own_file(path)
        assert read == shown and labels == [classes[0], classes[1], classes[0]]
        page.evaluate("localStorage.clear()")
        page.reload()
        page.set_input_files("#file", path)
        page.wait_for_function("document.getElementById('told').textContent")
        assert "3 labels loaded." in page.inner_text("#told")
    (tmp_path / "train.txt").write_text("\n".join(f"word {i}" for i in range(30)), encoding="utf-8")
    corpus = load_text(tmp_path / "train.txt", labelled=path)
    assert {*classes} == set(corpus.train.labels["label"]) - {""}


def test_decisions_are_kept_by_the_browser_for_this_model_alone(browser, file, tmp_path):
    with opened(browser, file) as page:
        name(page, TITLES[3], "cards")
        page.keyboard.press("j")
        page.keyboard.press("r")
        page.reload()
        assert titles(page)[0] == "cards" and page.query_selector(".mark-right") is not None
        kept = page.evaluate("Object.entries(localStorage)")
        assert [key for key, _ in kept] == ["svebm-explore:run0"] and "where is my card" not in kept[0][1]
        other = tmp_path / "other.html"
        other.write_text(render(made_up(run="run1")), encoding="utf-8")
        page.goto(other.as_uri())
        assert titles(page) == list(TITLES.values())
        for damaged in (
            "{",
            "[]",
            '{"names": {"9": "x", "3": 4}, "marks": {"a": "z", "b": 5}, "hidden": "no"}',
            "null",
        ):
            page.evaluate("text => localStorage.setItem('svebm-explore:run1', text)", damaged)
            page.reload()
            assert titles(page) == list(TITLES.values())


def test_the_page_says_so_where_nothing_is_kept(browser, file):
    refuse = (
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no', 'SecurityError'); } });"
    )
    with opened(browser, file) as page:
        assert not page.is_visible("#storage")
        page.add_init_script(refuse)
        page.reload()
        assert "keeps nothing" in page.inner_text("#storage")
        name(page, TITLES[3], "cards")
        assert titles(page)[0] == "cards"
        page.on("dialog", lambda dialog: dialog.accept())


@pytest.mark.parametrize(
    "damaged", ["", "[]", "null", '{"format": 2, "symbols": {}}', '{"format": 1, "symbols": 3}', "{"]
)
def test_a_wrong_symbols_file_is_refused(page, tmp_path, damaged):
    path = tmp_path / "symbols.json"
    path.write_text(damaged)
    page.set_input_files("#file", path)
    page.wait_for_function("document.getElementById('told').textContent")
    assert "symbols.json: not read" in page.inner_text("#told") and titles(page) == list(TITLES.values())


def test_symbols_of_another_model_and_unknown_texts_are_counted(page, tmp_path):
    (tmp_path / "s.json").write_text('{"format": 1, "symbols": {"3": {"name": "a"}, "99": {"name": "b"}, "0": null}}')
    (tmp_path / "l.tsv").write_text("label\ttext\na\twhere is my card\nb\tnowhere\nno tab\n")
    page.set_input_files("#file", [tmp_path / "l.tsv", tmp_path / "s.json"])
    page.wait_for_function("document.getElementById('told').textContent")
    told = page.inner_text("#told")
    assert "1 symbols loaded; 2 are not of this model" in told and "1 labels loaded; 2 lines are of no text" in told


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
