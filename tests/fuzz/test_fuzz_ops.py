"""Native kernels against the reference over generated calls; see op_calls_at_random.py.

A finding names seed and number of its case: `Generator(seed).case(number)` makes it again. Each becomes a test where
the op's other tests are.
"""

import sys
import time
import warnings
from pathlib import Path

import pytest
import torch

from svebm_ext.ops.backend import unavailable_reason
from svebm_ext.ops.native_library import native_library, native_module

sys.path.insert(0, str(Path(__file__).parent))
from op_calls_at_random import Generator, complaint

REASON = unavailable_reason("philox", "cpu")
SHORT_RUN = 2400
VARIANTS = native_library().module.cpu_variants() if native_library().module else []


@pytest.mark.skipif(bool(REASON), reason=REASON)
@pytest.mark.timeout(0)
def test_generated_calls(fuzz_seconds, fuzz_seed):
    import jaxtyping

    seconds, seed = fuzz_seconds(0.0), fuzz_seed
    generator, start, number, findings = Generator(seed), time.monotonic(), 0, []
    jaxtyping.config.update("jaxtyping_disable", True)  # strange arguments are to reach the package's own checks
    try:
        while number < SHORT_RUN if seconds <= 0 else time.monotonic() - start < seconds:
            case = generator.case(number)
            native_module().use_cpu_variant(VARIANTS[number // 7 % len(VARIANTS)])
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("error")
                    wrong = complaint(case)
            except Exception as error:  # of any kind: none is to be raised
                wrong = f"{type(error).__name__}: {error}"
            if wrong:
                findings.append(f"seed {seed}, case {number}, {case.op}, {case.odd}: {wrong[:300]}")
            number += 1
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)
        native_module().use_cpu_variant(VARIANTS[-1])
    print(f"{number} calls in {time.monotonic() - start:.0f} s, {len(findings)} findings")
    assert torch.get_default_dtype() == torch.float32
    assert not findings, "\n".join(findings[:20])
