"""SIGKILL at random moments of training, alone and together, second stage, evaluation, pages and experiments.

Nothing is lost or half done, and what is made in the end is that of a run which was not killed, bit for bit.

    pytest tests/fuzz/test_kills.py --fuzz-seconds 3600
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch


@pytest.mark.timeout(0)
@pytest.mark.skipif(sys.platform != "linux", reason="children are forked")
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built without distributed")
def test_killed_runs_end_as_those_that_were_not(tmp_path, fuzz_seconds, fuzz_seed):
    seconds = fuzz_seconds(1)
    worker = Path(__file__).with_name("kill_worker.py")
    command = [sys.executable, str(worker), str(tmp_path), str(fuzz_seed), str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * seconds + 600)
    assert done.returncode == 0, f"{done.stdout[-500:]}\n{done.stderr[-4000:]}"
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    print(f"{sum(one['kills'] for one in rounds)} kills in {len(rounds)} rounds")
    assert {"train", "second", "together", "explore", "experiments"} <= {one["kind"] for one in rounds}
    assert sum(one["kills"] for one in rounds) >= 5
