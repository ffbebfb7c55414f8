"""What tests of several ops share."""

import pytest

from svebm_ext.ops.backend import unavailable_reason
from svebm_ext.ops.native_library import native_library


def variants():
    """Instruction sets of this processor for which there are kernels."""
    module = native_library().module
    return module.cpu_variants() if module else ["none"]


@pytest.fixture(params=variants())
def variant(request):
    """Each instruction set of this processor, once."""
    module = native_library().module
    if module is None:
        pytest.skip(unavailable_reason("philox", "cpu"))
    before = module.cpu_variant()
    module.use_cpu_variant(request.param)
    yield request.param
    module.use_cpu_variant(before)
