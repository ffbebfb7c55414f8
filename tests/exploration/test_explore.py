"""The command on tiny runs: sentences with labels, baselines, documents, and what it refuses."""

import json
import shutil

import pytest
import torch
from html_pages import data_of, parsed
from tiny_runs import document_config, tiny_config, write_corpus, write_documents

from svebm_ext import explore
from svebm_ext.commands import run_command
from svebm_ext.data.corpora import load_configured
from svebm_ext.data.corpus import Corpus, Split
from svebm_ext.errors import ConfigError, DataError, ModelFolderError
from svebm_ext.exploration.content import Settings
from svebm_ext.exploration.encoded import encode
from svebm_ext.exploration.gather import best_examples, gather, log_odds_of
from svebm_ext.training.run import train


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sentences")
    model, corpus = train(tiny_config(write_corpus(folder, labelled=True)), folder / "out")
    return folder / "out", model, corpus


def train_tiny(folder, **model):
    objective = {"mutual_information": 0.0}
    config = tiny_config(write_corpus(folder), model=model, objective=objective, training={"max_steps": 2})
    train(config, folder / "out")
    return folder / "out"


def text_of(html):
    return " ".join("".join(parsed(html).text).split())


def test_command_writes_one_page(sentences, capsys):
    run, _, corpus = sentences
    explore.main([str(run), "--samples", "2", "--interpolations", "2"])
    html = (run / "explore.html").read_text(encoding="utf-8")
    text, data = text_of(html), data_of(html)
    splits = (corpus.train, corpus.valid, corpus.test)
    assert [sentence[0] for sentence in data["sentences"]] == [t for split in splits for t in split.texts]
    assert [sentence[4] for sentence in data["sentences"]] == [i for i, s in enumerate(splits) for _ in s.texts]
    assert data["sizes"] == [["train", 192, 192], ["valid", 24, 24], ["test", 24, 24]]
    assert [f["name"] for f in data["fields"]] == ["label"] and "240 texts (192 train, 24 valid, 24 test)." in text
    assert len(data["symbols"]) == 6 and sorted(s["number"] for s in data["symbols"]) == list(range(6))
    for part in (
        "Most certain",
        "Most typical",
        "Generated",
        "Loss terms",
        "Energy of the prior",
        "not been evaluated",
    ):
        assert part in text
    assert html.count('class="walk"') == 2
    said = capsys.readouterr().err
    assert "encoded 240 of 240 sentences (train 192, valid 24, test 24)" in said and "explore.html" in said
    assert not list(run.glob(".*tmp"))


def test_settings_choose_split_size_and_file(sentences, tmp_path):
    run, _, corpus = sentences
    pages = []
    for name in ("a", "b"):
        out = tmp_path / "folder" / f"{name}.html"
        explore.main([str(run), "--out", str(out), "--split", "train", "--max-sentences", "30", "--seed", "4"])
        pages.append(data_of(out.read_text(encoding="utf-8")))
    assert pages[0] == pages[1] and len(pages[0]["sentences"]) == 30
    known = {" ".join(words) for words in corpus.train.sentences}
    assert {sentence[0] for sentence in pages[0]["sentences"]} <= known


