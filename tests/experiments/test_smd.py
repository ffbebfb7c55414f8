"""Tables 3 to 5: valid rows with the paper's figures, and all of them from the command to the report."""

import json

import pytest
from tiny_runs import write_dialogs

from svebm_ext import experiments
from svebm_ext.config import validate
from svebm_ext.experiments.smd import TABLE3, make_row


@pytest.mark.parametrize("budget", ["smoke", "cpu", "paper"])
@pytest.mark.parametrize("name", TABLE3.names)
def test_rows_are_valid(name, budget):
    row = make_row(name, budget)
    validate(row.config)
    assert row.config.model.kind == "dialogs" and row.config.data.speaker_marks
    assert set(row.paper) == {"response_bleu", "response_average", "response_extrema", "response_greedy"}


def test_from_the_command_to_the_report(tmp_path):
    write_dialogs(tmp_path)
    (tmp_path / "glove").mkdir()
    (tmp_path / "glove" / "glove.6B.50d.txt").write_text("the 1 0\n. 0 1\n? 1 1\na 0 2\ncat 1 3\ndog 2 1\nit 1 -1\n")
    out = tmp_path / "out"
    place = ["--data.root", str(tmp_path), "--out", str(out), "--device", "cpu"]
    experiments.main(["smd", "--budget", "smoke", *place])
    rows = json.loads((out / "report.json").read_text())
    assert [row["row"] for row in rows] == ["di-vae", "dgm-vae-i", "svebm-ib"]
    for row in rows:
        assert row["response_bleu"] is not None and row["homogeneity"]["domain"] is not None
    assert rows[2]["paper"]["response_bleu"] == 12.01
    report = (out / "report.md").read_text()
    assert "| svebm-ib |" in report and "12.01" in report
    assert (out / "table4.md").read_text().startswith("# Actions")
    assert (out / "table5.md").read_text().startswith("# Responses under different symbols")
