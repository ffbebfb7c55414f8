"""Runs over bags of words: batches of labelled and unlabelled documents, learning, resuming, measuring, errors."""

import json
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tiny_runs import TOPICS, document_config, write_documents

from svebm_ext import SVEBM
from svebm_ext.config import ObjectiveConfig, validate
from svebm_ext.data.corpora import load_configured
from svebm_ext.data.documents import document_vocabulary
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.evaluation.documents import top_words
from svebm_ext.evaluation.evaluate_model import evaluate_run
from svebm_ext.objectives.schedules import label_weight
from svebm_ext.prior.annealing import estimate_log_z
from svebm_ext.randomness import Draw
from svebm_ext.training.checkpoint import load_checkpoint
from svebm_ext.training.feeds import DocumentFeed, SentenceFeed
from svebm_ext.training.loop import LAST
from svebm_ext.training.optimisers import Optimisers
from svebm_ext.training.run import train
from svebm_ext.training.runtime import Runtime
from svebm_ext.training.update import Update

CPU = Runtime(torch.device("cpu"))


def feed_of(config):
    corpus = load_configured(config.data)
    vocabulary = document_vocabulary(corpus.train.sentences, remove_stop_words=False)
    return (DocumentFeed if config.model.encoder == "bow" else SentenceFeed)(
        corpus, vocabulary, config, CPU
    ), vocabulary


@pytest.mark.parametrize("encoder", ["bow", "gru"])
@pytest.mark.parametrize("bound", [True, False])
def test_each_iteration_has_labelled_and_other_examples(tmp_path, encoder, bound):
    """Batches of 8 and of 4; what is labelled counts in the bound, or stands beside it."""
    config = document_config(
        write_documents(tmp_path), data={"n_labelled": 9}, objective={"labelled_bound": bound},
        model={"encoder": encoder},
    )  # fmt: skip
    feed, _ = feed_of(config)
    labelled = set((feed.train.labels >= 0).nonzero()[:, 0].tolist())
    assert len(labelled) == 9
    seen, sizes = set(), set()
    for step in range(2 * feed.steps_per_epoch):
        share = feed.batch(step)
        own = share.batch if bound else share.labelled
        chosen = own.indices[own.labels >= 0].tolist()
        assert set(chosen) <= labelled
        sizes.add(len(chosen))
        if bound:
            assert share.labelled is None and share.n_total == len(share.batch.indices)
            assert share.n_labelled == len(chosen)
        else:
            assert share.n_labelled == len(chosen) and share.n_total == len(share.batch.indices)
            seen |= set(share.batch.indices.tolist())
        assert torch.equal(feed.batch(step).batch.indices, share.batch.indices)  # a pure function of the step
    assert 4 in sizes
    assert bound or seen == set(range(len(feed.train)))  # apart from the bound, labelled ones are among all


def test_labelled_batch_counts_in_the_cross_entropy_alone(tmp_path):
    """One update against the loss written out, batch normalisation and dropout included."""
    config = document_config(write_documents(tmp_path), data={"n_labelled": 6}, model={"document_dropout": 0.3})
    feed, vocabulary = feed_of(config)
    share, negatives = feed.batch(0), torch.randn(8, 4)
    gradients = []
    for by_hand in (True, False):
        torch.manual_seed(0)
        networks = SVEBM(config, vocabulary).networks
        if not by_hand:
            optimisers = Optimisers(networks, config.optimiser)
            kept = {}
            optimisers.apply = lambda name, runtime, kept=kept, n=networks: kept.update(
                {k: p.grad.to_dense().clone() for k, p in n.named_parameters() if p.grad is not None}
            ) or torch.zeros(())  # fmt: skip
            Update(networks, optimisers, config, CPU)(share, negatives, 1.0, 0)
            gradients.append(kept)
            continue
        draw, prior = Draw(config.seed, 0), networks.latent.prior
        passed = networks(share.batch, draw)
        terms = passed.posterior.terms(passed.z)
        log_symbol = terms["log_symbol"]
        marginal = log_symbol.exp().mean(0)
        information = -(marginal * marginal.log()).sum() + (log_symbol.exp() * log_symbol).sum(-1).mean()
        logits = prior.logits(networks.encode(share.labelled, draw))
        loss = passed.nll.mean() + terms["kl"].sum(-1).mean() - terms["energy_positive"].mean()
        loss = loss + prior.energy(negatives).mean() - information
        (loss + 5.0 * F.cross_entropy(logits, share.labelled.labels)).backward()
        gradients.append({k: p.grad.clone() for k, p in networks.named_parameters()})
    assert gradients[0].keys() == gradients[1].keys()
    for name, wanted in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], wanted, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")


