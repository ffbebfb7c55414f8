"""Tables as people have them: delimiters, names of columns, and which column is what."""

import json

import pytest
from table_files import DATES, LABELS, NUMBERS, TEXTS, USUAL, read, rows, write

from svebm_ext.data import load_text
from svebm_ext.data.delimited import find_delimiter, read_delimited
from svebm_ext.data.examples import read_examples
from svebm_ext.errors import DataError


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["a.csv", "a.txt"])
def test_delimiters_are_found(tmp_path, delimiter, name):
    path = write(tmp_path, name, f"label{delimiter}text\n" + rows(delimiter, LABELS, TEXTS))
    assert read(path) == (TEXTS, LABELS, [USUAL])


def test_quotes_commas_and_line_breaks_in_fields(tmp_path):
    content = 'label,text\r\na,"one, ""two""\r\nthree"\r\n"b ","four"\r\n,five\r\n'
    path = write(tmp_path, "a.csv", content)
    found = read_examples(path)
    assert found.texts == ['one, "two"\r\nthree', "four", "five"]
    assert found.labels == ["a", "b", ""] and list(found.rows) == [2, 4, 5]
    corpus = load_text(path, path, path)
    assert corpus.train.sentences[0] == ["one", ",", '"', "two", '"', "three"]


def test_quotes_of_tab_separated_files_are_syntax_where_they_must_be(tmp_path):
    plain = write(tmp_path, "plain.tsv", 'a\t"quoted speech"\nb\t5" screen\n')
    assert read(plain)[0] == ['"quoted speech"', '5" screen']
    written = write(tmp_path, "written.tsv", 'a\t"he said ""no"" to it"\nb\t"with a\ttab"\nb\tplain\n')
    assert read(written)[0] == ['he said "no" to it', "with a\ttab", "plain"]


@pytest.mark.parametrize(
    ("header", "columns", "expected"),
    [
        ("text,label", (TEXTS, LABELS), "text from column 'text' (1), labels from 'label' (2)"),
        ("Label,Text", (LABELS, TEXTS), "text from column 'Text' (2), labels from 'Label' (1)"),
        ("intent,utterance", (LABELS, TEXTS), "text from column 'utterance' (2), labels from 'intent' (1)"),
        ("v1,v2", (LABELS, TEXTS), "text from column 'v2' (2), labels from 'v1' (1)"),
        (
            "date,category,text,views",
            (DATES, LABELS, TEXTS, NUMBERS),
            "text from column 'text' (3), labels from 'category' (2); other columns: 'date' (1), 'views' (4)",
        ),
        ("text,views,date", (TEXTS, NUMBERS, DATES), None),
        (None, (LABELS, TEXTS), "text from column 2, labels from column 1"),
        (None, (TEXTS, LABELS), "text from column 1, labels from column 2"),
        (None, (NUMBERS, TEXTS), "text from column 2, no labels; other columns: number 1"),
        (None, (DATES, LABELS, TEXTS), "text from column 3, labels from column 2; other columns: number 1"),
        (
            None,
            (["train", "test"] * 10, LABELS, TEXTS),
            "text from column 3, labels from column 2; other columns: number 1",
        ),
    ],
)
def test_the_sensible_choice_of_columns_is_told(tmp_path, header, columns, expected):
    path = write(tmp_path, "a.csv", (f"{header}\n" if header else "") + rows(",", *columns))
    unlabelled = expected is None or "no labels" in expected
    note = expected or "text from column 'text' (1), no labels; other columns: 'views' (2), 'date' (3)"
    assert read(path) == (TEXTS, [""] * 20 if unlabelled else LABELS, [note])


def test_a_first_line_of_names_is_neither_class_nor_example(tmp_path):
    path = write(tmp_path, "header.tsv", "label\ttext\n" + rows("\t", LABELS, TEXTS))
    assert read(path) == (TEXTS, LABELS, [USUAL])
    again = write(tmp_path, "again.tsv", "query\twhere is it\nquery\twho is it\nanswer\there it is\n")
    assert read(again)[1] == ["query", "query", "answer"]  # a class of that name is no name of a column
    alone = write(tmp_path, "alone.csv", 'text\n"one, two"\nthree\n')
    assert read(alone) == (["one, two", "three"], ["", ""], ["text from column 'text' (1), no labels"])


