"""Projection onto the vocabulary and cross-entropy of tokens, without the [tokens, V] matrix of logits."""

from __future__ import annotations

import functools
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from svebm_ext.errors import ConfigError
from svebm_ext.ops.arguments import (
    Arguments,
    are_plain,
    autocasts,
    bf16_operands,
    derivatives_of_derivatives,
    gradients_with_derivatives,
    is_transformed,
)
from svebm_ext.ops.backend import planned_or_none, resolve
from svebm_ext.ops.schema import Op
from svebm_ext.ops.token_loss import native, reference
from svebm_ext.ops.token_loss.options import (
    TokenLossBackwardInputs,
    TokenLossGradients,
    TokenLossInputs,
    TokenLossOutputs,
)

__all__ = ["token_loss"]

CHECKS = Arguments("token_loss")

RESCALABLE = (1e-12, 1e12)
"""Weights of tokens for which gradients are far from the ends of float32."""


def token_loss(
    hidden: Float[Tensor, "n H"],
    weight: Float[Tensor, "V H"],
    targets: Int[Tensor, " n"],
    bias: Float[Tensor, " V"] | None = None,
    *,
    token_weight: float = 1.0,
    backend: str | None = None,
) -> Float[Tensor, " n"]:
    """-log softmax(h W^T + b)_target of every token, in nats (a factor of Eq. 6), logits held for some at a time.

    Where gradients are needed they are computed along with the loss, for a gradient of the loss that is the same for
    all tokens, as the mean over a batch has. Should it be another, backward computes them again: results are right in
    any case, and faster where the expectation holds. A derivative of that gradient, and the transforms of torch.func,
    are right as well: they take the equation in plain torch, which holds all logits.

    Args:
        hidden: h, states of real tokens.
        weight: W, one row a word; the embedding itself where the two are tied.
        targets: word of each token, 0 .. V-1.
        bias: b, or None.
        token_weight: expected gradient of each token's loss, such as 1 / B; any other only costs a multiplication.
        backend: "auto", "native" or "reference"; None leaves it to `use_backend` and SVEBM_BACKEND.

    Returns:
        [n], float32 (float64 where h is); under autocast to bfloat16 the products round their operands to it.

    Raises:
        ConfigError: an argument has a wrong shape, type, device or value.
        BackendUnavailableError: `backend` is "native" and the native library cannot serve the call.
    """
    if not are_plain((hidden, weight, targets) if bias is None else (hidden, weight, targets, bias)):
        _check_types(hidden, weight, targets, bias)
    token_weight, backend = CHECKS.number("token_weight", token_weight), CHECKS.backend(backend)
    fast = hidden.dtype != torch.float64 and bf16_operands(hidden.device)
    if autocasts(hidden.device) and hidden.dtype in (torch.bfloat16, torch.float16):
        hidden = hidden.to(weight.dtype)
    if is_transformed():
        _check(hidden, weight, bias, targets)
        return reference.at_once(hidden, weight, targets, bias, fast=fast)
    parameters = (hidden, weight) if bias is None else (hidden, weight, bias)
    gradients = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in parameters)
    if gradients and _fits_at_once(hidden, weight, backend):
        _check(hidden, weight, bias, targets)
        return reference.at_once(hidden, weight, targets, bias, fast=fast)
    arguments = (hidden, weight, bias, targets, token_weight, gradients, fast, backend or "")
    if gradients and not torch.compiler.is_compiling():
        return _TokenLoss.apply(*arguments)
    return TOKEN_LOSS.of(TokenLossInputs(*arguments))[0]


def _fits_at_once(hidden: Tensor, weight: Tensor, backend: str | None) -> bool:
    """Whether all logits are no more than a chunk, on a GPU.

    Autograd then has fewer and larger operations to launch, and does not wait to look at the gradient of the loss.
    """
    if hidden.device.type != "cuda" or hidden.shape[0] * weight.shape[0] > reference.CHUNK_NUMBERS:
        return False
    return not torch.compiler.is_compiling() and resolve("token_loss", hidden.device, backend) == "reference"