def test_label_weight_rises():
    ramp = ObjectiveConfig(label_weight=8.0, label_ramp=0.5)
    assert [label_weight(step, 100, ramp) for step in (0, 25, 50, 99)] == [0.0, 4.0, 8.0, 8.0]
    assert label_weight(0, 100, ObjectiveConfig(label_weight=8.0)) == 8.0


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("documents")
    config = document_config(
        write_documents(folder, n=600), data={"n_labelled": 12},
        training={"max_steps": 240, "validate_every": 60, "batch_size": 40, "labelled_batch_size": 12,
                  "checkpoint_every": 120, "select": "accuracy"},
        objective={"label_weight": 20.0, "mutual_information": 5.0},
        optimiser={"learning_rate": 5e-3, "prior_learning_rate": 5e-3, "clip": 0.0, "prior_clip": 0.0},
        evaluation={"importance_samples": 1000, "annealed_sentences": 20, "annealed_temperatures": 20},
    )  # fmt: skip
    model, corpus = train(config, folder / "out")
    return folder / "out", model, corpus, evaluate_run(folder / "out", model, corpus)


def test_topics_are_learnt_from_four_labels_each(run):
    out, model, corpus, document = run
    assert document["accuracy"] > 0.9
    right = [
        c.label == t for c, t in zip(model.classify(corpus.test.sentences), corpus.test.labels["label"], strict=True)
    ]
    assert document["accuracy"] == pytest.approx(sum(right) / len(right))
    for name, words in zip(model.label_names, top_words(model.networks, model.vocabulary, 5), strict=True):
        assert set(words) <= set(TOPICS[name])
    assert (
        document["nll"] <= -document["elbo"] + 1e-6
        and document["null_reasons"]["bleu"] == "a bag of words has no order"
    )
    assert document["nll_annealed"] == pytest.approx(document["nll_of_annealed"], abs=0.2)
    report = (out / "report.md").read_text()
    assert "Words of each symbol" in report and "sea: " in report
    log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert max(r["valid_accuracy"] for r in log if "valid_accuracy" in r) > 0.9


def test_model_folder_gives_the_model_back(run):
    out, model, corpus, _ = run
    other = SVEBM.from_pretrained(out)
    torch.testing.assert_close(
        other.symbol_probabilities(["wave and salt"]), model.symbol_probabilities(["wave and salt"])
    )
    assert other.networks.decoder.background.exp().sum() == pytest.approx(1.0, abs=1e-5)
    texts = other.generate(3, symbol=other.label_names.index("sea"))
    assert len(texts) == 3 and set(texts[0].split()) <= {w for words in TOPICS.values() for w in words} | set(
        w for s in corpus.train.sentences for w in s
    )
    with pytest.raises(ConfigError, match="top_k"):
        other.generate(1, top_k=2)


