import itertools
import json
import math

import numpy as np
import pytest
import torch

from svebm_ext.errors import ConfigError, ModelFolderError
from svebm_ext.evaluation import report
from svebm_ext.measures.documentation import CORE_METRICS, METRIC_DOCUMENTATION


def context(**changes):
    values = {
        "title": "assistant",
        "configuration": {"seed": 3, "model": {"latent_dim": 32, "prior_hidden": [200, 200]}, "data": {"label": "a|b"}},
        "seed": 7,
        "device": "cpu",
        "sample_counts": {"test sentences": 1000},
        "commit": "abc123",
    }
    return report.ReportContext(**(values | changes))


def test_core_keys_are_always_there_and_missing_ones_say_why():
    document = report.metrics_document({"nll": 12.5}, context(), {"mi": "no symbols in a VAE"})
    for key in ("nll", "ppl", "elbo", "log_z_lower", "log_z_upper", "bleu", "wkl", "mi", "kl", "active_units",
                "homogeneity"):  # fmt: skip
        assert key in document
    assert document["nll"] == 12.5 and document["mi"] is None
    assert document["null_reasons"]["mi"] == "no symbols in a VAE"
    assert document["null_reasons"]["bleu"] == "not computed"
    # Measures of the embedded corpus appear only where they were computed.
    assert "grammar_accept" not in document and "entropy" not in document


def test_numbers_that_json_cannot_hold_become_null_with_a_reason(tmp_path):
    metrics = {"nll": math.nan, "ppl": math.inf, "homogeneity": {"act": 0.5, "emotion": float("nan")}}
    report.write_report(tmp_path, metrics, context())
    text = (tmp_path / "metrics.json").read_text()
    document = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in metrics.json"))
    assert document["nll"] is None and document["ppl"] is None
    assert document["homogeneity"] == {"act": 0.5, "emotion": None}
    assert document["null_reasons"]["nll"] == "not a number"
    assert "infinite" in document["null_reasons"]["ppl"]
    assert "homogeneity.emotion" in document["null_reasons"]


def test_numbers_of_torch_and_numpy_are_taken():
    metrics = {"nll": torch.tensor(1.5), "bleu": np.float64(2.5), "active_units": np.int64(3)}
    document = report.metrics_document(metrics, context())
    assert json.loads(json.dumps(document))["active_units"] == 3
    assert (document["nll"], document["bleu"]) == (1.5, 2.5)


def test_undocumented_keys_and_wrong_values_are_refused():
    with pytest.raises(ConfigError, match="'blue' is not described"):
        report.metrics_document({"blue": 1.0}, context())
    with pytest.raises(ConfigError, match="'bleu' is"):
        report.metrics_document({"bleu": [1.0]}, context())


def test_every_documented_key_has_unit_meaning_and_source():
    for key, documentation in METRIC_DOCUMENTATION.items():
        assert all(documentation), key
    assert set(CORE_METRICS) < set(METRIC_DOCUMENTATION)


def test_report_shows_values_units_context_and_the_papers_row(tmp_path):
    metrics = {"nll": 94.123456, "kl": 11.0, "homogeneity": {"act": 0.25}, "bleu_signature": "nrefs:1|tok:none"}
    texts = {"Samples": ["turn on the light", "what | is\nthis"]}
    report.write_report(
        tmp_path,
        metrics,
        context(paper={"nll": 94.68}, warnings=["log Z ends are 2.1 nats apart"], texts=texts),
        {"mi": "no symbols"},
    )
    lines = (tmp_path / "report.md").read_text().splitlines()
    assert any(line.startswith("| nll | 94.12 | 94.68 | nats/sentence | ") for line in lines)
    assert any(line.startswith("| homogeneity, act | 0.25 |") for line in lines)
    assert "**Warning:** log Z ends are 2.1 nats apart" in lines
    assert "    what | is this" in lines
    assert "mi: no symbols." in lines
    assert "| commit | abc123 |" in lines and "| seed | 7 |" in lines and "| device | cpu |" in lines
    assert "| sample counts | test sentences 1,000 |" in lines
    assert "| model.latent_dim | 32 |" in lines and "| data.label | a\\|b |" in lines
    # Tables stay tables: every row of one has the same number of unescaped bars as the row above.
    bars = [line.replace("\\|", "").count("|") if line.startswith("|") else 0 for line in lines]
    assert all(a == b for a, b in itertools.pairwise(bars) if a and b)


def test_a_crash_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    report.write_report(tmp_path, {"nll": 1.0}, context())

    def crash(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", crash)
    with pytest.raises(OSError, match="disk full"):
        report.write_report(tmp_path, {"nll": 2.0}, context())
    assert json.loads((tmp_path / "metrics.json").read_text())["nll"] == 1.0


def test_the_summary_comes_first_and_indented_lines_are_one_block():
    summary = ["Two topics.", "    topic 0", "        a text", "    topic 1", "And that is all."]
    document = report.metrics_document({"nll": 1.0}, context(summary=summary))
    assert document["about"]["summary"] == summary
    lines = report.render_report(document, context(summary=summary)).splitlines()
    assert lines[:13] == [
        "# assistant", "", "Two topics.", "", "    topic 0", "        a text", "    topic 1", "", "And that is all.",
        "", "## Measures", "", "| measure | value | unit | meaning | defined by |",
    ]  # fmt: skip


def test_topics_are_read_as_they_were_written(tmp_path):
    entry = {"symbol": 3, "label": None, "share": 0.5, "words": ["rain"], "texts": ["will it rain"]}
    made = context(topics=[entry], topics_of="9 test texts", first={"Topics": ["topic 3"]}, texts={"Samples": ["rain"]})
    report.write_report(tmp_path, {"nll": 1.0}, made)
    about = report.read_document(tmp_path / "metrics.json")["about"]
    assert about["topics"] == [entry] and about["topics_of"] == "9 test texts"
    assert "topics" not in report.metrics_document({"nll": 1.0}, context())["about"]
    text = (tmp_path / "report.md").read_text()
    assert text.index("## Topics") < text.index("## Measures") < text.index("## Samples")


@pytest.mark.parametrize(
    "topics",
    [
        {}, [1], [{}], [{"symbol": "3", "label": None, "share": 0.5, "words": [], "texts": []}],
        [{"symbol": 3, "label": None, "share": 0.5, "words": [1], "texts": []}],
        [{"symbol": 3, "label": 3, "share": 0.5, "words": [], "texts": []}],
    ],
)  # fmt: skip
def test_topics_that_evaluate_does_not_write_are_refused(topics, tmp_path):
    document = report.metrics_document({"nll": 1.0}, context())
    document["about"]["topics"] = topics
    (tmp_path / "metrics.json").write_text(json.dumps(document))
    with pytest.raises(ModelFolderError, match=r"metrics\.json: about\.topics is not as evaluate writes it"):
        report.read_document(tmp_path / "metrics.json")


def test_intervals_are_pairs_of_numbers():
    document = report.metrics_document({"accuracy": 0.5, "accuracy_interval": (0.25, np.float64(0.75))}, context())
    assert document["accuracy_interval"] == [0.25, 0.75] and json.loads(json.dumps(document))
    assert "| accuracy_interval | 0.25 to 0.75 | share |" in report.render_report(document, context())
    for value in ((0.25,), (0.25, 0.5, 0.75), ([], 0.5)):
        with pytest.raises(ConfigError, match="'accuracy_interval"):
            report.metrics_document({"accuracy_interval": value}, context())
