"""Generated calls of every op, native against reference; one line of JSON a finding, and one of counts at the end.

    python tests/fuzz/op_worker.py SEED SECONDS [CASES]

It ends after so many seconds, or cases where these are given. The number of the case at work stands in PROGRESS, for
what ends the process. A process of its own, without the hook that checks shapes: strange arguments are to reach the
package's own checks, and it is three times as fast.
"""

import collections
import json
import os
import signal
import sys
import time
import warnings
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]

import torch  # noqa: E402
from op_calls_at_random import Generator  # noqa: E402
from op_comparison import complaint  # noqa: E402

from svebm_ext.ops.native_library import native_module  # noqa: E402

#: File for the number of the case at work.
PROGRESS = os.environ.get("SVEBM_FUZZ_PROGRESS", os.devnull)
#: Signals that came; after one, what was done is told.
STOPPED = []
#: Findings after which there is no point in going on.
MOST = 200


def main(seed, seconds, cases):
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    variants = native_module().cpu_variants()
    generator, begin, number, n_findings = Generator(seed), time.monotonic(), 0, 0
    calls, kinds = collections.Counter(), collections.Counter()
    progress = os.open(PROGRESS, os.O_WRONLY | os.O_CREAT, 0o666)
    signal.signal(signal.SIGTERM, lambda number, frame: STOPPED.append(number))
    while (number < cases if cases else time.monotonic() - begin < seconds) and n_findings < MOST and not STOPPED:
        os.pwrite(progress, b"%-20d" % number, 0)
        case = generator.case(number)
        try:
            wrong, n_calls = complaint(case, variants)
        except Exception as error:  # of any kind: none is to be raised
            wrong, n_calls = f"{type(error).__name__}: {error}", 1
        calls[case.op] += n_calls
        kinds["strange" if case.strange else "odd" if case.odd else "ordinary"] += n_calls
        if wrong:
            n_findings += 1
            found = {"seed": seed, "case": number, "op": case.op, "odd": case.odd, "wrong": wrong[:400]}
            print(json.dumps(found), flush=True)
        number += 1
    taken = time.monotonic() - begin
    summary = {"cases": number, "calls": sum(calls.values()), "seconds": round(taken, 1), "findings": n_findings}
    print(json.dumps({**summary, "ops": calls, "kinds": kinds}), flush=True)
    assert torch.get_default_dtype() == torch.float32


if __name__ == "__main__":
    main(int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
