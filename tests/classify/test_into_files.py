"""`classify --out`: columns that are kept and added to."""

import json

import pytest
from classified_files import FORMS, WRITTEN, parquet, printed, pyarrow, read_back, sentences, write_as

from svebm_ext import classify
from svebm_ext.errors import ConfigError, DataError
from svebm_ext.models.svebm import SVEBM


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


def test_the_file_that_is_read_is_never_written(run, tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("id,text\n1,the cat sees it\n")
    link = tmp_path / "link.csv"
    link.symlink_to(path)
    for out in (path, link):
        with pytest.raises(ConfigError, match="is the file that is read; expected another one"):
            classify.main([str(run), "--file", str(path), "--out", str(out)])
    assert path.read_text() == "id,text\n1,the cat sees it\n"


def test_rows_without_a_text_stay_in_the_file_without_an_answer(run, tmp_path, capsys):
    (tmp_path / "mine.csv").write_text('id,text,more\n1,the cat sees it,"=a"\n2, ,x\n\n3,"nobody likes ""trees""",\n')
    out = tmp_path / "out.csv"
    _, said = printed(run, capsys, tmp_path / "mine.csv", "--out", out)
    assert f"{tmp_path / 'mine.csv'}: 2 lines without a text: no answer\n" in said
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
    with pytest.raises(DataError, match=r"mine\.tsv:301: 1 column"):
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
