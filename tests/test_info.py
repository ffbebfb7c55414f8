"""`python -m svebm_ext.info`: what it says must be what the ops do."""

import json
import os

import pytest
import torch

import svebm_ext
from svebm_ext import info
from svebm_ext.ops import backend, native_library
from svebm_ext.ops.philox import Stream, philox_normal


@pytest.fixture(autouse=True)
def look_afresh(monkeypatch):
    monkeypatch.delenv("SVEBM_BACKEND", raising=False)
    backend.forget_decisions()
    yield
    backend.forget_decisions()


def printed(capsys, *arguments):
    info.main(arguments)
    return capsys.readouterr().out


def test_json_and_text_tell_versions_and_every_op(capsys):
    told = json.loads(printed(capsys, "--json"))
    assert told["svebm_ext"] == svebm_ext.__version__
    assert told["torch"] == torch.__version__
    assert {"philox", "langevin"} <= set(told["ops"])
    text = printed(capsys)
    for fact in (svebm_ext.__version__, torch.__version__, *told["ops"]):
        assert fact in text


def test_the_told_backend_is_the_one_used(capsys):
    told = json.loads(printed(capsys, "--json"))["ops"]["philox"]["cpu"]
    assert told["backend"] == backend.resolve("philox", torch.device("cpu"))
    assert bool(told["reason"]) == (told["backend"] == "reference")


def test_a_missing_library_is_told_with_its_reason(capsys, monkeypatch):
    missing = native_library.NativeLibrary(None, "the file was removed in this test")
    monkeypatch.setattr(native_library, "_find_library", lambda: missing)
    told = json.loads(printed(capsys, "--json"))
    assert told["native"]["loaded"] is None
    assert told["ops"]["philox"]["cpu"] == {"backend": "reference", "reason": "the file was removed in this test"}
    assert "the file was removed in this test" in printed(capsys)


def test_the_environment_is_told(capsys, monkeypatch):
    monkeypatch.setenv("SVEBM_BACKEND", "reference")
    told = json.loads(printed(capsys, "--json"))
    assert told["requested_backend"] == "reference"
    assert told["ops"]["philox"]["cpu"] == {"backend": "reference", "reason": "SVEBM_BACKEND=reference"}
    philox_normal(0, torch.arange(2), dim=2, stream=Stream.INITIAL)

    missing = native_library.NativeLibrary(None, "gone")
    monkeypatch.setattr(native_library, "_find_library", lambda: missing)
    backend.forget_decisions()
    monkeypatch.setenv("SVEBM_BACKEND", "native")
    told = json.loads(printed(capsys, "--json"))["ops"]["philox"]["cpu"]
    assert told["backend"] is None
    assert "gone" in told["reason"]


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_without_a_gpu_no_op_claims_cuda(capsys):
    told = json.loads(printed(capsys, "--json"))
    assert told["devices"] == ["cpu"]
    assert all(op["cuda"] == {"backend": None, "reason": "torch sees no CUDA device"} for op in told["ops"].values())


def test_a_log_is_read_as_warily_as_everything_in_a_folder(tmp_path):
    log = tmp_path / "metrics.jsonl"
    assert info._iterations(log) is None
    damaged = ['{"step": 1e999}', '{"step": true}', '{"step": -3}', '{"step": "9"}', "[" * 5000, "{"]
    log.write_text('{"step": 20}\n' + "\n".join(damaged) + "\n")
    assert info._iterations(log) == 20
    log.unlink()
    os.mkfifo(log)
    assert info._iterations(log) is None
    log.unlink()
    log.symlink_to("/dev/zero")
    assert info._iterations(log) is None
