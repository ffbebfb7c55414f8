"""A page of made-up texts and topics for tests of the workbench, and what a reader does on it."""

from dataclasses import replace

from svebm_ext.exploration.content import Exploration, Group, LabelField, MapView, Sentence, SplitSize, Symbol

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


def in_groups(**changes):
    """The same with symbols 3 and 7 in group 0, and 0 in group 1."""
    places = {3: (0, "0.0"), 0: (1, "1.0"), 7: (0, "0.1")}
    content = made_up()
    symbols = [replace(s, group=places[s.number][0], address=places[s.number][1]) for s in content.symbols]
    sentences = [row._replace(of_group=0.97) for row in content.sentences]
    groups = [Group(0, ["cards", "times"], [0, 6, 1]), Group(1, ["trains"], [3, 5])]
    return replace(content, symbols=symbols, sentences=sentences, groups=groups, **changes)


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
