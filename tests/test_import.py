"""Importing the package is cheap: nothing that one function needs is loaded before it is called."""

import json
import subprocess
import sys

from tiny_runs import tiny_config, write_corpus

from svebm_ext import SVEBM
from svebm_ext.data.vocabulary import Vocabulary

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


LOAD = """
import json, sys
import torch
from svebm_ext import SVEBM
state = torch.get_rng_state()
model = SVEBM.from_pretrained(sys.argv[1])
model.generate(1, seed=0)
heavy = [name for name in ("torch._dynamo", "sympy", "sklearn", "scipy", "matplotlib") if name in sys.modules]
print(json.dumps({"heavy": heavy, "drew": not torch.equal(state, torch.get_rng_state())}))
"""


def test_a_model_is_loaded_without_a_compiler_and_without_random_numbers(tmp_path):
    config = tiny_config(write_corpus(tmp_path))
    vocabulary = Vocabulary([f"word{i}" for i in range(20)])
    SVEBM(config, vocabulary).save_pretrained(tmp_path / "model")
    command = [sys.executable, "-W", "ignore", "-c", LOAD, str(tmp_path / "model")]
    answer = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    assert answer == {"heavy": [], "drew": False}
