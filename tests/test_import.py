"""Importing the package is cheap: nothing that one function needs is loaded before it is called."""

import json
import subprocess
import sys

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
