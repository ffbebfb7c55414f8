"""Presets documents and documents-labelled: long texts of one's own from the command to the report."""

import json
import random
import re

import pytest
from tiny_runs import COMMON, TOPICS, write_documents

from svebm_ext import classify, generate, group
from svebm_ext import train as train_command
from svebm_ext.commands import run_command
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.errors import ConfigError
from svebm_ext.presets import preset
from svebm_ext.train import parse_arguments
from svebm_ext.training.feeds.labels import training_label

SMALL = [
    *("--model.document-hidden", "16", "--model.latent-dim", "4", "--chains.n-chains", "100"),
    *("--training.max-steps", "60", "--training.validate-every", "30", "--training.batch-size", "20"),
    *("--evaluation.log-z-chains", "64", "--evaluation.log-z-temperatures", "20"),
    *("--evaluation.importance-samples", "5", "--training.device", "cpu"),
]


def run(folder, *arguments):
    train_command.main([*arguments, *SMALL, "--out", str(folder)])
    return json.loads((folder / "metrics.json").read_text()) if (folder / "metrics.json").exists() else None


def test_topics_of_documents_beside_the_plain_way(tmp_path, capsys):
    corpus = write_documents(tmp_path, n=300)
    measured = run(tmp_path / "run", "documents", str(corpus), "--model.n-categories", "3")
    printed = capsys.readouterr().out
    ours = measured["adjusted_mutual_information"]["label"]
    assert ours > 0.9 and measured["adjusted_mutual_information_tfidf"]["label"] is not None
    assert f"3 topics in 30 test texts; against your labels AMI {ours:.2f} (TF-IDF + k-means: " in printed
    assert "topic 0, " in printed and "Sentences of each" not in (tmp_path / "run" / "report.md").read_text()
    texts = tmp_path / "new.txt"
    texts.write_text("boat wave salt\npan bread salt oven\n")
    classify.main([str(tmp_path / "run"), "--file", str(texts)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].split("\t")[0] != lines[1].split("\t")[0]
    texts.write_text("boat wave salt\nboat salt zxcv qwrt\nzxcv qwrt\nthe of and\n")
    classify.main([str(tmp_path / "run"), "--file", str(texts), "--novelty", "--json"])
    known, half, strange, empty = (json.loads(line)["novelty"] for line in capsys.readouterr().out.splitlines())
    assert max(empty, known, half) < strange  # of unknown words each is one of the vocabulary
    generate.main([str(tmp_path / "run"), "-n", "1"])
    assert len(capsys.readouterr().out.split()) > 5


def test_classes_of_documents_from_a_few_labels(tmp_path, capsys):
    corpus = write_documents(tmp_path, n=300)
    few = tmp_path / "few.tsv"
    few.write_text("".join(f"{line}\n" for line in corpus.read_text().splitlines()[:24]))
    plain = tmp_path / "texts.txt"
    plain.write_text("".join(line.split("\t", 1)[1] + "\n" for line in corpus.read_text().splitlines()[24:200]))
    test = tmp_path / "test.tsv"
    test.write_text("".join(f"{line}\n" for line in corpus.read_text().splitlines()[200:]))
    measured = run(tmp_path / "run", "documents", str(plain), "--data.labelled", str(few), "--data.test", str(test))
    assert measured["accuracy"] > 0.9
    assert "labelled test texts (TF-IDF + logistic regression: " in capsys.readouterr().out
    measured = run(tmp_path / "unmeasured", "documents", str(plain), "--data.labelled", str(few))
    classes, held_out = measured["about"]["summary"]
    assert "accuracy" not in measured and re.fullmatch(r"\d classes in [\d,]+ (test|training) texts\.", classes)
    assert re.fullmatch(r"\d+% of the labels are told rightly by the words of the other labelled .*", held_out)


def test_the_presets_are_bags_of_words_of_ones_own_text(tmp_path):
    (tmp_path / "a.txt").write_text("some words\n" * 3)
    config, _ = parse_arguments(["documents", str(tmp_path / "a.txt")])
    assert (config.model.name, config.data.corpus, config.model.n_categories) == ("documents-bow", "lines", 0)
    config, _ = parse_arguments(["documents", str(tmp_path / "a.txt"), "--data.labelled", str(tmp_path / "a.txt")])
    assert config.preset == "documents-labelled" and config.objective.label_weight > 0
    assert preset("documents").objective.label_weight == 0
    with pytest.raises(ConfigError, match="bpe is for sequences"):
        parse_arguments(["documents", str(tmp_path / "a.txt"), "--data.tokenization", "bpe"])


@pytest.mark.parametrize("name", ["documents", "documents-labelled"])
def test_a_file_is_needed(name, capsys):
    with pytest.raises(SystemExit):
        run_command(train_command.main, [name])
    assert "needs a file of your own text" in capsys.readouterr().err


def test_documents_of_thousands_of_words_end_and_tell_topics(tmp_path, capsys):
    """Their bounds have tens of thousands of nats, before which F and z run away."""
    rng = random.Random(0)
    lines = []
    for number in range(90):
        topic = list(TOPICS)[number % 3]
        n_words = 20 if number % 9 else 6000
        words = [rng.choice(TOPICS[topic] if rng.random() < 0.3 else COMMON) for _ in range(n_words)]
        lines.append(f"{topic}\t{' '.join(words)}")
    (tmp_path / "long.tsv").write_text("\n".join(lines) + "\n")
    measured = run(tmp_path / "run", "documents", str(tmp_path / "long.tsv"), "--model.n-categories", "3")
    printed = "".join(capsys.readouterr())
    assert "training documents are longer, and count as 200 words each" in printed
    assert "sentences of at most" not in printed and "diverged" not in printed
    assert measured["nll"] < 1000 and measured["symbols_used"] == 3


def test_groups_of_documents(tmp_path, capsys):
    corpus = write_documents(tmp_path, n=120)
    run(tmp_path / "run", "documents", str(corpus), "--model.n-categories", "3", "--no-evaluate")
    group.main([str(tmp_path / "run"), "--n-groups", "2"])
    assert "2 groups of 3 symbols" in capsys.readouterr().out


def test_the_preset_without_labels_is_one_of_documents(tmp_path):
    config = preset("documents-labelled")
    corpus = Corpus("lines", *(Split([["a", "word"]]) for _ in range(3)))
    with pytest.raises(ConfigError, match="or take preset documents, which needs none"):
        training_label(corpus, config)
    with pytest.raises(ConfigError, match="or take preset lines, which needs none"):
        training_label(corpus, preset("lines-labelled"))
