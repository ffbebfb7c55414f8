"""The model card is a page that Markdown shows whole, whatever labels and measures hold."""

import re
from dataclasses import replace

from svebm_ext import preset
from svebm_ext.data.vocabulary import Vocabulary
from svebm_ext.models.svebm import SVEBM
from svebm_ext.prior.groups import SymbolGroups

DOCUMENT = {
    "nll": 13.250715257661243,
    "bleu_signature": "nrefs:1|case:mixed",
    "symbols_used": 24,
    "rppl": None,
    "accuracy_interval": [0.5, 0.6],
    "homogeneity": {"act": 0.98061, "a|b\n": None},
    "null_reasons": {"rppl": "not computed"},
    "about": {"summary": ["24 topics. \x1b[31m", "    topic 1"], "warnings": ["few texts"], "notes": []},
}


def small(labels=()):
    config = preset("lines")
    sizes = {"latent_dim": 4, "n_categories": 2, "embedding_dim": 8, "encoder_hidden": 8, "decoder_hidden": 8}
    config = replace(config, model=replace(config.model, sentence_features="none", **sizes))
    return SVEBM(config, Vocabulary.build([["a", "b"], ["b"]]), labels)


def test_numbers_are_rounded_and_no_bar_breaks_the_table():
    card = small(["yes", "no"]).card(DOCUMENT)
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {4}
    assert "| nll | 13.25 | nats/sentence |" in rows and "| symbols_used | 24 | symbols |" in rows
    assert r"| bleu_signature | nrefs:1\|case:mixed | text |" in rows
    assert r"| homogeneity.a\|b  | – | 0-1 |" in rows and "| homogeneity.act | 0.9806 | 0-1 |" in rows
    assert "rppl" not in card and "accuracy_interval" not in card and "null_reasons" not in card
    assert "24 topics." in card and "topic 1" not in card and "\x1b" not in card
    assert "Classes: yes, no." in card and "Warning: few texts" in card
    parameters = sum(p.numel() for p in small().parameters())
    assert f"z of 4 numbers, 2 symbols. {len(small().vocabulary)} words, {parameters:,} parameters." in card


def test_many_labels_are_cut_and_nothing_measured_is_no_table():
    card = small([f"c{i}" for i in range(53)]).card(None)
    assert "c49 and 3 more." in card and "c50" not in card and "|" not in card and card.endswith("```\n")


def test_a_pretrained_encoder_is_named_without_its_path():
    model = small()
    assert "nothing else." in model.card() and "encoder `" not in model.card()
    encoder = {"sentence_features": "words", "sentence_encoder": "/home/someone/all-MiniLM-L6-v2"}
    model.config = replace(model.config, model=replace(model.config.model, sentence_encoder_dim=8, **encoder))
    card = model.card()
    assert "encoder `all-MiniLM-L6-v2`, whose weights are not in this folder" in card
    assert "someone" not in card and "nothing else" not in card


def test_groups_of_symbols_are_told():
    model = small([])
    n = model.config.model.n_categories
    assert f"{n} symbols. " in model.card() and "groups" not in model.card()
    model.groups = SymbolGroups((0, *[1] * (n - 1)))
    assert f"{n} symbols in 2 groups (1, {n - 1} symbols). " in model.card()
