"""Text of one's own: corpora as files, rows, measures, and the report, from the command on tiny stand-ins."""

import json
import random
import sys
from dataclasses import replace

import pytest
from tiny_runs import COMMON, TOPICS

from svebm_ext import experiments
from svebm_ext.config import validate
from svebm_ext.errors import ConfigError
from svebm_ext.experiments.measured import last_line, run_measured
from svebm_ext.experiments.own_text import NAMES, OWN_TEXT, make_row, prepare, split_name
from svebm_ext.experiments.own_text_data import Files, Texts, choose_labelled, read_files, spread, write_files
from svebm_ext.experiments.own_text_generation import Judge, trigram_sentences
from svebm_ext.experiments.own_text_plain import Arguments, answer
from svebm_ext.experiments.own_text_report import accuracy_cells, comparison, rows_of_report, unlabelled_cells
from svebm_ext.experiments.own_text_runs import agreement, changed_options
from svebm_ext.experiments.rows import Place, Results


def write_root(root, n=180):
    """Stand-ins of BANKING77 and SNIPS, of three topics that words tell; SNIPS has a character that is no text."""
    rng = random.Random(0)
    for name, parts in (("own_text/banking77", ("train", "test")), ("snips/snips", ("train", "valid"))):
        lines = []
        for number in range(n):
            topic = list(TOPICS)[number % 3]
            words = [rng.choice(TOPICS[topic] if rng.random() < 0.6 else COMMON) for _ in range(8)]
            part = parts[number % 6 == 5]
            lines.append(f"{part}\t{topic}\tThe {' '.join(words)}{chr(0x8D) if number == 3 else ''}?")
        path = root / f"{name}.tsv"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root, out = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("out")
    write_root(root)
    assert prepare(["banking77-nmf", "snips-nmf"], "smoke", Place(out, root)) == {}
    return Place(out, root)


def test_names_are_corpora_with_methods_and_labels():
    assert split_name("banking77-svebm-ib") == ("banking77", "svebm-ib", -1)
    assert split_name("clinc150-domains-all-h-lr") == ("clinc150-domains", "h-lr", 0)
    assert split_name("clinc150-5-tfidf-lr") == ("clinc150", "tfidf-lr", 5)
    assert len(NAMES) == 8 * 28 == len(set(NAMES))
    assert len(OWN_TEXT.groups["unlabelled"]) == 64 and len(OWN_TEXT.groups["5"]) == 40
    assert OWN_TEXT.groups["snips"] == tuple(name for name in NAMES if name.startswith("snips-"))


@pytest.mark.parametrize("budget", OWN_TEXT.budgets)
def test_rows_are_valid_and_the_defaults_of_their_presets(place, budget):
    for name in NAMES[:28]:
        config = place.run(make_row(name, budget), 3).config
        validate(config)
        assert config.data.train == place.out / "data" / "assistant.train.tsv" and config.seed == 3
        own = changed_options(replace(config, training=replace(config.training, device="auto")))
        assert bool(own) == (budget == "smoke" or name.endswith("vae-kmeans"))


def test_a_corpus_becomes_files_once_and_control_characters_go(place):
    files = Files.of(place.out, "snips")
    train, test = read_files(files)
    assert (len(train.words), len(test.words)) == (150, 30) and train.classes == sorted(TOPICS)
    assert all(text.startswith("The ") and text.endswith("?") and "\x8d" not in text for text in train.written)
    assert files.train.read_text(encoding="utf-8").splitlines()[0].split("\t")[0] in TOPICS
    assert write_files("snips", None, place.out, (300, 100)) == files  # kept: no data root is needed
    with pytest.raises(ConfigError, match="snips for another budget"):
        write_files("snips", place.root, place.out, (0, 0))


def test_a_missing_corpus_is_left_out_with_the_reason(tmp_path):
    found = prepare(["yelp-nmf", "banking77-5-h-lr"], "smoke", Place(tmp_path / "out", tmp_path))
    assert set(found) == {"yelp-nmf", "banking77-5-h-lr"} and found["banking77-5-h-lr"].startswith("unavailable: ")
    assert "no data root" in prepare(["snips-nmf"], "smoke", Place(tmp_path / "out"))["snips-nmf"]


def test_lines_are_evenly_spread_and_labels_as_many_of_each_class():
    assert spread([(str(i), "") for i in range(10)], 4) == [("0", ""), ("2", ""), ("5", ""), ("7", "")]
    labels = ["a"] * 20 + ["b"] * 3 + ["c"] * 20
    chosen = choose_labelled(labels, 5, 1)
    assert [[labels[row] for row in chosen].count(name) for name in "abc"] == [5, 3, 5]
    assert choose_labelled(labels, 5, 1) == chosen != choose_labelled(labels, 5, 2)


def test_agreement_knows_perfect_symbols_and_useless_ones():
    labels = ["a", "b"] * 50
    perfect, useless = agreement([3, 1] * 50, labels), agreement([0] * 100, labels)
    assert perfect["adjusted_mutual_information"] == perfect["adjusted_rand_index"] == pytest.approx(1.0)
    assert perfect["symbols_used"] == 2 and perfect["homogeneity_chance"] < 0.1
    assert useless["adjusted_mutual_information"] == useless["adjusted_rand_index"] == pytest.approx(0.0)


