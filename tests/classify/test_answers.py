"""`classify` on files of any size, and by names of symbols."""

import gzip
import json
import math

import pytest
import torch
from classified_files import FORMS, parquet, printed, pyarrow, read_back, sentences, write_as
from tiny_runs import tiny_model

from svebm_ext import classify
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.models.answering import Answerer
from svebm_ext.models.svebm import SVEBM


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
    expected = printed(run, capsys, tmp_path / "mine.txt")[0]
    monkeypatch.setattr(classify, "PART", part)
    monkeypatch.setattr(Answerer, "n_threads", n_threads)
    assert printed(run, capsys, tmp_path / "mine.txt")[0] == expected
    assert [line.split("\t")[2] for line in expected] == texts


def test_rows_before_a_wrong_one_are_answered(run, tmp_path, capsys, short):
    """In the middle of a long file: columns, quotes, JSON, bytes and control characters, each with its line."""
    texts = sentences(400)
    for form, wrong, message in (
        ("tsv", "no tab\n", r"mine:301: 1 column, expected 2"),
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
        "note: 1 of 301 texts has no word that the model knows\n"
    )
    records = [json.loads(line) for line in printed(run, capsys, path, "--json")[0]]
    assert [record["line"] for record in records] == list(range(1, 602, 2))


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
    (tmp_path / "o.csv").mkdir()
    out = tmp_path / "o.csv"
    with pytest.raises(OSError, match="Is a directory") as raised:
        classify.main([str(run), str(tmp_path / "mine.txt"), "--out", str(out)])
    assert raised.value.filename == str(out)
    out = tmp_path / "mine.txt" / "o.csv"
    with pytest.raises(OSError, match="File exists") as raised:
        classify.main([str(run), str(tmp_path / "mine.txt"), "--out", str(out)])
    assert raised.value.filename == str(out.parent)


def test_missing_folders_are_made_and_told(run, tmp_path, capsys):
    """Those that stay empty are taken away again."""
    (tmp_path / "mine.txt").write_text("the cat\n")
    out = tmp_path / "a" / "b" / "o.csv"
    with pytest.raises(DataError, match=r"gone\.txt"):
        classify.main([str(run), str(tmp_path / "gone.txt"), "--out", str(out)])
    assert not (tmp_path / "a").exists()
    capsys.readouterr()
    classify.main([str(run), str(tmp_path / "mine.txt"), "--out", str(out)])
    told = capsys.readouterr()
    assert told.err.startswith(f"--out: makes the folders {tmp_path / 'a'}, {tmp_path / 'a' / 'b'}\n")
    assert len(out.read_text().splitlines()) == 2
    classify.main([str(run), str(tmp_path / "mine.txt"), "--out", str(out)])
    assert "makes" not in capsys.readouterr().err


def novelties(model, texts, log_z):
    """Novelties in float64, one text after the other, from what each has of it by itself."""
    nll = model.nll(texts, n_samples=4, log_z=log_z)
    values = []
    for text, surprise in zip(texts, nll.tolist(), strict=True):
        words = text.lower().split()[: model.max_words]
        n_unknown = sum(not model.vocabulary.knows(word) for word in words)
        p = model.symbol_probabilities([text])[0].double()
        entropy = -float((p * p.clamp(min=1e-300).log()).sum())
        values.append((surprise + n_unknown * math.log(len(model.vocabulary))) / (len(words) + 1) + 2.0 * entropy)
    return torch.tensor(values)


def test_novelty_is_surprise_a_token_and_entropy_of_the_symbol(run, tmp_path, capsys, short):
    from svebm_ext.models.novelty import estimate_of

    texts = [*sentences(118), "the xyzzy sees the moon", "plugh plugh"]
    write_as("lines", tmp_path / "mine.txt", texts)
    printed(run, capsys, tmp_path / "mine.txt", "--out", tmp_path / "o.jsonl", "--novelty")
    rows = read_back(tmp_path / "o.jsonl")
    assert list(rows[0]) == ["text", "symbol", "label", "probability", "novelty"]
    model = SVEBM.from_pretrained(run)
    expected = novelties(model, texts, estimate_of(model, {}).log_z)
    assert [row["novelty"] for row in rows] == pytest.approx(expected.tolist(), abs=1e-3)
    assert estimate_of(model, {"log_z_upper": 3.0, "nll_proposal_scale": 1.4}) == (3.0, 1.4)
    records = [json.loads(line) for line in printed(run, capsys, tmp_path / "mine.txt", "--json", "--novelty")[0]]
    assert [record["novelty"] for record in records] == pytest.approx(expected.tolist(), abs=1e-3)
    lines = printed(run, capsys, tmp_path / "mine.txt", "--novelty")[0]
    assert [line.split("\t")[2] for line in lines] == [f"{record['novelty']:.2f}" for record in records]
    assert [line.split("\t")[3] for line in lines] == texts


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


def test_messages_name_the_options_of_classify(run, tmp_path):
    (tmp_path / "in.csv").write_text("id,text\n1,a red car\n2\n3,a dog\n")
    with pytest.raises(DataError, match=r"in\.csv:3: 1 column, .*set --format lines\)$"):
        classify.main([str(run), str(tmp_path / "in.csv")])
    (tmp_path / "in.csv").write_text("id,text\n1,a red car\n")
    with pytest.raises(DataError, match=r"--text-column: no column 'nope'"):
        classify.main([str(run), str(tmp_path / "in.csv"), "--text-column", "nope"])


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
