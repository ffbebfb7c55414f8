"""Symbols in two levels at the command line and in TextModel: generate, classify, evaluate, group, names of both."""

import csv
import json
import shutil

import numpy as np
import pytest
import torch
from tiny_runs import OBJECTS, SUBJECTS, VERBS, tiny_config, tiny_model, write_corpus

from svebm_ext import SVEBM, TextModel, classify, evaluate, generate, group
from svebm_ext.errors import ConfigError, DataError, ModelFolderError
from svebm_ext.evaluation.report import read_document
from svebm_ext.models.symbol_names import SymbolNames
from svebm_ext.prior.groups import SymbolGroups
from svebm_ext.training.run import train

TEXTS = [f"{s} {v} {o}" for s in SUBJECTS for v in VERBS for o in OBJECTS]
GROUPS = SymbolGroups((0, 1, 0, 2, 1))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Folders of the same model, with groups and without."""
    folder = tmp_path_factory.mktemp("groups")
    model = tiny_model()
    model.save_pretrained(folder / "flat")
    model.groups = GROUPS
    model.save_pretrained(folder / "grouped")
    (folder / "texts.txt").write_text("\n".join(TEXTS) + "\n")
    return folder


def printed(capsys, command, *arguments):
    command.main([str(argument) for argument in arguments])
    return capsys.readouterr().out.splitlines()


# The folder ---------------------------------------------------------------------------------------------------------


def test_the_folder_keeps_the_groups_and_nothing_else_changes(runs):
    flat, grouped = (json.loads((runs / name / "config.json").read_text()) for name in ("flat", "grouped"))
    assert grouped.pop("groups") == list(GROUPS.of) and grouped == flat
    with_groups, without = (SVEBM.from_pretrained(runs / name) for name in ("grouped", "flat"))
    assert with_groups.groups == GROUPS and without.groups is None
    own, theirs = with_groups.networks.state_dict(), without.networks.state_dict()
    assert own.keys() == theirs.keys() and all(torch.equal(own[name], theirs[name]) for name in own)


@pytest.mark.parametrize(
    "groups", [[0, 1], [0, 1, 0, 3, 1], [0, 1, 0, 2, -1], [0, 1, 0, 2, True], "01021", {}, [0.0] * 5]
)
def test_groups_that_are_none_are_refused(runs, tmp_path, groups):
    shutil.copytree(runs / "grouped", tmp_path / "run")
    path = tmp_path / "run/config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"groups": groups}))
    with pytest.raises(ModelFolderError, match=r"config\.json: groups: "):
        SVEBM.from_pretrained(tmp_path / "run")


def test_groups_are_of_the_models_symbols():
    model = tiny_model()
    with pytest.raises(ConfigError, match="of 2 symbols given, expected 5"):
        model.groups = SymbolGroups((0, 1))
    with pytest.raises(ConfigError, match="symbols of this model have none"):
        model.group_probabilities(TEXTS)


# generate -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("symbol", [0, 3, 4])
def test_a_symbol_of_a_folder_without_groups_is_its_number(runs, capsys, symbol):
    model = SVEBM.from_pretrained(runs / "flat")
    expected = model.generate(3, symbol=symbol, seed=2)
    options = ("-n", 3, "--seed", 2)
    assert printed(capsys, generate, runs / "flat", *options, "--symbol", symbol) == expected
    address = GROUPS.address(symbol)
    assert printed(capsys, generate, runs / "grouped", *options, "--symbol", address) == expected
    assert model.generate(3, symbol=str(symbol), seed=2) == expected


def test_a_group_is_drawn_from_all_of_its_symbols(runs, capsys):
    model = SVEBM.from_pretrained(runs / "grouped")
    z = model.networks.latent.sample_prior(4, seed=1, symbol=(0, 2))
    expected = [model.written(words) for words in model.decode_words(z, seed=1)]
    arguments = (runs / "grouped", "-n", 4, "--seed", 1, "--read-back", "False", "--symbol", 0)
    assert printed(capsys, generate, *arguments) == expected
    assert model.generate(4, symbol="0", seed=1, read_back=False) == expected
    assert model.generate(4, symbol=[2, 0], seed=1, read_back=False) == expected
    alone = model.generate(4, symbol="2", seed=1)
    assert alone == model.generate(4, symbol=3, seed=1) == model.generate(4, symbol="2.0", seed=1)


def test_sentences_of_a_group_are_read_back_by_the_sum_over_its_symbols(runs, monkeypatch):
    model = SVEBM.from_pretrained(runs / "grouped")
    made = model.generate_words(5, symbol="0", seed=3, read_back=True, greedy=False)
    drawn = []
    monkeypatch.setattr(type(model), "decode_words", lambda self, z, **rest: drawn.append(z) or [["the"]] * len(z))
    read = torch.tensor([[0.45, 0.05, 0.45, 0.03, 0.02]])
    reader = "svebm_ext.models.of_symbol.symbol_probabilities"
    monkeypatch.setattr(reader, lambda model, texts, calibrated: read.expand(len(texts), -1))
    model.generate_words(5, symbol="0", seed=3, read_back=True)
    assert len(drawn) == 1 and len(made) == 5  # of 0.9 together the model is sure; of neither alone
    model.generate_words(5, symbol="0.1", seed=3, read_back=True)
    assert len(drawn) == 1 + 4


@pytest.mark.parametrize(
    ("run", "symbol", "message"),
    [
        ("flat", "1.0", "symbols of this model have no groups"),
        ("flat", "5", "outside 0 .. 4"),
        ("flat", "-1", "outside 0 .. 4"),
        ("flat", "card", "expected a number; names come from a file"),
        ("grouped", "3", "groups of symbols are 0 .. 2"),
        ("grouped", "0.2", r"expected 0\.0, 0\.1"),
        ("grouped", "-1", "expected a group such as 3"),
        ("grouped", "0.0.0", "expected a number"),
        ("grouped", "9" * 30, "expected a group such as 3"),
        ("flat", "9" * 30, "expected the number of a symbol"),
    ],
)
def test_a_symbol_that_there_is_not_is_refused(runs, run, symbol, message):
    with pytest.raises(ConfigError, match=message):
        generate.main([str(runs / run), "--symbol", symbol])


def test_names_of_both_levels_are_taken(runs, tmp_path, capsys):
    file = tmp_path / "symbols.json"
    file.write_text(json.dumps({
        "format": 1, "groups": {"0": {"name": "cards"}},
        "symbols": {"0.1": {"name": "card lost"}, "1.0": {"name": "card lost"}, "4": {"name": "trips"}},
    }))  # fmt: skip
    model = SVEBM.from_pretrained(runs / "grouped")
    names = SymbolNames.load(file, 5, GROUPS)
    assert names.symbols_by_name() == {"cards": (0, 2), "card lost": (1, 2), "trips": (4,)}
    assert [names.label(k) for k in range(5)] == ["cards", "card lost", "card lost", None, "trips"]
    for name, symbols in names.symbols_by_name().items():
        expected = model.generate(2, symbol=symbols, seed=0)
        assert printed(capsys, generate, runs / "grouped", "-n", 2, "--symbol", name, "--symbols", file) == expected
    with pytest.raises(ConfigError, match="did you mean cards"):
        generate.main([str(runs / "grouped"), "--symbol", "card", "--symbols", str(file)])
    with pytest.raises(ConfigError, match="none is asked for"):
        generate.main([str(runs / "grouped"), "--symbols", str(file)])
    with pytest.raises(DataError, match="names of groups, but"):
        generate.main([str(runs / "flat"), "--symbol", "cards", "--symbols", str(file)])


def test_a_learnt_class_can_be_asked_for_as_a_symbol(tmp_path, capsys):
    model = tiny_model(label_names=["cat", "sports news", "7"])
    model.save_pretrained(tmp_path / "run")
    for number, name in enumerate(model.label_names):
        expected = model.generate(2, symbol=number, seed=0)
        assert printed(capsys, generate, tmp_path / "run", "-n", 2, "--symbol", name) == expected
        assert printed(capsys, generate, tmp_path / "run", "-n", 2, "--label", name) == expected
    with pytest.raises(ConfigError, match="did you mean sports news"):
        generate.main([str(tmp_path / "run"), "--symbol", "sport news"])
    with pytest.raises(ConfigError, match="has learnt labels"):
        generate.main([str(tmp_path / "run"), "--symbol", "cat", "--symbols", "symbols.json"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"groups": {"3": {"name": "x"}}, "symbols": {}}, "group '3' is none of this model, whose groups are 0 .. 2"),
        ({"groups": {"01": {"name": "x"}}, "symbols": {}}, "group '01'"),
        ({"groups": [], "symbols": {}}, "groups: list given"),
        ({"groups": {"0": {"hidden": True}}, "symbols": {}}, "unknown key 'hidden'"),
        ({"symbols": {"0.2": {"name": "x"}}}, "symbol '0.2' is none of this model"),
        ({"symbols": {"5": {"name": "x"}}}, "symbol '5' is none of this model"),
    ],
)
def test_a_file_of_names_that_do_not_fit_is_refused(tmp_path, content, message):
    (tmp_path / "symbols.json").write_text(json.dumps({"format": 1, **content}))
    with pytest.raises(DataError, match=message):
        SymbolNames.load(tmp_path / "symbols.json", 5, GROUPS)


# classify -----------------------------------------------------------------------------------------------------------


def test_both_levels_are_told_with_their_probabilities(runs, tmp_path, capsys):
    model = SVEBM.from_pretrained(runs / "grouped")
    p = model.symbol_probabilities(TEXTS).double()
    symbols = p.argmax(-1).tolist()
    sums = [float(p[i, list(GROUPS.members[GROUPS.of[k]])].sum()) for i, k in enumerate(symbols)]
    rows = [json.loads(line) for line in printed(capsys, classify, runs / "grouped", runs / "texts.txt", "--json")]
    assert [row["symbol"] for row in rows] == [GROUPS.address(k) for k in symbols] and len(set(symbols)) > 2
    assert [row["group"] for row in rows] == [GROUPS.of[k] for k in symbols]
    assert [row["group_probability"] for row in rows] == pytest.approx(sums, abs=1e-5)
    lines = printed(capsys, classify, runs / "grouped", runs / "texts.txt")
    assert [line.split("\t")[0] for line in lines] == [GROUPS.address(k) for k in symbols]
    answers = model.classify(TEXTS)
    assert [(a.symbol, a.group) for a in answers] == [(k, GROUPS.of[k]) for k in symbols]
    printed(capsys, classify, runs / "grouped", runs / "texts.txt", "--out", tmp_path / "o.csv")
    with open(tmp_path / "o.csv", newline="") as file:
        table = list(csv.DictReader(file))
    assert list(table[0]) == ["text", "group", "group_label", "group_probability", "symbol", "label", "probability"]
    assert [(row["group"], row["symbol"]) for row in table] == [(str(r["group"]), r["symbol"]) for r in rows]


def test_a_folder_without_groups_is_answered_as_before(runs, tmp_path, capsys):
    rows = [json.loads(line) for line in printed(capsys, classify, runs / "flat", runs / "texts.txt", "--json")]
    assert list(rows[0]) == ["line", "text", "symbol", "label", "probability", "words"]
    grouped = [json.loads(line) for line in printed(capsys, classify, runs / "grouped", runs / "texts.txt", "--json")]
    assert [GROUPS.address(row["symbol"]) for row in rows] == [row["symbol"] for row in grouped]
    assert [row["probability"] for row in rows] == [row["probability"] for row in grouped]
    printed(capsys, classify, runs / "flat", runs / "texts.txt", "--out", tmp_path / "o.csv")
    assert (tmp_path / "o.csv").read_text().splitlines()[0] == "text,symbol,label,probability"
    symbol, label, probability = SVEBM.from_pretrained(runs / "flat").classify(TEXTS[:1])[0]
    assert (symbol, label) == (rows[0]["symbol"], None) and probability == pytest.approx(rows[0]["probability"])


def test_rows_without_a_text_have_no_group(runs, tmp_path, capsys):
    (tmp_path / "t.csv").write_text("id,text\n1,the cat sees trees\n2,\n")
    printed(capsys, classify, runs / "grouped", tmp_path / "t.csv", "--out", tmp_path / "o.csv")
    rows = list(csv.reader((tmp_path / "o.csv").read_text().splitlines()))
    assert rows[2] == ["2", "", "", "", "", "", "", ""] and len(rows[0]) == len(rows[1]) == 8


def test_a_group_has_the_name_that_it_was_given(runs, tmp_path, capsys):
    file = tmp_path / "symbols.json"
    file.write_text(json.dumps({
        "format": 1, "groups": {"0": {"name": "cards"}}, "symbols": {"0.1": {"name": "card lost"}},
    }))  # fmt: skip
    lines = printed(capsys, classify, runs / "grouped", runs / "texts.txt", "--json", "--symbols", file)
    labels = {row["symbol"]: (row["label"], row["group_label"]) for row in map(json.loads, lines)}
    assert len(labels) >= 3 and labels.pop("0.1") == ("card lost", "cards")
    assert set(labels.values()) == {(None, None)} and not any(symbol.startswith("0.") for symbol in labels)
    file.write_text(json.dumps({"format": 1, "groups": {"0": {"name": "cards"}}, "symbols": {}}))
    lines = printed(capsys, classify, runs / "grouped", runs / "texts.txt", "--json", "--symbols", file)
    labels = {row["symbol"]: (row["label"], row["group_label"]) for row in map(json.loads, lines)}
    assert labels["0.1"] == ("cards", "cards") and labels["2.0"] == (None, None)


# group, evaluate ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    config = tiny_config(write_corpus(folder, labelled=True), model={"n_categories": 12, "sentence_features": "words"})
    train(config, folder / "run")
    return folder / "run"


def test_group_writes_groups_into_a_folder_and_takes_them_away(trained, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(trained, run)
    before, weights = (run / "config.json").read_text(), (run / "model.safetensors").read_bytes()
    (line,) = printed(capsys, group, run, "--n-groups", 4)
    groups = SVEBM.from_pretrained(run).groups
    sizes = ", ".join(str(len(members)) for members in groups.members)
    assert groups.n_groups == 4 and line == f"{run}: 4 groups of 12 symbols ({sizes} in each)"
    assert (run / "model.safetensors").read_bytes() == weights
    printed(capsys, group, run, "--n-groups", "auto")
    assert 2 <= SVEBM.from_pretrained(run).groups.n_groups <= 5
    assert printed(capsys, group, run, "--n-groups=1") == [f"{run}: 12 symbols in one level"]
    assert json.loads((run / "config.json").read_text()) == json.loads(before)
    with pytest.raises(ConfigError, match="n-groups: 13 given, expected no more groups than the 12 symbols"):
        group.main([str(run), "--n-groups", "13"])
    with pytest.raises(ConfigError, match="n-groups: -1 given"):
        group.main([str(run), "--n-groups", "-1"])


def test_group_asks_for_a_number_where_symbols_are_few(runs, tmp_path):
    shutil.copytree(runs / "flat", tmp_path / "run")
    path = write_corpus(tmp_path)
    with pytest.raises(ConfigError, match="10 symbols or more"):
        group.main([str(tmp_path / "run"), "--data.train", str(path)])


def test_evaluation_has_both_levels_with_chance_and_shows_groups_first(trained, tmp_path, capsys):
    from sklearn.metrics import adjusted_mutual_info_score, homogeneity_score

    run = tmp_path / "run"
    shutil.copytree(trained, run)
    printed(capsys, group, run, "--n-groups", 3)
    lines = printed(capsys, evaluate, run)
    document = read_document(run / "metrics.json")
    model = SVEBM.from_pretrained(run)
    from svebm_ext.data.corpora import load_configured

    test = load_configured(model.config.data, model.writing).test
    of = torch.tensor(model.groups.of)[model.symbol_probabilities(test.sentences).argmax(-1)].numpy()
    labels = test.labels["label"]
    scores = {key: document[key]["label"] for key in document if key.endswith(("_groups", "_groups_chance"))
              and isinstance(document[key], dict)}  # fmt: skip
    assert scores["adjusted_mutual_information_groups"] == pytest.approx(adjusted_mutual_info_score(labels, of))
    assert scores["homogeneity_groups"] == pytest.approx(homogeneity_score(labels, of))
    assert 0.0 <= scores["homogeneity_groups_chance"] <= document["homogeneity_chance"]["label"] + 1e-9
    assert document["groups_used"] == len(set(of)) and document["mi_groups"] <= document["mi"] + 1e-9
    assert 0.0 <= document["adjusted_mutual_information_groups_tfidf"]["label"] <= 1.0
    groups = document["about"]["groups"]
    assert [entry["symbols"] for entry in groups] == [list(model.groups.members[entry["group"]]) for entry in groups]
    assert sum(entry["share"] for entry in groups) == pytest.approx(1.0)
    assert {t["address"] for t in document["about"]["topics"]} <= {model.groups.address(k) for k in range(12)}
    report = (run / "report.md").read_text()
    assert report.index("Groups of topics") < report.index("The largest topics")
    at = next(i for i, line in enumerate(lines) if line.startswith("Groups of topics in"))
    assert lines[at + 1].startswith(f"    group {groups[0]['group']}, ")
    first = next(t for t in document["about"]["topics"] if t["symbol"] in groups[0]["symbols"])
    assert lines[at + 2].startswith(f"        {first['address']}, ")


# TextModel ----------------------------------------------------------------------------------------------------------


def estimator(run):
    return TextModel.load(run)


def test_the_estimator_has_both_levels(runs):
    topics, model = estimator(runs / "grouped"), SVEBM.from_pretrained(runs / "grouped")
    assert topics.groups_.tolist() == list(GROUPS.of)
    p, symbol = topics.predict_proba(TEXTS), topics.predict(TEXTS)
    np.testing.assert_array_equal(topics.predict(TEXTS, level="group"), np.array(GROUPS.of)[symbol])
    expected = np.stack([p[:, list(members)].sum(1) for members in GROUPS.members], 1)
    np.testing.assert_allclose(topics.predict_proba(TEXTS, level="group"), expected, rtol=1e-12)
    assert topics.generate(3, group=1, seed=4) == model.generate(3, symbol="1", seed=4)
    flat = estimator(runs / "flat")
    assert flat.groups_ is None
    np.testing.assert_array_equal(flat.predict(TEXTS), symbol)
    for call, message in (
        (lambda: flat.predict(TEXTS, level="group"), "in one level"),
        (lambda: flat.generate(1, group=0), "in one level"),
        (lambda: topics.predict(TEXTS, level="fine"), "expected 'symbol' or 'group'"),
        (lambda: topics.generate(1, group=3), r"expected 0 \.\. 2"),
        (lambda: topics.generate(1, group=0, symbol=1), "expected one of them"),
    ):
        with pytest.raises(ConfigError, match=message):
            call()


@pytest.mark.parametrize("n_groups", [0, -1, "many"])
def test_a_wrong_number_of_groups_is_named(n_groups):
    with pytest.raises(ConfigError, match="n_groups: "):
        TextModel(n_symbols=4, n_groups=n_groups).fit(TEXTS)
