"""Readers on files written by hand, plain and gzipped."""

import gzip
import json

import pytest

from svebm_ext.data import load_corpus
from svebm_ext.data.readers.news import clean_news
from svebm_ext.errors import DataError


@pytest.fixture(params=["plain", "gzip"])
def write(tmp_path, request):
    """A function that writes files under the data root, and returns the root."""

    def write_files(files):
        for name, content in files.items():
            path = tmp_path / (name if request.param == "plain" else f"{name}.gz")
            path.parent.mkdir(parents=True, exist_ok=True)
            data = (content if isinstance(content, str) else json.dumps(content)).encode()
            path.write_bytes(data if request.param == "plain" else gzip.compress(data))
        return tmp_path

    return write_files


PTB = {
    "ptb/ptb.train.txt": " the <unk> N \n it 's \n",
    "ptb/ptb.valid.txt": " v \n",
    "ptb/ptb.test.txt": " t u \n",
}
YELP = {
    f"yelp/sentiment.{split}.{label}": f"{split} {label}\nsecond\n"
    for split in ("train", "dev", "test")
    for label in (0, 1)
}
DAILY = {
    f"daily_dialog/{split}/dialogues{kind}.txt": content
    for split in ("train", "validation", "test")
    for kind, content in {
        "": "Hi , Bob ! __eou__ How are you ? __eou__\nGo.Now __eou__ No __eou__ Ok __eou__\n",
        "_act": "1 2 \n3 4 4 \n",
        "_emotion": "4 0 \n1 2 6 \n",
    }.items()
}


def turn(speaker, text):
    return {"turn": speaker, "data": {"utterance": text, "end_dialogue": False}}


SMD = {
    f"kvret/kvret_{split}_public.json": [
        {
            "dialogue": [turn("driver", "Where is Ravenswood?"), turn("assistant", " "), turn("driver", "thanks")],
            "scenario": {"task": {"intent": "navigate"}, "kb": {}},
        },
        {"dialogue": [turn("driver", "Rain?")], "scenario": {"task": {"intent": "weather"}}},
    ]
    for split in ("train", "dev", "test")
}
NEWS = {
    f"agnews/{split}.jsonl": '{"label": 3, "headline": "Oil up", "text": "At #36;50"}\n'
    '{"label": "4", "headline": "A", "text": "B"}\n'
    for split in ("train", "dev", "test")
}
CLINC = {
    "clinc150/clinc150.tsv": "val\ttravel\ttranslate\tsay Hi\ntrain\twork\tmeeting\twhen?\ntest\twork\tpto\tleave\n"
}
SNIPS = {
    "snips/snips.tsv": "train\tPlay\tplay Jazz\ntrain\tRate\trate it\ntrain\tPlay\tmusic\nvalid\tRate\tfive stars\n"
}


def test_ptb(write):
    corpus = load_corpus("ptb", write(PTB))
    assert corpus.train.sentences == [["the", "<unk>", "N"], ["it", "'s"]]
    assert (corpus.valid.sentences, corpus.test.sentences) == ([["v"]], [["t", "u"]])
    assert corpus.train.labels == {} and corpus.name == "ptb"


def test_folder_of_the_corpus_itself(write):
    root = write(PTB)
    assert load_corpus("ptb", root / "ptb").test.sentences == [["t", "u"]]


def test_root_from_the_environment(write, monkeypatch):
    monkeypatch.setenv("SVEBM_DATA_ROOT", str(write(PTB)))
    assert load_corpus("ptb").test.sentences == [["t", "u"]]


def test_yelp(write):
    corpus = load_corpus("yelp", write(YELP))
    assert corpus.valid.sentences == [["dev", "0"], ["second"], ["dev", "1"], ["second"]]
    assert corpus.train.labels == {"sentiment": ["negative", "negative", "positive", "positive"]}


def test_daily_dialog(write):
    root = write(DAILY)
    split = load_corpus("daily-dialog", root).valid
    assert split.sentences == [
        ["hi", ",", "bob", "!"],
        ["how", "are", "you", "?"],
        ["go", ".", "now"],
        ["no"],
        ["ok"],
    ]
    # The release's columns: act 1 inform, 2 question, 3 directive, 4 commissive.
    assert split.labels["act"] == ["inform", "question", "directive", "commissive", "commissive"]
    assert split.labels["emotion"] == ["happiness", "no emotion", "anger", "disgust", "surprise"]
    assert split.dialogs == [0, 0, 1, 1, 1]
    assert split.previous_turns(4) == [2, 3]
    assert load_corpus("daily-dialog", root, lowercase=False).train.sentences[0][0] == "Hi"


