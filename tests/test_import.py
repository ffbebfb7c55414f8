"""Importing the package is cheap: nothing that one function needs is loaded before it is called."""

import importlib
import json
import subprocess
import sys

import pytest

from svebm_ext.former_names import MOVED

PROGRAM = """
import json, sys, time
import torch
begin = time.perf_counter()
import svebm_ext
seconds = time.perf_counter() - begin
svebm_ext.SVEBM
heavy = [name for name in ("matplotlib", "sklearn", "sacrebleu", "scipy", "tyro", "rich", "pooch", "tensorboard")
         if name in sys.modules]
print(json.dumps({"seconds": seconds, "heavy": heavy}))
"""


def test_import_costs_little_beside_torch():
    command = [sys.executable, "-W", "ignore", "-c", PROGRAM]
    runs = [json.loads(subprocess.run(command, capture_output=True, check=True).stdout) for _ in range(3)]
    assert min(run["seconds"] for run in runs) <= 0.15
    assert all(run["heavy"] == [] for run in runs)


@pytest.mark.parametrize("former", MOVED)
def test_modules_that_have_moved_are_there_by_their_former_names(former):
    module, present = importlib.import_module(former), importlib.import_module(MOVED[former])
    names = [name for name in vars(present) if not name.startswith("__")]
    assert names and all(getattr(module, name) is getattr(present, name) for name in names)
    assert present.__name__ == present.__spec__.name == MOVED[former]


def test_former_and_unknown_names():
    program = (
        "from svebm_ext.sampling.annealed import estimate_log_z; from svebm_ext.models.energy import EnergyMLP\n"
        "from svebm_ext.prior import annealing, network\n"
        "assert (estimate_log_z, EnergyMLP) == (annealing.estimate_log_z, network.EnergyMLP)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
    for name in ("svebm_ext.sampling.none", "svebm_ext.models.none"):
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)
