"""Kinds of examples: each has all its parts, and reads texts as its networks expect them."""

import inspect

import pytest
import torch
from tiny_runs import tiny_config

from svebm_ext import SVEBM, kinds
from svebm_ext.config import BagModel, DialogModel, PointModel, SentenceModel, SequenceModel, of_kind, options_of
from svebm_ext.config.kinds import OPTIONS
from svebm_ext.data.batching import EncodedSplit
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.data.dialogs import DialogSplit
from svebm_ext.data.documents import DocumentSplit
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.errors import ConfigError
from svebm_ext.evaluation.evaluate_model import EVALUATORS
from svebm_ext.evaluation.evaluator import Evaluator
from svebm_ext.kinds import KINDS, kind_of
from svebm_ext.models.networks import NETWORKS
from svebm_ext.training.feeds import FEEDS, TextFeed

TURNS = Split([["a"], ["b", "b"], ["the"], ["d", "d", "d"], ["e"]], dialogs=[0, 0, 0, 0, 1])
VOCABULARY = Vocabulary(["a", "b", "the", "d", "e"])
CORPUS = Corpus("talk", TURNS, TURNS, TURNS)
#: What `model` says, and the kind that it means.
MEANT = [
    (SentenceModel(), "sentences"),
    (of_kind(SentenceModel(), encoder="gru"), "sentences"),  # of which there is one, whatever the encoder
    (DialogModel(), "dialogs"),
    (BagModel(), "documents-bow"),
    (of_kind(SentenceModel(), "documents"), "documents-bow"),
    (SequenceModel(), "documents-gru"),
    (PointModel(), "points"),
]


@pytest.mark.parametrize(("model", "name"), MEANT)
def test_a_model_is_of_one_kind(model, name):
    assert kind_of(model).name == options_of(model).name == kind_of(model).options.name == name


def test_an_unknown_kind_is_told():
    with pytest.raises(ConfigError, match=r"model\.kind: 'sounds' given, expected one of sentences, dialogs"):
        of_kind(SentenceModel(), "sounds")


def test_every_kind_has_all_its_parts():
    assert set(KINDS) == set(OPTIONS) == set(NETWORKS) == {name for _, name in MEANT}
    texts = {name for name, kind in KINDS.items() if kind.has_words}
    assert set(FEEDS) == set(EVALUATORS) == texts == set(KINDS) - {"points"}
    assert all(issubclass(feed, TextFeed) and not inspect.isabstract(feed) for feed in FEEDS.values())
    assert all(issubclass(evaluator, Evaluator) for evaluator in EVALUATORS.values())


def test_every_kind_of_the_room_is_among_them():
    classes = {value for value in vars(kinds).values() if inspect.isclass(value) and issubclass(value, kinds.Kind)}
    assert {one for one in classes if not inspect.isabstract(one)} == {type(kind) for kind in KINDS.values()}


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("sentences", EncodedSplit),
        ("dialogs", DialogSplit),
        ("documents-bow", DocumentSplit),
        ("documents-gru", EncodedSplit),
    ],
)
def test_a_split_is_encoded_as_the_networks_read_it(name, split):
    model = {"dialogs": {"kind": "dialogs", "context_turns": 1}, "documents-bow": {"kind": "documents"}}.get(name, {})
    config = tiny_config(None, data={"max_tokens": 4}, model=model)
    encoded = KINDS[name].encode(TURNS, VOCABULARY, config)
    assert type(encoded) is split and len(encoded) == 5
    batch = encoded.collate([3, 1])
    assert sorted(batch.indices.tolist()) == [1, 3]
    if name == "documents-bow":
        assert batch.counts.tolist() == [3.0, 2.0]
    else:
        assert batch.n_tokens == 3 + 3  # cut to two words each, and END
    if name == "dialogs":
        assert torch.equal(encoded.first, torch.tensor([0, 0, 1, 2, 4]))  # one turn before each, none at a beginning


def test_stop_words_are_left_out_of_bags_alone():
    data = tiny_config(None, data={"remove_stop_words": True}).data
    train = Split([["the", "red", "boat"], ["the", "boat"]])
    corpus = Corpus("boats", train, train, train)
    assert "the" in KINDS["sentences"].vocabulary(corpus, data)
    assert "the" not in KINDS["documents-bow"].vocabulary(corpus, data)


@pytest.mark.parametrize(("corpus", "word"), [("smd", "Boston"), ("clinc150", "boston")])
def test_texts_are_read_in_the_case_of_the_corpus(corpus, word):
    data = tiny_config(None, data={"corpus": corpus, "lowercase": True}).data
    assert KINDS["sentences"].words("to Boston?", data, None) == ["to", word, "?"]
    assert KINDS["sentences"].words(["To", "Boston"], data, None) == ["To", "Boston"]  # words are taken as they are


def test_what_a_kind_does_not_read_is_refused():
    KINDS["sentences"].check_texts()
    KINDS["dialogs"].check_responses()
    with pytest.raises(ConfigError, match=r"use SVEBM\.respond"):
        KINDS["dialogs"].check_texts()
    for name in ("sentences", "documents-bow", "documents-gru"):
        with pytest.raises(ConfigError, match="not trained on dialogs"):
            KINDS[name].check_responses()
    with pytest.raises(ConfigError, match=r"svebm_ext\.training\.points"):
        SVEBM(tiny_config(None, model={"kind": "points"}), VOCABULARY)
