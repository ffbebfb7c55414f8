"""Damaged folders, seeded: a clear line or a valid model, whatever stands in their files; no crash, hang or traceback.

pytest tests/fuzz/test_folders.py --fuzz-seconds 3600
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="limits of memory are those of Linux")


@pytest.mark.timeout(0)
def test_damaged_folders_are_refused_or_valid(tmp_path, fuzz_seconds, fuzz_seed):
    seconds = fuzz_seconds(5)
    worker = Path(__file__).with_name("folder_worker.py")
    command = [sys.executable, str(worker), str(tmp_path), str(fuzz_seed), str(1 << 30), str(seconds)]
    log = tmp_path / "errors.txt"
    with open(log, "wb") as errors:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, text=True, timeout=seconds * 2 + 600)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, f"died at {lines[-1:]}: {log.read_text(errors='replace')[-2000:]}"
    outcomes = [(line, *pair) for line in lines for pair in line.get("outcomes", {}).items()]
    faults = [(line["seed"], line["base"], line["done"], *rest) for line, *rest in outcomes if rest[1] not in (
        "refused", "accepted")]  # fmt: skip
    assert not faults, "\n\n".join(map(str, faults[:5]))
    assert len(outcomes) >= 10 and {outcome for *_, outcome in outcomes} == {"refused", "accepted"}
