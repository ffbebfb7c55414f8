"""What the outside world does to every command: streams, variables, disks. Nothing is lost, nothing half done."""

import errno
import os
import subprocess
import sys

import pytest
from test_commands import TINY
from tiny_runs import write_corpus

from svebm_ext import commands, evaluate, explore, generate, train
from svebm_ext.commands import run_command
from svebm_ext.models.svebm import SVEBM
from svebm_ext.ops import threads
from svebm_ext.ops.backend import CHOICES
from svebm_ext.training.checkpoint import load_checkpoint
from svebm_ext.training.loop import BEST, LAST

#: Every entry point, with arguments that let it print something.
COMMANDS = {
    "version": ["-m", "svebm_ext", "--version"],
    "help": ["-m", "svebm_ext"],
    "info": ["-m", "svebm_ext.info"],
    "info-run": ["-m", "svebm_ext.info", "{run}", "--json"],
    "generate": ["-m", "svebm_ext.generate", "{run}", "-n", "3"],
    "classify": ["-m", "svebm_ext.classify", "{run}", "{texts}"],
    "evaluate": ["-m", "svebm_ext.evaluate", "{run}", "--evaluation.max-sentences", "4"],
    "explore": ["-m", "svebm_ext.explore", "{run}", "--out", "{new}/page.html", "--max-sentences", "8"],
    "train": ["-m", "svebm_ext.train", "{corpus}", "--out", "{new}/out", "--training.max-steps", "2",
              "--training.prior-steps", "3", "--no-evaluate", *TINY],
    "experiments": ["-m", "svebm_ext.experiments", "--help"],
}  # fmt: skip
LIGHT = ("version", "help")
#: Commands that every fault is tried on, and faults that every command meets: all of both would take ten minutes.
BEAR_ALL, USUAL = (*LIGHT, "generate"), ("full output", "no reader", "full messages")
ON_STANDARD_ERROR = ("explore",)  # prints no result
#: By fault: how the shell starts the command, its exit status, and what the last line on standard error begins with.
FAULTS = {
    "full output": ("{command} > /dev/full", 2, "error: standard output: No space left on device; free some space"),
    "closed output": ("{command} >&-", 2, "error: standard output: closed; "),
    "full unbuffered output": (
        "PYTHONUNBUFFERED=1 {command} > /dev/full", 2, "error: standard output: No space left on device; "
    ),
    "no reader": ("{command} >&3", 141, ""),
    "ASCII": ("PYTHONIOENCODING=ascii {command}", 0, ""),
    "Windows-1252": ("PYTHONIOENCODING=cp1252 {command}", 0, ""),
    "C locale": ("LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 {command}", 0, ""),
    "closed input": ("{command} <&-", 0, ""),
    "closed messages": ("{command} 2>&-", 0, ""),
    "full messages": ("{command} 2>/dev/full", 0, ""),
    "all closed": ("{command} <&- >&- 2>&-", 2, ""),
    "threads": ("OMP_NUM_THREADS=abc {command}", 2, "error: OMP_NUM_THREADS: 'abc' given in the environment, expected"),
    "no threads": ("OMP_NUM_THREADS=0 {command}", 2, "error: OMP_NUM_THREADS: '0' given"),
    "backend": ("SVEBM_BACKEND=fast {command}", 2, "error: SVEBM_BACKEND: 'fast' given in the environment, expected"),
    "processes": ("WORLD_SIZE=2 RANK=1 {command}", 0, ""),
    "pictures": ("MPLBACKEND=nowhere {command}", 0, ""),
    "narrow": ("COLUMNS=1 LINES=x TERM=strange {command}", 0, ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A run with a topic of two scripts, and texts."""
    folder = tmp_path_factory.mktemp("faults")
    corpus = write_corpus(folder)
    corpus.write_text(corpus.read_text(encoding="utf-8").replace("trees", "d\u00e9j\u00e0 \u4e2d"), encoding="utf-8")
    options = ["--training.max-steps", "5", "--training.prior-steps", "3", "--no-evaluate", *TINY]
    train.main([str(corpus), "--out", str(folder / "run"), *options])
    (folder / "texts.txt").write_text("d\u00e9j\u00e0 \u4e2d\n", encoding="utf-8")
    return {"run": folder / "run", "corpus": corpus, "texts": folder / "texts.txt"}


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        pytest.param(command, fault, marks=() if command in LIGHT else pytest.mark.slow)
        for command in COMMANDS
        for fault in FAULTS
        if command in BEAR_ALL or fault in USUAL or (command, fault) == ("train", "processes")
    ],
)
def test_every_command_bears_every_fault(place, tmp_path, command, fault):
    shell, status, message = FAULTS[fault]
    if command == "train" and fault == "processes":
        status, message = 2, "error: WORLD_SIZE: 2 processes in the environment, but no MASTER_ADDR, MASTER_PORT; "
    if command in ON_STANDARD_ERROR and fault in ("full output", "full unbuffered output", "no reader"):
        status, message = 0, ""
    words = [word.format(new=tmp_path, **place) for word in COMMANDS[command]]
    line = shell.format(command=" ".join([sys.executable, "-W", "ignore", *words]))
    reading, writing = os.pipe()
    os.close(reading)  # a pipe that nobody reads
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        ["bash", "-c", f"exec 3>&{writing}; {line}"],
        pass_fds=[writing], capture_output=True, timeout=300, env=environment, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(writing)
    said = done.stderr.decode(errors="replace")
    assert done.returncode == status, said
    assert "Traceback" not in said and "Exception ignored" not in said
    if message:
        assert said.splitlines()[-1].startswith(message)
        assert said.count("error: ") == 1
    assert not list(tmp_path.rglob("*.tmp"))


def test_what_the_environment_may_ask_is_what_the_ops_take():
    assert commands.ASKED_OF_OPS == {"SVEBM_BACKEND": CHOICES, "SVEBM_THREADS": threads.CHOICES}


def ended(main, *arguments):
    """Exit status of a command."""
    with pytest.raises(SystemExit) as stopped:
        run_command(main, list(map(str, arguments)))
    return stopped.value.code


def full_after(monkeypatch, n):
    """The disk is full at the n-th file that is to be made durable, and stays so."""
    seen = []
    fsync = os.fsync

    def limited(descriptor):
        seen.append(descriptor)
        if len(seen) >= n:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", limited)
    return seen


@pytest.mark.parametrize("n", [3, 8, 11, 16])
def test_a_full_disk_loses_nothing(place, tmp_path, monkeypatch, capsys, n):
    """Whichever file of a training it hits: what was whole stays, no part is left, and the run goes on from there."""
    out = tmp_path / "out"
    arguments = [place["corpus"], "--out", out, "--training.max-steps", "10", "--training.prior-steps", "3",
                 "--no-evaluate", *TINY]  # fmt: skip
    with monkeypatch.context() as patched:
        full_after(patched, n)
        status = ended(train.main, *arguments)
    error = capsys.readouterr().err.splitlines()[-1]
    if status == 0:
        assert (out / "model.safetensors").exists()
        return
    assert status == 2 and error.startswith(f"error: {out}") and "No space left on device; free some space" in error
    assert not list(tmp_path.rglob("*.tmp")) and not (out / "train.lock").exists()
    saved = (out / LAST).exists() or (out / BEST).exists()
    assert (f"continue with python -m svebm_ext.train --resume {out}" in error) == saved
    for path in out.rglob("*.safetensors"):
        load_checkpoint(path) if "checkpoints" in str(path) else SVEBM.from_pretrained(out)
    again = ["--resume", out, "--no-evaluate"] if saved else arguments
    assert ended(train.main, *again) == 0
    assert load_checkpoint(out / LAST)[1]["step"] == 10 and (out / "model.safetensors").exists()


def test_measures_are_printed_before_they_are_written(place, monkeypatch, capsys):
    """A folder that cannot be written to costs no measures."""
    before = sorted(place["run"].rglob("*"))
    with monkeypatch.context() as patched:
        full_after(patched, 1)
        assert ended(evaluate.main, place["run"], "--evaluation.max-sentences", "4") == 2
    printed = capsys.readouterr()
    assert "nats/sentence" in printed.out
    assert printed.err.splitlines()[-1].startswith(f"error: {place['run']}/")
    assert [p for p in sorted(place["run"].rglob("*")) if p.is_file()] == [p for p in before if p.is_file()]


def test_measures_that_cannot_be_printed_are_written(place, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device", "standard output")

    (place["run"] / "metrics.json").unlink(missing_ok=True)
    monkeypatch.setattr(evaluate, "print_document", full)
    assert ended(evaluate.main, place["run"], "--evaluation.max-sentences", "4") == 2
    assert (place["run"] / "metrics.json").exists()


@pytest.mark.parametrize("name", ["/dev/null", "{file}", "{file}/below", "/proc/nowhere", "{long}", "{loop}/x"])
def test_a_place_that_takes_no_files_is_refused_before_data_are_read(place, tmp_path, monkeypatch, capsys, name):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to("loop")
    out = name.format(file=tmp_path / "file", long=tmp_path / ("a" * 300), loop=tmp_path / "loop")
    monkeypatch.setattr("svebm_ext.training.run.load_configured", lambda *_: pytest.fail("read"))
    monkeypatch.setattr("svebm_ext.models.svebm.SVEBM.from_pretrained", lambda *_: pytest.fail("read"))
    assert ended(train.main, place["corpus"], "--out", out, *TINY) == 2
    if name != "/dev/null":  # to which a page can be written
        assert ended(explore.main, place["run"], "--out", f"{out}/page.html") == 2
    said = capsys.readouterr().err.splitlines()
    assert all(line.startswith("error: ") for line in said) and len(said) == (1 if name == "/dev/null" else 2)
    assert (tmp_path / "file").read_text() == "mine" and not os.path.isfile("/dev/null")


@pytest.mark.parametrize(
    ("raised", "status", "expected"),
    [
        (MemoryError(), 2, "error: out of memory; ask for less at a time"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 2, "error: out of memory; "),
        (OSError(errno.EMFILE, "Too many open files", "a"), 2, "error: a: Too many open files; raise the limit"),
        (PermissionError(13, "Permission denied", "a\x1b[31m"), 2, "error: a\\x1b[31m: Permission denied; choose"),
        (UnicodeEncodeError("ascii", "\u00e9", 0, 1, "no"), 2, "error: text that cannot be written or read: 'ascii' "),
        (BrokenPipeError(32, "Broken pipe"), 141, ""),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_what_ends_a_command_is_one_line(capsys, raised, status, expected):
    def main(arguments):
        raise raised

    assert ended(main) == status
    said = capsys.readouterr().err
    assert said.startswith(expected) and said.count("\n") == (1 if expected else 0)


def test_a_fault_of_the_program_itself_keeps_its_traceback():
    def main(arguments):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(main, [])


def test_none_is_a_word_as_any_other(tmp_path, monkeypatch, capsys):
    """A class, a column or a file may have that name."""
    corpus = write_corpus(tmp_path, labelled=True)
    lines = corpus.read_text().replace("paints\t", "None\t")
    (tmp_path / "None").write_text(lines)
    monkeypatch.chdir(tmp_path)
    config, _ = train.parse_arguments(["lines", "--data.train", "None", "--data.text_column=None"])
    assert config.data.train == tmp_path / "None" and config.data.text_column == "None"
    small = ["--training.max-steps", "4", "--training.prior-steps", "3", "--no-evaluate", *TINY]
    of_labels = small.index("--model.n-categories")  # as many as there are labels
    train.main(["lines-labelled", "None", "--out", "None2", *small[:of_labels], *small[of_labels + 2 :]])
    capsys.readouterr()
    generate.main(["None2", "--label", "None", "-n", "2"])
    of_class = capsys.readouterr().out
    symbol = SVEBM.from_pretrained(tmp_path / "None2").label_names.index("None")
    generate.main(["None2", f"--symbol={symbol}", "-n", "2"])
    assert capsys.readouterr().out == of_class
    assert ended(generate.main, "None2", "--label", "None", "--symbol", symbol) == 2
    assert "expected one of them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("main", "arguments", "expected"),
    [
        (train.main, ["lines", "--data.train", ""], "--data.train: nothing given, expected a path"),
        (train.main, ["lines", "x.txt", "--out="], "--out: nothing given, expected a path"),
        (generate.main, [""], "RUN: nothing given, expected a folder"),
        (generate.main, ["~nobody-of-that-name/x"], "~nobody-of-that-name/x: no home folder is known for it"),
    ],
)
def test_an_empty_path_is_not_the_present_folder(capsys, main, arguments, expected):
    assert ended(main, *arguments) == 2
    assert f"error: {expected}" in capsys.readouterr().err


def test_an_unfinished_run_says_how_to_go_on(place, tmp_path, capsys):
    out = tmp_path / "out"
    (out / "checkpoints").mkdir(parents=True)
    for name in ("config.json", "vocab.json", LAST):
        (out / name).write_bytes((place["run"] / name).read_bytes())
    for main in (evaluate.main, generate.main, explore.main):
        assert ended(main, out) == 2
        expected = f"error: {out}: its training has not ended; go on with python -m svebm_ext.train --resume {out}\n"
        assert capsys.readouterr().err == expected
