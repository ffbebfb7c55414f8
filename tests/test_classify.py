"""`classify` on files of any size, into files, and by names of symbols."""

import csv
import errno
import gzip
import inspect
import io
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from tiny_runs import OBJECTS, SUBJECTS, VERBS, tiny_model

from svebm_ext import classify
from svebm_ext.commands import run_command
from svebm_ext.data import text_streams
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.models.svebm import SVEBM

try:
    import pyarrow
    from pyarrow import parquet
except ImportError:
    pyarrow = parquet = None
#: A file of each form that can be written here.
WRITTEN = ("o.csv", "o.tsv", "o.jsonl", *(() if pyarrow is None else ("o.parquet",)))


@pytest.fixture(autouse=True)
def _has_arrow(request):
    """A test that writes or reads Parquet needs pyarrow, which is an extra; the others do not."""
    source = inspect.getsource(request.function)
    uses = any(word in source for word in ("parquet.read", "parquet.write", "pyarrow", '"out.parquet"'))
    if pyarrow is None and (uses or "parquet" in request.node.name):
        pytest.skip("no pyarrow")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a model that was never trained: its answers are as good as any to be compared."""
    folder = tmp_path_factory.mktemp("classify") / "run"
    tiny_model().save_pretrained(folder)
    return folder


@pytest.fixture
def short(monkeypatch):
    """Beginnings of 2,000 bytes and parts of 50 rows: small files go the way of large ones."""
    monkeypatch.setattr(text_streams, "BEGINNING", 2000)
    monkeypatch.setattr(classify, "PART", 50)


def sentences(n):
    """n different texts of the tiny corpus's words, and some of other words."""
    made = []
    for i in range(n):
        text = f"{SUBJECTS[i % 5]} {VERBS[i // 5 % 4]} {OBJECTS[i // 20 % 5]}"
        made.append(f"{text} and {SUBJECTS[i // 100 % 5]} too" if i % 3 else text)
    return made


def printed(run, capsys, *arguments):
    classify.main([str(run), *map(str, arguments)])
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err


def write_as(form, path, texts):
    """A file of texts in a format, with what else a row holds."""
    labels = [f"c{i % 3}" for i in range(len(texts))]
    if form == "lines":
        path.write_text("".join(f"{text}\n" for text in texts))
    elif form == "tsv":
        path.write_text("".join(f"{label}\t{text}\n" for label, text in zip(labels, texts, strict=True)))
    elif form == "csv":
        with open(path, "w", newline="") as file:
            csv.writer(file).writerows([["id", "text"], *enumerate(texts)])
    elif form == "jsonl":
        path.write_text("".join(json.dumps({"text": text, "n": i}) + "\n" for i, text in enumerate(texts)))
    elif form == "json":
        path.write_text(json.dumps([{"text": text, "n": i} for i, text in enumerate(texts)]))
    elif form == "fasttext":
        path.write_text("".join(f"__label__{label} {text}\n" for label, text in zip(labels, texts, strict=True)))
    else:
        table = pyarrow.table({"n": list(range(len(texts))), "text": texts})
        parquet.write_table(table, path, row_group_size=70)


FORMS = ("lines", "tsv", "csv", "jsonl", "json", "fasttext", "parquet")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_answers_are_those_of_the_model_on_the_whole_list(run, tmp_path, capsys, short, form, pack):
    texts = sentences(401)
    path = tmp_path / f"mine.{form if form in ('tsv', 'csv', 'jsonl', 'json', 'parquet') else 'txt'}"
    write_as(form, path, texts)
    path.write_bytes(pack(path.read_bytes()))
    records = [json.loads(line) for line in printed(run, capsys, "--file", path, "--json")[0]]
    expected = SVEBM.from_pretrained(run).classify(texts)
    assert [record["text"] for record in records] == texts
    assert [record["symbol"] for record in records] == [one.symbol for one in expected]
    probabilities = [one.probability for one in expected]
    assert [record["probability"] for record in records] == pytest.approx(probabilities, rel=1e-5)
    assert len({record["symbol"] for record in records}) > 2 and len(set(probabilities)) > 50


