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
    """Options of tests/fuzz: hours in place of half a minute, and other cases."""
    parser.addoption("--fuzz-seconds", type=float, default=0.0, help="seconds for each fuzz test; 0: a short run")
    parser.addoption("--fuzz-seed", type=int, default=0, help="seed of the generated cases")