def test_what_is_shown_is_what_the_model_says(sentences):
    """Symbols, probabilities, examples, generated and interpolated sentences against the model's own methods."""
    run, model, corpus = sentences
    content = gather(run, model, corpus, Settings("test", samples=3, interpolations=2, seed=1))
    texts = [" ".join(words) for words in corpus.test.sentences]
    probabilities = model.symbol_probabilities(texts)
    assert [s.symbol for s in content.sentences] == probabilities.argmax(-1).tolist()
    assert [s.probability for s in content.sentences] == pytest.approx(probabilities.max(-1).values.tolist(), abs=1e-4)
    assert sum(symbol.n_sentences for symbol in content.symbols) == len(texts)
    assert sum(symbol.share for symbol in content.symbols) == pytest.approx(1.0)
    values = content.fields[0].values
    assert [values[s.labels[0]] for s in content.sentences] == corpus.test.labels["label"]
    z = model.encode(texts)
    density = model.networks.latent.prior.logits(z) + torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)[:, None]
    for symbol in content.symbols:
        k, own = symbol.number, (probabilities.argmax(-1) == symbol.number).nonzero()[:, 0]
        assert len(own) == symbol.n_sentences
        drawn = [text for text, n in symbol.generated for _ in range(n)]
        assert sorted(drawn) == sorted(map(model.to_read, model.generate_words(3, symbol=k, seed=1)))
        assert sorted(text.removesuffix(" ...") for text in drawn) == sorted(model.generate(3, symbol=k, seed=1))
        if len(own):
            assert symbol.certainty == pytest.approx(float(probabilities[own, k].mean()), abs=1e-4)
            assert symbol.certain[0].text == texts[own[probabilities[own, k].argmax()]]
            assert symbol.typical[0].text == texts[own[density[own, k].argmax()]]
            assert sum(count.n for count in symbol.labels["label"]) == len(own)
    shares = [symbol.n_sentences for symbol in content.symbols]
    assert shares == sorted(shares, reverse=True)
    for walk in content.interpolations:
        decoded = [step.text.removesuffix(" ...") for step in walk.steps]
        assert decoded == model.interpolate(walk.start, walk.end, 7)
        assert [step.symbol for step in walk.steps][:: len(walk.steps) - 1] == [
            found.symbol for found in model.classify([walk.start, walk.end])
        ]


def test_log_odds_against_probabilities():
    logits = torch.tensor([[1.0, 2.0, 0.5], [0.0, 60.0, 0.0]], dtype=torch.float64)
    found = log_odds_of(logits)
    torch.testing.assert_close(found[0], torch.logit(logits[0].softmax(-1)))
    assert float(found[1, 1]) == pytest.approx(60.0 - torch.log(torch.tensor(2.0)).item(), rel=1e-6)
    assert torch.isinf(log_odds_of(logits[:, :1])).all()


def test_examples_are_different_sentences(sentences):
    _, model, _ = sentences
    split = Split([["the", "cat"], ["a", "dog"], ["the", "cat"]])
    encoded = encode(model, Corpus("c", Split([]), Split([]), split), Settings())
    assert encoded.first == [0, 1] and encoded.split == [2, 2, 2]
    score = torch.tensor([3.0, 2.0, 4.0])
    assert [e.text for e in best_examples(encoded, score, torch.arange(3), score)] == ["the cat", "a dog"]


def test_documents_have_words_instead_of_sentences(tmp_path):
    config = document_config(write_documents(tmp_path), training={"max_steps": 3})
    train(config, tmp_path / "out")
    explore.main([str(tmp_path / "out"), "--out", str(tmp_path / "page.html")])
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    text = text_of(html)
    assert "Words of the generator" in text and "Most certain" in text
    assert "Generated" not in text.replace("Generated: z", "") and "a bag of words has no order" in text
    assert {s["name"] for s in data_of(html)["symbols"]} == {"sea", "kitchen", "music"}


@pytest.mark.parametrize("latent", ["gaussian", "deterministic", "categorical"])
def test_models_without_symbols_have_the_rest(tmp_path, latent):
    run = train_tiny(tmp_path, latent=latent, n_variables=2, n_classes=3)
    explore.main([str(run)])
    html = (run / "explore.html").read_text(encoding="utf-8")
    text, data = text_of(html), data_of(html)
    assert f"the {latent} latent family has no symbol" in text
    assert data["symbols"] == [] and {sentence[1] for sentence in data["sentences"]} == {-1}
    assert html.count('class="walk"') == 6 and "Loss terms" in text
    has_prior = latent != "deterministic"
    assert (len(data["views"][0]["prior"]) == 500) is has_prior
    assert ("an autoencoder has no prior" in text) is not has_prior


def test_models_without_a_latent_space_are_refused(tmp_path):
    run = train_tiny(tmp_path, latent="none")
    with pytest.raises(ConfigError, match="language model without latent variables"):
        explore.main([str(run)])
    assert not (run / "explore.html").exists()


def test_points_are_refused(sentences, tmp_path):
    description = json.loads((sentences[0] / "config.json").read_text())
    description["config"]["model"]["kind"] = "points"
    (tmp_path / "config.json").write_text(json.dumps(description))
    with pytest.raises(ConfigError, match=r"figure2\.png"):
        explore.main([str(tmp_path)])