@pytest.mark.parametrize("n_threads", [1, 2, 3])
@pytest.mark.parametrize("part", [1, 37, 4096])
def test_threads_and_parts_change_nothing(run, tmp_path, capsys, monkeypatch, n_threads, part):
    texts = sentences(150)
    write_as("lines", tmp_path / "mine.txt", texts)
    before = torch.get_num_threads()
    expected = printed(run, capsys, tmp_path / "mine.txt")[0]
    monkeypatch.setattr(classify, "PART", part)
    monkeypatch.setattr(torch, "get_num_threads", lambda: n_threads)
    assert printed(run, capsys, tmp_path / "mine.txt")[0] == expected
    monkeypatch.undo()
    torch.set_num_threads(before)
    assert [line.split("\t")[2] for line in expected] == texts


def test_rows_before_a_wrong_one_are_answered(run, tmp_path, capsys, short):
    """In the middle of a long file: columns, quotes, JSON, bytes and control characters, each with its line."""
    texts = sentences(400)
    for form, wrong, message in (
        ("tsv", "no tab\n", r"mine:301: 1 columns, expected 2"),
        ("csv", 'x,"never ends\n', r"mine:302: not CSV"),
        ("csv", "x,y,z\n", r"mine:302: 3 columns, expected 2: id,text"),
        ("jsonl", "{\n", r"mine:301: not JSON"),
        ("jsonl", '{"n": 3}\n', r'mine:301: no text; expected \{"text": "\.\.\."\}'),
        ("jsonl", '{"text": 3}\n', r"mine:301: text of type int"),
        ("lines", "a \x07 b\n", r"mine:301: control character U\+0007 in column 3"),
        ("lines", "caf\udce9\n", r"mine:301: not UTF-8 \(byte 0xe9\), and its encoding"),
        ("fasttext", "__label__a __label__b text\n", r"mine:301: 2 labels"),
    ):
        path = tmp_path / "mine"
        write_as(form, path, texts)
        lines = path.read_text().splitlines(keepends=True)
        at = 301 if form == "csv" else 300
        content = "".join([*lines[:at], wrong, *lines[at:]]).encode("utf-8", "surrogateescape")
        if "caf" in wrong:
            content = content.replace(b"\xe9", b"\xe9\x81\xff")  # nothing that Windows-1252 would write
        path.write_bytes(content)
        options = ["--format", form]
        with pytest.raises(DataError, match=message):
            classify.main([str(run), "--file", str(path), *options])
        answered = capsys.readouterr().out.splitlines()
        assert [line.split("\t")[2] for line in answered] == texts[:300], (form, wrong)


def test_what_can_be_said_at_the_end_only_is_said_then(run, tmp_path, capsys, short):
    texts = ["xyzzy plugh", *sentences(300)]
    path = tmp_path / "mine.txt"
    path.write_text("\n\n".join(texts) + "\n")
    lines, said = printed(run, capsys, path)
    assert len(lines) == 301
    assert said == (
        f"{path}: 300 empty lines left out; --json tells the line of each answer\n"
        "note: 1 of 301 texts have no word that the model knows\n"
    )
    records = [json.loads(line) for line in printed(run, capsys, path, "--json")[0]]
    assert [record["line"] for record in records] == list(range(1, 602, 2))


# Into files ---------------------------------------------------------------------------------------------------------


def read_back(path):
    """Rows of a written file as dictionaries of its columns, all of them text except those of JSON and Parquet."""
    content = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    name = path.name.removesuffix(".gz")
    if name.endswith(".parquet"):
        return parquet.read_table(io.BytesIO(content)).to_pylist()
    if name.endswith(".jsonl"):
        return [json.loads(line) for line in content.decode().splitlines()]
    dialect = "excel" if name.endswith(".csv") else "excel-tab"
    return list(csv.DictReader(io.StringIO(content.decode(), newline=""), dialect=dialect))


