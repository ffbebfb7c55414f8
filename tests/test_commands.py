"""The commands as a user types them: train, evaluate, generate, classify, resume, and their errors."""

import json
import subprocess
import sys

import pytest
import torch
from tiny_runs import write_corpus

from svebm_ext import classify, evaluate, generate, train
from svebm_ext.commands import run_command
from svebm_ext.data.corpora import load_configured
from svebm_ext.errors import ConfigError
from svebm_ext.evaluation.proposal import PROPOSAL_SCALES
from svebm_ext.evaluation.report import CORE_METRICS, METRIC_DOCUMENTATION
from svebm_ext.models.svebm import SVEBM

TINY = [
    "--model.latent-dim", "3",
    "--model.n-categories", "5",
    "--model.prior-hidden", "8",
    "--model.embedding-dim", "8",
    "--model.encoder-hidden", "8",
    "--model.decoder-hidden", "8",
    "--chains.n-chains", "20",
    "--chains.n-steps", "3",
    "--training.batch-size", "8",
    "--training.checkpoint-every", "5",
    "--training.validate-every", "5",
    "--training.sample-every", "0",
    "--training.device", "cpu",
    "--evaluation.importance-samples", "4",
    "--evaluation.frequency-samples", "20",
    "--evaluation.log-z-chains", "32",
    "--evaluation.log-z-temperatures", "8",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands")
    corpus = write_corpus(folder, labelled=True)
    arguments = ["lines", "--data.train", str(corpus), "--out", str(folder / "out"), "--training.max-steps", "10"]
    train.main([*arguments, *TINY])
    return folder / "out"


def test_training_leaves_a_complete_run_folder(run):
    expected = {"config.json", "model.safetensors", "vocab.json", "metrics.json", "MODEL_CARD.md", "metrics.jsonl",
                "env.json", "report.md", "checkpoints", "plots"}  # fmt: skip
    assert expected <= {path.name for path in run.iterdir()}
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"last.safetensors", "best.safetensors"}
    metrics = json.loads((run / "metrics.json").read_text())
    assert set(CORE_METRICS) <= set(metrics) <= set(METRIC_DOCUMENTATION) | {"null_reasons", "about"}
    for key in ("nll", "ppl", "elbo", "log_z_lower", "log_z_upper", "bleu", "wkl", "mi", "kl"):
        assert isinstance(metrics[key], float), key
    assert isinstance(metrics["homogeneity"]["label"], float)
    assert metrics["nll"] <= -metrics["elbo"] + 1e-6
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(steps) and steps[-1] == 10


def test_evaluate_prints_json_that_it_also_writes(run, capsys):
    evaluate.main([str(run), "--json", "--evaluation.max-sentences", "10"])
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((run / "metrics.json").read_text())
    assert printed["about"]["sample_counts"]["NLL sentences"] == 10
    evaluate.main([str(run)])
    assert "nats/sentence" in capsys.readouterr().out


def test_evaluation_widens_the_samples_of_the_likelihood_as_told(run, capsys):
    """With a fixed factor: the NLL is that of importance samples with it, ELBO and its parts are those of q itself."""

    def evaluated(*options):
        evaluate.main([str(run), "--json", "--evaluation.max-sentences", "10", *options])
        return json.loads(capsys.readouterr().out)

    narrow, wide, chosen = (evaluated("--evaluation.proposal-scale", scale) for scale in ("1", "1.4", "0"))
    assert (narrow["nll_proposal_scale"], wide["nll_proposal_scale"]) == (1.0, 1.4)
    assert chosen["nll_proposal_scale"] in PROPOSAL_SCALES
    for key in ("elbo", "kl", "reconstruction_nll", "nll_as_published"):
        assert wide[key] == narrow[key], key
    model = SVEBM.from_pretrained(run)
    sentences = load_configured(model.config.data).test.sentences
    order = torch.randperm(len(sentences), generator=torch.Generator().manual_seed(0))[:10]
    samples = model.config.evaluation.importance_samples
    nll = model.nll(
        [sentences[i] for i in order.tolist()], n_samples=samples, log_z=wide["log_z_upper"], proposal_scale=1.4
    )
    # Noise is addressed by the row in the test split there, by the place in the list here: equal on average.
    assert float(nll.mean()) == pytest.approx(wide["nll"], abs=1.0)
    assert wide["nll"] != narrow["nll"]


