"""Loss of tokens in plain torch: the equation, and the same in chunks, with gradients derived by hand."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.ops.arguments import full_precision

CHUNK_NUMBERS = 1 << 23
"""Logits held at a time, whatever the vocabulary."""

NO_TARGET = -(1 << 62)
"""What stands for no token in torch's cross-entropy: nothing that a caller passes."""


def token_loss(
    hidden: Float[Tensor, "n H"],
    weight: Float[Tensor, "V H"],
    targets: Int[Tensor, " n"],
    bias: Float[Tensor, " V"] | None = None,
) -> Float[Tensor, " n"]:
    """logsumexp_v(h W^T + b)_v - (h W^T + b)_target of every token, in nats."""
    return cross_entropy(F.linear(hidden, weight, bias), targets)


def cross_entropy(logits: Float[Tensor, "n V"], targets: Int[Tensor, " n"]) -> Float[Tensor, " n"]:
    """-log softmax(logits)_target. No target is skipped, as torch's own does with -100: it is no word."""
    return F.cross_entropy(logits, targets, reduction="none", ignore_index=NO_TARGET)


def at_once(
    hidden: Float[Tensor, "n H"],
    weight: Float[Tensor, "V H"],
    targets: Int[Tensor, " n"],
    bias: Float[Tensor, " V"] | None,
    *,
    fast: bool,
) -> Float[Tensor, " n"]:
    """`token_loss` for autograd, which keeps the logits; arguments as `by_chunks`, whatever autocast says."""
    with full_precision(hidden.device):
        if not fast:
            return token_loss(hidden, weight, targets, bias)
        logits = F.linear(hidden.to(torch.bfloat16), weight.to(torch.bfloat16)).to(hidden.dtype)
        return cross_entropy(logits if bias is None else logits + bias, targets)


def by_chunks(
    hidden: Float[Tensor, "n H"],
    weight: Float[Tensor, "V H"],
    bias: Float[Tensor, " V"] | None,
    targets: Int[Tensor, " n"],
    token_weights: Float[Tensor, " n"] | float,
    *,
    gradients: bool,
    fast: bool = False,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Loss [n], and the gradients of sum_t w_t loss_t by hidden, weight and bias; empty where they are not asked for.

    P = softmax(logits) - onehot(target);  dh_t = w_t P_t W;  dW = sum_t w_t P_t^T h_t;  db = sum_t w_t P_t.

    Args:
        hidden, weight, bias, targets: as in `token_loss`.
        token_weights: w_t of each token, or one for all.
        gradients: compute them.
        fast: multiply in bfloat16; results are of the type of `hidden`.
    """
    with torch.no_grad(), full_precision(hidden.device):
        return _by_chunks(hidden, weight, bias, targets, token_weights, gradients, fast)


def _by_chunks(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    token_weights: Tensor | float,
    gradients: bool,
    fast: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    (n, _), V = hidden.shape, weight.shape[0]
    work = torch.bfloat16 if fast else hidden.dtype
    weight_work = weight.to(work)
    weights = token_weights if isinstance(token_weights, Tensor) else hidden.new_full((n,), token_weights)
    loss = hidden.new_empty(n)
    grad_hidden = torch.empty_like(hidden) if gradients else hidden.new_empty(0)
    grad_weight = torch.zeros_like(weight) if gradients else weight.new_empty(0)
    grad_bias = torch.zeros_like(bias) if gradients and bias is not None else weight.new_empty(0)
    for start in range(0, n, max(1, CHUNK_NUMBERS // V)):
        part = slice(start, start + max(1, CHUNK_NUMBERS // V))
        h, target = hidden[part].to(work), targets[part, None]
        logits = F.linear(h, weight_work, None if fast else bias)
        if fast and bias is not None:
            logits = logits + bias  # in float32
        log_p = logits.log_softmax(-1, dtype=hidden.dtype)
        loss[part] = -log_p.gather(1, target)[:, 0]
        if not gradients:
            continue
        p = log_p.exp_()
        p.scatter_add_(1, target, p.new_full(target.shape, -1.0))
        w = weights[part, None]  # goes to the small factors and results, not to p
        if bias is not None:
            grad_bias += p.t() @ weights[part]
        p = p.to(work)
        grad_hidden[part] = (p @ weight_work) * w
        grad_weight += p.t() @ (h * w).to(work)
    return loss, grad_hidden, grad_weight, grad_bias