@pytest.mark.parametrize("out", [f"o.{form}{gz}" for form in ("csv", "tsv", "jsonl", "parquet") for gz in ("", ".gz")])
@pytest.mark.parametrize("form", FORMS)
def test_columns_are_kept_and_added_to(run, tmp_path, capsys, short, form, out):
    texts = sentences(130)
    if form in ("csv", "jsonl", "json", "parquet"):  # which can hold anything
        texts[3] = '=1+1, "quoted" the cat\nsees\tit'
    path = tmp_path / f"mine.{form if form in ('tsv', 'csv', 'jsonl', 'json', 'parquet') else 'txt'}"
    write_as(form, path, texts)
    lines, _ = printed(run, capsys, "--file", path, "--out", tmp_path / out)
    assert lines == [f"wrote {tmp_path / out}: 130 texts"]
    rows = read_back(tmp_path / out)
    expected = SVEBM.from_pretrained(run).classify(texts)
    added = ["symbol", "label", "probability"]
    if form == "fasttext":  # it has a column of that name itself
        added = [f"svebm_{name}" for name in added]
        assert [row["label"] for row in rows] == [f"c{i % 3}" for i in range(130)]
    assert list(rows[0])[-3:] == added
    assert [row["column2" if form == "tsv" else "text"] for row in rows] == texts
    assert [int(row[added[0]]) for row in rows] == [one.symbol for one in expected]
    assert {row[added[1]] or None for row in rows} == {None}
    assert [float(row[added[2]]) for row in rows] == pytest.approx([one.probability for one in expected], abs=1e-5)
    if form in ("jsonl", "json", "parquet"):
        assert [int(row["n"]) for row in rows] == list(range(130))
        assert isinstance(rows[0]["n"], int) == (out.startswith(("o.jsonl", "o.parquet")))


def test_rows_without_a_text_stay_in_the_file_without_an_answer(run, tmp_path, capsys):
    (tmp_path / "mine.csv").write_text('id,text,more\n1,the cat sees it,"=a"\n2, ,x\n\n3,"nobody likes ""trees""",\n')
    out = tmp_path / "out.csv"
    _, said = printed(run, capsys, tmp_path / "mine.csv", "--out", out)
    assert f"{tmp_path / 'mine.csv'}: 2 lines without a text have no answer\n" in said
    lines = out.read_bytes().decode().split("\r\n")
    assert lines[0] == "id,text,more,symbol,label,probability" and lines[-1] == ""
    assert lines[1].startswith("1,the cat sees it,=a,") and lines[2] == "2, ,x,,,"
    assert lines[3].startswith('3,"nobody likes ""trees""",,')


def test_written_files_are_read_by_the_same_command(run, tmp_path, capsys):
    texts = ['"the cat" sees it', 'the dog\tsees "it"', '"nobody', "=trees", "a dog\nlikes the moon"]
    write_as("jsonl", tmp_path / "mine.jsonl", texts)
    expected = [json.loads(line)["symbol"] for line in printed(run, capsys, tmp_path / "mine.jsonl", "--json")[0]]
    for name in WRITTEN:
        printed(run, capsys, tmp_path / "mine.jsonl", "--out", tmp_path / name)
        records = [json.loads(line) for line in printed(run, capsys, tmp_path / name, "--json")[0]]
        assert [(r["text"], r["symbol"]) for r in records] == list(zip(texts, expected, strict=True)), name
        _, said = printed(run, capsys, tmp_path / name, "--out", tmp_path / "again.jsonl")
        assert "the added ones are svebm_symbol, svebm_label, svebm_probability\n" in said
        assert set(read_back(tmp_path / "again.jsonl")[0]) == {
            "text", "n", "symbol", "label", "probability", "svebm_symbol", "svebm_label", "svebm_probability",
        }  # fmt: skip


