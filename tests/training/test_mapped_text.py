"""Training on text that is mapped is bit-equal to training on the same text in memory."""

from dataclasses import replace

import pytest
import torch
from equal_runs import assert_equal
from tiny_runs import stopped, tiny_config, tiny_training, write_corpus

from svebm_ext.data.corpora import load_configured
from svebm_ext.data.mapped_lists import MappedTokens
from svebm_ext.evaluation.evaluate_model import evaluate_run
from svebm_ext.training import guides
from svebm_ext.training.run import train

GUIDED = {
    "model": {"sentence_features": "words", "n_categories": 4},
    "objective": {"pseudo_labels": "words", "pseudo_label_weight": 1.0, "label_at": "sample"},
    "training": {"prior_stage": "second", "prior_steps": 5},
}


def pair(tmp_path, changes):
    """Configurations of the same run, in memory and mapped."""
    config = tiny_config(write_corpus(tmp_path), **changes)
    modes = {mode: replace(config.data, memory_map=mode, cache=tmp_path / "cache") for mode in ("never", "always")}
    return [replace(config, data=data) for data in modes.values()]


@pytest.mark.parametrize(
    "changes",
    [
        {"data": {"max_tokens": 5}},
        {"data": {"tokenization": "bpe", "vocabulary_size": 300}},
        {"data": {"max_tokens": 0}, "objective": {"mutual_information": 2.0, "regroup_at": 0.4}},
        GUIDED,
        {"model": {"kind": "documents", "encoder": "gru"}},
    ],
    ids=["cut", "subwords", "regrouping", "guided", "documents"],
)
def test_the_run_is_bit_equal_to_that_in_memory(tmp_path, changes):
    folders = []
    for config in pair(tmp_path, changes):
        folders.append(tmp_path / config.data.memory_map)
        model, corpus = train(config, folders[-1])
        assert isinstance(corpus.train.sentences, MappedTokens) == (config.data.memory_map == "always")
        evaluate_run(folders[-1], model, corpus, show=lambda *_: None)
    assert_equal(*folders)
    assert len({(folder / "vocab.json").read_bytes() for folder in folders}) == 1


def test_a_run_that_began_in_memory_goes_on_with_a_map(tmp_path):
    held, mapped = pair(tmp_path, GUIDED)
    train(held, tmp_path / "whole")
    stopped(lambda: train(held, tmp_path / "parts"), 7)
    train(mapped, tmp_path / "parts", resume=True)
    assert_equal(tmp_path / "parts", tmp_path / "whole")


def test_guesses_of_a_batch_are_those_of_all(tmp_path, monkeypatch):
    config, _, networks, feed = tiny_training(tmp_path, **GUIDED)
    learnt = guides.learn_features(feed, networks_vocabulary(config), config, lambda _: None)
    learnt.copy_to(networks)
    guides.guide_symbols(networks, feed)
    everything, share = feed.guesses, feed.batch(3)
    assert isinstance(everything, torch.Tensor)
    monkeypatch.setattr(guides, "MOST_GUESSES", 10)
    guides.guide_symbols(networks, feed)
    assert isinstance(feed.guesses, guides.BatchGuesses)
    rows = torch.tensor([3, 0, 100, 7])
    torch.testing.assert_close(feed.guesses[rows], everything[rows], atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(feed.batch(3).guesses, share.guesses, atol=1e-6, rtol=1e-5)
    assert everything.argmax(-1).unique().numel() > 1


def networks_vocabulary(config):
    from svebm_ext.data.vocabulary import Vocabulary

    return Vocabulary.build(load_configured(config.data).train.sentences)


def test_guides_read_the_same_sentences_of_both_splits(tmp_path, monkeypatch):
    """More sentences than are read: the features are those of the evenly spread ones of both splits together."""
    monkeypatch.setattr(guides, "MOST_READ", 50)
    config, _, _, feed = tiny_training(tmp_path, **GUIDED)
    learnt = guides.learn_features(feed, networks_vocabulary(config), config, lambda _: None)
    both = feed.train.followed_by(feed.valid)
    rows = torch.arange(50) * len(both) // 50
    other = type(learnt.features)(len(learnt.features.idf))
    other.fit(both.part(rows), seed=config.seed)
    for name, numbers in other.state_dict().items():
        assert torch.equal(numbers, learnt.features.state_dict()[name]), name
    assert bool(other.idf.any())
