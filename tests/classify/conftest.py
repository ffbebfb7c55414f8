"""What tests of `classify` share: a model that answers, small parts of files, and whether there is pyarrow."""

import inspect

import pytest
from classified_files import pyarrow
from tiny_runs import tiny_model

from svebm_ext import classify
from svebm_ext.data import text_streams


@pytest.fixture(autouse=True)
def _has_arrow(request):
    """A test that writes or reads Parquet needs pyarrow, which is an extra; the others do not."""
    source = inspect.getsource(request.function)
    uses = any(word in source for word in ("parquet.read", "parquet.write", "pyarrow", '"out.parquet"'))
    if pyarrow is None and (uses or "parquet" in request.node.name):
        pytest.skip("no pyarrow")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Folder of a model that was never trained: its answers are as good as any to be compared."""
    folder = tmp_path_factory.mktemp("classify") / "run"
    tiny_model().save_pretrained(folder)
    return folder


@pytest.fixture
def short(monkeypatch):
    """Beginnings of 2,000 bytes and parts of 50 rows: small files go the way of large ones."""
    monkeypatch.setattr(text_streams, "BEGINNING", 2000)
    monkeypatch.setattr(classify, "PART", 50)
