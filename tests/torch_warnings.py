"""Warnings of torch about what torch itself does, as marks of the tests that make it do so."""

import pytest

#: Decompositions for forward mode, when they are first used: a DeprecationWarning, from torch 2.14 on a FutureWarning.
JIT = pytest.mark.filterwarnings("ignore:.torch.jit.script. is (deprecated|not supported):Warning")
#: `opcheck` looks at the gradients of all tensors when it traces a backward pass: from torch 2.14 on.
NO_LEAF = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf:UserWarning")