def test_daily_dialog_with_the_names_of_the_release(write):
    renamed = {name.replace(".txt", f"_{name.split('/')[1]}.txt"): content for name, content in DAILY.items()}
    assert len(load_corpus("daily-dialog", write(renamed)).test) == 5


def test_smd(write):
    corpus = load_corpus("smd", write(SMD))
    assert corpus.test.sentences == [["Where", "is", "Ravenswood", "?"], ["thanks"], ["Rain", "?"]]
    assert corpus.test.labels == {"domain": ["navigate", "navigate", "weather"], "speaker": ["driver"] * 3}
    assert corpus.test.previous_turns(1) == [0] and corpus.test.previous_turns(2) == []
    assert corpus.notes == ("3 turns without text left out",)


def test_agnews(write):
    corpus = load_corpus("agnews", write(NEWS))
    assert corpus.train.sentences == [["oil", "up", "at", "$", "50"], ["a", "b"]]
    assert corpus.test.labels == {"topic": ["Business", "Sci/Tech"]}
    assert corpus.notes == ()


def test_agnews_as_released(write):
    rows = "".join(f'"{1 + i % 4}","Head {i}","say ""hi"",\\ok"\n' for i in range(40))
    corpus = load_corpus("agnews", write({"agnews/train.csv": rows, "agnews/test.csv": rows}))
    assert (len(corpus.train), len(corpus.valid), len(corpus.test)) == (36, 4, 40)
    assert corpus.test.sentences[7] == ["head", "7", "say", '"', "hi", '"', ",", "ok"]
    numbers = {s[1] for s in corpus.train.sentences} | {s[1] for s in corpus.valid.sentences}
    assert numbers == {str(i) for i in range(40)}
    assert "4 training documents held out" in corpus.notes[0]


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Sony #39;s player", "Sony's player"),
        ("the  #36;10 million", "the $10 million"),
        ("a\\new line", "a new line"),
        ("quot;no quot; AT amp;T", '"no " AT &T'),
        ("the &lt;b&gt;...&lt;/b&gt; end", "the   ...   end"),
        ("costs &lt; 5; C#12; x", "costs < 5; C \x0c x"),
    ],
)
def test_clean_news(text, cleaned):
    assert clean_news(text).split() == cleaned.split()


def test_clinc150_and_snips(write):
    corpus = load_corpus("clinc150", write(CLINC | SNIPS))
    assert corpus.valid.sentences == [["say", "hi"]]
    assert corpus.test.labels == {"domain": ["work"], "intent": ["pto"]}
    corpus = load_corpus("snips", write({}), lowercase=False)
    assert (len(corpus.train), len(corpus.valid)) == (2, 1)
    assert corpus.test.sentences == [["five", "stars"]] and corpus.test.labels == {"intent": ["Rate"]}


DIALOG = "daily_dialog/test/dialogues"


