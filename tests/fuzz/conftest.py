"""How long the fuzz tests take: `pytest tests/fuzz --fuzz-seconds 3600` gives each of them an hour."""

import pytest


def pytest_addoption(parser):
    parser.addoption("--fuzz-seconds", type=float, default=None, help="seconds for each fuzz test (default: a few)")
    parser.addoption("--fuzz-seed", type=int, default=0, help="first seed of the fuzz tests")


@pytest.fixture
def fuzz_seconds(request):
    """Seconds that a fuzz test may take: those asked for, or as many as it is called with."""
    asked = request.config.getoption("--fuzz-seconds", default=None)
    return lambda default: default if asked is None else asked


@pytest.fixture
def fuzz_seed(request):
    return request.config.getoption("--fuzz-seed", default=0)
