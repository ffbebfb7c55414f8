"""The commands as a user types them: train, evaluate, generate, classify, resume, and their errors."""

import gzip
import importlib
import io
import json
import re
import shutil
import subprocess
import sys

import pytest
import torch
from tiny_runs import write_corpus

from svebm_ext import classify, evaluate, generate, train
from svebm_ext.commands import run_command
from svebm_ext.data.corpora import load_configured
from svebm_ext.errors import ConfigError, DataError, ModelFolderError
from svebm_ext.measures.documentation import CORE_METRICS, METRIC_DOCUMENTATION
from svebm_ext.models.proposal import PROPOSAL_SCALES
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
    checkpoints = {"last.safetensors", "best.safetensors", "fitted.safetensors"}  # the last of the second stage
    assert {path.name for path in (run / "checkpoints").iterdir()} == checkpoints
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


def test_a_symbols_typical_words_stand_behind_a_text(run, tmp_path, capsys, monkeypatch):
    """On a terminal, or if asked; programs get three columns. JSON has all words of each symbol."""
    texts = tmp_path / "texts.txt"
    texts.write_text("the cat sees it\nnobody likes trees\n")
    topics = json.loads((run / "metrics.json").read_text())["about"]["topics"]
    words = {topic["symbol"]: topic["words"] for topic in topics}
    records = [json.loads(line) for line in answers(run, capsys, texts, "--json")[0]]
    assert [record["words"] for record in records] == [words.get(record["symbol"], []) for record in records]
    plain = answers(run, capsys, texts)[0]
    typical = [words.get(int(line.split("\t")[0]), [])[:3] for line in plain]
    expected = [line + ("\t" + ", ".join(own) if own else "") for line, own in zip(plain, typical, strict=True)]
    assert answers(run, capsys, texts, "--words", "True")[0] == expected != plain
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert answers(run, capsys, texts)[0] == expected
    assert answers(run, capsys, texts, "--words", "False")[0] == plain


def test_classify_says_why_words_are_missing(run, tmp_path, capsys):
    shutil.copytree(run, tmp_path / "copy")
    (tmp_path / "texts.txt").write_text("the cat sees it\n")
    (tmp_path / "copy" / "metrics.json").write_text("{")
    lines, said = answers(tmp_path / "copy", capsys, tmp_path / "texts.txt", "--words", "True")
    assert len(lines) == 1 and lines[0].count("\t") == 2 and said.startswith("note: without words of the symbols: ")
    (tmp_path / "copy" / "metrics.json").unlink()
    for option in (["--words", "True"], ["--json"]):
        shown, said = answers(tmp_path / "copy", capsys, tmp_path / "texts.txt", *option)
        assert len(shown) == 1 and (shown == lines) == (option != ["--json"])
        assert said.startswith("note: without words of the symbols: ")
        assert said.rstrip().endswith(f"was not evaluated; python -m svebm_ext.evaluate {tmp_path / 'copy'} tells them")
    assert answers(tmp_path / "copy", capsys, tmp_path / "texts.txt") == (lines, "")


def test_sentences_that_the_longest_length_has_cut_are_marked_for_a_person(run, capsys, monkeypatch):
    from svebm_ext.models.svebm import SVEBM

    model = SVEBM.from_pretrained(run)
    made = model.generate_words(40, seed=3)
    cut = [len(words) == model.max_words for words in made]
    assert any(cut)
    generate.main([str(run), "-n", "40", "--seed", "3"])
    plain = capsys.readouterr().out.splitlines()
    assert plain == model.generate(40, seed=3) == [model.written(words) for words in made]
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    generate.main([str(run), "-n", "40", "--seed", "3"])
    marked = capsys.readouterr().out.splitlines()
    assert marked == [text + " ..." * is_cut for text, is_cut in zip(plain, cut, strict=True)]


def test_classify_takes_the_file_after_the_folder(run, tmp_path, capsys, monkeypatch):
    texts = tmp_path / "texts.txt"
    texts.write_text("the cat sees it\n")
    expected = answers(run, capsys, "--file", texts)
    assert answers(run, capsys, texts) == expected
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(texts.read_bytes())))
    assert answers(run, capsys, "-")[0] == expected[0]