@pytest.mark.parametrize("method", ["tfidf-kmeans", "nmf", "h-kmeans", "h-em", "guide"])
def test_plain_methods_find_topics_without_labels(place, method):
    files = Files.of(place.out, "banking77")
    found = answer(method, Arguments(files.train, files.test, place.out / "unused.json"))
    _, test = read_files(files)
    assert len(found["answers"]) == len(test.labels)
    assert agreement(found["answers"], test.labels)["adjusted_mutual_information"] > 0.3


@pytest.mark.parametrize("method", ["tfidf-lr", "h-lr", "h-lr-nb-em", "guide"])
def test_plain_methods_learn_classes_from_labels(place, method):
    files = Files.of(place.out, "banking77")
    _, test = read_files(files)
    for count, least in ((5, 0.6), (0, 0.85)):
        found = answer(method, Arguments(files.train, files.test, place.out / "unused.json", labels=count))
        right = sum(own == true for own, true in zip(found["answers"], test.labels, strict=True))
        assert right >= least * len(test.labels), (method, count)


def test_the_judge_tells_sentences_of_a_trigram_chain():
    words = {"sea": ["wave", "salt", "boat"], "kitchen": ["pan", "bread", "oven"]}
    sentences = [[*own, own[number % 3]] for own in words.values() for number in range(12)]
    train = Texts([" ".join(s) for s in sentences], sentences, [name for name in words for _ in range(12)])
    judge = Judge(train)
    for greedy in (True, False):
        made = trigram_sentences(train, 0, greedy=greedy)
        assert list(made) == train.classes == ["kitchen", "sea"] and {len(own) for own in made.values()} == {40}
        assert (
            judge.share_right(made["sea"], ["sea"] * 40) > 0.9 > 0.1 > judge.share_right(made["sea"], ["kitchen"] * 40)
        )


def test_a_command_is_measured_and_its_failure_told(tmp_path):
    code = "import time; x = bytearray(60 * 2**20); time.sleep(0.3)"
    found = run_measured([sys.executable, "-c", code], tmp_path / "log.txt")
    assert found.status == 0 and 0.3 < found.seconds < 30
    assert found.peak_mib is None or 60 < found.peak_mib < 200
    failed = run_measured([sys.executable, "-c", "raise SystemExit('error: no such thing')"], tmp_path / "log.txt")
    assert failed.status == 1 and last_line(tmp_path / "log.txt") == "error: no such thing"


def document(**measures):
    about = {"seed": 0, "commit": "c", "device": "cpu, 2 threads"}
    sizes = {"training_texts": 10, "test_texts": 5, "classes": 3, "seconds": 1.0, "peak_mib": 100.0}
    return {"ended": True, "reason": None, **sizes, **measures, "about": about}


def test_the_report_compares_with_the_best_plain_row(tmp_path):
    place = Place(tmp_path)
    given = {
        "snips-nmf": [0.5, 0.7], "snips-h-em": [0.8, 0.9], "snips-guide": [0.9, 0.9], "snips-svebm-ib": [0.8, 0.8],
    }  # fmt: skip
    documents = [
        (place.run(make_row(name, "cpu"), seed), document(adjusted_mutual_information=value))
        for name, values in given.items()
        for seed, value in enumerate(values)
    ]
    failed = {"ended": False, "reason": "error: too few", "training_texts": 10, "test_texts": 5}
    failed["about"] = document()["about"]
    documents.append((place.run(make_row("snips-vae-kmeans", "cpu"), 0), failed))
    documents.append((place.run(make_row("snips-5-h-lr", "cpu"), 0), document(accuracy=0.65)))
    rows = rows_of_report(Results("cpu", place, documents))
    (one,) = comparison(rows, None)
    assert (one["best"], one["complete"]) == ("h-em", False)
    assert one["svebm-ib"] - one["plain"] == pytest.approx(-0.05)
    assert one["svebm-ib"] - one["guide"] == pytest.approx(-0.1)
    cells = {line[0]: line for line in unlabelled_cells(rows)}
    assert cells["NMF of TF-IDF"][1:3] == ["2 of 2", "0.600 ± 0.141"]
    assert cells["VAE, k-means of z"][1:3] == ["0 of 1", "–"]
    assert accuracy_cells(rows)[1][2:4] == ["65.0", "–"]


@pytest.mark.slow
def test_rows_from_the_command_to_the_report(place, capsys):
    arguments = ["own-text", "--budget", "smoke", "--data.root", str(place.root), "--out", str(place.out), "--rows"]
    rows = ["snips-h-kmeans", "snips-svebm-ib", "snips-5-svebm-ib", "yelp-nmf"]
    experiments.main([*arguments, *rows])
    said = capsys.readouterr().out
    assert "yelp-nmf: skipped, unavailable" in said
    report = {row["row"]: row for row in json.loads((place.out / "report.json").read_text())}
    assert set(report) == set(rows[:3]) and all(row["ended"] == 1 and row["reasons"] == [] for row in report.values())
    assert report["snips-svebm-ib"]["nll_per_token"] > 0 and report["snips-svebm-ib"]["seconds"] > 0
    assert report["snips-svebm-ib"]["symbols_used"] <= 3
    made = report["snips-5-svebm-ib"]["generation"]
    assert set(made) == {"greedy", "greedy_unread", "sampled", "sampled_unread", "trigram_greedy", "trigram_sampled"}
    assert made["trigram_sampled"]["judged"] > 0.8
    text = (place.out / "report.md").read_text()
    assert "## SNIPS (intents)" in text and "**Left out:** yelp-nmf: skipped, unavailable" in text
    experiments.main([*arguments, *rows])
    assert "3 of 3 rows are finished and kept" in capsys.readouterr().out
