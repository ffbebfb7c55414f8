"""Symbols in two levels on the page, in a browser: groups first, opened into topics, names of both, kept and saved."""

import json

import pytest
from browser import needs_browser, opened
from workbench import TEXTS, TITLES, in_groups, listed, name, saved, titles

from svebm_ext.data.own_text import read_own_file
from svebm_ext.exploration.page import render
from svebm_ext.models.symbol_names import SymbolNames
from svebm_ext.prior.groups import SymbolGroups

pytestmark = [needs_browser, pytest.mark.slow]
#: Of the symbols 0 .. 7; 3 and 7 are in group 0, as on the page.
GROUPS = SymbolGroups((1, 1, 1, 0, 1, 1, 1, 0))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "explore.html"
    path.write_text(render(in_groups()), encoding="utf-8")
    return path


def sizes(page):
    return [size.inner_text() for size in page.query_selector_all("#topic-list .size")]


def test_groups_come_first_with_size_words_topics_and_texts(page):
    assert page.inner_text("#topic-count") == "2 groups of 3 topics"
    assert titles(page) == ["cards, times", "trains"]
    assert sizes(page) == ["5 texts · 63 % · group 0", "3 texts · 38 % · group 1"]
    first = page.query_selector("#topic-list .topic")
    assert first.query_selector(".topic-within").inner_text().split("\n") == ["card, <b> 60 %", "late 40 %"]
    assert [li.inner_text() for li in first.query_selector_all("li")] == [TEXTS[i] for i in (0, 6, 1)]
    assert "cards, times 0.97" in page.inner_text("#row-0")  # the probability of the group
    assert [" ".join(b.inner_text().split()) for b in page.query_selector_all("#classes button")] == [
        "1 cards, times",
        "2 trains",
    ]
    page.click("text=Show its 5 texts")
    assert sorted(listed(page)) == sorted(TEXTS[:3] + TEXTS[6:])


def test_a_group_opens_into_its_topics_and_closes_again_by_keys(page):
    page.focus("#open-0")
    page.keyboard.press("Enter")
    assert page.inner_text("#topic-count") == "1 group of 1 topic, 2 other topics"
    assert titles(page) == [TITLES[3], TITLES[7], "trains"]
    assert page.evaluate("document.activeElement.id") == "close-0"
    assert sizes(page)[:2] == ["group 0 · 5 texts · 2 topics", "3 texts · 38 % · symbol 0.0"]
    assert page.inner_text("#group-0 h3") == "cards, times"
    assert f"{TITLES[3]} 0.99" in page.inner_text("#row-0")  # the probability of the symbol
    page.select_option("#filter", "g0")
    assert sorted(listed(page)) == sorted(TEXTS[:3] + TEXTS[6:])
    page.focus("#close-0")
    page.keyboard.press("Enter")
    assert page.inner_text("#topic-count") == "2 groups of 3 topics"
    assert page.evaluate("document.activeElement.id") == "open-0"
    page.click("#undo")
    assert titles(page) == [TITLES[3], TITLES[7], "trains"]
    page.click("#undo")
    assert page.inner_text("#topic-count") == "2 groups of 3 topics" and page.is_disabled("#undo")


def test_all_groups_open_and_close_together(page):
    page.click("#levels")
    assert page.inner_text("#topic-count") == "3 topics" and page.inner_text("#levels") == "Close groups"
    assert titles(page) == [TITLES[3], TITLES[7], TITLES[0]]  # topics of a group stay together
    page.click("#levels")
    assert page.inner_text("#topic-count") == "2 groups of 3 topics" and page.inner_text("#levels") == "Open groups"