def test_types_of_parquet_stay(run, tmp_path, capsys):
    table = pyarrow.table(
        {"text": ["the cat sees it", "trees"], "when": pyarrow.array([1, None], pyarrow.timestamp("ms")),
         "tags": [["a"], []], "x": pyarrow.array([1.5, None], pyarrow.float32())}
    )  # fmt: skip
    parquet.write_table(table, tmp_path / "mine.parquet")
    printed(run, capsys, tmp_path / "mine.parquet", "--out", tmp_path / "out.parquet")
    written = parquet.read_table(tmp_path / "out.parquet")
    assert written.select(table.column_names).equals(table.cast(written.select(table.column_names).schema))
    assert written.schema.types[:4] == table.schema.types[:4]
    assert [str(kind) for kind in written.schema.types[4:]] == ["int64", "string", "double"]


def test_an_error_leaves_the_file_that_was_there(run, tmp_path, short):
    out = tmp_path / "out.csv"
    out.write_text("old\n")
    path = tmp_path / "mine.tsv"
    write_as("tsv", path, sentences(300))
    path.write_text(path.read_text() + "no tab\n")
    with pytest.raises(DataError, match=r"mine\.tsv:301: 1 columns"):
        classify.main([str(run), "--file", str(path), "--out", str(out)])
    lines = [json.dumps({"text": text}) for text in sentences(300)]
    path = tmp_path / "mine.jsonl"
    for later, name, message in (
        ('{"text": "trees", "new": 1}', "out.csv", "mine.jsonl:301: key 'new', which the beginning"),
        ('{"text": "trees", "new": 1}', "out.parquet", "mine.jsonl:301: key 'new', which the beginning"),
        ('{"text": "trees", "symbol": 1}', "out.jsonl", "mine.jsonl:301: key 'symbol', which a column that is added"),
    ):
        path.write_text("\n".join([*lines, later]) + "\n")
        (tmp_path / name).write_text("old\n")
        with pytest.raises(DataError, match=message):
            classify.main([str(run), "--file", str(path), "--out", str(tmp_path / name)])
        assert (tmp_path / name).read_text() == "old\n"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "mine.jsonl", "mine.tsv", "out.csv", "out.jsonl", "out.parquet",
    ]  # fmt: skip


def test_options_that_do_not_go_together_are_refused_first(run, tmp_path):
    for options, message in (
        (["--out", "o.xlsx"], r"out: o\.xlsx given, expected a name that ends with \.csv"),
        (["--out", "o"], "out: o given"),
        (["--out", "o.csv", "--json"], "json: goes with what is printed"),
        (["--out", "o.csv", "--words", "True"], "words: goes with what is printed"),
    ):
        with pytest.raises(ConfigError, match=message):
            classify.main(["no-such-run", *options])
    (tmp_path / "mine.txt").write_text("the cat\n")
    for out, message in ((tmp_path / "gone" / "o.csv", "No such file"), (tmp_path, None)):
        if message is None:
            (tmp_path / "o.csv").mkdir()
            out, message = tmp_path / "o.csv", "Is a directory"
        with pytest.raises(OSError, match=message) as raised:
            classify.main([str(run), str(tmp_path / "mine.txt"), "--out", str(out)])
        assert raised.value.filename == str(out)


def test_novelty_is_the_bound_of_the_model(run, tmp_path, capsys, short):
    from svebm_ext.models.answering import NOVELTY_SAMPLES, novelty_of

    texts = sentences(120)
    write_as("lines", tmp_path / "mine.txt", texts)
    printed(run, capsys, tmp_path / "mine.txt", "--out", tmp_path / "o.jsonl", "--novelty")
    rows = read_back(tmp_path / "o.jsonl")
    assert list(rows[0]) == ["text", "symbol", "label", "probability", "novelty"]
    model = SVEBM.from_pretrained(run)
    log_z = novelty_of(model, {}).log_z
    expected = model.nll(texts, n_samples=NOVELTY_SAMPLES, log_z=log_z)
    assert [row["novelty"] for row in rows] == pytest.approx(expected.tolist(), abs=1e-3)
    assert novelty_of(model, {"log_z_upper": 3.0, "nll_proposal_scale": 1.4}) == (3.0, 1.4)
    records = [json.loads(line) for line in printed(run, capsys, tmp_path / "mine.txt", "--json", "--novelty")[0]]
    assert [record["novelty"] for record in records] == pytest.approx(expected.tolist(), abs=1e-3)
    lines = printed(run, capsys, tmp_path / "mine.txt", "--novelty")[0]
    assert [line.split("\t")[2] for line in lines] == [f"{record['novelty']:.2f}" for record in records]
    assert [line.split("\t")[3] for line in lines] == texts


