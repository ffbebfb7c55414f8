"""`gru_sequence` over inputs that repeat, such as the words of many sentences, where no gradient is asked for.

Most words of a batch occur many times. W_i x, more than half of the arithmetic, is then worked out once for each
distinct input. The numbers are those of `gru_sequence`, bit for bit: every product is the same sum in the same order.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.ops.arguments import bf16_operands, is_transformed
from svebm_ext.ops.backend import resolve
from svebm_ext.ops.gru_sequence import check_arguments, gru_sequence, native
from svebm_ext.ops.gru_sequence.options import GruSequenceInputs

#: Positions for each distinct input from which on it pays to look for them.
REPEATED = 2


def gru_sequence_of_repeated(
    distinct: Float[Tensor, "m I"],
    which: Int[Tensor, " n"],
    batch_sizes: Int[Tensor, " T"],
    parameters: Sequence[Tensor],
) -> tuple[Float[Tensor, "n directions_H"], Float[Tensor, "directions B H"]]:
    """As `gru_sequence(distinct[which], batch_sizes, None, parameters)`; arguments and errors are the same.

    Args:
        distinct: inputs, each once.
        which: input of every packed position, 0 .. m-1.
        batch_sizes: rows running at each time step.
        parameters: of `gru_sequence`.
    """
    few = len(which) >= REPEATED * len(distinct) > 0
    if not (few and products_are_shared(distinct) and resolve("gru_sequence", distinct.device) == "native"):
        return gru_sequence(distinct[which], batch_sizes, None, parameters)
    parameters = check_arguments(distinct[:1].expand(len(which), -1), batch_sizes, None, parameters)
    fast = bf16_operands(distinct.device)
    inputs = GruSequenceInputs(distinct, batch_sizes, None, [p.detach() for p in parameters], fast)
    return native.forward_of_repeated(inputs, which)


def products_are_shared(numbers: Tensor) -> bool:
    """Whether it may pay to look for distinct inputs among `numbers`: on a CPU, in float32, without a gradient."""
    if torch.is_grad_enabled() or torch.compiler.is_compiling() or is_transformed():
        return False
    return numbers.device.type == "cpu" and numbers.dtype == torch.float32
