"""What the evaluation of text of one's own says: beside the plain way, in plain sentences first."""

import re
from dataclasses import replace

import pytest
import torch
from tiny_runs import tiny_config, write_corpus

from svebm_ext.data.corpora import load_configured
from svebm_ext.data.documents import choose_labelled
from svebm_ext.evaluation.evaluate_model import evaluate_run
from svebm_ext.evaluation.summary import print_summary, summary_lines
from svebm_ext.evaluation.topic_text import shown_topics
from svebm_ext.judges.plain import tfidf_kmeans, tfidf_logistic_regression
from svebm_ext.measures.documentation import METRIC_DOCUMENTATION
from svebm_ext.measures.latent import cluster_agreement
from svebm_ext.training.run import train


def evaluated(folder, labelled, **changes):
    config = tiny_config(write_corpus(folder, labelled=labelled), **changes)
    model, corpus = train(config, folder / "run")
    document = evaluate_run(folder / "run", model, corpus, seed=2, say=lambda text: None)
    return document, model, corpus, (folder / "run" / "report.md").read_text()


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory):
    return evaluated(tmp_path_factory.mktemp("unlabelled"), labelled=False)


@pytest.fixture(scope="module")
def clustered(tmp_path_factory):
    return evaluated(tmp_path_factory.mktemp("clustered"), labelled=True)


@pytest.fixture(scope="module")
def classified(tmp_path_factory):
    return evaluated(
        tmp_path_factory.mktemp("classified"), labelled=True, objective={"label_weight": 1.0}, data={"n_labelled": 40}
    )


def test_topics_stand_beside_kmeans_of_as_many_clusters(clustered):
    document, _, corpus, report = clustered
    labels = corpus.test.labels["label"]
    each = [
        cluster_agreement(
            torch.tensor(tfidf_kmeans(corpus.train.sentences, corpus.test.sentences, 6, seed=seed)), labels
        ).adjusted_mutual_information
        for seed in (2, 3, 4)
    ]
    expected = sum(each) / 3
    assert document["adjusted_mutual_information_tfidf"] == {"label": pytest.approx(expected)}
    (sentence,) = document["about"]["summary"]
    ours = document["adjusted_mutual_information"]["label"]
    n = document["symbols_used"]
    assert sentence.startswith(
        f"{n} topic{'s' * (n > 1)} in {len(corpus.test)} test texts; against your labels AMI {ours:.2f} "
        f"(TF-IDF + k-means: {expected:.2f}, {min(each):.2f} to {max(each):.2f} by its start;"
    )
    assert report.splitlines()[2] == sentence
    assert "accuracy_tfidf" not in document and "accuracy_interval" not in document


def test_classes_stand_beside_logistic_regression_of_the_same_labelled_texts(classified):
    document, model, corpus, report = classified
    names = model.label_names
    values = corpus.train.labels["label"]
    known = choose_labelled(torch.tensor([names.index(value) for value in values]), 40, model.config.data.seed).tolist()
    predicted = tfidf_logistic_regression(
        [corpus.train.sentences[i] for i in known], [values[i] for i in known], corpus.test.sentences
    )
    truth = corpus.test.labels["label"]
    share = sum(a == b for a, b in zip(predicted, truth, strict=True)) / len(truth)
    assert share > 0.9  # the verb is the label
    assert document["accuracy_tfidf"] == pytest.approx(share)
    assert document["about"]["sample_counts"]["labelled texts of the plain classifier"] == 40
    low, high = document["accuracy_interval"]
    assert len(truth) < 100 and 0 <= low <= document["accuracy"] <= high <= 1
    (sentence,) = document["about"]["summary"]
    right = f"Accuracy {100 * document['accuracy']:.1f} % ({100 * low:.1f} to {100 * high:.1f}, {len(truth)} texts; "
    assert sentence.startswith(f"{right}TF-IDF + logistic regression: {100 * share:.1f} %). ")
    # Twelve steps of training do not make a classifier; the sentence says so.
    assert sentence.endswith("The plain way is better here.")
    assert f"| accuracy_interval | {low:.4g} to {high:.4g} | share |" in report


