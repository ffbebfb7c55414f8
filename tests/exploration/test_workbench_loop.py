"""From a pile of texts to a classifier of the reader's own classes: discover, name, save, train, classify."""

import random

import pytest
from browser import chromium, needs_browser, opened
from tiny_runs import COMMON, TOPICS, document_config, tiny_config, write_corpus, write_documents

from svebm_ext import classify, explore, train
from svebm_ext.data.own_text import read_own_file
from svebm_ext.training.run import train as train_run

pytestmark = [needs_browser, pytest.mark.slow]

SHORT = [
    "--training.max-steps",
    "20",
    "--training.validate-every",
    "20",
    "--training.prior-steps",
    "10",
    "--no-evaluate",
]


def write_pile(folder, n=240):
    """Texts of three topics without labels, and what each one's topic is."""
    rng = random.Random(1)
    topic_of = {}
    for number in range(n):
        topic = list(TOPICS)[number % 3]
        words = rng.sample(TOPICS[topic], 4) + rng.sample(COMMON, 2)
        topic_of[" ".join(words)] = topic
    path = folder / "texts.txt"
    path.write_text("\n".join(topic_of) + "\n")
    return path, topic_of


def test_discover_name_save_train_classify(tmp_path, capsys):
    """Topics are told by one of their words; a topic that is split in the discovery is one after naming."""
    texts, topic_of = write_pile(tmp_path)
    train.main(["lines", str(texts), "--model.n-categories", "4", "--out", str(tmp_path / "first"), *SHORT])
    explore.main([str(tmp_path / "first"), "--samples", "1", "--interpolations", "1"])
    with chromium() as browser, opened(browser, tmp_path / "first" / "explore.html") as page:
        assert page.inner_text("#topic-count") == "4 topics"
        for place in range(4):
            first_text = page.query_selector_all("#topic-list .topic")[place].query_selector("li").inner_text()
            titles = [field.input_value() for field in page.query_selector_all("#topic-list .topic-name")]
            assert titles[place] == ""
            field = page.query_selector_all("#topic-list .topic-name")[place]
            field.fill(topic_of[first_text] + ("" if titles.count(topic_of[first_text]) == 0 else " too"))
            field.press("Enter")
        names = {field.input_value() for field in page.query_selector_all("#topic-list .topic-name")}
        for field in page.query_selector_all("#topic-list .topic-name"):
            if field.input_value().endswith(" too"):
                field.fill(field.input_value().removesuffix(" too"))
                field.press("Enter")
                break
        assert len(names) == 4 and page.inner_text("#topic-count") == "3 topics"
        page.select_option("#certain", "5")
        with page.expect_download() as download:
            page.click("#save-labels")
        download.value.save_as(tmp_path / "labels.tsv")
    read, labels, _ = read_own_file(tmp_path / "labels.tsv")
    assert len(read) == 15 and [topic_of[text] for text in read] == labels
    train.main(["lines", str(texts), "--data.labelled", str(tmp_path / "labels.tsv"), "--out", str(tmp_path / "second"),
                *SHORT])  # fmt: skip
    capsys.readouterr()
    classify.main([str(tmp_path / "second"), str(texts)])
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    right = sum(topic_of[text] == label for label, _, text in rows)
    assert len(rows) == 240 and right > 0.9 * len(rows)


@pytest.mark.parametrize("kind", ["sentences", "labelled", "documents", "gaussian", "deterministic", "categorical"])
def test_pages_of_all_kinds_open_without_an_error(tmp_path, kind):
    if kind == "documents":
        config = document_config(write_documents(tmp_path), training={"max_steps": 3})
    elif kind in ("sentences", "labelled"):
        config = tiny_config(write_corpus(tmp_path, labelled=kind == "labelled"), training={"max_steps": 2})
    else:
        model = {"latent": kind, "n_variables": 2, "n_classes": 3}
        objective = {"mutual_information": 0.0}
        config = tiny_config(write_corpus(tmp_path), model=model, objective=objective, training={"max_steps": 2})
    train_run(config, tmp_path / "out")
    explore.main([str(tmp_path / "out"), "--samples", "1", "--interpolations", "1"])
    with chromium() as browser, opened(browser, tmp_path / "out" / "explore.html") as page:
        assert page.inner_text("#count").startswith("240 of 240 texts")
        for key in ("j", "j", "1"):
            page.keyboard.press(key)
        for place in range(len(page.query_selector_all("#colour option"))):
            page.select_option("#colour", str(place))
        page.check("#prior") if page.is_visible("#prior") else None
        page.wait_for_timeout(100)
        assert page.query_selector_all(".row") and page.query_selector_all("#legend li")
        assert bool(page.query_selector_all("#topic-list .topic")) == (kind in ("sentences", "labelled", "documents"))