def test_text_before_label_is_known_by_content(tmp_path):
    path = write(tmp_path, "swapped.tsv", rows("\t", TEXTS, LABELS))
    assert read(path) == (TEXTS, LABELS, ["text from column 1, labels from column 2"])
    usual = write(tmp_path, "usual.tsv", rows("\t", LABELS, TEXTS))
    assert read(usual) == (TEXTS, LABELS, [])


def test_columns_asked_for(tmp_path):
    titles = [f"on {date}" for date in DATES]
    path = write(tmp_path, "a.csv", "domain,intent,text,title\n" + rows(",", LABELS, NUMBERS, TEXTS, titles))
    assert read(path, text_column="title", label_column="domain")[:2] == (titles, LABELS)
    assert read(path, text_column="4", label_column="1")[:2] == (titles, LABELS)
    assert read(path, text_column="TITLE", label_column="0")[:2] == (titles, [""] * 20)
    with pytest.raises(DataError, match=r"data\.text-column: no column 'body'; there are 'domain' \(1\) for instance"):
        read(path, text_column="body")
    with pytest.raises(DataError, match=r"data\.label-column: no column '5'"):
        read(path, label_column="5")
    with pytest.raises(DataError, match=r"'text' \(3\) is asked for as text and as label"):
        read(path, text_column="text", label_column="3")
    unnamed = write(tmp_path, "b.csv", "Klasse,Satz hier\n" + rows(",", LABELS[:3], TEXTS[:3]))
    assert read(unnamed, text_column="Satz hier")[0] == TEXTS[:3]
    lines = write(tmp_path, "lines.txt", "one\ntwo\nthree\n")
    with pytest.raises(DataError, match=r"lines\.txt: has no columns, but data\.text-column 'text' is asked for"):
        load_text(lines, text_column="text")


def test_a_column_asked_for_may_be_in_the_labelled_file_alone(tmp_path):
    texts = write(tmp_path, "texts.csv", "text\n" + "".join(f'"{text}"\n' for text in TEXTS))
    labelled = write(tmp_path, "labelled.csv", "text,topic,act\n" + rows(",", TEXTS, LABELS, NUMBERS))
    corpus = load_text(texts, labelled=labelled, label_column="topic")
    assert set(corpus.train.labels["label"]) == {"tech", "post", "money"}  # all of the texts, which count once
    assert len(corpus.train) + len(corpus.valid) + len(corpus.test) == 20


@pytest.mark.parametrize("column", ["subject", "body"])
def test_whoever_names_the_text_alone_wants_no_labels_where_several_columns_could_be_them(tmp_path, column):
    """The same for each column that is named; without a name for the text either, there is no sensible choice."""
    lines = [f"{LABELS[i]},{'ab'[i % 2]},help {i},{TEXTS[i].replace(',', '')}" for i in range(len(TEXTS))]
    path = write(tmp_path, "tickets.csv", "product,city,subject,body\n" + "\n".join(lines) + "\n")
    corpus = load_text(path, path, path, text_column=column)
    assert not corpus.train.labels
    assert any("no labels; other columns: 'product' (1), 'city' (2)" in note for note in corpus.notes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "domain,intent,text\nx,a,hi there\ny,b,oh no\n",
            r"a\.csv:2: 3 columns, and which one is the label cannot be told",
        ),
        (
            "title,description,label\na b,c d,x\ne f,g h,y\n",
            r"a\.csv:2: .* text cannot be told: 'title' \(1\) for instance 'a b'",
        ),
        ('label,text\na,"one"\nb,"two" three\n', r"a\.csv:3: not CSV: .*--data\.format lines"),
        ('label,text\na,"one\nb,two\n', r"a\.csv:2: not CSV: unexpected end of data"),
        ("label,text\na,one\nb,two,three\n", r"a\.csv:3: 3 columns, expected 2: label,text .*--data\.format lines"),
        ("label,text\n", r"a\.csv: no rows below the names of columns label, text"),
        (
            "id,comment\n" + "1,good\n2,bad, noisy\n" * 9,
            r"a\.csv:3: 3 columns, expected 2 as in line 1 \(quote a field",
        ),
        ("Yes, sir\nI like it, really, a lot\nNo\n", r"a\.csv:\d: \d columns, expected \d.*--data\.format lines"),
    ],
)
def test_tables_that_cannot_be_read(tmp_path, content, message):
    with pytest.raises(DataError, match=message):
        read(write(tmp_path, "a.csv", content))


