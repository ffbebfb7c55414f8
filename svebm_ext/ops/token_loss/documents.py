"""Multinomial likelihood of sparse bags of words, without the [B, V] matrices of logits or of targets."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

import svebm_ext.ops.token_loss as token_loss_op
from svebm_ext.ops.arguments import (
    Arguments,
    autocasts,
    bf16_operands,
    derivatives_of_derivatives,
    full_precision,
    gradients_with_derivatives,
    is_transformed,
)

CHECKS = Arguments("document_loss")


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
    CHECKS.tensors(
        {
            "hidden": (hidden, "float32 or float64 of shape [B, H]"),
            "weight": (weight, "[V, H]"),
            "bias": (bias, "[V]"),
            "words": (words, "torch.int64 of shape [n]"),
            "counts": (counts, "numbers of shape [n]"),
            "offsets": (offsets, "torch.int64 of shape [B + 1]"),
        }
    )
    document_weight, backend = CHECKS.number("document_weight", document_weight), CHECKS.backend(backend)
    if autocasts(hidden.device) and hidden.dtype in (torch.bfloat16, torch.float16):
        hidden = hidden.to(weight.dtype)
    _check(hidden, weight, bias, words, counts, offsets)
    fast = hidden.dtype != torch.float64 and bf16_operands(hidden.device)
    counts = counts.detach().to(hidden.dtype)
    if is_transformed():
        return _in_plain_torch(hidden, weight, bias, words, counts, offsets)
    return _DocumentLoss.apply(hidden, weight, bias, words, counts, offsets, document_weight, fast, backend)


def _check(hidden: Tensor, weight: Tensor, bias: Tensor, words: Tensor, counts: Tensor, offsets: Tensor) -> None:
    if hidden.dim() != 2:
        CHECKS.fail("hidden", f"of shape {list(hidden.shape)}", "[B, H]")
    n = words.shape[0] if words.dim() == 1 else 0
    expected = {"words": (words, (n,)), "counts": (counts, (n,)), "offsets": (offsets, (hidden.shape[0] + 1,))}
    for name, (tensor, shape) in expected.items():
        if tensor.shape != shape or tensor.device != hidden.device:
            passed = f"of shape {list(tensor.shape)} on {tensor.device}"
            CHECKS.fail(name, passed, f"of shape {list(shape)} on {hidden.device}")
    for name, tensor in (("words", words), ("offsets", offsets)):
        if tensor.dtype != torch.int64:
            CHECKS.fail(name, tensor.dtype, "torch.int64")
    if counts.dtype == torch.bool or counts.is_complex():
        CHECKS.fail("counts", counts.dtype, "numbers")
    token_loss_op._check(hidden, weight, bias, offsets[:-1], CHECKS)
    if words.device.type == "cpu" and not is_transformed():
        V = weight.shape[0]
        if n > 0 and not bool(((words >= 0) & (words < V)).all()):
            CHECKS.fail("words", f"from {int(words.min())} to {int(words.max())}", f"words from 0 to {V - 1}")
        if int(offsets[0]) != 0 or int(offsets[-1]) != n or bool((offsets[1:] < offsets[:-1]).any()):
            CHECKS.fail("offsets", "something else", f"numbers from 0 to {n} that do not decrease")


def _in_plain_torch(
    hidden: Tensor, weight: Tensor, bias: Tensor, words: Tensor, counts: Tensor, offsets: Tensor
) -> Tensor:
    """The same with the [B, V] logits, for derivatives of derivatives and torch.func."""
    rows = _rows(offsets, words)
    with full_precision(hidden.device):
        scores = F.linear(hidden, weight, bias)
        totals = counts.new_zeros(hidden.shape[0]).index_add(0, rows, counts)
        observed = counts * scores[rows, words]
        return totals * scores.logsumexp(-1) - observed.new_zeros(hidden.shape[0]).index_add(0, rows, observed)


class _DocumentLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        with full_precision(arguments[0].device):
            return _forward(ctx, *arguments)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        return *_backward(ctx, upstream[0]), *[None] * 6


def _forward(
    ctx: Any,
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor,
    words: Tensor,
    counts: Tensor,
    offsets: Tensor,
    document_weight: float,
    fast: bool,
    backend: str | None,
) -> Tensor:
    needed = any(ctx.needs_input_grad[:3])
    rows = _rows(offsets, words)
    totals = counts.new_zeros(hidden.shape[0]).index_add(0, rows, counts)
    first = _first_words(words, offsets)
    # the loss of a word is the normaliser but for that word's score
    loss, *gradients = token_loss_op._run(
        hidden, weight, bias, first, totals * document_weight if needed else 1.0, needed, fast, backend
    )
    bags, bag_bias = _bag(weight, bias, words, counts, offsets, rows)
    normaliser = loss + (hidden * weight[first]).sum(-1) + bias[first]
    normaliser = normaliser.where(offsets[1:] > offsets[:-1], 0.0)
    ctx.gradients, ctx.options = gradients if needed else None, (document_weight, fast, backend)
    ctx.save_for_backward(hidden, weight, bias, words, counts, offsets, totals, bags)
    return totals * normaliser - (hidden * bags).sum(-1) - bag_bias


def _backward(ctx: Any, given: Tensor) -> tuple[Tensor | None, ...]:
    hidden, weight, bias, words, counts, offsets, totals, bags = ctx.saved_tensors
    if derivatives_of_derivatives(given, hidden, weight, bias):
        derivatives = gradients_with_derivatives(
            lambda h, w, b: (_in_plain_torch(h, w, b, words, counts, offsets),), [hidden, weight, bias], [given]
        )
        return tuple(derivatives)
    gradients, ctx.gradients = ctx.gradients, None
    document_weight, fast, backend = ctx.options
    first = _first_words(words, offsets)
    if gradients is None or not bool((given == given.new_tensor(document_weight)).all()):
        gradients = token_loss_op._run(hidden, weight, bias, first, totals * given, True, fast, backend)[1:]
    grad_hidden, grad_weight, grad_bias = gradients
    scale = totals * given
    grad_hidden += scale[:, None] * weight[first] - given[:, None] * bags
    grad_weight.index_add_(0, first, scale[:, None] * hidden)
    grad_bias.index_add_(0, first, scale)
    rows = _rows(offsets, words)
    each = counts * given[rows]
    grad_weight.index_add_(0, words, hidden[rows] * -each[:, None])
    grad_bias.index_add_(0, words, -each)
    return grad_hidden, grad_weight, grad_bias


def _first_words(words: Tensor, offsets: Tensor) -> Tensor:
    """A word of each document [B]; of one without words, any.

    One that was observed: the score of another may be minus infinity, or so low that the difference to it is lost.
    """
    if words.shape[0] == 0:
        return torch.zeros_like(offsets[:-1])
    return words[offsets[:-1].clamp(max=words.shape[0] - 1)]


def _rows(offsets: Tensor, words: Tensor) -> Tensor:
    ids = torch.arange(offsets.shape[0] - 1, dtype=torch.int64, device=offsets.device)
    return ids.repeat_interleave(offsets[1:] - offsets[:-1], output_size=words.shape[0])


def _bag(
    weight: Tensor, bias: Tensor, words: Tensor, counts: Tensor, offsets: Tensor, rows: Tensor
) -> tuple[Tensor, Tensor]:
    """Sums over each document of c_w W_w [B, H] and c_w b_w [B]."""
    bags = F.embedding_bag(words, weight, offsets[:-1], mode="sum", per_sample_weights=counts)
    return bags, bias.new_zeros(bags.shape[0]).index_add(0, rows, bias[words] * counts)