# Names of symbols ---------------------------------------------------------------------------------------------------


def test_symbols_of_one_name_are_one_class(run, tmp_path, capsys):
    texts = sentences(60)
    write_as("lines", tmp_path / "mine.txt", texts)
    names = tmp_path / "symbols.json"
    content = {"0": {"name": "one  class"}, "3": {"name": "one class"}, "1": {"name": "", "hidden": True}}
    names.write_text(json.dumps({"format": 1, "symbols": content}))
    p = SVEBM.from_pretrained(run).symbol_probabilities(texts).double()
    classes = [("one class", [0, 3]), ("", [1]), (None, [2]), (None, [4])]
    expected = []
    for row in p:
        label, symbols = max(classes, key=lambda one: float(row[one[1]].sum()))
        expected.append((max(symbols, key=lambda k: float(row[k])), label, float(row[symbols].sum())))
    assert {label for _, label, _ in expected} >= {"one class"}
    options = [tmp_path / "mine.txt", "--symbols", names]
    records = [json.loads(line) for line in printed(run, capsys, *options, "--json")[0]]
    assert [(r["symbol"], r["label"]) for r in records] == [one[:2] for one in expected]
    assert [r["probability"] for r in records] == pytest.approx([one[2] for one in expected], abs=1e-5)
    lines = printed(run, capsys, *options)[0]
    assert [line.split("\t")[0] for line in lines] == [label or str(symbol) for symbol, label, _ in expected]


def test_names_are_for_a_model_with_symbols_of_its_own(run, tmp_path):
    names = tmp_path / "symbols.json"
    names.write_text('{"format": 1, "symbols": {"9": {"name": "x"}}}')
    (tmp_path / "mine.txt").write_text("the cat\n")
    with pytest.raises(DataError, match=r"symbols\.json: symbol '9' is none of this model, whose symbols are 0 \.\. 4"):
        classify.main([str(run), str(tmp_path / "mine.txt"), "--symbols", str(names)])
    names.write_text('{"format": 1, "symbols": {"0": {"name": "x"}}}')
    tiny_model(label_names=list("abcde")).save_pretrained(tmp_path / "labelled")
    with pytest.raises(ConfigError, match=r"symbols: this model has learnt labels \(a, b, c, d, e, \.\.\.\)"):
        classify.main([str(tmp_path / "labelled"), str(tmp_path / "mine.txt"), "--symbols", str(names)])
    tiny_model(objective={"mutual_information": 0.0}, latent="gaussian").save_pretrained(tmp_path / "vae")
    with pytest.raises(ConfigError, match="has no symbols"):
        classify.main([str(tmp_path / "vae"), str(tmp_path / "mine.txt"), "--symbols", str(names)])


# Processes ----------------------------------------------------------------------------------------------------------


def command(run, *arguments):
    return [sys.executable, "-W", "ignore", "-m", "svebm_ext.classify", str(run), *map(str, arguments)]


def long_file(path, n):
    texts = sentences(500)
    with open(path, "w") as file:
        for start in range(0, n, 500):
            file.write("\n".join(texts[: min(500, n - start)]) + "\n")
    return path