PROSE = [
    "Hello, world\nYes, sir\nNo, madam\n" * 5,
    "Hello, world, and all\nYes, sir\nNo\n" * 5,
    '"Hello," he said, "I am here."\n"Yes," she said, "I know."\n' * 10,
    "text, drugs, and rock\nlabel, brand\nwow\n",
    "we have 1,000 people\nthey have 2,500 dogs\n" * 10,
    "a; b\nc; d\n" * 10,
    "[laughs] hello\n[sighs] no\n",
    "[1] a note\n[2] another [x]\n",
    "{sigh} okay\n{laugh} yes\n",
    "<unk> is here\n<unk> was there\n<s> hi </s>\n",
    "你好,世界\n再见,朋友\n" * 10,
    "I <3 this\n<3 <3\n",
    "one\ttab\nnone\nnone here\n",
]


@pytest.mark.parametrize("content", PROSE)
def test_prose_stays_lines(tmp_path, content):
    path = write(tmp_path, "a.txt", content)
    assert read(path) == (content.splitlines(), [""] * content.count("\n"), [])


def test_rows_without_names_and_quotes_are_a_table_only_where_there_are_many():
    lines = [f"{label},{text.replace(',', '')}" for label, text in zip(LABELS, TEXTS, strict=True)]
    assert find_delimiter(lines) == ","
    assert find_delimiter(lines[:9]) is None
    assert find_delimiter([line.replace(",", ", ") for line in lines]) is None


def test_structure_that_cannot_be_read_is_no_text(tmp_path):
    for content, message in (
        ('{"text": "a"}\n{"text": "b"\n', r"a\.txt:2: not JSON: .*--data\.format lines"),
        ('[{"text": "a"},\n {"text": "b"\n', r"a\.txt:\d: not JSON: .*--data\.format lines"),
        ("<html>\n<p>one</p>\n", r"a\.txt: markup \(XML or HTML\) in place of text: '<html>'.*--data\.format lines"),
        ("<doc>\n<item>one</item>\n</doc>\n", r"a\.txt: markup"),
        ("- text: one\n  label: a\n- text: two\n  label: b\n", r"a\.txt: YAML in place of text: '- text: one'"),
        ("1 1:0.5 7:3.2\n-1 2:1e-3\n+1 3:2\n", r"a\.txt: SVMlight's numbers in place of text"),
        ("1\n00:00:01,000 --> 00:00:02,500\nhello\n2\n01:01.000 --> 01:02.500 X1:5\nyes\n", r"a\.txt: subtitles"),
        ("label,text\na,one\nb,two,three\n", r"a\.txt:3: 3 columns, expected 2"),
        ("| text | label |\n|---|:---|\n| one | a |\n", r"a\.txt: a Markdown table; .*--data\.format lines"),
        ("{'text': 'a'}\n{'text': 'b'}\n", r"a\.txt:1: not JSON: .*--data\.format lines"),
    ):
        path = write(tmp_path, "a.txt", content)
        with pytest.raises(DataError, match=message):
            read(path)
        assert read(path, format="lines")[0] == content.splitlines()
    with pytest.raises(DataError, match=r"a\.txt: subtitles"):  # and no advice on empty lines
        read(
            write(
                tmp_path, "a.txt", "1\n00:00:01,000 --> 00:00:02,500\nhello\n\n2\n00:00:03,000 --> 00:00:04,500\nyes\n"
            )
        )


