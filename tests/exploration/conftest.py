"""The workbench's page of made-up texts in a browser."""

import pytest
from browser import chromium, opened
from workbench import made_up

from svebm_ext.exploration.page import render


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "explore.html"
    path.write_text(render(made_up()), encoding="utf-8")
    return path


@pytest.fixture
def page(browser, file):
    with opened(browser, file) as page:
        yield page