WITH_PEAK = """
import sys
from svebm_ext import classify
from svebm_ext.commands import run_command
try:
    run_command(classify.main)
finally:
    with open("/proc/self/status") as file:
        peak = next(line.split()[1] for line in file if line.startswith("VmHWM"))
    print("peak", peak, file=sys.stderr)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the peak of memory is read from /proc")
def test_memory_does_not_grow_with_the_file(run, tmp_path):
    """Of a pipe: the strings of 150,000 lines more would take 15 MB, and their ids, tensors and answers far more."""
    peaks = []
    for n in (50_000, 200_000):
        path = long_file(tmp_path / "mine.txt", n)
        shell = f"cat {path} | {sys.executable} -W ignore -c '{WITH_PEAK}' {run} > {tmp_path / 'out'}"
        done = subprocess.run(["sh", "-c", shell], stderr=subprocess.PIPE, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stderr.split("peak ")[1].split()[0]))
        with open(tmp_path / "out") as answers:
            assert sum(1 for _ in answers) == n
    assert peaks[1] - peaks[0] < 15_000 and peaks[1] < 1_000_000, peaks


def test_a_pipe_is_answered_and_head_may_close_it(run, tmp_path):
    path = long_file(tmp_path / "mine.txt", 60_000)
    shell = f"cat {path} | {' '.join(command(run)).replace('-W ignore', '')} | head -3"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {shell}"], capture_output=True, text=True, timeout=300)
    assert [line.split("\t")[2] for line in done.stdout.splitlines()] == sentences(3)
    assert done.returncode == 141 and "Traceback" not in done.stderr, done


def opened_when_read(path, process, limit):
    """A named pipe to write to, once a process reads from it; a plain `open` would wait for one that has ended."""
    while True:
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            assert error.errno == errno.ENXIO and time.monotonic() < limit and process.poll() is None
            time.sleep(0.1)
        else:
            os.set_blocking(descriptor, True)
            return open(descriptor, "w")


def test_ctrl_c_leaves_the_file_that_was_there(run, tmp_path):
    out = tmp_path / "out.csv"
    out.write_text("old\n")
    path = tmp_path / "endless"
    os.mkfifo(path)
    process = subprocess.Popen(command(run, "--file", path, "--out", out), stderr=subprocess.PIPE, text=True)
    limit = time.monotonic() + 120
    with opened_when_read(path, process, limit) as pipe:
        pipe.write("\n".join(sentences(500) * 60) + "\n")
        pipe.flush()
        while not list(tmp_path.glob(".out.csv.*.tmp")):
            assert time.monotonic() < limit and process.poll() is None
            time.sleep(0.1)
        time.sleep(1.0)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130 and said == "interrupted\n"
    assert out.read_text() == "old\n" and sorted(p.name for p in tmp_path.iterdir()) == ["endless", "out.csv"]


def test_an_error_in_the_middle_has_status_2(run, tmp_path, capfd, short):
    write_as("tsv", tmp_path / "mine.tsv", sentences(300))
    (tmp_path / "mine.tsv").write_text((tmp_path / "mine.tsv").read_text() + "no tab\n")
    with pytest.raises(SystemExit) as stopped:
        run_command(classify.main, [str(run), str(tmp_path / "mine.tsv")])
    captured = capfd.readouterr()
    assert stopped.value.code == 2 and len(captured.out.splitlines()) == 300
    assert captured.err.splitlines()[-1].startswith(f"error: {tmp_path / 'mine.tsv'}:301: 1 columns, expected 2")


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (1, 2.75), (1, True), (True, 1), (1, "1"), ("a", 1), ({"a": 1}, {"a": 1, "c": "lost"}), (["x"], "abc"),
        ([1], [1.5]), ({"a": 1}, {"a": 1.5}), (1.5, 2**60 + 1), ("a", {"b": 1}),
    ],
)  # fmt: skip
def test_a_value_that_a_column_of_parquet_would_change_is_refused(run, tmp_path, monkeypatch, first, later):
    monkeypatch.setattr(classify, "PART", 4)
    rows = [{"text": "a red car", "n": first}] * 4 + [{"text": "a red car", "n": later}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"(in\.jsonl:5: key 'n' has .*, which does not fit|rows 5 to 5 do not fit)"):
        classify.main([str(run), str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "out.parquet")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.jsonl"]


def test_keys_that_are_missing_or_null_stay_so_in_parquet(run, tmp_path, monkeypatch):
    monkeypatch.setattr(classify, "PART", 4)
    values = [{"a": 1, "b": [1, 2]}, {"a": 2}, None, {"b": None}, {"b": [3]}, {"a": None}, {}]
    rows = [{"text": "a red car", "n": value, "x": 0.5} for value in values] + [{"text": "a red car"}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    classify.main([str(run), str(tmp_path / "in.jsonl"), "--out", str(tmp_path / "out.parquet")])
    written = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    whole = [None if value is None else {"a": None, "b": None, **value} for value in values]
    assert [row["n"] for row in written] == [*whole, None] and [row["x"] for row in written] == [0.5] * 7 + [None]


def test_messages_name_the_options_of_classify(run, tmp_path):
    (tmp_path / "in.csv").write_text("id,text\n1,a red car\n2\n3,a dog\n")
    with pytest.raises(DataError, match=r"in\.csv:3: 1 columns, .*set --format lines\)$"):
        classify.main([str(run), str(tmp_path / "in.csv")])
    (tmp_path / "in.csv").write_text("id,text\n1,a red car\n")
    with pytest.raises(DataError, match=r"--text-column: no column 'nope'"):
        classify.main([str(run), str(tmp_path / "in.csv"), "--text-column", "nope"])


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_a_null_is_an_empty_text(run, tmp_path, form):
    texts = ["a red car", None, "the dog sleeps"]
    if form == "jsonl":
        (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    else:
        parquet.write_table(pyarrow.table({"text": texts}), tmp_path / "in.parquet")
    classify.main([str(run), str(tmp_path / f"in.{form}"), "--out", str(tmp_path / "out.jsonl")])
    written = list(map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines()))
    assert [row["text"] for row in written] == texts and [row["symbol"] is None for row in written] == [
        False,
        True,
        False,
    ]


def test_columns_of_one_name_are_told(run, tmp_path):
    twice = pyarrow.Table.from_arrays([pyarrow.array(["a"]), pyarrow.array(["b"])], names=["text", "text"])
    parquet.write_table(twice, tmp_path / "in.parquet")
    with pytest.raises(DataError, match=r"in\.parquet: 2 columns are called 'text'; rename them"):
        classify.main([str(run), str(tmp_path / "in.parquet")])


def test_a_number_of_too_many_digits_is_no_json(run, tmp_path):
    (tmp_path / "in.jsonl").write_text('{"text": "a red car", "n": 1}\n{"text": "a", "n": ' + "9" * 5000 + "}\n")
    with pytest.raises(DataError, match=r"in\.jsonl:2: not JSON: Exceeds the limit .*digits; if"):
        classify.main([str(run), str(tmp_path / "in.jsonl")])


def test_lines_before_a_broken_one_are_utf8_as_well(run, tmp_path, capsys, short):
    """A long file that is ASCII at first; the block that has other bytes for the first time has good ones and bad."""
    lines = [b"the red car"] * 400 + ["café".encode(), "naïve".encode(), b"caf\xc3"]
    (tmp_path / "mine.txt").write_bytes(b"\n".join(lines) + b"\n")
    with pytest.raises(DataError, match=r"mine\.txt:403: not UTF-8 \(byte 0xc3\)"):
        classify.main([str(run), str(tmp_path / "mine.txt")])
    assert len(capsys.readouterr().out.splitlines()) == 402


def test_marks_of_direction_are_no_part_of_a_name(run, tmp_path, capsys):
    n = SVEBM.from_pretrained(run).config.model.n_categories
    names = {"format": 1, "symbols": {str(k): {"name": "\u200fשלום\u200e"} for k in range(n)}}
    (tmp_path / "symbols.json").write_text(json.dumps(names))
    write_as("lines", tmp_path / "mine.txt", sentences(200))
    answers, _ = printed(run, capsys, tmp_path / "mine.txt", "--symbols", tmp_path / "symbols.json")
    assert all(line.startswith("שלום\t") for line in answers) and len(answers) == 200
