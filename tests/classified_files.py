"""Files of texts for tests of `classify`: written in each format, and read back."""

import csv
import gzip
import io
import json

from tiny_runs import OBJECTS, SUBJECTS, VERBS

from svebm_ext import classify

try:
    import pyarrow
    from pyarrow import parquet
except ImportError:
    pyarrow = parquet = None
#: A file of each form that can be written here.
WRITTEN = ("o.csv", "o.tsv", "o.jsonl", *(() if pyarrow is None else ("o.parquet",)))


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
