"""Runs over dialogs: a chain for each example, resuming, measuring, responding, what is refused."""

import json
import random
from dataclasses import replace

import pytest
import torch
from tiny_runs import tiny_config, write_dialogs

from svebm_ext import SVEBM
from svebm_ext.config import validate
from svebm_ext.data.corpora import load_configured
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.evaluation.evaluate_model import evaluate_run
from svebm_ext.models.consensus import consensus
from svebm_ext.models.responses import SEEDS_BETWEEN_SAMPLES
from svebm_ext.training.checkpoint import load_checkpoint
from svebm_ext.training.feeds import DialogFeed
from svebm_ext.training.loop import LAST, Trainer
from svebm_ext.training.run import build_vocabulary, train
from svebm_ext.training.runtime import Runtime

CPU = Runtime(torch.device("cpu"))


def dialog_config(root, **changes):
    """Configuration of a run over dialogs that takes about a second."""
    kind = {"kind": "dialogs", "context_hidden": 8, "context_dim": 12, "context_map": 4}
    data = {"corpus": "smd", "root": root, "train": None, "speaker_marks": True}
    sections = {"data": data, "model": kind, "evaluation": {"response_samples": 3}}
    merged = {name: {**sections.get(name, {}), **changes.get(name, {})} for name in sections | changes}
    return tiny_config(None, **merged)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dialogs")
    write_dialogs(folder)
    return folder


def test_each_example_has_its_chain(root, tmp_path):
    config = dialog_config(root, chains={"restart_fraction": 0.0})
    corpus = load_configured(config.data)
    assert corpus.train.sentences[0][0] == "<driver>"
    vocabulary = build_vocabulary(corpus, config)
    feed = DialogFeed(corpus, vocabulary, config, CPU)
    torch.manual_seed(0)
    trainer = Trainer(config, SVEBM(config, vocabulary).networks, feed, tmp_path, CPU)
    assert len(trainer.negatives.bank) == len(corpus.train)
    before = trainer.negatives.bank.states.clone()
    share = feed.batch(0)
    assert torch.equal(share.batch.indices, feed.batch(0).batch.indices)
    outcome, _, _ = trainer.iterate()
    moved = (trainer.negatives.bank.states != before).any(1).nonzero()[:, 0]
    assert moved.tolist() == sorted(share.batch.indices.tolist())
    assert {"energy_positive", "energy_negative", "mi", "kl", "nll"} <= set(outcome.terms)


@pytest.mark.parametrize(
    "changes",
    [{}, {"chains": {"mode": "short_run"}, "objective": {"update": "alternating"}}],
    ids=["persistent", "short-run"],
)
def test_resumed_run_equals_the_uninterrupted_one(root, tmp_path, changes):
    config = dialog_config(root, **changes)
    train(config, tmp_path / "whole")
    half = replace(config, training=replace(config.training, max_steps=6))
    train(half, tmp_path / "parts")
    train(config, tmp_path / "parts", resume=True)
    first, second = (load_checkpoint(tmp_path / name / LAST)[0] for name in ("whole", "parts"))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    rng = random.Random(0)
    (root / "glove").mkdir()
    words = {w.lower() for s in load_configured(dialog_config(root).data).train.sentences for w in s}
    lines = [" ".join([w, *(f"{rng.gauss(0, 1):.3f}" for _ in range(4))]) for w in sorted(words)]
    (root / "glove" / "glove.6B.50d.txt").write_text("\n".join(lines) + "\n")
    model, corpus = train(dialog_config(root), out)
    return out, model, evaluate_run(out, model, corpus, say=lambda text: None)


def test_measures(run):
    out, _, document = run
    keys = [f"{kind}{of}" for kind in ("response_bleu", "consensus_bleu", "bleu") for of in ("", "_without_speakers")]
    for key in keys:
        assert 0 <= document[key] <= 100
    for key in ("average", "extrema", "greedy"):
        assert -100 <= document[f"response_{key}"] <= 100 and -100 <= document[f"reconstruction_{key}"] <= 100
        assert -100 <= document[f"consensus_{key}"] <= 100
    assert document["about"]["sample_counts"]["responses behind a consensus"] == 3
    assert document["reconstruction_nll"] > 0 and document["kl"] > 0
    assert document["nll"] is None and "context" in document["null_reasons"]["nll"]
    assert set(document["homogeneity"]) == {"domain", "speaker"}
    actions, responses = ((out / name).read_text() for name in ("actions.md", "responses.md"))
    assert "| symbol | turns |" in actions and "&lt;driver>" in actions
    assert responses.count("| symbol | p(y\\|c) | responses |") == 4
    log = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert any("valid_bound" in line for line in log)


def test_responses_of_a_model_folder(run):
    out, model, _ = run
    loaded = SVEBM.from_pretrained(out)
    contexts = [["<driver> where is the moon ?"], [], ["<driver> hi", "<assistant> what", "<driver> rain ?"]]
    found = loaded.respond(contexts, seed=4)
    assert found == model.respond(contexts, seed=4) and len(found) == 3
    assert loaded.respond([]) == []
    assert len(loaded.respond(contexts, symbol=2, greedy=False)) == 3
    with pytest.raises(ConfigError, match="symbol: 6 is outside"):
        loaded.respond(contexts, symbol=6)
    agreed = loaded.respond(contexts, n_samples=5, seed=4)
    samples = zip(*(loaded.respond(contexts, seed=4 + k * SEEDS_BETWEEN_SAMPLES) for k in range(5)), strict=True)
    assert agreed == [texts[consensus([text.split() for text in texts])] for texts in samples]
    with pytest.raises(ConfigError, match="n_samples: 0 given"):
        loaded.respond(contexts, n_samples=0)
    with pytest.raises(DataError, match="context 1: a string given"):
        loaded.respond([["hi"], "hi"])
    for refused in (lambda: loaded.generate(1), lambda: loaded.encode(["hi"])):
        with pytest.raises(ConfigError, match=r"use SVEBM\.respond"):
            refused()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": {"corpus": "ptb", "speaker_marks": False}}, "model.kind: dialogs given for corpus ptb"),
        ({"data": {"corpus": "daily-dialog"}}, "data.speaker-marks: corpus daily-dialog does not say who speaks"),
        ({"model": {"latent": "none"}, "objective": {"mutual_information": 0.0}}, "needs a latent variable"),
        ({"chains": {"per_iteration": 8}}, "chains.per-iteration: chains of dialogs belong to"),
        ({"objective": {"label_weight": 1.0}}, "objective.label-weight: dialogs are learnt without labels"),
        ({"model": {"context_turns": 0}}, "model.context-turns: 0 given"),
    ],
)
def test_what_dialogs_cannot_be(root, changes, message):
    with pytest.raises(ConfigError, match=message):
        validate(dialog_config(root, **changes))
