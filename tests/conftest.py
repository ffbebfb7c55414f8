"""Shape annotations are checked at run time in tests only; examples of properties are the same in every run."""

import torch
from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook("svebm_ext", "beartype.beartype")

# No time limit for each example: the machine may be busy.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")

# Tests are many small computations: threads would only wait for each other.
torch.set_num_threads(1)


def pytest_addoption(parser):
    """Options of tests/fuzz: `pytest tests/fuzz --fuzz-seconds 3600` gives each of them an hour."""
    parser.addoption("--fuzz-seconds", type=float, default=None, help="seconds for each fuzz test (default: a few)")
    parser.addoption("--fuzz-seed", type=int, default=0, help="first seed of the fuzz tests")
