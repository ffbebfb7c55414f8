"""What is decided on the page, in a browser: saved, read by the package, read back, kept."""

import json
from dataclasses import replace

import pytest
from browser import needs_browser, opened
from workbench import HOSTILE, TEXTS, TITLES, made_up, name, saved, symbol, titles

from svebm_ext.data import load_text
from svebm_ext.data.own_text import read_own_file
from svebm_ext.exploration.page import render

pytestmark = [needs_browser, pytest.mark.slow]


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
        other.wait_for_selector("#told:not(:empty)")
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
        page.wait_for_selector("#told:not(:empty)")
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
    page.wait_for_selector("#told:not(:empty)")
    assert "symbols.json: not read" in page.inner_text("#told") and titles(page) == list(TITLES.values())


def test_symbols_of_another_model_and_unknown_texts_are_counted(page, tmp_path):
    (tmp_path / "s.json").write_text('{"format": 1, "symbols": {"3": {"name": "a"}, "99": {"name": "b"}, "0": null}}')
    (tmp_path / "l.tsv").write_text("label\ttext\na\twhere is my card\nb\tnowhere\nno tab\n")
    page.set_input_files("#file", [tmp_path / "l.tsv", tmp_path / "s.json"])
    page.wait_for_selector("#told:not(:empty)")
    told = page.inner_text("#told")
    assert "1 symbols loaded; 2 are not of this model" in told and "1 labels loaded; 2 lines are of no text" in told
