"""The compiled kernels of `philox`: planned once a call, then run; raw pointers out, a tensor back."""

from __future__ import annotations

import torch
from torch import Tensor

from svebm_ext.ops.native_call import NativeCall, Unsupported, plan_native
from svebm_ext.ops.philox.options import PhiloxInputs


class Planned:
    """A call that a kernel is ready to serve, and the memory of its numbers."""

    def __init__(self, call: NativeCall | None, numbers: Tensor) -> None:
        self._call, self._numbers = call, numbers

    def run(self) -> Tensor:
        """As `reference.philox`: the same integers, hence the same uniforms; normals equal to rounding."""
        if self._call is not None:
            self._call.run()
        return self._numbers


def plan(inputs: PhiloxInputs) -> Planned | Unsupported:
    """What will serve a call [S, N, dim]."""
    chain_ids, n_chains = inputs.chain_ids, inputs.chain_ids.shape[0]
    shape = (inputs.n_steps, n_chains, inputs.dim)
    numbers = torch.empty(shape, dtype=torch.float32, device=chain_ids.device)
    if numbers.numel() == 0:
        return Planned(None, numbers)
    call = plan_native("philox", chain_ids.device, {**vars(inputs), "numbers": numbers, "n_chains": n_chains})
    return call if isinstance(call, Unsupported) else Planned(call, numbers)
