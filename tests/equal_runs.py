"""Two runs are equal in all that does not tell the time."""

import json

import torch

from svebm_ext.models.tensor_files import read_tensors

#: Entries that depend on the clock.
CLOCK = ("seconds", "tokens_per_second")


def log(folder):
    records = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [{name: value for name, value in record.items() if name not in CLOCK} for record in records]


def assert_equal(found, expected):
    """Weights, checkpoints, log and measures of two run folders, bit for bit, and nothing half written."""
    names = {str(path.relative_to(expected)) for path in expected.rglob("*") if path.is_file()}
    assert names == {str(path.relative_to(found)) for path in found.rglob("*") if path.is_file()}
    for name in sorted(names):
        if name.endswith(".safetensors"):
            tensors, others = read_tensors(found / name)[0], read_tensors(expected / name)[0]
            assert tensors.keys() == others.keys(), name
            for tensor in tensors:
                assert torch.equal(tensors[tensor], others[tensor]), (name, tensor)
    assert log(found) == log(expected)
    if (expected / "metrics.json").exists():
        first, second = (json.loads((folder / "metrics.json").read_text()) for folder in (found, expected))
        assert {k: v for k, v in first.items() if k != "about"} == {k: v for k, v in second.items() if k != "about"}
