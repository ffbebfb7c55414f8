"""Multinomial likelihood of sparse bags of words, without the [B, V] matrices of logits or of targets."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

import svebm_ext.ops.token_loss as token_loss_op
from svebm_ext.errors import ConfigError
from svebm_ext.ops.native_products import bf16_operands


def document_loss(
    hidden: Float[Tensor, "B H"],
    weight: Float[Tensor, "V H"],
    bias: Float[Tensor, " V"],
    words: Int[Tensor, " n"],
    counts: Float[Tensor, " n"],
    offsets: Int[Tensor, " B_plus_1"],
    *,
    document_weight: float = 1.0,
    backend: str | None = None,
) -> Float[Tensor, " B"]:
    """-sum_w c_w log softmax(h W^T + b)_w of every document, in nats; without the multinomial coefficient.

    It is N logsumexp(h W^T + b) - sum_w c_w (h W_w + b_w) with N words in a document. The normaliser needs all of V
    and comes from `token_loss`, some logits at a time, with its gradients; the rest needs the rows of observed words.

    Args:
        hidden: h, one row a document.
        weight: W, one row a word.
        bias: b.
        words, counts, offsets: the bags, in compressed rows (see `data.documents.DocumentBatch`).
        document_weight: expected gradient of each document's loss, such as 1 / B; any other is right and slower.
        backend: as for `token_loss`.

    Raises:
        ConfigError: an argument has a wrong shape, type, device or value.
        BackendUnavailableError: `backend` is "native" and the native library cannot serve the call.
    """
    if offsets.shape != (hidden.shape[0] + 1,) or words.shape != counts.shape or words.dim() != 1:
        raise ConfigError(
            f"document_loss: words, counts, offsets are of shape {list(words.shape)}, {list(counts.shape)}, "
            f"{list(offsets.shape)}; expected [n], [n], [{hidden.shape[0] + 1}]"
        )
    if torch.is_autocast_enabled(hidden.device.type) and hidden.dtype in (torch.bfloat16, torch.float16):
        hidden = hidden.to(weight.dtype)
    fast = hidden.dtype != torch.float64 and bf16_operands(hidden.device)
    return _DocumentLoss.apply(
        hidden, weight, bias, words, counts.to(hidden.dtype), offsets, float(document_weight), fast, backend
    )


class _DocumentLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        hidden, weight, bias, words, counts, offsets, document_weight, fast, backend = arguments
        needed = any(ctx.needs_input_grad[:3])
        rows = _rows(offsets, words)
        totals = counts.new_zeros(hidden.shape[0]).index_add(0, rows, counts)
        first = torch.zeros(hidden.shape[0], dtype=torch.int64, device=hidden.device)
        # the loss of word 0 is the normaliser but for that word's score
        loss, *gradients = token_loss_op._run(
            hidden, weight, bias, first, totals * document_weight if needed else 1.0, needed, fast, backend
        )
        bags, bag_bias = _bag(weight, bias, words, counts, offsets, rows)
        normaliser = loss + hidden @ weight[0] + bias[0]
        ctx.gradients, ctx.options = gradients if needed else None, (document_weight, fast, backend)
        ctx.save_for_backward(hidden, weight, bias, words, counts, offsets, totals, bags)
        return totals * normaliser - (hidden * bags).sum(-1) - bag_bias

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, words, counts, offsets, totals, bags = ctx.saved_tensors
        gradients, ctx.gradients = ctx.gradients, None
        document_weight, fast, backend = ctx.options
        given = upstream[0]
        if gradients is None or not bool((given == given.new_tensor(document_weight)).all()):
            first = torch.zeros(hidden.shape[0], dtype=torch.int64, device=hidden.device)
            gradients = token_loss_op._run(hidden, weight, bias, first, totals * given, True, fast, backend)[1:]
        grad_hidden, grad_weight, grad_bias = gradients
        scale = totals * given
        grad_hidden += scale[:, None] * weight[0] - given[:, None] * bags
        grad_weight[0] += scale @ hidden
        grad_bias[0] += scale.sum()
        rows = _rows(offsets, words)
        each = counts * given[rows]
        grad_weight.index_add_(0, words, hidden[rows] * -each[:, None])
        grad_bias.index_add_(0, words, -each)
        return grad_hidden, grad_weight, grad_bias, *[None] * 6


def _rows(offsets: Tensor, words: Tensor) -> Tensor:
    ids = torch.arange(offsets.shape[0] - 1, device=offsets.device)
    return ids.repeat_interleave(offsets[1:] - offsets[:-1], output_size=words.shape[0])


def _bag(
    weight: Tensor, bias: Tensor, words: Tensor, counts: Tensor, offsets: Tensor, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Sums over each document of c_w W_w [B, H] and c_w b_w [B]."""
    bags = F.embedding_bag(words, weight, offsets[:-1], mode="sum", per_sample_weights=counts)
    return bags, bias.new_zeros(bags.shape[0]).index_add(0, rows, bias[words] * counts)
