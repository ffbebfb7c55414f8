"""Strange texts: which are held back, distances and areas against scikit-learn, and the command on tiny stand-ins."""

import json
import random

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from tiny_runs import COMMON, TOPICS

from svebm_ext import experiments
from svebm_ext.config import validate
from svebm_ext.experiments import strange_texts, strange_texts_measured
from svebm_ext.experiments.own_text_data import Files
from svebm_ext.experiments.rows import Place, Results
from svebm_ext.experiments.strange_texts import SYSTEMS, held_back_of, make_row, prepare, read_lines, strange_sets
from svebm_ext.models.svebm import SVEBM

INTENTS = [f"intent {letter}" for letter in "abcdefghij"]


def write_root(root):
    """Stand-ins of CLINC150, of ten intents with a word of their own, and of SNIPS."""
    rng = random.Random(0)
    (root / "clinc150").mkdir(parents=True)
    (root / "snips").mkdir()
    lines = []
    for number in range(400):
        intent = INTENTS[number % 10]
        words = [rng.choice(COMMON) for _ in range(5)] + [intent.replace(" ", "")] * 2
        part = "test" if number // 10 % 4 == 3 else "train"
        lines.append(f"{part}\tdomain\t{intent}\t{' '.join(words)}")
    (root / "clinc150/clinc150.tsv").write_text("\n".join(lines) + "\n")
    topics = [
        f"{'valid' if n // 3 % 3 == 2 else 'train'}\t{topic}\t{' '.join(rng.choice(TOPICS[topic]) for _ in range(7))}"
        for n in range(60)
        for topic in [list(TOPICS)[n % len(TOPICS)]]
    ]
    (root / "snips/snips.tsv").write_text("\n".join(topics) + "\n")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root, out = tmp_path_factory.mktemp("root"), tmp_path_factory.mktemp("out")
    write_root(root)
    reasons = prepare(list(SYSTEMS), "smoke", Place(out, root))
    assert list(reasons) == ["banking77"] and reasons["banking77"].startswith("unavailable: ")
    return Place(out, root)


@pytest.mark.parametrize("budget", strange_texts.STRANGE_TEXTS.budgets)
@pytest.mark.parametrize("name", SYSTEMS)
def test_rows_are_valid(place, name, budget):
    config = place.run(make_row(name, budget), 2).config
    validate(config)
    assert (config.preset == "lines") == (SYSTEMS[name].n_symbols > 0) and config.seed == 2


def test_every_fifth_intent_is_held_back_and_is_strange(place):
    own, known = Files.of(place.out, "clinc150"), Files.of(place.out, "clinc150-new")
    assert held_back_of(own) == {"intent e", "intent j"}
    for path in (known.train, known.test):
        assert {label for label, _ in read_lines(path)} == set(INTENTS) - {"intent e", "intent j"}
    sets = strange_sets(place.out, SYSTEMS["clinc150-new"], strange_texts.LIMITS["smoke"])
    assert len(sets[strange_texts.NEW]) == 20 and all("intente" in t or "intentj" in t for t in sets[strange_texts.NEW])
    assert sets[strange_texts.OTHERS] == [text for _, text in read_lines(Files.of(place.out, "snips").test)]
    assert strange_texts.NEW not in strange_sets(place.out, SYSTEMS["snips-5"], strange_texts.LIMITS["smoke"])


def test_distances_are_those_of_nearest_neighbours():
    rng = np.random.default_rng(0)
    rows, known = (rng.normal(size=(n, 6)) for n in (1100, 40))
    rows, known = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (rows, known))
    expected = NearestNeighbors(n_neighbors=5, metric="cosine").fit(known).kneighbors(rows)[0].mean(1)
    np.testing.assert_allclose(strange_texts_measured.mean_distances(rows, known), expected, atol=1e-9)
    few = strange_texts_measured.mean_distances(rows[:3], known[:2])  # fewer texts than neighbours
    np.testing.assert_allclose(few, 1.0 - (rows[:3] @ known[:2].T).mean(1), atol=1e-12)


def test_the_command_measures_a_row_once(place, monkeypatch, capsys):
    monkeypatch.setattr(strange_texts_measured, "_has_encoder", lambda: False)
    command = ["strange-texts", "--budget", "smoke", "--out", str(place.out), "--data.root", str(place.root)]
    experiments.main([*command, "--rows", "clinc150-new", "clinc150-new-all", "snips-5"])
    printed = capsys.readouterr().out
    assert "CLINC150 without 30 intents, all labels; intents held back: novelty " in printed
    rows = json.loads((place.out / "report.json").read_text())
    assert [(row["row"], row["strange"]) for row in rows] == [
        ("clinc150-new", strange_texts.NEW), ("clinc150-new", strange_texts.OTHERS),
        ("clinc150-new-all", strange_texts.NEW), ("clinc150-new-all", strange_texts.OTHERS),
        ("snips-5", strange_texts.OTHERS),
    ]  # fmt: skip
    assert all(0.0 <= row[key] <= 1.0 for row in rows for key in ("novelty", "nll", "doubt", "tfidf"))
    assert all(row["encoder"] is None and row["seeds"] == 1 for row in rows)
    assert rows[1]["tfidf"] > 0.9  # texts without a common word
    report = (place.out / "report.md").read_text()
    assert "| SNIPS, 5 labels of each class | texts of other corpora | 1 | " in report and "| – |" in report
    assert len((place.out / "rows.jsonl").read_text().splitlines()) == 3
    assert "strange-texts --data.root DIR" in "\n".join(strange_texts.index_lines(rows))

    def never(*_):
        raise AssertionError("measured twice")

    monkeypatch.setattr(strange_texts, "_make", never)
    experiments.main([*command, "--rows", "snips-5"])
    assert "1 of 1 rows are finished and kept" in capsys.readouterr().out


def test_areas_are_those_of_scores(monkeypatch):
    """Of a stand-in of a model, by scikit-learn from the same scores; ties count half."""
    scores = {"aa": 0.1, "bb": 0.5, "cc": 0.5, "dd": 0.9}
    of_model = lambda model, texts: {"novelty": np.array([scores[text] for text in texts])}  # noqa: E731
    monkeypatch.setattr(strange_texts_measured, "_of_model", of_model)
    monkeypatch.setattr(strange_texts_measured, "_has_encoder", lambda: False)
    told = strange_texts_measured.areas(
        object.__new__(SVEBM), ["aa bb", "aa bb cc"], ["aa", "bb"], {"set": ["cc", "dd"]}
    )["set"]
    assert told["novelty"] == roc_auc_score([0, 0, 1, 1], [0.1, 0.5, 0.5, 0.9]) == 0.875
    assert (told["known_texts"], told["strange_texts"], told["encoder"]) == (2, 2, None)


def test_seeds_are_averaged(place):
    areas = {"known_texts": 4, "strange_texts": 5, "nll": 0.5, "doubt": 0.5, "tfidf": 0.5, "encoder": None}
    about = {"commit": "abc", "device": "cpu"}
    documents = [
        (place.run(make_row("snips-5", "smoke"), seed), {"areas": {"set": areas | {"novelty": value}}, "about": about})
        for seed, value in ((0, 0.8), (1, 0.9))
    ]
    (row,) = strange_texts.report_rows(Results("smoke", place, documents))
    assert row["novelty"] == pytest.approx(0.85) and row["novelty_deviation"] == pytest.approx(0.1 / 2**0.5)
    assert "0.850 ± 0.071" in strange_texts.table_lines([row])[2]