def test_names_of_both_levels_are_kept_saved_and_read_back(page, browser, file, tmp_path):
    name(page, "cards, times", "post")
    page.click("#open-0")
    assert page.inner_text("#group-0 h3") == "post"
    name(page, TITLES[3], "lost cards")
    path = saved(page, "#save-symbols", tmp_path)
    written = json.loads(path.read_text())
    assert written == {"format": 1, "groups": {"0": {"name": "post"}}, "symbols": {"0.0": {"name": "lost cards"}}}
    names = SymbolNames.load(path, 8, GROUPS)
    assert (names.label(3), names.label(7), names.label(0)) == ("lost cards", "post", None)
    page.reload()
    assert page.inner_text("#group-0 h3") == "post" and titles(page)[0] == "lost cards"
    page.click("#close-0")  # what has a name of its own stays apart
    assert titles(page) == ["lost cards", "trains", "post"]
    with opened(browser, file) as other:
        other.set_input_files("#file", [path])
        other.wait_for_selector("#told:not(:empty)")
        assert "2 names loaded" in other.inner_text("#told")
        assert titles(other) == ["lost cards", "trains", "post"]
        assert json.loads(saved(other, "#save-symbols", tmp_path / "again").read_text()) == written


def test_a_marked_text_has_the_name_of_its_symbol_or_of_its_group(page, tmp_path):
    name(page, "cards, times", "post")
    page.click("#open-0")
    name(page, TITLES[3], "lost cards")
    page.select_option("#order", "file")
    for key in ("j", "r", "r", "r", "r"):  # three of symbol 0.0, one of group 1
        page.keyboard.press(key)
    page.select_option("#filter", "g0")
    page.keyboard.press("j")
    page.keyboard.press("End")
    page.keyboard.press("r")  # of symbol 0.1, which has no name of its own
    texts, labels, _ = read_own_file(saved(page, "#save-labels", tmp_path))
    rows = dict(zip(texts, labels, strict=True))
    assert rows == {**dict.fromkeys(TEXTS[:3], "lost cards"), TEXTS[3]: "trains", TEXTS[7]: "post"}


def test_groups_are_merged_and_taken_apart(page):
    for place in (0, 1):
        page.check(f"#topic-list .topic >> nth={place} >> input[type=checkbox]")
    page.click("#merge")
    page.keyboard.type("all")
    page.keyboard.press("Enter")
    assert page.inner_text("#topic-count") == "1 topic" and titles(page) == ["all"]
    page.click(".parts button >> nth=1")
    assert page.inner_text("#topic-count") == "2 groups of 3 topics" and titles(page) == ["all", "trains"]


def test_a_hidden_group_leaves_cards_and_list(page):
    page.click("#topic-list .topic >> nth=0 >> text=Hide")
    assert page.inner_text("#topic-count") == "1 group of 1 topic, 1 hidden"
    assert sorted(listed(page)) == sorted(TEXTS[3:6])
    page.click("#hidden-topics summary")
    page.click("#hidden-list >> text=Show again")
    assert page.inner_text("#topic-count") == "2 groups of 3 topics"


def test_groups_of_the_page_alone_are_saved_by_the_numbers_of_their_symbols(browser, tmp_path):
    """A folder without groups: no command knows these, and symbols keep their numbers."""
    content = in_groups(groups_kept=False)
    for one in content.symbols:
        object.__setattr__(one, "address", "")
    file = tmp_path / "explore.html"
    file.write_text(render(content), encoding="utf-8")
    with opened(browser, file) as page:
        name(page, "cards, times", "post")
        page.click("#open-0")
        assert sizes(page)[1] == "3 texts · 38 % · symbol 3"
        name(page, TITLES[3], "lost cards")
        path = saved(page, "#save-symbols", tmp_path)
    assert json.loads(path.read_text())["symbols"] == {"3": {"name": "lost cards"}, "7": {"name": "post"}}
    assert SymbolNames.load(path, 8).label(7) == "post"


def test_names_of_groups_that_have_changed_are_not_taken_over(browser, tmp_path):
    file = tmp_path / "explore.html"
    file.write_text(render(in_groups()), encoding="utf-8")
    with opened(browser, file) as page:
        name(page, "cards, times", "post")
        changed = in_groups()
        object.__setattr__(changed.symbols[1], "group", 0)
        file.write_text(render(changed), encoding="utf-8")
        page.reload()
        assert "post" not in titles(page)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(browser, file, width):
    with opened(browser, file, viewport={"width": width, "height": 844}) as page:
        page.click("#open-0")
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
