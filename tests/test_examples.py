"""Every script of examples/ runs, at a tiny size, and does what it says."""

import re
import runpy
import sys
from pathlib import Path

import pytest
import torch
from tiny_runs import write_corpus

from svebm_ext import train

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs a script as a user would; returns the lines of its standard output."""

    def start(script, *arguments):
        monkeypatch.setattr(sys, "argv", [script, *map(str, arguments)])
        runpy.run_path(str(EXAMPLES / script), run_name="__main__")
        return capsys.readouterr().out.splitlines()

    return start


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Run folder that train_own_text.py left, and its output."""
    folder = tmp_path_factory.mktemp("example")
    with pytest.MonkeyPatch.context() as patch:
        corpus = write_corpus(folder, labelled=True)
        patch.setattr(sys, "argv", ["train_own_text.py", str(corpus), str(folder / "run"), "--smoke"])
        runpy.run_path(str(EXAMPLES / "train_own_text.py"), run_name="__main__")
    return folder / "run"


def test_no_example_is_left_out():
    tested = set(re.findall(r"\w+\.py", Path(__file__).read_text(encoding="utf-8")))
    assert {path.name for path in EXAMPLES.glob("*.py")} <= tested


def test_every_example_tells_how_it_is_called():
    for path in EXAMPLES.glob("*.py"):
        assert f"python examples/{path.name}" in path.read_text(encoding="utf-8").split('"""')[1], path.name


def test_train_own_text(trained):
    assert {"config.json", "model.safetensors", "vocab.json"} <= {path.name for path in trained.iterdir()}


def test_learn_labels(run, tmp_path):
    output = run("learn_labels.py", write_corpus(tmp_path, labelled=True), tmp_path / "run", "--smoke")
    assert "labels: forgets, likes, paints, sees" in output
    assert re.fullmatch(r"\d+ of 24 test sentences classified correctly", output[-1])


def test_generate_by_symbol(run, trained):
    output = run("generate_by_symbol.py", trained, 2)
    assert [line.strip() for line in output if line.startswith("symbol")] == [f"symbol {k}" for k in range(6)]
    assert len(output) == 6 * 3


def test_classify(run, trained):
    output = run("classify.py", trained, "the cat sees the moon", "nobody paints it")
    assert len(output) == 2 and all(
        re.match(r"symbol [0-5] \(no label\), probability [01]\.\d{3}: ", o) for o in output
    )
    assert output[1].endswith(": nobody paints it")


def test_interpolate(run, trained):
    assert len(run("interpolate.py", trained, "the cat sees the moon", "nobody paints it")) == 7


def test_sample_prior(run):
    output = run("sample_prior.py", "--smoke")
    assert float(output[1].split()[-1]) <= 1e-5  # 60 steps and 20 + 40
    marginal, conditional = map(float, re.findall(r"0\.\d+", output[2]))
    assert conditional > marginal


def test_published_measures(run):
    output = run("published_measures.py")
    exact, correct, published = map(float, re.findall(r"-\d+\.\d", output[0]))
    assert abs(correct - exact) < 0.5 and published > exact + 40
    for line in output[1:3]:
        whole, chance, per_batch = map(float, re.findall(r"0\.\d+", line))
        assert abs(whole - chance) < 0.005 and per_batch > 0.5
    whole, batches = map(float, re.findall(r"(\d\.\d\d) (?:= log|\(at)", output[3]))
    assert whole == 4.83 and batches < 3.41


def test_log_z(run):
    lower, lower_error, upper, upper_error, truth = map(
        float, re.findall(r"\d+\.\d+", " ".join(run("log_z.py", "--smoke")[:3]))
    )
    assert abs(lower - truth) < 5 * lower_error
    assert abs(upper - truth) < 5 * upper_error


@pytest.mark.parametrize("name", ["train.slurm", "pytorchjob.yaml"])
def test_commands_for_clusters_are_understood(name, tmp_path):
    """What a cluster would start: `train` takes its options, and goes on where a job is started again."""
    text = (EXAMPLES / "cluster" / name).read_text(encoding="utf-8")
    words = re.findall(r"[^\s\"\\]+", text[text.index("svebm_ext.train") :].split("env:")[0])[1:]
    words = [{"$texts": str(tmp_path / "a.txt"), "$out": "runs/a"}.get(word, word) for word in words if word != "-"]
    config, options = train.parse_arguments(words)
    assert options.go_on and options.out is not None and config.data.corpus == "lines"
    assert config.training.batch_size >= 4096


def test_the_image_is_of_an_ordinary_user_and_of_what_the_repository_has():
    """Built and run by hand; here, what a change of the repository could break."""
    text = (EXAMPLES / "cluster" / "Dockerfile").read_text(encoding="utf-8")
    steps = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", text, flags=re.MULTILINE)).splitlines()
    words = [step.split(maxsplit=1) for step in steps if step]
    assert {word for word, _ in words} <= {
        "ARG",
        "FROM",
        "RUN",
        "COPY",
        "ENV",
        "USER",
        "WORKDIR",
        "VOLUME",
        "ENTRYPOINT",
        "CMD",
    }
    last = [word for word, _ in words].index("USER")
    assert dict(words)["USER"] != "root" and all(word != "RUN" for word, _ in words[last:])
    (extras,) = re.findall(r"/source\[([^]]+)\]", text)
    project = (EXAMPLES.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert all(f"\n{extra} = [" in project for extra in extras.split(","))
    modules = set(re.findall(r"svebm_ext\.(\w+)", text))
    assert modules == {"train"} and callable(train.main)