def answers(run, capsys, *arguments):
    """Standard output by lines, and standard error, of classify."""
    classify.main([str(run), *map(str, arguments)])
    printed = capsys.readouterr()
    return printed.out.splitlines(), printed.err


def test_the_nth_answer_belongs_to_the_nth_line(run, tmp_path, capsys):
    texts = tmp_path / "texts.txt"
    texts.write_text("the cat\u2028sees it\n\na dog\x0cpaints\x85trees\nnobody\u2029likes\x0bit\n", encoding="utf-8")
    lines, said = answers(run, capsys, "--file", texts)
    assert [line.split("\t")[2] for line in lines] == ["the cat sees it", "a dog paints trees", "nobody likes it"]
    assert said == f"{texts}: 1 empty line left out; --json tells the line of each answer\n"
    records = [json.loads(line) for line in answers(run, capsys, "--file", texts, "--json")[0]]
    assert [record["line"] for record in records] == [1, 3, 4]
    assert records[0]["text"] == "the cat\u2028sees it"


def test_classify_reads_as_train_does(run, tmp_path, capsys):
    """A mark, gzip, another encoding and columns change nothing; labels in a file are not classified."""
    plain = tmp_path / "plain.txt"
    plain.write_text("the cat sees it\nnobody likes trees\n")
    expected = answers(run, capsys, "--file", plain)
    assert expected[1] == ""
    for name, content in (
        ("mark.txt", b"\xef\xbb\xbf" + plain.read_bytes()),
        ("gzipped", gzip.compress(plain.read_bytes())),
        ("wide.txt", plain.read_text().encode("utf-16")),
        ("labelled.tsv", b"a\tthe cat sees it\nb\tnobody likes trees\n"),
        ("labelled.csv", b"id,text\nx,the cat sees it\ny,nobody likes trees\n"),
        ("labelled.jsonl", b'{"text": "the cat sees it", "n": 1}\n{"text": "nobody likes trees"}\n'),
        ("returns.txt", b"the cat sees it\rnobody likes trees\r"),
    ):
        (tmp_path / name).write_bytes(content)
        assert answers(run, capsys, "--file", tmp_path / name)[0] == expected[0], name
    said = answers(run, capsys, "--file", tmp_path / "labelled.tsv")[1]
    assert said == f"{tmp_path / 'labelled.tsv'}: text from column 2; other columns: number 1\n"
    (tmp_path / "two.csv").write_text("title,body,n\na b,the cat sees it,1\nc d,nobody likes trees,2\n")
    assert answers(run, capsys, "--file", tmp_path / "two.csv", "--text-column", "body")[0] == expected[0]
    with pytest.raises(DataError, match=r"plain\.txt: has no columns, but --text-column 'body' is asked for"):
        classify.main([str(run), "--file", str(plain), "--text-column", "body"])


@pytest.mark.parametrize(
    ("shell", "status", "expected"),
    [
        ("printf 'caf\\303\\251\\n' | PYTHONIOENCODING=ascii {command}", 0, "\tcaf\\xe9\n"),
        ("{command} <&-", 2, "error: standard input: closed"),
        ("printf 'one\\n\\007two\\n' | {command}", 2, "error: standard input:2: control character U+0007 in column 1"),
        ("printf '' | {command}", 2, "error: standard input: no text; expected one text a line"),
    ],
)
def test_classify_in_a_shell(run, shell, status, expected):
    command = f"{sys.executable} -W ignore -m svebm_ext.classify {run}"
    done = subprocess.run(["sh", "-c", shell.format(command=command)], capture_output=True, text=True, timeout=120)
    assert done.returncode == status and expected in (done.stderr if status else done.stdout), done
    assert "Traceback" not in done.stderr and (status == 0 or done.stderr.count("\n") == 1)


