"""Arithmetic of networks: bfloat16 where the processor multiplies in it, float32 elsewhere.

A CPU without AVX-512, or an ARM one without such products, has torch emulate them. On AMD's Zen 3 a product took 25
times as long as in float32, and an LSTM ended with an error of oneDNN. Rounding is then no gain, and is left out.
"""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager, nullcontext

import torch

#: Compute capability of the first GPUs with such products.
FIRST_GPU = 8


@functools.cache
def cpu_multiplies_bf16() -> bool:
    """Whether torch multiplies matrices of bfloat16 on this CPU by instructions that it has."""
    try:
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())
    except (AttributeError, RuntimeError):  # built without oneDNN
        return False


def multiplies_bf16(device: torch.device) -> bool:
    """Whether a device multiplies in bfloat16 by instructions that it has; of NVIDIA's GPUs those since Ampere do."""
    if device.type == "cpu":
        return cpu_multiplies_bf16()
    return torch.cuda.get_device_capability(device)[0] >= FIRST_GPU


def in_bf16(device: torch.device) -> AbstractContextManager:
    """bfloat16 autocast of what is computed within, where the device multiplies in it; else nothing."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if multiplies_bf16(device) else nullcontext()
