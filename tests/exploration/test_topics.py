"""Names of topics, texts that stand for them, and which texts are worth a look, against what can be counted by hand."""

import math
from dataclasses import replace

import pytest
import torch

from svebm_ext.exploration.content import SplitSize
from svebm_ext.exploration.encoded import Encoded
from svebm_ext.exploration.gather import groups_of_symbols
from svebm_ext.exploration.labelling import entropy, novelty, spread, table_of, worth_a_label
from svebm_ext.exploration.topics import certain_texts, says_something, topic_words
from svebm_ext.prior.groups import SymbolGroups


def encoded(texts, answers, z=None):
    words = [text.split() for text in texts]
    z = torch.zeros(len(texts), 2) if z is None else torch.tensor(z)
    answers = torch.tensor(answers, dtype=torch.float64)
    return Encoded(
        words, words, list(texts), {}, [0] * len(texts), [SplitSize("train", 1, 1)], z, answers.log(), answers
    )


@pytest.mark.parametrize("word", ["card", "mom's", "o'clock", "größe", "3d"])
def test_words_that_may_name_a_topic(word):
    assert says_something(word)


@pytest.mark.parametrize("word", ["i'm", "don't", "what’s", "isn’t", "they'll", "12", "5.30", "I'd"])
def test_words_that_say_nothing_by_themselves(word):
    assert not says_something(word)


def test_names_are_typical_words_without_stop_words_and_marks():
    cards, trains = "the card , i 'm lost 12 !", "the train , he was late ?"
    own = encoded([cards] * 20 + [trains] * 20, [[0.9, 0.1]] * 20 + [[0.2, 0.8]] * 20)
    first, second = topic_words(own, own.symbol, 2)
    assert sorted(first) == ["card", "lost"] and sorted(second) == ["late", "train"]


def test_texts_of_a_topic_are_its_most_certain_different_ones_shorter_first():
    texts = ["a long text here", "short", "b", "short", "of the other"]
    own = encoded(texts, [[0.9, 0.1], [0.9, 0.1], [0.95, 0.05], [0.9, 0.1], [0.3, 0.7]])
    assert certain_texts(own, own.symbol, own.probability, 3) == [[2, 1, 0], [4], []]


def test_groups_have_the_words_and_texts_of_all_their_symbols():
    texts = ["the card is lost"] * 90 + ["the pin is lost"] * 90 + ["a late train"] * 90
    answers = [[0.6, 0.3, 0.1]] * 90 + [[0.25, 0.7, 0.05]] * 90 + [[0.1, 0.1, 0.8]] * 90
    own = replace(encoded(texts, answers), groups=SymbolGroups((0, 0, 1)))
    assert own.group.tolist() == [0] * 180 + [1] * 90
    assert own.of_group.tolist() == pytest.approx([0.9] * 90 + [0.95] * 90 + [0.8] * 90)
    cards, trains = groups_of_symbols(own)
    assert {"lost", "card", "pin"} == set(cards.words) and set(trains.words) == {"late", "train"}
    assert (cards.texts, trains.texts) == ([90, 0], [180])  # the most certain of the group first
    assert groups_of_symbols(encoded(texts, answers)) == []


def test_entropy_is_that_of_the_answer():
    answers = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25, 0.25, 0.25, 0.25], [0.5, 0.5, 0.0, 0.0]], dtype=torch.float64)
    assert entropy(answers).tolist() == pytest.approx([0.0, math.log(4.0), math.log(2.0)])
    rows, _ = table_of(encoded(list("abc"), answers.tolist()))
    assert [row.entropy for row in rows] == pytest.approx([0.0, math.log(4.0), math.log(2.0)], abs=1e-4)


def test_spread_goes_to_the_farthest_each_time():
    """On a line the order is known: first, farthest from it, then middles of the largest gaps; equal ones never."""
    z = torch.tensor([[0.0], [1.0], [10.0], [4.0], [10.0], [0.0]], dtype=torch.float64)
    assert spread(z, 10) == [0, 2, 3, 1]
    assert spread(z, 2) == [0, 2]
    assert spread(z[:0], 3) == []


def test_what_to_label_next_is_uncertain_and_different():
    """200 uncertain texts in four places, 1,800 certain ones elsewhere: one of each place comes first."""
    places = [(0.0, 0.0), (100.0, 0.0), (0.0, 100.0), (100.0, 100.0)]
    z = [[x + i * 1e-4, y] for i in range(50) for x, y in places] + [[500.0 + i, 0.0] for i in range(1800)]
    answers = [[0.5 + i * 1e-4, 0.5 - i * 1e-4] for i in range(200)] + [[0.99, 0.01]] * 1800
    texts = [f"text {i}" for i in range(2000)]
    order = worth_a_label(encoded(texts, answers, z))
    assert len(order) == 100 and order[0] == 0 and all(row < 200 for row in order)
    assert {row % 4 for row in order[:4]} == {0, 1, 2, 3}
    equal = worth_a_label(encoded(["the same"] * 5 + ["other"], [[0.5, 0.5]] * 6, [[0.0, 0.0]] * 5 + [[1.0, 0.0]]))
    assert equal == [0, 5]


def test_a_text_far_from_all_others_is_new():
    near = [[i * 0.1, 0.0] for i in range(30)]
    own = encoded([f"t{i}" for i in range(30)] + ["far", "far"], [[1.0, 0.0]] * 32, [*near, [50.0, 0.0], [50.0, 0.0]])
    new = novelty(own)
    assert new[:30].max() < new[30] and new[30] == new[31]  # its copy is no neighbour
    distances = torch.cdist(own.z[:31].double(), own.z[:31].double()).sort(dim=1).values[:, 1:6].mean(1)
    torch.testing.assert_close(new[:31], distances / distances.mean())
    assert novelty(encoded(["only"], [[1.0]], [[1.0, 2.0]])).tolist() == [0.0]