class _TokenLoss(torch.autograd.Function):
    """The op with a backward pass that looks at the gradient before it decides what to do, which no graph can."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        hidden, weight, bias, targets, *options = arguments
        loss, *gradients = TOKEN_LOSS.of(TokenLossInputs(*arguments))
        ctx.options, ctx.has_bias = options, bias is not None
        # not among the saved tensors: handed on without a copy, they become the gradients themselves
        ctx.gradients = gradients
        ctx.save_for_backward(hidden, weight, bias, targets)
        return loss

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
        nothing = [None] * (1 + len(ctx.options))
        if derivatives_of_derivatives(*upstream, *ctx.saved_tensors):
            return *_differentiable_gradients(upstream[0], *ctx.saved_tensors, fast=ctx.options[2]), *nothing
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None or not _is_expected(upstream[0], ctx.options[0]):
            token_weight, _, fast, backend = ctx.options
            given = gradients or [upstream[0].new_empty(0)] * 3
            options = (token_weight if gradients else 0.0, True, fast, backend)
            gradients = TOKEN_LOSS_BACKWARD.call(*upstream, *ctx.saved_tensors, *given, *options)
        return gradients[0], gradients[1], gradients[2] if ctx.has_bias else None, *nothing


def _is_expected(upstream: Tensor, token_weight: float) -> bool:
    return bool((upstream == torch.tensor(token_weight, dtype=upstream.dtype, device="cpu")).all())


def _differentiable_gradients(
    upstream: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, *, fast: bool
) -> list[Tensor | None]:
    """Gradients of hidden, weight and bias, None where none is asked for, that have derivatives themselves."""

    def loss(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor]:
        return (reference.at_once(hidden, weight, targets, bias, fast=fast),)

    return gradients_with_derivatives(loss, [hidden, weight, bias], [upstream])


def _check_types(hidden: object, weight: object, targets: object, bias: object) -> None:
    CHECKS.tensors(
        {
            "hidden": (hidden, "float32 or float64 of shape [n, H]"),
            "weight": (weight, "[V, H]"),
            "targets": (targets, "torch.int64 of shape [n]"),
            "bias": (bias, "[V], or None"),
        }
    )


def _check(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, checks: Arguments = CHECKS) -> None:
    if hidden.dim() != 2 or hidden.dtype not in (torch.float32, torch.float64):
        checks.fail("hidden", f"{hidden.dtype} of shape {list(hidden.shape)}", "float32 or float64 of shape [n, H]")
    n, H = hidden.shape
    if weight.dim() != 2 or weight.shape[1] != H or weight.shape[0] < 1 or H < 1:
        checks.fail("weight", f"of shape {list(weight.shape)}", f"[V, {H}] with V and H of at least 1")
    if bias is not None and bias.shape != weight.shape[:1]:
        checks.fail("bias", f"of shape {list(bias.shape)}", f"[{weight.shape[0]}]")
    if targets.shape != (n,) or targets.dtype != torch.int64:
        checks.fail("targets", f"{targets.dtype} of shape {list(targets.shape)}", f"torch.int64 of shape [{n}]")
    for name, tensor in (("weight", weight), ("bias", bias)):
        if tensor is not None and (tensor.dtype, tensor.device) != (hidden.dtype, hidden.device):
            checks.fail(name, f"{tensor.dtype} on {tensor.device}", f"{hidden.dtype} on {hidden.device}, as hidden is")
    if targets.device != hidden.device:
        checks.fail("targets", f"on {targets.device}", f"{hidden.device}, where hidden is")


def _check_targets(targets: Tensor, V: int) -> None:
    """On a GPU, whose queue is not waited for, torch's own gather finds a target that is no word."""
    if targets.device.type == "cpu" and targets.numel() > 0:
        low, high = (int(x) for x in targets.aminmax())
        if low < 0 or high >= V:
            CHECKS.fail("targets", f"from {low} to {high}", f"words from 0 to {V - 1}")


def _run(
    hidden: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    targets: Tensor,
    token_weights: Tensor | float,
    gradients: bool,
    fast: bool,
    requested: str | None,
) -> tuple[Tensor, ...]:
    _check(hidden, weight, bias, targets)
    _check_targets(targets, weight.shape[0])
    call = functools.partial(native.plan, hidden, weight, bias, targets, token_weights, gradients=gradients, fast=fast)
    planned = planned_or_none("token_loss", hidden.device, requested, call)
    if planned is not None:
        return planned.run()
    return reference.by_chunks(hidden, weight, bias, targets, token_weights, gradients=gradients, fast=fast)


def _token_loss(inputs: TokenLossInputs) -> TokenLossOutputs:
    return TokenLossOutputs(
        *_run(
            inputs.hidden, inputs.weight, inputs.bias, inputs.targets, inputs.token_weight, inputs.gradients,
            inputs.fast, inputs.backend or None,
        )
    )  # fmt: skip


def _token_loss_shapes(inputs: TokenLossInputs) -> TokenLossOutputs:
    _check(inputs.hidden, inputs.weight, inputs.bias, inputs.targets)
    return inputs.shapes()


def _token_loss_backward(inputs: TokenLossBackwardInputs) -> TokenLossGradients:
    """Gradients for any `upstream`, from those for `token_weight` where it is the same for all tokens."""
    if not inputs.gradients:
        raise ConfigError("token_loss: called without gradients, so backward has none; expected gradients=True")
    upstream, first = inputs.upstream, inputs.upstream[:1]
    if upstream.shape[0] > 0 and _divides(inputs.token_weight) and bool((upstream == first).all()):
        factor = first / inputs.token_weight
        return TokenLossGradients(inputs.grad_hidden * factor, inputs.grad_weight * factor, inputs.grad_bias * factor)
    options = (True, inputs.fast, inputs.backend or None)
    return TokenLossGradients(*_run(inputs.hidden, inputs.weight, inputs.bias, inputs.targets, upstream, *options)[1:])


def _divides(token_weight: float) -> bool:
    """Whether gradients for a weight, in float32, have kept what those for any other weight are made of."""
    return RESCALABLE[0] <= abs(token_weight) <= RESCALABLE[1]


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    hidden, weight, bias, targets, *options = inputs
    ctx.options, ctx.has_bias = options, bias is not None
    ctx.save_for_backward(hidden, weight, bias, targets, *output[1:])
    ctx.mark_non_differentiable(*output[1:])


def _backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor | None, ...]:
    operands = ctx.saved_tensors[:4]
    if derivatives_of_derivatives(upstream[0], *operands):
        fast = ctx.options[2]
        return *_differentiable_gradients(upstream[0], *operands, fast=fast), *[None] * (1 + len(ctx.options))
    gradients = TOKEN_LOSS_BACKWARD.call(upstream[0].contiguous(), *ctx.saved_tensors, *ctx.options)
    return *gradients[:2], gradients[2] if ctx.has_bias else None, *[None] * (1 + len(ctx.options))


TOKEN_LOSS = Op("token_loss", TokenLossInputs, TokenLossOutputs, compute=_token_loss, shapes=_token_loss_shapes)
TOKEN_LOSS_BACKWARD = Op(
    "token_loss_backward",
    TokenLossBackwardInputs,
    TokenLossGradients,
    compute=_token_loss_backward,
    shapes=TokenLossBackwardInputs.shapes,
)
TOKEN_LOSS.register_autograd(_backward, _setup_context)
