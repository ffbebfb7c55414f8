import re

import pytest
import torch
from tiny_runs import tiny_config

from svebm_ext.data.corpus import Split
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.evaluation.topic_text import group_lines
from svebm_ext.evaluation.topics import Topic, find_topics, shortened, topic_lines, topic_sentences
from svebm_ext.models.svebm import SVEBM
from svebm_ext.terminal import printable


def stand_in(names=(), latent="energy", **data):
    """A model that has learnt nothing: its names of classes, and how texts are read and written."""
    config = tiny_config(None, model={"latent": latent}, data=data)
    return SVEBM(config, Vocabulary.build(SENTENCES), names)


SENTENCES = [["the", "boat", "sails", "."]] * 300 + [["the", "oven", "burns", "."]] * 100


def answers(split, n_symbols=4):
    """Boats are symbol 2, ovens symbol 1; the later of a topic, the more certain."""
    logits = torch.zeros(len(split), n_symbols)
    for i, sentence in enumerate(split.sentences):
        logits[i, 2 if "boat" in sentence else 1] = 3 + i / 100
    return logits.log_softmax(-1)


def test_topics_have_shares_typical_words_and_their_most_certain_texts():
    texts = [f"{'Boat' if i < 300 else 'Oven'} number {i // 2}!" for i in range(400)]
    split = Split(SENTENCES, texts=texts)
    first, second = find_topics(stand_in(), split, answers(split))
    assert (first.symbol, second.symbol) == (2, 1)
    assert (first.share, second.share) == (0.75, 0.25)
    assert set(first.words) == {"boat", "sails"} and set(second.words) == {"oven", "burns"}  # no full stop, no "the"
    # Texts as they were written, each once, most certain first.
    assert first.texts == ["Boat number 149!", "Boat number 148!", "Boat number 147!"]
    assert second.texts == ["Oven number 199!", "Oven number 198!", "Oven number 197!"]


def test_topics_without_known_texts_are_written_by_the_model_and_classes_have_names():
    split = Split(SENTENCES)
    found = find_topics(stand_in(names=("a", "kitchen", "sea")), split, answers(split))
    assert [topic.name for topic in found] == ["sea", "kitchen"]
    assert found[0].texts == ["the boat sails ."]
    assert topic_lines(found[1:])[1:] == ["    the oven burns ."]
    assert re.fullmatch(r"kitchen, 25.0 % of the texts: (oven, burns|burns, oven)", topic_lines(found[1:])[0])


def test_words_that_say_something_come_first_in_the_language_of_the_text():
    """All of them are as typical; "von" is a function word, and stays where there is room."""
    sentences = [["von", "segel", "boot"]] * 200 + [["mit", "ofen", "brot"]] * 200
    found = find_topics(stand_in(), Split(sentences), answers(Split([["boat"]] * 200 + [["oven"]] * 200)))
    assert {topic.words[-1] for topic in found} == {"von", "mit"} and {len(topic.words) for topic in found} == {3}


def test_other_texts_add_to_the_words_and_not_to_the_shares():
    few, more = Split(SENTENCES[299:301]), Split(SENTENCES)
    alone = find_topics(stand_in(), few, answers(few))
    found = find_topics(stand_in(), few, answers(few), (more, answers(more)))
    assert [topic.words for topic in alone] == [[], []] and all(len(topic.words) == 2 for topic in found)
    assert [topic.share for topic in found] == [0.5, 0.5]


def test_subwords_are_no_typical_words():
    sentences = [["bo", "at"]] * 200 + [["ov", "en"]] * 200
    split = Split(sentences, texts=["A boat"] * 200 + ["An oven"] * 200)
    logits = torch.zeros(400, 2)
    logits[:200, 1], logits[200:, 0] = 5.0, 5.0
    found = find_topics(stand_in(tokenization="bpe"), split, logits.log_softmax(-1))
    assert {topic.symbol: set(topic.words) for topic in found} == {0: {"an", "oven"}, 1: {"a", "boat"}}


def test_chains_are_of_the_texts_of_their_topic():
    train = Split([["a", "b"], ["c", "d"], ["c", "d"], []])
    topics = [Topic(1, "", 0.5, ["c"], []), Topic(0, "", 0.25, [], []), Topic(7, "", 0.25, [], [])]
    lines = topic_sentences(stand_in(latent="gaussian"), topics, train, [0, 1, 1, 1], seed=0)
    titles = [i for i, line in enumerate(lines) if not line.startswith(" ")]
    assert [lines[i] for i in titles] == [topic.title for topic in topics]
    assert titles == [0, 3, 6] and len(lines) == 7  # no text of symbol 7, no chain
    words = [set(line.split(":")[1].split()) for line in lines if line.startswith(" ")]
    assert words[0] <= {"c", "d"} and words[2] <= {"a", "b"} and all(words)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, é, 東京, 👩\u200d💻", "plain text, é, 東京, 👩\u200d💻"),
        ("\x1b[2Jgone", "\\x1b[2Jgone"),
        ("a\x9bb\x7f", "a\\x9bb\\x7f"),
        ("abc\u202edef", "abc\\u202edef"),
        ("lone \ud800", "lone \\ud800"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text, shown):
    assert printable(text) == shown


def test_long_texts_are_cut_to_a_line():
    assert shortened("one\n two\tthree") == "one two three"
    assert shortened("x" * 100) == "x" * 100
    assert shortened("x" * 101) == "x" * 99 + "…"


def test_a_topic_without_a_typical_word_is_told_by_a_text():
    """Of few texts no word may be significant; a line with a number alone would say nothing."""
    topics = [
        Topic(0, "", 0.4, [], ["a rabbit's\tface", "cow"], "0.0"),
        Topic(1, "", 0.2, ["button"], ["red button"], "0.1"),
        Topic(2, "", 0.1, [], [], "0.2"),
    ]
    group = Topic(0, "", 0.7, [], [], "0", (0, 1, 2))
    assert group_lines([group], topics) == [
        "group 0, 70.0 % of the texts: no typical word",
        '    0.0, 40.0 %: "a rabbit\'s face"',
        "    0.1, 20.0 %: button",
        "    0.2, 10.0 %:",
    ]