@pytest.mark.parametrize(
    ("name", "files", "change", "message"),
    [
        ("ptb", PTB, {"ptb/ptb.valid.txt": None}, r"ptb/ptb\.valid\.txt\[\.gz\], ptb\.valid\.txt\[\.gz\]"),
        ("ptb", PTB, {"ptb/ptb.train.txt": "a\n\nb\n"}, r"ptb\.train\.txt(\.gz)?:2: empty line"),
        ("ptb", PTB, {"ptb/ptb.train.txt": ""}, r"ptb\.train\.txt(\.gz)?: the file is empty"),
        ("yelp", YELP, {"yelp/sentiment.dev.1": None}, r"yelp/sentiment\.dev\.1"),
        (
            "daily_dialog",
            DAILY,
            {f"{DIALOG}_act.txt": "1 2\n"},
            r"_act\.txt(\.gz)?:2: 1 lines for 2 of .*dialogues\.txt",
        ),
        ("daily_dialog", DAILY, {f"{DIALOG}_act.txt": "1 2\n3 4\n"}, r"_act\.txt(\.gz)?:2: 2 labels for 3 utterances"),
        ("daily_dialog", DAILY, {f"{DIALOG}_emotion.txt": "1\n3 4 5\n"}, r"_emotion\.txt(\.gz)?:1: 1 labels for 2"),
        ("daily_dialog", DAILY, {f"{DIALOG}_act.txt": "1 0\n3 4 4\n"}, r"_act\.txt(\.gz)?:1: unknown label '0'"),
        ("daily_dialog", DAILY, {f"{DIALOG}.txt": "a __eou__ b\nc __eou__\n"}, r"dialogues\.txt(\.gz)?:1: text after"),
        (
            "daily_dialog",
            DAILY,
            {f"{DIALOG}.txt": "a __eou__ __eou__\nc __eou__ d __eou__ e __eou__\n"},
            r"dialogues\.txt(\.gz)?:1: empty utterance",
        ),
        (
            "smd",
            SMD,
            {"kvret/kvret_dev_public.json": {}},
            r"kvret_dev_public\.json(\.gz)?: expected a non-empty JSON list",
        ),
        ("smd", SMD, {"kvret/kvret_dev_public.json": [{"scenario": {}}]}, r"dialog 0 \(from 0\): expected scenario"),
        ("smd", SMD, {"kvret/kvret_dev_public.json": [3]}, r"dialog 0 \(from 0\)"),
        (
            "smd",
            SMD,
            {"kvret/kvret_dev_public.json": [{"scenario": {"task": {"intent": "a"}}, "dialogue": [turn("driver", 3)]}]},
            r"must be strings",
        ),
        ("agnews", NEWS, {"agnews/test.jsonl": '{"label": 1, "text": "a"}'}, r"test\.jsonl(\.gz)?:1: no 'headline'"),
        (
            "agnews",
            NEWS,
            {"agnews/test.jsonl": '{"label": 5, "headline": "a", "text": "a"}'},
            r"test\.jsonl(\.gz)?:1: unknown label '5'",
        ),
        (
            "agnews",
            NEWS,
            {"agnews/test.jsonl": '{"label": 1, "headline": 2, "text": "a"}'},
            r"test\.jsonl(\.gz)?:1: headline and text must be strings",
        ),
        ("agnews", NEWS, {"agnews/test.jsonl": '{"label": 1, "headline": "", "text": " "}'}, r":1: no text"),
        ("agnews", NEWS, {"agnews/test.jsonl": None, "agnews/test.csv": '1,"a"\n'}, r"test\.csv(\.gz)?:1: 2 columns"),
        ("agnews", NEWS, {"agnews/test.jsonl": None, "agnews/test.csv": '1,"a"b\n'}, r"test\.csv(\.gz)?:1: not CSV"),
        (
            "clinc150",
            CLINC,
            {"clinc150/clinc150.tsv": "val\ttravel\thi\n"},
            r"clinc150\.tsv(\.gz)?:1: 3 columns, expected 4",
        ),
        ("clinc150", CLINC, {"clinc150/clinc150.tsv": "dev\ta\tb\thi\n"}, r":1: unknown split 'dev'"),
        ("snips", SNIPS, {"snips/snips.tsv": "train\ta\t \n"}, r":1: no text"),
        ("snips", SNIPS, {"snips/snips.tsv": "train\ta\thi\n"}, r"expected sentences of both splits"),
    ],
)
def test_errors_name_file_and_line(write, name, files, change, message):
    files = {key: value for key, value in (files | change).items() if value is not None}
    with pytest.raises(DataError, match=message):
        load_corpus(name, write(files))


def test_encoding_error_names_file_and_line(tmp_path):
    for name, content in PTB.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content.encode("latin-1") + (b"ok\ncaf\xe9\n" if "test" in name else b""))
    with pytest.raises(DataError, match=r"ptb\.test\.txt:3: not UTF-8"):
        load_corpus("ptb", tmp_path)


def test_unknown_corpus_and_missing_root(monkeypatch, tmp_path):
    with pytest.raises(DataError, match="no corpus named 'penn'; expected one of assistant, ptb, daily-dialog"):
        load_corpus("penn", tmp_path)
    monkeypatch.delenv("SVEBM_DATA_ROOT", raising=False)
    with pytest.raises(
        DataError, match=r"'ptb' needs a data root: --data.root DIR or SVEBM_DATA_ROOT.*download_corpus"
    ):
        load_corpus("ptb")
    with pytest.raises(DataError, match=r"'yelp' needs a data root.*by hand.*Sentiment-and-Style-Transfer"):
        load_corpus("yelp")
    with pytest.raises(DataError, match="no such folder"):
        load_corpus("ptb", tmp_path / "nowhere")


def test_embedded_corpus_needs_no_root(monkeypatch):
    monkeypatch.delenv("SVEBM_DATA_ROOT", raising=False)
    corpus = load_corpus("assistant", seed=1)
    assert corpus.name == "assistant" and min(len(corpus.train), len(corpus.valid), len(corpus.test)) > 0