@pytest.mark.parametrize(
    "content",
    [
        "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\nGerman JJ B-NP B-MISC\n\nPeter NNP B-NP B-PER\n",
        "Peter B-PER\nsings O\n\nnobody O\nhears O\n",
        "Peter\tB-PER\nsings\tO\n\nnobody\tO\nhears\tO\n",
        "the DT\ncat NN\n\nhis PRP$\ndog NN\n",
        "# text = Dogs bark\n1\tDogs\tdog\tNOUN\tNNS\t_\t2\tnsubj\t_\t_\n2\tbark\tbark\tVERB\tVBP\t_\t0\troot\t_\t_\n\n"
        "1\tYes\tyes\tINTJ\tUH\t_\t0\troot\t_\t_\n",
    ],
    ids=["names in four columns", "names", "names, tabs", "parts of speech", "CoNLL-U"],
)
def test_words_with_tags_are_no_texts(tmp_path, content):
    path = write(tmp_path, "a.txt", content)
    with pytest.raises(DataError, match=r"a\.txt: a word with its tags in each line \(CoNLL\).*--data\.format lines"):
        read(path)


@pytest.mark.parametrize(
    "content",
    [
        "GO HOME\nCOME BACK\nDO IT\n",
        "go home\n\ncome back\n\ndo it\n",
        "GO AND SEE\n\nDO IT\n\nNO WAY\n",
        "good\tPOS\nbad\tNEG\n",
    ],
    ids=["no empty line", "no tags", "other lengths", "labels"],
)
def test_short_texts_are_no_words_with_tags(tmp_path, content):
    texts, *_ = read(write(tmp_path, "a.txt", content), empty_lines="skip")
    assert len(texts) == len(content.split("\n")) - 1 - content.count("\n\n")


def test_labels_that_are_none(tmp_path):
    keys = [f"k{i}" for i in range(60)]
    path = write(tmp_path, "a.tsv", rows("\t", keys, [f"some text {i}" for i in range(60)]))
    with pytest.raises(DataError, match=r"column 1 would give 60 different labels to 60 lines.*--data\.label-column"):
        load_text(path)
    assert load_text(path, label_column="0").train.labels == {}
    with pytest.raises(DataError, match=r"column 1 would give 60 different labels to 60 lines.*--data\.label-column"):
        load_text(path, label_column="1")
    assert len(load_text(path, format="lines").train) == 48


@pytest.mark.parametrize(
    ("n", "n_classes", "told", "refused"),
    [
        (40, 40, True, False),  # a labelled text for each class, as few labels are
        (40, 20, False, False),
        (100, 9, False, False),
        (100, 11, True, False),
        (100, 51, True, False),
        (100, 89, True, False),
        (100, 90, True, True),
        (100, 100, True, True),
    ],
)
def test_many_classes_of_a_column_that_was_asked_for(tmp_path, n, n_classes, told, refused):
    """Told from 10 % of the lines on, refused from 90 % on; a column that nobody asked for is refused from half on."""
    values = [f"k{i % n_classes}" for i in range(n)]
    path = write(tmp_path, "a.csv", rows(",", ["text", *(f"some text {i}" for i in range(n))], ["name", *values]))
    if refused:
        with pytest.raises(DataError, match=rf"'name' \(2\) would give {n_classes} different labels to {n} lines"):
            read(path, label_column="name")
        return
    _, labels, notes = read(path, label_column="name")
    assert labels == values
    assert (f"{n_classes} different labels in {n} lines, from column 'name' (2)" in notes) == told


CODES = {
    "numbers": [str(i) for i in range(40)],
    "full-width numbers": [chr(0xFF10 + i % 10) for i in range(40)],
    "amounts": [f"{i},{i:03d}.50" for i in range(40)],
    "dates": [f"2020-01-{i % 28 + 1:02d}" for i in range(40)],
    "moments": [f"2020-01-{i % 28 + 1:02d} 10:{i:02d}:00" for i in range(40)],
    "stars": ["***", "****", "**", "*"] * 10,
    "nearly all numbers": [str(i) for i in range(39)] + ["not a number at all"],
}


@pytest.mark.parametrize("values", CODES.values(), ids=CODES)
@pytest.mark.parametrize("ending", ["csv", "jsonl", "tsv"])
def test_a_column_without_texts_is_refused_with_the_list_of_columns(tmp_path, values, ending):
    said = [f"some text number {i}" for i in range(len(values))]
    if ending == "jsonl":
        lines = [json.dumps({"key": v, "said": t}, ensure_ascii=False) for v, t in zip(values, said, strict=True)]
        path = write(tmp_path, "a.jsonl", "\n".join(lines) + "\n")
    else:
        delimiter = "," if ending == "csv" else "\t"
        path = write(tmp_path, f"a.{ending}", rows(delimiter, ["key", *values], ["said", *said]))
    with pytest.raises(DataError, match=r"nearly all values of \w+ 'key'.*expected texts; there are 'key'.*'said'"):
        read(path, text_column="key", label_column="0")
    assert read(path, text_column="said", label_column="0")[0] == said