def test_generate_prints_n_sentences(run, capsys):
    generate.main([str(run), "-n", "4", "--seed", "3"])
    first = capsys.readouterr().out
    assert len(first.splitlines()) == 4
    generate.main([str(run), "-n", "4", "--seed", "3"])
    assert capsys.readouterr().out == first
    generate.main([str(run), "-n", "2", "--symbol", "4", "--temperature", "0.9"])
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_classify_reads_a_file(run, tmp_path, capsys):
    texts = tmp_path / "texts.txt"
    texts.write_text("the cat sees it\n\nnobody likes trees\n")
    classify.main([str(run), "--file", str(texts), "--json"])
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [r["text"] for r in records] == ["the cat sees it", "nobody likes trees"]
    assert all(0 <= r["symbol"] < 5 and 0.2 <= r["probability"] <= 1 for r in records)


def test_resumed_command_goes_on_to_more_steps(run, capsys):
    train.main(["--resume", str(run), "--training.max-steps", "12", "--no-evaluate"])
    steps = [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert steps[-1] == 12


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nopreset"], "no preset 'nopreset'"),
        (["lines"], "data.train"),
        (["--preset", "ptb"], "first word"),
        (["--data.train", "mine.txt"], "preset lines"),
        (["ptb", "--data.root", "/nowhere/at/all"], "/nowhere/at/all"),
        (["--chains.step-size", "3"], "step-size"),
        (["--training.device", "cuda:99"], "device"),
        (["--resume", "/nowhere"], "/nowhere"),
        (["ptb", "--resume", "/nowhere"], "--resume"),
    ],
)
def test_mistakes_are_one_line_before_any_work(arguments, message, capsys, tmp_path):
    with pytest.raises(SystemExit) as stopped:
        run_command(
            train.main, [*arguments, "--out", str(tmp_path / "out")] if "--resume" not in arguments else arguments
        )
    assert stopped.value.code == 2
    error = capsys.readouterr().err
    assert message in error and error.startswith("error: ") and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_commands_without_a_run_say_what_they_need():
    for command in (evaluate, generate, classify):
        with pytest.raises(ConfigError, match="RUN: missing"):
            command.main([])


def test_help_shows_presets_defaults_and_meaning(capsys):
    with pytest.raises(SystemExit):
        train.main(["--help"])
    text = " ".join(capsys.readouterr().out.split())
    for part in ("ptb-vae", "--chains.step-size", "0.125", "--objective.mutual-information", "lambda"):
        assert part in text


def test_classify_from_standard_input_in_a_process_of_its_own(run):
    command = [sys.executable, "-W", "ignore", "-m", "svebm_ext.classify", str(run)]
    result = subprocess.run(command, input="a dog paints the moon\n", capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    label, probability, text = result.stdout.rstrip("\n").split("\t")
    assert text == "a dog paints the moon" and label in map(str, range(5)) and 0 < float(probability) <= 1
    result = subprocess.run(command, input="", capture_output=True, text=True, timeout=120)
    assert result.returncode == 2 and "no text" in result.stderr


def test_a_classifier_from_a_few_labels_of_your_own(tmp_path, capsys):
    """train lines --data.train FILE --data.labelled FILE, then classify."""
    from tiny_runs import TOPICS, write_documents

    lines = [line.partition("\t")[2] for line in write_documents(tmp_path, n=200).read_text().splitlines()]
    (tmp_path / "text.txt").write_text("\n".join(lines) + "\n")
    labelled = write_documents(tmp_path, n=30, seed=1)
    arguments = ["lines", "--data.train", str(tmp_path / "text.txt"), "--data.labelled", str(labelled)]
    small = ["--model.document-hidden", "8", "--model.latent-dim", "3", "--model.prior-hidden", "8",
             "--chains.n-chains", "300", "--chains.n-steps", "3", "--training.max-steps", "4",
             "--training.device", "cpu", "--evaluation.log-z-chains", "32", "--evaluation.log-z-temperatures",
             "8", "--evaluation.importance-samples", "4"]  # fmt: skip
    train.main([*arguments, *small, "--out", str(tmp_path / "out")])
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert 0.0 <= metrics["accuracy"] <= 1.0
    (tmp_path / "new.txt").write_text("\n".join(lines[:3]) + "\n")
    capsys.readouterr()
    classify.main([str(tmp_path / "out"), "--file", str(tmp_path / "new.txt")])
    found = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [text for _, _, text in found] == lines[:3] and {label for label, _, _ in found} <= set(TOPICS)
