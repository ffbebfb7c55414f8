"""bfloat16 is left to processors that multiply in it; elsewhere the same runs are of float32, and end."""

import pytest
import torch
from tiny_runs import tiny_config, write_corpus

from svebm_ext import precision
from svebm_ext.models.tensor_files import read_tensors
from svebm_ext.precision import in_bf16, multiplies_bf16
from svebm_ext.training.run import train

CPU = torch.device("cpu")


@pytest.fixture(params=[False, True], ids=["without", "with"])
def has_products(request, monkeypatch):
    monkeypatch.setattr(precision, "cpu_multiplies_bf16", lambda: request.param)
    return request.param


def test_autocast_is_where_products_are(has_products):
    assert multiplies_bf16(CPU) == has_products
    layer, x = torch.nn.Linear(3, 2), torch.ones(1, 3)
    with in_bf16(CPU):
        assert layer(x).dtype == (torch.bfloat16 if has_products else torch.float32)


@pytest.mark.parametrize(("capability", "expected"), [((7, 5), False), ((8, 0), True), ((9, 0), True), ((12, 0), True)])
def test_gpus_have_them_since_ampere(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    assert multiplies_bf16(torch.device("cuda")) == expected


def test_an_lstm_runs_where_products_are_said_to_be():
    if not precision.cpu_multiplies_bf16():
        pytest.skip("this processor has no products of bfloat16")
    with in_bf16(CPU):
        states, _ = torch.nn.LSTM(8, 8)(torch.randn(4, 2, 8))
    assert states.isfinite().all()


def test_a_run_without_them_is_one_of_float32(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(precision, "cpu_multiplies_bf16", lambda: False)
    weights = {}
    for name in ("fp32", "bf16"):
        config = tiny_config(write_corpus(tmp_path), training={"precision": name, "max_steps": 4})
        train(config, tmp_path / name)
        weights[name] = read_tensors(tmp_path / name / "model.safetensors")[0]
    said = capsys.readouterr().err
    assert said.count("training.precision: float32, since this device does not multiply in bfloat16") == 1
    assert all(torch.equal(tensor, weights["fp32"][name]) for name, tensor in weights["bf16"].items())