def test_a_file_after_the_preset_is_the_training_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine.csv"
    mine.write_text("text\n")
    (tmp_path / "plain").write_text("one\n")
    for words in (["lines", "mine.csv"], ["mine.csv"], ["./mine.csv"], ["lines", "--data.train", "mine.csv"]):
        config, _ = train.parse_arguments([*words, "--seed", "3"])
        assert (config.preset, config.data.train, config.seed) == ("lines", mine, 3)
    assert train.parse_arguments(["plain"])[0].data.train == tmp_path / "plain"
    assert train.parse_arguments(["gone.jsonl.gz"])[0].data.train == tmp_path / "gone.jsonl.gz"
    assert str(train.parse_arguments(["lines", "-"])[0].data.train) == "-"
    assert str(train.parse_arguments(["-"])[0].data.train) == "-"
    labelled = ["mine.csv", "--data.labelled", "labelled.tsv"]
    assert train.parse_arguments(labelled)[0].preset == "lines-labelled"
    assert train.parse_arguments(labelled)[0].data.labelled == tmp_path / "labelled.tsv"
    for words, message in (
        (["lines", "mine.csv", "other"], "'other': expected a preset, files and options"),
        (["mine.csv", "--data.train", "other.csv"], "other.csv given, and mine.csv after the preset"),
        (["ptb", "mine.csv"], "data.train: files of your own go with preset lines or documents, not with ptb"),
        (["ptb", "--data.text-column", "a"], "data.text-column: files of your own go with preset lines or documents"),
        (["nopreset"], "no preset 'nopreset'"),
    ):
        with pytest.raises(ConfigError, match=re.escape(message)):
            train.parse_arguments(words)


def test_paths_hold_from_every_folder(tmp_path, monkeypatch):
    """A run whose text was named by a relative path is resumed and evaluated from another folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    train.main(["lines", "corpus.txt", "--out=~/out", "--training.max-steps", "2", "--no-evaluate", *TINY])
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    train.main(["--resume=~/out", "--training.max-steps", "3", "--no-evaluate"])
    config, _ = train.parse_arguments(["~/corpus.txt", "--data.test", "~/a.txt", "--data.root=~/data"])
    assert (config.data.train, config.data.test) == (tmp_path / "corpus.txt", tmp_path / "a.txt")
    assert config.data.root == tmp_path / "data"
    assert list(tmp_path.glob("**/~")) == []


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
    for part in ("ptb-vae", "--chains.step-size", "0.02", "--objective.mutual-information", "lambda"):
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
    test = write_documents(tmp_path, n=60, seed=2)  # few labels are all learnt from: none is held out to test
    arguments = ["lines", "--data.train", str(tmp_path / "text.txt"), "--data.labelled", str(labelled),
                 "--data.test", str(test)]  # fmt: skip
    small = ["--model.latent-dim", "3", "--model.prior-hidden", "8", "--evaluation.frequency-samples", "50",
             "--chains.n-chains", "300", "--training.max-steps", "4", "--training.prior-steps", "4",
             "--training.device", "cpu", "--evaluation.log-z-chains", "32", "--evaluation.log-z-temperatures",
             "8", "--evaluation.importance-samples", "4"]  # fmt: skip
    train.main([*arguments, *small, "--out", str(tmp_path / "out")])
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["accuracy"] > 0.9  # the words tell, whatever four iterations have learnt; chance: a third
    assert metrics["accuracy_interval"][0] < metrics["accuracy"] <= metrics["accuracy_interval"][1] <= 1.0
    (tmp_path / "new.txt").write_text("\n".join(lines[:3]) + "\n")
    capsys.readouterr()
    classify.main([str(tmp_path / "out"), "--file", str(tmp_path / "new.txt")])
    found = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [text for _, _, text in found] == lines[:3] and {label for label, _, _ in found} <= set(TOPICS)
    words = {topic["label"]: ", ".join(topic["words"][:3]) for topic in metrics["about"]["topics"]}
    asked, _ = answers(tmp_path / "out", capsys, tmp_path / "new.txt", "--words", "True")
    assert [line.split("\t") for line in asked] == [[*row, words[row[0]]] for row in found]


@pytest.mark.parametrize("command", ["evaluate", "explore", "generate", "classify", "info"])
def test_a_folder_of_runs_is_not_taken_for_one(command, tmp_path, monkeypatch):
    for name in ("b-run", "a-run"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text("{}")
    monkeypatch.setattr("sys.stdin", io.StringIO("a text\n"))
    main = importlib.import_module(f"svebm_ext.{command}").main
    with pytest.raises(ModelFolderError, match=r"a folder of runs, expected one of them: a-run, b-run"):
        main([str(tmp_path)])


def test_a_label_of_a_model_without_labels(run):
    with pytest.raises(
        ConfigError, match=r"^label: 'x' given, but the model was trained without labels; expected --sym"
    ):
        generate.main([str(run), "--label", "x"])