def test_mistakes_are_named(sentences, tmp_path, capsys):
    run = str(sentences[0])
    with pytest.raises(ConfigError, match="RUN: missing"):
        explore.main([])
    with pytest.raises(ModelFolderError, match="no such run folder"):
        explore.main([str(tmp_path / "nowhere")])
    with pytest.raises(ConfigError, match="is a folder"):
        explore.main([run, "--out", str(tmp_path)])
    with pytest.raises(ConfigError, match="max-sentences: -1"):
        explore.main([run, "--max-sentences", "-1"])
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as stopped:
        run_command(explore.main, [run, "--out", str(tmp_path / "file" / "page.html")])
    assert stopped.value.code == 2 and "cannot be written" in capsys.readouterr().err


def test_a_split_without_sentences_is_named(sentences):
    run, model, corpus = sentences
    with pytest.raises(DataError, match="valid split has no sentence"):
        gather(run, model, Corpus("c", corpus.train, Split([[]]), corpus.test), Settings(split="valid"))


def test_measures_and_warnings_of_an_evaluated_run(sentences, tmp_path):
    model = sentences[1]
    document = {"nll": 12.5, "bleu": None, "homogeneity": {"label": 0.25}, "symbols_used": 1200, "rppl": 10470.4,
                "about": {"commit": "abc", "seed": 0, "warnings": ["few samples"]}}  # fmt: skip
    (tmp_path / "metrics.json").write_text(json.dumps(document))
    content = gather(tmp_path, model, load_configured(model.config.data), Settings(interpolations=0, samples=0))
    assert [(m.name, m.value) for m in content.measures] == [
        ("nll", "12.5"), ("symbols used", "1,200"), ("homogeneity, label", "0.25"), ("rppl", "10,470"),
    ]  # fmt: skip
    assert content.warnings == ["measured by abc, seed 0", "few samples"]
    assert content.reasons["curves"] == "the folder has no metrics.jsonl"
    assert content.interpolations == [] and all(symbol.generated == [] for symbol in content.symbols)


def renamed(run, folder, **files):
    """A copy of a run whose configuration names other files."""
    copy = shutil.copytree(run, folder / "copy", ignore=shutil.ignore_patterns("*.html"))
    description = json.loads((copy / "config.json").read_text())
    description["config"]["data"].update({name: str(path) for name, path in files.items()})
    (copy / "config.json").write_text(json.dumps(description))
    return copy


def test_a_file_that_is_not_the_runs_is_not_shown_unasked(sentences, tmp_path):
    """A folder from anyone may name any file of whoever looks at it."""
    run, _, _ = sentences
    secret = tmp_path / "secret.tsv"
    secret.write_text("".join(f"sees\tthe old man sees my secret {i}\n" for i in range(200)))
    for files in ({"train": secret}, {"test": secret}, {"valid": secret}, {"train": secret, "test": secret}):
        copy = renamed(run, tmp_path, **files)
        page = copy / "explore.html"
        with pytest.raises(ConfigError, match=r"config\.json names .*, whose texts are not known to be those"):
            explore.main([str(copy)])
        other = [f"--data.train={secret}"] if "train" not in files or len(files) > 1 else ["--seed", "1"]
        with pytest.raises(ConfigError, match="give --data"):
            explore.main([str(copy), *other])
        assert not page.exists()
        asked = {"train": secret} | files
        words = [word for name, path in asked.items() for word in (f"--data.{name}", str(path))]
        explore.main([str(copy), *words, "--samples", "1", "--interpolations", "0"])
        assert "secret" in page.read_text(encoding="utf-8")
        shutil.rmtree(copy)


def test_a_folder_that_does_not_tell_its_texts_has_them_asked_for(sentences, tmp_path):
    copy = renamed(sentences[0], tmp_path)
    description = json.loads((copy / "config.json").read_text())
    file = description["config"]["data"]["train"]
    assert len(description.pop("texts_sha256")) == 64
    (copy / "config.json").write_text(json.dumps(description))
    with pytest.raises(ConfigError, match=f"give --data.train {file}"):
        explore.main([str(copy)])
    explore.main([str(copy), "--data.train", file, "--samples", "1", "--interpolations", "0"])
    assert (copy / "explore.html").exists()
