"""An embedding whose table is the weight of the softmax as well, as one operation."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor


def tied_embedding(
    table: Float[Tensor, "V E"], words: Int[Tensor, "n"]
) -> tuple[Float[Tensor, "n E"], Float[Tensor, "V E"]]:
    """Rows of a table, table[words], and the table itself, for what else is computed from it.

    Both gradients meet in one backward pass, which adds that of the rows to that of the table where it is: autograd by
    itself would make another whole matrix for the sum. Where the table has no other gradient, that of the rows is
    sparse.

    Args:
        table: embeddings.
        words: which rows.
    """
    return _TiedEmbedding.apply(table, words)


class _TiedEmbedding(torch.autograd.Function):
    """Rows of a table and the table, see `tied_embedding`."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
        ctx.shape, ctx.recorded = weight.shape, False
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(words)
        return weight[words], weight.view_as(weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> tuple[Tensor | None, None]:
        (words,) = ctx.saved_tensors
        rows, weight = gradients
        if rows is None:
            return weight, None
        if torch.is_grad_enabled() or ctx.recorded:  # the gradients belong to a graph of their own
            ctx.recorded = True
            whole = rows.new_zeros(ctx.shape) if weight is None else weight
            return whole.index_add(0, words, rows), None
        if weight is not None:
            return weight.index_add_(0, words, rows), None
        sparse = torch.sparse_coo_tensor(
            words[None], rows, ctx.shape, dtype=rows.dtype, device=rows.device, check_invariants=False
        )
        return sparse, None