def test_classes_that_training_lacked_count_as_wrong(classified, tmp_path):
    _, model, corpus, _ = classified
    values = ["another", "other", "", *corpus.test.labels["label"][3:]]
    changed = replace(corpus, test=replace(corpus.test, labels={"label": values}))
    document = evaluate_run(tmp_path, model, changed, seed=2, say=lambda text: None)
    answers = [answer.label for answer in model.classify(corpus.test.sentences)]
    right = [own == true for own, true in zip(answers, values, strict=True) if true]
    assert document["accuracy"] == pytest.approx(sum(right) / len(right)) and not any(right[:2])
    warned = document["about"]["warnings"]
    assert "2 test examples have classes that training lacked, and count as wrong: another, other" in warned
    assert not any("of one class" in warning for warning in warned)


def test_a_test_split_of_one_class_is_told(classified, tmp_path):
    _, model, corpus, _ = classified
    labels = {"label": ["sees"] * len(corpus.test)}
    changed = replace(corpus, test=replace(corpus.test, labels=labels))
    document = evaluate_run(tmp_path, model, changed, seed=2, say=lambda text: None)
    warning = "all labelled test examples are of one class, 'sees': their accuracy says little"
    assert warning in document["about"]["warnings"]


def test_without_labels_the_largest_topics_are_shown(unlabelled):
    document, model, corpus, report = unlabelled
    (first,) = document["about"]["summary"]
    lines = shown_topics(document)
    symbols = [found.symbol for found in model.classify(corpus.train.sentences)]
    n, largest = len(set(symbols)), max(set(symbols), key=symbols.count)
    assert first == f"{n} topic{'s' * (n > 1)} in {len(corpus.train)} training texts."
    assert lines[0].startswith(f"The largest in {len(corpus.train)} training texts: ")
    share = 100 * symbols.count(largest) / len(symbols)
    assert any(line.startswith(f"    topic {largest}, {share:.1f} % of the texts: ") for line in lines)
    texts = {line.strip() for line in lines if line.startswith("        ")}
    assert texts <= set(corpus.train.texts or map(" ".join, corpus.train.sentences)) and texts
    written = report.splitlines()
    assert written[2] == first
    assert "adjusted_mutual_information_tfidf" not in document


def test_sentences_of_each_topic_are_of_model_and_chain(unlabelled):
    _, _, corpus, report = unlabelled
    section = report.split("## Sentences of each topic\n")[1].split("\n## ")[0]
    kinds = [line.strip().split(":")[0] for line in section.splitlines() if line.startswith("        ")]
    first = kinds[:6]
    assert first == ["model, most probable words"] * 3 + ["model, sampled words"] + ["trigram chain"] * 2
    words = {word for sentence in corpus.train.sentences for word in sentence}
    chains = [line.split(":", 1)[1].split() for line in section.splitlines() if "trigram chain" in line]
    assert all(chain and set(chain) <= words for chain in chains)


def test_the_summary_is_printed_before_the_groups(unlabelled, classified, capsys):
    for document, *_ in (unlabelled, classified):
        print_summary(document)
        lines = capsys.readouterr().out.splitlines()
        summary = [*document["about"]["summary"], *shown_topics(document)]
        assert lines[: len(summary) + 2] == [*summary, "", "likelihood"]
        assert max(map(len, shown_topics(document)), default=0) <= 100
        table = [line for line in lines[len(summary) + 1 :] if not line.startswith(("warning", "note"))]
        assert len(table) <= 25 and max(map(len, table)) <= 80
        shown = [line.split()[0] for line in table if line.startswith("  ")]
        (rest,) = (int(line.split()[0]) for line in table if " more with evaluate --all" in line)
        measured = [key for key in METRIC_DOCUMENTATION if document.get(key) is not None]
        assert len(shown) + rest == len(measured) and {"nll", "bleu", "symbols_used", "wkl"} <= set(shown)
    low, high = document["accuracy_interval"]
    (row,) = (line for line in lines if line.startswith("  accuracy_interval"))
    assert row.split() == ["accuracy_interval", f"{low:.4g}", "to", f"{high:.4g}", "share"]


