"""A run that begins with the networks of another one: what is taken over, what is new, and what is refused."""

import random

import pytest
import torch
from tiny_runs import COMMON, TOPICS, tiny_config, write_corpus

from svebm_ext import train as command
from svebm_ext.config import validate
from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.models.svebm import SVEBM
from svebm_ext.training.continuing import with_networks_of
from svebm_ext.training.run import TextRun, read_run_config, train

SHORT = ["--training.max-steps", "4", "--training.validate-every", "4", "--training.prior-steps", "2", "--no-evaluate"]
SMALL = ["--model.latent-dim", "4", "--model.embedding-dim", "12", "--model.encoder-hidden", "10",
         "--model.prior-hidden", "8", "--model.decoder-hidden", "12", "--chains.n-chains", "20",
         "--training.batch-size", "16"]  # fmt: skip


@pytest.fixture(scope="module")
def first(tmp_path_factory):
    """A run without labels, its texts, and labels of a few of them in a file of their own, of two classes."""
    folder, rng = tmp_path_factory.mktemp("first"), random.Random(2)
    topics = [topic for topic in TOPICS for _ in range(40)]
    rows = [(topic, " ".join(rng.sample(TOPICS[topic], 3) + rng.sample(COMMON, 2))) for topic in topics]
    rng.shuffle(rows)
    (folder / "texts.txt").write_text("".join(f"{text}\n" for _, text in rows))
    labelled = [(topic, text) for topic, text in rows if topic != "music"][:12]
    (folder / "labels.tsv").write_text("label\ttext\n" + "".join(f"{topic}\t{text}\n" for topic, text in labelled))
    out = folder / "run"
    command.main(["lines", str(folder / "texts.txt"), "--model.n-categories", "3", "--out", str(out), *SMALL, *SHORT])
    return folder, out


def asked(first, *more):
    folder, out = first
    return [
        "lines",
        str(folder / "texts.txt"),
        "--data.labelled",
        str(folder / "labels.tsv"),
        "--from",
        str(out),
        *more,
    ]


def test_words_encoder_and_generator_are_those_of_the_run_and_prior_and_classes_are_new(first, tmp_path):
    config, options = command.parse_arguments(asked(first, *SHORT))
    assert options.from_run == first[1] and config.preset == "lines-labelled" and config.objective.label_weight == 1.0
    run, start = TextRun(config, tmp_path / "out"), SVEBM.from_pretrained(first[1])
    run.start = start
    run.prepare()
    before, now = start.networks.state_dict(), run.model.networks.state_dict()
    assert before.keys() == now.keys()
    same = {name for name in now if now[name].shape == before[name].shape and torch.equal(now[name], before[name])}
    assert {name for name in now if not name.startswith(("latent.prior.", "guide."))} <= same
    assert not {name for name in same if name.startswith(("latent.prior.linears.0.weight", "guide.scores"))}
    assert run.model.vocabulary.tokens == start.vocabulary.tokens and run.model.label_names == ["kitchen", "sea"]
    assert now["latent.prior.linears.1.bias"].shape == (2,) and before["latent.prior.linears.1.bias"].shape == (3,)
    texts = ["wave salt boat", "pan bread"]
    torch.testing.assert_close(run.model.eval().encode(texts), start.encode(texts))


def test_a_run_is_trained_from_another_and_resumed(first, tmp_path, capsys):
    out = tmp_path / "out"
    command.main(asked(first, "--out", str(out), *SHORT))
    said = capsys.readouterr().err
    assert "words, encoder and generator" in said and "may have learnt from texts held out here" in said
    model = SVEBM.from_pretrained(out)
    assert model.label_names == ["kitchen", "sea"] and model.config.model.latent_dim == 4
    command.main(["--resume", str(out), "--training.max-steps", "8", "--no-evaluate"])
    assert SVEBM.from_pretrained(out).label_names == ["kitchen", "sea"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--model.latent-dim", "8"], r"--model\.latent-dim: 8 given with --from-run, but the networks of .* have 4"),
        (["--model.cell", "lstm"], r"--model\.cell: lstm given"),
        (["--data.max-tokens", "30"], r"--data\.max-tokens: 30 given"),
        (["--data.no-lowercase"], r"--data\.lowercase: False given"),
        (["--data.tokenization", "bpe"], r"--data\.tokenization: bpe given"),
    ],
)
def test_options_of_other_networks_are_refused(first, tmp_path, more, message):
    with pytest.raises(ConfigError, match=message):
        command.main(asked(first, "--out", str(tmp_path / "out"), *SHORT, *more))
    assert not (tmp_path / "out").exists()


def test_runs_that_cannot_be_begun_with_are_refused(first, tmp_path):
    folder, run = first
    with pytest.raises(ConfigError, match="--from-run: given for the corpus assistant"):
        command.parse_arguments(["assistant", "--from", str(run)])
    with pytest.raises(ConfigError, match="given with --resume"):
        command.parse_arguments(["--resume", str(run), f"--from={run}"])
    with pytest.raises(ModelFolderError, match="no such run folder"):
        command.parse_arguments(["lines", str(folder / "texts.txt"), "--from", str(tmp_path / "nowhere")])
    train(tiny_config(write_corpus(tmp_path)), tmp_path / "plain")
    with pytest.raises(ConfigError, match="has no features of words"):
        command.parse_arguments(["lines", str(folder / "texts.txt"), "--from", str(tmp_path / "plain")])
    config = tiny_config(write_corpus(tmp_path), model={"latent": "gaussian"}, objective={"mutual_information": 0.0})
    train(config, tmp_path / "gaussian")
    with pytest.raises(ConfigError, match="is a model of sentences with the gaussian latent family"):
        command.parse_arguments(["lines", str(folder / "texts.txt"), "--from", str(tmp_path / "gaussian")])


def test_any_model_of_sentences_with_an_energy_can_be_begun_with(tmp_path):
    """From Python, without features of words and without labels: other texts, another K."""
    text = write_corpus(tmp_path)
    train(tiny_config(text), tmp_path / "first")
    before = read_run_config(tmp_path / "first")
    config = with_networks_of(tiny_config(text, model={"n_categories": 9}), before, tmp_path / "first")
    validate(config)
    model, _ = train(config, tmp_path / "second", start=tmp_path / "first")
    assert (
        model.networks.latent.n_categories == 9
        and model.vocabulary.tokens == SVEBM.from_pretrained(tmp_path / "first").vocabulary.tokens
    )