def test_texts_without_a_known_word_get_the_answer_of_no_evidence(run):
    _, model, *_ = run
    unknown, other = model.classify(["zzz qqq", "xyzzy"])
    assert unknown.probability == other.probability and unknown.symbol == other.symbol
    with pytest.raises(DataError, match="text 1: empty"):
        model.classify(["wave", ""])
    latent = model.networks.latent
    log_z = estimate_log_z(latent.prior, latent.latent_dim, n_chains=400, n_temperatures=200, seed=0).upper
    assert float(model.nll(["zzz"], log_z=log_z, n_samples=4000)) == pytest.approx(0.0, abs=0.2)  # p(no words) = 1


@pytest.mark.parametrize("class_words", [False, True])
def test_resumed_run_equals_uninterrupted_run(tmp_path, class_words, monkeypatch):
    config = document_config(
        write_documents(tmp_path), data={"n_labelled": 9}, model={"class_words": class_words},
        objective={"label_ramp": 0.5},
    )  # fmt: skip
    train(config, tmp_path / "whole")
    from svebm_ext.training import loop

    original = loop.Trainer.iterate

    def iterate(self):
        if self.step == 7:
            raise KeyboardInterrupt
        return original(self)

    monkeypatch.setattr(loop.Trainer, "iterate", iterate)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "parts")
    monkeypatch.undo()
    train(config, tmp_path / "parts", resume=True)
    whole, parts = (load_checkpoint(tmp_path / name / LAST)[0] for name in ("whole", "parts"))
    assert whole.keys() == parts.keys() and any("running_mean" in name for name in whole)
    for name, tensor in whole.items():
        assert torch.equal(tensor, parts[name]), name


def test_sequences_learn_from_the_same_labels(tmp_path):
    """--model.encoder gru: the networks of sentences, batches of labelled and other documents."""
    config = document_config(
        write_documents(tmp_path), data={"n_labelled": 9}, model={"encoder": "gru"},
        training={"max_steps": 4, "validate_every": 2, "select": "accuracy"},
    )  # fmt: skip
    model, corpus = train(config, tmp_path / "out")
    assert hasattr(model.networks.decoder, "recurrent")
    document = evaluate_run(tmp_path / "out", model, corpus)
    assert 0.0 <= document["accuracy"] <= 1.0 and document["bleu"] is not None


def test_as_many_symbols_as_classes(tmp_path):
    config = document_config(write_documents(tmp_path), model={"n_categories": 0}, training={"max_steps": 1})
    model, _ = train(config, tmp_path / "out")
    assert model.networks.latent.n_categories == 3
    assert SVEBM.from_pretrained(tmp_path / "out").config.model.n_categories == 3
    with pytest.raises(ConfigError, match=r"n-categories: 0"):
        validate(replace(config, objective=ObjectiveConfig(), training=replace(config.training, labelled_batch_size=0)))


def test_errors(tmp_path):
    path = write_documents(tmp_path)
    with pytest.raises(DataError, match=r"data\.n-labelled: 200 examples of each class"):
        feed_of(document_config(path, data={"n_labelled": 600}))
    with pytest.raises(ConfigError, match=r"labelled-batch-size: leaves a batch of 1, too few for 2 processes"):
        config = document_config(path, training={"labelled_batch_size": 1})
        DocumentFeed(load_configured(config.data), feed_of(config)[1], config, Runtime(CPU.device, world_size=2))
    (tmp_path / "stops.tsv").write_text("a\tthe\nb\tof\n" * 20)
    config = document_config(tmp_path / "stops.tsv", data={"remove_stop_words": True})
    with pytest.raises(DataError, match="no training document has a word"):
        train(config, tmp_path / "none")
    for section, option, message in (
        ("model", {"encoder": "gru", "tied": True, "class_words": True}, "class-words"),
        ("objective", {"bag_of_words": 1.0}, "bag-of-words"),
        ("objective", {"label_weight": 0.0}, r"labelled-batch-size: needs labels"),
        ("model", {"document_layers": -1}, "document-layers"),
    ):
        with pytest.raises(ConfigError, match=message):
            validate(document_config(path, **{section: option}))
