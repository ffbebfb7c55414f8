"""How long the fuzz tests take, and from which seed on they go."""

import pytest


@pytest.fixture
def fuzz_seconds(request):
    """Seconds that a fuzz test may take: those asked for, or as many as it is called with."""
    asked = request.config.getoption("--fuzz-seconds")
    return lambda default: default if asked is None else asked


@pytest.fixture
def fuzz_seed(request):
    """The first seed."""
    return request.config.getoption("--fuzz-seed")
