"""The ablation: valid configurations that each change one thing, and two rows from the command to the report."""

import json

import pytest
from tiny_runs import write_ptb

from svebm_ext import experiments
from svebm_ext.config import to_dict, validate
from svebm_ext.errors import ConfigError
from svebm_ext.experiments.ablation import ABLATION, CHANGES, make_row


def differences(first, second, prefix=""):
    found = {}
    for key, value in first.items():
        if isinstance(value, dict):
            found |= differences(value, second[key], f"{prefix}{key}.")
        elif value != second[key]:
            found[prefix + key] = second[key]
    return found


@pytest.mark.parametrize("name", ABLATION.names)
def test_rows_are_valid_and_differ_in_what_they_name(name):
    config = make_row(name, "cpu").config
    validate(config)
    validate(make_row(name, "smoke").config)
    changed = differences(to_dict(make_row("svebm-ib", "cpu").config), to_dict(config))
    wanted = {f"{section}.{key}": v for section, options in CHANGES[name].items() for key, v in options.items()}
    assert changed == wanted


def test_there_is_no_paper_budget():
    with pytest.raises(ConfigError, match=r"--budget: table1-ptb-ablation has no budget 'paper'; it has smoke, cpu"):
        experiments.main(["ptb-ablation", "--budget", "paper"])


def test_from_the_command_to_the_report(tmp_path):
    write_ptb(tmp_path)
    out = tmp_path / "out"
    place = ["--data.root", str(tmp_path), "--out", str(out), "--device", "cpu"]
    experiments.main(["ptb-ablation", "--budget", "smoke", "--rows", "vae", "w-.5", *place])
    rows = json.loads((out / "report.json").read_text())
    assert [row["row"] for row in rows] == ["w-0.5", "vae"]
    assert all(row["nll"] > 0 for row in rows) and rows[1]["mi"] is None
    assert "| w-0.5 |" in (out / "report.md").read_text()