def test_all_measures_are_printed_if_asked(classified, capsys):
    document, *_ = classified
    print_summary(document, all_measures=True)
    lines = capsys.readouterr().out.splitlines()
    for key in METRIC_DOCUMENTATION:
        found = [line for line in lines if re.match(rf"{key}(\.\S+)? ", line)]
        assert bool(found) == (key in document), key


def test_several_labels_are_columns_where_they_fit():
    def lines(homogeneity):
        about = {"summary": [], "warnings": ["w"], "notes": ["n"]}
        return summary_lines({"homogeneity": homogeneity, "nll": 13.248, "about": about})

    name = "homogeneity"
    one = lines({"act": 0.5})
    assert one[:3] == ["likelihood", "  nll                                      13.25  nats/sentence", "symbols"]
    assert one[3].split() == [name, "0.5", "0-1"] and one[4:] == ["warning: w", "note: n"]
    two = lines({"act": 0.51234, "domain": None})
    assert [line.split() for line in two[3:5]] == [["act", "domain"], [name, "0.5123", "–"]]
    assert len(two[3]) == len(two[4]) and two[3].index("act") + 3 == two[4].index("0.5123") + 6
    long = lines({"a" * 25: 0.1, "b" * 25: 0.2})
    assert [line.split()[:2] for line in long[3:5]] == [[f"{name}.{'a' * 25}", "0.1"], [f"{name}.{'b' * 25}", "0.2"]]


def test_topics_are_shown_of_test_texts_where_there_are_enough(tmp_path, monkeypatch):
    from svebm_ext.evaluation import evaluate_own_text

    config = tiny_config(write_corpus(tmp_path, n=240))
    corpus = load_configured(config.data)
    monkeypatch.setattr(evaluate_own_text, "FEW_TEST_TEXTS", len(corpus.test))
    model, corpus = train(config, tmp_path / "run")
    document = evaluate_run(tmp_path / "run", model, corpus, say=lambda text: None)
    assert document["about"]["summary"][0].endswith(f"in {len(corpus.test)} test texts.")


def test_topics_are_shown_beside_a_comparison_with_labels_and_not_beside_classes(clustered, classified, capsys):
    document, model, corpus, _ = clustered
    print_summary(document)
    printed = capsys.readouterr().out.splitlines()
    lines = shown_topics(document)
    assert printed[: len(lines) + 1] == [*document["about"]["summary"], *lines]
    titles = [line for line in lines[1:] if not line.startswith(" " * 8)]
    assert len(lines) == 1 + 2 * len(titles) and len(titles) == min(5, len(document["about"]["topics"]))
    symbols = [found.symbol for found in model.classify(corpus.train.sentences)]
    shares = {k: symbols.count(k) / len(symbols) for k in set(symbols)}
    entries = document["about"]["topics"]
    assert {entry["symbol"]: entry["share"] for entry in entries} == pytest.approx(shares)
    assert [entry["share"] for entry in entries] == sorted(shares.values(), reverse=True)
    document, model, *_ = classified
    assert shown_topics(document) == [] and document["about"]["topics"][0]["label"] in model.label_names


def test_what_the_symbols_mean_stands_before_the_measures(unlabelled, clustered):
    for *_, report in (unlabelled, clustered):
        headings = [line.split(" of ")[0] for line in report.splitlines() if line.startswith("## ")]
        assert headings[:3] == ["## The largest topics", "## Sentences", "## Measures"]
        assert report.index("## Measures") < report.index("| measure |") < report.index("## Reconstructions")


def test_symbols_are_counted_on_texts_that_are_named(clustered, capsys):
    document, _, corpus, _ = clustered
    print_summary(document)
    assert f"symbols, on {len(corpus.test)} test sentences" in capsys.readouterr().out.splitlines()