@pytest.mark.parametrize(
    "values",
    [
        ["今天天气很好"] * 30 + [f"第{i}次会议" for i in range(10)],
        ["yes", "no", "hello", "stop"] * 10,
        [f"flight {i} to boston" for i in range(40)],
        [f"{i} {i + 1} {i + 2}" for i in range(40)],  # ids of words, as some corpora are published
        ["b2b", "covid19", "mp3", "5g"] * 10,
        [str(i) for i in range(30)] + ["a text"] * 10,
    ],
)
def test_short_texts_and_texts_with_numbers_are_texts(tmp_path, values):
    path = write(tmp_path, "a.csv", rows(",", ["text", *values], ["n", *map(str, range(40))]))
    assert read(path)[0] == values


@pytest.mark.parametrize(
    "values",
    [["１", "２"], ["Ａ", "Ｂ"], ["１２", "３４"], ["１", "1"], ["①", "②"], ["１．", "２．"]],
    ids="-".join,
)
@pytest.mark.parametrize("kind", ["tsv", "csv", "jsonl", "fasttext"])
def test_full_width_labels_are_text_as_any_other(tmp_path, values, kind):
    """They are names of classes, kept as they were written, and no numbers of columns or rows."""
    labels = [values[i % 2] for i in range(60)]
    texts = [f"some text number {i}" for i in range(60)]
    pairs = list(zip(labels, texts, strict=True))
    content = {
        "tsv": "".join(f"{v}\t{t}\n" for v, t in pairs),
        "csv": "label,text\n" + "".join(f"{v},{t}\n" for v, t in pairs),
        "jsonl": "".join(json.dumps({"label": v, "text": t}, ensure_ascii=False) + "\n" for v, t in pairs),
        "fasttext": "".join(f"__label__{v} {t}\n" for v, t in pairs),
    }[kind]
    path = write(tmp_path, "a.txt" if kind == "fasttext" else f"a.{kind}", content)
    found = read(path)
    assert found[0] == texts and found[1] == labels
    corpus = load_text(path, seed=2)
    assert set(corpus.train.labels["label"]) == set(values)


def test_what_cannot_be_seen_makes_no_class_of_its_own(tmp_path):
    """Zero-width and soft characters, marks of direction, decomposed letters, spaces of any width."""
    forms = ["café au lait", "cafe\u0301 au lait", "caf\u00ade\u0301 au\u2003lait", "\u202acafé au  lait\u202c\ufeff"]
    content = "".join(f"{form}\tone {number}\n" for number, form in enumerate(forms))
    assert read(write(tmp_path, "a.tsv", content))[1] == ["café au lait"] * 4


def test_the_line_by_which_excel_names_the_delimiter():
    table = read_delimited("a", "sep=;\nlabel;text\na;one, two\n", None)
    assert (table.names, table.columns, list(table.rows)) == (["label", "text"], [("a",), ("one, two",)], [3])


def test_lines_after_the_last_row_are_no_examples(tmp_path):
    assert read(write(tmp_path, "a.tsv", "a\tone\nb\ttwo\n\n\n"))[0] == ["one", "two"]
    assert read(write(tmp_path, "a.csv", "text,label\none,a\n\n"))[0] == ["one"]
    assert read(write(tmp_path, "a.jsonl", '{"text": "one"}\n\n'))[0] == ["one"]
    for name, content in (("a.tsv", "a\tone\n\nb\ttwo\n"), ("a.csv", "text,label\n\none,a\n")):
        with pytest.raises(DataError, match=r":2: no text in this row"):
            read(write(tmp_path, name, content), empty_lines="error")


def test_long_fields_are_read(tmp_path):
    path = write(tmp_path, "a.csv", f'label,text\na,"{"word " * 100_000}"\n')
    assert len(read(path)[0][0]) == 500_000
