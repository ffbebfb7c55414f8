"""Native kernels against the reference over generated calls; see op_calls_at_random.py and op_comparison.py.

A finding names seed and number of its case: `Generator(seed).case(number)` makes it again. Each becomes a test where
the op's other tests are.

    pytest tests/fuzz/test_fuzz_ops.py --fuzz-seconds 3600 --fuzz-seed 1
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from svebm_ext.ops.backend import unavailable_reason

REASON = unavailable_reason("philox", "cpu")
OPS = {"philox_normal", "philox_uniform", "token_loss", "document_loss", "gru_sequence", "gru_decode", "langevin"}


@pytest.mark.skipif(bool(REASON), reason=REASON)
@pytest.mark.timeout(0)
def test_generated_calls(tmp_path, fuzz_seconds, fuzz_seed):
    seconds = fuzz_seconds(6.0)
    worker, progress = Path(__file__).with_name("op_worker.py"), tmp_path / "case"
    command = [sys.executable, str(worker), str(fuzz_seed), str(seconds)]
    environment = {**os.environ, "SVEBM_FUZZ_PROGRESS": str(progress), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=2 * seconds + 600, env=environment)
    at = f"seed {fuzz_seed}, case {progress.read_text().strip() if progress.exists() else '?'}"
    assert done.returncode == 0, f"{at}: status {done.returncode}: {done.stderr[-4000:]}"
    *findings, summary = map(json.loads, done.stdout.splitlines())
    print(summary)
    assert not findings, "\n".join(map(str, findings[:20]))
    assert summary["ops"].keys() == OPS and summary["kinds"].keys() == {"ordinary", "odd", "strange"}
    assert summary["calls"] > 2 * len(OPS)
